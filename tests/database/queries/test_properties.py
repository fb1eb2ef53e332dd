"""Random questions, asked of the database and of plain Python over the same rows; both must say the same."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.database.queries import oracle
from tests.database.queries.library import Book, Shelf
from tests.worlds import World

# The rows are only read, so every example may share those of the test.
ask = settings(
    max_examples=150,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def keys(world: World, query: Any) -> list[int]:
    return world.iterate(query.values_list("id", flat=True))


@ask
@given(tree=oracle.trees)
def test_filter_finds_the_rows_that_satisfy_a_condition(world: World, books: Shelf, tree: oracle.Tree) -> None:
    assert sorted(keys(world, Book.objects.filter(oracle.condition(tree)))) == sorted(oracle.satisfying(tree, books))


@ask
@given(tree=oracle.trees)
def test_exclude_finds_all_other_rows(world: World, books: Shelf, tree: oracle.Tree) -> None:
    others = {book.id for book in books} - oracle.satisfying(tree, books)
    assert sorted(keys(world, Book.objects.exclude(oracle.condition(tree)))) == sorted(others)
