"""Plans that load relations of many instances: one statement for each relation, whatever the number of instances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from datalayer._compile.compiler import Compiler
from datalayer._plans import by_value, read
from datalayer._plans import related as plans
from datalayer._plans.by_value import Behind, ByValue, Having
from datalayer._plans.plan import Plan, Row
from datalayer._query.expression import FieldRef
from datalayer._query.query import Query
from datalayer._schema.relation import RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError
from datalayer.late import dataclass
from datalayer.models.collations import alike_by
from datalayer.models.hydrate import loader
from datalayer.models.state import Origin, cache_of, get_cache, keep, kept_of, key_values, origin_of, peek, set_cache

MISSING: Any = object()


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """A path of relations to load.

    Attributes:
        places: Where each step is kept on the instances: the relation's name, or the `to_attr` of an earlier lookup.
        relations: The relation of each step.
        source: The queryset whose rows the last step takes; None for all rows.
        to_attr: The attribute the rows of the last step are kept in as a list, besides the relation itself.
    """

    places: tuple[str, ...]
    relations: tuple[RelationSpec, ...]
    source: Any = None
    to_attr: str | None = None


def load(
    compiler: Compiler,
    instances: Sequence[Any],
    spec: RelationSpec,
    alias: str,
    source: Any = None,
    to_attr: str | None = None,
) -> Plan[list[Any]]:
    """Loads a relation of many instances by one statement; gives the rows at its end.

    Args:
        compiler: For the backend at hand.
        instances: Of one model.
        spec: The relation.
        alias: The database they are in.
        source: A queryset of the target, for a part of its rows.
        to_attr: Where the rows are kept, if not as the relation itself.
    """
    if source is None:
        source = spec.target.python_model
        assert source is not None
        source = source.__datalayer_default__() if spec.kind.is_to_many else source.__datalayer_base__()
    elif source._alias not in ("default", alias):
        raise QueryError(
            f"{spec.source.model}.{spec.name} is loaded from {alias!r}, where its instances are, and the queryset of "
            f"its Prefetch asks {source._alias!r}; leave out its using()"
        )
    known = source._by_value
    if known is None:
        source._by_value = {}  # most are asked once: what is worked out for all times would be for nothing
    elif len(instances) == 1 and len(spec.local) == 1:
        return (yield from _load_one(compiler, instances[0], spec, alias, source, to_attr))
    rows = source._rows
    query: Query = rows.query
    make = loader(source.model, alias)
    keys: list[Row | None] = [key_values(instance, spec.local) for instance in instances]
    if None in keys:
        yield from complete(compiler, instances, spec.local, alias)
        keys = [key_values(instance, spec.local) for instance in instances]
    wanted = [key for key in keys if key is not None]
    alike = alike_by(spec.source, spec.local, compiler.backend)
    if alike is not None:
        keys = [None if key is None else alike(key) for key in keys]
    by_key: dict[Any, list[Any]] = {}
    if _knows_its_key(query, spec):
        columns = tuple([FieldRef((), name, spec.target.fields[name].type) for name in spec.remote])
        found = yield from plans.children(compiler, query, columns, wanted, make)
        for child in found:
            key = key_values(child, spec.remote)
            by_key.setdefault(key if alike is None or key is None else alike(key), []).append(child)
    else:
        query, cut = _uncut(query)
        pairs = yield from plans.behind(compiler, query, spec, wanted, make, cut)
        for key_of_child, child in pairs:
            by_key.setdefault(key_of_child if alike is None else alike(key_of_child), []).append(child)
        found = list({id(child): child for _, child in pairs}.values())
    join_peers(found)
    for instance, key in zip(instances, keys, strict=True):
        _keep(instance, spec, [] if key is None else by_key.get(key, []), to_attr)
    if rows.prefetched and found:
        yield from prefetch(compiler, found, rows.prefetched, alias)
    return found


def _load_one(
    compiler: Compiler, instance: Any, spec: RelationSpec, alias: str, source: Any, to_attr: str | None
) -> Plan[list[Any]]:
    """As `load`, of one instance and a relation of one column: all rows that come are its own."""
    known: dict[RelationSpec, tuple[str, ByValue[Any] | None]] = source._by_value
    kept = known.get(spec)
    if kept is None or kept[0] != alias:
        kept = known[spec] = (alias, _by_key(spec, alias, source))
    values, name, rows = instance.__dict__, spec.local[0], kept[1]
    key = values.get(name)
    if key is None and name not in values:
        yield from complete(compiler, [instance], spec.local, alias)
        key = values.get(name)
    found = [] if key is None or rows is None else (yield from by_value.fetch(compiler, rows, key))
    _keep(instance, spec, found, to_attr)
    if found and source._prefetched:
        yield from prefetch(compiler, found, source._prefetched, alias)
    return found


def _by_key(spec: RelationSpec, alias: str, source: Any) -> ByValue[Any] | None:
    """The rows of a source that are at the end of a relation, by the key of the one it starts from; None for none."""
    query: Query = source._rows.query
    if read.is_nothing(query):
        return None
    make = loader(source.model, alias)
    if _knows_its_key(query, spec):
        (name,) = spec.remote
        return Having(query, FieldRef((), name, spec.target.fields[name].type), make)
    query, cut = _uncut(query)
    return Behind(query, spec, make, cut)


def _uncut(query: Query) -> tuple[Query, tuple[int, int | None] | None]:
    """A query without its slice, and the slice."""
    if query.limit is None and query.offset is None:
        return query, None
    return read.ordered(query).replaced(limit=None, offset=None), (query.offset or 0, query.limit)


def complete(compiler: Compiler, instances: Sequence[Any], names: Iterable[str], alias: str) -> Plan[None]:
    """Loads those of some fields that have not come with rows, because of `only()` or `defer()`."""
    for name in names:
        lacking = [each for each in instances if name not in each.__dict__ and origin_of(each) is not None]
        if lacking:
            yield from load_field(compiler, lacking, name, alias)


def load_field(compiler: Compiler, instances: Sequence[Any], name: str, alias: str) -> Plan[None]:
    """Loads a field of many instances by one statement."""
    model: Any = instances[0].__class__
    table: TableSpec = model.table
    key = table.primary_key
    query = Query(table).replaced(only=(*key, name))
    columns = tuple([FieldRef((), part, table.fields[part].type) for part in key])
    keys = [found for each in instances if (found := key_values(each, key)) is not None]
    rows = yield from plans.children(compiler, query, columns, keys, loader(model, alias))
    by_key = {key_values(row, key): row for row in rows}
    for each in instances:
        row = by_key.get(key_values(each, key))
        if row is not None:
            each.__dict__[name] = row.__dict__[name]
            fresh = kept_of(row)
            if name in fresh:
                keep(each, kept_of(each) | {name: fresh[name]})


def _knows_its_key(query: Query, spec: RelationSpec) -> bool:
    """Whether each row says by itself whose it is."""
    if query.limit is not None or query.offset is not None or spec.through is not None:
        return False
    key = spec.target.primary_key
    return query.only is None or all(name in query.only or name in key for name in spec.remote)


def _keep(instance: Any, spec: RelationSpec, rows: list[Any], to_attr: str | None) -> None:
    """Puts what was loaded where it is read, and the way back on each row."""
    cache = cache_of(instance)
    place = to_attr or spec.name
    if spec.kind.is_to_many:
        cache[place] = list(rows)
    elif rows or spec.kind.is_backward or to_attr is not None:
        cache[place] = rows[0] if rows else None
    else:
        cache.pop(place, None)
    back = spec.reverse
    if back is not None and spec.kind.is_backward:
        for child in rows:
            try:  # as `cache_of`, without the call
                get_cache(child)[back] = instance
            except AttributeError:
                set_cache(child, {back: instance})


def join_peers(found: list[Any]) -> None:
    """Makes rows that came in several statements one result."""
    origins: dict[int, Origin] = {id(origin): origin for child in found if (origin := origin_of(child)) is not None}
    if len(origins) > 1:
        for origin in origins.values():
            origin.peers = found


def prefetch(compiler: Compiler, instances: Sequence[Any], lookups: Iterable[Lookup], alias: str) -> Plan[None]:
    """Loads paths of relations of many instances: one statement for each step that is not loaded yet."""
    done: set[tuple[str, ...]] = set()
    ends: dict[tuple[str, ...], Sequence[Any]] = {(): instances}  # of the steps that others went on from
    for lookup in lookups:
        for length, spec in enumerate(lookup.relations, 1):
            step = lookup.places[:length]
            is_last = length == len(lookup.places)
            is_chosen = is_last and (lookup.source is not None or lookup.to_attr is not None)
            if step in done and not is_chosen:
                continue
            done.add(step)
            before = step[:-1]
            parents = ends.get(before)
            if parents is None:
                parents = ends[before] = _ends(ends[before[:-1]], before[-1])
            lacking = parents if is_chosen else [each for each in parents if peek(each, step[-1], MISSING) is MISSING]
            if lacking:
                chosen = (lookup.source, lookup.to_attr) if is_last else ()
                yield from load(compiler, lacking, spec, alias, *chosen)


def listed(value: Any) -> list[Any]:
    """What is kept of a relation, as a list whatever its kind."""
    if value.__class__ is list:
        return value
    return [] if value is None else [value]


def _ends(parents: Iterable[Any], place: str) -> list[Any]:
    """What stands at the end of a step, each object once."""
    reached: dict[int, Any] = {}
    for parent in parents:
        for child in listed(peek(parent, place)):
            reached[id(child)] = child
    return list(reached.values())
