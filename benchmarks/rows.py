"""The rows of the measurements: the same for every target, by number and seed.

Model 1 has `timestamp, level (indexed), text (indexed)`; model 2 adds a foreign key to itself and a many to many with
itself; model 3 has 32 more columns: four sets of eight types, the first two with defaults, the last two nullable.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

Row: TypeAlias = tuple[Any, ...]

START = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")

TYPES = ("float", "smallint", "int", "bigint", "varchar", "text", "decimal", "json")
DEFAULTS: dict[str, Any] = {
    "float": 2.5,
    "smallint": 2,
    "int": 2_000_000,
    "bigint": 99_999_999,
    "varchar": "value1",
    "text": "text whose end nobody reads; " * 3 + "end",
    "decimal": Decimal("2.2200"),
    "json": {"a": 1, "b": "b", "c": [2], "d": {"e": 3}, "f": True},
}
WIDE = tuple(f"{kind}_{number}" for number in (1, 2, 3, 4) for kind in TYPES)


def names(model: int) -> tuple[str, ...]:
    """The columns that are written, in order; the key is the database's."""
    return ("timestamp", "level", "text", *WIDE) if model == 3 else ("timestamp", "level", "text")


def kind_of(name: str) -> str:
    """The type of a wide column by its name."""
    return name.rpartition("_")[0]


def is_nullable(name: str) -> bool:
    """Whether a wide column may be NULL: those of the sets 3 and 4."""
    return name.endswith(("_3", "_4"))


def rows(model: int, count: int, seed: int = 0) -> list[Row]:
    """Rows to write; sets 1 and 3 have values of their own, set 2 its defaults and set 4 NULL."""
    chosen = random.Random(seed)
    found: list[Row] = []
    for number in range(count):
        row: list[Any] = [
            START + timedelta(seconds=number, microseconds=chosen.randrange(1_000_000)),
            chosen.randrange(5) * 10,
            f"message {number} {chosen.choice(WORDS)}",
        ]
        if model == 3:
            for name in WIDE:
                if name.endswith("_2"):
                    row.append(DEFAULTS[kind_of(name)])
                elif name.endswith("_4"):
                    row.append(None)
                else:
                    row.append(_value(kind_of(name), chosen, number))
        found.append(tuple(row))
    return found


def _value(kind: str, chosen: random.Random, number: int) -> Any:
    match kind:
        case "float":
            return number / 8
        case "smallint":
            return chosen.randrange(30_000)
        case "int":
            return chosen.randrange(2_000_000_000)
        case "bigint":
            return chosen.randrange(9_000_000_000_000)
        case "varchar":
            return f"{chosen.choice(WORDS)} {number}"
        case "text":
            return f"{chosen.choice(WORDS)} and {chosen.choice(WORDS)}; " * 4 + "end"
        case "decimal":
            return Decimal(chosen.randrange(10_000_000)).scaleb(-4)
        case _:
            return {"word": chosen.choice(WORDS), "number": number, "list": [1, 2.5, None]}


def keys(count: int, seed: int, of: int) -> list[int]:
    """Keys of rows that exist, one for each time."""
    chosen = random.Random(seed)
    return [chosen.randrange(1, of + 1) for _ in range(count)]


def digest(found: Iterable[Sequence[Any]]) -> str:
    """What the rows of two targets are compared by; the drivers' own forms of a value are the same value."""
    total = hashlib.sha256()
    for row in found:
        total.update(repr([_plain(value) for value in row]).encode())
    return total.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat()
    if isinstance(value, Decimal):
        return str(value.quantize(Decimal("0.0001")))
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True)
    return value
