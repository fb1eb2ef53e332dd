"""Every error of the driver arrives as one of ours, on both backends and in both worlds."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import errors

SCHEMA = (
    "CREATE TABLE author (id integer PRIMARY KEY, email varchar(20) NOT NULL UNIQUE, age integer"
    " CONSTRAINT age_is_positive CHECK (age > 0))",
    "CREATE TABLE book (id integer PRIMARY KEY, author_id integer NOT NULL REFERENCES author (id))",
)


@pytest.fixture
def tables(link: Any) -> Any:
    for sql in SCHEMA:
        link.execute(sql)
    link.execute("INSERT INTO author VALUES (1, 'a@example.com', 3)")
    link.execute("INSERT INTO book VALUES (1, 1)")
    return link


def refused(link: Any, sql: str, *params: object) -> Any:
    with pytest.raises(errors.DatabaseError) as caught:
        link.execute(sql, *params)
    assert caught.value.__cause__ is not None
    assert caught.value.alias == "default"
    return caught.value


def test_unique(tables: Any) -> None:
    error = refused(tables, "INSERT INTO author VALUES (2, ?, 1)", "a@example.com")
    assert type(error) is errors.UniqueViolation
    assert error.table == "author"
    assert error.columns == ("email",)
    assert "author" in str(error)
    assert "email" in str(error)
    assert "a@example.com" not in str(error)


def test_unique_of_the_primary_key(tables: Any) -> None:
    error = refused(tables, "INSERT INTO author VALUES (1, 'b', 1)")
    assert type(error) is errors.UniqueViolation
    assert error.columns == ("id",)


def test_unique_of_several_columns(link: Any) -> None:
    link.execute("CREATE TABLE t (a integer, b integer, CONSTRAINT a_and_b UNIQUE (a, b))")
    link.execute("INSERT INTO t VALUES (1, 2)")
    error = refused(link, "INSERT INTO t VALUES (1, 2)")
    assert error.columns == ("a", "b")
    if not link.is_sqlite:
        assert (error.constraint, error.values) == ("a_and_b", {"a": "1", "b": "2"})


def test_unique_index_of_an_expression(link: Any) -> None:
    link.execute("CREATE TABLE t (name text)")
    link.execute("CREATE UNIQUE INDEX t_lower_name ON t (lower(name))")
    link.execute("INSERT INTO t VALUES ('a')")
    error = refused(link, "INSERT INTO t VALUES ('A')")
    assert type(error) is errors.UniqueViolation
    assert error.constraint == "t_lower_name"


def test_not_null(tables: Any) -> None:
    error = refused(tables, "INSERT INTO author VALUES (2, NULL, 1)")
    assert type(error) is errors.NotNullViolation
    assert (error.table, error.columns) == ("author", ("email",))


def test_check(tables: Any) -> None:
    error = refused(tables, "INSERT INTO author VALUES (2, 'b', 0)")
    assert type(error) is errors.CheckViolation
    assert error.constraint == "age_is_positive"


def test_foreign_key_to_nothing(tables: Any) -> None:
    error = refused(tables, "INSERT INTO book VALUES (2, 99)")
    assert type(error) is errors.ForeignKeyViolation
    if not tables.is_sqlite:
        assert (error.table, error.columns, error.values) == ("book", ("author_id",), {"author_id": "99"})
        assert "'author'" in str(error)


def test_foreign_key_of_a_row_in_use(tables: Any) -> None:
    error = refused(tables, "DELETE FROM author")
    assert type(error) is errors.ForeignKeyViolation
    assert "still refer" in str(error)
    if not tables.is_sqlite:
        assert str(error).startswith("table 'author': rows of 'book' still refer")
        assert error.table == "book"


def test_undefined_table(link: Any) -> None:
    error = refused(link, "INSERT INTO nowhere VALUES (1)")
    assert type(error) is errors.UndefinedTable
    assert error.table == "nowhere"


@pytest.mark.parametrize(
    "sql", ["SELECT colour FROM author", "UPDATE author SET colour = 1", "INSERT INTO author (colour) VALUES (1)"]
)
def test_undefined_column(tables: Any, sql: str) -> None:
    error = refused(tables, sql)
    assert type(error) is errors.UndefinedColumn
    assert error.columns == ("colour",)


def test_syntax(link: Any) -> None:
    assert type(refused(link, "SELEKT 1")) is errors.ProgrammingError


def test_unknown_function(link: Any) -> None:
    assert type(refused(link, "SELECT no_such_function(1)")) is errors.ProgrammingError


def test_too_few_values(link: Any) -> None:
    assert type(refused(link, "SELECT ?, ?", 1)) is errors.ProgrammingError


def test_value_the_driver_cannot_send(link: Any) -> None:
    link.execute("CREATE TABLE t (name text)")
    assert type(refused(link, "INSERT INTO t VALUES (?)", "\ud800")) is errors.DataError


def test_int_too_wide(link: Any) -> None:
    link.execute("CREATE TABLE t (n bigint)")
    assert type(refused(link, "INSERT INTO t VALUES (?)", 2**70)) is errors.DataError


def test_value_of_an_unknown_type(link: Any) -> None:
    error = refused(link, "SELECT ?", object())
    assert isinstance(error, (errors.DataError, errors.ProgrammingError))


def test_value_of_the_wrong_form(link: Any) -> None:
    sql = "SELECT json_extract('{', '$')" if link.is_sqlite else "SELECT '{'::json"
    assert type(refused(link, sql)) is errors.DataError


def test_savepoint_that_does_not_exist(link: Any) -> None:
    link.execute("BEGIN")
    assert type(refused(link, "RELEASE nowhere")) is errors.OperationalError


def test_write_on_a_read_only_connection(connect: Any) -> None:
    connect().execute("CREATE TABLE t (id integer)")
    reader = connect(read_only=True) if connect.url.startswith("sqlite") else connect()
    if not reader.is_sqlite:
        reader.execute("SET default_transaction_read_only = on")
    assert type(refused(reader, "INSERT INTO t VALUES (1)")) is errors.ReadOnlyTransaction


def test_lock_that_is_not_to_be_had(connect: Any) -> None:
    first = connect()
    first.execute("CREATE TABLE t (id integer)")
    first.execute("BEGIN")
    first.execute("INSERT INTO t VALUES (1)")
    if first.is_sqlite:
        second = connect(timeout=0.01)
        error = refused(second, "INSERT INTO t VALUES (2)")
    else:
        second = connect()
        second.execute("SET lock_timeout = 10")
        error = refused(second, "ALTER TABLE t ADD COLUMN x integer")
    assert type(error) is errors.LockTimeout


def test_two_writers_of_one_snapshot(connect: Any) -> None:
    first, second = connect(), connect()
    first.execute("CREATE TABLE t (n integer)")
    first.execute("INSERT INTO t VALUES (1)")
    second.execute("BEGIN" if second.is_sqlite else "BEGIN ISOLATION LEVEL SERIALIZABLE")
    second.rows("SELECT n FROM t")
    first.execute("UPDATE t SET n = 2")
    assert type(refused(second, "UPDATE t SET n = 3")) is errors.SerializationFailure


def test_error_keeps_model_and_table_of_the_command(link: Any) -> None:
    from datalayer._plans.plan import Command
    from datalayer._schema.table import TableSpec

    spec = TableSpec("author", model="Author", fields=())
    with pytest.raises(errors.ProgrammingError) as caught:
        link.do("execute", Command("SELEKT 1", table=spec))
    assert (caught.value.model, caught.value.table) == ("Author", "author")


def test_constraint_and_columns_are_found_in_the_metadata(link: Any) -> None:
    from datalayer._plans.plan import Command
    from datalayer._schema.field import ColumnType, FieldSpec, Kind
    from datalayer._schema.table import CheckSpec, TableSpec, UniqueSpec

    link.execute(
        "CREATE TABLE author (id integer PRIMARY KEY, mail varchar(20), age integer, "
        "CONSTRAINT author_mail_age UNIQUE (mail, age), CONSTRAINT author_age CHECK (age > 0))"
    )
    spec = TableSpec(
        "author",
        model="Author",
        fields=(
            FieldSpec("id", "id", ColumnType(Kind.INTEGER)),
            FieldSpec("email", "mail", ColumnType(Kind.TEXT)),
            FieldSpec("age", "age", ColumnType(Kind.INTEGER)),
        ),
        unique=(UniqueSpec("author_mail_age", ("email", "age")),),
        checks=(CheckSpec("author_age", "age > 0", ("age",)),),
    )
    link.execute("INSERT INTO author VALUES (1, 'a', 1)")
    with pytest.raises(errors.UniqueViolation) as unique:
        link.do("execute", Command("INSERT INTO author VALUES (2, 'a', 1)", returns_rows=False, table=spec))
    assert (unique.value.constraint, unique.value.columns) == ("author_mail_age", ("mail", "age"))
    with pytest.raises(errors.CheckViolation) as check:
        link.do("execute", Command("INSERT INTO author VALUES (2, 'b', 0)", returns_rows=False, table=spec))
    assert (check.value.constraint, check.value.columns) == ("author_age", ("age",))


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("indent", ["", " "], ids=["short", "on the thread"])
def test_text_that_is_no_utf8(link: Any, indent: str) -> None:
    with pytest.raises(errors.DataError, match="Could not decode to UTF-8") as caught:
        link.rows(f"{indent}SELECT CAST(x'736563726574ff' AS text) AS name")
    assert "secret" not in str(caught.value)
    assert link.rows("SELECT 1") == [(1,)]
