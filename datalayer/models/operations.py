"""Plans of querysets: what needs models beside the plans of `_plans`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from datalayer._compile.compiler import Compiler
from datalayer._compile.prepared import Output
from datalayer._plans import bulk as bulk_plans
from datalayer._plans import read, upsert
from datalayer._plans.plan import Command, Plan, Row
from datalayer._plans.write import writing
from datalayer._query.change import Update
from datalayer._query.expression import Aggregate, Expression, Value
from datalayer._query.path import key_of, names_of
from datalayer._query.query import Query
from datalayer._query.walk import parts
from datalayer._schema.relation import RelationSpec
from datalayer.errors import FieldError, InvalidValue, QueryError, choices_text, nearest
from datalayer.models import hydrate, related, saving, undone
from datalayer.models.checks import assigned
from datalayer.models.column import Deferred, Expr
from datalayer.models.expressions import expression_of
from datalayer.models.state import Origin, cache_of, key_values, peek


@dataclass(slots=True)
class Fetched:
    """Everything a plan needs to fetch the rows of a queryset."""

    query: Query
    load: Any
    prefetched: tuple[tuple[str, ...], ...]
    alias: str
    behind: tuple[Any, RelationSpec] | None
    source: Any


def fetch(compiler: Compiler, rows: Fetched) -> Plan[list[Any]]:
    """The rows of a queryset, with everything that comes along."""
    if rows.behind is not None:
        instance, spec = rows.behind
        if peek(instance, spec.name) is None:
            yield from related.load(compiler, related.lacking(instance, spec), spec, rows.alias)
        found: list[Any] = list(peek(instance, spec.name) or ())
    else:
        found = yield from read.fetch(compiler, rows.query, rows.load)
    if rows.prefetched and found:
        yield from related.prefetch(compiler, found, rows.prefetched, rows.alias)
    return found


def get(compiler: Compiler, rows: Fetched, model: Any) -> Plan[Any]:
    """The one row.

    Raises:
        DoesNotExist: There is none.
        MultipleObjectsReturned: There are several.
    """
    found = yield from read.one(compiler, rows.query, rows.load)
    if len(found) == 1:
        if rows.prefetched:
            yield from related.prefetch(compiler, found, rows.prefetched, rows.alias)
        return found[0]
    if not found:
        raise model.DoesNotExist(f"no {model.__name__} matches the query")
    raise model.MultipleObjectsReturned(
        f"get() found more than one {model.__name__}; use filter() for several, or first()"
    )


def first(compiler: Compiler, rows: Fetched) -> Plan[Any]:
    """The first row, or None."""
    found = yield from fetch(compiler, rows)
    return found[0] if found else None


def earliest(compiler: Compiler, rows: Fetched, model: Any) -> Plan[Any]:
    """The first row.

    Raises:
        DoesNotExist: There is none.
    """
    found = yield from first(compiler, rows)
    if found is None:
        raise model.DoesNotExist(f"no {model.__name__} matches the query")
    return found


def in_bulk(compiler: Compiler, rows: Fetched, field: str) -> Plan[dict[Any, Any]]:
    """Rows by key."""
    found = yield from fetch(compiler, rows)
    return {getattr(row, field): row for row in found}


def streamed(compiler: Compiler, rows: Fetched) -> tuple[Command, Callable[[list[Row]], Iterable[Any]]]:
    """The statement of a stream, and what makes instances of a chunk of rows."""
    if rows.prefetched:
        raise QueryError(
            "iterator() cannot prefetch, since it never has all rows; use select_related, or iterate the query"
        )
    prepared = compiler.select(rows.query)
    return prepared.command(rows.query.values), partial(rows.load, prepared)


@writing
def create(compiler: Compiler, instance: Any, alias: str) -> Plan[Any]:
    """Saves a new instance and gives it back."""
    yield from saving.save(compiler, instance, alias, True, None)
    return instance


# -- updates -------------------------------------------------------------------------------------


def writable(queryset: Any, verb: str) -> Query:
    """The query of an update or delete.

    Raises:
        QueryError: It is sliced, or the whole table without `all()`.
    """
    query: Query = queryset.query
    if query.limit is not None or query.offset is not None:
        raise QueryError(f"{verb}() of a sliced query; filter by primary key instead: filter(pk__in=[...])")
    if query.distinct or query.group_by is not None:
        raise QueryError(f"{verb}() of distinct or grouped rows; {verb}() takes plain rows")
    if not query.where and not queryset._is_all and queryset._behind_of is None:
        raise QueryError(f"{verb}() would take the whole table of {query.table.model}; say so: .all().{verb}(...)")
    return query.replaced(order=(), joined=(), annotations=query.annotations)


def update_of(queryset: Any, values: Mapping[str, Any]) -> Update:
    """The change that `update(**values)` means.

    Raises:
        FieldError: An unknown field.
        InvalidValue: A value the field does not take.
    """
    query = writable(queryset, "update")
    table = query.table
    if not values:
        raise QueryError("update() was given no values; name the fields to write: update(price=5)")
    assignments: list[tuple[str, Expression]] = []
    for name, value in values.items():
        relation = table.relations.get(name)
        if relation is not None and relation.kind.is_forward:
            key = key_of(relation, value, name)
            first, *others = relation.local
            if others:
                assignments.extend(_assigned_key(queryset.model, relation, key, name))
                continue
            name, value = first, key
        field = table.fields.get(name)
        if field is None:
            raise FieldError(
                f"{table.model} has no field {name!r} to update; the choices are {choices_text(names_of(table))}"
                f"{nearest(name, names_of(table))}",
                name=name,
                choices=names_of(table),
            )
        if field.generated is not None:
            raise QueryError(f"{table.model}.{name} is computed by the database and cannot be written")
        if isinstance(value, Deferred | Expr | Expression):
            expression = expression_of(value, table)
            if any(isinstance(part, Aggregate) for part in parts(expression)):
                raise QueryError(f"update({name}={value!r}): an aggregate is over many rows; compute it first")
            assignments.append((name, expression))
        else:
            assignments.append((name, Value(assigned(queryset.model, name, value), field.type)))
    return Update(query, tuple(assignments))


def _assigned_key(model: Any, relation: RelationSpec, key: object, name: str) -> list[tuple[str, Expression]]:
    """What is written for a relation of several columns."""
    width = len(relation.local)
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


# -- upserts -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Upsert:
    """What `get_or_create` and `update_or_create` work on."""

    rows: Fetched
    model: Any
    alias: str
    values: dict[str, Any]
    defaults: dict[str, Any]

    def new(self) -> Any:
        """The instance to create; callable defaults are called."""
        made = {name: value() if callable(value) else value for name, value in self.defaults.items()}
        return self.model(**{**self.values, **made})

    def read(self, compiler: Compiler) -> Plan[Any]:
        """The row that matches, or None."""
        found = yield from read.one(compiler, self.rows.query, self.rows.load)
        if len(found) > 1:
            raise self.model.MultipleObjectsReturned(f"more than one {self.model.__name__} matches")
        return found[0] if found else None


@writing
def get_or_create(compiler: Compiler, upsert_: Upsert, depth: int) -> Plan[tuple[Any, bool]]:
    """Reads, or writes, or reads what somebody else wrote meanwhile."""
    return (
        yield from upsert.get_or_create(
            compiler,
            lambda: upsert_.read(compiler),
            lambda: create(compiler, upsert_.new(), upsert_.alias),
            depth=depth,
        )
    )


@writing
def update_or_create(compiler: Compiler, upsert_: Upsert, depth: int) -> Plan[tuple[Any, bool]]:
    """Writes the defaults to the row that matches, or makes one."""
    found, is_new = yield from get_or_create(compiler, upsert_, depth)
    if not is_new:
        for name, value in upsert_.defaults.items():
            setattr(found, name, value() if callable(value) else value)
        yield from saving.save(compiler, found, upsert_.alias, False, None)
    return found, is_new


# -- many at once --------------------------------------------------------------------------------


@dataclass(slots=True)
class Bulk:
    """What `bulk_create` and `bulk_update` work on."""

    model: Any
    alias: str
    objects: list[Any]
    conflict: Sequence[str] | None
    update: Sequence[str]
    batch_size: int | None

    def check(self, verb: str) -> None:
        """Makes sure that every object is of the model.

        Raises:
            QueryError: One is not, or a batch has no room for a row.
        """
        if self.batch_size is not None and self.batch_size < 1:
            raise QueryError(f"batch_size is {self.batch_size}; a statement writes at least one row")
        wrong = next((each for each in self.objects if type(each) is not self.model), None)
        if wrong is not None:
            raise QueryError(f"{verb}() of {self.model.__name__} was given {wrong!r}")


@writing
def bulk_create(compiler: Compiler, bulk: Bulk, depth: int) -> Plan[list[Any]]:
    """Inserts instances, those that set the same fields together."""
    table = bulk.model.table
    bulk.check("bulk_create")
    names = None if bulk.conflict is None else saving.field_names(table, bulk.conflict, "on_conflict")
    update = saving.field_names(table, bulk.update, "update")
    if names is None and update:
        raise QueryError("update= says what to overwrite on a conflict, so it needs on_conflict=(...)")
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[Any, tuple[object, ...]]]] = {}
    for instance in bulk.objects:
        fields, values, returning = saving.insert_parts(instance)
        groups.setdefault((fields, returning), []).append((instance, values))
    if names:
        _check_target(table, names)

    written: list[tuple[list[Any], tuple[str, ...], list[Row]]] = []

    def steps() -> Plan[None]:
        for (fields, returning), members in groups.items():
            # Rows that a conflict left alone come back as nothing, so nobody could tell which row is whose.
            read_back = returning if names is None else ()
            rows = yield from bulk_plans.create(
                compiler,
                table,
                fields,
                [values for _, values in members],
                read_back,
                conflict=names,
                update=update,
                batch_size=bulk.batch_size,
                depth=depth if len(groups) == 1 else depth + 1,
            )
            written.append(([instance for instance, _ in members], read_back, rows))

    if len(groups) > 1:
        from datalayer._plans import transaction  # noqa: PLC0415 - only for mixed batches

        yield from transaction.nested(compiler.backend, steps, depth=depth)
    else:
        yield from steps()
    if names is None:
        # Only now: a group that failed takes back those before it.
        for instances, read_back, rows in written:
            _saved(bulk.alias, instances, read_back, rows)
    return bulk.objects


def _saved(alias: str, instances: list[Any], read_back: tuple[str, ...], rows: list[Row]) -> None:
    origin = Origin(alias, instances)
    undone.note_inserts(alias, origin, read_back)
    for place, instance in enumerate(instances):
        saving.saved(instance, alias, dict(zip(read_back, rows[place], strict=True)) if read_back else None)
        related.set_origin(instance, origin)


def _check_target(table: Any, names: tuple[str, ...]) -> None:
    known = [table.primary_key, *[unique.fields for unique in table.unique if unique.condition is None]]
    if not any(set(item) == set(names) for item in known):
        shown = "; ".join(", ".join(item) for item in known)
        raise QueryError(
            f"on_conflict={names!r} is covered by no unique constraint of {table.model}; there are: {shown}"
        )


@writing
def bulk_update(compiler: Compiler, bulk: Bulk, depth: int) -> Plan[int]:
    """Writes some fields of many instances."""
    table = bulk.model.table
    bulk.check("bulk_update")
    fields = tuple(bulk.update)
    if not fields:
        raise QueryError("bulk_update() was given no fields to write")
    for name in fields:
        if table.fields[name].is_primary_key or table.fields[name].generated is not None:
            raise QueryError(f"bulk_update() cannot write {table.model}.{name}: it is a key or a generated column")
    rows: list[tuple[object, ...]] = []
    for instance in bulk.objects:
        saving.take_keys(instance)
        key = key_values(instance, table.primary_key)
        if key is None:
            raise QueryError(
                f"bulk_update() was given a {table.model} that is not saved; use bulk_create() for new ones"
            )
        missing = [name for name in fields if name not in instance.__dict__]
        if missing:
            raise QueryError(f"bulk_update() was given a {table.model} without a value of {missing[0]}")
        rows.append((*key, *[instance.__dict__[name] for name in fields]))
    count = yield from bulk_plans.update(compiler, table, fields, rows, batch_size=bulk.batch_size, depth=depth)
    for instance in bulk.objects:
        undone.note_change(bulk.alias, instance, fields)
        instance.__pydantic_fields_set__.difference_update(fields)
    return count


# -- SQL by hand ---------------------------------------------------------------------------------


_MARK = re.compile(r"%(?:(%)|(s)|\((\w+)\)s)?")


def placeholders(sql: str, params: Mapping[str, object] | Sequence[object], backend: str) -> tuple[str, list[object]]:
    """SQL with `%(name)s` or `%s` in the words of a backend; without params, a `%` is only a `%`.

    Raises:
        QueryError: The placeholders and the params do not fit.
    """
    percent, mark = ("%", "?") if backend == "sqlite" else ("%%", "%s")
    if not params:
        return sql.replace("%", percent), []
    named = params if isinstance(params, Mapping) else None
    given = [] if isinstance(params, Mapping) else list(params)
    found: list[object] = []

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return percent
        if match[0] == "%":
            raise QueryError("a % that is no placeholder is written %% in SQL with params")
        if (named is None) == (match[3] is not None):
            raise QueryError(f"the SQL asks for {match[0]}; give a {'list' if named is not None else 'dict'} of params")
        if named is None:
            if len(found) == len(given):
                raise QueryError(f"the SQL asks for more than the {len(given)} params it was given")
            found.append(given[len(found)])
        elif match[3] not in named:
            raise QueryError(f"the SQL asks for %({match[3]})s, and params have {choices_text(named)}")
        else:
            found.append(named[match[3]])
        return mark

    text = _MARK.sub(one, sql)
    if named is None and len(found) < len(given):
        raise QueryError(f"the SQL asks for {len(found)} params and was given {len(given)}")
    return text, found


def raw(
    compiler: Compiler, model: Any, alias: str, sql: str, params: Mapping[str, object] | Sequence[object]
) -> Plan[list[Any]]:
    """Instances from SQL written by hand; the columns are told apart by asking for them by name around it."""
    text, given = placeholders(sql.strip().rstrip(";"), params, compiler.backend)
    convert, _ = compiler.converter(None)
    values = [value if value is None or convert is None else convert(value) for value in given]
    table = model.table
    # With the name in front: SQLite would take a quoted name that is no column for text.
    columns = ", ".join('datalayer_raw."' + field.column.replace('"', '""') + '"' for field in table.fields.values())
    reply = yield Command(f"SELECT {columns} FROM ({text}) AS datalayer_raw", values, table=table)
    outputs = tuple(
        [Output(field.name, (), field, compiler.converter(field.type)[1]) for field in table.fields.values()]
    )
    return hydrate.maker(model, outputs)(reply.rows, alias)


__all__ = ["Bulk", "Fetched", "Upsert", "cache_of"]
