"""Plans of `bulk_create`, `bulk_update` and `bulk_delete`: many instances in as few statements as possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeVar

from datalayer._compile.compiler import Compiler
from datalayer._plans import bulk as plans
from datalayer._plans import transaction
from datalayer._plans.plan import Plan, Row
from datalayer._plans.related import matching
from datalayer._plans.write import writing
from datalayer._query.change import Given, OnConflict
from datalayer._query.expression import Expression, FieldRef
from datalayer._query.query import Query
from datalayer._query.walk import parts
from datalayer._schema.table import TableSpec
from datalayer.errors import InvalidValue, QueryError
from datalayer.late import dataclass
from datalayer.models import assigning, deleting, protecting, related, saving, undone
from datalayer.models._pydantic import peek_fields_set, set_fields_set
from datalayer.models.collations import alike_by
from datalayer.models.conflicts import twins
from datalayer.models.forms import Form, form_of, row_of
from datalayer.models.state import (
    Origin,
    keep,
    kept,
    kept_of,
    key_values,
    origin_of,
    origins_of,
    peek_cache,
    set_origin,
)
from datalayer.models.views import refuse_view

if TYPE_CHECKING:
    from datalayer.models.model import ModelBase

M = TypeVar("M", bound="ModelBase")


class Saved(list[M]):
    """The instances given to `bulk_create`, in their order, and what became of them.

    Attributes:
        inserted: Those that are new rows.
        updated: Those whose row was there and was written to; they now have the values of that row.
        skipped: Those whose row was there and was left alone; they are not saved.
    """

    __slots__ = ("inserted", "skipped", "updated")

    def __init__(self, objects: Sequence[M]) -> None:
        super().__init__(objects)
        self.inserted: list[M] = []
        self.updated: list[M] = []
        self.skipped: list[M] = []


@dataclass(slots=True)
class Bulk:
    """What `bulk_create`, `bulk_update` and `bulk_delete` work on."""

    model: Any
    alias: str
    objects: list[Any]
    batch_size: int | None
    conflict: OnConflict | None = None
    assignments: tuple[tuple[str, Expression], ...] | None = ()
    """What `bulk_update` writes; None for what differs from the row in each."""

    def check(self, verb: str) -> None:
        """Makes sure that every object is of the model.

        Raises:
            QueryError: One is not, or a batch has no room for a row.
        """
        refuse_view(self.model.table, verb)
        if self.batch_size is not None and (type(self.batch_size) is not int or self.batch_size < 1):
            raise QueryError(f"batch_size is {self.batch_size!r}; a statement writes a number of rows, at least one")
        if set(map(type, self.objects)).difference((self.model,)):
            wrong = next(each for each in self.objects if type(each) is not self.model)
            raise QueryError(f"{verb}() of {self.model.__name__} was given {wrong!r}")

    def check_database(self, verb: str) -> None:
        """Makes sure that the rows to be changed are those that the objects came from.

        Raises:
            QueryError: One is a row of another database: here its key may be that of another row.
        """
        if all(origin is None or origin.alias == self.alias for origin in origins_of(self.objects)):
            return
        for each in self.objects:
            origin = origin_of(each)
            if origin is not None and origin.alias != self.alias:
                raise QueryError(
                    f"{verb}() on {self.alias!r} was given {each!r}, a row of the database {origin.alias!r}; call it "
                    f"there: {self.model.__name__}.objects.using({origin.alias!r}).{verb}(...)"
                )


@dataclass(slots=True)
class _Group:
    """Rows of a batch that set the same fields."""

    fields: tuple[str, ...]
    absent: tuple[str, ...]
    row: Callable[[Mapping[str, object]], tuple[object, ...]]
    places: list[int] = field(default_factory=list[int])
    instances: list[Any] = field(default_factory=list[Any])
    values: list[Sequence[object]] = field(default_factory=list[Sequence[object]])
    returning: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list[Row])


@writing
def bulk_create(compiler: Compiler, bulk: Bulk, depth: int) -> Plan[Saved[Any]]:
    """Inserts instances, those that set the same fields together."""
    table: TableSpec = bulk.model.table
    bulk.check("bulk_create")
    form = form_of(bulk.model)
    groups = _grouped(bulk, form)
    conflict = bulk.conflict
    if conflict is not None and conflict.assignments:
        given = [(group.fields, group.values, group.places) for group in groups.values()]
        twins(table, conflict, given, compiler.backend)

    def steps() -> Plan[None]:
        for group in groups.values():
            group.returning = _returning(table, group, conflict)
            group.rows = yield from plans.create(
                compiler,
                table,
                group.fields,
                group.values,
                group.returning,
                conflict=conflict,
                is_telling=conflict is not None and bool(conflict.assignments),
                batch_size=bulk.batch_size,
                depth=depth if len(groups) == 1 else depth + 1,
            )

    if len(groups) > 1:
        yield from transaction.nested(compiler.backend, steps, depth=depth)
    else:
        yield from steps()
    # Only now: a group that failed takes back those before it.
    found = Saved(bulk.objects)
    for group in groups.values():
        _settle(compiler.backend, bulk.alias, table, group, conflict, found)
    return found


def _grouped(bulk: Bulk, form: Form) -> dict[tuple[str, ...], _Group]:
    """The instances by the fields that they set."""
    if assigning.Used.is_true:
        assigning.refuse_expressions(bulk.objects, "bulk_create")
    groups: dict[tuple[str, ...], _Group] = {}
    by_names: dict[tuple[str, ...], _Group] = {}  # whatever else is among the names, and in whatever order
    for place, instance in enumerate(bulk.objects):
        if form.is_filled:
            saving.prepare_insert(instance, bulk.alias, form)
        elif form.refers and peek_cache(instance):
            saving.take_keys(instance, bulk.alias)
        values = instance.__dict__
        names = tuple(values)
        group = by_names.get(names)
        if group is None:
            insert = form.insert(names)
            group = groups.get(insert.fields)
            if group is None:
                group = groups[insert.fields] = _Group(insert.fields, insert.returning, insert.take)
            by_names[names] = group
        group.places.append(place)
        group.instances.append(instance)
        group.values.append(group.row(values))
    return groups


def _returning(table: TableSpec, group: _Group, conflict: OnConflict | None) -> tuple[str, ...]:
    """What is read back: what the database filled in, or with conflicts what tells whose row it is."""
    if conflict is None:
        return group.absent
    if conflict.assignments:
        # The row in the way keeps what is not written to it, and the instance must not tell otherwise.
        return tuple(dict.fromkeys((*table.primary_key, *table.fields)))
    return tuple(dict.fromkeys((*table.primary_key, *group.absent, *_telling(table, group, conflict))))


def _telling(table: TableSpec, group: _Group, conflict: OnConflict) -> list[str]:
    """The fields by which a row that came back is known again, among those that were given."""
    if conflict.fields:
        return [name for name in conflict.fields if name in group.fields]
    every = (table.primary_key, *[unique.fields for unique in table.unique])
    return [name for name in group.fields if any(name in fields for fields in every)]


def _settle(
    backend: str, alias: str, table: TableSpec, group: _Group, conflict: OnConflict | None, found: Saved[Any]
) -> None:
    """Tells the instances of a group what became of them."""
    if conflict is None:
        _saved(alias, form_of(table.python_model), group.instances, group.returning, group.rows, group.absent)
        found.inserted.extend(group.instances)
        return
    names = _telling(table, group, conflict)
    rows = _matched(group, names, alike_by(table, names, backend) or tuple)
    written: list[Any] = []
    kept: list[Row] = []
    for instance, row in zip(group.instances, rows, strict=True):
        if row is None:
            found.skipped.append(instance)
            continue
        written.append(instance)
        kept.append(row)
        is_new = not conflict.assignments or row[-1]
        (found.inserted if is_new else found.updated).append(instance)
    brought = group.fields if conflict.assignments else ()
    _saved(alias, form_of(table.python_model), written, group.returning, kept, group.absent, brought)


def _matched(group: _Group, names: list[str], alike: Callable[[Row], Row]) -> list[Row | None]:
    """For each instance its row, or None where it was left alone; rows come back in the order of the instances.

    Args:
        group: The instances, and the rows that came back.
        names: The fields by which a row is known again.
        alike: Makes their values equal where the database takes them for equal.
    """
    if len(group.rows) == len(group.instances):
        return list(group.rows)
    given = [group.fields.index(name) for name in names]
    told = [group.returning.index(name) for name in names]
    found: list[Row | None] = [None] * len(group.instances)
    keys = [alike(tuple([values[place] for place in given])) for values in group.values]
    at = 0
    for row in group.rows:
        key = alike(tuple([row[place] for place in told]))
        place = next((place for place in range(at, len(keys)) if keys[place] == key), None)
        if place is not None:
            found[place] = row
            at = place + 1
    return found


def _saved(
    alias: str,
    form: Form,
    instances: list[Any],
    read_back: tuple[str, ...],
    rows: list[Row],
    absent: tuple[str, ...],
    brought: tuple[str, ...] = (),
) -> None:
    origin = Origin(alias, instances)
    undone.note_inserts(alias, origin, absent)
    if brought:
        for instance in instances:
            undone.note_computed(alias, instance, brought)
    if len(read_back) == 1 and rows:
        (name,) = read_back
        for instance, row in zip(instances, rows, strict=False):
            instance.__dict__[name] = row[0]
    elif read_back:
        for instance, row in zip(instances, rows, strict=False):
            # A row may be longer: it tells whether it is new.
            instance.__dict__.update(zip(read_back, row, strict=False))
    if form.tracked:
        for instance in instances:
            saving.saved(instance, alias, form, origin)
    else:
        for instance in instances:
            set_origin(instance, origin)
            set_fields_set(instance, set())
    if instances and instances[0].__datalayer_relations__:
        for instance in instances:
            if peek_cache(instance):
                related.written(instance, alias, instance.__dict__)


# -- bulk_update ---------------------------------------------------------------------------------


@writing
def bulk_update(compiler: Compiler, bulk: Bulk, depth: int) -> Plan[int]:
    """Writes some fields of many instances, or of each what differs from its row."""
    bulk.check("bulk_update")
    bulk.check_database("bulk_update")
    if assigning.Used.is_true:
        assigning.refuse_expressions(bulk.objects, "bulk_update")
    form = form_of(bulk.model)
    if form.refers:
        for instance in bulk.objects:
            if peek_cache(instance):
                saving.take_keys(instance, bulk.alias)
    if bulk.assignments is not None:
        return (yield from _update(compiler, bulk, bulk.objects, bulk.assignments, depth))
    table = form.table
    groups = _changed(bulk, form)
    inner = depth if len(groups) == 1 else depth + 1

    def steps() -> Plan[int]:
        count = 0
        for fields, instances in groups.items():
            assignments = tuple([(name, Given(name, table.fields[name].type)) for name in fields])
            count += yield from _update(compiler, bulk, instances, assignments, inner)
        return count

    if len(groups) > 1:
        return (yield from transaction.nested(compiler.backend, steps, depth=depth))
    return (yield from steps())


def _changed(bulk: Bulk, form: Form) -> dict[tuple[str, ...], list[Any]]:
    """The instances that differ from their rows, by the fields to write; auto_now columns are set, as `save` does."""
    alike: dict[frozenset[str], list[Any]] = {}
    for instance in bulk.objects:
        names = saving.changed_names(instance, form)
        group = alike.get(names)
        if group is None:
            group = alike[names] = []
        group.append(instance)
    groups: dict[tuple[str, ...], list[Any]] = {}
    filled = [name for name, _ in form.on_update]
    for names, instances in alike.items():
        changed = form.in_order(names)
        if not changed:
            continue
        for name, function in form.on_update:
            for instance in instances:
                instance.__dict__[name] = function()
        fields = tuple(dict.fromkeys([*changed, *filled]))
        groups.setdefault(fields, []).extend(instances)
    return groups


def _update(
    compiler: Compiler, bulk: Bulk, objects: list[Any], assignments: tuple[tuple[str, Expression], ...], depth: int
) -> Plan[int]:
    table: TableSpec = bulk.model.table
    written = [name for name, _ in assignments]
    for name in written:
        if table.fields[name].is_primary_key or table.fields[name].generated is not None:
            raise QueryError(f"bulk_update() cannot write {table.model}.{name}: it is a key or a generated column")
    brought = _brought(assignments)
    rows = _rows(objects, table, brought)
    computed = tuple(
        [name for name, expression in assignments if type(expression) is not Given or expression.field != name]
        + [name for name, spec in table.fields.items() if spec.generated is not None]
    )
    returning = tuple(dict.fromkeys((*table.primary_key, *computed))) if computed else ()
    count, made = yield from plans.update(
        compiler,
        table,
        brought,
        rows,
        assignments=assignments,
        returning=returning,
        batch_size=bulk.batch_size,
        depth=depth,
    )
    tracked = [name for name in written if table.fields[name].tracks_content]
    undone.note_changes(bulk.alias, objects, written, is_tracked=bool(tracked))
    if made:
        width = len(table.primary_key)
        by_key = {row[:width]: dict(zip(returning, row, strict=True)) for row in made}
        for instance in objects:
            undone.note_computed(bulk.alias, instance, computed)
            instance.__dict__.update(by_key.get(instance_key(instance, table), {}))
    saved = set(written)
    for instance in objects:
        changed = peek_fields_set(instance)
        if changed:
            set_fields_set(instance, changed - saved)
        if tracked:
            _keep_content(instance, tracked)
    if objects and objects[0].__datalayer_relations__:
        for instance in objects:
            if peek_cache(instance):
                related.written(instance, bulk.alias, written)
    return count


# -- bulk_delete ---------------------------------------------------------------------------------


@writing
def bulk_delete(compiler: Compiler, bulk: Bulk, depth: int) -> Plan[int]:
    """Deletes the rows of many instances, with their hooks and those of what goes with them around it."""
    table: TableSpec = bulk.model.table
    bulk.check("bulk_delete")
    objects = bulk.objects
    keys = _existing_keys(objects, table)
    bulk.check_database("bulk_delete")
    if not objects:
        return 0
    columns = tuple([FieldRef((), name, table.fields[name].type) for name in table.primary_key])
    query = Query(table).filtered(matching(columns, keys))

    def rows() -> Plan[int]:
        return deleting.by_keys(compiler, table, keys)

    def unprotected() -> Plan[int]:
        return protecting.protected(compiler, query, bulk.alias, rows)

    if deleting.has_hooks(bulk.model):
        count = yield from deleting.around(compiler, objects, bulk.alias, unprotected)
    elif len(objects) <= deleting.at_once(columns):
        count = yield from unprotected()
    else:
        count = yield from transaction.nested(compiler.backend, unprotected, depth=depth)
    form = form_of(bulk.model)
    for each in objects:
        undone.note_row(bulk.alias, each, origin_of(each), form.tracked)
        saving.gone(each, bulk.alias, form)
    return count


def _existing_keys(objects: list[Any], table: TableSpec) -> list[Row]:
    """The primary keys of saved instances.

    Raises:
        QueryError: One is not saved.
    """
    if len(table.primary_key) == 1 and None not in origins_of(objects):
        (name,) = table.primary_key
        values = [each.__dict__.get(name) for each in objects]
        if None not in values:
            return [(value,) for value in values]
    return [saving.existing_key(each, table, "delete") for each in objects]


# -- what both need ------------------------------------------------------------------------------


def instance_key(instance: Any, table: TableSpec) -> tuple[object, ...]:
    """The primary key of a saved instance."""
    return tuple([instance.__dict__[name] for name in table.primary_key])


def _brought(assignments: Sequence[tuple[str, Expression]]) -> tuple[str, ...]:
    """The fields whose values the rows must bring."""
    found: dict[str, None] = {}
    for _, expression in assignments:
        for part in parts(expression):
            if isinstance(part, Given):
                found[part.field] = None
    return tuple(found)


def _rows(objects: list[Any], table: TableSpec, brought: tuple[str, ...]) -> list[Row]:
    """For each of some instances what it brings and its primary key; once for one that was given twice.

    Raises:
        QueryError: One is not saved, or two are the same row.
        InvalidValue: One lacks a value.
    """
    width = len(table.primary_key)
    take = row_of((*brought, *table.primary_key))
    try:
        rows = [take(instance.__dict__) for instance in objects]
    except KeyError:
        raise _why_no_row(objects, table, brought) from None
    keys: list[Any] = [row[-1] for row in rows] if width == 1 else [row[-width:] for row in rows]
    if None in keys if width == 1 else any(None in key for key in keys):
        raise _why_no_row(objects, table, brought)
    if len(set(keys)) < len(keys):
        seen: dict[Any, Any] = {}
        for instance, key in zip(objects, keys, strict=True):
            if seen.setdefault(key, instance) is not instance:
                raise QueryError(
                    f"bulk_update() was given two objects of the {table.model} {key!r}, and one statement writes a row "
                    "once; give one of them"
                )
        return list(dict(zip(keys, rows, strict=True)).values())
    return rows


def _why_no_row(objects: list[Any], table: TableSpec, brought: tuple[str, ...]) -> QueryError | InvalidValue:
    for instance in objects:
        if key_values(instance, table.primary_key) is None:
            break
        for name in brought:
            if name not in instance.__dict__:
                return InvalidValue(f"bulk_update() was given a {table.model} without a value of {name}")
    return QueryError(f"bulk_update() was given a {table.model} that is not saved; use bulk_create() for new ones")


def _keep_content(instance: Any, tracked: Sequence[str]) -> None:
    """Notes that what may change in place is now as the row has it."""
    keep(instance, kept_of(instance) | {name: kept(instance.__dict__[name]) for name in tracked})
