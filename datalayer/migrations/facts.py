"""What a live schema is made of, as plain texts that can be compared, whatever order it was made in."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SAWarning

from datalayer._schema.table import Initially
from datalayer.migrations import beyond, sqlite_ddl
from datalayer.migrations.records import OWN_TABLES

Facts: TypeAlias = dict[tuple[str, str, str], str]
"""What a schema has: table, kind and name to everything that matters of it."""

SHADOW = "datalayer_drift"
NAMELESS = "\0"
"""How the name of a constraint begins that has none: it is known by what it says."""
_WORDS = r"character varying|double precision|(?:timestamp|time)(?:\(\d+\))? with(?:out)? time zone|\w+"
_CAST = re.compile(rf"::(?:{_WORDS})(?:\(\d+(?:,\s*\d+)?\))?(?:\[\])*")
_SAME_TO_SQLITE = (
    (re.compile(r"(?:TINY|SMALL|MEDIUM|BIG)?INT(?:EGER|\d)?"), "INTEGER"),
    (re.compile(r"REAL|FLOAT|DOUBLE(?: PRECISION)?"), "DOUBLE"),
    (re.compile(r"N?(?:VAR)?CHAR(?=\(\d+\))"), "VARCHAR"),
)


def facts(connection: sa.Connection, schema: str | None = None) -> Facts:
    """Everything that matters of the tables of a schema."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # a type of an extension is no fault
        found = _facts(connection, schema)
        hidden = {*OWN_TABLES, *beyond.shadows(connection)}
    return {fact: value for fact, value in found.items() if fact[0] not in hidden}


def _facts(connection: sa.Connection, schema: str | None) -> Facts:
    look: Any = sa.inspect(connection)
    is_sqlite = connection.dialect.name == "sqlite"
    found: Facts = {}
    keys = look.get_multi_pk_constraint(schema)
    collated = beyond.all_collations(connection, schema)
    below = {} if is_sqlite else _types_of_domains(connection, schema)
    for place, columns in look.get_multi_columns(schema).items():
        table = place[1]
        text = sqlite_ddl.table_text(connection, table) if is_sqlite else ""
        found[table, "table", table] = ""
        for one in columns:
            is_counted = str(one["default"] or "").startswith("nextval(")  # files written by hand make a sequence
            numbered = "numbered" if one.get("identity") is not None or is_counted else ""
            is_number = is_sqlite and _is_number(one, keys.get(place))
            parts = [
                below.get((table, one["name"])) or _type(one, is_sqlite),
                f"COLLATE {collated[table, one['name']]}" if (table, one["name"]) in collated else "",
                "" if one["nullable"] and not is_number else "NOT NULL",
                _default(one, is_sqlite),
                numbered,
                _computed(one, text),
            ]
            found[table, "column", one["name"]] = " ".join(filter(None, parts))
            if one.get("comment"):
                found[table, "comment of column", one["name"]] = one["comment"]
    for (_, table), key in keys.items():
        if key["constrained_columns"]:
            found[table, "primary key", table] = str(key["constrained_columns"])
    if is_sqlite:
        _sqlite_constraints(connection, found)
        _sqlite_indexes(connection, found)
    else:
        _postgresql_constraints(look, schema, found)
        _exclusions(connection, schema, found)
        for (table, name), initially in deferrals(connection, schema).items():
            found[table, "unique constraint", name] += f" deferrable, initially {initially}"
    return found


def deferrals(connection: sa.Connection, schema: str | None = None) -> dict[tuple[str, str], Initially]:
    """When the unique constraints of PostgreSQL are checked that can be checked later, by table and name."""
    text = (
        "SELECT r.relname, c.conname, c.condeferred FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid "
        "JOIN pg_namespace n ON n.oid = r.relnamespace "
        "WHERE c.contype = 'u' AND c.condeferrable AND n.nspname = coalesce(%s::text, current_schema())"
    )
    rows = connection.exec_driver_sql(text, (schema,)).all()
    return {(str(table), str(name)): "DEFERRED" if is_late else "IMMEDIATE" for table, name, is_late in rows}


def _postgresql_constraints(look: Any, schema: str | None, found: Facts) -> None:
    readers: tuple[tuple[str, Callable[..., Any], Callable[[Any], str]], ...] = (
        ("unique constraint", look.get_multi_unique_constraints, _unique),
        ("check", look.get_multi_check_constraints, lambda one: plain(one["sqltext"])),
        ("foreign key", look.get_multi_foreign_keys, _key),
        ("index", look.get_multi_indexes, _index),
    )
    for (_, table), comment in look.get_multi_table_comment(schema).items():
        if comment["text"]:
            found[table, "comment of table", table] = comment["text"]
    for kind, read, told in readers:
        for (_, table), items in read(schema).items():
            for one in items:
                if "duplicates_constraint" not in one:
                    found[table, kind, one["name"]] = told(one)


def _exclusions(connection: sa.Connection, schema: str | None, found: Facts) -> None:
    """Exclusion constraints, which SQLAlchemy takes for indexes."""
    text = (
        "SELECT t.relname, c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class t ON t.oid = "
        "c.conrelid WHERE c.contype = 'x' AND t.relnamespace = coalesce(%s, current_schema())::regnamespace"
    )
    for table, name, said in connection.exec_driver_sql(text, (schema,)).all():
        found[table, "exclusion constraint", name] = plain(said)
        found.pop((table, "index", name), None)


def _type(column: dict[str, Any], is_sqlite: bool) -> str:
    """Its type, in one word where two mean the same to the database."""
    if isinstance(column["type"], postgresql.ENUM):
        return f"ENUM {column['type'].name}"
    text = str(column["type"]).partition(" COLLATE ")[0]  # which is told on both backends beside it
    if not is_sqlite:
        return "TEXT" if text == "VARCHAR" else text
    for pattern, word in _SAME_TO_SQLITE:
        text = pattern.sub(word, text) if pattern.match(text) and pattern.sub("", text, 1)[:1] in ("", "(") else text
    return text


def _types_of_domains(connection: sa.Connection, schema: str | None) -> dict[tuple[str, str], str]:
    """The types below the domains of columns, by table and column, as SQLAlchemy writes types."""
    condition = "relnamespace = coalesce(%s, current_schema())::regnamespace AND relkind IN ('r', 'p')"
    return {
        (one.table, one.column): one.type.upper().replace("CHARACTER VARYING", "VARCHAR").replace(",", ", ")
        for one in beyond.types(connection, condition, schema)
        if one.domain
    }


def _is_number(column: dict[str, Any], key: dict[str, Any] | None) -> bool:
    """Whether a column of SQLite is the number of the row, which is never NULL, whatever the table says."""
    return key is not None and key["constrained_columns"] == [column["name"]] and str(column["type"]) == "INTEGER"


def _default(column: dict[str, Any], is_sqlite: bool) -> str:
    text = "" if column["default"] is None else str(column["default"]).replace(f"{SHADOW}.", "")
    if is_sqlite:
        text = {"true": "1", "false": "0", "null": ""}.get(text.lower(), text)
    elif str(column["type"]) == "VARCHAR":
        text = text.replace("::character varying", "::text")
    return "" if not text or text.startswith("nextval(") else f"DEFAULT {text}"


def _computed(column: dict[str, Any], text: str) -> str:
    if not column.get("computed"):
        return ""
    return f"AS {plain(sqlite_ddl.generated(text, column['name']) or column['computed']['sqltext'])}"


def _unique(one: dict[str, Any]) -> str:
    tail = " NULLS NOT DISTINCT" if one.get("dialect_options", {}).get("postgresql_nulls_not_distinct") else ""
    return f"{one['column_names']}{tail}"


def _key(one: dict[str, Any]) -> str:
    options = " ".join(f"{name} {value}" for name, value in sorted(one["options"].items()) if value != "NO ACTION")
    return f"{one['constrained_columns']} to {one['referred_table']} {one['referred_columns']} {options}".strip()


def _index(one: dict[str, Any]) -> str:
    texts = {name: plain(str(value)) for name, value in one["dialect_options"].items()}
    options = sorted(f"{name} {text}" for name, text in texts.items() if text not in ("", "None", "False", "[]"))
    sorting = one.get("column_sorting", {})
    parts = [
        " ".join([plain(str(part)), *sorting.get(part, ())]) for part in one.get("expressions") or one["column_names"]
    ]
    return " ".join(filter(None, [str(parts), "unique" if one["unique"] else "", *options]))


# -- what SQLAlchemy does not see of SQLite -------------------------------------------------------------


def _sqlite_indexes(connection: sa.Connection, found: Facts) -> None:
    """Indexes with the order of their parts, their expressions and their condition."""
    text = (
        'SELECT m.tbl_name, m.name, i."unique", m.sql FROM sqlite_master m, pragma_index_list(m.tbl_name) i '
        "WHERE m.type = 'index' AND m.name = i.name AND i.origin = 'c'"
    )
    for table, name, is_unique, sql in connection.exec_driver_sql(text).all():
        parts_of = "SELECT name, desc, nullif(upper(coll), 'BINARY'), key FROM pragma_index_xinfo(?)"
        rows = connection.exec_driver_sql(parts_of, (name,)).all()
        written, condition = sqlite_ddl.index_text(str(sql))
        parts = [" ".join(filter(None, [str(row[0]), "desc" if row[1] else "", row[2]])) for row in rows if row[3]]
        if any(row[0] is None for row in rows if row[3]):
            parts = [_unquoted(written)]
        where = f"where {_unquoted(condition)}" if condition else ""
        found[table, "index", name] = " ".join(filter(None, [str(parts), "unique" if is_unique else "", where]))


def _unquoted(text: str) -> str:
    return plain(text).replace('"', "")


def _sqlite_constraints(connection: sa.Connection, found: Facts) -> None:
    """Constraints with their names, from the text the table was made with."""
    tables = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
    for table, sql in tables:
        xinfo = connection.exec_driver_sql("SELECT lower(name), name FROM pragma_table_xinfo(?)", (table,)).all()
        columns = {str(row[0]): str(row[1]) for row in xinfo}
        for number, one in enumerate(sqlite_ddl.written(str(sql))):
            name = one.name or f"{NAMELESS}{number}"
            if one.kind == "unique constraint":
                named = [columns.get(column.lower(), column) for column in one.columns]
                found[table, one.kind, name] = _unique({"column_names": named})
            elif one.kind == "check":
                found[table, one.kind, name] = _unquoted(one.text)
        for number, key in enumerate(sqlite_ddl.foreign_keys(connection, table)):
            found[table, "foreign key", key["name"] or f"{NAMELESS}{number}"] = _key(key)


def plain(text: str) -> str:
    """Without what PostgreSQL adds in its own way each time: it casts a changed column elsewhere than a new one."""
    return re.sub(r"[\s()]", "", _CAST.sub("", text))
