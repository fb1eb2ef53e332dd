"""Settings as text for people: every value by its key, and nothing that has to stay secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from datalayer.conf.options import SECRET_NAME, Settings
from datalayer.conf.sources import Key, as_items, as_table
from datalayer.conf.url import HIDDEN

_SECRET_IN_URL = re.compile(r"(://[^\s:/@]*):[^\s/@]+@")


def leaves(value: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """The values of settings by key, in the order of their fields; models and tables are walked into."""
    table = _fields(value)
    for name, inner in (table or {}).items():
        yield from leaves(inner, (*key, str(name)))
    if not table:
        yield key, value


def shown(settings: Settings) -> list[tuple[str, str, str]]:
    """Every value of some settings as `(key, value as text, origin)`, with secrets replaced by stars."""
    return [(".".join(key), _show(key, value), settings.origin(".".join(key))) for key, value in leaves(settings)]


def hidden_in(reason: str, key: Key, value: object) -> str:
    """A reason somebody's validator gave, without the value when its key sounds like a secret."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, str) and value and any(SECRET_NAME.search(name) for name in key):
        return reason.replace(value, HIDDEN)
    return reason


def _fields(value: Any) -> dict[str, Any] | None:
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    table = as_table(value)
    return None if table is None else dict(table)


def _show(key: Key, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    table, items = _fields(value), as_items(value)
    if table is not None:
        return "{" + ", ".join(f"{name} = {_show((*key, name), inner)}" for name, inner in table.items()) + "}"
    if items is not None:
        return "[" + ", ".join(_show(key, item) for item in items) + "]"
    is_secret = isinstance(value, SecretStr | SecretBytes) or bool(key and SECRET_NAME.search(key[-1]))
    if is_secret:
        return HIDDEN if str(value) else ""
    return _SECRET_IN_URL.sub(rf"\1:{HIDDEN}@", str(value))
