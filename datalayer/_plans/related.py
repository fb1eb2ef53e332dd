"""Loading what hangs on many rows at once: one query for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from datalayer._compile.compiler import Compiler
from datalayer._plans.plan import Plan, Row
from datalayer._plans.read import Load, fetch, tuples
from datalayer._query.condition import Comparison, Condition, Junction
from datalayer._query.expression import Expression, Value
from datalayer._query.query import Query

T = TypeVar("T")

KEYS: Final = 10_000
"""Keys one query is given; more are asked for in turns."""


def matching(expressions: tuple[Expression, ...], keys: Sequence[Row]) -> Condition:
    """The condition that a row has one of the keys; each key has one value for each expression."""
    if len(expressions) == 1:
        (expression,) = expressions
        return Comparison(expression, "in", Value(tuple([key[0] for key in keys]), expression.type))
    return Junction(
        "or",
        tuple(
            [
                Junction(
                    "and",
                    tuple(
                        [
                            Comparison(expression, "exact", Value(value, expression.type))
                            for expression, value in zip(expressions, key, strict=True)
                        ]
                    ),
                )
                for key in keys
            ]
        ),
    )


def unique(keys: Sequence[Row]) -> list[Row]:
    """The keys without repetition and without those that hold a NULL, in order."""
    return [key for key in dict.fromkeys(keys) if None not in key]


def _limit(expressions: tuple[Expression, ...]) -> int:
    return KEYS if len(expressions) == 1 else 200


def children(
    compiler: Compiler, query: Query, expressions: tuple[Expression, ...], keys: Sequence[Row], load: Load[T]
) -> Plan[list[T]]:
    """The instances of a query whose expressions equal one of the keys.

    Args:
        compiler: For the backend at hand.
        query: The query of the target.
        expressions: What is compared: fields of the target, mostly `FieldRef`s.
        keys: One tuple for each row that is asked for; NULLs and repetitions are left out.
        load: As in `read.fetch`.
    """
    found: list[T] = []
    wanted = unique(keys)
    for start in range(0, len(wanted), _limit(expressions)):
        piece = query.filtered(matching(expressions, wanted[start : start + _limit(expressions)]))
        found.extend((yield from fetch(compiler, piece, load)))
    return found


def child_tuples(
    compiler: Compiler, query: Query, expressions: tuple[Expression, ...], keys: Sequence[Row]
) -> Plan[list[Row]]:
    """As `children`, for a query with columns: converted tuples."""
    found: list[Row] = []
    wanted = unique(keys)
    for start in range(0, len(wanted), _limit(expressions)):
        piece = query.filtered(matching(expressions, wanted[start : start + _limit(expressions)]))
        found.extend((yield from tuples(compiler, piece)))
    return found
