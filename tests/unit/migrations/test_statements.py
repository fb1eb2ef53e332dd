"""Where one statement of an SQL text ends and the next begins."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.errors import MigrationError
from datalayer.migrations.statements import statements

BACKENDS = ("sqlite", "postgresql")


def texts(sql: str, backend: str = "postgresql") -> list[str]:
    return [one.text for one in statements(sql, backend, "x.sql")]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sql", ["", " \n", "-- a\n", "/* a; */", ";;", "-- a; b\n;"])
def test_comments_and_semicolons_alone_are_no_statement(backend: str, sql: str) -> None:
    assert texts(sql, backend) == []


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "one",
    [
        "SELECT 'a;b', \"c;d\"",
        "SELECT 'it''s;'",
        "SELECT 1 -- not; here\n + 2",
        "SELECT 1 /* not; here */ + 2",
        "INSERT INTO t VALUES ('--;'), (\"/*;\")",
    ],
)
def test_a_semicolon_in_quotes_or_comments_ends_nothing(backend: str, one: str) -> None:
    assert texts(f"{one};\n{one}", backend) == [one, one]


@pytest.mark.parametrize(
    "one",
    [
        "CREATE FUNCTION f() RETURNS int AS $$ SELECT 1; $$ LANGUAGE sql",
        "DO $body$ BEGIN PERFORM '$$;'; END $body$",
        "SELECT E'a\\';b'",
        "SELECT 1 /* outer /* inner; */ still; */ + 1",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END",
        "SELECT 'LIKE' LIKE'x\\'",
    ],
)
def test_what_only_postgresql_reads(one: str) -> None:
    assert texts(f"{one};\nSELECT 2") == [one, "SELECT 2"]


@pytest.mark.parametrize(
    "one",
    [
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET b = 1; DELETE FROM c; END",
        "create trigger t after insert on a when case when 1 then 2 end begin select case 1 when 2 then 3 end; end",
        "SELECT [a;b], `c;d`",
        "SELECT 1 /* not /* nested */ + 1",
    ],
)
def test_what_only_sqlite_reads(one: str) -> None:
    assert texts(f"{one};\nSELECT 2", "sqlite") == [one, "SELECT 2"]


def test_each_statement_knows_its_line() -> None:
    found = statements("-- first\n\nSELECT 1;\n\n  SELECT\n 2;", "sqlite", "x.sql")
    assert [(one.text, one.line) for one in found] == [("SELECT 1", 3), ("SELECT\n 2", 5)]


@pytest.mark.parametrize(
    ("sql", "line"), [("SELECT 1;\nSELECT 'a", 2), ("/* a", 1), ("SELECT $x$ a", 1), ('SELECT\n"a', 2)]
)
def test_what_does_not_end_is_named_with_its_line(sql: str, line: int) -> None:
    with pytest.raises(MigrationError, match=rf"x\.sql, line {line}: .* does not end"):
        texts(sql)


def test_a_command_of_psql_is_refused() -> None:
    with pytest.raises(MigrationError, match=r"x\.sql, line 2: a command of psql"):
        texts("SELECT 1;\n\\connect other")


PIECES = ["SELECT 1", "'a;'", '"b;"', "/* c; */", "-- d;\n", " ", "\n", ";", "x", "/", "-", "*"]


@given(st.lists(st.sampled_from(PIECES)))
def test_sqlite_itself_finds_the_same_ends(pieces: list[str]) -> None:
    text = " ".join(pieces) + "\n;"
    for one in statements(text, "sqlite", "x.sql"):
        assert sqlite3.complete_statement(one.text + "\n;")
        assert one.text.strip()


@given(st.text(alphabet="ab;'\"-/*\n $", max_size=40))
def test_nothing_is_lost_between_statements(text: str) -> None:
    for backend in BACKENDS:
        try:
            found = statements(text, backend, "x.sql")
        except MigrationError:
            continue
        place = 0
        for one in found:
            place = text.index(one.text, place) + len(one.text)
