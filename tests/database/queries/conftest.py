"""The bookshop of the compiler's tests, in a real database of each backend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from datalayer._compile.tables import create_all_statements
from datalayer._plans import bulk
from datalayer._plans.plan import Command
from datalayer.databases import databases
from datalayer.testing import acreate_tables, create_tables
from tests.database.queries import library
from tests.unit.compile import shop
from tests.worlds import World

AUTHORS = [("Ann", date(1950, 5, 1)), ("Bob", None), ("Çelik", date(1980, 1, 1))]
BOOKS = [
    ("A_1", Decimal("10.10"), datetime(2020, 1, 1, tzinfo=UTC), 1, None),
    ("b%2", Decimal("20.20"), datetime(2020, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), 1, 2),
    ("Ünder\\", Decimal(5), None, 2, 1),
    ("a_1 again", Decimal("7.5"), datetime(2021, 6, 15, 12, 30, 45, tzinfo=UTC), 2, None),
]


def _created(compiler: Any) -> Any:
    tables = [shop.AUTHOR, shop.TAG, shop.BOOK, shop.BOOK_TAGS]
    for statement in create_all_statements(tables, compiler.backend):
        yield Command(statement, (), returns_rows=False, writes=True)
    yield from bulk.create(compiler, shop.AUTHOR, ("name", "born"), AUTHORS)
    fields = ("title", "price", "published_at", "author_id", "editor_id")
    yield from bulk.create(compiler, shop.BOOK, fields, BOOKS)
    yield from bulk.create(compiler, shop.TAG, ("label",), [("sf",), ("old",), ("new",)])
    yield from bulk.create(compiler, shop.BOOK_TAGS, ("book_id", "tag_id"), [(1, 1), (1, 2), (2, 1), (3, 3)])


@pytest.fixture
def ask(configured: str, world: Any) -> Callable[..., Any]:
    """Runs a plan in the shop's database: `ask(read.count, query)`."""
    database = databases["default"]

    def run(operation: Any, *args: Any, **named: Any) -> Any:
        return world.call(database, "run", operation, *args, **named)

    run(_created)
    return run


@pytest.fixture
def shelves(configured: str, world: World) -> str:
    """The tables of the library, empty."""
    world.run(lambda: create_tables(*library.MODELS), lambda: acreate_tables(*library.MODELS))
    return configured


@pytest.fixture
def books(shelves: str, world: World) -> library.Shelf:
    """The library with its rows."""
    authors = library.authors()
    world.call(library.Author.objects, "bulk_create", authors)
    library.mentored(authors)
    world.call(library.Author.objects, "bulk_update", authors, ["mentor"])
    books = library.books(authors)
    world.call(library.Book.objects, "bulk_create", books)
    return books
