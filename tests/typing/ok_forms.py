"""Right lines about forms of rows, ends of relations, constraints: both checkers accept them, with the types they say."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Self, assert_type

from shop import Author, Book

from datalayer import (
    UNSET,
    Annotation,
    CheckConstraint,
    Count,
    F,
    Field,
    ForeignKey,
    Index,
    Manager,
    ManyToMany,
    Mapped,
    Max,
    Model,
    OneToOne,
    Q,
    Reverse,
    ReverseOne,
    UniqueConstraint,
)
from datalayer.functions import Length
from datalayer.models.column import Expr
from datalayer.models.walk import Related


class Shown(Manager["Page"]):
    def shown(self) -> Self:
        return self.filter(Page.rank > 0)


class Used(Manager["Mark"]):
    def used(self) -> Self:
        return self


class Site(Model):
    name: Mapped[str]
    state: Mapped[str] = Field(max_length=9, db_default="new", default=UNSET)
    pages: ClassVar[Reverse[Page, Shown]]
    plain: ClassVar[Reverse[Page]]
    card: ClassVar[ReverseOne[Card]]
    page_count: ClassVar[Annotation[int]]


class Page(Model):
    site: ForeignKey[Site] = ForeignKey(related_name="pages")
    marks: ManyToMany[Mark, Used] = ManyToMany(related_name="pages")
    rank: Mapped[int] = Field(default=0)
    until: Mapped[date | None] = Field(default=None)

    shown: ClassVar[Shown] = Shown()

    class Meta:
        constraints = (
            CheckConstraint(Q(rank__gte=0), name="rank"),
            CheckConstraint(lambda: (Page.rank < 9) | Page.until.is_null(), name="late", violation_error_message="x"),
            CheckConstraint(F("rank") > 0, name="positive", violation_error_code="low"),
            CheckConstraint({"sqlite": "1", "postgresql": "true"}, name="sql"),
            UniqueConstraint("rank", condition=lambda: Page.until.is_not_null()),
        )
        indexes = (Index("rank", condition=Q(rank__gt=1)),)


class Mark(Model):
    label: Mapped[str]
    used: ClassVar[Used] = Used()


class Card(Model):
    site: OneToOne[Site] = OneToOne(related_name="card")
    text: Mapped[str] = Field(default="")


site = Site(name="x")
Site(name="x", state="old")
assert_type(site.state, str)
page = Page(site=site)
page.validate_constraints()

# The manager that rows behind a relation come with.
assert_type(site.pages, Shown)
assert_type(site.pages.shown().filter(Page.rank > 3).first(), Page | None)
assert_type(site.plain, Manager[Page])
assert_type(page.marks, Used)
assert_type(page.marks.used().order_by("label"), Used)
assert_type(list(page.marks), list[Mark])

# What is at the end of a relation to many, or may be missing, is None where there is nothing.
assert_type(Site.pages, Related[Site, Page | None])
assert_type(Site.pages[Page.rank], Expr[Site, int | None])
assert_type(Page.marks[Mark.label], Expr[Page, str | None])
assert_type(Site.card[Card.text], Expr[Site, str | None])
assert_type(Site.pages[Page.site][Site.name], Expr[Site, str | None])
assert_type(Page.site[Site.pages][Page.until], Expr[Page, date | None])
assert_type(Page.site[Site.name], Expr[Page, str])
assert_type(list(Site.objects.values_list(Site.name, Site.pages[Page.rank])), list[tuple[str, int | None]])
assert_type(Book.objects.values_list(Book.editor[Author.name], flat=True).first(), str | None)
Site.objects.filter(Site.pages[Page.rank] > 3, Site.pages == page, Site.card[Card.text].startswith("x"))
Page.shown.filter(Page.marks.in_([Mark(label="x")]), Page.marks.is_null(), Page.site[Site.card].is_not_null())
Site.objects.prefetch_related(Site.pages, Site.card).annotate(n=Count(Site.pages))
assert_type(Site.objects.aggregate_list(Max(Site.pages[Page.rank]), Count(Site.pages)), tuple[int | None, int])

# Forms of forms, and of groups.
pairs = Book.objects.values_list(Book.title, Book.pages)
assert_type(pairs.filter(Book.pages > 3).values_list(Book.price).get(), tuple[Decimal])
assert_type(pairs.values_list(Book.title, flat=True).first(), str | None)
assert_type(pairs.values_list(Book.title, "pages").get(), tuple[str, *tuple[Any, ...]])
assert_type(pairs.values().get(), dict[str, Any])
groups = Author.objects.values(Author.born).annotate(book_count=Count("books"))
assert_type(list(groups.values_list(Author.born, Author.book_count)), list[tuple[date | None, int]])
assert_type(groups.filter(Author.book_count > 3).values_list(Author.book_count, flat=True)[0], int)
assert_type(
    Book.objects.values_list(
        Book.title, Book.pages, Book.price, Book.published_on, Length(Book.title), Book.id, Book.title, Book.pages
    ).get(),
    tuple[str, int, Decimal, date | None, int, int, str, int],
)
assert_type(Book.objects.distinct().values_list(Book.title)[:5].first(), tuple[str] | None)


async def awaited() -> None:
    await page.avalidate_constraints()
    await page.avalidate_unique()
    assert_type(await site.pages.shown(), list[Page])
    assert_type(await pairs, list[tuple[str, int]])
    assert_type(await pairs.values_list(Book.price).afirst(), tuple[Decimal] | None)
    assert_type([row async for row in groups.values_list(Author.book_count, flat=True)], list[int])
