"""Wrong lines about relations: both checkers refuse every line that ends in `# no`, and no other."""

from __future__ import annotations

from library import Author, Book, Profile, Tag

from datalayer import ManyToMany, Prefetch, prefetch_related_objects

ann = Author(name="Ann")
tag = Tag(label="sf")
book = Book(title="One", author=ann)

Book(title="One", author=ann, tags=[tag])  # no
book.tags = [tag]  # no
book.tags.add(ann)  # no
book.tags.add(None)  # no
book.tags.add(2.5)  # no
book.tags.remove(book)  # no
book.tags.set([ann])  # no
book.tags.clear(tag)  # no
book.tags.add(tag, through_defaults=["since"])  # no
book.tags.published()  # no
name: str = book.tags.create(label="x").label.pages  # no
ann.books.add(tag)  # no
ann.books = [book]  # no
ann.books.short()  # no
ann.books.long("x")  # no
book.sequels.short()  # no
ann.books.long().add(tag)  # no
tags: list[Book] = list(ann.books.long()[0].tags)  # no
ann.profile.titel  # no
Profile(author=tag)  # no
Book.objects.filter(Book.tags[Book.title] == "x")  # no
Book.objects.filter(Book.tags == ann)  # no
Book.objects.filter(Book.tags.in_([ann]))  # no
Book.objects.filter(Tag.books[Book.title] == "x")  # no
Book.objects.select_related(Tag.books)  # no
Book.objects.prefetch_related(3)  # no
Book.objects.prefetch_related(Tag.books)  # no
Book.objects.only(Tag.label)  # no
Prefetch("tags", [tag])  # no
Prefetch("tags", to_attr=3)  # no
prefetch_related_objects([1], "tags")  # no
ManyToMany(symetrical=False)  # no
ManyToMany(through_fields=("a",))  # no


async def awaited() -> None:
    await book.tags.aadd(ann)  # no
    await book.tags.aset([ann])  # no
    await ann.books.aremove(tag)  # no
