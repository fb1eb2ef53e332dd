"""Relations of instances: what is loaded, and loading the rest for many rows at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from datalayer._compile.compiler import Compiler
from datalayer._plans import related as plans
from datalayer._plans.plan import Plan
from datalayer._query.expression import FieldRef
from datalayer._query.path import field_reference, relation_path
from datalayer._query.query import Query
from datalayer._schema.relation import RelationKind, RelationSpec
from datalayer.databases import databases
from datalayer.errors import QueryError, RelationNotLoaded
from datalayer.models._pydantic import refused
from datalayer.models.column import Related
from datalayer.models.hydrate import loader
from datalayer.models.relations import Access
from datalayer.models.state import cache_of, key_values, origin_of, peek, set_origin

_MISSING: Any = object()
_ONE = (RelationKind.FOREIGN_KEY, RelationKind.ONE_TO_ONE, RelationKind.REVERSE_ONE_TO_ONE)


def spec_of(owner: Any, name: str) -> RelationSpec:
    """A relation of a model, resolved."""
    found: RelationSpec = owner.table.relations[name]
    return found


def read(descriptor: Any, instance: Any, owner: Any) -> Any:
    """What `Book.author` and `book.author` give."""
    name = descriptor.name
    if instance is None:
        found: Related[Any, Any] = Related(owner.table, (name,))
        return found
    known = peek(instance, name, _MISSING)
    spec = spec_of(type(instance), name)
    if spec.kind.is_to_many:
        return rows_behind(instance, spec)
    if known is not _MISSING and (known is not None or not spec.kind.is_forward):
        return _found(instance, spec, known)
    key = key_values(instance, spec.local)
    if key is None and (spec.kind.is_forward or origin_of(instance) is None):
        return None
    if asyncio._get_running_loop() is not None:
        raise not_loaded(instance, spec)
    databases[alias_of(instance)].run(load, lacking(instance, spec), spec, alias_of(instance))
    return _found(instance, spec, peek(instance, name))


def _found(instance: Any, spec: RelationSpec, value: Any) -> Any:
    if value is None and not (spec.kind.is_forward and spec.nullable):
        target: Any = spec.target.python_model
        raise target.DoesNotExist(f"{spec.source.model}.{spec.name}: there is no {spec.target.model} for this row")
    return value


def not_loaded(instance: Any, spec: RelationSpec) -> RelationNotLoaded:
    """The error of a relation that was read in the async world before it was loaded."""
    name, model = spec.name, spec.source.model
    return RelationNotLoaded(
        f"{model}.{name} is not loaded; load it with the rows, {model}.objects.select_related({name!r}) or "
        f"prefetch_related({name!r}), or later with await obj.aload({name!r})"
    )


def write(descriptor: Any, instance: Any, value: Any) -> None:
    """What `book.author = ann` does: remembers the object and takes its key."""
    assign(instance, descriptor.name, value, instance.__pydantic_fields_set__)


def check_target(spec: RelationSpec, value: object) -> None:
    """Refuses what cannot stand at the end of a forward relation.

    Raises:
        ValidationError: An object of another model, or None where it is never None.
    """
    target = spec.target.model
    if value is None and not spec.nullable:
        raise refused(
            spec.source.model,
            spec.name,
            f"needs a {target} and can never be None; annotate it {target} | None to allow it",
            value,
        )
    expected = spec.target.python_model
    if value is not None and expected is not None and not isinstance(value, expected):
        raise refused(spec.source.model, spec.name, f"needs a {target}; for a key give {spec.local[0]}", value)


def assign(instance: Any, name: str, value: Any, changed: set[str]) -> None:
    """Sets a forward relation.

    Raises:
        ValidationError: The object is of another model.
    """
    spec = spec_of(type(instance), name)
    check_target(spec, value)
    key = None if value is None else key_values(value, spec.remote)
    for place, field in enumerate(spec.local):
        if value is not None and key is None:
            instance.__dict__.pop(field, None)  # not saved yet: save() takes the key over
        else:
            instance.__dict__[field] = None if key is None else key[place]
        changed.add(field)
    remember(instance, name, value)


def remember(instance: Any, name: str, value: Any) -> None:
    """Keeps the object at the end of a relation, and the way back where that is one object."""
    cache_of(instance)[name] = value
    if value is None:
        return
    spec = spec_of(type(instance), name)
    if spec.reverse is not None and spec.kind in (RelationKind.ONE_TO_ONE, RelationKind.REVERSE_ONE_TO_ONE):
        cache_of(value)[spec.reverse] = instance


def alias_of(instance: Any) -> str:
    """The database an instance belongs to."""
    origin = origin_of(instance)
    return "default" if origin is None else origin.alias


def lacking(instance: Any, spec: RelationSpec) -> list[Any]:
    """The instance and those of its peers that have not loaded a relation either."""
    origin = origin_of(instance)
    peers = [] if origin is None else origin.peers
    found = [peer for peer in peers if type(peer) is type(instance) and peek(peer, spec.name, _MISSING) is _MISSING]
    return found if any(peer is instance for peer in found) else [instance, *found]


def load(
    compiler: Compiler, instances: Sequence[Any], spec: RelationSpec, alias: str, query: Query | None = None
) -> Plan[list[Any]]:
    """Loads a relation of many instances by one query; gives the rows at its end."""
    target: Any = spec.target.python_model
    keys = [key_values(instance, spec.local) for instance in instances]
    if query is None:
        query = Query(spec.target)
        if spec.kind.is_to_many:
            query = query.replaced(order=ordering_of(target))
    columns = tuple([FieldRef((), name, spec.target.fields[name].type) for name in spec.remote])
    found = yield from plans.children(
        compiler, query, columns, [key for key in keys if key is not None], loader(target, alias)
    )
    _join_peers(found)
    by_key: dict[Any, list[Any]] = {}
    for child in found:
        by_key.setdefault(key_values(child, spec.remote), []).append(child)
    for instance, key in zip(instances, keys, strict=True):
        rows = [] if key is None else by_key.get(key, [])
        cache = cache_of(instance)
        if spec.kind.is_to_many:
            cache[spec.name] = rows
            for child in rows:
                if spec.reverse is not None:
                    cache_of(child)[spec.reverse] = instance
        elif spec.kind is RelationKind.REVERSE_ONE_TO_ONE:
            cache[spec.name] = rows[0] if rows else None
            if rows and spec.reverse is not None:
                cache_of(rows[0])[spec.reverse] = instance
        elif rows:
            cache[spec.name] = rows[0]
        else:
            cache.pop(spec.name, None)
    return found


def _join_peers(found: list[Any]) -> None:
    """Rows that came in several statements are still one result."""
    origins = {id(origin): origin for child in found if (origin := origin_of(child)) is not None}
    if len(origins) > 1:
        for origin in origins.values():
            origin.peers = found


def ordering_of(model: Any) -> Any:
    """`Meta.ordering` as a query has it."""
    from datalayer.models.queryset import default_order  # noqa: PLC0415 - querysets need this module

    return default_order(model.table)


def prefetch(compiler: Compiler, instances: Sequence[Any], paths: Sequence[tuple[str, ...]], alias: str) -> Plan[None]:
    """Loads paths of relations of many instances: one query for each step."""
    done: dict[tuple[str, ...], list[Any]] = {(): list(instances)}
    for path in paths:
        for length in range(1, len(path) + 1):
            step = path[:length]
            if step in done:
                continue
            parents = done[step[:-1]]
            if not parents:
                done[step] = []
                continue
            spec = spec_of(type(parents[0]), step[-1])
            missing = [parent for parent in parents if peek(parent, spec.name, _MISSING) is _MISSING]
            if missing:
                yield from load(compiler, missing, spec, alias)
            reached: dict[int, Any] = {}
            for parent in parents:
                value = peek(parent, spec.name)
                single = () if value is None else (value,)
                for child in cast("Sequence[Any]", value) if isinstance(value, list) else single:
                    reached[id(child)] = child
            done[step] = list(reached.values())


def paths_of(model: Any, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Names of relations, such as `author__country`, as paths."""
    return [relation_path(model.table, name) for name in names]


def rows_behind(instance: Any, spec: RelationSpec) -> Any:
    """The queryset of the rows that refer to an instance."""
    target: Any = spec.target.python_model
    if origin_of(instance) is None:
        raise QueryError(
            f"this {spec.source.model} is not saved, so no {spec.target.model} can refer to it yet; save it first"
        )
    return target.objects._behind(instance, spec)


def reverse_condition(spec: RelationSpec, key: Sequence[object]) -> Any:
    """The condition that a row refers to a key."""
    return plans.matching(tuple([field_reference(spec.target, (), name) for name in spec.remote]), [tuple(key)])


Access.read = read
Access.write = write

__all__ = ["alias_of", "lacking", "load", "prefetch", "read", "remember", "set_origin", "write"]
