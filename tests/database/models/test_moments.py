"""Parts of the first and the last moment there is: no rounding carries one into a year that has no name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from datalayer import F, Mapped, Model
from datalayer.models import registry
from datalayer.testing.tables import acreate_tables, create_tables
from tests.worlds import World

with registry.isolated():

    class Event(Model):
        at: Mapped[datetime]

        class Meta:
            table = "moments_event"

    registry.tables()

FIRST = datetime(1, 1, 1, 0, 0, 0, 1, UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)


@pytest.mark.parametrize(
    ("part", "first", "last"),
    [
        ("year", 1, 9999),
        ("quarter", 1, 4),
        ("month", 1, 12),
        ("day", 1, 31),
        ("hour", 0, 23),
        ("minute", 0, 59),
        ("second", 0, 59),
        ("iso_week_day", 1, 5),
    ],
)
def test_every_moment_has_all_parts(world: World, configured: str, part: str, first: int, last: int) -> None:
    world.run(lambda: create_tables(Event), lambda: acreate_tables(Event))
    world.call(Event.objects, "bulk_create", [Event(at=FIRST), Event(at=LAST)])
    found = Event.objects.annotate(part=F(f"at__{part}")).order_by("at").values_list("part", flat=True)
    assert list(world.iterate(found)) == [first, last]
