"""Aggregates that SQLite lacks: of statistics, and those that bring values together in an order."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar


class _Statistic:
    """The spread of numbers, from the sum of squares around the mean; NULL where there are too few."""

    is_sample: ClassVar[bool]
    is_root: ClassVar[bool]

    def __init__(self) -> None:
        self.numbers: list[float] = []

    def step(self, value: object) -> None:
        """Counts a number in; NULL counts for nothing."""
        if value is not None:
            self.numbers.append(float(str(value)))

    def inverse(self, value: object) -> None:
        """Counts a number out, where a window moves on."""
        if value is not None:
            self.numbers.remove(float(str(value)))

    def value(self) -> float | None:
        """What it is now."""
        count = len(self.numbers) - self.is_sample
        if count < 1:
            return None
        mean = math.fsum(self.numbers) / len(self.numbers)
        variance = math.fsum((number - mean) ** 2 for number in self.numbers) / count
        return math.sqrt(variance) if self.is_root else variance

    finalize = value


class VarPop(_Statistic):
    """`var_pop`."""

    is_sample, is_root = False, False


class VarSamp(_Statistic):
    """`var_samp`."""

    is_sample, is_root = True, False


class StddevPop(_Statistic):
    """`stddev_pop`."""

    is_sample, is_root = False, True


class StddevSamp(_Statistic):
    """`stddev_samp`."""

    is_sample, is_root = True, True


class _Collected:
    """Values in an order: `d` for each once, then a letter for each key (`a` up, `z` down; capitals: NULLs first).

    `b` and `y` are `a` and `z` for decimals that are texts.
    """

    keeps_null: ClassVar[bool]

    def __init__(self) -> None:
        self.rows: list[tuple[Any, tuple[Any, ...]]] = []
        self.letters = ""
        self.between: Any = None

    def step(self, value: Any, between: Any, letters: str, *keys: Any) -> None:
        """Takes a value with its keys."""
        self.between, self.letters = between, letters
        if value is not None or self.keeps_null:
            self.rows.append((value, keys))

    def _values(self) -> list[Any]:
        rows, letters = self.rows, self.letters.removeprefix("d")
        for place in range(len(letters) - 1, -1, -1):  # the last key first: sorting is stable
            letter = letters[place]
            nulls = [row for row in rows if row[1][place] is None]
            rest = [row for row in rows if row[1][place] is not None]
            is_decimal = letter in "bByY"
            rest.sort(
                key=lambda row: _by_value(row[1][place]) if is_decimal else row[1][place], reverse=letter in "zZyY"
            )
            rows = [*nulls, *rest] if letter.isupper() else [*rest, *nulls]
        found = [value for value, _ in rows]
        if not self.letters.startswith("d"):
            return found
        once = list(dict.fromkeys(found))
        return once if letters else sorted(once, key=lambda value: (value is None, value))


def _by_value(text: object) -> tuple[bool, Decimal, str]:
    """What a decimal in a text is put in order by; what is no number comes after every number."""
    try:
        number = Decimal(str(text))
    except InvalidOperation:
        return True, Decimal(0), str(text)
    return (True, Decimal(0), str(text)) if number.is_nan() else (False, number, "")


class StringAgg(_Collected):
    """Texts with a text between them; NULL when there is none."""

    keeps_null = False

    def finalize(self) -> str | None:
        """The whole text."""
        found = self._values()
        return str(self.between or "").join(str(value) for value in found) if found else None


class JsonAgg(_Collected):
    """Values, each JSON text, as a JSON array; NULL when there is no row."""

    keeps_null = True

    def finalize(self) -> str | None:
        """The JSON text."""
        found = self._values()
        return "[" + ",".join("null" if value is None else str(value) for value in found) + "]" if found else None


COLLECTORS: list[tuple[str, Callable[[], object]]] = [
    ("string_agg", StringAgg),
    ("jsonb_agg", JsonAgg),
    ("array_agg", JsonAgg),
]
"""Name (to which `datalayer_` is added) and class; any number of arguments."""

STATISTICS: list[tuple[str, Callable[[], object]]] = [
    ("var_pop", VarPop),
    ("var_samp", VarSamp),
    ("stddev_pop", StddevPop),
    ("stddev_samp", StddevSamp),
]
"""As `COLLECTORS`, of one argument, and over windows too."""
