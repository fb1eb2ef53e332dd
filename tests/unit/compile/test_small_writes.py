"""Which writes touch one row, or a few new ones, and nothing else: their work cannot grow with the table."""

from __future__ import annotations

import pytest

from datalayer._compile.compiler import COMPILERS
from datalayer._query.change import Delete, Insert, OnConflict, Update
from datalayer._query.comparing import comparison
from datalayer._query.expression import FieldRef, Value
from datalayer._query.query import Query
from datalayer._schema.table import ForeignKeySpec, TableSpec
from tests.unit.compile import shop

SQLITE = COMPILERS["sqlite"]
TITLE = (("title", Value("Persuasion", shop.TEXT)),)
INSERT = Insert(shop.BOOK, ("title", "price", "author_id"), ("id",))


def rows(name: str, value: object) -> Query:
    return Query(shop.BOOK).filtered(comparison(shop.BOOK, name, value))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (SQLITE.insert(INSERT), True),
        (SQLITE.insert(INSERT, 2), True),
        (SQLITE.insert(INSERT, 33), True),
        (SQLITE.insert(INSERT, 34), False),
        (SQLITE.insert(Insert(shop.BOOK, ("id", "title"), (), OnConflict(("id",)))), False),
        (SQLITE.update(Update(rows("id", 1), TITLE)), True),
        (SQLITE.update(Update(rows("id", 1).filtered(rows("title", "Emma").where[0]), TITLE)), False),
        (SQLITE.update(Update(rows("id__gt", 1), TITLE)), False),
        (SQLITE.update(Update(rows("title", "Emma"), TITLE)), False),
        (SQLITE.update(Update(rows("author__id", 1), TITLE)), False),
        (SQLITE.update(Update(rows("id", 1), (("title", FieldRef((), "title", shop.TEXT)),))), False),
        (SQLITE.update(Update(Query(shop.BOOK), TITLE)), False),
        (SQLITE.delete(Delete(rows("id", 1))), True),
        (SQLITE.delete(Delete(rows("id__gt", 1))), False),
    ],
)
def test_a_small_write_is_known(what, expected: bool) -> None:
    assert what.command([1] * 102).is_small is expected


def test_a_delete_of_a_row_that_others_may_refer_to_is_more() -> None:
    owner = TableSpec("owner", model="Owner", primary_key=("id",), fields=(shop.ID,))
    owner.referred_by(shop.BOOK, ForeignKeySpec("book_owner", ("author_id",), "owner", ("id",)))
    query = Query(owner).filtered(comparison(owner, "id", 1))
    assert not SQLITE.delete(Delete(query)).command([1]).is_small
