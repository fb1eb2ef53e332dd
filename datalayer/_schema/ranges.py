"""All values from one to another, as PostgreSQL has them and with the same answers. Models have them as `Range[int]`.

Whole numbers and days are kept as PostgreSQL keeps them, with the lower end in and the upper one out, so that
`Range(1, 5) == Range(1, 4, "[]")`. A range without a value in it is `Range.empty()`, however it was written.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final, Generic, Literal, Self, TypeAlias, TypeGuard, TypeVar, cast

T_co = TypeVar("T_co", covariant=True)

Bounds: TypeAlias = Literal["[)", "[]", "(]", "()", "empty"]
BOUNDS: Final = ("[)", "[]", "(]", "()", "empty")
"""Which ends belong to a range: `[` and `]` do, `(` and `)` do not; `empty` has no values at all."""


class Interval(Generic[T_co]):
    """All values from `lower` to `upper`; frozen.

    Args:
        lower: Where it begins; None where it has no beginning.
        upper: Where it ends; None where it has no end.
        bounds: Which of the ends belong to it, `[)` being the lower one alone; `empty` for a range without values.

    Raises:
        ValueError: The lower end is greater than the upper one, or they cannot be compared.
    """

    __slots__ = ("bounds", "lower", "upper")
    lower: T_co | None
    upper: T_co | None
    bounds: Bounds

    def __init__(self, lower: T_co | None = None, upper: T_co | None = None, bounds: Bounds = "[)") -> None:
        if bounds not in BOUNDS:
            raise ValueError(f"the bounds of a range are one of {', '.join(BOUNDS)}, not {bounds!r}")
        for name, value in zip(("lower", "upper", "bounds"), _settled(lower, upper, bounds), strict=True):
            object.__setattr__(self, name, value)

    @classmethod
    def empty(cls) -> Self:
        """The range without any value."""
        return cls(bounds="empty")

    @property
    def is_empty(self) -> bool:
        """Whether it has no values."""
        return self.bounds == "empty"

    @property
    def lower_inc(self) -> bool:
        """Whether the lower end belongs to it."""
        return self.bounds[0] == "["

    @property
    def upper_inc(self) -> bool:
        """Whether the upper end belongs to it."""
        return self.bounds[-1] == "]"

    @property
    def lower_inf(self) -> bool:
        """Whether it has no beginning."""
        return self.lower is None and not self.is_empty

    @property
    def upper_inf(self) -> bool:
        """Whether it has no end."""
        return self.upper is None and not self.is_empty

    @property
    def has_steps(self) -> bool:
        """Whether it is of whole numbers or days, which have a next one."""
        return type(self.upper if self.lower is None else self.lower) in _STEPS

    def __contains__(self, value: object) -> bool:
        """Whether a value lies in it."""
        if value is None or self.is_empty:
            return False
        begun = 1 if self.lower is None else _order(value, self.lower)
        left = 1 if self.upper is None else _order(self.upper, value)
        return (begun > 0 or (begun == 0 and self.lower_inc)) and (left > 0 or (left == 0 and self.upper_inc))

    def contains(self, other: Interval[Any]) -> bool:
        """Whether another range lies in it whole."""
        if self.is_empty or other.is_empty:
            return other.is_empty
        return _starts(self, other) <= 0 and _ends(self, other) >= 0

    def overlaps(self, other: Interval[Any]) -> bool:
        """Whether it has a value in common with another one."""
        return not (self.is_empty or other.is_empty or self.fully_lt(other) or self.fully_gt(other))

    def fully_lt(self, other: Interval[Any]) -> bool:
        """Whether it ends before another one begins."""
        if self.is_empty or other.is_empty or self.upper is None or other.lower is None:
            return False
        return _order(self.upper, other.lower) < (0 if self.upper_inc and other.lower_inc else 1)

    def fully_gt(self, other: Interval[Any]) -> bool:
        """Whether it begins after another one has ended."""
        return other.fully_lt(self)

    def not_lt(self, other: Interval[Any]) -> bool:
        """Whether it begins no earlier than another one."""
        return not (self.is_empty or other.is_empty) and _starts(self, other) >= 0

    def not_gt(self, other: Interval[Any]) -> bool:
        """Whether it ends no later than another one."""
        return not (self.is_empty or other.is_empty) and _ends(self, other) <= 0

    def adjacent_to(self, other: Interval[Any]) -> bool:
        """Whether one begins just where the other has ended."""
        return not (self.is_empty or other.is_empty) and (_meet(self, other) or _meet(other, self))

    def __eq__(self, other: object) -> bool:
        return is_interval(other) and _parts(self) == _parts(other)

    def __hash__(self) -> int:
        return hash(_parts(self))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a range is frozen; make another one to change its {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), _parts(self)

    def __str__(self) -> str:
        if self.is_empty:
            return "empty"
        lower, upper = ("" if end is None else str(end) for end in (self.lower, self.upper))
        return f"{self.bounds[0]}{lower},{upper}{self.bounds[1]}"

    def __repr__(self) -> str:
        if self.is_empty:
            return f"{type(self).__name__}.empty()"
        bounds = "" if self.bounds == "[)" else f", {self.bounds!r}"
        return f"{type(self).__name__}({self.lower!r}, {self.upper!r}{bounds})"


def is_interval(value: object) -> TypeGuard[Interval[Any]]:
    """Whether a value is a range."""
    return isinstance(value, Interval)


def _settled(lower: Any, upper: Any, bounds: Bounds) -> tuple[Any, Any, Bounds]:
    """The ends and bounds as they are kept."""
    if bounds == "empty":
        return None, None, bounds
    is_in, is_out = bounds[0] == "[" and lower is not None, bounds[1] == ")" or upper is None
    order = -1 if lower is None or upper is None else _order(lower, upper)
    if order > 0:
        raise ValueError(f"a range goes upwards, and {lower!r} is greater than {upper!r}")
    if order == 0 and (is_out or not is_in):
        return None, None, "empty"
    known: object = upper if lower is None else lower
    step: Any = _STEPS.get(type(known))
    if step is not None:
        try:
            lower, is_in = lower if is_in or lower is None else lower + step, lower is not None
            upper, is_out = upper if is_out else upper + step, True
        except OverflowError:
            raise ValueError("no day comes after the last one; leave that end open, with None") from None
        if lower is not None and lower == upper:
            return None, None, "empty"
    return lower, upper, cast("Bounds", ("[" if is_in else "(") + (")" if is_out else "]"))


_STEPS: Final[dict[type, object]] = {int: 1, date: timedelta(days=1)}
"""How far it is from a value to the next one, where there is a next one."""


def _order(left: Any, right: Any) -> int:
    try:
        return int(left > right) - int(left < right)
    except TypeError:
        raise ValueError(f"the ends of a range are of one type, not {left!r} and {right!r}") from None


def _starts(left: Interval[Any], right: Interval[Any]) -> int:
    """Which of two ranges begins first: -1 for the left one, 0 for both."""
    if left.lower is None or right.lower is None:
        return int(left.lower is not None) - int(right.lower is not None)
    return _order(left.lower, right.lower) or int(right.lower_inc) - int(left.lower_inc)


def _ends(left: Interval[Any], right: Interval[Any]) -> int:
    """Which of two ranges ends first: -1 for the left one, 0 for both."""
    if left.upper is None or right.upper is None:
        return int(left.upper is None) - int(right.upper is None)
    return _order(left.upper, right.upper) or int(left.upper_inc) - int(right.upper_inc)


def _meet(left: Interval[Any], right: Interval[Any]) -> bool:
    if left.upper is None or right.lower is None:
        return False
    return _order(left.upper, right.lower) == 0 and left.upper_inc != right.lower_inc


def _parts(range: Interval[Any]) -> tuple[Any, Any, Bounds]:
    return range.lower, range.upper, range.bounds
