"""What a database says of its migrations: our own table with one row each, and the version row of plain Alembic.

Our table is the truth: it knows of each migration that it was applied, when, and what the file said then. Alembic's
table is kept beside it, so that plain `alembic` goes on working, and is believed where somebody used that. A database
that only Alembic or diesel has migrated is taken over as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from datalayer.errors import MigrationError, nearest
from datalayer.migrations._alembic import LONGEST_NAME
from datalayer.migrations.history import History, Migration, newest_of

TABLE = "datalayer_migrations"
ALEMBIC = "alembic_version"
DIESEL = "__diesel_schema_migrations"
OWN_TABLES = frozenset({TABLE, ALEMBIC, DIESEL})


@dataclass(frozen=True)
class Record:
    """What a database knows of one migration.

    Attributes:
        checksum: What the file said when it was applied; empty where nobody noted it.
        applied_at: When, as the database writes it.
        applying: How much of a migration without a transaction has been done; None once it is whole.
        reverting: The same, of the way back.
    """

    checksum: str = ""
    applied_at: str = ""
    applying: int | None = None
    reverting: int | None = None


@dataclass(frozen=True)
class Applied:
    """The migrations of a database.

    Attributes:
        records: By name, those of unknown files included.
        is_ours: Whether our table is there and says the same.
        origin: Whose table it was read from.
        has_alembic: Whether Alembic's table is there.
    """

    records: dict[str, Record] = field(default_factory=dict[str, Record])
    is_ours: bool = False
    origin: Literal["datalayer", "alembic", "diesel", "nobody"] = "nobody"
    has_alembic: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The migrations that are applied as a whole."""
        return frozenset(name for name, record in self.records.items() if record.applying is None)

    def unknown(self, history: History) -> list[str]:
        """Those whose files are not there."""
        return sorted(set(self.records) - set(history.names))

    def edited(self, history: History) -> list[Migration]:
        """Those whose files say something else than when they were applied."""
        return [
            one
            for one in history.order
            if one.name in self.names and self.records[one.name].checksum not in ("", one.checksum)
        ]


def read(connection: sa.Connection, history: History) -> Applied:
    """What the database says.

    Raises:
        MigrationError: It says that a migration was applied which Alembic or diesel knows, and the folder does not.
    """
    tables = _tables(connection)
    heads = [str(row[0]) for row in _rows(connection, ALEMBIC, "version_num")] if ALEMBIC in tables else []
    if TABLE in tables:
        rows = _rows(connection, TABLE, "name, checksum, applied_at, applying, reverting")
        records = {str(row[0]): Record(row[1] or "", str(row[2]), row[3], row[4]) for row in rows}
        return _reconciled(Applied(records, True, "datalayer", ALEMBIC in tables), heads, history)
    if heads:
        return Applied(_before(heads, history), False, "alembic", True)
    if DIESEL in tables:
        return Applied(_of_diesel(connection, history), False, "diesel", ALEMBIC in tables)
    return Applied(has_alembic=ALEMBIC in tables)


def _rows(connection: sa.Connection, table: str, columns: str) -> list[tuple[Any, ...]]:
    """The rows of one of the tables.

    Raises:
        MigrationError: It has other columns.
    """
    try:
        return [tuple(row) for row in connection.exec_driver_sql(f"SELECT {columns} FROM {table}")]
    except DBAPIError as error:
        if "column" not in str(error.orig):
            raise
        raise MigrationError(
            f"the table {table} of the database is not the one that datalayer knows, which has the columns {columns}; "
            "give it another name, or this project a database of its own"
        ) from error


def _tables(connection: sa.Connection) -> set[str]:
    if connection.dialect.name == "sqlite":
        text = "SELECT name FROM sqlite_master WHERE type = 'table'"
        return {str(row[0]) for row in connection.exec_driver_sql(text)} & OWN_TABLES
    columns = ", ".join(f"to_regclass('{name}') IS NOT NULL" for name in sorted(OWN_TABLES))
    row = connection.exec_driver_sql(f"SELECT {columns}").one()
    return {name for name, is_there in zip(sorted(OWN_TABLES), row, strict=True) if is_there}


def stamp(connection: sa.Connection) -> object:
    """Something that differs once somebody else may have noted migrations: cheap, however many there are."""
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql("PRAGMA data_version").scalar_one()
    return sorted(str(row[0]) for row in _rows(connection, ALEMBIC, "version_num"))


def _before(heads: Iterable[str], history: History) -> dict[str, Record]:
    """Everything that plain Alembic has applied when it is at `heads`."""
    found: set[str] = set()
    for head in heads:
        if head not in history.by_name:
            raise MigrationError(
                f"the database is at migration {head!r}, which is not in {history.folder.name!r}; there are: "
                f"{newest_of(history.names)}{nearest(head, history.names)}; if it belongs to another "
                f"project, give this one a database of its own; if it is of no use any more, drop the table {ALEMBIC}"
            )
        found |= history.closure(head)
    return {name: Record() for name in found}


def _of_diesel(connection: sa.Connection, history: History) -> dict[str, Record]:
    """What diesel has applied: it notes versions, without the names."""
    known = {one.version: one.name for one in history.order}
    found: dict[str, Record] = {}
    for version, moment in connection.exec_driver_sql(f"SELECT version, run_on FROM {DIESEL}"):
        name = known.get(re.sub("-", "", str(version)))
        if name is None:
            raise MigrationError(
                f"diesel has applied version {version}, which no migration in {history.folder.name!r} has; give the "
                f"folder that diesel used, or drop the table {DIESEL} if it is of no use any more"
            )
        found[name] = Record(applied_at=str(moment))
    return found


def _reconciled(applied: Applied, heads: list[str], history: History) -> Applied:
    """With what was done behind our back: by plain Alembic, by renaming an SQL file, by a squash."""
    records = dict(applied.records)
    for name in applied.unknown(history):
        same = [one for one in history.order if one.is_sql and one.checksum == records[name].checksum]
        if len(same) == 1 and same[0].name not in records:
            records[same[0].name] = records.pop(name)
    for squash in history.order:
        if squash.replaces and squash.name in records:
            for name in squash.replaces:
                records.pop(name, None)
            if records[squash.name].checksum == squash.replaced_checksum:
                records[squash.name] = replace(records[squash.name], checksum=squash.checksum)
    names = {name for name, one in records.items() if one.applying is None}
    ours = history.heads_of(names)
    known = [head for head in heads if head in history.by_name]
    if applied.has_alembic and set(known) != set(ours) and len(known) == len(heads) and not names - set(history.names):
        gaps = frozenset[str]().union(*(history.closure(name) for name in ours)) - names
        there = frozenset[str]().union(*(history.closure(name) for name in known)) - gaps
        records = {name: one for name, one in records.items() if name in there or one.applying is not None}
        records.update({name: Record() for name in there - set(records)})
    return replace(applied, records=records, is_ours=records == applied.records)


# -- how it is written --------------------------------------------------------------------------------


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def create_statements(backend: str) -> list[str]:
    """The statements that make both tables where they are missing."""
    moment = "TIMESTAMP WITH TIME ZONE" if backend == "postgresql" else "TIMESTAMP"
    return [
        f"CREATE TABLE IF NOT EXISTS {TABLE} (name VARCHAR({LONGEST_NAME}) NOT NULL PRIMARY KEY, checksum VARCHAR(64), "
        f"applied_at {moment} DEFAULT CURRENT_TIMESTAMP NOT NULL, applying INTEGER, reverting INTEGER)",
        f"CREATE TABLE IF NOT EXISTS {ALEMBIC} (version_num VARCHAR({LONGEST_NAME}) NOT NULL, "
        f"CONSTRAINT {ALEMBIC}_pkc PRIMARY KEY (version_num))",
    ]


def note_statements(name: str, checksum: str | None, heads: Iterable[str]) -> list[str]:
    """The statements that note a migration as applied (with its checksum) or as taken back (without one)."""
    return [*own_statements(name, checksum), *_heads(heads)]


def own_statements(name: str, checksum: str | None) -> list[str]:
    """The same for our own table alone."""
    done = [f"DELETE FROM {TABLE} WHERE name = {_text(name)}"]
    if checksum is not None:
        done.append(f"INSERT INTO {TABLE} (name, checksum) VALUES ({_text(name)}, {_text(checksum)})")
    return done


def _heads(heads: Iterable[str]) -> list[str]:
    return [f"DELETE FROM {ALEMBIC}", *(f"INSERT INTO {ALEMBIC} (version_num) VALUES ({_text(one)})" for one in heads)]


def run(connection: sa.Connection, statements: Iterable[str]) -> None:
    """Sends statements as they are."""
    for statement in statements:
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def prepare(connection: sa.Connection, applied: Applied, history: History) -> None:
    """Makes the tables where they are missing, and writes down what was read from elsewhere or put right."""
    if applied.is_ours and applied.has_alembic:
        return
    backend = connection.dialect.name
    if not applied.is_ours or not applied.has_alembic:
        run(connection, create_statements(backend))
    if applied.has_alembic and backend == "postgresql":
        length = connection.exec_driver_sql(
            "SELECT atttypmod - 4 FROM pg_attribute "
            f"WHERE attrelid = to_regclass('{ALEMBIC}') AND attname = 'version_num'"
        ).scalar()
        if isinstance(length, int) and 0 < length < LONGEST_NAME:  # plain Alembic's has 32 characters
            text = f"ALTER TABLE {ALEMBIC} ALTER COLUMN version_num TYPE VARCHAR({LONGEST_NAME})"
            run(connection, [text])
    run(connection, [f"DELETE FROM {TABLE}"])
    for name, one in applied.records.items():
        values = [
            _text(name),
            _text(one.checksum) if one.checksum else "NULL",
            _text(one.applied_at) if one.applied_at else "CURRENT_TIMESTAMP",
            *("NULL" if count is None else str(count) for count in (one.applying, one.reverting)),
        ]
        columns = "name, checksum, applied_at, applying, reverting"
        run(connection, [f"INSERT INTO {TABLE} ({columns}) VALUES ({', '.join(values)})"])
    run(connection, _heads(history.heads_of(applied.names)))


def note_progress(connection: sa.Connection, name: str, column: str, count: int, checksum: str = "") -> None:
    """Notes how much of a migration without a transaction has been done.

    Args:
        connection: Where.
        name: The migration.
        column: `applying` or `reverting`.
        count: How many of its operations.
        checksum: What the file says; given with the first.
    """
    if checksum:
        text = f"INSERT INTO {TABLE} (name, checksum, applying) VALUES ({_text(name)}, {_text(checksum)}, {count})"
    else:
        text = f"UPDATE {TABLE} SET {column} = {count} WHERE name = {_text(name)}"
    run(connection, [text])


def checksums(connection: sa.Connection, history: History, names: Iterable[str]) -> None:
    """Takes what the files say now as what was applied."""
    for name in names:
        if name in history.by_name:
            now = _text(history.by_name[name].checksum)
            run(connection, [f"UPDATE {TABLE} SET checksum = {now} WHERE name = {_text(name)}"])
