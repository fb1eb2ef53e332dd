"""The databases the fixtures lend are empty, whatever the test before did to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

psycopg = pytest.importorskip("psycopg")


def spoil(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for sql in statements:
            connection.execute(sql)


def relations(url: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        return list(
            connection.execute(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
            )
        )


def test_used_database_is_empty_again(postgresql_databases: Any) -> None:
    url = postgresql_databases.create()
    spoil(
        url,
        "CREATE TABLE t (id serial PRIMARY KEY)",
        "CREATE SCHEMA other",
        "CREATE TABLE other.t (id integer)",
        "CREATE TYPE mood AS ENUM ('good')",
        "CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    )
    postgresql_databases.drop(url)
    again = postgresql_databases.create()
    assert again == url
    assert relations(again) == []
    spoil(again, "CREATE TYPE mood AS ENUM ('bad')", "CREATE TABLE public.t (id integer)")
    postgresql_databases.drop(again)


@pytest.mark.parametrize(
    "sql",
    ["ALTER DATABASE {name} SET work_mem = '1MB'", "CREATE PUBLICATION everything", "SELECT lo_create(0)"],
)
def test_database_that_cannot_be_swept_is_dropped(postgresql_databases: Any, sql: str) -> None:
    url = postgresql_databases.create()
    name = urlsplit(url).path.removeprefix("/")
    spoil(url, sql.format(name=f'"{name}"'))
    postgresql_databases.drop(url)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_session_left_open_is_ended(postgresql_databases: Any) -> None:
    url = postgresql_databases.create()
    left = psycopg.connect(url)
    left.execute("CREATE TABLE t (id integer)")
    postgresql_databases.drop(url)
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")
    left.close()


def test_empty_database_of_each_backend(database_url: str, backend: str) -> None:
    if backend == "sqlite":
        assert not Path(database_url.removeprefix("sqlite:///")).exists()
    else:
        assert relations(database_url) == []
