"""What `class Meta` may hold besides plain values: constraints and indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datalayer._schema.field import DatabaseDefault
from datalayer.errors import ModelError


def _check_sql(given: str | Mapping[str, object] | None, place: str) -> None:
    """Refuses conditions that are objects, as Django has them: here the database reads them, not a query.

    Raises:
        ModelError: It is no text.
    """
    texts: list[object] = list(given.values()) if isinstance(given, Mapping) else [given]
    wrong = next((text for text in texts if text is not None and not isinstance(text, str)), None)
    if wrong is not None:
        raise ModelError(
            f"{place} is SQL, such as '\"stock\" >= 0', and {wrong!r} is none; write the condition as text"
        )


@dataclass(frozen=True, slots=True, init=False)
class UniqueConstraint:
    """Rows differ in at least one of the named fields; one of a single field takes the place of its `unique=True`.

    Args:
        fields: Names of fields or forward relations.
        name: Its name in the database; made from table and columns where it is not given.
        condition: SQL that limits it to some rows (a partial unique index).
        nulls_distinct: Whether two NULLs count as different, as the standard says.
    """

    fields: tuple[str, ...]
    name: str | None
    condition: str | None
    nulls_distinct: bool

    def __init__(
        self, *fields: str, name: str | None = None, condition: str | None = None, nulls_distinct: bool = True
    ) -> None:
        _check_sql(condition, "UniqueConstraint(condition=...)")
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "nulls_distinct", nulls_distinct)


@dataclass(frozen=True, slots=True, init=False)
class CheckConstraint:
    """A condition every row satisfies, written in SQL.

    Args:
        sql: The condition, the same everywhere or keyed by backend name; columns are written as `"quoted names"`.
        name: Its name in the database.
    """

    sql: str | Mapping[str, str]
    name: str

    def __init__(self, sql: str | Mapping[str, str], *, name: str) -> None:
        _check_sql(sql, f"CheckConstraint(name={name!r})")
        object.__setattr__(self, "sql", sql)
        object.__setattr__(self, "name", name)


@dataclass(frozen=True, slots=True, init=False)
class Index:
    """An index over one or more fields.

    Args:
        fields: Names of fields or forward relations, `-name` for descending; or expressions as `Sql('lower("name")')`.
        name: Its name in the database; made from table and columns where it is not given, needed for an expression.
        condition: SQL that limits it to some rows.
        method: The index method of PostgreSQL, such as `gin`.
        include: Names of fields whose values come along, so that PostgreSQL need not look into the table.
        unique: Whether what it holds may come only once; of plain fields a `UniqueConstraint` says more.
    """

    fields: tuple[str | DatabaseDefault, ...]
    name: str | None
    condition: str | None
    method: str | None
    include: tuple[str, ...]
    unique: bool

    def __init__(
        self,
        *fields: str | DatabaseDefault,
        name: str | None = None,
        condition: str | None = None,
        method: str | None = None,
        include: Sequence[str] = (),
        unique: bool = False,
    ) -> None:
        _check_sql(condition, "Index(condition=...)")
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "include", (include,) if isinstance(include, str) else tuple(include))
        object.__setattr__(self, "unique", unique)
