"""`Range[int]`, `Range[date]` ...: ranges as fields have them, validated and dumped by pydantic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from pydantic_core import core_schema

from datalayer._schema.ranges import BOUNDS, Interval, is_interval

T_co = TypeVar("T_co", covariant=True)
_NAMES: Final = ("lower", "upper", "bounds")


class Range(Interval[T_co]):
    """All values from `lower` to `upper`, which do not change.

    Whole numbers and days are kept with the lower end in it and the upper one out, as PostgreSQL keeps them:
    `Range(1, 4, "[]") == Range(1, 5)`. A field takes a pair of ends too, and in JSON a range is an object:
    `{"lower": 1, "upper": 5, "bounds": "[)"}`.

    Args:
        lower: Where it begins; None where it has no beginning.
        upper: Where it ends; None where it has no end.
        bounds: Which ends belong to it: `[)` only the lower one, `[]` both, `()` none; `empty` for no values at all.

    Raises:
        ValueError: The lower end is greater than the upper one, or they cannot be compared.
    """

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """A range, a pair of ends, or an object with the ends by name."""
        inside: tuple[Any, ...] = getattr(source, "__args__", ()) or (Any,)
        end = core_schema.typed_dict_field(
            core_schema.nullable_schema(handler.generate_schema(inside[0])), required=False
        )
        bounds = core_schema.typed_dict_field(core_schema.literal_schema(list(BOUNDS)), required=False)
        shown = core_schema.typed_dict_schema({"lower": end, "upper": end, "bounds": bounds}, extra_behavior="forbid")

        def check(given: Any, validate: Callable[[Any], Any]) -> Any:
            found = cls(**validate(_mapping(given)))
            if is_interval(given):
                _keep_steps(given, found)
            return found

        return core_schema.no_info_wrap_validator_function(
            check,
            shown,
            serialization=core_schema.plain_serializer_function_ser_schema(_dumped, info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """That of the object, in both directions."""
        return handler(schema["schema"])


def _mapping(given: Any) -> Any:
    """What was given, with the ends by name."""
    if is_interval(given):
        return {name: getattr(given, name) for name in _NAMES}
    if isinstance(given, tuple | list) and len(cast("tuple[Any, ...]", given)) == 2:
        return dict(zip(_NAMES, cast("tuple[Any, ...]", given), strict=False))
    if isinstance(given, Mapping):
        return cast("Any", given)
    raise ValueError("a range is Range(lower, upper), a pair of ends, or an object with lower, upper and bounds")


def _keep_steps(given: Interval[Any], found: Interval[Any]) -> None:
    """Refuses ends that were whole numbers or days when it was settled which belong to the range, and are not now."""
    for before, after in ((given.lower, found.lower), (given.upper, found.upper)):
        if given.has_steps and type(before) is not type(after):
            raise ValueError(
                f"the ends of this range are {type(after).__name__}s, not {type(before).__name__}s such as {before!r}"
            )


def _dumped(value: Any, info: Any) -> Any:
    return _mapping(value) if info.mode == "json" and is_interval(value) else value
