"""Wrong lines about writing, hooks, events and what applications add."""

from __future__ import annotations

from decimal import Decimal

from shop import Author, Book

from datalayer import Change, F, Listener, Lookup, Model, SqlFunction, after_save, before_save, listen, register_type

ann = Author(name="Ann")
book = Book(title="One", price=Decimal(1), author=ann)

count: int = Book.objects.all().update(price=1, returning=True)  # no
rows: list[Author] = Book.objects.all().delete(returning=True)  # no
number: str = Book.objects.all().delete()  # no
Book.objects.bulk_create([ann])  # no
Book.objects.bulk_create([book], on_conflict=5)  # no
Book.objects.bulk_create([book], on_conflict=("id",), update=5)  # no
Book.objects.bulk_create([book], on_conflict=("id",), update=("pages",), where="x")  # no
Book.objects.bulk_create([book], on_conflicts=("id",))  # no
Book.objects.bulk_create([book], batch_size="many")  # no
Book.objects.bulk_update([ann], ["name"])  # no
Book.objects.bulk_delete([ann])  # no
Book.objects.bulk_update([book], "title")  # no
Book.objects.bulk_update([book], [Author.name])  # no
Book.objects.bulk_create([book], on_conflict=("id",), update="price")  # no
Book.objects.bulk_create([book], on_conflict=(Author.name,))  # no
Book.objects.insert_from([book])  # no
Book.objects.insert_from(Author.objects.values("name"), columns="title")  # no
Book.objects.insert_from(Author.objects.values("name"), columns=[Author.name])  # no
book.save(update_fields="title")  # no
book.refresh(fields="title")  # no
Book.objects.insert_from(F("x"))  # no
Book.objects.select_for_update(True)  # no
Book.objects.select_for_update(skip=True)  # no
book.save(True)  # no
book.save(force=True)  # no
book.save(update_fields=3)  # no
book.delete(returning=True)  # no


class Hooked(Model):
    @before_save  # no
    def many(self, one: int, two: int) -> None: ...

    @after_save  # no
    def gives(self) -> str:
        return ""

    @before_save  # no
    def wrong(self, change: str) -> None: ...

    @after_save
    def told(self, change: Change) -> None:
        change.field  # no


listen(print)  # no
listen(Listener)  # no
SqlFunction("x", "str", "f({0})")  # no
initial = SqlFunction("initial", str, "substr({0}, 1, 1)")
Author.objects.filter(initial(Author.name) == 5)  # no
like = Lookup("sounds", str, "soundex({0}) = soundex({1})")
like(Author.name, 5)  # no
like(Author.born, "x")  # no
Book.objects.filter(like(Author.name, "x"))  # no


class Own: ...


register_type(Own, like=str, dump=str)  # no
register_type(Own(), like=str, dump=str, load=Own)  # no
