"""Conditions in `Meta` that wait: a `Q` or a function needs the columns of the model, and these its relations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from datalayer._schema.table import CheckSpec, ExclusionSpec, IndexSpec, SqlText, TableSpec, UniqueSpec
from datalayer.models.constraints import CheckConstraint, ExclusionConstraint, Index, UniqueConstraint, is_node

_LATER = "written later"


def sql_of(condition: object) -> SqlText | None:
    """The SQL of a condition; of one that is no SQL a word in its place, until `written_conditions` is called."""
    if condition is None or isinstance(condition, str):
        return condition
    return _LATER if is_node(condition) else dict(cast("Mapping[str, str]", condition))


def written_conditions(
    table: TableSpec, given: tuple[Any, ...], write: Callable[[object, str], tuple[SqlText, tuple[str, ...]]]
) -> None:
    """Puts the SQL of conditions that are no SQL into the table, now that its relations are known.

    Args:
        table: The table of the model.
        given: The constraints and indexes of its `Meta`.
        write: Gives the SQL of a condition and the fields it is about; the text names its place.
    """
    waiting: dict[type, list[Any]] = {CheckSpec: [], UniqueSpec: [], ExclusionSpec: [], IndexSpec: []}
    kinds: dict[type, type] = {
        CheckConstraint: CheckSpec,
        UniqueConstraint: UniqueSpec,
        ExclusionConstraint: ExclusionSpec,
        Index: IndexSpec,
    }
    for one in given:
        if is_node(one.condition):
            waiting[kinds[type(one)]].append(one)

    def written(specs: tuple[Any, ...], attribute: str) -> tuple[Any, ...]:
        found: list[Any] = []
        for spec in specs:
            if getattr(spec, attribute) is _LATER:
                given = waiting[type(spec)].pop(0)
                place = f"{table.model}.Meta: the condition of {type(given).__name__} {spec.name!r}"
                sql, fields = write(given.condition, place)
                more = {"fields": fields} if isinstance(spec, CheckSpec) else {}
                spec = replace(spec, **{attribute: sql}, **more)
            found.append(spec)
        return tuple(found)

    if any(waiting.values()):
        table.checks = written(table.checks, "sql")
        table.unique = written(table.unique, "condition")
        table.exclusions = written(table.exclusions, "condition")
        table.indexes = written(table.indexes, "condition")
