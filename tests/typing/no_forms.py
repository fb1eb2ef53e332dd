"""Wrong lines about forms of rows, ends of relations, constraints: both checkers refuse what ends in `# no`."""

from __future__ import annotations

from ok_forms import Card, Mark, Page, Shown, Site
from shop import Author, Book

from datalayer import CheckConstraint, Count, Index, Q, UniqueConstraint

site = Site(name="x")
page = Page(site=site)

Site(state="new")  # no
Site(name="x", state=3)  # no
site.pages.used()  # no
site.plain.shown()  # no
page.marks.shown()  # no
site.pages.add(Mark(label="x"))  # no
page.marks.used().first().label  # no
Page.objects.filter(Site.pages[Page.rank] > 3)  # no
Site.objects.filter(Site.pages[Mark.label] == "x")  # no
Site.objects.filter(Site.pages == site)  # no
Site.objects.filter(Site.pages[Page.rank] > "x")  # no
Page.objects.filter(Page.marks[Mark.label].startswith(3))  # no
rank: int = Site.objects.values_list(Site.pages[Page.rank], flat=True)[0]  # no
text: str = Site.objects.values_list(Site.card[Card.text]).get()[0]  # no
name: str = Book.objects.values_list(Book.editor[Author.name]).get()[0]  # no
for row in Site.objects.values_list(Site.name, Site.pages[Page.rank]):
    print(row[1] + 1)  # no
    print(row[2])  # no

pairs = Book.objects.values_list(Book.title, Book.pages)
pairs.values_list(Author.name)  # no
pairs.values_list(Book.title, Author.name)  # no
first: int = pairs.values_list(Book.title, flat=True)[0]  # no
wide: tuple[str, int] = pairs.values_list(Book.pages, Book.title).get()  # no
pairs.filter(Author.name == "x")  # no
pairs.values(Author.name)  # no
groups = Author.objects.values(Author.born).annotate(book_count=Count("books"))
count: str = groups.values_list(Author.book_count, flat=True)[0]  # no
groups.filter(Author.book_count > "x")  # no
groups.filter(Book.title == "x")  # no
groups.order_by(Book.title)  # no

CheckConstraint(3, name="x")  # no
CheckConstraint(Q(rank=1))  # no
CheckConstraint(lambda: 3, name="x")  # no
CheckConstraint(lambda: Page.rank, name="x")  # no
CheckConstraint(Q(rank=1), name="x", violation_error_message=3)  # no
CheckConstraint(check=Q(rank=1), name="x")  # no
UniqueConstraint("rank", condition=3)  # no
UniqueConstraint(fields=["rank"], name="x")  # no
Index("rank", condition=True)  # no
page.validate_constraints("default")  # no


class Wrong(Shown):
    def shown(self) -> int:  # no
        return 3


async def awaited() -> None:
    await page.validate_constraints()  # no
    rows: list[tuple[int, str]] = await pairs  # no
    print(rows)
