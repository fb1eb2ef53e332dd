"""Unique constraints for which two NULLs are alike, on SQLite, which takes any number of rows with NULL.

Beside the constraint stands a unique index over the rows with a NULL, in which whether a column is NULL is a value.
PostgreSQL has words for it and needs no index more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import sqlalchemy as sa

from datalayer._compile.types import BackendSql, sql

SUFFIX: Final = "_nulls"
"""The end of the name of the index beside a constraint."""
_MARK: Final = "datalayer_nulls"


def is_beside(index: sa.Index) -> bool:
    """Whether an index stands beside a constraint, and is SQLite's alone."""
    return _MARK in index.info


def parts_of(name: str, nullable: bool, collation: str = "") -> list[str]:
    """How a column stands in the index.

    Args:
        name: The column or expression, as SQL.
        nullable: Whether it may be NULL.
        collation: What compares its values; a function's value has none.
    """
    tail = f" COLLATE {collation}" if collation else ""
    return [f"({name} IS NULL)", f"ifnull({name}, 0){tail}"] if nullable else [name]


def condition_of(names: list[str], condition: str | None) -> str:
    """Which rows are in the index: those with a NULL, of those that the constraint is about."""
    found = " OR ".join([f"{name} IS NULL" for name in names])
    return found if condition is None else f"({condition}) AND ({found})"


def add_indexes(table: sa.Table, dialects: Mapping[str, sa.Dialect]) -> None:
    """Puts the indexes of SQLite beside the constraints and unique indexes of a table.

    Args:
        table: The table.
        dialects: By the name of the backend.
    """
    given: list[tuple[str, list[Any], Any]] = [
        (str(one.name), list(one.columns), None)
        for one in table.constraints
        if isinstance(one, sa.UniqueConstraint) and one.dialect_options["postgresql"]["nulls_not_distinct"]
    ]
    given += [
        (str(one.name), list(one.expressions), one.dialect_options["sqlite"]["where"])
        for one in table.indexes
        if one.unique and one.dialect_options["postgresql"]["nulls_not_distinct"]
    ]
    for name, elements, where in given:
        parts, nullable = list[str](), list[str]()
        for element in elements:
            text, may_be_null, collation = _told(element, dialects["sqlite"])
            parts += parts_of(text, may_be_null, collation)
            nullable += [text] if may_be_null else []
        if nullable:
            condition = where.sqlite if isinstance(where, BackendSql) else None if where is None else str(where)
            beside = sa.Index(
                name + SUFFIX,
                *[sql(part) for part in parts],
                unique=True,
                sqlite_where=sql(condition_of(nullable, condition)),
                info={_MARK: True},
            )
            table.append_constraint(beside)


def _told(element: Any, dialect: sa.Dialect) -> tuple[str, bool, str]:
    """A part of a constraint as SQL, whether it may be NULL, and what compares it."""
    if not isinstance(element, sa.Column):
        return str(element.compile(dialect=dialect)).removesuffix(" DESC"), True, ""
    column = cast("Any", element)  # whose type is of any kind
    name = dialect.identifier_preparer.quote_identifier(column.name)
    return name, bool(column.nullable), collation_of(str(column.type.compile(dialect)))


def collation_of(type_text: str) -> str:
    """The collation at the end of a type."""
    return type_text.partition(" COLLATE ")[2]


__all__ = ["SUFFIX", "add_indexes", "collation_of", "condition_of", "is_beside", "parts_of"]
