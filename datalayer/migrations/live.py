"""The tables of a live database as plain values, for `inspectdb`."""

from __future__ import annotations

import fnmatch
import re
import warnings
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SAWarning

from datalayer._compile.nulls import SUFFIX
from datalayer._schema.names import constraint_name
from datalayer._schema.table import Initially
from datalayer.errors import MigrationError, choices_text, nearest
from datalayer.migrations import beyond, sqlite_ddl
from datalayer.migrations.facts import deferrals
from datalayer.migrations.records import OWN_TABLES
from datalayer.migrations.sqlite_ddl import table_text


@dataclass(frozen=True)
class LiveColumn:
    """A column; `type` is as the database writes it, in capitals, and empty where it has none.

    A column of a domain has the type below it.
    """

    name: str
    type: str
    nullable: bool
    default: str | None
    is_numbered: bool
    generated: str | None
    comment: str | None
    choices: tuple[str, ...] = ()
    domain: str = ""
    collation: str = ""


@dataclass(frozen=True)
class LiveIndex:
    """An index; `parts` has `-name` for a column in descending order, and is empty where they cannot be told.

    `opclasses` has the operator class of each part where one is not the usual one.
    """

    name: str
    parts: tuple[str, ...]
    unique: bool
    condition: str | None
    method: str | None
    note: str = ""
    include: tuple[str, ...] = ()
    nulls_distinct: bool = True
    opclasses: tuple[str, ...] = ()


@dataclass(frozen=True)
class LiveUnique:
    """A unique constraint."""

    name: str | None
    columns: tuple[str, ...]
    nulls_distinct: bool = True
    initially: Initially | None = None


@dataclass(frozen=True)
class LiveKey:
    """A foreign key."""

    name: str | None
    columns: tuple[str, ...]
    target: str
    remote: tuple[str, ...]
    on_delete: str
    note: str = ""
    initially: Initially | None = None


@dataclass(frozen=True)
class LiveExclusion:
    """An exclusion constraint; its columns, each with its operator, none where a model cannot say it."""

    name: str
    pairs: tuple[tuple[str, str], ...]
    method: str
    condition: str | None


@dataclass
class LiveTable:
    """A table or a view.

    Attributes:
        is_ours: Whether the names in it are those that datalayer gives.
        view: `plain` or `materialized` for a view.
        remarks: What it has that no model says.
    """

    name: str
    columns: dict[str, LiveColumn]
    primary_key: tuple[str, ...]
    is_ours: bool
    comment: str | None = None
    view: str | None = None
    remarks: list[str] = field(default_factory=list[str])
    uniques: list[LiveUnique] = field(default_factory=list[LiveUnique])
    checks: list[tuple[str | None, str]] = field(default_factory=list[tuple[str | None, str]])
    exclusions: list[LiveExclusion] = field(default_factory=list[LiveExclusion])
    indexes: list[LiveIndex] = field(default_factory=list[LiveIndex])
    keys: list[LiveKey] = field(default_factory=list[LiveKey])


@dataclass(frozen=True)
class Wanted:
    """Which tables of a database are looked at.

    Attributes:
        names: The names of tables and views; all tables when empty.
        views: Whether all views come along.
        partitions: Whether the partitions of tables come along, which are tables of their own on PostgreSQL.
        but: Names that are left out; `*` in one stands for any letters.
    """

    names: Collection[str] = ()
    views: bool = False
    partitions: bool = False
    but: Collection[str] = ()


def live_tables(connection: sa.Connection, wanted: Wanted) -> list[LiveTable]:
    """What a database has, by name.

    Raises:
        MigrationError: A table that is wanted, or left out, does not exist.
    """
    look: Any = sa.inspect(connection)
    is_sqlite = connection.dialect.name == "sqlite"
    views = dict.fromkeys(look.get_view_names(), "plain")
    if not is_sqlite:
        views.update(dict.fromkeys(look.get_materialized_view_names(), "materialized"))
    tables = [name for name in look.get_table_names() if name not in OWN_TABLES]
    hidden = beyond.shadows(connection)
    tables = [name for name in tables if name not in hidden or name in wanted.names]
    known = sorted({*tables, *views})
    for name in (*wanted.names, *wanted.but):
        if not fnmatch.filter(known, name) if name in wanted.but else name not in known:
            raise MigrationError(f"no table or view {name!r}; there are: {choices_text(known)}{nearest(name, known)}")
    if wanted.names:
        chosen = sorted(set(wanted.names))
    else:
        parts = set[str]() if is_sqlite or wanted.partitions else _partitions(connection)
        chosen = [name for name in (known if wanted.views else sorted(tables)) if name not in parts]
    chosen = [name for name in chosen if not any(fnmatch.fnmatchcase(name, but) for but in wanted.but)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # about what it does not know: a comment of ours says it
        return [_table(connection, look, name, views.get(name)) for name in chosen]


def _partitions(connection: sa.Connection) -> set[str]:
    text = "SELECT relname FROM pg_class WHERE relispartition AND relnamespace = current_schema()::regnamespace"
    return {str(row[0]) for row in connection.exec_driver_sql(text)}


def _table(connection: sa.Connection, look: Any, name: str, view: str | None) -> LiveTable:
    is_sqlite = connection.dialect.name == "sqlite"
    key = look.get_pk_constraint(name)
    primary_key = tuple(key["constrained_columns"])
    is_ours = key.get("name") == constraint_name("pk", name, ())
    types, domains = (_sqlite_types(connection, name), {}) if is_sqlite else _postgresql_types(connection, name)
    collated = beyond.collations(connection, name, _quoted(name))
    text = table_text(connection, name) if is_sqlite else ""
    columns: dict[str, LiveColumn] = {}
    for one in look.get_columns(name):
        column = one["name"]
        written = types[column]
        is_counted = written in ("SMALLINT", "INTEGER", "BIGINT") and str(one["default"] or "").startswith("nextval(")
        numbered = one.get("identity") is not None or is_counted
        nullable = bool(one["nullable"])
        if is_sqlite and primary_key == (column,) and written == "INTEGER":
            # The number of the row: never NULL, and given by the database where nobody does.
            numbered, nullable = not is_ours or bool(re.search(r"\bAUTOINCREMENT\b", text, re.I)), False
        if written == "TEXT" and re.search(rf"\W{re.escape(column)}\W?\s+TEXT COLLATE datalayer_decimal\b", text):
            written = "TEXT COLLATE DATALAYER_DECIMAL"
        columns[column] = LiveColumn(
            column,
            written,
            nullable,
            None if str(one["default"] or "NULL").upper() == "NULL" or is_counted else str(one["default"]),
            numbered,
            _generated(one, text) if one.get("computed") else None,
            one.get("comment"),
            tuple(getattr(one["type"], "enums", ())),
            domains.get(column, ""),
            collated.get(column, ""),
        )
    made = LiveTable(name, columns, primary_key, is_ours, view=view)
    if view is not None:
        return made
    made.remarks = beyond.remarks(connection, name, _quoted(name))
    if not is_sqlite:
        made.comment = look.get_table_comment(name)["text"]
    if is_sqlite:
        real = {column.lower(): column for column in columns}
        said = sqlite_ddl.written(text)
        made.checks = [(one.name, one.text) for one in said if one.kind == "check"]
        uniques = [one for one in said if one.kind == "unique constraint"]
        made.uniques = [LiveUnique(one.name, tuple(real.get(c.lower(), c) for c in one.columns)) for one in uniques]
    else:
        made.checks = [(check["name"], check["sqltext"]) for check in look.get_check_constraints(name)]
        put_off = deferrals(connection)
        for unique in look.get_unique_constraints(name):
            distinct = not unique.get("dialect_options", {}).get("postgresql_nulls_not_distinct")
            deferral = put_off.get((name, unique["name"]))
            made.uniques.append(LiveUnique(unique["name"], tuple(unique["column_names"]), distinct, deferral))
    made.indexes = [
        _index(connection, name, one) for one in look.get_indexes(name) if "duplicates_constraint" not in one
    ]
    if not is_sqlite:
        made.exclusions = _exclusions(connection, name)
        made.indexes = [one for one in made.indexes if one.name not in {other.name for other in made.exclusions}]
    if is_sqlite:
        known = {one.name for one in made.indexes}
        made.indexes += [one for one in _expression_indexes(connection, name) if one.name not in known]
        _take_beside(made)
    keys = sqlite_ddl.foreign_keys(connection, name) if is_sqlite else look.get_foreign_keys(name)
    made.keys = [_key(one) for one in keys]
    for one in made.keys:
        if is_sqlite and one.columns == primary_key and len(primary_key) == 1:  # it comes with the row it refers to
            columns[primary_key[0]] = replace(columns[primary_key[0]], is_numbered=False)
    made.keys.sort(key=lambda one: (len(one.columns), one.columns))
    return made


def _take_beside(table: LiveTable) -> None:
    """Takes the indexes that stand beside constraints on SQLite for what they say: two NULLs are alike."""
    names = {one.name for one in table.indexes}
    known = {*names, *(one.name for one in table.uniques)}
    alike = {name for name in known if name and name + SUFFIX in names}
    table.indexes = [one for one in table.indexes if one.name.removesuffix(SUFFIX) not in alike or one.name in alike]
    table.uniques = [replace(one, nulls_distinct=one.name not in alike) for one in table.uniques]
    table.indexes = [replace(one, nulls_distinct=one.name not in alike) for one in table.indexes]


def _generated(one: dict[str, Any], text: str) -> str:
    """The expression of a generated column; of SQLite's, SQLAlchemy takes too much or nothing at times."""
    return sqlite_ddl.generated(text, one["name"]) if text else str(one["computed"]["sqltext"])


def _postgresql_types(connection: sa.Connection, table: str) -> tuple[dict[str, str], dict[str, str]]:
    """The types as PostgreSQL writes them, as SQLAlchemy has no word for each, and the domains of columns of one."""
    rows = beyond.types(connection, "attrelid = %s::regclass", _quoted(table))
    types = {one.column: _one_line(one.type).replace("CHARACTER VARYING", "VARCHAR") for one in rows}
    return types, {one.column: one.domain for one in rows if one.domain}


def _one_line(type_: object) -> str:
    """A type on one line, as it may end in a comment of the module: what follows a line break would be code."""
    return " ".join(str(type_).upper().split())


def _key(foreign: dict[str, Any]) -> LiveKey:
    options = {word: value for word, value in foreign["options"].items() if value and value != "NO ACTION"}
    on_delete, bracket, some = str(options.pop("ondelete", "NO ACTION")).partition(" (")
    target, remote = str(foreign["referred_table"]), tuple[str, ...](foreign["referred_columns"])
    if foreign.get("referred_schema"):
        target = f"{foreign['referred_schema']}.{target}"
    put_off, word = options.pop("deferrable", None), options.pop("initially", None)
    initially: Initially | None = ("DEFERRED" if word == "DEFERRED" else "IMMEDIATE") if put_off else None
    notes = [f"{word} {value}" for word, value in options.items()]
    if bracket:
        notes.append(f"{on_delete} of {some.removesuffix(')')!r} alone")
    names = tuple[str, ...](foreign["constrained_columns"])
    return LiveKey(foreign["name"], names, target, remote, on_delete.upper(), ", ".join(notes), initially)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sqlite_types(connection: sa.Connection, table: str) -> dict[str, str]:
    """The types as they were declared: SQLAlchemy makes a number of every word it does not know."""
    rows = connection.exec_driver_sql(f"PRAGMA table_xinfo({_quoted(table)})")
    return {str(row[1]): re.sub(r"\s*GENERATED ALWAYS$", "", _one_line(row[2])) for row in rows}


def _exclusions(connection: sa.Connection, table: str) -> list[LiveExclusion]:
    text = (
        "SELECT c.conname, array(SELECT a.attname FROM unnest(c.conkey) WITH ORDINALITY AS k(number, place) "
        "LEFT JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.place), "
        "array(SELECT p.oprname FROM unnest(c.conexclop) WITH ORDINALITY AS o(operator, place) "
        "JOIN pg_operator p ON p.oid = o.operator ORDER BY o.place), m.amname, pg_get_expr(i.indpred, i.indrelid), "
        "c.condeferrable FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid "
        "JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam "
        "WHERE c.contype = 'x' AND c.conrelid = %s::regclass ORDER BY c.conname"
    )
    found: list[LiveExclusion] = []
    for name, columns, signs, method, condition, is_deferrable in connection.exec_driver_sql(text, (_quoted(table),)):
        is_plain = not is_deferrable and None not in columns
        pairs = tuple(zip(columns, signs, strict=True)) if is_plain else ()
        found.append(LiveExclusion(name, pairs, method, condition))
    return found


def _signed(name: str, descending: Collection[str]) -> str:
    return f"-{name}" if name in descending else name


def _expression_indexes(connection: sa.Connection, table: str) -> list[LiveIndex]:
    """The indexes of SQLite that SQLAlchemy leaves out, because they hold expressions."""
    text = (
        'SELECT i.name, i."unique", m.sql FROM pragma_index_list(?) i JOIN sqlite_master m ON m.name = i.name '
        "WHERE i.origin = 'c' AND EXISTS (SELECT 1 FROM pragma_index_xinfo(i.name) x WHERE x.key AND x.cid = -2)"
    )
    found: list[LiveIndex] = []
    for name, unique, sql in connection.exec_driver_sql(text, (table,)).all():
        written, condition = sqlite_ddl.index_text(str(sql))
        parts = sqlite_ddl.index_parts(str(sql))
        note = "" if parts else f"of expressions: {' '.join(written.split())}"
        found.append(LiveIndex(name, parts, bool(unique), condition or None, None, note))
    return found


def _index(connection: sa.Connection, table: str, one: dict[str, Any]) -> LiveIndex:
    names: list[str | None] = list(one["column_names"])
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"PRAGMA index_xinfo({_quoted(one['name'])})")
        descending = {row[2] for row in rows if row[5] and row[3]}
    else:
        descending = {name for name, words in one.get("column_sorting", {}).items() if "desc" in words}
    options = dict(one.get("dialect_options", {}))
    where = options.pop("postgresql_where", options.pop("sqlite_where", None))
    method = options.pop("postgresql_using", None)
    include = tuple(str(name) for name in options.pop("postgresql_include", ()))
    distinct = not options.pop("postgresql_nulls_not_distinct", False)
    operators: dict[str, str] = options.pop("postgresql_ops", {})
    classes = tuple(operators.get(str(name), "") for name in one.get("expressions") or names)
    notes = [f"{word.removeprefix('postgresql_')} {value}" for word, value in options.items() if value]
    notes += [word for words in one.get("column_sorting", {}).values() for word in words if word not in ("asc", "desc")]
    notes.append(beyond.index_collations(connection, _quoted(table), one["name"]))
    note = ", ".join(filter(None, notes))
    parts: tuple[str, ...] = ()
    if None in names or one.get("expressions"):
        texts: list[str] = one.get("expressions") or []
        is_plain = len(texts) == len(names) and not set(one.get("column_sorting", {})) - set(names)
        if is_plain:
            pairs = zip(names, texts, strict=True)
            parts = tuple(f"({text})" if name is None else _signed(name, descending) for name, text in pairs)
        else:
            note = f"of expressions: {', '.join(str(part) for part in texts or names)}"
    else:
        parts = tuple(_signed(str(name), descending) for name in names)
    condition = None if where is None else str(where)
    return LiveIndex(
        one["name"],
        parts,
        bool(one["unique"]),
        condition,
        None if method == "btree" else method,
        note,
        include,
        distinct,
        classes if any(classes) else (),
    )
