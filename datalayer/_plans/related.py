"""Loading what hangs on many rows at once: one query for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from datalayer._compile.compiler import Compiler
from datalayer._compile.prepared import Prepared
from datalayer._plans.plan import Plan, Row
from datalayer._plans.read import Load, fetch, is_nothing
from datalayer._query.behind import Behind
from datalayer._query.condition import Comparison, Condition, Junction
from datalayer._query.expression import Expression, Value
from datalayer._query.query import Query
from datalayer._schema.relation import RelationSpec

T = TypeVar("T")

KEYS: Final = 10_000
"""Keys one query is given; more are asked for in turns."""

_WIDE_KEYS: Final = 256
"""As `KEYS`, where a key has several columns: each is a condition of its own."""


def matching(expressions: tuple[Expression, ...], keys: Sequence[Row]) -> Condition:
    """The condition that a row has one of the keys; each key has one value for each expression."""
    if len(expressions) == 1:
        (expression,) = expressions
        if len(keys) == 1:  # a list would cost SQLite four times as much
            return Comparison(expression, "exact", Value(keys[0][0], expression.type))
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


def padded(keys: Sequence[Row]) -> Sequence[Row]:
    """The keys, the last of them repeated until there are 1, 2, 4, 8 ...: few lengths are few statements to compile."""
    wanted = 1 << (len(keys) - 1).bit_length()
    return (*keys, *[keys[-1]] * (wanted - len(keys)))


def unique(keys: Sequence[Row]) -> list[Row]:
    """The keys without repetition and without those that hold a NULL, in order."""
    return [key for key in dict.fromkeys(keys) if None not in key]


def _pieces(keys: Sequence[Row], width: int) -> Iterator[Sequence[Row]]:
    """The keys to ask for at a time, without repetition; of several columns in few different numbers."""
    wanted = unique(keys)
    length = KEYS if width == 1 else _WIDE_KEYS
    for start in range(0, len(wanted), length):
        piece = wanted[start : start + length]
        yield piece if width == 1 else padded(piece)


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
    for piece in _pieces(keys, len(expressions)):
        found.extend((yield from fetch(compiler, query.filtered(matching(expressions, piece)), load)))
    return found


def behind(
    compiler: Compiler,
    query: Query,
    relation: RelationSpec,
    keys: Sequence[Row],
    load: Load[T],
    cut: tuple[int, int | None] | None = None,
) -> Plan[list[tuple[Row, T]]]:
    """The instances behind a relation of many rows, each with the key of the one it belongs to.

    Of a many to many, a row that belongs to several is one instance.

    Args:
        compiler: For the backend at hand.
        query: The query of the target, without limit and offset.
        relation: Leads from those who ask to the target.
        keys: The keys of those who ask; NULLs and repetitions are left out.
        load: As in `read.fetch`.
        cut: As in `Behind`.
    """
    found: list[tuple[Row, T]] = []
    if is_nothing(query):
        return found
    for piece in _pieces(keys, len(relation.local)):
        asked = Behind(relation, tuple(piece), cut)
        prepared = compiler.behind(query, asked)
        reply = yield prepared.command((*asked.values, *query.values))
        if reply.rows and len(piece) == 1:
            found += [(piece[0], child) for child in load(prepared, (reply.rows,))]
        elif reply.rows:
            is_shared = relation.through is not None and not query.annotations
            found += _told_apart(compiler, relation, prepared, reply.rows, load, is_shared=is_shared)
    return found


def _told_apart(
    compiler: Compiler, relation: RelationSpec, prepared: Prepared, rows: list[Row], load: Load[T], *, is_shared: bool
) -> list[tuple[Row, T]]:
    """Rows that end in a key -> keys and instances; the same row is made once where it may be shared."""
    types = [relation.source.fields[name].type for name in relation.local]
    converters = [compiler.converter(type)[1] for type in types]
    cut = len(rows[0]) - len(types)
    keys = [
        tuple([v if c is None or v is None else c(v) for c, v in zip(converters, row[cut:], strict=True)])
        for row in rows
    ]
    if not is_shared:
        return list(zip(keys, load(prepared, (rows,)), strict=True))
    own = [
        place
        for place, column in enumerate(prepared.columns)
        if not column.path and column.field is not None and column.field.is_primary_key
    ]
    names = [tuple([row[place] for place in own]) for row in rows]
    once = dict(zip(names, rows, strict=True))
    made = dict(zip(once, load(prepared, (list(once.values()),)), strict=True))
    return [(key, made[name]) for key, name in zip(keys, names, strict=True)]
