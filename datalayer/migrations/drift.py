"""Whether a live schema is what the migrations say, and what differs.

What the migrations say is made in a place of its own, an SQLite in memory or a schema of PostgreSQL that is rolled
back, and both are read the same way: so what a database writes in its own words is no difference.
"""

from __future__ import annotations

import re
import sqlite3
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, contextmanager
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.exc import SAWarning
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import AddConstraint, CreateIndex, CreateTable

from datalayer._compile.tables import in_order
from datalayer._links.functions import register
from datalayer.migrations.environment import Environment
from datalayer.migrations.records import OWN_TABLES, Applied
from datalayer.migrations.state import State, to_metadata

Facts: TypeAlias = dict[tuple[str, str, str], str]
"""What a schema has: table, kind and name to everything that matters of it."""

SHADOW = "datalayer_drift"
_WORDS = r"character varying|double precision|(?:timestamp|time)(?:\(\d+\))? with(?:out)? time zone|\w+"
_CAST = re.compile(rf"::(?:{_WORDS})(?:\(\d+(?:,\s*\d+)?\))?(?:\[\])*")


def drift(environment: Environment, applied: Applied, models: State | None) -> list[str]:
    """What differs between a database and its migrations, one sentence each.

    Args:
        environment: The database.
        applied: The migrations it has.
        models: What the models want; None where they do not matter.
    """
    knows_all = not any(one.is_sql for one in environment.history.order)
    return compared(environment, environment.history.state_after(applied.names), models, knows_all=knows_all)


def compared(
    environment: Environment, state: State, models: State | None = None, *, knows_all: bool = True
) -> list[str]:
    """What differs between a database and tables as they should be, one sentence each.

    Args:
        environment: The database.
        state: The tables.
        models: What the models want; None where they do not matter.
        knows_all: Whether `state` is all there should be.
    """
    with environment.connect() as connection:
        if environment.url.backend == "sqlite":
            live = facts(connection.execution_options(datalayer_reads=True))
            with _memory() as other:
                meant = _made(other, state)
        else:
            live = facts(connection)
            path = connection.exec_driver_sql("SHOW search_path").scalar_one()
            connection.exec_driver_sql(f"CREATE SCHEMA {SHADOW}")
            connection.exec_driver_sql(f"SET LOCAL search_path = {SHADOW}, {path}")
            meant = _made(connection, state, SHADOW)
        connection.rollback()
    return list(_differences(meant, live, state, models, knows_all))


@contextmanager
def _memory() -> Generator[sa.Connection, None, None]:
    with closing(sqlite3.connect(":memory:")) as raw:
        register(raw)
        engine = sa.create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        with engine.connect() as connection:
            yield connection


def _made(connection: sa.Connection, state: State, schema: str | None = None) -> Facts:
    is_sqlite = connection.dialect.name == "sqlite"
    late: list[sa.schema.ExecutableDDLElement] = []
    for table, keys in in_order(to_metadata(state)):
        if table is None:
            late += [] if is_sqlite else [AddConstraint(key) for key in keys]
            continue
        connection.execute(CreateTable(table, include_foreign_key_constraints=None if is_sqlite else keys))
        for index in table.indexes:
            connection.execute(CreateIndex(index))
    for constraint in late:
        connection.execute(constraint)
    return facts(connection, schema)


def facts(connection: sa.Connection, schema: str | None = None) -> Facts:
    """Everything reflection sees, in a form that does not depend on the order it was made in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # a type of an extension is no fault
        return _facts(connection, schema)


def _facts(connection: sa.Connection, schema: str | None) -> Facts:
    look: Any = sa.inspect(connection)
    found: Facts = {}
    keys = look.get_multi_pk_constraint(schema)
    for place, columns in look.get_multi_columns(schema).items():
        table = place[1]
        found[table, "table", table] = ""
        for one in columns:
            numbered = "numbered" if one.get("identity") is not None else ""
            is_number = connection.dialect.name == "sqlite" and _is_number(one, keys.get(place))
            parts = [
                str(one["type"]),
                "" if one["nullable"] and not is_number else "NOT NULL",
                _default(one),
                numbered,
                _computed(one),
            ]
            found[table, "column", one["name"]] = " ".join(filter(None, parts))
    readers: tuple[tuple[str, Callable[..., Any], Callable[[Any], str]], ...] = (
        ("unique constraint", look.get_multi_unique_constraints, lambda one: str(one["column_names"])),
        ("check", look.get_multi_check_constraints, lambda one: _plain(one["sqltext"])),
        ("foreign key", look.get_multi_foreign_keys, _key),
        ("index", look.get_multi_indexes, _index),
    )
    for kind, read, told in readers:
        for (_, table), items in read(schema).items():
            for one in items:
                if one.get("name") and "duplicates_constraint" not in one:
                    found[table, kind, one["name"]] = told(one)
    for (_, table), key in keys.items():
        if key["constrained_columns"]:
            found[table, "primary key", table] = str(key["constrained_columns"])
    return {fact: value for fact, value in found.items() if fact[0] not in OWN_TABLES}


def _is_number(column: dict[str, Any], key: dict[str, Any] | None) -> bool:
    """Whether a column of SQLite is the number of the row, which is never NULL, whatever the table says."""
    return key is not None and key["constrained_columns"] == [column["name"]] and str(column["type"]) == "INTEGER"


def _default(column: dict[str, Any]) -> str:
    """Its default; a sequence of PostgreSQL is none, as files written by hand make one without saying so."""
    text = "" if column["default"] is None else str(column["default"]).replace(f"{SHADOW}.", "")
    return "" if not text or text.startswith("nextval(") else f"DEFAULT {text}"


def _computed(column: dict[str, Any]) -> str:
    return f"AS {_plain(column['computed']['sqltext'])}" if column.get("computed") else ""


def _key(one: dict[str, Any]) -> str:
    options = " ".join(f"{name} {value}" for name, value in sorted(one["options"].items()) if value != "NO ACTION")
    return f"{one['constrained_columns']} to {one['referred_table']} {one['referred_columns']} {options}".strip()


def _index(one: dict[str, Any]) -> str:
    texts = {name: _plain(str(value)) for name, value in one["dialect_options"].items()}
    options = sorted(f"{name} {text}" for name, text in texts.items() if text not in ("", "None", "False", "[]"))
    parts = [str(one.get("expressions") or one["column_names"]), "unique" if one["unique"] else "", *options]
    return " ".join(filter(None, parts))


def _plain(text: str) -> str:
    """Without what PostgreSQL adds in its own way each time: it casts a changed column elsewhere than a new one."""
    return re.sub(r"[\s()]", "", _CAST.sub("", text))


def _differences(meant: Facts, live: Facts, state: State, models: State | None, knows_all: bool) -> Iterable[str]:
    for fact in sorted(set(meant) | set(live)):
        table, kind, name = fact
        if fact in meant and fact in live:
            if meant[fact] != live[fact]:
                yield f"{_named(fact)} is {live[fact]!r} in the database and {meant[fact]!r} by the migrations"
        elif (table, "table", table) not in live:
            if kind == "table":
                yield f"table {table!r} is in the migrations{_also(models, table)} and not in the database"
        elif fact in meant:
            yield f"{_named(fact)} is in the migrations{_also(models, table, name, kind)} and not in the database"
        elif table in state:
            if knows_all or kind == "column":  # plain SQL may have made an index
                yield f"{_named(fact)} is in the database and not in the migrations{_cure(models, table, name, kind)}"
        elif kind == "table" and knows_all and table != "sqlite_sequence":
            yield f"table {table!r} is in the database and not in the migrations{_cure(models, table)}"


def _named(fact: tuple[str, str, str]) -> str:
    table, kind, name = fact
    return f"column {table + '.' + name!r}" if kind == "column" else f"{kind} {name!r} of table {table!r}"


def _in_models(models: State | None, table: str, name: str | None, kind: str) -> bool:
    if models is None or table not in models:
        return False
    return name is None or kind != "column" or name in models[table].columns


def _also(models: State | None, table: str, name: str | None = None, kind: str = "table") -> str:
    return " and the models" if _in_models(models, table, name, kind) else ""


def _cure(models: State | None, table: str, name: str | None = None, kind: str = "table") -> str:
    if kind in ("column", "table") and _in_models(models, table, name, kind):
        return ", but in the models: make the migration, and record it with migrate --fake"
    return ": somebody made it by hand; put it into a migration and record that with migrate --fake, or drop it"
