"""Right lines about writing, hooks, events and what applications add."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_type

from shop import Author, Book

from datalayer import (
    Change,
    Excluded,
    F,
    Listener,
    Lookup,
    Model,
    Q,
    SlowQueryLog,
    SqlFunction,
    Statement,
    after_delete,
    after_save,
    before_delete,
    before_save,
    listen,
    register_type,
)
from datalayer.models.bulk import Saved
from datalayer.models.column import Condition, Expr

ann = Author(name="Ann")
book = Book(title="One", price=Decimal(1), author=ann)

assert_type(Book.objects.all().update(price=1), int)
assert_type(Book.objects.all().update(price=F("price") * 2, returning=True), list[Book])
assert_type(Book.objects.all().delete(), int)
assert_type(Book.objects.all().delete(returning=True), list[Book])
assert_type(ann.books.all().update(pages=0, returning=True), list[Book])

saved = Book.objects.bulk_create([book])
assert_type(saved, Saved[Book])
assert_type(saved.inserted, list[Book])
assert_type(saved[0], Book)
Book.objects.bulk_create([book], on_conflict=("author", "title"), update=("price",))
Book.objects.bulk_create([book], on_conflict=(Book.author, Book.title), update=[Book.price, "pages"])
Book.objects.bulk_create([book], on_conflict="uq_book", update={"pages": F("pages") + Excluded("pages")})
Book.objects.bulk_create([book], on_conflict=("id",), update={"pages": Book.pages + 1}, where=Book.pages > 1)
Book.objects.bulk_create([book], on_conflict=("id",), update=("pages",), where=Q(pages__lt=Excluded("pages")))
assert_type(Book.objects.bulk_update([book], [Book.price, "pages"]), int)
assert_type(Book.objects.bulk_update([book]), int)
assert_type(Book.objects.bulk_delete([book]), int)
assert_type(Book.objects.bulk_update([book], {"pages": Excluded("pages") + 1}), int)
assert_type(Book.objects.insert_from(Author.objects.values(title=F("name"))), int)
assert_type(Book.objects.insert_from(Author.objects.values("name"), returning=True), list[Book])
assert_type(Book.objects.insert_from(Author.objects.values_list(Author.name), columns=[Book.title]), int)
Book.objects.insert_from(Author.objects.values("name", "id"), columns=(Book.title, "author"))
names = ["title", "pages"]
Book.objects.bulk_update([book], names)
Book.objects.bulk_update([book], {"pages"})
book.save(update_fields=names)
book.save(update_fields={"title"})
book.refresh(fields=("title",))
assert_type(Author.objects.get_or_create({"born": None}, name="x"), tuple[Author, bool])
assert_type(Author.objects.update_or_create({"born": None}, {"born": None}, name="x"), tuple[Author, bool])
assert_type(Book.objects.select_for_update(skip_locked=True, of=("self", Book.author)).first(), Book | None)
assert_type(Author.objects.refresh_materialized_view(concurrently=True), None)
book.save(force_update=True, using="other")
given: dict[str, object] = {"name": "x"}
assert_type(Author.objects.create(**given), Author)


async def awaited() -> None:
    assert_type(await Book.objects.all().aupdate(pages=1, returning=True), list[Book])
    assert_type(await Book.objects.all().adelete(), int)
    assert_type(await Author.objects.acreate(**given), Author)
    assert_type(await Book.objects.abulk_create([book]), Saved[Book])
    assert_type(await Book.objects.ainsert_from(Author.objects.values("name"), returning=True), list[Book])


class Hooked(Model):
    @before_save
    def plain(self) -> None: ...

    @after_save
    def told(self, change: Change) -> None:
        assert_type(change.fields, tuple[str, ...])

    @before_delete
    async def awaiting(self) -> None: ...

    @after_delete
    async def awaiting_told(self, change: Change) -> None: ...


class Heard(Listener):
    def statement_finished(self, statement: Statement) -> None:
        assert_type(statement.took, float)


with listen(Heard()) as listening:
    listening.stop()
listen(SlowQueryLog(0.1)).stop()

initial = SqlFunction("initial", str, "substr({0}, 1, 1)")
assert_type(initial(Author.name), Expr[Author, str])
Author.objects.filter(initial(Author.name) == "A").order_by(initial("name"))
like = Lookup("sounds", str, "soundex({0}) = soundex({1})")
assert_type(like(Author.name, "x"), Condition[Author])
Author.objects.filter(like(Author.name, "x"))


class Own:
    def __init__(self, text: str) -> None:
        self.text = text


register_type(Own, like=str, dump=lambda own: own.text, load=Own)
