"""Plans of `update()`, `delete()` and `insert_from()`: changes of the rows a query finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic_core import PydanticUndefined

from datalayer._compile.compiler import Compiler
from datalayer._plans import read, write
from datalayer._plans.plan import Plan
from datalayer._plans.write import writing
from datalayer._query.change import Delete, Given, InsertFrom, OnConflict, Update
from datalayer._query.comparing import key_of
from datalayer._query.expression import Aggregate, Expression, FieldRef, Value, Window
from datalayer._query.query import Query
from datalayer._query.walk import parts
from datalayer._schema.field import UNSET, ColumnType, FieldSpec, Kind
from datalayer._schema.relation import RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.errors import FieldError, InvalidValue, QueryError, choices_text, nearest
from datalayer.models import deleting, protecting, related
from datalayer.models._pydantic import own_fields
from datalayer.models.arguments import refuse_unnamed
from datalayer.models.checks import assigned
from datalayer.models.elsewhere import refuse_elsewhere
from datalayer.models.expressions import Annotations, expression_of, is_expression
from datalayer.models.fields import unset
from datalayer.models.hydrate import loader
from datalayer.models.state import key_values, origin_of
from datalayer.models.views import refuse_view


def writable(queryset: Any, verb: str) -> Query:
    """The query of an update or delete.

    Raises:
        QueryError: It is sliced, or the whole table without `all()`.
    """
    query: Query = queryset.query
    refuse_view(query.table, verb)
    if query.limit is not None or query.offset is not None:
        raise QueryError(f"{verb}() of a sliced query; filter by primary key instead: filter(pk__in=[...])")
    if query.extra is not None and (query.extra.source is not None or query.extra.sample is not None):
        what = "the rows of another query" if query.extra.sample is None else "a sample"
        raise QueryError(f"{verb}() of {what}; filter the table by them: filter(pk__in=...)")
    if query.distinct or query.group_by is not None:
        raise QueryError(f"{verb}() of distinct or grouped rows; {verb}() takes plain rows")
    if not query.where and not queryset._is_all and queryset._behind_of is None:
        raise QueryError(f"{verb}() would take the whole table of {query.table.model}; say so: .all().{verb}(...)")
    return query.replaced(order=(), joined=(), annotations=query.annotations)


def _forget(queryset: Any) -> None:
    """Drops what an instance knows of the rows behind it, now that some of them are about to be others."""
    if queryset._parent is not None:
        instance, spec = queryset._parent
        related.drop(instance, spec.name, queryset._alias)


def update_of(queryset: Any, values: Mapping[str, Any], *unnamed: object, returning: bool = False) -> Update:
    """The change that `update(**values)` means.

    Args:
        queryset: Which rows.
        values: What is written, by field or relation.
        unnamed: What was given without a name.
        returning: Whether the written rows are read back.

    Raises:
        FieldError: An unknown field.
        InvalidValue: A value the field does not take.
        QueryError: A value has no name, or there is none.
    """
    refuse_unnamed("update", unnamed)
    query = writable(queryset, "update")
    if not values:
        raise QueryError("update() was given no values; name the fields to write: update(price=5)")
    for name, value in values.items():
        origin = origin_of(value) if getattr(value.__class__, "__datalayer_root__", False) else None
        if origin is not None and origin.alias != queryset._alias:
            raise InvalidValue(
                f"update({name}=...): {query.table.model}.{name} is a {type(value).__name__} of the database "
                f"{origin.alias!r}, and rows of {queryset._alias!r} cannot refer to it; save it there with "
                f"using={queryset._alias!r}"
            )
    written = assignments_of(queryset.model, values, "update", queryset._annotations)
    for _, node in written:
        refuse_elsewhere(node, queryset._alias)
    brought = next((part for _, node in written for part in parts(node) if isinstance(part, Given)), None)
    if brought is not None:
        raise QueryError(f"{brought!r} is the value of a new row, which only an upsert and bulk_update have")
    _forget(queryset)
    return Update(query, written, _returned(query) if returning else ())


def delete_of(queryset: Any, *, returning: bool = False) -> Delete:
    """The change that `delete()` means."""
    query = writable(queryset, "delete")
    _forget(queryset)
    return Delete(query, _returned(query) if returning else ())


def _returned(query: Query) -> tuple[str, ...]:
    wanted = query.table.fields if query.only is None else query.only
    return tuple([name for name in query.table.fields if name in wanted])


def assignments_of(
    model: Any, values: Mapping[str, Any], verb: str, annotations: Annotations | None = None
) -> tuple[tuple[str, Expression], ...]:
    """What is written to which field.

    Args:
        model: The class.
        values: Values, expressions or related objects, by field or relation.
        verb: Who writes, for messages: `update`, `bulk_update`.
        annotations: What expressions may name besides the fields.

    Raises:
        FieldError: An unknown field.
        InvalidValue: A value the field does not take.
        QueryError: A column that only the database writes, or an aggregate over the table itself.
    """
    table: TableSpec = model.table
    found: list[tuple[str, Expression]] = []
    for name, value in values.items():
        is_computed = is_expression(value)
        relation = table.relations.get(name)
        if relation is not None and relation.kind.is_forward and not is_computed:
            found.extend(_assigned_key(model, relation, key_of(relation, value, name), name))
            continue
        field = _field(table, name, f"{verb}()")
        if not is_computed:
            found.append((field.name, Value(assigned(model, field.name, value), field.type)))
            continue
        expression = expression_of(value, table, dict(annotations or {}))
        if isinstance(expression, Value):
            (plain,) = expression.values
            found.append((field.name, Value(assigned(model, field.name, plain), field.type)))
            continue
        for part in parts(expression):
            if isinstance(part, Window):
                raise QueryError(
                    f"{verb}({name}={value!r}): a window is over many rows, and SQL has no place for one in an UPDATE; "
                    "read the values first, and write them with bulk_update()"
                )
            if isinstance(part, Aggregate) and not _is_over_relation(part):
                raise QueryError(f"{verb}({name}={value!r}): an aggregate is over many rows; compute it first")
        if not fits(expression.type, field.type):
            shown = expression.type.kind.value if expression.type else "unknown"
            raise InvalidValue(f"{verb}({name}=...): {table.model}.{name} is {field.type.kind.value}, not {shown}")
        found.append((field.name, expression))
    return tuple(found)


def _field(table: TableSpec, name: str, verb: str) -> FieldSpec:
    """The field that a name means, to be written.

    Raises:
        FieldError: There is none.
        QueryError: Only the database writes it.
    """
    relation = table.relations.get(name)
    if relation is not None and relation.kind.is_forward and len(relation.local) == 1:
        name = relation.local[0]
    elif name == "pk" and len(table.primary_key) == 1:
        (name,) = table.primary_key
    field = table.fields.get(name)
    if field is None:
        choices = {*table.fields, *[one.name for one in table.relations.values() if one.kind.is_forward], "pk"}
        why = "" if relation is None else " as a column: its rows are linked with add() and set(), on a saved row"
        raise FieldError(
            f"{verb} names {name!r}, which {table.model} does not have{why}; the choices are {choices_text(choices)}"
            f"{nearest(name, choices)}",
            name=name,
            choices=choices,
        )
    if field.generated is not None:
        raise QueryError(f"{table.model}.{name} is computed by the database and cannot be written")
    return field


def check_values(model: Any, values: Mapping[str, Any], option: str, *, takes_expressions: bool = False) -> None:
    """Refuses values that no instance could be given, before anything is asked; callable ones are called later.

    Args:
        model: The class.
        values: By field or relation.
        option: Where they were given, for messages.
        takes_expressions: Whether they may be written to a row that is there.

    Raises:
        FieldError: An unknown field.
        InvalidValue: A value the field does not take.
    """
    table: TableSpec = model.table
    for name, value in values.items():
        relation = table.relations.get(name)
        if relation is not None and relation.kind.is_forward:
            if not callable(value):
                related.check_target(relation, value)
            continue
        field = _field(table, name, option)
        if takes_expressions and is_expression(value):
            assignments_of(model, {name: value}, option)
        elif not callable(value):
            assigned(model, field.name, value)


def _is_over_relation(aggregate: Aggregate) -> bool:
    return aggregate.argument is not None and any(
        isinstance(part, FieldRef) and part.path for part in parts(aggregate.argument)
    )


def _assigned_key(model: Any, relation: RelationSpec, key: object, name: str) -> list[tuple[str, Expression]]:
    """What is written for a relation."""
    width = len(relation.local)
    if width == 1:
        key = (key,)
    values = [None] * width if key is None else list(cast("tuple[object, ...]", key)) if type(key) is tuple else []
    if len(values) != width:
        raise InvalidValue(
            f"{relation.source.model}.{name} is {width} columns and takes an object or a tuple of {width}"
        )
    fields = relation.source.fields
    return [
        (field, Value(assigned(model, field, value), fields[field].type))
        for field, value in zip(relation.local, values, strict=True)
    ]


_WHOLE = (Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER)
_TEXT = (Kind.STRING, Kind.TEXT, Kind.ENUM)
_FAMILIES: tuple[tuple[Kind, ...], ...] = (
    (*_WHOLE, Kind.FLOAT, Kind.DECIMAL),
    _TEXT,
    (Kind.DATE, Kind.DATETIME),
    (Kind.NAIVE_DATETIME,),
)


def fits(given: ColumnType | None, wanted: ColumnType) -> bool:
    """Whether a value of one type may be written to a column of another, as far as is known."""
    if given is None or given.kind is wanted.kind:
        return True
    return any(given.kind in family and wanted.kind in family for family in _FAMILIES)


# -- the plans -----------------------------------------------------------------------------------


@writing
def update(compiler: Compiler, change: Update, load: Any) -> Plan[Any]:
    """Writes to the rows a query finds; gives their number, or the instances where they are read back."""
    if not change.returning:
        return (yield from write.update(compiler, change))
    if read.is_nothing(change.query):
        return []
    prepared = compiler.update(change)
    reply = yield from write.updated(compiler, change, prepared)
    return load(prepared, (reply.rows,)) if reply.rows else []


@writing
def delete(compiler: Compiler, change: Delete, model: Any, alias: str) -> Plan[Any]:
    """Deletes the rows a query finds; gives their number of this table, or the instances where they are read back."""
    if read.is_nothing(change.query):
        return [] if change.returning else 0
    if deleting.has_hooks(model):
        return (yield from _delete_with_hooks(compiler, change, model, alias))
    return (
        yield from protecting.protected(compiler, change.query, alias, lambda: _delete(compiler, change, model, alias))
    )


def _delete(compiler: Compiler, change: Delete, model: Any, alias: str) -> Plan[Any]:
    if not change.returning:
        return (yield from write.delete(compiler, change))
    prepared = compiler.delete(change)
    reply = yield prepared.command(change.values)
    return loader(model, alias)(prepared, (reply.rows,)) if reply.rows else []


def _delete_with_hooks(compiler: Compiler, change: Delete, model: Any, alias: str) -> Plan[Any]:
    """Deletes the rows that were fetched for their hooks, and no other."""
    yield deleting.beginning(model)
    plain = change.query.replaced(annotations=change.query.annotations, only=None)
    found: list[Any] = yield from read.fetch(compiler, plain, loader(model, alias))

    def delete_rows() -> Plan[int]:
        table = change.query.table
        keys = [key for each in found if (key := key_values(each, table.primary_key)) is not None]
        return protecting.protected(compiler, change.query, alias, lambda: deleting.by_keys(compiler, table, keys))

    if found:
        yield from deleting.around(compiler, found, alias, delete_rows)
    return found if change.returning else len(found)


@writing
def insert_from(compiler: Compiler, change: InsertFrom, load: Any) -> Plan[Any]:
    """Inserts what a query finds; gives the number of rows, or the instances where they are read back."""
    if read.is_nothing(change.query):
        return [] if change.returning else 0
    prepared = compiler.insert_from(change)
    reply = yield prepared.command(change.values)
    for name in change.fields:
        if compiler.backend == "postgresql" and change.table.fields[name].is_identity:
            kind = change.table.fields[name].type
            greatest = Aggregate("max", FieldRef((), name, kind), kind)
            found = yield from read.aggregate(compiler, Query(change.table), (("max", greatest),))
            if found["max"] is not None:
                yield compiler.numbering(change.table, name).command((found["max"],))
    if not change.returning:
        return reply.count
    return load(prepared, (reply.rows,)) if reply.rows else []


# -- insert from a query -------------------------------------------------------------------------


def insert_of(
    target: Any, source: Any, named: tuple[str, ...] | None, conflict: OnConflict | None, *, returning: bool
) -> InsertFrom:
    """The change that `insert_from(source)` means.

    Args:
        target: The manager that inserts.
        source: The query that finds the rows.
        named: The fields its columns go to; None where its names say.
        conflict: What happens to rows in the way.
        returning: Whether the new rows are read back.

    Raises:
        QueryError: The source names no columns, or is of another database.
        FieldError: A column that the target does not have.
        InvalidValue: A column of another type, or one without a value that must have one.
    """
    table: TableSpec = target.query.table
    refuse_view(table, "insert_from")
    query = getattr(source, "query", None)
    if not isinstance(query, Query) or query.columns is None:
        raise QueryError(
            f"insert_from() takes a query that names its columns, such as "
            f"Other.objects.values('title', price=...), not {source!r}"
        )
    if source._alias != target._alias:
        raise QueryError(
            f"insert_from() writes to {target._alias!r} what a query of {source._alias!r} finds; one statement runs in "
            "one database, so fetch the rows and use bulk_create()"
        )
    fields: list[str] = []
    columns: list[tuple[str, Expression]] = []
    if named is not None and len(named) != len(query.columns):
        brought = ", ".join([name for name, _ in query.columns])
        raise QueryError(
            f"insert_from(columns=...) names {len(named)} fields ({', '.join(named)}) for {len(query.columns)} columns "
            f"of the source ({brought}); name one for each"
        )
    for place, (name, expression) in enumerate(query.columns):
        asked = name if named is None else named[place]
        field = _field(table, asked, "insert_from()")
        if field.name in fields:
            raise QueryError(f"insert_from() was given {table.model}.{field.name} twice; name each column once")
        if not fits(expression.type, field.type):
            shown = expression.type.kind.value if expression.type else "unknown"
            raise InvalidValue(
                f"insert_from() would write {name!r}, which is {shown}, to {table.model}.{field.name}, which is "
                f"{field.type.kind.value}"
            )
        fields.append(field.name)
        columns.append((name, expression))
    for name in table.fields:
        if name not in fields and (value := _filled(target.model, name)) is not UNSET:
            fields.append(name)
            columns.append((f"filled_{name}", Value(value, table.fields[name].type)))
    query = query.replaced(columns=tuple(columns))
    return InsertFrom(table, tuple(fields), query, tuple(table.fields) if returning else (), conflict)


_EMPTY = (dict, list)
"""Factories whose values are alike in every row."""


def _filled(model: Any, name: str) -> object:
    """What a row gets that was given no value of a field; UNSET where the database or NULL fills it.

    Raises:
        InvalidValue: Each row needs a value of its own, or the column needs one and has no default.
    """
    field: FieldSpec = model.table.fields[name]
    if field.on_create is not None:
        return field.on_create()
    if field.is_identity or field.db_default is not None or field.generated is not None:
        return UNSET
    info: Any = own_fields(model)[name]
    if info.default is not PydanticUndefined and info.default is not UNSET:
        return info.default
    if info.default_factory in _EMPTY:
        return cast("object", info.default_factory())
    if info.default_factory is not None and info.default_factory is not unset:
        such = f'; functions.UUID7() makes one: columns=("{name}", ...)' if field.type.kind is Kind.UUID else ""
        raise InvalidValue(f"{model.__name__}.{name} is made in Python for each row; name it in values(){such}")
    if field.nullable:
        return UNSET
    raise InvalidValue(f"{model.__name__}.{name} has no value and can never be NULL; name it in values()")
