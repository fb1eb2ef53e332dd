"""Wrong lines about keys, columns, options and relations; see `no_queries.py`."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from decimal import Decimal

from keys import City, Country, Event, Mood, Profile, Row, RowManager, User
from shop import Author, Book

from datalayer import (
    SET_NULL,
    Avg,
    CheckConstraint,
    Count,
    F,
    Field,
    ForeignKey,
    Index,
    Mapped,
    Model,
    PrimaryKey,
    Q,
    UniqueConstraint,
)

user = User(name="Ann")
country = Country(code="NL", name="Netherlands")
city = City(country=country, name="Delft")
row = Row(day=date(2020, 1, 1))

# Instances.
Row()  # no
Row(day="2020-01-01")  # no
Row(day=date(2020, 1, 1), made=None)  # no
Row(day=date(2020, 1, 1), total=3)  # no
Row(day=date(2020, 1, 1), mood="great")  # no
Row(date(2020, 1, 1))  # no
User(id=3, name="x")  # no
User(nam="x")  # no
City(country="NL", name="Delft")  # no
City(name="Delft")  # no
City(country=None, name="Delft")  # no
Profile(user=row, row_id=None)  # no
Event(name="x", made=None)  # no
row.id = 3  # no
row.mood = "good"  # no
row.span = 3  # no
row.day = None  # no
row.dya = date(2020, 1, 1)  # no
city.twin = country  # no
user.manager = 3  # no
user.objects  # no
user.save(update_field=["name"])  # no
user.save(True)  # no

# Conditions.
Row.objects.filter(Row.mood == "good")  # no
Row.objects.filter(Row.span > 3)  # no
Row.objects.filter(Row.amount > "3")  # no
Row.objects.filter(Row.amount.between("1", "2"))  # no
Row.objects.filter(Row.id == 3)  # no
Row.objects.filter(Row.small.contains("x"))  # no
Row.objects.filter(Row.note.icontains(3))  # no
Row.objects.filter(Row.day.in_(["2020-01-01"]))  # no
Row.objects.filter(Row.day)  # no
if Row.small > 3:  # no (pyright)
    print("always an error")
if Row.is_open:  # no (pyright)
    print("always an error")
Row.objects.filter(not Row.small > 3)  # no
Row.objects.exclude(Row.objects)  # no
Row.objects.filter(user)  # no
Row.objects.filter(User.name == "x")  # no
Row.objects.filter((Row.small > 3) & (User.name == "x"))  # no
Row.objects.get(Row.small > 3, User.name == "x")  # no
Row.objects.filter(Row.day.part(3) == 3)  # no
Row.objects.filter(Q(Row.day > date(2020, 1, 1)) & 3 > 2)  # no
City.objects.filter(City.country[User.name] == "x")  # no
City.objects.filter(City.country == city)  # no
City.objects.filter(City.country[Country.name] == 3)  # no
City.objects.filter(City.twin[City.country][User.name] == "x")  # no
City.objects.filter(City.country.is_nul())  # no
Profile.objects.select_related(User.manager)  # no
Profile.objects.only(User.name)  # no
country.cities.filter(User.name == "x")  # no
country.cities.published()  # no
Row.objects.recent().recnt()  # no
RowManager().recent().nothing()  # no

# What comes back.
first: Row = Row.objects.first()  # no
count: str = Row.objects.count()  # no
key: int = Row.objects.get().id  # no
several: list[tuple[int]] = list(Row.objects.values_list(Row.day))  # no
plain: list[int] = list(Row.objects.values_list(Row.day, flat=True))  # no
names: list[tuple[str]] = list(City.objects.values_list(City.twin[City.name]))  # no
made: tuple[Row, bool] = User.objects.get_or_create(name="x")  # no
known: dict[int, Row] = User.objects.in_bulk([1])  # no
found: list[Row] = list(User.objects.all())  # no
User.objects.bulk_create([row])  # no
User.objects.bulk_update([row], ["name"])  # no
User.objects.iterator(chunk_size="10")  # no
User.objects.filter(name="x").delete(True)  # no
User.objects["name"]  # no
User.objects.create(User.name)  # no
Book.objects.order_by(3)  # no
Book.objects.aggregate(3)  # no
Book.objects.aggregate(total="pages")  # no
Book.objects.annotate(Count("tags"))  # no
Book.objects.explain(True)  # no

# Declarations.
Field(max_length="200")  # no
Field(uniqe=True)  # no
Field(200)  # no
Field(default_factory=3)  # no
PrimaryKey(unique=True)  # no
ForeignKey(on_delete=3)  # no
ForeignKey(relatd_name="x")  # no
Index("a", method=3)  # no
Index(Row.day)  # no
UniqueConstraint(1)  # no
CheckConstraint("a > 0")  # no


class Wrong(Model):
    name: Mapped[str] = 3  # no
    author: ForeignKey[Author] = Author(name="x")  # no


async def awaited() -> None:
    one: Row = await User.objects.aget(id=1)  # no
    several: list[Row] = await User.objects.filter(name="x")  # no
    first: User = await User.objects.afirst()  # no
    User.objects.aget(id=1).name  # no
    async for row in User.objects.filter(name="x"):
        row.day  # no


print(F, Avg, SET_NULL, Decimal, timedelta, uuid, Mood, awaited, first, count, key)
print(several, plain, names, made, known, found, Wrong)
