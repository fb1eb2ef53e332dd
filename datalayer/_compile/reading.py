"""Rows as the driver gives them become tuples, dictionaries or single values, by a comprehension for their columns.

What needs no conversion goes through untouched. Rows may be longer than their columns, where ORDER BY needed hidden
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

Form: TypeAlias = Literal["tuple", "dict", "flat"]
"""What becomes of each row; `flat` is its first value."""

Rows: TypeAlias = list[tuple[object, ...]]
Read: TypeAlias = Callable[[Rows], list[Any]]
Converter: TypeAlias = Callable[[object], object]

_KEPT: Final = 1_000
"""Comprehensions that are kept: they differ in their names and in which columns are converted, and in nothing else."""


def reader(form: Form, names: Sequence[str], converters: Sequence[Converter | None]) -> Read:
    """What makes results of rows.

    Args:
        form: What each row becomes.
        names: Those of the columns.
        converters: What makes our value of the driver's; None where nothing is to do. Never called with None.
    """
    width = 1 if form == "flat" else len(converters)
    converted = tuple([place for place, convert in enumerate(converters[:width]) if convert is not None])
    if form == "tuple" and not converted:
        return lambda rows: rows if not rows or len(rows[0]) == width else _cut(rows, width)
    made = _made(form, tuple(names) if form == "dict" else (), width, converted)
    read: Read = made(*[converters[place] for place in converted])
    return lambda rows: read(rows if not rows or len(rows[0]) == width else _cut(rows, width))


def _cut(rows: Rows, width: int) -> Rows:
    """The rows without hidden columns."""
    return [row[:width] for row in rows]


@lru_cache(maxsize=_KEPT)
def _made(form: Form, names: tuple[str, ...], width: int, converted: tuple[int, ...]) -> Any:
    """A function that takes the converters and gives the one that reads rows."""
    values = [
        f"None if c{place} is None else f{place}(c{place})" if place in converted else f"c{place}"
        for place in range(width)
    ]
    if form == "dict":
        item = "{" + ", ".join([f"{name!r}: {value}" for name, value in zip(names, values, strict=True)]) + "}"
    else:
        item = values[0] if form == "flat" else f"({', '.join(values)},)"
    given = ", ".join([f"f{place}" for place in converted])
    columns = "".join([f"c{place}, " for place in range(width)])
    scope: dict[str, Any] = {}
    source = f"def made({given}): return lambda rows: [{item} for {columns}in rows]"
    exec(compile(source, "<read>", "exec"), scope)
    return scope["made"]
