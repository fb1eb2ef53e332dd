"""docs/settings.md names every key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from datalayer.conf import DatabaseSettings, PoolSettings, Settings
from datalayer.pooling import PoolConfig

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "settings.md").read_text("utf-8")
OF_THE_POOL = "databases.<alias>.pool"
SET_BY_THE_LOADER = {"root"}


def keys(options: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, info in options.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from keys(kind, f"{above}{name}.")
        else:
            yield above + name


def test_every_key_is_on_the_page() -> None:
    found = {key for key in keys(Settings) if key != "databases"} | set(keys(DatabaseSettings, "databases.<alias>."))
    wanted = {key for key in found - SET_BY_THE_LOADER if not key.startswith(OF_THE_POOL)}
    assert [key for key in sorted(wanted) if f"| `{key}` |" not in PAGE] == []


def test_what_is_no_option_of_a_pool_has_a_line_of_its_own() -> None:
    own = PoolSettings.model_fields.keys() - PoolConfig.__dataclass_fields__.keys()
    assert [name for name in sorted(own) if f"| `{OF_THE_POOL}.{name}` |" not in PAGE] == []
