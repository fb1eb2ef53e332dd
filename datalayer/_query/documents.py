"""JSON: steps into it, and what lookups mean for what is found there, as nodes.

Numbers are compared with numbers and text with text: what is of another type, or missing, is no match. A step that
finds JSON's null has found a value; one that finds nothing is NULL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, cast

from datalayer._query.arithmetic import DECIMAL, NUMBERS, TEXT, TEXTS, WHOLE
from datalayer._query.condition import Comparison, Condition, Junction, Truth
from datalayer._query.expression import BOOLEAN, Expression, Function, Key, Subquery, Value
from datalayer._query.lookup import ORDER_LOOKUPS, PATTERN_LOOKUPS, TEXT_LOOKUPS
from datalayer._query.patterns import check_pattern
from datalayer._query.query import Query
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import FieldError, InvalidValue, QueryError, choices_text, nearest

JSON: Final = ColumnType(Kind.JSON)
NULL: Final = Function("json_null", (), JSON)
"""JSON's null, which is a value."""

_KEYS: Final = {"has_key": "json_has", "has_keys": "json_has_all", "has_any_keys": "json_has_any"}
_PARTS: Final = {"contains": "json_contains", "contained_by": "json_contained"}


def step(node: Expression, key: object, name: str) -> Expression:
    """What is under a name in an object, or at a place in an array; NULL where there is nothing.

    Raises:
        QueryError: Neither a name nor a place.
        InvalidValue: A name or place that no document has.
        FieldError: A key that the model of the document does not have.
    """
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise QueryError(f"{name}[{key!r}]: a step into JSON is a name or a whole number")
    if isinstance(key, str) and "\0" in key:
        raise InvalidValue(f"{name}[{key!r}]: text of a database has no zero byte")
    if isinstance(key, int) and not -(2**31) <= key < 2**31:
        raise InvalidValue(f"{name}[{key!r}]: an array has no such place")
    if isinstance(key, str):
        _check_key(node, key)
    return Function("json_key", (node, Key(key, TEXT if isinstance(key, str) else WHOLE)), JSON)


def _check_key(node: Expression, key: str) -> None:
    """Makes sure that a document whose type is known may have a key at a place.

    Raises:
        FieldError: It has others there.
    """
    path: list[str | int] = []
    while isinstance(node, Function) and node.name == "json_key":
        path.append(cast("str | int", node.arguments[1].values[0]))
        node = node.arguments[0]
    codec = None if node.type is None else node.type.codec
    choices = None if codec is None else codec.keys(tuple(reversed(path)))
    if choices is not None and key not in choices:
        place = "__".join([getattr(node, "field", "it"), *[str(step) for step in reversed(path)]])
        raise FieldError(
            f"{place!r} has no key {key!r}; the choices are: {choices_text(choices)}{nearest(key, choices)}",
            name=key,
            choices=choices,
        )


def is_step(node: Expression) -> bool:
    """Whether a node is a step into a document rather than a whole one."""
    return isinstance(node, Function) and node.name == "json_key"


def looked_into(node: Expression, name: str) -> Expression:
    """The node itself.

    Raises:
        QueryError: It is no JSON.
    """
    if node.type is None or node.type.kind is not Kind.JSON:
        kind = "it" if node.type is None else f"a {node.type.kind.value}"
        raise QueryError(f"{name} is {kind}, and only JSON can be looked into")
    return node


def as_text(node: Expression, name: str) -> Expression:
    """A JSON value as text: a string without its quotes; NULL for null."""
    return Function("json_text", (looked_into(node, name),), TEXT)


def compared(
    left: Expression, lookup: str, value: object, name: str, checked: Callable[[object], object]
) -> Condition | None:
    """What a lookup means for JSON; None where it means the same as for every column.

    Raises:
        InvalidValue: JSON has no such value, or none that the lookup could be about.
    """
    if lookup in _KEYS:
        return _has(left, lookup, value, name)
    if lookup in _PARTS:
        part = value if isinstance(value, Expression) else Value(_document(value, name), JSON)
        return Truth(Function(_PARTS[lookup], (left, part), BOOLEAN))
    if value is None:
        return Comparison(left, lookup, NULL) if lookup in {"exact", "ne"} and is_step(left) else None
    if isinstance(value, Expression):
        return _with_expression(left, lookup, value, name)
    if lookup in TEXT_LOOKUPS:
        if not isinstance(value, str):
            raise InvalidValue(f"{name}: {lookup} needs text, not {value!r}")
        if lookup in PATTERN_LOOKUPS:
            check_pattern(value, name)
        return Comparison(_string(left), lookup, Value(_text(value, name), TEXT))
    if lookup == "range":
        return _range(left, value, name)
    if lookup in ORDER_LOOKUPS:
        side, bound = _ordered(left, lookup, value, name)
        return Comparison(side, lookup, bound)
    return _equal(left, lookup, value, name)


def _equal(left: Expression, lookup: str, value: object, name: str) -> Condition | None:
    """`exact`, `ne` and `in`: None but for a null among the values, which a step may find."""
    if lookup not in {"exact", "ne", "in"} or isinstance(value, Query):
        return None
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    items: list[object] = list(cast("Iterable[object]", value)) if lookup == "in" and several else [value]
    if left.type is None or left.type.codec is None:
        for item in items:
            if not isinstance(item, Expression):
                _document(item, name)
    if lookup != "in" or not is_step(left) or not any(item is None for item in items):
        return None
    null = Comparison(left, "exact", NULL)
    others = tuple([item for item in items if item is not None])
    return Junction("or", (Comparison(left, "in", Value(others, JSON)), null)) if others else null


def _with_expression(left: Expression, lookup: str, right: Expression, name: str) -> Condition | None:
    """A comparison with a column or something computed: with what JSON has for values of its type."""
    kind = None if right.type is None else right.type.kind
    if kind is None or (kind is Kind.JSON and lookup in {"exact", "ne", "in"}):
        return None
    if kind in NUMBERS and lookup not in TEXT_LOOKUPS:
        side = _number(left)
    elif kind in TEXTS:
        side = _string(left)
    elif kind is Kind.BOOLEAN and lookup in {"exact", "ne", "in"}:
        side = Function("json_boolean", (left,), BOOLEAN)
    else:
        raise InvalidValue(
            f"{name} is json and cannot be compared with a {kind.value} by {lookup}; Cast() it to the type you mean"
        )
    if lookup == "in" and not isinstance(right, Subquery):
        lookup = "exact"
    return Comparison(side, lookup, right)


def sided(right: Expression, other: ColumnType) -> Expression | None:
    """What JSON on the right side is beside a column of another type; None where JSON has no such values."""
    if other.kind in NUMBERS:
        return _number(right)
    if other.kind in TEXTS:
        return _string(right)
    return Function("json_boolean", (right,), BOOLEAN) if other.kind is Kind.BOOLEAN else None


def _number(node: Expression) -> Expression:
    return Function("json_number", (node,), DECIMAL)


def _string(node: Expression) -> Expression:
    return Function("json_string", (node,), TEXT)


def _range(left: Expression, value: object, name: str) -> Condition:
    pair = cast("tuple[object, ...]", value) if isinstance(value, tuple | list) else ()
    if len(pair) != 2:
        raise InvalidValue(f"{name}: range needs a pair of values, not {value!r}")
    side, low = _ordered(left, "range", pair[0], name)
    other, high = _ordered(left, "range", pair[1], name)
    if side.shape != other.shape:
        raise InvalidValue(f"{name}: range needs two numbers or two texts, not {value!r}")
    return Junction("and", (Comparison(side, "gte", low), Comparison(side, "lte", high)))


def _ordered(left: Expression, lookup: str, value: object, name: str) -> tuple[Expression, Value]:
    """The part of JSON that has an order, and the value it is compared with."""
    if isinstance(value, str):
        return _string(left), Value(_text(value, name), TEXT)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise InvalidValue(f"{name}: {lookup} compares JSON with a number or a text, not {value!r}")
    number = Decimal(repr(value)) if isinstance(value, float) else value
    if isinstance(number, Decimal) and not number.is_finite():
        raise InvalidValue(f"{name} cannot be compared with {value!r}: JSON has no NaN and no infinity")
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        number = Decimal(number)
    return _number(left), Value(number, DECIMAL)


def _has(left: Expression, lookup: str, keys: object, name: str) -> Condition:
    if lookup == "has_key":
        if not isinstance(keys, str):
            raise InvalidValue(f"{name}: a key is text, not {keys!r}")
        return Truth(Function(_KEYS[lookup], (left, Value(_text(keys, name), TEXT)), BOOLEAN))
    is_list = isinstance(keys, Sequence) and not isinstance(keys, str)
    several: list[object] = list(cast("Sequence[object]", keys)) if is_list else [None]
    if not all(isinstance(key, str) for key in several):
        raise InvalidValue(f"{name}: keys are a list of texts, not {keys!r}")
    bound = [_text(cast("str", key), name) for key in several]
    return Truth(Function(_KEYS[lookup], (left, Value(bound, JSON)), BOOLEAN))


def _text(text: str, name: str) -> str:
    if "\0" in text:
        raise InvalidValue(f"{name} cannot be compared with {text!r}: text of a database has no zero byte")
    return text


def _document(value: Any, name: str) -> Any:
    """A value as it is.

    Raises:
        InvalidValue: JSON has no word for it.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"{name} is json and cannot be compared with {value!r}: {error}") from None
    if "\\u0000" in text and "\0" in _all_text(value):
        raise InvalidValue(f"{name} cannot be compared with {value!r}: text of a database has no zero byte")
    return value


def _all_text(value: object) -> str:
    """All text in a document, in no order."""
    if isinstance(value, dict):
        pairs = cast("dict[object, object]", value)
        return "".join([_all_text(item) for pair in pairs.items() for item in pair])
    if isinstance(value, list | tuple):
        return "".join([_all_text(item) for item in cast("Sequence[object]", value)])
    return value if isinstance(value, str) else ""
