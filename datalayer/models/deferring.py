"""Which columns come along: `only` and `defer`, and loading one that did not.

What a query loads is a tuple of names: fields of its own table, and `author__name` for those of a joined relation. A
relation of which no name is there comes whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from datalayer._query.expression import FieldRef
from datalayer._query.path import names_of, resolve
from datalayer._query.query import Query
from datalayer._schema.table import TableSpec
from datalayer.databases import current, databases
from datalayer.errors import FieldError, FieldNotLoaded, QueryError, choices_text, nearest
from datalayer.models.column import Expr
from datalayer.models.expressions import owned
from datalayer.models.loading import load_field
from datalayer.models.prefetch import path_of
from datalayer.models.related import peers_without
from datalayer.models.state import alias_of, origin_of


def only(query: Query, items: Iterable[object]) -> Query:
    """The query, loading these columns and the keys; of a relation that is not named, everything.

    Raises:
        FieldError: An unknown name.
        QueryError: A column of a relation that is not joined.
    """
    named = [pair for item in items for pair in _fields(query, item, "only")]
    kept = [("", name) for name in query.table.primary_key]
    for prefix in dict.fromkeys(prefix for prefix, _ in named):
        table = _table(query.table, prefix)
        kept += [(prefix, name) for name in table.primary_key]
    return query.replaced(only=_flat(query, [*kept, *named]))


def defer(query: Query, items: Iterable[object]) -> Query:
    """The query without these columns, besides those that are left out already.

    Raises:
        FieldError: An unknown name.
        QueryError: A column of a relation that is not joined.
    """
    named = [pair for item in items for pair in _fields(query, item, "defer")]
    known = [_split(name) for name in query.only or ()]
    loaded = known if query.only is not None else [("", name) for name in query.table.fields]
    for prefix in dict.fromkeys(prefix for prefix, _ in named):
        table = _table(query.table, prefix)
        if prefix and not any(other == prefix for other, _ in known):
            loaded += [(prefix, name) for name in table.fields]
        key = {(prefix, name) for name in table.primary_key}
        loaded = [pair for pair in loaded if pair not in named or pair in key]
    return query.replaced(only=_flat(query, loaded))


def _split(name: str) -> tuple[str, str]:
    prefix, _, field = name.rpartition("__")
    return prefix, field


def _flat(query: Query, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Names for `Query.only`; the keys that joined rows hang on come along."""
    found = [f"{prefix}__{name}" if prefix else name for prefix, name in pairs]
    prefixes = {prefix for prefix, _ in pairs}
    for path in query.joined:
        parent, step = "__".join(path[:-1]), path[-1]
        if parent in prefixes or not parent:
            relation = _table(query.table, parent).relations[step]
            found += [f"{parent}__{name}" if parent else name for name in relation.local]
    return tuple(dict.fromkeys(found))


def _table(table: TableSpec, prefix: str) -> TableSpec:
    for step in prefix.split("__") if prefix else ():
        table = table.relations[step].target
    return table


def _fields(query: Query, item: object, verb: str) -> list[tuple[str, str]]:
    """The columns that an argument names, each with the relation it is reached over."""
    table = query.table
    if isinstance(item, Expr):
        owned(item.node, table)
        if not isinstance(item.node, FieldRef):
            raise QueryError(f"{verb}() takes columns, not {item!r}")
        path: tuple[str, ...] = item.node.path
        names: tuple[str, ...] = (item.node.field,)
    else:
        name = path_of(item, table)
        if name not in names_of(table) and "__" not in name:
            known = table.fields
            raise FieldError(
                f"{verb}() got {name!r}, which is no field of {table.model}; the choices are "
                f"{choices_text(known)}{nearest(name, known)}",
                name=name,
                choices=known,
            )
        found = resolve(table, name, allow_lookup=False)
        path = found.path
        if found.relation is None:
            names = found.key if found.field is None else (found.field.name,)
        elif found.relation.kind.is_forward:
            names = found.relation.local
        else:
            raise QueryError(f"{verb}() got {name!r}, which has no column in {found.table.model} to load or leave")
    if path and path not in query.joined:
        shown = "__".join(path)
        raise QueryError(f"{verb}() names a column of {shown!r}, which is not loaded; select_related({shown!r}) first")
    return [("__".join(path), name) for name in names]


# -- reading what did not come ---------------------------------------------------------------------


def read_field(instance: Any, name: str) -> Any:
    """The value of a field that was not loaded: asked for now, for all rows that came together.

    Raises:
        FieldNotLoaded: The instance is new, or an event loop is running, which must not wait here.
    """
    model = instance.__class__
    if origin_of(instance) is None:
        raise FieldNotLoaded(f"{model.__name__}.{name} is not set before the first save; call save() first")
    if current.is_in_event_loop():
        raise FieldNotLoaded(
            f"{model.__name__}.{name} was not loaded; load it with the rows, or later with "
            f"await obj.arefresh(fields=[{name!r}])"
        )
    lacking = peers_without(instance, lambda peer: name not in peer.__dict__)
    databases[alias_of(instance)].run(load_field, lacking, name, alias_of(instance))
    if name not in instance.__dict__:
        raise model.DoesNotExist(f"{model.__name__}.{name} was not loaded, and the row is gone from the database")
    return instance.__dict__[name]


def absent(instance: Any) -> set[str]:
    """The fields of a row that have not come with it; none of an instance that has no row."""
    table: TableSpec = instance.__class__.table
    return set() if origin_of(instance) is None else {name for name in table.fields if name not in instance.__dict__}
