"""Expressions as values of an instance: `book.stock = F("stock") - 1`, worked out by the database at `save()`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from datalayer._query.change import Given, Update
from datalayer._query.expression import Expression
from datalayer._query.walk import parts
from datalayer.errors import InvalidValue, QueryError
from datalayer.models._pydantic import set_dict, set_fields_set
from datalayer.models.changes import assignments_of
from datalayer.models.elsewhere import refuse_elsewhere
from datalayer.models.expressions import is_expression
from datalayer.models.state import cache_of, origin_of, set_cache


class Used:
    """Whether this program ever assigned an expression: where it did not, nobody looks for them while writing rows."""

    is_true = False


def assign_key(instance: Any, key: object) -> None:
    """Sets the fields of a composite primary key, all or none.

    Raises:
        InvalidValue: It is no tuple of as many values.
        ValidationError: A value that its field does not take.
    """
    model: Any = instance.__class__
    names: tuple[str, ...] = model.table.primary_key
    if not isinstance(key, tuple | list) or len(found := tuple(cast("list[object]", key))) != len(names):
        raise InvalidValue(f"{model.__name__}.pk = {key!r}: the primary key is a tuple ({', '.join(names)})")
    before, changed = dict(instance.__dict__), set(instance.__pydantic_fields_set__)
    loaded = dict(cache_of(instance))
    try:
        for name, value in zip(names, found, strict=True):
            setattr(instance, name, value)
    except BaseException:
        set_dict(instance, before)
        set_fields_set(instance, changed)
        set_cache(instance, loaded)
        raise


def assign_expression(instance: Any, name: str, value: object) -> None:
    """Puts an expression in the place of a value until the instance is saved.

    Args:
        instance: A saved one.
        name: The field.
        value: What the database writes to it.

    Raises:
        InvalidValue: The instance has no row yet, or the expression gives something that the field does not take.
        FieldError: It names what the model does not have.
        QueryError: The field cannot be written, or the expression has no place in an UPDATE.
    """
    model: Any = instance.__class__
    origin = origin_of(instance)
    if origin is None:
        raise InvalidValue(
            f"{model.__name__}.{name} = {value!r}: an expression is worked out from the row, and this {model.__name__} "
            "has none yet; give it a value, or save it first"
        )
    if name in model.table.primary_key:
        raise QueryError(
            f"{model.__name__}.{name} = {value!r}: the primary key says which row is meant; use "
            f"{model.__name__}.objects.filter(...).update({name}=...)"
        )
    _expression(model, name, value, origin.alias)
    Used.is_true = True
    instance.__dict__[name] = value
    instance.__pydantic_fields_set__.add(name)
    for key, relation in model.__datalayer_relations__.items():
        if name in relation.key_fields:
            cache_of(instance).pop(key, None)


def with_expressions(
    change: Update, model: Any, given: tuple[object, ...], alias: str
) -> tuple[Update, tuple[object, ...]]:
    """The UPDATE of one row in which assigned expressions take the place of values, and what is bound in it.

    Args:
        change: The update of the fields by plain values.
        model: The class.
        given: The value of each field that is written, and then of each of the key.
        alias: The database it is written to.
    """
    written, key = given[: len(change.written)], given[len(change.written) :]
    found = [name for name, value in zip(change.written, written, strict=True) if is_expression(value)]
    if not found:
        return change, given
    assignments: list[tuple[str, Expression]] = []
    bound: list[object] = []
    for (name, plain), value in zip(change.assignments, written, strict=True):
        expression = _expression(model, name, value, alias) if name in found else plain
        assignments.append((name, expression))
        bound.extend(expression.values if name in found else (value,))
    return Update(change.query, tuple(assignments), tuple(dict.fromkeys([*change.returning, *found]))), (*bound, *key)


def refuse_expressions(instances: Iterable[Any], verb: str) -> None:
    """Refuses instances that have expressions, where values are needed.

    Args:
        instances: Those about to be written.
        verb: Who writes, for the message.

    Raises:
        InvalidValue: One has an expression.
    """
    for instance in instances:
        for name, value in instance.__dict__.items():
            if is_expression(value):
                raise InvalidValue(
                    f"{verb}() needs values, and {type(instance).__name__}.{name} is {value!r}: only save() of a row "
                    "that is there works an expression out; save it, or give it a value"
                )


def _expression(model: Any, name: str, value: object, alias: str) -> Expression:
    ((_, expression),) = assignments_of(model, {name: value}, "save")
    refuse_elsewhere(expression, alias)
    if any(isinstance(part, Given) for part in parts(expression)):
        raise QueryError(f"{value!r} is the value of a new row, which only an upsert and bulk_update have")
    return expression
