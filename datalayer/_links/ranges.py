"""Ranges on SQLite, where they are text such as `[1,5)`: the functions and operators that PostgreSQL has of its own."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

from datalayer._compile.values import as_decimal
from datalayer._schema.ranges import Bounds, Interval

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> Interval[Any]:
    """The range in a text; numbers are decimals, days and moments the text that sorts as they do."""
    if text == "empty":
        return Interval[Any].empty()
    lower, upper = text[1:-1].split(",")
    return Interval(_end(lower), _end(upper), cast("Bounds", text[0] + text[-1]))


def _end(value: str | float) -> Decimal | str | None:
    if isinstance(value, str):
        return Decimal(value) if _NUMBER.fullmatch(value) else value or None
    return as_decimal(value)


def _lower(text: str | None) -> str | None:
    return None if text is None or text == "empty" else text[1 : text.index(",")] or None


def _upper(text: str | None) -> str | None:
    return None if text is None or text == "empty" else text[text.index(",") + 1 : -1] or None


def _has(text: str | None, value: str | float | None) -> bool | None:
    return None if text is None or value is None else _end(value) in _parsed(text)


def _test(name: str) -> Callable[[str | None, str | None], bool | None]:
    method = getattr(Interval, name)

    def run(left: str | None, right: str | None) -> bool | None:
        return None if left is None or right is None else method(_parsed(left), _parsed(right))

    return run


def _contained_by(left: str | None, right: str | None) -> bool | None:
    return None if left is None or right is None else _parsed(right).contains(_parsed(left))


def _flag(name: str) -> Callable[[str | None], bool | None]:
    return lambda text: None if text is None else getattr(_parsed(text), name)


def _place(text: str | None) -> bytes | None:
    """Bytes that sort as PostgreSQL sorts ranges: the empty one first, then by where they begin, then by where they
    end.
    """
    if text is None:
        return None
    found = _parsed(text)
    if found.is_empty:
        return b"\0"
    lower = b"\0" if found.lower is None else b"\1" + _bytes(found.lower) + (b"\0" if found.lower_inc else b"\1")
    upper = b"\2" if found.upper is None else b"\1" + _bytes(found.upper) + (b"\1" if found.upper_inc else b"\0")
    return b"\1" + lower + upper


def _bytes(end: Decimal | str) -> bytes:
    if isinstance(end, str):
        return end.encode() + b"\0"
    sign, digits, exponent = end.normalize().as_tuple()
    if not end:
        return b"\1"
    # As 0.digits times a power of ten: the power tells first which is greater, then the digits from the left.
    size = (len(digits) + int(exponent) + 2**31).to_bytes(4)
    found = size + bytes([digit + 1 for digit in digits]) + b"\0"
    return b"\0" + bytes([255 - byte for byte in found]) if sign else b"\2" + found


RANGES: list[tuple[str, int, Callable[..., object]]] = [
    ("range_lower", 1, _lower),
    ("range_upper", 1, _upper),
    ("range_has", 2, _has),
    ("range_contained_by", 2, _contained_by),
    *[
        (f"range_{name}", 2, _test(method))
        for name, method in {
            "contains": "contains",
            "overlap": "overlaps",
            "fully_lt": "fully_lt",
            "fully_gt": "fully_gt",
            "not_lt": "not_lt",
            "not_gt": "not_gt",
            "adjacent_to": "adjacent_to",
        }.items()
    ],
    ("range_isempty", 1, _flag("is_empty")),
    *[(f"range_{name}", 1, _flag(name)) for name in ("lower_inc", "upper_inc", "lower_inf", "upper_inf")],
    ("range_place", 1, _place),
]
"""As `SCALARS`."""
