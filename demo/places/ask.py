"""`python -m places.ask`: a few questions, first blocking and then awaiting."""

from __future__ import annotations

import asyncio

from datalayer import pools
from places.models import City, Continent, Country


def blocking() -> None:
    """The ten largest cities of each continent, and countries without a large one."""
    for continent in Continent.objects.all():
        cities = City.objects.filter(City.country[Country.continent] == continent).largest_first()
        shown = [f"{city.name} ({city.country.code})" for city in cities.select_related("country")[:10]]
        print(f"{continent.name}: {', '.join(shown)}")
    small = Country.objects.exclude(cities__population__gte=100_000)
    print(f"{small.count()} countries without a city of 100 000, among them:", end=" ")
    print(", ".join(small.values_list(Country.name, flat=True)[:8]))


async def awaiting() -> None:
    """The same world, asked with await."""
    tokyo = await City.objects.select_related("country").aget(City.name == "Tokyo")
    print(f"{tokyo.name} is in {tokyo.country.name}; {tokyo.population:,} people")
    async for city in City.objects.filter(City.country[Country.code] == "NZ").largest_first()[:3]:
        print(f"{city.name}: {city.population:,}")
    print(f"{await City.objects.filter(name__istartswith='san ').acount()} cities begin with 'San '")
    await pools.aclose_all()


if __name__ == "__main__":
    print(f"-- blocking, on {pools['default'].settings.url}")
    blocking()
    print("-- awaiting")
    asyncio.run(awaiting())
    pools.close_all()
