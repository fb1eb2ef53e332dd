"""Rows as the driver gives them become tuples, dictionaries or single values, by a comprehension for their columns.

What needs no conversion goes through untouched. Rows may be longer than their columns, where ORDER BY needed hidden
ones. A converter may have a short form, which stands in the comprehension itself and is good for what we have written;
where that fails, the converters read the rows from the first one on.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

Form: TypeAlias = Literal["tuple", "dict", "flat"]
"""What becomes of each row; `flat` is its first value."""

Rows: TypeAlias = list[tuple[object, ...]]
Read: TypeAlias = Callable[[Rows], list[Any]]
Converter: TypeAlias = Callable[[object], object]

_KEPT: Final = 1_000
"""Comprehensions that are kept: they differ in their names and in which columns are converted, and in nothing else."""


def read_moment(value: object) -> object:
    """A moment in text: ours says no zone and is in UTC."""
    try:
        return datetime.fromisoformat(f"{value}Z")  # half the time of replace(tzinfo=UTC); a day alone takes no Z
    except ValueError:  # somebody else has written it, with a zone
        found = datetime.fromisoformat(str(value))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


class Short(NamedTuple):
    """What a converter does first, for generated code: a call in Python less for each value.

    A `ValueError` or `TypeError` of it says that the converter itself must look.

    Attributes:
        expression: What is computed: of `{value}`, by `{call}`; `{convert}` is the converter.
        call: What is called: of C, mostly.
    """

    expression: str
    call: Callable[..., object]


SHORTS: Final[MutableMapping[Converter, Short]] = WeakKeyDictionary()
"""The short forms of the converters that have one."""
SHORTS[read_moment] = Short("{call}({value} + 'Z')", datetime.fromisoformat)


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
    functions = [convert for convert in converters[:width] if convert is not None]
    shorts = [SHORTS.get(convert) for convert in functions]
    made = partial(_made, form, tuple(names) if form == "dict" else (), width, converted)
    calls = [short and short.call for short in shorts]
    read: Read = made((None,) * len(shorts))(*functions, *calls)
    if not any(shorts):
        return lambda rows: read(rows if not rows or len(rows[0]) == width else _cut(rows, width))
    read_ours: Read = made(tuple([short and short.expression for short in shorts]))(*functions, *calls)

    def read_all(rows: Rows) -> list[Any]:
        rows = rows if not rows or len(rows[0]) == width else _cut(rows, width)
        try:
            return read_ours(rows)
        except (ValueError, TypeError):  # somebody else has written one of them
            return read(rows)

    return read_all


def _cut(rows: Rows, width: int) -> Rows:
    """The rows without hidden columns."""
    return [row[:width] for row in rows]


@lru_cache(maxsize=_KEPT)
def _made(
    form: Form, names: tuple[str, ...], width: int, converted: tuple[int, ...], shorts: tuple[str | None, ...]
) -> Any:
    """A function that takes the converters and gives the one that reads rows."""
    values = [f"c{place}" for place in range(width)]
    for place, short in zip(converted, shorts, strict=True):
        expression = short or "{convert}({value})"
        made = expression.format(value=f"c{place}", convert=f"f{place}", call=f"s{place}")
        values[place] = f"None if c{place} is None else {made}"
    if form == "dict":
        item = "{" + ", ".join([f"{name!r}: {value}" for name, value in zip(names, values, strict=True)]) + "}"
    else:
        item = values[0] if form == "flat" else f"({', '.join(values)},)"
    given = ", ".join([f"f{place}" for place in converted] + [f"s{place}" for place in converted])
    columns = "".join([f"c{place}, " for place in range(width)])
    scope: dict[str, Any] = {}
    source = f"def made({given}): return lambda rows: [{item} for {columns}in rows]"
    exec(compile(source, "<read>", "exec"), scope)
    return scope["made"]
