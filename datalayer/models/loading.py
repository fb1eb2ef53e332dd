"""Plans that load relations of many instances: one statement for each relation, whatever the number of instances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from datalayer._compile.compiler import Compiler
from datalayer._plans import read
from datalayer._plans import related as plans
from datalayer._plans.plan import Plan, Row
from datalayer._query.expression import FieldRef
from datalayer._query.query import Query
from datalayer._schema.relation import RelationKind, RelationSpec
from datalayer.errors import QueryError
from datalayer.late import dataclass
from datalayer.models.collations import alike_by
from datalayer.models.hydrate import loader
from datalayer.models.state import Origin, cache_of, key_values, origin_of, peek

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
    rows = source._rows
    query: Query = rows.query
    make = loader(source.model, alias)
    keys: list[Row | None] = [key_values(instance, spec.local) for instance in instances]
    wanted = [key for key in keys if key is not None]
    alike = alike_by(spec, compiler.backend)
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
        cut = None
        if query.limit is not None or query.offset is not None:
            cut = (query.offset or 0, query.limit)
            query = read.ordered(query).replaced(limit=None, offset=None)
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
    elif rows or spec.kind is RelationKind.REVERSE_ONE_TO_ONE or to_attr is not None:
        cache[place] = rows[0] if rows else None
    else:
        cache.pop(place, None)
    if spec.reverse is not None and spec.kind in (RelationKind.REVERSE_FOREIGN_KEY, RelationKind.REVERSE_ONE_TO_ONE):
        for child in rows:
            cache_of(child)[spec.reverse] = instance


def join_peers(found: list[Any]) -> None:
    """Makes rows that came in several statements one result."""
    origins: dict[int, Origin] = {id(origin): origin for child in found if (origin := origin_of(child)) is not None}
    if len(origins) > 1:
        for origin in origins.values():
            origin.peers = found


def prefetch(compiler: Compiler, instances: Sequence[Any], lookups: Iterable[Lookup], alias: str) -> Plan[None]:
    """Loads paths of relations of many instances: one statement for each step that is not loaded yet."""
    done: dict[tuple[str, ...], list[Any]] = {(): list(instances)}
    for lookup in lookups:
        for length, spec in enumerate(lookup.relations, 1):
            step = lookup.places[:length]
            is_last = length == len(lookup.places)
            is_chosen = is_last and (lookup.source is not None or lookup.to_attr is not None)
            if step in done and not is_chosen:
                continue
            parents = done[step[:-1]]
            lacking = parents if is_chosen else [each for each in parents if peek(each, step[-1], MISSING) is MISSING]
            if lacking:
                chosen = (lookup.source, lookup.to_attr) if is_last else ()
                yield from load(compiler, lacking, spec, alias, *chosen)
            done[step] = _ends(parents, step[-1])


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
