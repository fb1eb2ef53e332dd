"""Plans of single instances: save, delete, refresh."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any

from datalayer._compile.compiler import Compiler
from datalayer._plans import read, transaction, write
from datalayer._plans.plan import Plan
from datalayer._plans.write import writing
from datalayer._query.query import Query
from datalayer._schema.relation import RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.databases import current
from datalayer.errors import (
    FieldError,
    ForeignKeyViolation,
    InvalidValue,
    NotUpdated,
    QueryError,
    choices_text,
    nearest,
)
from datalayer.models import assigning, deleting, loading, protecting, related, undone
from datalayer.models._pydantic import NOTHING, get_fields_set, peek_fields_set, set_dict, set_fields_set
from datalayer.models.arguments import check_listed
from datalayer.models.forms import Form, by_key, form_of, written_by_database
from datalayer.models.hooks import WITH_DELETES, Change, Hooks
from datalayer.models.hydrate import loader
from datalayer.models.locking import check_transaction
from datalayer.models.relations import Forward
from datalayer.models.state import (
    Origin,
    each_kept,
    forget,
    is_as_kept,
    keep,
    kept,
    kept_of,
    key_values,
    origin_of,
    peek_cache,
    set_origin,
)
from datalayer.models.views import refuse_view


def changed_names(instance: Any, form: Form) -> frozenset[str]:
    """What differs from the row, in no order; there may be others than fields among it."""
    values = instance.__dict__
    try:
        changed = frozenset(get_fields_set(instance))
    except AttributeError:
        changed = NOTHING
    if form.tracked:
        changed = changed.union(_changed_inside(instance, form, changed))
    return changed if values.keys() >= changed else changed.intersection(values)


def _changed_inside(instance: Any, form: Form, assigned: frozenset[str]) -> list[str]:
    values, fields = instance.__dict__, form.table.fields
    return [
        name
        for name, how, what in each_kept(instance)
        if name not in assigned and name in values and not is_as_kept(how, what, fields[name].type, values[name])
    ]


def take_keys(instance: Any, alias: str) -> None:
    """Takes over the keys of related objects that were saved after they were assigned.

    Args:
        instance: The one about to be written.
        alias: The database it is written to.

    Raises:
        InvalidValue: One is still not saved, or is saved in another database.
    """
    relations: dict[str, Forward] = instance.__datalayer_relations__
    loaded = peek_cache(instance)
    for name, relation in relations.items() if loaded else ():
        other = loaded.get(name)
        spec = relation.spec
        if other is None or spec is None:
            continue
        origin = origin_of(other)
        if origin is not None and origin.alias != alias:
            raise InvalidValue(
                f"{type(instance).__name__}.{name} is a {type(other).__name__} of the database {origin.alias!r}, and a "
                f"row of {alias!r} cannot refer to it; save it there with using={alias!r}, or this one with "
                f"using={origin.alias!r}"
            )
        known, key = key_values(instance, spec.local), key_values(other, spec.remote)
        if known is not None and (known == key or _stays(instance, spec, other)):
            continue
        if key is None:
            raise InvalidValue(f"{type(instance).__name__}.{name} is not saved yet; save it before this one")
        for field, value in zip(spec.local, key, strict=True):
            instance.__dict__[field] = value
            instance.__pydantic_fields_set__.add(field)


def _stays(instance: Any, spec: RelationSpec, other: Any) -> bool:
    """Whether a key stays as it is, though the object it was taken of has another one, or none.

    It does where it is not about to be written, and where the key of the object is not that of its row. Otherwise it
    is of a row that a rollback took back, and by now it may be the key of somebody else's.
    """
    if origin_of(instance) is not None and peek_fields_set(instance).isdisjoint(spec.local):
        return True
    return origin_of(other) is not None and not (
        other.__dict__.keys() >= set(spec.remote) and peek_fields_set(other).isdisjoint(spec.remote)
    )


def field_names(table: TableSpec, names: Iterable[str], option: str) -> tuple[str, ...]:
    """Names of fields and forward relations, and `pk`, as names of fields.

    Args:
        table: The table that has them.
        names: What the caller named.
        option: Where the caller named it, for the message.

    Raises:
        FieldError: An unknown name.
        QueryError: Text, whose letters would be names.
    """
    if isinstance(names, str):
        raise QueryError(f"{option} is {names!r}, which is text; give names in a list: [{names!r}]")
    check_listed(option, names)
    found: list[str] = []
    for name in names:
        relation = table.relations.get(name)
        if name == "pk":
            found.extend(table.primary_key)
        elif relation is not None and relation.kind.is_forward:
            found.extend(relation.local)
        elif name in table.fields:
            found.append(name)
        else:
            raise FieldError(
                f"{option} names {name!r}, which {table.model} does not have; the choices are "
                f"{choices_text(table.fields)}{nearest(name, table.fields)}",
                name=name,
                choices=table.fields,
            )
    return tuple(found)


def prepare_insert(instance: Any, alias: str, form: Form) -> None:
    """Gives a new instance the values that it has when it is written, and not before: keys and times.

    Args:
        instance: The one about to be written.
        alias: The database it is written to.
        form: That of its table. Where it is not `is_filled`, and the model has no relations, there is nothing to do.

    Raises:
        InvalidValue: An object it refers to is not saved, or elsewhere.
        QueryError: A value of a column that the database computes.
    """
    if form.refers:
        take_keys(instance, alias)
    values = instance.__dict__
    for name, function in form.on_create:
        if name not in values:
            values[name] = function()
    for name, function in form.on_update:
        values[name] = function()
    for name in form.computed:
        if name in instance.__pydantic_fields_set__:
            raise written_by_database(form.table, name)


def saved(
    instance: Any,
    alias: str,
    form: Form,
    origin: Origin | None,
    written: Collection[str] | None = None,
    unsaved: Collection[str] = (),
) -> None:
    """Marks an instance as being what the database has.

    Args:
        instance: The one that was written.
        alias: The database.
        form: That of its table.
        origin: Where it was from, or is now with others that were written together; its own where that is elsewhere.
        written: The fields that were written, where that is not all of them.
        unsaved: The fields that still differ.
    """
    set_origin(instance, Origin(alias, []) if origin is None or origin.alias != alias else origin)
    set_fields_set(instance, set(unsaved) if unsaved else set())
    if form.tracked:
        _keep_content(instance, form, written)


def _keep_content(instance: Any, form: Form, written: Collection[str] | None) -> None:
    """Keeps the values that may change in place as they were written."""
    values = instance.__dict__
    tracked = [name for name in form.tracked if name in values and (written is None or name in written)]
    if tracked:
        known = {} if written is None else kept_of(instance)
        known |= {name: kept(values[name]) for name in tracked}
        keep(instance, known)


@writing
def save(
    compiler: Compiler,
    instance: Any,
    alias: str,
    force_insert: bool = False,
    force_update: bool = False,
    update_fields: Collection[str] | None = None,
    is_hooked: bool = False,
) -> Plan[object]:
    """Writes a new instance, or what changed of an old one, its hooks around it; gives the fields that were written.

    Args:
        compiler: For the backend at hand.
        instance: What is written.
        alias: The database.
        force_insert: As in `Model.save`.
        force_update: As in `Model.save`.
        update_fields: As in `Model.save`.
        is_hooked: Whether somebody else calls its hooks.
    """
    form: Form = instance.__datalayer_form__ or form_of(instance.__class__)
    if form.table.view is not None:
        refuse_view(form.table, "save")
    if form.hooks is not None and not is_hooked:
        return _hooked(compiler, instance, alias, form, form.hooks, force_insert, force_update, update_fields)
    if force_insert and (force_update or update_fields is not None):
        other = "force_update" if force_update else "update_fields"
        raise QueryError(f"save(force_insert=True, {other}=...): a new row cannot be an update; keep one of them")
    origin = origin_of(instance)
    if force_insert or (origin is None and not force_update and update_fields is None):
        return _insert(compiler, instance, alias, form)
    if form.refers:
        take_keys(instance, alias)
    if update_fields is not None:
        names = field_names(form.table, update_fields, "save(update_fields)")
        return _update(compiler, instance, alias, form, _present(instance, names), names)
    if force_update:
        return _rewritten(compiler, instance, alias, form)
    if origin is not None and origin.alias == alias:
        changed = form.in_order(changed_names(instance, form))
        return _update(compiler, instance, alias, form, changed, changed)
    opened = current.transaction(alias)
    depth = 0 if opened is None else 1 + len(opened.frames)
    # No lambda: whatever it names would be a cell, in every save.
    return transaction.nested(compiler.backend, partial(_copied, compiler, instance, alias, form), depth=depth)


def _hooked(
    compiler: Compiler,
    instance: Any,
    alias: str,
    form: Form,
    hooks: Hooks,
    force_insert: bool,
    force_update: bool,
    update_fields: Collection[str] | None,
) -> Plan[None]:
    """`save` with the hooks of its model around it."""
    yield hooks.beginning(hooks.saves)
    origin = origin_of(instance)
    is_new = force_insert or (origin is None and not force_update and update_fields is None)
    if update_fields is None:
        known = form.in_order(changed_names(instance, form))
    else:
        known = update_fields = field_names(form.table, update_fields, "save(update_fields)")
    for hook in hooks.before_save:
        yield hook.call(instance, Change(is_new, known, alias))
    written: Any = yield from save(compiler, instance, alias, force_insert, force_update, update_fields, is_hooked=True)
    if written:
        for hook in hooks.after_save:
            yield hook.call(instance, Change(is_new, written, alias))


def _present(instance: Any, names: Iterable[str]) -> tuple[str, ...]:
    """Those of some fields that have a value."""
    return tuple([name for name in names if name in instance.__dict__])


def _writable(instance: Any, table: TableSpec) -> tuple[str, ...]:
    """Every field that has a value and that an UPDATE may write."""
    fields = table.fields.values()
    names = [field.name for field in fields if not field.is_primary_key and field.generated is None]
    return _present(instance, names)


def _copied(compiler: Compiler, instance: Any, alias: str, form: Form) -> Plan[tuple[str, ...]]:
    """Writes an instance of another database here: to its row, or to a new one where there is none."""
    undone.note_row(alias, instance, origin_of(instance), form.tracked)
    try:
        return (yield from _rewritten(compiler, instance, alias, form))
    except NotUpdated:
        return (yield from _insert(compiler, instance, alias, form))


def _rewritten(compiler: Compiler, instance: Any, alias: str, form: Form) -> Plan[tuple[str, ...]]:
    """Writes every field to the row of the key; one that has no others has to be there all the same."""
    table = form.table
    fields = _writable(instance, table)
    key = key_values(instance, table.primary_key)
    if fields or key is None:
        return (yield from _update(compiler, instance, alias, form, fields))
    if not (yield from read.exists(compiler, by_key(table, key))):
        raise _gone(instance, table)
    origin = origin_of(instance)
    undone.note_change(alias, instance, origin)
    saved(instance, alias, form, origin)
    return ()


def _gone(instance: Any, table: TableSpec) -> NotUpdated:
    shown = _shown(key_values(instance, table.primary_key) or ())
    error: NotUpdated = instance.NotUpdated(f"{table.model} {shown} is gone from the database; nothing was written")
    return error


def _insert(compiler: Compiler, instance: Any, alias: str, form: Form) -> Plan[tuple[str, ...]]:
    if assigning.Used.is_true:
        assigning.refuse_expressions((instance,), "save")
    for name in form.computed:
        if name not in instance.__pydantic_fields_set__:
            instance.__dict__.pop(name, None)
    if form.is_filled or form.refers:
        prepare_insert(instance, alias, form)
    values = instance.__dict__
    insert = form.insert(tuple(values))
    row = yield from write.insert(compiler, insert.change, insert.take(before := {**values}))
    undone.note_insert(alias, instance, origin := origin_of(instance), insert.returning)
    unsaved = () if values == before else _assigned_since(instance, before, form)
    for place, name in enumerate(insert.returning):
        values[name] = values[name] if name in unsaved else row[place]
    saved(instance, alias, form, origin, None, unsaved)
    if form.refers:
        related.written(instance, alias, insert.fields)
    return insert.fields


def _assigned_since(instance: Any, before: dict[str, object], form: Form) -> set[str]:
    """The fields that were assigned, by another task, while a statement wrote the values of before."""
    values = instance.__dict__
    assigned = {name for name in peek_fields_set(instance) if name in values and values[name] is not before.get(name)}
    return assigned.difference(form.table.primary_key)


def _update(
    compiler: Compiler,
    instance: Any,
    alias: str,
    form: Form,
    changed: tuple[str, ...],
    asked: Collection[str] | None = None,
) -> Plan[tuple[str, ...]]:
    """Writes fields of a row, and gives them.

    Args:
        compiler: For the backend at hand.
        instance: Whose row.
        alias: The database.
        form: That of its table.
        changed: What is written.
        asked: What the caller asked for by name; all other changes stay to be written.

    Raises:
        NotUpdated: There is no such row.
    """
    values = instance.__dict__
    if (key_values(instance, form.table.primary_key) if form.key is None else values.get(form.key)) is None:
        model = form.table.model
        raise QueryError(f"this {model} has no primary key, so there is no row to update; save() makes one")
    if not changed:
        return ()
    update = form.update(changed)
    if form.on_update:
        for name, function in form.on_update:
            values[name] = function()
        update = form.update(tuple(dict.fromkeys([*changed, *[name for name, _ in form.on_update]])))
    change, given, written = update.change, update.take(before := {**values}), update.fields
    if assigning.Used.is_true:
        change, given = assigning.with_expressions(change, instance.__class__, given, alias)
    prepared = compiler.update(change)
    try:
        reply = yield prepared.command(given)
    except ForeignKeyViolation as error:
        return (yield from write.violated(compiler, change, given, error))
    if not (reply.rows if change.returning else reply.count):
        raise _gone(instance, form.table)
    undone.note_change(alias, instance, origin := origin_of(instance), written, bool(form.tracked))
    unsaved = () if asked is None or (now := instance.__pydantic_fields_set__) <= update.names else now - {*written}
    if assigning.Used.is_true or values != before:  # an expression is not compared: that would be one more
        unsaved = {*unsaved, *_assigned_since(instance, before, form)}
    if form.refers and not form.references.isdisjoint(written):
        related.written(instance, alias, written)
    if change.returning:
        undone.note_computed(alias, instance, change.returning)
        (row,) = prepared.read(reply.rows)
        values.update([item for item in zip(change.returning, row, strict=True) if item[0] not in unsaved])
        written += change.returning
    saved(instance, alias, form, origin, written, unsaved)
    return update.fields


def _shown(key: Sequence[object]) -> str:
    return repr(key[0]) if len(key) == 1 else repr(tuple(key))


def existing_key(instance: Any, table: TableSpec, verb: str) -> tuple[object, ...]:
    """The primary key of a saved instance.

    Raises:
        QueryError: It is not saved.
    """
    key = key_values(instance, table.primary_key)
    if key is None or origin_of(instance) is None:
        raise _not_saved(instance, verb)
    return key


def _not_saved(instance: Any, verb: str) -> QueryError:
    return QueryError(f"this {type(instance).__name__} is not saved, so there is nothing to {verb}")


@writing
def delete(compiler: Compiler, instance: Any, alias: str) -> Plan[int]:
    """Deletes the row of an instance."""
    form: Form = instance.__datalayer_form__ or form_of(instance.__class__)
    table = form.table
    key, origin = key_values(instance, table.primary_key), origin_of(instance)
    if key is None or origin is None:
        raise _not_saved(instance, "delete")
    if table.view is not None:
        refuse_view(table, "delete")
    if (table.referrers and _may_be_protected(form)) or (WITH_DELETES and deleting.has_hooks(instance.__class__)):
        count = yield from _delete_among_others(compiler, instance, alias, form, key)
    else:
        reply = yield compiler.delete(form.delete).command(key)
        count = reply.count
    undone.note_row(alias, instance, origin, form.tracked)
    gone(instance, alias, form)
    return count


def _may_be_protected(form: Form) -> bool:
    """Whether a row of others may keep a row from being deleted; that it may not is remembered."""
    if form.unprotected == TableSpec.references:
        return False
    if protecting.may_be_protected(form.table):
        return True
    form.unprotected = TableSpec.references
    return False


def _delete_among_others(
    compiler: Compiler, instance: Any, alias: str, form: Form, key: tuple[object, ...]
) -> Plan[int]:
    """Deletes a row that others refer to, or that has hooks."""
    table = form.table

    def delete_row() -> Plan[int]:
        return write.delete(compiler, form.delete, key)

    def delete_unprotected() -> Plan[int]:
        return protecting.protected(compiler, by_key(table, key), alias, delete_row)

    if deleting.has_hooks(instance.__class__):
        return (yield from deleting.around(compiler, [instance], alias, delete_unprotected))
    return (yield from delete_unprotected())


def gone(instance: Any, alias: str, form: Form) -> None:
    """Marks an instance as having no row any more."""
    if form.table.relations:
        related.deleted(instance, alias)
    set_origin(instance, None)
    set_fields_set(instance, form.writable.intersection(instance.__dict__))


def refresh(
    compiler: Compiler, instance: Any, alias: str, fields: Collection[str] | None, rows: Any = None
) -> Plan[None]:
    """Reads the row again; what was loaded of relations is dropped, of the named ones where names are given."""
    model: Any = instance.__class__
    table: TableSpec = model.table
    key = existing_key(instance, table, "refresh")
    query = by_key(table, key, model.__datalayer_base__().query if rows is None else _refreshing(rows, table, alias))
    prefetched: tuple[loading.Lookup, ...] = () if rows is None else rows._prefetched
    if fields is not None:
        if isinstance(fields, str):
            raise QueryError(f"refresh(fields) is {fields!r}, which is text; give names in a list: [{fields!r}]")
        check_listed("refresh(fields)", fields)
        fields = list(fields)
        dropped = [name for name in fields if name in table.relations and not table.relations[name].kind.is_forward]
        fields = field_names(table, [name for name in fields if name not in dropped], "fields")
        related.forget_some(instance, dropped, fields)
        if not fields:
            return
        query = query.replaced(only=fields)
    found = yield from read.fetch(compiler, query, loader(model, alias))
    if not found:
        raise model.DoesNotExist(f"{model.__name__} {_shown(key)} is gone from the database")
    fresh = found[0].__dict__
    content = kept_of(found[0])
    if fields is None:
        set_dict(instance, fresh)
        set_fields_set(instance, set())
        forget(instance)
    else:
        instance.__dict__.update(fresh)
        set_fields_set(instance, set(instance.__pydantic_fields_set__) - set(fields))
        content = kept_of(instance) | content
    keep(instance, content)
    related.take_over(instance, found[0])
    if prefetched:
        yield from loading.prefetch(compiler, [instance], prefetched, alias)


def _refreshing(rows: Any, table: TableSpec, alias: str) -> Query:
    """The query of `refresh(from_queryset=)`.

    Raises:
        QueryError: It does not give the rows of the table as they are in this database.
        TransactionError: It locks the row, and there is no transaction to keep the lock.
    """
    query: Query | None = getattr(rows, "query", None)
    if query is None or query.table is not table or query.columns is not None:
        raise QueryError(f"refresh(from_queryset={rows!r}) is no query for rows of {table.model}")
    if query.limit is not None or query.offset is not None:
        raise QueryError("refresh(from_queryset=) of a sliced query; the row is found by its key, without a slice")
    if rows._alias not in ("default", alias):
        raise QueryError(f"refresh(from_queryset=) asks the database {rows._alias!r}, and the row is of {alias!r}")
    if query.outline.lock is not None:
        check_transaction(query, alias)
    return query
