"""Conditions in `Meta` that are no SQL: `Q`, and typed ones in a function, since the class is not there yet."""

from __future__ import annotations

from typing import Any, Final

from datalayer._compile.rules import text_of
from datalayer._query.condition import Condition, ExistsCondition
from datalayer._query.expression import Aggregate, Expression, FieldRef, Function, OuterRef, Subquery, Window
from datalayer._query.walk import parts
from datalayer._schema.table import SqlText, TableSpec
from datalayer.errors import DatalayerError, ModelError
from datalayer.models.expressions import Q, condition_of

_CHANGING: Final = {"now": "Now()", "random": "Random()", "uuid4": "UUID4()", "uuid7": "UUID7()"}


def written(given: Any, table: TableSpec, where: str) -> tuple[SqlText, tuple[str, ...]]:
    """The SQL of a condition, and the fields it is about.

    Args:
        given: A `Q`, a condition, or a function that gives one.
        table: The table whose rows are meant.
        where: Names the place, for messages.

    Raises:
        ModelError: It is no condition on columns of this table alone.
    """
    if callable(given) and not isinstance(given, Condition) and not hasattr(given, "resolved"):
        given = _called(given, where)
    try:
        condition = condition_of(given, table)
        if condition is None:
            raise ModelError("an empty Q() says nothing; give it a condition")
        _check(condition, table)
        sql = text_of(condition, table)
    except DatalayerError as error:
        raise ModelError(f"{where}: {error}") from error
    used = {part.field for part in parts(condition) if isinstance(part, FieldRef)}
    return sql, tuple([name for name in table.fields if name in used])


def _called(given: Any, where: str) -> Any:
    try:
        found = given()
    except (DatalayerError, TypeError) as error:
        raise ModelError(f"{where}: {error}") from error
    if not isinstance(found, Condition | Q):
        raise ModelError(
            f"{where} is a function that gives {found!r}; it gives a condition, such as lambda: Book.price > 0, and a "
            "comparison with a value of another type gives a plain bool"
        )
    return found


def _check(condition: Condition, table: TableSpec) -> None:
    for part in parts(condition):
        problem = _problem(part, table)
        if problem is not None:
            raise ModelError(f"{problem}; the database looks at one row of {table.model} alone, at any time")


def _problem(part: Condition | Expression, table: TableSpec) -> str | None:
    if isinstance(part, FieldRef) and part.path:
        return f"{'__'.join((*part.path, part.field))!r} walks over a relation"
    if isinstance(part, Subquery | ExistsCondition | OuterRef):
        return "it has a query inside"
    if isinstance(part, Aggregate | Window):
        return f"{getattr(part, 'name', 'a window')} is about several rows"
    if isinstance(part, Function) and part.name in _CHANGING:
        return f"{_CHANGING[part.name]} is another value each time"
    return None
