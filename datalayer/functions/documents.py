"""JSON made of columns."""

from __future__ import annotations

from typing import Any, Final, TypeVar, overload

from datalayer._query import documents
from datalayer._query.expression import Expression
from datalayer._schema.field import ColumnType, Kind
from datalayer.errors import QueryError
from datalayer.models.column import Deferred, Expr
from datalayer.models.computed import computed, function
from datalayer.models.conditional import Value
from datalayer.models.expressions import Computable

M = TypeVar("M")

_WITHOUT: Final = frozenset({Kind.BYTES, Kind.DURATION, Kind.INET})


def _check(nodes: list[Expression]) -> None:
    for node in nodes:
        if node.type is not None and node.type.kind in _WITHOUT:
            raise QueryError(f"JSON has no form for {node.type.kind.value}; Cast() it to str")


@overload
def KT(source: Expr[M, Any], /) -> Expr[M, str | None]: ...
@overload
def KT(source: str | Deferred, /) -> Computable: ...
def KT(source: Any, /) -> Any:
    """What is at the end of a path into JSON, as text: `KT("data__size__pages")`; a string without its quotes.

    NULL where there is nothing, and for JSON's null.
    """

    def build(nodes: list[Expression]) -> Expression:
        return documents.as_text(nodes[0], repr(source))

    return computed("KT", (source,), build)


def JSONObject(**items: Any) -> Computable:
    """A JSON object: `JSONObject(name="title", paid=Value(True))`; text is the name of a column.

    Decimals become JSON numbers, dates and moments ISO text, in UTC.
    """
    if not items:
        raise QueryError("JSONObject() was given nothing; name its items: JSONObject(name='title')")
    sources = [part for name, item in items.items() for part in (Value(name), item)]
    found: Computable = function("JSONObject", "json_object", sources, ColumnType(Kind.JSON, dict), _check)
    return found


def JSONArray(*items: Any) -> Computable:
    """A JSON array: `JSONArray("title", "price")`; text is the name of a column."""
    found: Computable = function("JSONArray", "json_array", items, ColumnType(Kind.JSON, list), _check)
    return found
