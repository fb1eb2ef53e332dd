"""Functions of one row that SQLite lacks, or that mean something else there than on PostgreSQL: text, numbers, moments.

They answer NULL for NULL. Numbers may come as text: decimals of more than 15 digits are kept so. A value that has no
answer (the root of a negative number) gives NULL, where PostgreSQL raises an error.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from datalayer._compile.values import as_decimal

EXACT: Final = Context(prec=1000, rounding=ROUND_HALF_EVEN)
"""Wide enough that sums of money and of any column a person would declare stay exact."""


def _null_safe(function: Callable[..., object]) -> Callable[..., object]:
    """The same, with NULL for NULL."""

    @functools.wraps(function)
    def run(*arguments: object) -> object:
        return None if None in arguments else function(*arguments)

    return run


# -- text ------------------------------------------------------------------------------------------


def _padded(text: str, length: int, fill: str) -> str:
    missing = length - len(text)
    return (fill * (missing // len(fill) + 1))[:missing] if fill and missing > 0 else ""


def lpad(text: object, length: int, fill: str = " ") -> str:
    """Text filled up from the left, or cut, to a length."""
    return (_padded(str(text), length, fill) + str(text))[: max(length, 0)]


def rpad(text: object, length: int, fill: str = " ") -> str:
    """Text filled up to the right, or cut, to a length."""
    return (str(text) + _padded(str(text), length, fill))[: max(length, 0)]


def repeat(text: object, times: int) -> str:
    """Text several times."""
    return str(text) * max(times, 0)


def reverse(text: object) -> str:
    """Text from its end."""
    return str(text)[::-1]


def _digest(name: str) -> Callable[[object], str]:
    def run(text: object) -> str:
        return hashlib.new(name, str(text).encode(), usedforsecurity=False).hexdigest()

    return run


def float_text(number: float) -> str:
    """A floating point number as PostgreSQL writes it."""
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    text = repr(float(number))
    if 1e15 <= abs(number) < 1e16:
        digits = Decimal(text).normalize()
        head, exponent = f"{digits:e}".split("e")
        return f"{head}e{exponent}"
    return text.removesuffix(".0")


def decimal_text(number: object, scale: int | None) -> str | None:
    """A decimal with the digits of its scale."""
    if number is None:
        return None
    return format(as_decimal(number) if scale is None else rounded(number, scale), "f")


# -- numbers ---------------------------------------------------------------------------------------


def rounded(number: object, places: int) -> Decimal:
    """The number rounded half away from zero, to places behind the point or before it."""
    return as_decimal(number).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=EXACT)


def _like(found: Decimal, given: object) -> object:
    """A result in the form that the number came in."""
    if isinstance(given, int):
        return int(found)
    return float(found) if isinstance(given, float) else format(found, "f")


def round_(number: object, places: int = 0) -> object:
    """A number rounded half away from zero, to places behind the point or before it."""
    if isinstance(number, float) and not math.isfinite(number):
        return number
    return _like(rounded(number, places), number)


def ceil(number: object) -> object:
    """The next whole number upwards."""
    if isinstance(number, float):
        return float(math.ceil(number)) if math.isfinite(number) else number
    return _like(as_decimal(number).to_integral_value(ROUND_CEILING), number)


def floor(number: object) -> object:
    """The next whole number downwards."""
    if isinstance(number, float):
        return float(math.floor(number)) if math.isfinite(number) else number
    return _like(as_decimal(number).to_integral_value(ROUND_FLOOR), number)


def sign(number: object) -> object:
    """-1, 0 or 1."""
    found = as_decimal(number)
    return _like(Decimal((found > 0) - (found < 0)), number)


def mod(number: object, divisor: object) -> object:
    """What a division leaves, with the sign of the number; NULL for a division by zero."""
    if as_decimal(divisor) == 0:
        return None
    found = EXACT.remainder(as_decimal(number), as_decimal(divisor))
    return _like(found, number if isinstance(number, float) else divisor if isinstance(divisor, float) else number)


def _of_floats(function: Callable[..., float]) -> Callable[..., object]:
    """A function of floating point numbers; NULL where it has no value."""

    def run(*numbers: object) -> object:
        try:
            return function(*[float(str(number)) for number in numbers])
        except (ValueError, OverflowError, ZeroDivisionError):
            return None

    return _null_safe(run)


def _power(base: float, exponent: float) -> float:
    return math.pow(base, exponent)


def _log(base: float, number: float) -> float:
    # The quotient misses whole answers: log(10, 1000) would be just below 3.
    exactly = {2.0: math.log2, 10.0: math.log10}.get(base)
    return math.log(number) / math.log(base) if exactly is None else exactly(number)


def _cot(number: float) -> float:
    return 1 / math.tan(number)


def greatest(*values: object) -> object:
    """The greatest value; NULLs are looked past."""
    found = [value for value in values if value is not None]
    return max(found) if found else None  # type: ignore[type-var]


def least(*values: object) -> object:
    """The smallest value; NULLs are looked past."""
    found = [value for value in values if value is not None]
    return min(found) if found else None  # type: ignore[type-var]


def greatest_decimal(*values: object) -> object:
    """`greatest` of decimals, some of which are text."""
    found = [value for value in values if value is not None]
    return max(found, key=as_decimal) if found else None


def least_decimal(*values: object) -> object:
    """`least` of decimals, some of which are text."""
    found = [value for value in values if value is not None]
    return min(found, key=as_decimal) if found else None


# -- from one type to another ----------------------------------------------------------------------


def integer(value: object, is_even: int) -> int:
    """A whole number: doubles are rounded half to even, decimals half away from zero, text must be one."""
    if isinstance(value, int):
        return value
    if isinstance(value, float) and is_even:
        return round(value)
    if isinstance(value, float):
        return int(as_decimal(value).to_integral_value(ROUND_HALF_UP))
    try:
        return int(str(value))
    except ValueError:
        return int(Decimal(str(value)).to_integral_value(ROUND_HALF_UP))


def number(value: object) -> object:
    """A number out of a number or its text."""
    return value if isinstance(value, int | float) else float(str(value))


_WORDS = {"true": 1, "t": 1, "yes": 1, "on": 1, "1": 1, "false": 0, "f": 0, "no": 0, "off": 0, "0": 0}


def boolean(value: object) -> int:
    """1 or 0 out of a number or a word."""
    if isinstance(value, int | float):
        return int(value != 0)
    return _WORDS[str(value).strip().lower()]


# -- moments ---------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _read(text: object) -> datetime:
    found = datetime.fromisoformat(str(text))
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def _written(moment: datetime) -> str:
    return moment.isoformat(" ", "microseconds")


def moment(kind: str, text: object) -> str:
    """Text as a `date`, `time` or `datetime`."""
    if kind == "time":
        whole = str(text)
        return _written(_read(whole)).split(" ")[1] if "-" in whole else _written(_read(f"2000-01-01 {whole}"))[11:]
    return str(_read(text).date()) if kind == "date" else _written(_read(text))


def in_zone(text: object, name: str) -> str:
    """A moment in UTC as the clocks of a time zone show it."""
    return _written(_read(text).replace(tzinfo=UTC).astimezone(_zone(name)).replace(tzinfo=None))


def from_zone(text: object, name: str) -> str:
    """What the clocks of a time zone show as a moment in UTC; as PostgreSQL takes hours that come twice or never."""
    local = _read(text)
    first = local.replace(tzinfo=_zone(name), fold=0).astimezone(UTC)
    second = local.replace(tzinfo=_zone(name), fold=1).astimezone(UTC)
    return _written(max(first, second).replace(tzinfo=None))


def trunc(word: str, text: object) -> str:
    """The begin of the year, hour, ... that a date, a moment or a time lies in."""
    whole = str(text)
    day, clock = whole[:10], whole[11:]
    if word in {"hour", "minute", "second"}:
        is_time = len(whole) > 2 and whole[2] == ":"
        kept = (whole if is_time else clock)[: {"hour": 2, "minute": 5, "second": 8}[word]]
        cut = f"{kept}{'00:00:00.000000'[len(kept) :]}"
        return cut if is_time else f"{day} {cut}"
    if word == "year":
        day = f"{day[:4]}-01-01"
    elif word == "month":
        day = f"{day[:7]}-01"
    elif word == "quarter":
        day = f"{day[:4]}-{(int(day[5:7]) - 1) // 3 * 3 + 1:02}-01"
    elif word == "week":
        found = date.fromisoformat(day)
        day = (found - timedelta(days=found.weekday())).isoformat()
    return f"{day} 00:00:00.000000" if clock else day


def shift(text: object, microseconds: float) -> str:
    """A date or a moment, later by a duration."""
    found = _read(text) + timedelta(microseconds=round(microseconds))
    return _written(found) if len(str(text)) > 10 else found.date().isoformat()


def between(later: object, earlier: object) -> int:
    """The microseconds from one date or moment to another."""
    return (_read(later) - _read(earlier)) // timedelta(microseconds=1)


def bits_of_one(left: int, right: int) -> int:
    """The bits that only one of two whole numbers has."""
    return left ^ right


SCALARS: list[tuple[str, int, Callable[..., object]]] = [
    ("lpad", 2, _null_safe(lpad)),
    ("lpad", 3, _null_safe(lpad)),
    ("rpad", 2, _null_safe(rpad)),
    ("rpad", 3, _null_safe(rpad)),
    ("repeat", 2, _null_safe(repeat)),
    ("reverse", 1, _null_safe(reverse)),
    *[(name, 1, _null_safe(_digest(name))) for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")],
    ("float_text", 1, _null_safe(float_text)),
    ("decimal_text", 2, decimal_text),
    ("round", 1, _null_safe(round_)),
    ("round", 2, _null_safe(round_)),
    ("ceil", 1, _null_safe(ceil)),
    ("floor", 1, _null_safe(floor)),
    ("sign", 1, _null_safe(sign)),
    ("mod", 2, _null_safe(mod)),
    ("bits_of_one", 2, _null_safe(bits_of_one)),
    ("power", 2, _of_floats(_power)),
    ("log", 2, _of_floats(_log)),
    ("atan2", 2, _of_floats(math.atan2)),
    ("cot", 1, _of_floats(_cot)),
    ("ln", 1, _of_floats(math.log)),
    *[
        (name, 1, _of_floats(getattr(math, name)))
        for name in ("sqrt", "exp", "sin", "cos", "tan", "asin", "acos", "atan", "degrees", "radians")
    ],
    ("greatest", -1, greatest),
    ("least", -1, least),
    ("greatest_decimal", -1, greatest_decimal),
    ("least_decimal", -1, least_decimal),
    ("integer", 2, _null_safe(integer)),
    ("number", 1, _null_safe(number)),
    ("boolean", 1, _null_safe(boolean)),
    ("moment", 2, _null_safe(moment)),
    ("in_zone", 2, _null_safe(in_zone)),
    ("from_zone", 2, _null_safe(from_zone)),
    ("trunc", 2, _null_safe(trunc)),
    ("shift", 2, _null_safe(shift)),
    ("between", 2, _null_safe(between)),
]
"""Name (to which `datalayer_` is added), number of arguments (-1 for any) and function."""
