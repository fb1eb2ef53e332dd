"""Functions of numbers. What has no value (the root of a negative number) is NULL on SQLite, an error on PostgreSQL."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from datalayer._query.arithmetic import DECIMAL, FLOAT, INTEGERS, NUMBERS
from datalayer._query.expression import Expression
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import QueryError
from datalayer.models.column import Deferred, Expr
from datalayer.models.computed import function
from datalayer.models.expressions import Computable

M = TypeVar("M")
N = TypeVar("N")


def _same(types: list[ColumnType | None]) -> ColumnType | None:
    type = types[0]
    return DECIMAL if type is not None and type.kind is Kind.DECIMAL else type


def _of_numbers(word: str, name: str, *sources: Any, result: Any = FLOAT) -> Any:
    def check(nodes: list[Expression]) -> None:
        for node, source in zip(nodes, sources, strict=True):
            if node.type is not None and node.type.kind not in NUMBERS:
                raise QueryError(f"{word}() is of numbers, and {source!r} is {node.type.kind.value}")

    return function(word, name, sources, result, check)


@overload
def Abs(source: Expr[M, N], /) -> Expr[M, N]: ...
@overload
def Abs(source: str | Deferred, /) -> Computable: ...
def Abs(source: Any, /) -> Any:
    """A number without its sign."""
    return _of_numbers("Abs", "abs", source, result=_same)


@overload
def Ceil(source: Expr[M, N], /) -> Expr[M, N]: ...
@overload
def Ceil(source: str | Deferred, /) -> Computable: ...
def Ceil(source: Any, /) -> Any:
    """The next whole number upwards."""
    return _of_numbers("Ceil", "ceil", source, result=_same)


@overload
def Floor(source: Expr[M, N], /) -> Expr[M, N]: ...
@overload
def Floor(source: str | Deferred, /) -> Computable: ...
def Floor(source: Any, /) -> Any:
    """The next whole number downwards."""
    return _of_numbers("Floor", "floor", source, result=_same)


@overload
def Sign(source: Expr[M, N], /) -> Expr[M, N]: ...
@overload
def Sign(source: str | Deferred, /) -> Computable: ...
def Sign(source: Any, /) -> Any:
    """-1, 0 or 1."""
    return _of_numbers("Sign", "sign", source, result=_same)


@overload
def Round(source: Expr[M, N], places: int = 0, /) -> Expr[M, N]: ...
@overload
def Round(source: str | Deferred, places: int = 0, /) -> Computable: ...
def Round(source: Any, places: int = 0, /) -> Any:
    """A number rounded half away from zero, to places behind the point, or (negative) before it."""
    if type(places) is not int:
        raise QueryError(f"Round() needs a whole number of places, not {places!r}")
    return _of_numbers("Round", "round", source, *([places] if places else []), result=_same)


@overload
def Mod(source: Expr[M, N], divisor: Expr[M, N] | int | float, /) -> Expr[M, N]: ...
@overload
def Mod(source: Any, divisor: Any, /) -> Any: ...
def Mod(source: Any, divisor: Any, /) -> Any:
    """What a division leaves, with the sign of the number."""

    def result(types: list[ColumnType | None]) -> ColumnType | None:
        kinds = {None if type is None else type.kind for type in types}
        return FLOAT if Kind.FLOAT in kinds else DECIMAL if not kinds <= INTEGERS else types[0]

    return _of_numbers("Mod", "mod", source, divisor, result=result)


@overload
def Sqrt(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def Sqrt(source: str | Deferred, /) -> Computable: ...
def Sqrt(source: Any, /) -> Any:
    """The square root."""
    return _of_numbers("Sqrt", "sqrt", source)


@overload
def Exp(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def Exp(source: str | Deferred, /) -> Computable: ...
def Exp(source: Any, /) -> Any:
    """e to the power of a number."""
    return _of_numbers("Exp", "exp", source)


@overload
def Ln(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def Ln(source: str | Deferred, /) -> Computable: ...
def Ln(source: Any, /) -> Any:
    """The natural logarithm."""
    return _of_numbers("Ln", "ln", source)


@overload
def Sin(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def Sin(source: str | Deferred, /) -> Computable: ...
def Sin(source: Any, /) -> Any:
    """The sine of an angle in radians."""
    return _of_numbers("Sin", "sin", source)


@overload
def Cos(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def Cos(source: str | Deferred, /) -> Computable: ...
def Cos(source: Any, /) -> Any:
    """The cosine of an angle in radians."""
    return _of_numbers("Cos", "cos", source)


@overload
def Tan(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def Tan(source: str | Deferred, /) -> Computable: ...
def Tan(source: Any, /) -> Any:
    """The tangent of an angle in radians."""
    return _of_numbers("Tan", "tan", source)


@overload
def Cot(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def Cot(source: str | Deferred, /) -> Computable: ...
def Cot(source: Any, /) -> Any:
    """The cotangent of an angle in radians."""
    return _of_numbers("Cot", "cot", source)


@overload
def ASin(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def ASin(source: str | Deferred, /) -> Computable: ...
def ASin(source: Any, /) -> Any:
    """The angle in radians whose sine is a number."""
    return _of_numbers("ASin", "asin", source)


@overload
def ACos(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def ACos(source: str | Deferred, /) -> Computable: ...
def ACos(source: Any, /) -> Any:
    """The angle in radians whose cosine is a number."""
    return _of_numbers("ACos", "acos", source)


@overload
def ATan(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def ATan(source: str | Deferred, /) -> Computable: ...
def ATan(source: Any, /) -> Any:
    """The angle in radians whose tangent is a number."""
    return _of_numbers("ATan", "atan", source)


@overload
def Degrees(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def Degrees(source: str | Deferred, /) -> Computable: ...
def Degrees(source: Any, /) -> Any:
    """An angle in degrees."""
    return _of_numbers("Degrees", "degrees", source)


@overload
def Radians(source: Expr[M, Any], /) -> Expr[M, float]: ...
@overload
def Radians(source: str | Deferred, /) -> Computable: ...
def Radians(source: Any, /) -> Any:
    """An angle in radians."""
    return _of_numbers("Radians", "radians", source)


@overload
def Power(base: Expr[M, Any], exponent: Any, /) -> Expr[M, float]: ...
@overload
def Power(base: Any, exponent: Any, /) -> Any: ...
def Power(base: Any, exponent: Any, /) -> Any:
    """A number to the power of another, as a float."""
    return _of_numbers("Power", "power", base, exponent)


@overload
def Log(base: Expr[M, Any], source: Any, /) -> Expr[M, float]: ...
@overload
def Log(base: Any, source: Any, /) -> Any: ...
def Log(base: Any, source: Any, /) -> Any:
    """The logarithm of a number to a base."""
    return _of_numbers("Log", "log", base, source)


@overload
def ATan2(y: Expr[M, Any], x: Any, /) -> Expr[M, float]: ...
@overload
def ATan2(y: Any, x: Any, /) -> Any: ...
def ATan2(y: Any, x: Any, /) -> Any:
    """The angle in radians of the point (x, y)."""
    return _of_numbers("ATan2", "atan2", y, x)


def Pi() -> Computable:
    """The ratio of a circle to its diameter."""
    found: Computable = function("Pi", "pi", (), FLOAT)
    return found


def Random() -> Computable:
    """A number from 0 to below 1, another one for each row."""
    found: Computable = function("Random", "random", (), FLOAT)
    return found
