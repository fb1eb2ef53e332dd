"""Plans of related managers: linking and unlinking rows, the same for foreign keys seen from behind and many to many.

Each is one statement for all objects where SQL allows it. Linking what is linked already is no error, and two
transactions that link the same rows do not hinder each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from datalayer._compile.compiler import Compiler
from datalayer._plans import bulk as bulk_plans
from datalayer._plans import read, transaction, write
from datalayer._plans.plan import Plan, Row
from datalayer._plans.related import matching
from datalayer._plans.write import writing
from datalayer._query.change import Delete, OnConflict, Update
from datalayer._query.condition import Condition, Junction
from datalayer._query.expression import FieldRef, Value
from datalayer._query.query import Query
from datalayer._schema.relation import RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.errors import FieldError, InvalidValue, QueryError, choices_text, nearest
from datalayer.late import dataclass
from datalayer.models import bulk, changes, deleting, saving, undone, upserts
from datalayer.models._pydantic import set_fields_set
from datalayer.models.checks import check_complete, checked
from datalayer.models.hooks import hooks_of, opened
from datalayer.models.related import assign, drop
from datalayer.models.state import alias_of, key_values, origin_of, peek

T = TypeVar("T")


@dataclass(slots=True)
class Link:
    """A relation to many rows of one instance.

    Attributes:
        instance: Whose rows they are.
        spec: The relation.
        alias: The database.
        defaults: What new rows in between have besides their keys.
    """

    instance: Any
    spec: RelationSpec
    alias: str
    defaults: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.defaults:
            _check_defaults(self.spec, self.defaults)

    def check_complete(self, verb: str) -> None:
        """Refuses to link where a row in between would lack a value.

        Raises:
            InvalidValue: A field of the model in between has none.
        """
        through = self.spec.through
        if through is not None and not through.is_automatic:
            given = {*self.spec.through_local, *self.spec.through_remote, *self.defaults}
            check_complete(through.python_model, given, verb, "through_defaults")

    @property
    def key(self) -> Row:
        """The key of the instance.

        Raises:
            QueryError: It has none.
        """
        found = key_values(self.instance, self.spec.local)
        if found is None:
            raise QueryError(
                f"this {self.spec.source.model} has no {', '.join(self.spec.local)}, which {self.spec.name} goes by"
            )
        return found

    @property
    def through(self) -> TableSpec:
        """The table in between."""
        assert self.spec.through is not None
        return self.spec.through

    @property
    def is_symmetrical(self) -> bool:
        """Whether each link is two rows, one each way."""
        return self.spec.through is not None and self.spec.reverse == self.spec.name

    def keys_of(self, objects: Sequence[Any], names: tuple[str, ...]) -> list[Row]:
        """Some values of each object, or the primary keys that were given instead of objects.

        Raises:
            QueryError: Something that is no object of the target, or is in another database.
            InvalidValue: One that is not saved, or a key of the wrong type.
        """
        return [self._key_of(each, names) for each in objects]

    def _key_of(self, item: Any, names: tuple[str, ...]) -> Row:
        target, place = self.spec.target, f"{self.spec.source.model}.{self.spec.name}"
        table = getattr(item.__class__, "table", None)
        if not isinstance(table, TableSpec):
            return self._plain_key(item, names, place)
        if table is not target:
            raise QueryError(f"{place} holds {target.model} rows, and {item!r} is a {table.model}")
        key = key_values(item, names)
        if origin_of(item) is None or key is None:
            raise InvalidValue(
                f"{place}: {item!r} is not saved yet; save it first, or make it and link it in one: "
                f"{self.spec.name}.create(...)"
            )
        if alias_of(item) != self.alias:
            raise QueryError(
                f"{place}: {item!r} is in the database {alias_of(item)!r}, this {self.spec.source.model} in "
                f"{self.alias!r}, and no relation leads from one to another"
            )
        return key

    def _plain_key(self, item: Any, names: tuple[str, ...], place: str) -> Row:
        target = self.spec.target
        if names != target.primary_key:
            raise QueryError(f"{place} goes by {', '.join(names)}, so it takes {target.model} objects, not {item!r}")
        given: Any = item
        parts: Any = given if len(names) > 1 and item.__class__ is tuple else (given,)
        if len(parts) != len(names) or None in parts:
            raise InvalidValue(
                f"{place} takes {target.model} objects, or their keys ({', '.join(names)}), not {item!r}"
            )
        return tuple(
            [
                checked(target.fields[name].type, "exact", f"{place} ({name})", part)
                for name, part in zip(names, parts, strict=True)
            ]
        )


def _check_defaults(spec: RelationSpec, defaults: Mapping[str, Any]) -> None:
    through, place = spec.through, f"{spec.source.model}.{spec.name}"
    if through is None:
        raise QueryError(f"through_defaults are for a ManyToMany; {place} is the way back of a ForeignKey")
    keys = {*spec.through_local, *spec.through_remote}
    known = {name for name in through.fields if name not in keys}
    known |= {name for name, each in through.relations.items() if each.kind.is_forward and keys.isdisjoint(each.local)}
    if through.is_automatic or not known:
        raise QueryError(f"through_defaults: the rows of {place} are nothing but their keys; declare through= for more")
    for name in defaults:
        if name not in known:
            raise FieldError(
                f"through_defaults name {name!r}, which {through.model} does not have; the choices are "
                f"{choices_text(known)}{nearest(name, known)}",
                name=name,
                choices=known,
            )
    changes.check_values(through.python_model, defaults, "through_defaults")


def _is(table: TableSpec, names: tuple[str, ...], keys: Sequence[Row]) -> Condition:
    return matching(tuple([FieldRef((), name, table.fields[name].type) for name in names]), keys)


def _both(first: Condition, second: Condition) -> Condition:
    return Junction("and", (first, second))


def _linked(link: Link, keys: Sequence[Row] | None) -> Query:
    """The rows in between of an instance, to some of the target or all."""
    spec, table = link.spec, link.through

    def one_way(here: tuple[str, ...], there: tuple[str, ...]) -> Condition:
        mine = _is(table, here, [link.key])
        return mine if keys is None else _both(mine, _is(table, there, keys))

    condition = one_way(spec.through_local, spec.through_remote)
    if link.is_symmetrical:
        condition = Junction("or", (condition, one_way(spec.through_remote, spec.through_local)))
    return Query(table).filtered(condition)


def _forget(link: Link, objects: Sequence[Any]) -> None:
    """Drops what the instance and the objects knew of each other."""
    known = peek(link.instance, link.spec.name) or ()
    drop(link.instance, link.spec.name, link.alias)
    if link.spec.through is not None and link.spec.reverse is not None:
        for each in {id(each): each for each in (*known, *objects)}.values():
            if hasattr(each.__class__, "table"):
                drop(each, link.spec.reverse, link.alias)


# -- add ------------------------------------------------------------------------------------------


@writing
def add(compiler: Compiler, link: Link, objects: Sequence[Any], depth: int) -> Plan[None]:
    """Links objects."""
    if link.spec.through is None:
        yield from _refer(compiler, link, objects)
    else:
        depth += yield from _opened(link)
        yield from _join(compiler, link, link.keys_of(objects, link.spec.remote), depth)
        _forget(link, objects)


def _join(compiler: Compiler, link: Link, keys: Sequence[Row], depth: int) -> Plan[None]:
    """Writes the rows in between that are not there yet."""
    spec, table = link.spec, link.through
    if not keys:
        return
    fields = (*spec.through_local, *spec.through_remote)
    if not table.is_automatic:
        names = tuple([(name, FieldRef((), name, table.fields[name].type)) for name in spec.through_remote])
        there = Query(table).replaced(columns=names).filtered(_is(table, spec.through_local, [link.key]))
        known = set((yield from read.tuples(compiler, there.filtered(_is(table, spec.through_remote, keys)))))
        keys = [key for key in keys if key not in known]
    rows = [(*link.key, *key) for key in keys]
    if link.is_symmetrical:
        rows += [(*key, *link.key) for key in keys]
    # In one order, so that two transactions that add the same wait for each other at most once.
    rows = _in_order(list(dict.fromkeys(rows)))
    if table.is_automatic:
        yield from bulk_plans.create(compiler, table, fields, rows, conflict=OnConflict(), depth=depth)
        return
    model: Any = table.python_model
    made = [
        model(
            **dict(zip(fields, row, strict=True)),
            **{name: value() if callable(value) else value for name, value in link.defaults.items()},
        )
        for row in rows
    ]
    hooks = hooks_of(model)
    if hooks is None or not hooks.saves:
        yield from bulk.bulk_create(compiler, bulk.Bulk(model, link.alias, made, None, OnConflict()), depth)
        return
    for each in made:
        yield from saving.save(compiler, each, link.alias, force_insert=True)


def _opened(link: Link) -> Plan[int]:
    """Begins a plan about rows in between that may have hooks; gives how many transactions that has opened: 1 or 0."""
    hooks = hooks_of(link.through.python_model)
    if hooks is not None:
        yield hooks.beginning(hooks.saves + hooks.deletes)
    elif deleting.has_hooks(link.through.python_model):
        yield deleting.beginning(link.through.python_model)
    else:
        return 0
    return 1


def _unlink(compiler: Compiler, link: Link, keys: Sequence[Row] | None) -> Plan[None]:
    """Deletes rows in between, with their hooks; all of the instance where no keys are given."""
    change, table = Delete(_linked(link, keys)), link.through
    if table.is_automatic:
        yield from write.delete(compiler, change)
    else:
        yield from changes.delete(compiler, change, table.python_model, link.alias)


def _in_order(rows: list[Row]) -> list[Row]:
    try:
        return sorted(rows)
    except TypeError:
        return rows


def _refer(compiler: Compiler, link: Link, objects: Sequence[Any]) -> Plan[None]:
    """Makes rows refer to the instance."""
    spec = link.spec
    if not objects:
        return
    keys = link.keys_of(objects, spec.target.primary_key)
    query = Query(spec.target).filtered(_is(spec.target, spec.target.primary_key, keys))
    yield from write.update(compiler, _keyed(link, query, link.key))
    for each in objects:
        _now_refers(link, each, link.instance)
    _forget(link, objects)


def _keyed(link: Link, query: Query, key: Sequence[object]) -> Update:
    fields = link.spec.target.fields
    return Update(
        query,
        tuple([(name, Value(value, fields[name].type)) for name, value in zip(link.spec.remote, key, strict=True)]),
    )


def _now_refers(link: Link, item: Any, instance: Any) -> None:
    """Gives an object in memory the key that its row has now."""
    spec = link.spec
    if spec.reverse is None or not hasattr(item.__class__, "table"):
        return
    undone.note_change(link.alias, item, origin_of(item), spec.remote)
    before = peek(item, spec.reverse)
    if before is not None and before is not instance:
        drop(before, spec.name, link.alias)
    assign(item, spec.reverse, instance, set())
    set_fields_set(item, item.__pydantic_fields_set__.difference(spec.remote))


# -- remove, clear, set ---------------------------------------------------------------------------


def check_removable(spec: RelationSpec, verb: str) -> None:
    """Refuses to unlink rows that must always refer to something.

    Raises:
        QueryError: The foreign key is never null.
    """
    if spec.through is None and not all(spec.target.fields[name].nullable for name in spec.remote):
        key, place = f"{spec.target.model}.{spec.reverse}", f"{spec.source.model}.{spec.name}"
        cure = {
            "set": f"use {place.partition('.')[2]}.add(...) to bring others here",
        }.get(verb, f"delete() the rows, or add() them to another {spec.source.model}")
        raise QueryError(f"{place}.{verb}(): {key} is never null, so no row can be left without; {cure}")


@writing
def remove(compiler: Compiler, link: Link, objects: Sequence[Any]) -> Plan[None]:
    """Unlinks objects; those that are not linked are left alone."""
    spec = link.spec
    if not objects:
        return
    if spec.through is not None:
        keys = link.keys_of(objects, spec.remote)
        yield from _opened(link)
        yield from _unlink(compiler, link, keys)
    else:
        keys = link.keys_of(objects, spec.target.primary_key)
        mine = Query(spec.target).filtered(_is(spec.target, spec.remote, [link.key]))
        rows = mine.filtered(_is(spec.target, spec.target.primary_key, keys))
        yield from write.update(compiler, _keyed(link, rows, [None] * len(spec.remote)))
        for each in objects:
            if key_values(each, spec.remote) == link.key if hasattr(each.__class__, "table") else False:
                _now_refers(link, each, None)
    _forget(link, objects)


@writing
def clear(compiler: Compiler, link: Link) -> Plan[None]:
    """Unlinks every row."""
    spec = link.spec
    if spec.through is not None:
        yield from _opened(link)
        yield from _unlink(compiler, link, None)
    else:
        mine = Query(spec.target).filtered(_is(spec.target, spec.remote, [link.key]))
        yield from write.update(compiler, _keyed(link, mine, [None] * len(spec.remote)))
        for each in peek(link.instance, spec.name) or ():
            _now_refers(link, each, None)
    _forget(link, ())


@writing
def replace(compiler: Compiler, link: Link, objects: Sequence[Any], depth: int) -> Plan[None]:
    """Links exactly these objects: unlinks the others and adds the missing ones, in one transaction."""
    spec = link.spec
    names = spec.target.primary_key if spec.through is None else spec.remote
    wanted = dict(zip(link.keys_of(objects, names), objects, strict=True))
    if spec.through is None:
        table, fields, mine = spec.target, names, _is(spec.target, spec.remote, [link.key])
    else:
        table, fields, mine = spec.through, spec.through_remote, _is(spec.through, spec.through_local, [link.key])
    there = tuple([(name, FieldRef((), name, table.fields[name].type)) for name in fields])
    if spec.through is not None:
        depth += yield from _opened(link)

    def steps() -> Plan[None]:
        known = yield from read.tuples(compiler, Query(table).replaced(columns=there).filtered(mine))
        gone = [key for key in dict.fromkeys(known) if key not in wanted]
        new = [key for key in wanted if key not in set(known)]
        if gone and spec.through is not None:
            yield from _unlink(compiler, link, gone)
        elif gone:
            rows = Query(table).filtered(_both(mine, _is(table, names, gone)))
            yield from write.update(compiler, _keyed(link, rows, [None] * len(spec.remote)))
        if new and spec.through is not None:
            yield from _join(compiler, link, new, depth + 1)
        elif new:
            yield from _refer(compiler, link, [wanted[key] for key in new])

    yield from transaction.nested(compiler.backend, steps, depth=depth)
    if spec.through is None:
        for each in peek(link.instance, spec.name) or ():
            if key_values(each, names) not in wanted:
                _now_refers(link, each, None)
    _forget(link, objects)


# -- make and link --------------------------------------------------------------------------------


def _linking(
    compiler: Compiler, link: Link, make: Callable[[int], Plan[T]], linked: Callable[[T], Any], depth: int
) -> Plan[T]:
    """Makes an object and links it, both or neither.

    Args:
        compiler: For the backend at hand.
        link: The relation.
        make: Makes the plan that makes the object, given how deep in transactions it runs.
        linked: What of its result is to be linked; None for nothing.
        depth: How many transactions and savepoints are open already.
    """
    if link.spec.through is None:
        made = yield from make(depth)
    else:
        has_opened = yield from _opened(link)
        has_opened = (yield from opened(link.spec.target.python_model)) or has_opened
        depth += has_opened

        def steps() -> Plan[T]:
            result = yield from make(depth + 1)
            item = linked(result)
            if item is not None:
                yield from _join(compiler, link, link.keys_of([item], link.spec.remote), depth + 1)
            return result

        made = yield from transaction.nested(compiler.backend, steps, depth=depth)
    item = linked(made)
    _forget(link, () if item is None else (item,))
    return made


@writing
def create(compiler: Compiler, link: Link, instance: T, alias: str, depth: int) -> Plan[T]:
    """Saves a new object that is made behind a relation, and links it."""
    return _linking(compiler, link, lambda _: upserts.create(compiler, instance, alias), lambda made: made, depth)


@writing
def get_or_create(compiler: Compiler, link: Link | None, asked: upserts.Upsert, depth: int) -> Plan[tuple[Any, bool]]:
    """The object that matches, or a new one, linked where it is made behind a relation."""
    if link is None:
        return upserts.get_or_create(compiler, asked, depth)
    return _linking(compiler, link, lambda inner: upserts.get_or_create(compiler, asked, inner), _new_one, depth)


@writing
def update_or_create(
    compiler: Compiler, link: Link | None, asked: upserts.Upsert, depth: int
) -> Plan[tuple[Any, bool]]:
    """Writes the defaults to the object that matches, or makes one, linked where that is behind a relation."""
    if link is None:
        return upserts.update_or_create(compiler, asked, depth)
    return _linking(compiler, link, lambda inner: upserts.update_or_create(compiler, asked, inner), _new_one, depth)


def _new_one(result: tuple[Any, bool]) -> Any:
    return result[0] if result[1] else None


def refuse(model: Any, part_of: RelationSpec | None, verb: str) -> NoReturn:
    """Refuses to link by a queryset that is not all the rows behind a relation.

    Args:
        model: Whose rows it is about.
        part_of: The relation it is only a part of the rows of; None where it is behind none.
        verb: What was called.

    Raises:
        QueryError: Always.
    """
    if part_of is not None:
        place = f"{part_of.source.model.lower()}.{part_of.name}"
        raise QueryError(f"{verb}() belongs to the relation itself, not to a part of its rows: {place}.{verb}(...)")
    if verb in ("create", "get_or_create", "update_or_create"):
        raise QueryError(
            f"through_defaults are what a row between two others has; {verb}() of {model.__name__} links nothing, so "
            "call it on a ManyToMany of one row"
        )
    ways = [
        f"{relation.target.model.lower()}.{relation.reverse}.{verb}(...)"
        for relation in model.table.relations.values()
        if relation.reverse is not None and relation.target.relations[relation.reverse].kind.is_to_many
    ]
    cure = f"call it on a relation of a row: {choices_text(ways)}" if ways else "no relation to many leads to it"
    raise QueryError(f"{verb}() links rows to one other row, and this is about every {model.__name__}; {cure}")


__all__ = [
    "Link",
    "add",
    "check_removable",
    "clear",
    "create",
    "get_or_create",
    "refuse",
    "remove",
    "replace",
    "update_or_create",
]
