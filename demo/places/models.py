"""The places of the world, as geonames.org knows them."""

from __future__ import annotations

from typing import ClassVar, Self

from datalayer import CASCADE, Field, ForeignKey, Index, Manager, Mapped, Model, Reverse


class Continent(Model):
    code: Mapped[str] = Field(max_length=2, unique=True)
    name: Mapped[str] = Field(max_length=40)
    countries: ClassVar[Reverse[Country]]

    class Meta:
        ordering = ("name",)


class Country(Model):
    code: Mapped[str] = Field(max_length=2, unique=True)
    name: Mapped[str] = Field(max_length=100)
    population: Mapped[int] = Field(ge=0)
    continent: ForeignKey[Continent] = ForeignKey(on_delete=CASCADE, related_name="countries")
    cities: ClassVar[Reverse[City]]

    class Meta:
        ordering = ("name",)


class State(Model):
    code: Mapped[str] = Field(max_length=10)
    name: Mapped[str] = Field(max_length=100)
    country: ForeignKey[Country] = ForeignKey(on_delete=CASCADE, related_name="states")


class CityManager(Manager["City"]):
    def largest_first(self) -> Self:
        return self.order_by(City.population.desc(), "name")


class City(Model):
    name: Mapped[str] = Field(max_length=200, index=True)
    population: Mapped[int] = Field(ge=0)
    latitude: Mapped[float] = Field(ge=-90, le=90)
    longitude: Mapped[float] = Field(ge=-180, le=180)
    timezone: Mapped[str] = Field(max_length=60)
    country: ForeignKey[Country] = ForeignKey(on_delete=CASCADE, related_name="cities")
    state: ForeignKey[State | None] = ForeignKey(on_delete=CASCADE, related_name="cities", default=None)

    objects: ClassVar[CityManager] = CityManager()

    class Meta:
        indexes = (Index("country", "population"),)
