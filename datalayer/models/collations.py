"""Keys that are alike to the database and not to Python: rows are told apart here by what it compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from datalayer._plans.plan import Row
from datalayer._schema.table import TableSpec

_LOWER: Final = {letter: letter + 32 for letter in range(ord("A"), ord("Z") + 1)}  # SQLite folds no other letters


def alike_by(table: TableSpec, fields: Sequence[str], backend: str) -> Callable[[Row], Row] | None:
    """What makes values equal that the database takes for equal; None where they are equal as they are.

    Args:
        table: The table.
        fields: Those of its fields whose values are compared.
        backend: Where the table is. The collations of PostgreSQL tell all texts apart, but for nondeterministic ones.
    """
    if backend != "sqlite":
        return None
    names = [table.fields[name].type.collation[0].upper() for name in fields]
    if "NOCASE" not in names and "RTRIM" not in names:
        return None
    return lambda key: tuple([_alike(value, name) for value, name in zip(key, names, strict=True)])


def _alike(value: object, collation: str) -> object:
    if not isinstance(value, str):
        return value
    if collation == "NOCASE":
        return value.translate(_LOWER)
    return value.rstrip(" ") if collation == "RTRIM" else value
