"""What a live table has that no model says, in the words of the comments that `inspectdb` writes."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

import sqlalchemy as sa

from datalayer.migrations import sqlite_ddl

_OURS = ("binary", "datalayer_decimal")
_LISTS_TABLES = sqlite3.sqlite_version_info >= (3, 37)  # PRAGMA table_list


def shadows(connection: sa.Connection) -> set[str]:
    """The tables that SQLite keeps behind virtual ones: nobody but the virtual table writes into them."""
    if connection.dialect.name != "sqlite" or not _LISTS_TABLES:
        return set()
    rows = connection.exec_driver_sql("SELECT name FROM pragma_table_list WHERE type = 'shadow'")
    return {str(row[0]) for row in rows}


def remarks(connection: sa.Connection, table: str, quoted: str) -> list[str]:
    """How a table is kept or filled that a table made from a model would not be, a sentence each."""
    if connection.dialect.name == "sqlite":
        text = sqlite_ddl.table_text(connection, table)
        if text[:30].upper().split()[:2] == ["CREATE", "VIRTUAL"]:
            return ["It is a virtual table, which no model makes."]
        if not _LISTS_TABLES:
            return []
        rows = connection.exec_driver_sql("SELECT wr, strict FROM pragma_table_list WHERE name = ?", (table,)).all()
        words = [word for row in rows for word, is_so in zip(("WITHOUT ROWID", "STRICT"), row, strict=True) if is_so]
        return [f"It is {' and '.join(words)}, which no model says."] if words else []
    found = connection.exec_driver_sql(
        "SELECT pg_get_partkeydef(%s::regclass), (SELECT string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno) "
        "FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhrelid = %s::regclass AND NOT c.relispartition)",
        (quoted, quoted),
    ).one()
    said = (("It is partitioned by", found[0]), ("It inherits from", found[1]))
    return [f"{words} {_line(what)}, which no model says." for words, what in said if what]


def collations(connection: sa.Connection, table: str, quoted: str) -> dict[str, str]:
    """The collations of columns that have one of their own."""
    if connection.dialect.name == "sqlite":
        found = sqlite_ddl.collations(sqlite_ddl.table_text(connection, table))
        return {column: name for column, name in found.items() if name.lower() not in _OURS}
    rows = connection.exec_driver_sql(
        "SELECT attname, collname FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid "
        "JOIN pg_collation k ON k.oid = attcollation WHERE attrelid = %s::regclass AND attcollation <> typcollation",
        (quoted,),
    )
    return {str(column): _line(name) for column, name in rows}


def all_collations(connection: sa.Connection, schema: str | None) -> dict[tuple[str, str], str]:
    """The collations of all columns of a schema that have one of their own, by table and column."""
    if connection.dialect.name == "sqlite":
        tables = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
        return {
            (str(table), column): name.upper()
            for table, text in tables
            for column, name in sqlite_ddl.collations(str(text)).items()
            if name.lower() not in _OURS
        }
    rows = connection.exec_driver_sql(
        "SELECT relname, attname, collname FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid "
        "JOIN pg_class c ON c.oid = attrelid JOIN pg_collation k ON k.oid = attcollation "
        "WHERE relnamespace = coalesce(%s, current_schema())::regnamespace AND relkind IN ('r', 'p') "
        "AND attcollation <> typcollation",
        (schema,),
    )
    return {(str(table), str(column)): str(name) for table, column, name in rows}


def index_collations(connection: sa.Connection, quoted: str, index: str) -> str:
    """The collations of an index that are not those of its columns."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql("SELECT coll FROM pragma_index_xinfo(?) WHERE key", (index,))
        names = [str(row[0]) for row in rows if row[0] and str(row[0]).lower() not in _OURS]
    else:
        rows = connection.exec_driver_sql(
            "SELECT k.collname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid "
            "CROSS JOIN unnest(i.indcollation, i.indkey) AS p(collation_, number) "
            "JOIN pg_collation k ON k.oid = p.collation_ "
            "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = p.number "
            "WHERE i.indrelid = %s::regclass AND x.relname = %s AND p.collation_ <> a.attcollation",
            (quoted, index),
        )
        names = [str(row[0]) for row in rows]
    return f"collated by {', '.join(map(_line, names))}" if names else ""


class ColumnType(NamedTuple):
    """The type of a column as PostgreSQL writes it: where that is a domain, its name and the type below."""

    table: str
    column: str
    type: str
    domain: str


def types(connection: sa.Connection, condition: str, value: str | None) -> list[ColumnType]:
    """The types of the columns of PostgreSQL that a condition of SQL about `pg_attribute` and `pg_class` chooses."""
    rows = connection.exec_driver_sql(
        "WITH RECURSIVE below AS (SELECT relname, attname, atttypid AS type, atttypmod AS mod, NULL::text AS domain "
        "FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        f"WHERE {condition} AND attnum > 0 AND NOT attisdropped UNION ALL "
        "SELECT relname, attname, typbasetype, typtypmod, coalesce(domain, format_type(type, NULL)) "
        "FROM below JOIN pg_type ON pg_type.oid = type WHERE typtype = 'd') "
        "SELECT relname, attname, format_type(type, mod), domain FROM below JOIN pg_type ON pg_type.oid = type "
        "WHERE typtype <> 'd'",
        (value,),
    )
    return [ColumnType(str(table), str(name), str(type_), _line(domain or "")) for table, name, type_, domain in rows]


def _line(text: object) -> str:
    """A text on one line, as it stands in a comment: what follows a line break would be code."""
    return " ".join(str(text).split())
