"""Whether a live schema is what the migrations say, and what differs.

What the migrations say is made in a place of its own, an SQLite in memory or a schema of PostgreSQL that is rolled
back, and both are read the same way: so what a database writes in its own words is no difference.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing, contextmanager

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import AddConstraint, CreateIndex, CreateTable, SetColumnComment, SetTableComment

from datalayer._compile.nulls import is_beside
from datalayer._compile.tables import DIALECTS, in_order
from datalayer._links.functions import register
from datalayer._schema.names import constraint_name
from datalayer.migrations.describing import to_metadata
from datalayer.migrations.environment import Environment
from datalayer.migrations.facts import NAMELESS, SHADOW, Facts, facts, plain
from datalayer.migrations.records import Applied
from datalayer.migrations.state import State

_ENUM = re.compile(r"^ENUM (?:\S+)|::[^ ]+$")
_TEXT = re.compile(r"^VARCHAR\(\d+\)|::character varying$")
_WORD = re.compile(r"\w+")
_MAKES = re.compile(r"\b(CREATE|ALTER)\b", re.I)


def drift(environment: Environment, applied: Applied, models: State | None) -> list[str]:
    """What differs between a database and its migrations, one sentence each.

    Args:
        environment: The database.
        applied: The migrations it has.
        models: What the models want; None where they do not matter.
    """
    history = environment.history
    knows_all = not any(one.is_sql for one in history.order)
    state = history.state_after(applied.names)
    return compared(environment, state, models, knows_all=knows_all, said=history.said(applied.names))


def compared(
    environment: Environment,
    state: State,
    models: State | None = None,
    *,
    knows_all: bool = True,
    said: Mapping[str, str] | None = None,
) -> list[str]:
    """What differs between a database and tables as they should be, one sentence each.

    Args:
        environment: The database.
        state: The tables.
        models: What the models want; None where they do not matter.
        knows_all: Whether `state` is all there should be.
        said: What migrations say as SQL, by their names: what it makes is no drift.
    """
    meant, live = meant_and_live(environment, state)
    return list(_differences(meant, live, state, models, knows_all, _Said(said or {})))


class _Said:
    """The SQL of migrations, which nobody reads but for the names in it."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.words = {
            name: frozenset(_WORD.findall(text.lower())) for name, text in texts.items() if _MAKES.search(text)
        }

    def by(self, name: str) -> str | None:
        """The last migration whose SQL names something; None where none does."""
        return next((one for one in reversed(self.words) if name.lower() in self.words[one]), None)


def meant_and_live(environment: Environment, state: State) -> tuple[Facts, Facts]:
    """What tables are made of as they should be, and as they are; constraints without a name have that of their like.

    Args:
        environment: The database.
        state: The tables.
    """
    with environment.connect() as connection:
        if environment.url.backend == "sqlite":
            live = facts(connection.execution_options(datalayer_reads=True))
            with _memory() as other:
                meant = _made(other, state)
        else:
            live, enums = facts(connection), _enums(connection)
            path = connection.exec_driver_sql("SHOW search_path").scalar_one()
            connection.exec_driver_sql(f"CREATE SCHEMA {SHADOW}")
            connection.exec_driver_sql(f"SET LOCAL search_path = {SHADOW}, {path}")
            meant = _made(connection, state, SHADOW)
            _take_enums_for_texts(enums, meant, live)
        connection.rollback()
    return meant, _without_names(meant, live)


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
        for index in table.indexes if is_sqlite else [one for one in table.indexes if not is_beside(one)]:
            connection.execute(CreateIndex(index))
        if table.comment and not is_sqlite:
            connection.execute(SetTableComment(table))
        for column in table.columns if not is_sqlite else ():
            if column.comment:
                connection.execute(SetColumnComment(column))
    for constraint in late:
        connection.execute(constraint)
    return facts(connection, schema)


def _enums(connection: sa.Connection) -> dict[tuple[str, str], list[str]]:
    """The values of the columns of ENUM types, by table and column, as SQL writes them."""
    text = (
        "SELECT relname, attname, array_agg(quote_literal(enumlabel) ORDER BY enumsortorder) FROM pg_class "
        "JOIN pg_attribute ON attrelid = pg_class.oid JOIN pg_enum ON enumtypid = atttypid "
        "WHERE relnamespace = current_schema()::regnamespace GROUP BY relname, attname"
    )
    return {(str(table), str(column)): values for table, column, values in connection.exec_driver_sql(text)}


def _take_enums_for_texts(enums: Mapping[tuple[str, str], list[str]], meant: Facts, live: Facts) -> None:
    """An ENUM type whose values are those that a CHECK lists, in their order, is what datalayer means by that CHECK."""
    for (table, column), labels in enums.items():
        fact, check = (table, "column", column), (table, "check", constraint_name("ck", table, (column,), "choices"))
        if check not in meant or check in live or fact not in meant:
            continue
        listed = f"= {labels[0]}" if len(labels) == 1 else f"= ANY (ARRAY[{', '.join(labels)}])"
        name = DIALECTS["postgresql"].identifier_preparer.quote(column)
        if plain(f"{name} {listed}") == meant[check] and _ENUM.sub("", live[fact]) == _TEXT.sub("", meant[fact]):
            live[fact], live[check] = meant[fact], meant[check]


def _without_names(meant: Facts, live: Facts) -> Facts:
    """The live facts, where what has no name in the database has that of its like in the migrations."""
    found = dict(live)
    for fact in [fact for fact in live if fact[2].startswith(NAMELESS)]:
        same = [one for one in meant if one[:2] == fact[:2] and meant[one] == live[fact] and one not in found]
        if same:
            found[same[0]] = found.pop(fact)
    return found


def _differences(
    meant: Facts, live: Facts, state: State, models: State | None, knows_all: bool, said: _Said
) -> Iterable[str]:
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
            by = said.by(name)
            if kind == "column" or (knows_all and by is None):  # plain SQL may have made an index
                cure = _cure(models, table, name, kind, by)
                yield f"{_named(fact)} is in the database and not in the migrations{cure}"
        elif kind == "table" and knows_all and table != "sqlite_sequence" and said.by(table) is None:
            yield f"table {table!r} is in the database and not in the migrations{_cure(models, table)}"


def _named(fact: tuple[str, str, str]) -> str:
    table, kind, name = fact
    if name.startswith(NAMELESS):
        return f"a {kind} without a name of table {table!r}"
    if kind == "comment of column":
        return f"{kind} {table + '.' + name!r}"
    if kind == "comment of table":
        return f"{kind} {table!r}"
    return f"column {table + '.' + name!r}" if kind == "column" else f"{kind} {name!r} of table {table!r}"


def _in_models(models: State | None, table: str, name: str | None, kind: str) -> bool:
    if models is None or table not in models:
        return False
    return name is None or kind != "column" or name in models[table].columns


def _also(models: State | None, table: str, name: str | None = None, kind: str = "table") -> str:
    return " and the models" if _in_models(models, table, name, kind) else ""


def _cure(models: State | None, table: str, name: str | None = None, kind: str = "table", by: str | None = None) -> str:
    if by is not None:
        return (
            f": the SQL of {by} makes it, which is not read; note it there or in the next migration as an operation "
            "inside separate.state_only()"
        )
    if kind in ("column", "table") and _in_models(models, table, name, kind):
        return ", but in the models: make the migration, and record it with migrate --fake"
    return ": no migration makes it; put it into a migration and record that with migrate --fake, or drop it"
