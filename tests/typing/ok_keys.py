"""Right lines about keys, types of columns and relations."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar, assert_type

from keys import City, Country, Event, Mood, Point, Profile, Row, RowManager, User

from datalayer import Manager, Model
from datalayer.models.column import Column, Expr

M = TypeVar("M", bound=Model)


def newest(model: type[M]) -> M:
    return model.objects.order_by("-id")[0]


row = Row(day=date(2020, 1, 1), mood=Mood.BAD, point=Point(x=1, y=2))
assert_type(row.id, uuid.UUID)
assert_type(Row.id, Column[Row, uuid.UUID])
assert_type(row.small, int)
assert_type(row.made, datetime)
assert_type(row.mood, Mood)
assert_type(row.point, Point | None)
assert_type(row.free, dict[str, Any])
assert_type(row.total, int)
assert_type(row.code, str)
assert_type(Row.objects.recent(), RowManager)
assert_type(Row.objects.filter(id=row.id).recent().recent().get(), Row)
Row.objects.filter(Row.mood == Mood.GOOD, Row.span > timedelta(1), Row.amount >= 3, Row.ratio < 1.5)
Row.objects.filter(Row.amount.between(Decimal(1), Decimal(2)), Row.mood.in_([Mood.GOOD]), Row.is_open == True)  # noqa: E712
Row.objects.filter(Row.note.contains("x"), Row.day.part("year") == 2020, Row.made.part("month") > 3)
Row.objects.filter(Row.id.in_([uuid.uuid4()]), Row.point.is_null(), Row.note == None)  # noqa: E711
assert_type(Row.day.part("year"), Expr[Row, int])
assert_type(Row.small + 1, Expr[Row, int])
assert_type(Row.objects.get(Row.id == uuid.uuid4()), Row)

country = Country(code="NL", name="Netherlands")
city = City(country=country, name="Delft")
assert_type(city.country, Country)
assert_type(city.twin, City | None)
assert_type(city.country.name, str)
assert_type(list(country.cities), list[City])
assert_type(country.cities.filter(City.name == "Delft").first(), City | None)
City.objects.filter(City.country[Country.name] == "x", City.twin[City.name] == "y", City.country == country)
City.objects.filter(City.twin == None, City.twin.is_null())  # noqa: E711
assert_type(City.twin[City.name], Expr[City, str | None])
assert_type(
    list(City.objects.values_list(City.name, City.twin[City.name])),
    list[tuple[str, str | None]],
)
city.twin = city
city.twin = None

user = User(name="Ann", manager=User(name="Bob"))
profile = Profile(user=user, row=row, row_id=None)
assert_type(user.profile, Profile)
assert_type(user.profile.row, Row | None)
assert_type(profile.row_id, uuid.UUID | None)
Profile.objects.filter(Profile.user[User.manager][User.name] == "Bob", Profile.row[Row.day] > date(2020, 1, 1))
Profile.objects.select_related(Profile.user, Profile.user[User.manager], "row")
User.objects.prefetch_related(User.profile, "profile__row")

assert_type(Event(name="x").made, datetime)
assert_type(Event.objects, Manager[Event])
assert_type(newest(Event), Event)


def everything(user: User) -> None:
    assert_type(User.objects.get_or_create(name="x", defaults={"manager": None}), tuple[User, bool])
    assert_type(User.objects.update_or_create(name="x", defaults={"name": "y"}), tuple[User, bool])
    assert_type(User.objects.in_bulk([1, 2]), dict[int, User])
    assert_type(User.objects.count(), int)
    assert_type(User.objects.exists(), bool)
    assert_type(User.objects.last(), User | None)
    assert_type(User.objects.earliest(User.name), User)
    assert_type(User.objects.create(name="x"), User)
    assert_type(User.objects.bulk_update([user], [User.name, "manager"]), int)
    assert_type(User.objects.filter(User.name == "x").delete(), int)
    assert_type(list(User.objects.values("name", other=User.name)), list[dict[str, Any]])
    assert_type(list(User.objects.values_list("name", "id")), list[tuple[Any, ...]])
    assert_type(list(User.objects.values_list("name", flat=True)), list[Any])
    assert_type([user.name for user in User.objects.iterator(10)], list[str])
    assert_type(User.objects.only(User.name).defer("name").reverse().distinct().all().none()[:3].first(), User | None)
    assert_type(list(User.objects.raw("select * from user")), list[User])
    assert_type(User.objects.using("default").explain(analyze=True), str)
    assert_type(user.save(update_fields=["name"]), None)
    assert_type(user.delete(), int)
    assert_type(user.refresh(fields=["name"]), None)
    try:
        User.objects.get(User.name == "x")
    except (User.DoesNotExist, User.MultipleObjectsReturned):
        pass


async def everything_awaited(user: User) -> None:
    assert_type(await User.objects.aget_or_create(name="x"), tuple[User, bool])
    assert_type(await User.objects.ain_bulk(), dict[Any, User])
    assert_type(await User.objects.acount(), int)
    assert_type(await User.objects.afirst(), User | None)
    assert_type(await User.objects.values_list(User.id, User.name), list[tuple[int, str]])
    assert_type([user.id async for user in User.objects.aiterator()], list[int])
    assert_type([city async for city in country.cities], list[City])
    assert_type(await user.adelete(), int)
    await user.aload("profile")
