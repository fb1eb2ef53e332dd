"""Deletes of rows that have hooks, or that take rows with hooks along.

The database deletes and cascades as always, in one statement; what is added is that the rows whose model has delete
hooks are fetched before, and that their hooks are called around it. Models without hooks in their way cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeVar, cast

from datalayer._compile.compiler import Compiler
from datalayer._plans import write
from datalayer._plans.bulk import chunks
from datalayer._plans.plan import Call, Command, Plan, Row, calling
from datalayer._plans.related import KEYS, children, matching
from datalayer._query.change import Delete, Update
from datalayer._query.expression import FieldRef, Value
from datalayer._query.query import Query
from datalayer._schema.table import ForeignKeySpec, Late, TableSpec
from datalayer.errors import InvalidValue
from datalayer.models.checks import assigned
from datalayer.models.hooks import WITH_DELETES, Change, Hooks, hooks_of
from datalayer.models.hydrate import loader
from datalayer.models.loading import complete
from datalayer.models.state import key_values

T = TypeVar("T")

COMPOSITE_KEYS: Final = 200
"""Rows of one statement that finds them by keys of several columns."""


def at_once(columns: Sequence[object]) -> int:
    """How many rows one statement finds by keys of these columns."""
    return KEYS if len(columns) == 1 else COMPOSITE_KEYS


def has_hooks(model: Any) -> bool:
    """Whether a delete of rows of a model may have to call hooks; a proxy has its own."""
    Late.settle()
    return bool(WITH_DELETES) and (_delete_hooks(model) is not None or _takes_part(model.table))


def _takes_part(table: TableSpec) -> bool:
    """Whether rows of a table, or of one whose rows go with it, must be known before they are deleted."""
    reached = _reached(table, set())
    return any(_delete_hooks(found.python_model) is not None or any(_refilled(found)) for found in reached)


def _refilled(table: TableSpec) -> Iterator[tuple[TableSpec, ForeignKeySpec]]:
    """The tables whose rows refer to another row when one of this goes, and by which reference."""
    return ((other, key) for other, key in table.referrers if key.refill is not None)


def _delete_hooks(model: Any) -> Hooks | None:
    hooks = hooks_of(model)
    return hooks if hooks is not None and hooks.deletes else None


def _cascading(table: TableSpec) -> Iterator[tuple[TableSpec, ForeignKeySpec]]:
    """The tables whose rows go with rows of this one, and by which reference."""
    return ((other, key) for other, key in table.referrers if key.on_delete == "CASCADE")


def _reached(table: TableSpec, seen: set[str]) -> Iterator[TableSpec]:
    seen.add(table.name)
    yield table
    for other, _ in _cascading(table):
        if other.name not in seen:
            yield from _reached(other, seen)


def around(compiler: Compiler, instances: Sequence[Any], alias: str, delete: Callable[[], Plan[T]]) -> Plan[T]:
    """Deletes some rows with the hooks of everything that goes with them around it; those of cascades first.

    Args:
        compiler: For the backend at hand.
        instances: The rows, of one model.
        alias: The database.
        delete: Makes the plan that deletes them.
    """
    yield beginning(instances[0].__class__)
    found: dict[tuple[str, Row], Any] = {}
    yield from _collect(compiler, instances, alias, found)
    change = Change(is_new=False, fields=(), using=alias)
    hooked = [(each, hooks) for each in reversed(found.values()) if (hooks := hooks_of(type(each))) is not None]
    for instance, hooks in hooked:
        for hook in hooks.before_delete:
            yield hook.call(instance, change)
    yield from _refill(compiler, list(found.values()))
    result = yield from delete()
    for instance, hooks in hooked:
        for hook in hooks.after_delete:
            yield hook.call(instance, change)
    return result


def _refill(compiler: Compiler, gone: Sequence[Any]) -> Plan[None]:
    """Lets rows refer to others where they refer to rows that go, as `on_delete=SET(...)` says."""
    by_table: dict[TableSpec, list[Any]] = {}
    for instance in gone:
        by_table.setdefault(instance.__class__.table, []).append(instance)
    for table, instances in by_table.items():
        for other, reference in _refilled(table):
            given: list[object] = []
            yield calling(Call(partial(_ask, reference, given)))
            values = zip(reference.fields, _new_key(other, reference, given[0]), strict=True)
            written = tuple([(name, Value(value, other.fields[name].type)) for name, value in values])
            columns = tuple([FieldRef((), name, other.fields[name].type) for name in reference.fields])
            keys = [key for each in instances if (key := key_values(each, reference.target_fields)) is not None]
            for piece in chunks(keys, at_once(columns)):
                yield from write.update(compiler, Update(Query(other).filtered(matching(columns, piece)), written))


def _ask(reference: ForeignKeySpec, given: list[object]) -> None:
    if reference.refill is not None:
        given.append(reference.refill())


def _new_key(table: TableSpec, reference: ForeignKeySpec, given: object) -> Row:
    """The key to refer to, of an object or as it was given.

    Raises:
        InvalidValue: It is no key of the target.
    """
    fields = reference.fields
    if getattr(type(given), "__datalayer_root__", False):
        key = key_values(given, reference.target_fields)
        if key is None:
            raise InvalidValue(f"{table.model}: on_delete=SET(...) gave {given!r}, which is not saved and has no key")
        return key
    if given is None:
        return (None,) * len(fields)
    values = (given,) if len(fields) == 1 else given
    if not isinstance(values, tuple) or len(cast("Row", values)) != len(fields):
        raise InvalidValue(f"{table.model}: on_delete=SET(...) gave {given!r}; the key has {len(fields)} columns")
    pairs = zip(fields, cast("Row", values), strict=True)
    return tuple([assigned(table.python_model, name, value) for name, value in pairs])


def beginning(model: Any) -> Command:
    """The first thing a delete of rows of a model with hooks yields."""
    models = [model, *[other.python_model for other in _reached(model.table, set())][1:]]
    every = [hooks for each in models if (hooks := _delete_hooks(each)) is not None]
    if not every:
        return calling(Call())
    chosen = next((hooks for hooks in every if any(hook.is_async for hook in hooks.deletes)), every[0])
    return chosen.beginning(chosen.deletes)


def by_keys(compiler: Compiler, table: TableSpec, keys: Sequence[Row]) -> Plan[int]:
    """Deletes the rows that have one of some primary keys."""
    columns = tuple([FieldRef((), name, table.fields[name].type) for name in table.primary_key])
    count = 0
    for piece in chunks(keys, at_once(columns)):
        change = Delete(Query(table).filtered(matching(columns, piece)))
        count += yield from write.delete(compiler, change)
    return count


def _collect(compiler: Compiler, instances: Sequence[Any], alias: str, found: dict[tuple[str, Row], Any]) -> Plan[None]:
    """Fetches what goes with some rows, as far as hooks need it, parents before children."""
    table: TableSpec = instances[0].__class__.table
    new: list[Any] = []
    for instance in instances:
        key = key_values(instance, table.primary_key)
        if key is not None and (table.name, key) not in found:
            found[table.name, key] = instance
            new.append(instance)
    if not new:
        return
    for other, reference in _cascading(table):
        if not _takes_part(other):
            continue
        yield from complete(compiler, new, reference.target_fields, alias)
        keys = [key for each in new if (key := key_values(each, reference.target_fields)) is not None]
        columns = tuple([FieldRef((), name, other.fields[name].type) for name in reference.fields])
        load = loader(other.python_model, alias)
        rows: list[Any] = yield from children(compiler, Query(other), columns, keys, load)
        if rows:
            yield from _collect(compiler, rows, alias, found)
