"""Plans, step by step, with made-up replies."""

from __future__ import annotations

from decimal import Decimal

import pytest

from datalayer._compile.compiler import COMPILERS
from datalayer._compile.prepared import Prepared
from datalayer._plans import bulk, read, related, transaction, upsert, write
from datalayer._plans.plan import Command, Reply
from datalayer._query.change import Delete, Insert, Update
from datalayer._query.comparing import comparison
from datalayer._query.condition import Nothing
from datalayer._query.expression import Value
from datalayer._query.path import reference
from datalayer._query.query import Query
from datalayer.errors import UniqueViolation
from tests.unit.compile import shop

SQLITE, POSTGRESQL = COMPILERS["sqlite"], COMPILERS["postgresql"]
TAGS = Query(shop.TAG)


def steps(plan, *replies):
    """What the plan sent, and what it returned."""
    sent: list[Command] = []
    waiting = list(replies)
    try:
        sent.append(next(plan))
        while True:
            reply = waiting.pop(0) if waiting else Reply([], 0)
            following = plan.throw(reply) if isinstance(reply, Exception) else plan.send(reply)
            sent.append(following)
    except StopIteration as stop:
        return [command.sql for command in sent], stop.value


def as_is(prepared, chunks):
    return [row for rows in chunks for row in rows]


def test_one_asks_for_two_rows_at_most() -> None:
    plan = read.one(SQLITE, TAGS, as_is)
    command = next(plan)
    assert command.sql == "SELECT tag.id, tag.label FROM tag LIMIT ? OFFSET 0"
    assert command.params == (2,)
    assert command.table is shop.TAG
    with pytest.raises(StopIteration) as stop:
        plan.send(Reply([(1, "a"), (2, "b")]))
    assert stop.value.value == [(1, "a"), (2, "b")]


def test_first_orders_by_the_key() -> None:
    sent, found = steps(read.first(SQLITE, TAGS, as_is), Reply([(1, "a")]))
    assert sent == ["SELECT tag.id, tag.label FROM tag ORDER BY tag.id ASC LIMIT ? OFFSET 0"]
    assert found == (1, "a")


@pytest.mark.parametrize(
    "plan",
    [
        read.fetch(SQLITE, TAGS.filtered(Nothing()), as_is),
        read.first(SQLITE, TAGS.filtered(Nothing()), as_is),
        read.count(SQLITE, TAGS.filtered(Nothing() & comparison(shop.TAG, "id", 1))),
        read.exists(SQLITE, TAGS.replaced(limit=0)),
        read.fetch(SQLITE, TAGS.replaced(limit=0), as_is),
        write.update(SQLITE, Update(TAGS.filtered(Nothing()), (("label", Value("x", shop.TEXT)),))),
        write.delete(SQLITE, Delete(TAGS.filtered(Nothing()))),
        bulk.create(SQLITE, shop.TAG, ("label",), []),
        bulk.update(SQLITE, shop.TAG, ("label",), []),
        related.children(SQLITE, TAGS, (reference(shop.TAG, "id"),), [(None,)], as_is),
    ],
)
def test_nothing_is_sent(plan) -> None:
    sent, found = steps(plan)
    assert sent == []
    assert not found or found == (0, [])


def test_writes_say_so() -> None:
    command = next(write.insert(SQLITE, Insert(shop.BOOK, ("title", "price"), ("id",)), ("x", Decimal("1.50"))))
    assert isinstance(command, Command)
    assert command.sql == "INSERT INTO book (title, price) VALUES (?, ?)"
    assert command.params == ["x", 1.5]
    assert command.writes
    assert command.returns_key  # SQLite knows it without RETURNING
    assert write.insert in write.WRITING
    assert read.fetch not in write.WRITING
    assert (
        next(write.insert(POSTGRESQL, Insert(shop.TAG, (), ("id",)), ())).sql
        == "INSERT INTO tag DEFAULT VALUES RETURNING id"
    )


def test_update_and_delete_over_relations_go_by_key() -> None:
    cheap = Query(shop.BOOK).filtered(comparison(shop.BOOK, "author__name", "Ann"))
    sent, count = steps(write.update(SQLITE, Update(cheap, (("title", Value("x", shop.TEXT)),))), Reply([], 2))
    assert count == 2
    assert sent == [
        "UPDATE book SET title=? WHERE book.id IN "
        "(SELECT t1.id AS id FROM book AS t1 JOIN author AS t2 ON t1.author_id = t2.id WHERE t2.name = ?)"
    ]
    sent, _ = steps(write.delete(SQLITE, Delete(TAGS.filtered(comparison(shop.TAG, "label", "x")))))
    assert sent == ["DELETE FROM tag WHERE tag.label = ?"]


def test_bulk_create_in_pieces_is_one_transaction() -> None:
    rows = [("a",), ("b",), ("c",)]
    plan = bulk.create(SQLITE, shop.TAG, ("label",), rows, ("id",), batch_size=2)
    sent, found = steps(plan, Reply([], 0), Reply([(1,), (2,)]), Reply([(3,)]))
    assert sent == [
        "BEGIN IMMEDIATE",
        "INSERT INTO tag (label) VALUES (?), (?) RETURNING id",
        "INSERT INTO tag (label) VALUES (?)",
        "COMMIT",
    ]
    assert found == [(1,), (2,), (3,)]


def test_bulk_create_stays_below_the_bind_limit() -> None:
    assert bulk.size(SQLITE, 100, None) == 327
    assert bulk.size(POSTGRESQL, 100, None) == 655
    assert bulk.size(SQLITE, 1, 10) == 10


def test_recovering_reads_again_after_somebody_was_faster() -> None:
    def insert():
        return write.insert(POSTGRESQL, Insert(shop.TAG, ("label",), ("id",)), ("x",))

    def find():
        rows = yield from read.tuples(POSTGRESQL, TAGS.filtered(comparison(shop.TAG, "label", "x")))
        return rows[0] if rows else None

    plan = upsert.recovering(POSTGRESQL, insert, find, depth=1)
    error = UniqueViolation("taken")
    sent, found = steps(plan, Reply([], 0), error, Reply([], 0), Reply([], 0), Reply([(7, "x")]))
    assert found == ((7, "x"), False)
    assert [text.split(" ")[0] for text in sent] == ["SAVEPOINT", "INSERT", "ROLLBACK", "RELEASE", "SELECT"]
    with pytest.raises(UniqueViolation):
        steps(upsert.recovering(POSTGRESQL, insert, find), Reply([], 0), error, Reply([], 0), Reply([]))


def test_transactions_are_text() -> None:
    assert transaction.begin_text("sqlite") == "BEGIN IMMEDIATE"
    assert transaction.begin_text("sqlite", read_only=True) == "BEGIN"
    wanted = "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"
    assert transaction.begin_text("postgresql", isolation="serializable", read_only=True) == wanted
    assert steps(transaction.savepoint('a"b'))[0] == ['SAVEPOINT "a""b"']


def test_children_are_asked_for_once_each() -> None:
    books = Query(shop.BOOK).replaced(columns=(("title", reference(shop.BOOK, "title")),))
    plan = related.children(
        SQLITE, books, (reference(shop.BOOK, "author"),), [(1,), (2,), (1,), (None,)], Prepared.read
    )
    assert next(plan).params == ["[1, 2]"]
