"""Keys that are alike to the database and not to Python: rows of a relation are told apart here by what it compares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from datalayer._plans.plan import Row
from datalayer._schema.relation import RelationSpec

_LOWER: Final = {letter: letter + 32 for letter in range(ord("A"), ord("Z") + 1)}  # SQLite folds no other letters


def alike_by(spec: RelationSpec, backend: str) -> Callable[[Row], Row] | None:
    """What makes keys of a relation equal that the database takes for equal; None where they are equal as they are.

    Args:
        spec: The relation.
        backend: Where its rows are. The collations of PostgreSQL tell all texts apart, but for nondeterministic ones.
    """
    if backend != "sqlite":
        return None
    names = [spec.source.fields[name].type.collation[0].upper() for name in spec.local]
    if "NOCASE" not in names and "RTRIM" not in names:
        return None
    return lambda key: tuple([_alike(value, name) for value, name in zip(key, names, strict=True)])


def _alike(value: object, collation: str) -> object:
    if not isinstance(value, str):
        return value
    if collation == "NOCASE":
        return value.translate(_LOWER)
    return value.rstrip(" ") if collation == "RTRIM" else value
