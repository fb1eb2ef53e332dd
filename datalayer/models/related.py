"""Relations of instances: what reading, assigning, linking and deleting does to what they know of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from datalayer._schema.relation import RelationKind, RelationSpec
from datalayer.databases import current, databases
from datalayer.errors import QueryError, RelationNotLoaded
from datalayer.models import undone
from datalayer.models._pydantic import refused
from datalayer.models.loading import MISSING, listed, load
from datalayer.models.relations import Access, Forward
from datalayer.models.state import alias_of, cache_of, key_values, origin_of, peek, peek_cache
from datalayer.models.walk import Related


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
    known = peek(instance, name, MISSING)
    if known is not None and known is not MISSING and known.__class__ is not list:
        return known  # only relations to many rows keep a list
    spec = descriptor.spec or spec_of(instance.__class__, name)
    if spec.kind.is_to_many:
        return rows_behind(instance, spec)
    if known is not MISSING and (known is not None or not spec.kind.is_forward):
        return _found(instance, spec, known)
    key = key_values(instance, spec.local)
    if key is None and (origin_of(instance) is None or (spec.kind.is_forward and _has_come(instance, spec))):
        return None
    if current.is_in_event_loop():
        raise not_loaded(instance, spec)
    databases[alias_of(instance)].run(load, lacking(instance, spec), spec, alias_of(instance))
    return _found(instance, spec, peek(instance, name))


def _has_come(instance: Any, spec: RelationSpec) -> bool:
    """Whether the key of a relation has come with the row, or has been set: `only()` and `defer()` may leave it out."""
    return all(name in instance.__dict__ for name in spec.local)


def _found(instance: Any, spec: RelationSpec, value: Any) -> Any:
    if value is None and not (spec.kind.is_forward and spec.takes_none):
        target: Any = spec.target.python_model
        raise target.RelatedObjectDoesNotExist(
            f"{spec.source.model}.{spec.name}: there is no {spec.target.model} for this row"
        )
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
    if value is None and not spec.takes_none:
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
    spec = spec_of(instance.__class__, name)
    check_target(spec, value)
    before = peek(instance, name)
    if before is not None and before is not value and spec.reverse is not None:
        cache_of(before).pop(spec.reverse, None)
    key = None if value is None else key_values(value, spec.remote)
    for place, field in enumerate(spec.local):
        if value is not None and key is None:
            instance.__dict__.pop(field, None)  # not saved yet: save() takes the key over
            changed.add(field)
            continue
        new = None if key is None else key[place]
        stored = instance.__dict__.get(field, MISSING)
        instance.__dict__[field] = new
        if stored is MISSING or new != stored or origin_of(instance) is None:
            changed.add(field)
    remember(instance, name, value)


def remember(instance: Any, name: str, value: Any) -> None:
    """Keeps the object at the end of a relation, and the way back where that is one object."""
    cache_of(instance)[name] = value
    if value is None:
        return
    back = spec_of(instance.__class__, name).way_back
    if back is not None:
        cache_of(value)[back] = instance


def take_over(instance: Any, fresh: Any) -> None:
    """Gives an instance what another one of the same row has loaded."""
    relations = instance.__class__.table.relations
    for name, value in cache_of(fresh).items():
        cache_of(instance)[name] = value
        back = relations[name].way_back if name in relations else None
        if back is not None and value is not None:
            cache_of(value)[back] = instance


def lacking(instance: Any, spec: RelationSpec) -> list[Any]:
    """The instance and those of its peers that have not loaded a relation either."""
    return peers_without(instance, lambda peer: peek(peer, spec.name, MISSING) is MISSING)


def peers_without(instance: Any, is_without: Callable[[Any], bool]) -> list[Any]:
    """The instance, and those that came with it which lack the same."""
    origin = origin_of(instance)
    peers = [] if origin is None else origin.peers
    found = [peer for peer in peers if peer.__class__ is instance.__class__ and is_without(peer)]
    return found if any(peer is instance for peer in found) else [instance, *found]


def rows_behind(instance: Any, spec: RelationSpec) -> Any:
    """The related manager of a relation to many rows."""
    target: Any = spec.target.python_model
    if origin_of(instance) is None:
        other = "be linked to it" if spec.through is not None else "refer to it"
        raise QueryError(
            f"this {spec.source.model} is not saved, so no {spec.target.model} can {other} yet; save it first"
        )
    return Access.behind(target.__datalayer_default__(), instance, spec)


# -- what became wrong by a write ----------------------------------------------------------------


def drop(instance: Any, name: str, alias: str) -> None:
    """Forgets what is loaded of a relation: now, and again if the transaction around is rolled back."""
    cache_of(instance).pop(name, None)
    undone.note_relation(alias, instance, name)


def forget_some(instance: Any, names: Iterable[str], fields: Iterable[str]) -> None:
    """Drops what is loaded of some relations, and of those that some fields are the key of."""
    wanted = set(fields)
    cache, table = cache_of(instance), instance.__class__.table
    for name in (*names, *[key for key in instance.__class__.__datalayer_relations__ if key in cache]):
        if name in names or not wanted.isdisjoint(table.relations[name].local):
            cache.pop(name, None)


def written(instance: Any, alias: str, fields: Iterable[str]) -> None:
    """What a write of an instance means for the objects it refers to: their rows behind it are other ones now."""
    names, loaded = None, peek_cache(instance)
    relations: dict[str, Forward] = instance.__datalayer_relations__  # by way of the class it takes three times as long
    for name, relation in relations.items() if loaded else ():
        other = loaded.get(name)
        if other is None:
            continue
        spec = relation.spec or spec_of(instance.__class__, name)
        names = set(fields) if names is None else names
        if spec.reverse is not None and not names.isdisjoint(spec.local):
            if spec.kind is RelationKind.ONE_TO_ONE:
                undone.note_relation(alias, other, spec.reverse)
                cache_of(other)[spec.reverse] = instance
            else:
                drop(other, spec.reverse, alias)


def deleted(instance: Any, alias: str) -> None:
    """What the end of a row means: nothing is behind it any more, and it is behind nothing."""
    loaded = peek_cache(instance)
    if not loaded:
        return
    for name, spec in instance.__class__.table.relations.items():
        known = loaded.get(name)
        if known is None:
            continue
        if spec.reverse is not None and (spec.kind.is_forward or spec.through is not None):
            for other in listed(known):
                drop(other, spec.reverse, alias)
        if not spec.kind.is_forward:
            drop(instance, name, alias)


Access.read = read
Access.write = write

__all__ = ["alias_of", "assign", "drop", "lacking", "read", "remember", "write"]
