"""The plan of `validate_unique()`: which rows would be in the way of an instance, asked before it is saved.

It is for messages beside the fields of a form: between the answer and the save somebody may write the same, and then
the database says so, with `UniqueViolation`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from datalayer._compile.compiler import Compiler
from datalayer._plans import read
from datalayer._plans.plan import Plan
from datalayer._query.query import Query
from datalayer._schema.table import TableSpec, UniqueSpec
from datalayer.models.saving import take_keys
from datalayer.models.state import key_values, origin_of


def validate_unique(compiler: Compiler, instance: Any, alias: str) -> Plan[None]:
    """Asks for each unique constraint whether another row has the values of the instance.

    Raises:
        ValidationError: There are such rows; one error for each constraint.
    """
    take_keys(instance, alias)
    model: Any = instance.__class__
    table: TableSpec = model.table
    own = key_values(instance, table.primary_key)
    is_new = origin_of(instance) is None
    constraints = [UniqueSpec("the primary key", table.primary_key)] if is_new else []
    wrong: list[InitErrorDetails] = []
    for unique in (*constraints, *table.unique):
        query = _in_the_way(model, unique, instance.__dict__, None if is_new else own)
        if query is not None and (yield from read.exists(compiler, query)):
            names = ", ".join(unique.fields)
            message = f"another {table.model} has the same {names}"
            wrong.append(
                {
                    "type": PydanticCustomError("unique", "{message}", {"message": message}),
                    "loc": unique.fields,
                    "input": key_values(instance, unique.fields),
                }
            )
    if wrong:
        raise ValidationError.from_exception_data(table.model, wrong)


def _in_the_way(model: Any, unique: UniqueSpec, values: dict[str, Any], own: tuple[object, ...] | None) -> Query | None:
    """The other rows that have the values of a constraint; None where there can be none, or only the database knows."""
    if not unique.is_whole or any(name not in values for name in unique.fields):
        return None
    if unique.nulls_distinct and any(values[name] is None for name in unique.fields):
        return None
    named = {
        f"{name}__isnull" if values[name] is None else name: True if values[name] is None else values[name]
        for name in unique.fields
    }
    rows = model.__datalayer_base__().filter(**named)
    if own is not None:
        rows = rows.exclude(**dict(zip(model.table.primary_key, own, strict=True)))
    query: Query = rows.query
    return query


__all__ = ["validate_unique"]
