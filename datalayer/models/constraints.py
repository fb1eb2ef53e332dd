"""What `class Meta` may hold besides plain values: constraints and indexes."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from datalayer._schema.field import DatabaseDefault
from datalayer._schema.table import Initially
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


def _listed(given: Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _check_opclasses(fields: Sequence[object], opclasses: Sequence[str], place: str) -> None:
    """Refuses operator classes that cannot be told which field they are of.

    Raises:
        ModelError: Their number is not that of the fields.
    """
    if opclasses and len(opclasses) != len(fields):
        raise ModelError(
            f"{place} has {len(opclasses)} opclasses for {len(fields)} fields; give one for each, and an empty text "
            "where the usual one will do"
        )


class Deferrable(enum.Enum):
    """That the check of a constraint can be put off to the end of the transaction, and whether it is.

    `SET CONSTRAINTS` changes it within a transaction on PostgreSQL
    (https://www.postgresql.org/docs/current/sql-set-constraints.html).
    """

    DEFERRED = "DEFERRED"
    """At the end of the transaction."""
    IMMEDIATE = "IMMEDIATE"
    """After each statement, unless the transaction says otherwise."""


def initially(deferrable: object, place: str) -> Initially | None:
    """When a constraint is checked, as the database is told.

    Raises:
        ModelError: It is no `Deferrable`.
    """
    if deferrable is None:
        return None
    if not isinstance(deferrable, Deferrable):
        raise ModelError(f"{place} is {deferrable!r}; the choices are Deferrable.DEFERRED and Deferrable.IMMEDIATE")
    return "DEFERRED" if deferrable is Deferrable.DEFERRED else "IMMEDIATE"


@dataclass(frozen=True, slots=True, init=False)
class UniqueConstraint:
    """Rows differ in at least one of the named fields; one of a single field takes the place of its `unique=True`.

    Args:
        fields: Names of fields or forward relations; or expressions as `Sql('lower("email")')`, which need a name.
        name: Its name in the database; made from table and columns where it is not given.
        condition: SQL that limits it to some rows (a partial unique index).
        nulls_distinct: Whether two NULLs count as different, as the standard says.
        deferrable: Whether rows may be alike until the end of the transaction; SQLite checks each row at once all the
            same.
        include: Names of fields whose values come along, so that PostgreSQL need not look into the table.
        opclasses: The operator classes of PostgreSQL, one for each field.

    Raises:
        ModelError: The condition is no text; the operator classes are not as many as the fields; `deferrable` with
            what PostgreSQL can only say as an index, which is never deferrable.
    """

    fields: tuple[str | DatabaseDefault, ...]
    name: str | None
    condition: str | None
    nulls_distinct: bool
    deferrable: Deferrable | None
    include: tuple[str, ...]
    opclasses: tuple[str, ...]

    def __init__(
        self,
        *fields: str | DatabaseDefault,
        name: str | None = None,
        condition: str | None = None,
        nulls_distinct: bool = True,
        deferrable: Deferrable | None = None,
        include: Sequence[str] = (),
        opclasses: Sequence[str] = (),
    ) -> None:
        _check_sql(condition, "UniqueConstraint(condition=...)")
        _check_opclasses(fields, _listed(opclasses), "UniqueConstraint")
        initially(deferrable, "UniqueConstraint(deferrable=...)")
        options = {"condition": condition, "include": include, "opclasses": opclasses}
        others = [option for option, value in options.items() if value]
        others += ["an expression"] if any(not isinstance(field, str) for field in fields) else []
        if deferrable is not None and others:
            raise ModelError(
                f"UniqueConstraint has deferrable= and {others[0]}, which only an index can have, and an index is "
                "never deferrable; leave one of them away"
            )
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "nulls_distinct", nulls_distinct)
        object.__setattr__(self, "deferrable", deferrable)
        object.__setattr__(self, "include", _listed(include))
        object.__setattr__(self, "opclasses", _listed(opclasses))


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
class ExclusionConstraint:
    """No two rows for which all operators hold: `ExclusionConstraint(("room", "&&"), ("nights", "&&"))`.

    PostgreSQL only; tables of it cannot be made on SQLite.

    Args:
        pairs: Names of fields or forward relations, each with the operator between two rows, such as `&&` or `=`.
        name: Its name in the database; made from table and columns where it is not given.
        condition: SQL that limits it to some rows.
        method: The index method behind it.
    """

    pairs: tuple[tuple[str, str], ...]
    name: str | None
    condition: str | None
    method: str

    def __init__(
        self, *pairs: tuple[str, str], name: str | None = None, condition: str | None = None, method: str = "gist"
    ) -> None:
        _check_sql(condition, "ExclusionConstraint(condition=...)")
        given: tuple[object, ...] = pairs
        wrong = next((pair for pair in given if not _is_pair(pair)), None)
        if wrong is not None or not pairs:
            raise ModelError(
                f'ExclusionConstraint takes fields with their operators, such as ("nights", "&&"), not {wrong!r}'
            )
        object.__setattr__(self, "pairs", pairs)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "method", method)


def _is_pair(given: object) -> bool:
    pair = cast("tuple[object, ...]", given) if isinstance(given, tuple) else ()
    return (
        len(pair) == 2
        and all(isinstance(part, str) for part in pair)
        and re.fullmatch(r"[-+*/<>=~!@#%^&|`?]+", str(pair[1])) is not None
    )


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
        opclasses: The operator classes of PostgreSQL, such as `gin_trgm_ops`, one for each field.

    Raises:
        ModelError: The condition is no text; the operator classes are not as many as the fields.
    """

    fields: tuple[str | DatabaseDefault, ...]
    name: str | None
    condition: str | None
    method: str | None
    include: tuple[str, ...]
    unique: bool
    opclasses: tuple[str, ...]

    def __init__(
        self,
        *fields: str | DatabaseDefault,
        name: str | None = None,
        condition: str | None = None,
        method: str | None = None,
        include: Sequence[str] = (),
        unique: bool = False,
        opclasses: Sequence[str] = (),
    ) -> None:
        _check_sql(condition, "Index(condition=...)")
        _check_opclasses(fields, _listed(opclasses), "Index")
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "include", _listed(include))
        object.__setattr__(self, "unique", unique)
        object.__setattr__(self, "opclasses", _listed(opclasses))
