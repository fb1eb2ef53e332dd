"""A change that is kept remembers the statement that was found for it: of the backend that asks, and no other."""

from __future__ import annotations

import pytest

from datalayer._compile.compiler import COMPILERS, Compiler
from datalayer._compile.prepared import Prepared
from datalayer._query.change import Delete, Insert, Update
from datalayer._query.comparing import comparison
from datalayer._query.expression import Value
from datalayer._query.query import Query
from tests.unit.compile import shop

ONE = Query(shop.BOOK).filtered(comparison(shop.BOOK, "id", 1))


def compiled(compiler: Compiler, change: Insert | Update | Delete) -> Prepared:
    if isinstance(change, Insert):
        return compiler.insert(change)
    return compiler.update(change) if isinstance(change, Update) else compiler.delete(change)


@pytest.mark.parametrize(
    "change",
    [Insert(shop.BOOK, ("title",)), Update(ONE, (("title", Value("Emma", shop.TEXT)),)), Delete(ONE)],
    ids=["insert", "update", "delete"],
)
def test_a_change_has_a_statement_for_each_backend(change: Insert | Update | Delete) -> None:
    sqlite, postgresql = COMPILERS["sqlite"], COMPILERS["postgresql"]
    found = [compiled(compiler, change) for compiler in (sqlite, postgresql, sqlite, postgresql)]
    assert "?" in found[0].sql
    assert "%s" in found[1].sql
    assert found[2:] == found[:2]


def test_a_statement_for_one_row_is_not_taken_for_two() -> None:
    insert = Insert(shop.BOOK, ("title",))
    one, two, again = [COMPILERS["sqlite"].insert(insert, rows) for rows in (1, 2, 1)]
    assert (one.sql.count("?"), two.sql.count("?"), again) == (1, 2, one)
