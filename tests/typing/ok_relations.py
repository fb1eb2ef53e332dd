"""Right lines about relations: every one must be accepted by both checkers, with the types it says."""

from __future__ import annotations

from typing import assert_type

from library import Author, Book, BookManager, Profile, Tag

from datalayer import Manager, Prefetch, aprefetch_related_objects, prefetch_related_objects
from datalayer.models.walk import Related

ann = Author(name="Ann")
tag = Tag(label="sf")
book = Book(title="One", author=ann)

assert_type(Book.tags, Related[Book, Tag | None])
assert_type(book.tags, Manager[Tag])
assert_type(tag.books, BookManager)
assert_type(ann.books, BookManager)
assert_type(ann.books.long().first(), Book | None)
assert_type(tag.books.filter(Book.pages > 3).long(), BookManager)
assert_type(book.tags.order_by("label"), Manager[Tag])
assert_type(book.sequels.long(), BookManager)
assert_type(ann.profile, Profile)
assert_type(ann.profile.author, Author)
assert_type(list(book.tags), list[Tag])
assert_type(book.tags.filter(Tag.label == "sf").first(), Tag | None)
assert_type(book.tags.create(label="x"), Tag)
assert_type(book.tags.get_or_create(label="x"), tuple[Tag, bool])
assert_type(book.tags.update_or_create({"label": "y"}, label="x"), tuple[Tag, bool])
assert_type(list(book.sequels), list[Book])
assert_type(book.editor, Author | None)

book.tags.add(tag, 3, tag)
book.tags.add(tag, through_defaults={"since": 1})
book.tags.remove(tag)
book.tags.set([tag])
book.tags.set([1, 2])
book.tags.clear()
ann.books.add(book)
ann.books.create(title="Two")

Book.objects.filter(Book.tags[Tag.label] == "sf", Book.tags == tag)
Book.objects.filter(Book.tags.in_([tag]), Book.sequels[Book.author][Author.name] == "Ann")
Book.objects.exclude(Book.tags[Tag.label].in_(["sf"])).order_by(Book.tags[Tag.label])
Tag.objects.filter(Tag.books[Book.title] == "One")
Book.objects.select_related(Book.author, "editor").prefetch_related(Book.tags, "tags__books", None)
Book.objects.prefetch_related(Prefetch("tags", Tag.objects.order_by("label")[:3], to_attr="first_tags"))
Book.objects.prefetch_related(Prefetch(Book.author, Author.objects.only(Author.name)))
Author.objects.prefetch_related(Prefetch(Author.books, Book.objects.long()), Author.edited)
Book.objects.only(Book.title, Book.author).defer("pages")
prefetch_related_objects([book], Book.tags, "author")
assert_type(Book.objects.long().get(), Book)
assert_type(list(Book.objects.values_list(Book.title, Book.tags[Tag.label])), list[tuple[str, str | None]])


async def awaited() -> None:
    await book.tags.aadd(tag)
    await book.tags.aremove(tag)
    await book.tags.aset([tag])
    await book.tags.aclear()
    assert_type(await book.tags.acreate(label="x"), Tag)
    assert_type(await book.tags.aget_or_create(label="x"), tuple[Tag, bool])
    assert_type(await book.tags.aupdate_or_create(label="x"), tuple[Tag, bool])
    assert_type([row async for row in book.tags], list[Tag])
    assert_type(await tag.books.filter(Book.pages > 3), list[Book])
    await aprefetch_related_objects([book], "tags")
