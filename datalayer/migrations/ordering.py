"""The order of the migrations of a folder.

Python files say what they follow. Plain SQL does not: it takes its place by its version, and follows everything
before it.
"""

from __future__ import annotations

import re
from pathlib import Path

from datalayer.errors import MigrationError, choices_text, nearest
from datalayer.migrations.scripts import Migration

_NUMBERED = re.compile(r"\d[\d-]*_")


def in_order(found: list[Migration], folder: Path) -> list[Migration]:
    """The migrations in an order where each comes after what it follows; fills in `parents`."""
    by_name = {one.name: one for one in found}
    sql = sorted((one for one in found if one.is_sql), key=lambda one: (one.version, one.name))
    waiting = sorted((one for one in found if not one.is_sql), key=lambda one: (one.version, one.name))
    order: list[Migration] = []
    placed: set[str] = set()
    tips: set[str] = set()  # what nothing placed follows yet: all that SQL has to follow
    last_sql: str | None = None
    for one in waiting:
        for parent in one.declared or ():
            if parent not in by_name:
                raise MigrationError(
                    f"the history in {folder.name!r} cannot be read: {one.path.name!r} follows {parent!r}, which is "
                    f"not there{nearest(parent, by_name)}"
                )

    def put(one: Migration, parents: tuple[str, ...]) -> None:
        one.parents = parents
        order.append(one)
        placed.add(one.name)
        tips.difference_update(parents)
        tips.add(one.name)

    def put_sql(until: int) -> None:
        nonlocal last_sql
        for one in sql[:until]:
            put(one, tuple(sorted(tips)))
            last_sql = one.name
        del sql[:until]

    while waiting:
        ready = next((one for one in waiting if _is_ready(one, placed, by_name)), None)
        if ready is None:
            raise MigrationError(
                f"the history in {folder.name!r} goes in a circle: {choices_text(one.name for one in waiting)}"
            )
        named = [place + 1 for place, one in enumerate(sql) if one.name in (ready.declared or ())]
        is_numbered = bool(_NUMBERED.match(ready.name))
        before = [place + 1 for place, one in enumerate(sql) if is_numbered and one.version < ready.version]
        put_sql(max([*named, *before, 0]))
        parents = set(ready.declared or ())
        if last_sql is not None and last_sql not in _all_above(parents, by_name):
            parents.add(last_sql)
        put(ready, tuple(sorted(parents)))
        waiting.remove(ready)
    put_sql(len(sql))
    return order


def _is_ready(one: Migration, placed: set[str], by_name: dict[str, Migration]) -> bool:
    return all(parent in placed or by_name[parent].is_sql for parent in one.declared or ())


def _all_above(names: set[str], by_name: dict[str, Migration]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += by_name[name].parents
    return found
