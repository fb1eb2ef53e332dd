"""The one border that errors of drivers cross: sqlite3's and psycopg's become those of `datalayer.errors`.

The message names table, columns and constraint but no values: messages end in logs. The values are in `.values`.
Nothing here imports a driver's package but the standard library's: psycopg's errors are told by SQLSTATE and, where
they have none, by the class names both drivers share (PEP 249).
"""

from __future__ import annotations

import re
import sqlite3
from typing import Protocol

from datalayer import errors
from datalayer._compile.secrets import HIDDEN, is_secret
from datalayer._links.facts import Facts, complete, told
from datalayer._links.functions import refused
from datalayer._plans.plan import Command

# -- SQLite --------------------------------------------------------------------------------------

_SQLITE_BY_NAME: dict[str, type[errors.DatabaseError]] = {
    "SQLITE_CONSTRAINT_UNIQUE": errors.UniqueViolation,
    "SQLITE_CONSTRAINT_PRIMARYKEY": errors.UniqueViolation,
    "SQLITE_CONSTRAINT_ROWID": errors.UniqueViolation,
    "SQLITE_CONSTRAINT_FOREIGNKEY": errors.ForeignKeyViolation,
    "SQLITE_CONSTRAINT_NOTNULL": errors.NotNullViolation,
    "SQLITE_CONSTRAINT_CHECK": errors.CheckViolation,
    "SQLITE_CONSTRAINT_DATATYPE": errors.DataError,
    "SQLITE_BUSY_SNAPSHOT": errors.SerializationFailure,
}

# By the part after SQLITE_ up to the next underscore: the primary code.
_SQLITE_BY_CODE: dict[str, type[errors.DatabaseError]] = {
    "CONSTRAINT": errors.IntegrityError,
    "BUSY": errors.LockTimeout,
    "LOCKED": errors.LockTimeout,
    "INTERRUPT": errors.StatementTimeout,
    "READONLY": errors.ReadOnlyTransaction,
    "FULL": errors.DiskFull,
    "CANTOPEN": errors.ConnectionFailed,
    "NOTADB": errors.ConnectionFailed,
    "CORRUPT": errors.ConnectionLost,
    "IOERR": errors.ConnectionLost,
    "TOOBIG": errors.DataError,
    "MISMATCH": errors.DataError,
    "RANGE": errors.ProgrammingError,
    "AUTH": errors.ProgrammingError,
    "SCHEMA": errors.OperationalError,
    "NOMEM": errors.OperationalError,
    "PROTOCOL": errors.LockTimeout,
}

# Texts of patterns: `re` keeps what it has compiled, and most programs never see one of these errors.
_SQLITE_TEXTS: list[tuple[str, type[errors.DatabaseError]]] = [
    (r"no such table: (?:main\.|temp\.)?(?P<table>.+)", errors.UndefinedTable),
    (r"table (?P<table>\S+) has no column named (?P<column>.+)", errors.UndefinedColumn),
    (r"no such column: (?:(?P<table>[^.\s]+)\.)?(?P<column>\S+)", errors.UndefinedColumn),
    (r"malformed JSON|integer overflow|string or blob too big|JSON path error", errors.DataError),
    (r"user-defined (?:function|aggregate)", errors.DataError),
    (r"Could not decode to UTF-8", errors.DataError),
    (r"closed database|closed cursor", errors.ConnectionLost),
    (r"transaction|savepoint", errors.OperationalError),
]

_PEP_249: dict[str, type[errors.DatabaseError]] = {
    "IntegrityError": errors.IntegrityError,
    "DataError": errors.DataError,
    "ProgrammingError": errors.ProgrammingError,
    "NotSupportedError": errors.ProgrammingError,
    "OperationalError": errors.OperationalError,
    "InternalError": errors.OperationalError,
    "InterfaceError": errors.ProgrammingError,
}


def code_of(error: BaseException) -> str:
    """SQLite's name of what went wrong, such as `SQLITE_BUSY`; empty where Python's module itself has refused."""
    return getattr(error, "sqlite_errorname", None) or ""


def from_sqlite(error: Exception, *, alias: str, command: Command | None = None) -> errors.DatabaseError:
    """Our error for one of sqlite3, or for one of Python that sqlite3 raised about a value.

    Args:
        error: What was raised. An error that is ours already is given back as it is.
        alias: The alias of the database.
        command: The statement that failed; its table completes what the message does not tell.
    """
    if isinstance(error, errors.DatabaseError):
        return error
    facts = Facts(_first_line(str(error)) or type(error).__name__)
    if (found := refused(error)) is not None:
        facts.columns, facts.text = (found[0],), f"what was computed for {found[0]!r} {found[1]}"
        return _build(errors.DataError, facts, alias, command, "sqlite")
    return _build(_sqlite_kind(error, facts), facts, alias, command, "sqlite")


def _sqlite_kind(error: Exception, facts: Facts) -> type[errors.DatabaseError]:
    if not isinstance(error, sqlite3.Error):
        return errors.DataError
    name = code_of(error)
    if name.startswith("SQLITE_CONSTRAINT"):
        _read_sqlite_constraint(facts)
    if name == "SQLITE_CONSTRAINT_TRIGGER" and facts.text == "FOREIGN KEY constraint failed":
        return errors.ForeignKeyViolation  # SQLite does ON DELETE RESTRICT by a trigger of its own
    kind = _SQLITE_BY_NAME.get(name) or _SQLITE_BY_CODE.get(name.removeprefix("SQLITE_").partition("_")[0])
    if kind is not None:
        if name == "SQLITE_BUSY":
            facts.text += ": another program has held it for longer than pool.connection_timeout, or 5 seconds, allows"
        return kind
    for pattern, kind in _SQLITE_TEXTS:
        if found := re.search(pattern, facts.text):
            named = found.groupdict()
            if "user-defined" in facts.text:  # SQLite keeps for itself which one, and why
                facts.text = "a function in the statement has no answer for a value, such as Cast() for a text"
            facts.text = facts.text.partition(" with text ")[0]  # which is a value
            facts.table = named.get("table")
            facts.columns = (named["column"],) if named.get("column") else ()
            return kind
    if name == "SQLITE_ERROR" or isinstance(error, sqlite3.Warning):
        return errors.ProgrammingError
    if "binding" in facts.text and "Incorrect number" not in facts.text:
        return errors.DataError
    return _by_pep_249(error)


def _read_sqlite_constraint(facts: Facts) -> None:
    kind, _, rest = facts.text.partition(" constraint failed: ")
    if not rest:
        return
    if kind == "CHECK" or rest.startswith("index "):
        facts.constraint = rest.removeprefix("index ").strip("'\"")
        return
    columns: list[str] = []
    for part in rest.split(", "):
        table, dot, column = part.partition(".")
        if dot:
            facts.table = table
            columns.append(column)
    facts.columns = tuple(columns)


# -- PostgreSQL ----------------------------------------------------------------------------------

_BY_SQLSTATE: dict[str, type[errors.DatabaseError]] = {
    "23505": errors.UniqueViolation,
    "23503": errors.ForeignKeyViolation,
    "23001": errors.ForeignKeyViolation,
    "23502": errors.NotNullViolation,
    "23514": errors.CheckViolation,
    "44000": errors.CheckViolation,
    "23P01": errors.ExclusionViolation,
    "42P01": errors.UndefinedTable,
    "42703": errors.UndefinedColumn,
    "40001": errors.SerializationFailure,
    "40P01": errors.DeadlockDetected,
    "55P03": errors.LockTimeout,
    "57014": errors.StatementTimeout,
    "25006": errors.ReadOnlyTransaction,
    "53100": errors.DiskFull,
    # The server ends the connection with each of these.
    "08007": errors.TransactionResolutionUnknown,
    "57P01": errors.ConnectionLost,
    "57P02": errors.ConnectionLost,
    "57P03": errors.ConnectionLost,
    "57P04": errors.ConnectionLost,
    "57P05": errors.ConnectionLost,
    "25P03": errors.ConnectionLost,
    "25P04": errors.ConnectionLost,
}

_BY_SQLSTATE_CLASS: dict[str, type[errors.DatabaseError]] = {
    "08": errors.ConnectionLost,
    "0A": errors.ProgrammingError,
    "21": errors.ProgrammingError,
    "22": errors.DataError,
    "23": errors.IntegrityError,
    "25": errors.OperationalError,
    "26": errors.ProgrammingError,
    "28": errors.OperationalError,
    "34": errors.ProgrammingError,
    "3B": errors.OperationalError,
    "3D": errors.ProgrammingError,
    "3F": errors.ProgrammingError,
    "40": errors.SerializationFailure,
    "42": errors.ProgrammingError,
    "53": errors.OperationalError,
    "54": errors.OperationalError,
    "55": errors.OperationalError,
    "57": errors.OperationalError,
    "58": errors.OperationalError,
    "F0": errors.OperationalError,
    "XX": errors.OperationalError,
}

_KEY = r"(?s)\((?P<columns>.+?)\)=\((?P<values>.*)\)"
_COMMA = r", (?![^()]*\))"
"""Between two columns, and not between what a function in an index takes."""
_OTHER_TABLE = r'"(?P<table>[^"]+)"\.?$'
_COLUMN_IN_TEXT = r'column "?(?:(?P<table>\w+)\.)?(?P<column>[^"\s]+)"?(?: of relation "(?P<relation>[^"]+)")?'
_STILL_USED = r'^update or delete on table "(?P<table>[^"]+)"'
_NO_CAST = r"is of type (?P<type>\S+) but expression is of type (?P<given>text|character varying)\b"
_RELATION_IN_TEXT = r'relation "(?P<table>[^"]+)"'

_NO_COLLATION_SQLITE = "no such collation sequence: (?!datalayer_)"
_NO_COLLATION = 'collation ".*" for encoding .* does not exist'
_FATAL_AT_CONNECT = (
    r"authentication failed|no password supplied|no pg_hba\.conf entry|is not permitted to log in"
    r"|(?:database|role) \".*\" does not exist|does not support SSL|permission denied for database"
    r"|unsupported startup parameter"
)
_NO_DATABASE = r'database "(?!postgres").*" does not exist'  # `postgres` is what `database` connects to


class Diagnostic(Protocol):
    """What PostgreSQL tells about an error; the shape of psycopg's `Diagnostic`."""

    @property
    def message_primary(self) -> str | None: ...
    @property
    def message_detail(self) -> str | None: ...
    @property
    def table_name(self) -> str | None: ...
    @property
    def column_name(self) -> str | None: ...
    @property
    def constraint_name(self) -> str | None: ...


def from_postgresql(
    error: Exception,
    *,
    alias: str,
    command: Command | None = None,
    sqlstate: str | None = None,
    diagnostic: Diagnostic | None = None,
    is_closed: bool = False,
) -> errors.DatabaseError:
    """Our error for one of psycopg, or for one of Python that psycopg raised about a value.

    Args:
        error: What was raised. An error that is ours already is given back as it is.
        alias: The alias of the database.
        command: The statement that failed; its table completes what the message does not tell.
        sqlstate: The code the server gave.
        diagnostic: The fields the server gave.
        is_closed: Whether the connection is gone.
    """
    if isinstance(error, errors.DatabaseError):
        return error
    told = diagnostic.message_primary if diagnostic is not None else None
    facts = Facts(_first_line(told or str(error)) or type(error).__name__)
    facts.sqlstate = sqlstate
    if sqlstate is None:
        kind = errors.ConnectionLost if is_closed else _by_pep_249(error)
        return _build(kind, facts, alias, command, "postgresql")
    kind = _BY_SQLSTATE.get(sqlstate) or _BY_SQLSTATE_CLASS.get(sqlstate[:2], errors.DatabaseError)
    if sqlstate == "0A000" and "cached plan" in facts.text:
        # Only inside a transaction: the links run the statement again outside of one.
        facts.text = "the table was changed by a migration under a prepared statement; run the transaction again"
        kind = errors.SerializationFailure
    if sqlstate == "42804" and (found := re.search(_NO_CAST, facts.text)):
        facts.text += (
            f"; where {found['type']} is an ENUM type, CREATE CAST ({found['given']} AS {found['type']}) WITH INOUT AS "
            "ASSIGNMENT, once, in a migration, lets many rows be written at a time"
        )
    if diagnostic is not None:
        _read_diagnostic(facts, diagnostic, kind)
    return _build(kind, facts, alias, command, "postgresql")


def _read_diagnostic(facts: Facts, diagnostic: Diagnostic, kind: type[errors.DatabaseError]) -> None:
    facts.table = diagnostic.table_name
    facts.constraint = diagnostic.constraint_name
    if diagnostic.column_name:
        facts.columns = (diagnostic.column_name,)
    # What an exclusion constraint tells goes on with the key of the row in the way.
    own = (diagnostic.message_detail or "").partition(" conflicts with ")[0]
    if issubclass(kind, errors.IntegrityError) and (key := re.search(_KEY, own)):
        columns = tuple(part.strip('"') for part in re.split(_COMMA, key["columns"]))
        values = key["values"].split(", ") if len(columns) > 1 else [key["values"]]
        facts.columns = columns
        if len(values) == len(columns):
            facts.values = dict(zip(columns, values, strict=True))
    if kind is errors.ForeignKeyViolation and (other := re.search(_OTHER_TABLE, diagnostic.message_detail or "")):
        facts.other_table = other["table"]
        if still_used := re.search(_STILL_USED, facts.text):
            facts.subject = still_used["table"]
    elif kind is errors.UndefinedTable and (relation := re.search(_RELATION_IN_TEXT, facts.text)):
        facts.table = relation["table"]
    elif kind is errors.UndefinedColumn and (column := re.search(_COLUMN_IN_TEXT, facts.text)):
        facts.columns = (column["column"],)
        facts.table = column["relation"] or column["table"]


def connection_failed(alias: str, target: str, reason: str, *, fatal: bool | None = None) -> errors.ConnectionFailed:
    """The error of a connection that could not be made.

    Args:
        alias: The alias of the database.
        target: What was connected to: host and port, or a file; no password.
        reason: Why, in the words of the driver, free of secrets.
        fatal: Whether trying again cannot help; None reads it from the reason.
    """
    error = errors.ConnectionFailed(f"cannot connect {alias!r} to {target}: {with_cure(reason)}", alias=alias)
    error.is_fatal = re.search(_FATAL_AT_CONNECT, reason) is not None if fatal is None else fatal
    return error


def with_cure(reason: str) -> str:
    """Why PostgreSQL could not be connected to, and what helps where it is a database that is not there yet."""
    return f"{reason}; `datalayer database create` makes it" if re.search(_NO_DATABASE, reason) else reason


# -- both ----------------------------------------------------------------------------------------


def cure_of_collation(said: str) -> str:
    """What helps where the database has no collation of a name; empty where that is not the matter."""
    if re.search(_NO_COLLATION_SQLITE, said):
        return "; SQLite has BINARY, NOCASE and RTRIM"
    return "; SELECT collname FROM pg_collation tells which there are" if re.search(_NO_COLLATION, said) else ""


def _by_pep_249(error: Exception) -> type[errors.DatabaseError]:
    for parent in type(error).__mro__:
        if kind := _PEP_249.get(parent.__name__):
            return kind
    # What a driver raises about a value before anything is sent: OverflowError, UnicodeEncodeError, ValueError.
    return errors.DataError if isinstance(error, (ValueError, ArithmeticError, TypeError)) else errors.DatabaseError


def _build(
    kind: type[errors.DatabaseError], facts: Facts, alias: str, command: Command | None, backend: str
) -> errors.DatabaseError:
    spec = command.table if command is not None else None
    if spec is not None and issubclass(kind, errors.IntegrityError) and facts.table in (None, spec.name):
        written = dict(command.written) if isinstance(command, Command) else {}
        complete(kind, facts, spec, written)
        if isinstance(command, Command):
            sent = {name: command.params[place] for name, place in written.items()}
            facts.values = told(facts, spec, sent, backend)
    facts.values = {name: HIDDEN if is_secret(name, spec) else value for name, value in facts.values.items()}
    table = facts.table or (spec.name if spec is not None else None)
    subject = facts.subject or table
    where = f"table {subject!r}" if subject else f"database {alias!r}"
    facts.text += cure_of_collation(facts.text)
    if kind is errors.UndefinedTable or (kind is errors.UndefinedColumn and spec is not None):
        facts.text += f"; has 'datalayer migrate' been run on database {alias!r}?"
    return kind(
        f"{where}: {_sentence(kind, facts, _verb(command))}",
        alias=alias,
        model=spec.model if spec is not None else None,
        table=table,
        columns=facts.columns,
        constraint=facts.constraint,
        values=facts.values,
        sqlstate=facts.sqlstate,
    )


def _verb(command: Command | None) -> str:
    return command.sql.lstrip()[:6].upper() if command is not None else ""


def _sentence(kind: type[errors.DatabaseError], facts: Facts, verb: str) -> str:
    columns = ", ".join(facts.columns)
    named = f" (constraint {facts.constraint!r})" if facts.constraint else ""
    if kind is errors.UniqueViolation and columns:
        return f"another row has the same {columns}{named}"
    if kind is errors.NotNullViolation and columns:
        return f"{columns} must not be NULL{named}"
    if kind is errors.CheckViolation and facts.constraint:
        return f"the check {facts.constraint!r} refuses the row"
    if kind is errors.ForeignKeyViolation:
        return _foreign_key_sentence(facts, columns, named, verb)
    return f"{facts.text}{named if facts.constraint and facts.constraint not in facts.text else ''}"


def _foreign_key_sentence(facts: Facts, columns: str, named: str, verb: str) -> str:
    other = repr(facts.other_table) if facts.other_table else "another table"
    if facts.subject or verb == "DELETE":
        return f"rows of {other} still refer to the row{named}"
    if columns or verb == "INSERT":
        return f"{columns or 'the row'} refers to a row of {other} that does not exist{named}"
    return "a row refers to one that does not exist, or rows still refer to one that would go away"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip(".")
