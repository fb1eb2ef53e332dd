"""Arithmetic: what may be computed with what, and the type of the result."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

from datalayer._query.expression import Arithmetic, Expression, FieldRef, Function
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import QueryError

INTEGERS: Final = frozenset({Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER})
NUMBERS: Final = INTEGERS | {Kind.FLOAT, Kind.DECIMAL}
TEXTS: Final = frozenset({Kind.STRING, Kind.TEXT, Kind.ENUM})
MOMENTS: Final = frozenset({Kind.DATE, Kind.DATETIME, Kind.NAIVE_DATETIME})

TEXT: Final = ColumnType(Kind.TEXT, str)
WHOLE: Final = ColumnType(Kind.BIG_INTEGER, int)
FLOAT: Final = ColumnType(Kind.FLOAT, float)
DURATION: Final = ColumnType(Kind.DURATION, timedelta)
# Fifteen digits are what SQLite's numbers keep; results are compared and added up as numbers.
DECIMAL: Final = ColumnType(Kind.DECIMAL, Decimal, precision=15)
# With a decimal of more digits, or of any number of them, on either side: computed and compared exactly.
WIDE_DECIMAL: Final = ColumnType(Kind.DECIMAL, Decimal)


def arithmetic(operator: str, left: Expression, right: Expression) -> Expression:
    """`left operator right`; `**` is the function `power`.

    Raises:
        QueryError: The operation has no meaning for values of these types.
    """
    if operator == "**":
        for side in (left, right):
            if side.type is not None and side.type.kind not in NUMBERS:
                raise QueryError(f"{side.type.kind.value} has no powers; Cast() it to a number")
        return Function("power", (left, right), FLOAT)
    if left.type is None or right.type is None:
        known = left.type or right.type
        is_text = operator == "+" and known is not None and known.kind in TEXTS
        return Arithmetic("||", left, right, TEXT) if is_text else Arithmetic(operator, left, right, known)
    if operator == "+" and left.type.kind in TEXTS and right.type.kind in TEXTS:
        return Arithmetic("||", left, right, TEXT)
    type = _result(operator, left.type, right.type)
    if type is None:
        raise QueryError(
            f"{left.type.kind.value} {operator} {right.type.kind.value} has no meaning; Cast() one side first"
        )
    return Arithmetic(operator, left, right, type)


def added_up(argument: Expression) -> ColumnType | None:
    """The type that values are added up as: a column keeps its digits; what is computed may have more of them."""
    type = argument.type
    if type is None or type.kind is not Kind.DECIMAL or (isinstance(argument, FieldRef) and not type.is_open):
        return type
    stored = None if type.stored is None else replace(type.stored, precision=None)
    return replace(type, precision=None, stored=stored)


def _result(operator: str, left: ColumnType, right: ColumnType) -> ColumnType | None:
    kinds = {left.kind, right.kind}
    if operator in {"&", "|", "^", "<<", ">>"}:
        return WHOLE if kinds <= INTEGERS else None
    if kinds <= NUMBERS:
        if Kind.FLOAT in kinds:
            return FLOAT
        if Kind.DECIMAL in kinds:
            return WIDE_DECIMAL
        return left
    if operator == "+" and Kind.DURATION in kinds:
        other = right if left.kind is Kind.DURATION else left
        return other if other.kind in MOMENTS | {Kind.DURATION} else None
    if operator == "-" and right.kind is Kind.DURATION:
        return left if left.kind in MOMENTS | {Kind.DURATION} else None
    if operator == "-" and left.kind in MOMENTS and left.kind is right.kind:
        return DURATION
    if operator == "*" and Kind.DURATION in kinds and kinds - {Kind.DURATION} <= NUMBERS and len(kinds) == 2:
        return DURATION
    if operator == "/" and left.kind is Kind.DURATION and right.kind in NUMBERS:
        return DURATION
    return None
