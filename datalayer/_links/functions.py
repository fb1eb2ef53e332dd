"""The SQL functions, aggregates and collations that SQLite lacks and the compiler relies on, in one list.

Every connection to SQLite registers all of them, the one of migrations included: a column may be declared with the
collation. Functions answer NULL for NULL and are deterministic, so that an index may use them.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache

from datalayer._compile.values import as_decimal
from datalayer._links.collectors import COLLECTORS, STATISTICS
from datalayer._links.documents import DOCUMENTS
from datalayer._links.networks import NETWORKS
from datalayer._links.ranges import RANGES
from datalayer._links.scalars import EXACT, SCALARS, rounded

_AVERAGE_DIGITS = 28


@lru_cache(maxsize=256)
def _pattern(text: str, flags: int) -> re.Pattern[str]:
    return re.compile(text, flags)


def regexp(pattern: str | None, text: object) -> bool | None:
    """Whether the pattern is found in the text: the function behind SQLite's `text REGEXP pattern`."""
    if pattern is None or text is None:
        return None
    return _pattern(pattern, 0).search(str(text)) is not None


def iregexp(pattern: str | None, text: object) -> bool | None:
    """`regexp` without regard to case."""
    if pattern is None or text is None:
        return None
    return _pattern(pattern, re.IGNORECASE).search(str(text)) is not None


def lower(text: object) -> object:
    """Lower case for every alphabet; SQLite's own `lower` knows ASCII only."""
    return text.lower() if isinstance(text, str) else text


def upper(text: object) -> object:
    """Upper case for every alphabet; SQLite's own `upper` knows ASCII only."""
    return text.upper() if isinstance(text, str) else text


def compare_decimals(left: str, right: str) -> int:
    """The order of two decimal texts by value; what is no number sorts behind every number, by its text."""
    if left == right:
        return 0
    first, second = _number(left), _number(right)
    if first is None or second is None:
        if first is None and second is None:
            return (left > right) - (left < right)
        return 1 if first is None else -1
    return (first > second) - (first < second)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return None if number.is_nan() else number


def _text(number: Decimal) -> str:
    return format(number, "f")


class DecimalSum:
    """The exact sum of decimal texts; NULL when there is none."""

    def __init__(self) -> None:
        self.total: Decimal | None = None
        self.count = 0

    def step(self, value: object) -> None:
        """Adds one value; NULL counts for nothing."""
        if value is not None:
            self.count += 1
            self.total = EXACT.add(self.total or Decimal(0), Decimal(str(value)))

    def inverse(self, value: object) -> None:
        """Takes one value out, where a window moves on."""
        if value is not None:
            self.total = EXACT.subtract(self.total or Decimal(0), Decimal(str(value)))
            self.count -= 1

    def value(self) -> str | None:
        """The sum as text."""
        return None if self.total is None or not self.count else _text(self.total)

    finalize = value


class DecimalAverage:
    """The average of decimal texts, exact sum divided once; NULL when there is none."""

    def __init__(self) -> None:
        self.total = Decimal(0)
        self.count = 0

    def step(self, value: object) -> None:
        """Counts one value in; NULL counts for nothing."""
        if value is not None:
            self.total = EXACT.add(self.total, Decimal(str(value)))
            self.count += 1

    def inverse(self, value: object) -> None:
        """Counts one value out, where a window moves on."""
        if value is not None:
            self.total = EXACT.subtract(self.total, Decimal(str(value)))
            self.count -= 1

    def value(self) -> str | None:
        """The average as text."""
        if not self.count:
            return None
        return _text(Context(prec=_AVERAGE_DIGITS).divide(self.total, Decimal(self.count)))

    finalize = value


def _exactly(compute: Callable[[Decimal, Decimal], Decimal]) -> Callable[[object, object], str | None]:
    """An operator on decimal texts and numbers; NULL for NULL, and where there is no answer, as SQLite does."""

    def run(left: object, right: object) -> str | None:
        if left is None or right is None:
            return None
        try:
            return _text(compute(as_decimal(left), as_decimal(right)))
        except ArithmeticError:
            return None

    return run


# -- what a column has room for --------------------------------------------------------------------


class Refusals(threading.local):
    """Why a function has refused a value: SQLite tells only that one did."""

    column = ""
    reason = ""


refusals = Refusals()


def explain(error: Exception) -> None:
    """Keeps on an error which column had no room, before the error goes to another thread."""
    error.refused = refused(error)  # type: ignore[attr-defined]  # read by `refused`


def refused(error: Exception) -> tuple[str, str] | None:
    """The column that had no room for a computed value, and why; None where that is not what went wrong."""
    if "user-defined function" not in str(error):
        return None
    found: tuple[str, str] | None = getattr(error, "refused", None)
    if found is None and refusals.reason:
        found = refusals.column, refusals.reason
    refusals.reason = ""
    return found


def _refuse(column: str, reason: str) -> ValueError:
    refusals.column, refusals.reason = column, reason
    return ValueError(reason)


def fitted_decimal(value: object, scale: int, precision: int, column: str) -> str | None:
    """A number with the digits of its column; a precision of -1 is none."""
    if value is None:
        return None
    number = rounded(value, scale)
    if precision >= 0 and number and number.adjusted() >= precision - scale:
        raise _refuse(column, f"has more digits than the {precision - scale} before the point it has room for")
    return _text(number)


def fitted_integer(value: object, bits: int, column: str) -> object:
    """A number that a column of so many bits holds; a fraction is rounded, as PostgreSQL does."""
    if value is None:
        return None
    if isinstance(value, int | float):
        number = round(value)
    else:  # a decimal, PostgreSQL's numeric
        number = int(as_decimal(value).to_integral_value(ROUND_HALF_UP, EXACT))
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise _refuse(column, f"is out of the range of a whole number of {bits} bits")
    return number


def fitted_text(value: object, length: int, column: str) -> object:
    """A text that is not longer than its column."""
    if value is not None and len(str(value)) > length:
        raise _refuse(column, f"is longer than the {length} characters it has room for")
    return value


_QUOTIENT = Context(prec=_AVERAGE_DIGITS, rounding=ROUND_HALF_EVEN)

FUNCTIONS: list[tuple[str, int, Callable[..., object]]] = [
    ("regexp", 2, regexp),
    ("iregexp", 2, iregexp),
    ("datalayer_lower", 1, lower),
    ("datalayer_upper", 1, upper),
    ("datalayer_decimal_add", 2, _exactly(EXACT.add)),
    ("datalayer_decimal_subtract", 2, _exactly(EXACT.subtract)),
    ("datalayer_decimal_multiply", 2, _exactly(EXACT.multiply)),
    ("datalayer_decimal_divide", 2, _exactly(_QUOTIENT.divide)),
    ("datalayer_decimal_remainder", 2, _exactly(EXACT.remainder)),
    ("datalayer_decimal_fitted", 4, fitted_decimal),
    ("datalayer_integer_fitted", 3, fitted_integer),
    ("datalayer_text_fitted", 3, fitted_text),
]
"""Name, number of arguments and function."""

AGGREGATES: list[tuple[str, int, Callable[[], object]]] = [
    ("datalayer_decimal_sum", 1, DecimalSum),
    ("datalayer_decimal_avg", 1, DecimalAverage),
]

COLLATIONS: list[tuple[str, Callable[[str, str], int]]] = [("datalayer_decimal", compare_decimals)]


def register(connection: sqlite3.Connection) -> None:
    """Makes every function, aggregate and collation known to a connection."""
    for name, arity, function in (*SCALARS, *DOCUMENTS, *RANGES, *NETWORKS):
        connection.create_function(f"datalayer_{name}", arity, function, deterministic=True)  # type: ignore[arg-type]
    for name, aggregate in COLLECTORS:
        connection.create_aggregate(f"datalayer_{name}", -1, aggregate)  # type: ignore[arg-type]
    for name, aggregate in STATISTICS:
        connection.create_window_function(f"datalayer_{name}", 1, aggregate)  # type: ignore[arg-type]
    for name, arity, function in FUNCTIONS:
        connection.create_function(name, arity, function, deterministic=True)  # type: ignore[arg-type]
    for name, arity, aggregate in AGGREGATES:
        connection.create_window_function(name, arity, aggregate)  # type: ignore[arg-type]
    for name, compare in COLLATIONS:
        connection.create_collation(name, compare)
