"""`Prefetch`, and the names of relations that `prefetch_related` and `load` are given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from datalayer._query.path import names_of, relation_path
from datalayer._schema.relation import RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.databases import databases
from datalayer.errors import QueryError
from datalayer.models import loading
from datalayer.models.loading import Lookup
from datalayer.models.state import alias_of, origin_of
from datalayer.models.walk import Related

if TYPE_CHECKING:
    from datalayer.models.model import ModelBase
    from datalayer.models.queryset import QuerySet


class Prefetch:
    """A relation to prefetch, with the rows that are wanted of it.

    A slice is taken for each instance: `Prefetch("books", Book.objects.order_by("-year")[:3])` gives each its newest.

    Args:
        path: The relation, by name (`author__books`) or typed (`Author.books`).
        queryset: The rows that are wanted; all of the default manager when not given.
        to_attr: The attribute that gets them, a list (one object or None for a relation to one); the relation itself
            when not given.

    Raises:
        QueryError: `to_attr` is no name, or the queryset gives values instead of instances.
    """

    __slots__ = ("path", "queryset", "to_attr")

    def __init__(
        self, path: str | Related[Any, Any], queryset: QuerySet[Any] | None = None, to_attr: str | None = None
    ) -> None:
        if to_attr is not None and (not to_attr.isidentifier() or "__" in to_attr or to_attr.startswith("_")):
            raise QueryError(f"to_attr is {to_attr!r}; it must be the name of an attribute, such as 'recent_books'")
        self.path = path
        self.queryset = queryset
        self.to_attr = to_attr

    def __repr__(self) -> str:
        return f"<Prefetch {self.path!r}{'' if self.to_attr is None else f' to_attr={self.to_attr!r}'}>"


def path_of(item: object, table: TableSpec) -> str:
    """A relation of a table as text, however it was given.

    Raises:
        QueryError: It is no relation, or starts at another table.
    """
    if isinstance(item, str):
        return item
    if not isinstance(item, Related):
        raise QueryError(f"{item!r} is no relation; give a name or a relation such as {table.model}.x")
    if item.table is not table:
        raise QueryError(f"{item!r} starts at {item.table.model}, not at {table.model}")
    return "__".join(item.path)


def lookups_of(model: Any, items: Iterable[object], known: Sequence[Lookup] = ()) -> tuple[Lookup, ...]:
    """What `prefetch_related` means; every name is checked here.

    Args:
        model: Where the paths start.
        items: Names, typed relations and `Prefetch` objects.
        known: The lookups that come before; paths may go on from their `to_attr`.

    Raises:
        FieldError: An unknown relation.
        QueryError: A queryset of another model, or two for one relation.
    """
    table: TableSpec = model.table
    found = list(known)
    for item in items:
        given = item if isinstance(item, Prefetch) else Prefetch(item)  # type: ignore[arg-type]
        lookup = _lookup(table, given, found)
        other = next((each for each in found if each.places == lookup.places), None)
        if other is not None and lookup.source is not None:
            raise QueryError(
                f"{'__'.join(lookup.places)!r} is prefetched twice, with different rows; "
                "give one of them another attribute: Prefetch(..., to_attr='...')"
            )
        found.append(lookup)
    return tuple(found)


def _lookup(table: TableSpec, given: Prefetch, known: Sequence[Lookup]) -> Lookup:
    named = {each.places: each.relations[-1] for each in known if each.to_attr is not None}
    places: list[str] = []
    relations: list[RelationSpec] = []
    here = table
    for part in path_of(given.path, table).split("__"):
        spec = named.get((*places, part))
        if spec is None:
            (name,) = relation_path(here, part)
            spec = here.relations[name]
        places.append(part)
        relations.append(spec)
        here = spec.target
    owner = relations[-1].source
    if given.to_attr is not None:
        if given.to_attr in names_of(owner) or hasattr(owner.python_model, given.to_attr):
            raise QueryError(f"to_attr={given.to_attr!r}: {owner.model} has {given.to_attr!r} already; choose another")
        places[-1] = given.to_attr
    if given.queryset is not None:
        _check_source(given, relations[-1])
    return Lookup(tuple(places), tuple(relations), given.queryset, given.to_attr)


def _check_source(given: Prefetch, spec: RelationSpec) -> None:
    query = getattr(given.queryset, "query", None)
    if query is None or getattr(given.queryset, "form", None) is not None or query.columns is not None:
        raise QueryError(f"Prefetch({given.path!r}, ...) takes a queryset of whole {spec.target.model} instances")
    if query.table is not spec.target:
        raise QueryError(f"{given.path!r} leads to {spec.target.model}, and the queryset gives {query.table.model}")
    is_cut = query.limit is not None or query.offset is not None
    if is_cut and not spec.kind.is_to_many:
        raise QueryError(
            f"Prefetch({given.path!r}, ...) is sliced, but there is at most one {spec.target.model} anyway"
        )
    if is_cut and query.distinct:
        raise QueryError(f"Prefetch({given.path!r}, ...) is distinct and sliced; leave distinct() away")


def prefetch_related_objects(
    instances: Sequence[ModelBase], *paths: str | Related[Any, Any] | Prefetch, using: str | None = None
) -> None:
    """Loads relations of instances that are there already: one statement for each relation.

    Args:
        instances: Of one model.
        paths: As for `prefetch_related`. What is loaded already stays, except where a `Prefetch` names its rows.
        using: The alias of the database; the one the instances came from when not given.

    Raises:
        FieldError: An unknown relation.
        QueryError: The instances are of several models, or one is not saved.
    """
    return databases[_alias(instances, using)].run(
        loading.prefetch, instances, _lookups(instances, paths), _alias(instances, using)
    )


async def aprefetch_related_objects(
    instances: Sequence[ModelBase], *paths: str | Related[Any, Any] | Prefetch, using: str | None = None
) -> None:
    """The awaiting twin of `prefetch_related_objects`."""
    return await databases[_alias(instances, using)].arun(
        loading.prefetch, instances, _lookups(instances, paths), _alias(instances, using)
    )


def _alias(instances: Sequence[Any], using: str | None) -> str:
    origin = origin_of(instances[0]) if instances else None
    return using or ("default" if origin is None else origin.alias)


def _lookups(instances: Sequence[Any], paths: Iterable[object]) -> tuple[Lookup, ...]:
    if not instances:
        return ()
    model: Any = instances[0].__class__
    other = next((each for each in instances if each.__class__ is not model), None)
    if other is not None:
        raise QueryError(
            f"prefetch_related_objects() was given a {model.__name__} and a {type(other).__name__}; call it for each"
        )
    alias = alias_of(instances[0])
    there = next((alias_of(each) for each in instances if alias_of(each) != alias), None)
    if there is not None:
        raise QueryError(
            f"prefetch_related_objects() was given {model.__name__} rows of the databases {alias!r} and {there!r}; "
            "call it for each"
        )
    unsaved = next((each for each in instances if origin_of(each) is None), None)
    if unsaved is not None:
        raise QueryError(f"prefetch_related_objects() was given a {model.__name__} that is not saved; save it first")
    return lookups_of(model, paths)
