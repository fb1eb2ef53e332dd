"""Errors of drivers become ours, without a database to make them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from datalayer import errors
from datalayer._links import translate
from datalayer._plans.plan import Command


def sqlite_error(name: str | None, text: str, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    error: Any = kind(text)
    if name is not None:
        error.sqlite_errorname = name
    return error  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("SQLITE_BUSY", "database is locked", errors.LockTimeout),
        ("SQLITE_BUSY_SNAPSHOT", "database is locked", errors.SerializationFailure),
        ("SQLITE_LOCKED_SHAREDCACHE", "database table is locked", errors.LockTimeout),
        ("SQLITE_FULL", "database or disk is full", errors.DiskFull),
        ("SQLITE_READONLY_DBMOVED", "attempt to write a readonly database", errors.ReadOnlyTransaction),
        ("SQLITE_INTERRUPT", "interrupted", errors.StatementTimeout),
        ("SQLITE_IOERR_READ", "disk I/O error", errors.ConnectionLost),
        ("SQLITE_CORRUPT", "database disk image is malformed", errors.ConnectionLost),
        ("SQLITE_CANTOPEN", "unable to open database file", errors.ConnectionFailed),
        ("SQLITE_TOOBIG", "string or blob too big", errors.DataError),
        ("SQLITE_CONSTRAINT_TRIGGER", "raised by a trigger", errors.IntegrityError),
        ("SQLITE_CONSTRAINT_DATATYPE", "cannot store TEXT value in INTEGER column t.n", errors.DataError),
        ("SQLITE_ERROR", "cannot start a transaction within a transaction", errors.OperationalError),
        ("SQLITE_ERROR", "integer overflow", errors.DataError),
        ("SQLITE_ERROR", 'near "x": syntax error', errors.ProgrammingError),
        ("SQLITE_NOMEM", "out of memory", errors.OperationalError),
        (None, "Cannot operate on a closed database.", errors.ConnectionLost),
        (None, "something new", errors.OperationalError),
    ],
)
def test_sqlite_codes(name: str | None, text: str, expected: type[errors.DatabaseError]) -> None:
    assert type(translate.from_sqlite(sqlite_error(name, text), alias="default")) is expected


def test_a_lock_of_another_program_is_told_with_the_setting() -> None:
    error = translate.from_sqlite(sqlite_error("SQLITE_BUSY", "database is locked"), alias="default")
    assert "database is locked: another program has held it for longer than pool.connection_timeout" in str(error)


def test_undefined_column_of_a_named_table() -> None:
    error = translate.from_sqlite(sqlite_error("SQLITE_ERROR", "no such column: author.colour"), alias="default")
    assert (error.table, error.columns) == ("author", ("colour",))


def test_a_function_without_an_answer_is_told_in_words() -> None:
    error = translate.from_sqlite(sqlite_error("SQLITE_ERROR", "user-defined function raised exception"), alias="shop")
    assert "has no answer for a value" in str(error)


class Diagnostic:
    message_primary: str | None = None
    message_detail: str | None = None
    table_name: str | None = None
    column_name: str | None = None
    constraint_name: str | None = None

    def __init__(self, **facts: str) -> None:
        for name, value in facts.items():
            setattr(self, name, value)


def from_state(sqlstate: str, **facts: str) -> errors.DatabaseError:
    return translate.from_postgresql(
        Exception("driver"), alias="main", sqlstate=sqlstate, diagnostic=Diagnostic(**facts)
    )


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("23505", errors.UniqueViolation),
        ("23P01", errors.ExclusionViolation),
        ("23000", errors.IntegrityError),
        ("22003", errors.DataError),
        ("42601", errors.ProgrammingError),
        ("42P01", errors.UndefinedTable),
        ("40001", errors.SerializationFailure),
        ("40P01", errors.DeadlockDetected),
        ("55P03", errors.LockTimeout),
        ("57014", errors.StatementTimeout),
        ("25006", errors.ReadOnlyTransaction),
        ("53100", errors.DiskFull),
        ("53300", errors.OperationalError),
        ("57P01", errors.ConnectionLost),
        ("08006", errors.ConnectionLost),
        ("P0001", errors.DatabaseError),
    ],
)
def test_sqlstates(sqlstate: str, expected: type[errors.DatabaseError]) -> None:
    error = from_state(sqlstate, message_primary="no")
    assert type(error) is expected
    assert (error.sqlstate, error.alias) == (sqlstate, "main")


def test_values_of_several_columns_are_split_only_when_it_is_certain() -> None:
    certain = from_state("23505", message_detail="Key (a, b)=(1, x) already exists.")
    assert certain.values == {"a": "1", "b": "x"}
    doubtful = from_state("23505", message_detail="Key (a, b)=(1, x, y) already exists.")
    assert (doubtful.columns, doubtful.values) == (("a", "b"), {})
    single = from_state("23505", message_detail="Key (a)=(x, (y)) already exists.")
    assert single.values == {"a": "x, (y)"}


def test_an_exclusion_tells_the_key_of_the_new_row() -> None:
    detail = "Key (room, int4range(a, b))=(1, [2,5)) conflicts with existing key (room, int4range(a, b))=(1, [4,9))."
    error = from_state("23P01", message_detail=detail)
    assert error.columns == ("room", "int4range(a, b)")
    assert error.values == {"room": "1", "int4range(a, b)": "[2,5)"}


def test_values_stay_out_of_the_text() -> None:
    error = from_state(
        "23505", table_name="t", message_primary="dup", message_detail="Key (a)=(secret) already exists."
    )
    assert "secret" not in str(error)
    assert str(error) == "table 't': another row has the same a"


def test_error_of_ours_stays_as_it_is() -> None:
    ours = errors.LockTimeout("mine")
    assert translate.from_sqlite(ours, alias="default") is ours
    assert translate.from_postgresql(ours, alias="default") is ours


def test_error_without_code_on_a_closed_connection() -> None:
    class OperationalError(Exception):
        pass

    lost = translate.from_postgresql(OperationalError("x"), alias="default", is_closed=True)
    assert type(lost) is errors.ConnectionLost
    assert type(translate.from_postgresql(OperationalError("x"), alias="default")) is errors.OperationalError


@pytest.mark.parametrize("error", [OverflowError("too large"), ValueError("embedded null"), TypeError("no")])
def test_python_errors_about_values(error: Exception) -> None:
    assert type(translate.from_postgresql(error, alias="default")) is errors.DataError
    assert type(translate.from_sqlite(error, alias="default", command=Command("SELECT 1"))) is errors.DataError


@pytest.mark.parametrize(
    ("reason", "is_fatal"),
    [
        ('FATAL: password authentication failed for user "me"', True),
        ('FATAL: database "x" does not exist', True),
        ('FATAL: role "x" does not exist', True),
        ("fe_sendauth: no password supplied", True),
        ('no pg_hba.conf entry for host "1.2.3.4"', True),
        ("FATAL: unsupported startup parameter: options", True),
        ("connection refused", False),
        ("FATAL: the database system is starting up", False),
        ("FATAL: sorry, too many clients already", False),
    ],
)
def test_fatal_at_connect(reason: str, is_fatal: bool) -> None:
    error = translate.connection_failed("main", "PostgreSQL at db, port 5432", reason)
    assert error.is_fatal is is_fatal
    assert "db, port 5432" in str(error)


def test_sqlite_integer_too_wide_names_no_value() -> None:
    with closing(sqlite3.connect(":memory:")) as raw, pytest.raises(OverflowError) as caught:
        raw.execute("SELECT ?", [2**70])
    assert type(translate.from_sqlite(caught.value, alias="default")) is errors.DataError
