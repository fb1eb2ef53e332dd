"""Steps into JSON and questions about it, as nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from datalayer._query.arithmetic import TEXT, WHOLE
from datalayer._query.condition import Condition, Truth
from datalayer._query.expression import BOOLEAN, Expression, Function
from datalayer._query.expression import Value as ValueNode
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import InvalidValue, QueryError

JSON: Final = ColumnType(Kind.JSON)


def _json(node: Expression, name: str) -> Expression:
    if node.type is None or node.type.kind is not Kind.JSON:
        kind = "it" if node.type is None else f"a {node.type.kind.value}"
        raise QueryError(f"{name} is {kind}, and only JSON can be looked into")
    return node


def step(node: Expression, key: object, name: str) -> Expression:
    """What is under a name in an object, or at a place in an array; NULL where there is nothing.

    Raises:
        QueryError: Not JSON, or neither a name nor a place.
    """
    _json(node, name)
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise QueryError(f"{name}[{key!r}]: a step into JSON is a name or a whole number")
    if isinstance(key, str) and "\0" in key:
        raise InvalidValue(f"{name}[{key!r}]: text of a database has no zero byte")
    if isinstance(key, int) and not -(2**31) <= key < 2**31:
        raise InvalidValue(f"{name}[{key!r}]: an array has no such place")
    return Function("json_key", (node, ValueNode(key, TEXT if isinstance(key, str) else WHOLE)), JSON)


def as_text(node: Expression, name: str) -> Expression:
    """A JSON value as text: a string without its quotes; NULL for null."""
    return Function("json_text", (_json(node, name),), TEXT)


def has(node: Expression, word: str, keys: Any, name: str) -> Condition:
    """Whether a JSON object has a key (`json_has`), or all or any of several."""
    _json(node, name)
    if word == "json_has":
        if not isinstance(keys, str):
            raise InvalidValue(f"{name}: a key is text, not {keys!r}")
        return Truth(Function(word, (node, ValueNode(keys, TEXT)), BOOLEAN))
    is_list = isinstance(keys, Sequence) and not isinstance(keys, str)
    several: list[object] = list(cast("Sequence[object]", keys)) if is_list else [None]
    if not all(isinstance(key, str) for key in several):
        raise InvalidValue(f"{name}: keys are a list of texts, not {keys!r}")
    return Truth(Function(word, (node, ValueNode(several, JSON)), BOOLEAN))


def contains(node: Expression, word: str, value: object, name: str) -> Condition:
    """Whether a document contains another one, or is contained in it."""
    return Truth(Function(word, (_json(node, name), ValueNode(value, JSON)), BOOLEAN))
