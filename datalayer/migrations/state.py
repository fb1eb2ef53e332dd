"""What the tables look like at one point of the history: plain values that can be compared, and how operations
change them. Nothing here talks to a database.

SQL text is kept as a pair, for SQLite and for PostgreSQL, because one history serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import sqlalchemy as sa

from datalayer._schema.table import Initially
from datalayer.errors import MigrationError, choices_text, nearest

Text2: TypeAlias = tuple[str, str]
SQLITE, POSTGRESQL = 0, 1


@dataclass(frozen=True)
class Column:
    """A column. Types are compared by what each backend is told, so `sa.Integer()` equals `types.Integer()`."""

    name: str
    type: sa.types.TypeEngine[Any] = field(compare=False)
    type_text: Text2 = ("", "")
    nullable: bool = True
    default: Text2 | None = None
    identity: bool = False
    computed: Text2 | None = None
    comment: str | None = None


@dataclass(frozen=True)
class Unique:
    """A unique constraint."""

    columns: tuple[str, ...]
    nulls_distinct: bool = True
    initially: Initially | None = None


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key constraint."""

    columns: tuple[str, ...]
    target: str
    remote: tuple[str, ...]
    on_delete: str | None = None
    initially: Initially | None = None


@dataclass(frozen=True)
class Exclusion:
    """An exclusion constraint: columns, each with its operator."""

    pairs: tuple[tuple[str, str], ...]
    method: str = "gist"
    where: Text2 | None = None


@dataclass(frozen=True)
class Index:
    """An index; each part is a column's name or an expression, with an operator class of PostgreSQL or none."""

    parts: tuple[str, ...]
    expressions: tuple[bool, ...]
    unique: bool = False
    where: Text2 | None = None
    method: str | None = None
    include: tuple[str, ...] = ()
    nulls_distinct: bool = True
    opclasses: tuple[str, ...] = ()

    @property
    def pieces(self) -> list[tuple[str, bool, str]]:
        """Each part, whether it is an expression, and its operator class or an empty text."""
        return list(zip(self.parts, self.expressions, self.opclasses or [""] * len(self.parts), strict=True))


@dataclass(frozen=True)
class Table:
    """A table; constraints and indexes by name."""

    name: str
    columns: dict[str, Column]
    primary_key: tuple[str, ...] = ()
    primary_key_name: str = ""
    uniques: dict[str, Unique] = field(default_factory=dict[str, Unique])
    checks: dict[str, Text2] = field(default_factory=dict[str, Text2])
    exclusions: dict[str, Exclusion] = field(default_factory=dict[str, Exclusion])
    foreign_keys: dict[str, ForeignKey] = field(default_factory=dict[str, ForeignKey])
    indexes: dict[str, Index] = field(default_factory=dict[str, Index])
    comment: str | None = field(default=None)

    @property
    def is_numbered(self) -> bool:
        """Whether SQLite numbers the rows by AUTOINCREMENT, which it does in a column of the type INTEGER alone."""
        return any(column.identity and column.type_text[SQLITE] == "INTEGER" for column in self.columns.values())


State: TypeAlias = dict[str, Table]


def rename_table(state: State, old: str, new: str) -> State:
    """The state after `old` was named `new`; foreign keys follow."""
    table_of(state, old)
    renamed: State = {}
    for table in state.values():
        keys = {
            name: replace(key, target=new) if key.target == old else key for name, key in table.foreign_keys.items()
        }
        name = new if table.name == old else table.name
        renamed[name] = replace(table, name=name, foreign_keys=keys)
    return renamed


def _renamed_text(text: Text2 | None, old: str, new: str) -> Text2 | None:
    if text is None:
        return None
    return text[0].replace(f'"{old}"', f'"{new}"'), text[1].replace(f'"{old}"', f'"{new}"')


def rename_column(state: State, table_name: str, old: str, new: str) -> State:
    """The state after a column was renamed; constraints, indexes and foreign keys to it follow."""

    def names(columns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new if column == old else column for column in columns)

    table = table_of(state, table_name)
    column_of(table, old)
    changed = dict(state)
    for other in state.values():
        keys = {
            name: replace(key, remote=names(key.remote)) if key.target == table_name else key
            for name, key in other.foreign_keys.items()
        }
        changed[other.name] = replace(other, foreign_keys=keys)
    table = changed[table_name]
    changed[table_name] = replace(
        table,
        columns={
            (new if name == old else name): replace(column, name=new) if name == old else column
            for name, column in table.columns.items()
        },
        primary_key=names(table.primary_key),
        uniques={name: replace(unique, columns=names(unique.columns)) for name, unique in table.uniques.items()},
        checks={name: _renamed_text(check, old, new) or check for name, check in table.checks.items()},
        exclusions={
            name: replace(
                one,
                pairs=tuple([(new if column == old else column, sign) for column, sign in one.pairs]),
                where=_renamed_text(one.where, old, new),
            )
            for name, one in table.exclusions.items()
        },
        foreign_keys={name: replace(key, columns=names(key.columns)) for name, key in table.foreign_keys.items()},
        indexes={
            name: replace(
                index,
                parts=tuple(
                    part.replace(f'"{old}"', f'"{new}"') if is_expression else (new if part == old else part)
                    for part, is_expression in zip(index.parts, index.expressions, strict=True)
                ),
                where=_renamed_text(index.where, old, new),
                include=names(index.include),
            )
            for name, index in table.indexes.items()
        },
    )
    return changed


def rename_index(state: State, table_name: str, old: str, new: str) -> State:
    """The state after an index was renamed."""
    table = table_of(state, table_name)
    if old not in table.indexes:
        raise MigrationError(
            f"no index {old!r} on table {table_name!r} at this point of the history; there are: "
            f"{choices_text(table.indexes)}{nearest(old, table.indexes)}"
        )
    indexes = {new if name == old else name: index for name, index in table.indexes.items()}
    return {**state, table_name: replace(table, indexes=indexes)}


def rename_constraints(state: State, table_name: str, names: Mapping[str, str]) -> State:
    """The state after constraints were renamed, the primary key among them."""
    table = table_of(state, table_name)
    known = constraints_of(table)
    for old in names:
        if old not in known:
            raise MigrationError(
                f"no constraint {old!r} on table {table_name!r} at this point of the history; there are: "
                f"{choices_text(known)}{nearest(old, known)}"
            )
    changed = replace(
        table,
        primary_key_name=names.get(table.primary_key_name, table.primary_key_name),
        uniques={names.get(name, name): one for name, one in table.uniques.items()},
        checks={names.get(name, name): one for name, one in table.checks.items()},
        exclusions={names.get(name, name): one for name, one in table.exclusions.items()},
        foreign_keys={names.get(name, name): one for name, one in table.foreign_keys.items()},
    )
    return {**state, table_name: changed}


def constraints_of(table: Table) -> dict[str, object]:
    """All constraints of a table by name."""
    found: dict[str, object] = {**table.uniques, **table.exclusions, **table.foreign_keys}
    found.update({name: ("check", text) for name, text in table.checks.items()})
    if table.primary_key:
        found[table.primary_key_name] = ("primary key", table.primary_key)
    return found


def table_of(state: State, name: str) -> Table:
    """The table, or an error that names the ones there are at this point of the history."""
    if name not in state:
        raise MigrationError(
            f"no table {name!r} at this point of the history; there are: {choices_text(state)}{nearest(name, state)}"
        )
    return state[name]


def column_of(table: Table, name: str) -> Column:
    """The column, or an error that names the ones there are at this point of the history."""
    if name not in table.columns:
        raise MigrationError(
            f"no column {name!r} in table {table.name!r} at this point of the history; there are: "
            f"{choices_text(table.columns)}{nearest(name, table.columns)}"
        )
    return table.columns[name]
