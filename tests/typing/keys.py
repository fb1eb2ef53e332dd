"""Models with keys and relations of every kind, for the files here."""

from __future__ import annotations

import enum
import uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel

from datalayer import (
    SET_NULL,
    BigInt,
    Field,
    ForeignKey,
    Manager,
    Mapped,
    Model,
    ModelBase,
    NaiveDatetime,
    OneToOne,
    PrimaryKey,
    Reverse,
    ReverseOne,
    SmallInt,
    UUIDModel,
)


class Mood(enum.StrEnum):
    GOOD = "good"
    BAD = "bad"


class Point(BaseModel):
    x: int
    y: int


class RowManager(Manager["Row"]):
    def recent(self) -> Self:
        return self.filter(Row.day > date(2020, 1, 1))


class Row(UUIDModel):
    day: Mapped[date]
    hour: Mapped[time | None] = Field(default=None)
    made: Mapped[datetime] = Field(auto_now_add=True, init=False)
    local: Mapped[NaiveDatetime | None] = Field(default=None)
    span: Mapped[timedelta] = Field(default=timedelta(0))
    small: Mapped[SmallInt] = Field(default=0)
    big: Mapped[BigInt] = Field(default=0)
    ratio: Mapped[float] = Field(default=0.0)
    amount: Mapped[Decimal] = Field(default=Decimal(0), max_digits=20, decimal_places=2)
    is_open: Mapped[bool] = Field(default=True)
    data: Mapped[bytes] = Field(default=b"")
    mood: Mapped[Mood] = Field(default=Mood.GOOD)
    point: Mapped[Point | None] = Field(default=None)
    free: Mapped[dict[str, Any]] = Field(default_factory=dict)
    note: Mapped[str | None] = Field(default=None)
    code: Mapped[Annotated[str, "short"]] = Field(max_length=3, default="")
    total: Mapped[int] = Field(generated="small + 1", init=False)

    objects: ClassVar[RowManager] = RowManager()


class Country(ModelBase):
    code: Mapped[str] = PrimaryKey(max_length=2)
    name: Mapped[str]
    cities: ClassVar[Reverse[City]]


class City(ModelBase):
    country: ForeignKey[Country] = ForeignKey(related_name="cities", primary_key=True)
    name: Mapped[str] = PrimaryKey(max_length=100)
    twin: ForeignKey[City | None] = ForeignKey(default=None, on_delete=SET_NULL, fields=("twin_country", "twin_name"))
    twin_country: Mapped[str | None] = Field(default=None)
    twin_name: Mapped[str | None] = Field(default=None)


class User(Model):
    name: Mapped[str]
    manager: ForeignKey[User | None] = ForeignKey(default=None, related_name="+")
    profile: ClassVar[ReverseOne[Profile]]


class Profile(Model):
    user: OneToOne[User] = OneToOne(related_name="profile")
    row: ForeignKey[Row | None] = ForeignKey(default=None)
    row_id: Mapped[uuid.UUID | None]


class Dated(Model):
    made: Mapped[datetime] = Field(auto_now_add=True, init=False)

    class Meta:
        abstract = True


class Event(Dated):
    name: Mapped[str]
