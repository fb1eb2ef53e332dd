"""Querysets: immutable, lazy questions about the rows of a model.

Every operation is written once, as a plan; a method and its twin with an `a` in front only say in which world it runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, cast, overload

from datalayer._compile.prepared import Prepared
from datalayer._plans import read as read_plans
from datalayer._plans import write as write_plans
from datalayer._plans.plan import Row
from datalayer._query.change import Delete
from datalayer._query.condition import Condition as ConditionNode
from datalayer._query.condition import Junction, Negation, Nothing
from datalayer._query.expression import FieldRef, Ordering
from datalayer._query.path import names_of, reference, relation_path
from datalayer._query.query import Query
from datalayer._schema.field import ColumnType
from datalayer._schema.relation import RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.databases import databases
from datalayer.errors import FieldError, QueryError, choices_text, nearest
from datalayer.models import operations
from datalayer.models.column import Condition, Deferred, Expr, OrderBy, Related
from datalayer.models.expressions import Aggregate, DeferredOrder, F, Q, condition_of, expression_of, owned
from datalayer.models.hydrate import loader

if TYPE_CHECKING:
    from datalayer.databases import Database
    from datalayer.models.model import ModelBase

M = TypeVar("M", bound="ModelBase")
R = TypeVar("R")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")


def default_order(table: TableSpec) -> tuple[Ordering, ...]:
    """`Meta.ordering` as items of ORDER BY."""
    return tuple([order_item(table, name, {}) for name in table.ordering])


def order_item(table: TableSpec, item: Any, annotations: Mapping[str, ColumnType | None]) -> Ordering:
    """What an argument of `order_by` means.

    Raises:
        FieldError: An unknown name.
    """
    if isinstance(item, Ordering):
        return item
    if isinstance(item, DeferredOrder):
        return item.resolved(table, dict(annotations))
    if isinstance(item, str):
        if item == "?":
            from datalayer._query.expression import Function  # noqa: PLC0415 - rare

            return Ordering(Function("random", (), None))
        name = item.removeprefix("-")
        return Ordering(reference(table, name, annotations=annotations), descending=item.startswith("-"))
    return Ordering(expression_of(item, table, dict(annotations)))


def _own_name(item: Expr[Any, Any], table: TableSpec) -> str:
    """The name of a column of the table itself; a text that is no name for everything else."""
    owned(item.node, table)
    return item.node.field if isinstance(item.node, FieldRef) and not item.node.path else repr(item)


class Rows(Generic[M, R]):
    """What all lazy questions share: `R` is what one row becomes."""

    __slots__ = ("_alias", "_behind_of", "_is_all", "_kept", "_prefetched", "model", "query")
    __datalayer_manager__ = False

    model: type[M]
    query: Query

    # -- chaining --------------------------------------------------------------------------------

    def _start(self, model: Any, alias: str = "default") -> None:
        self.model = model
        self.query = Query(model.table)
        self._alias = alias
        self._kept: list[R] | None = None
        self._prefetched: tuple[tuple[str, ...], ...] = ()
        self._is_all = False
        self._behind_of: tuple[Any, RelationSpec] | None = None

    def _with(self, query: Query) -> Self:
        new = object.__new__(type(self))
        new.model = self.model
        new.query = query
        new._alias = self._alias
        new._kept = None
        new._prefetched = self._prefetched
        new._is_all = self._is_all
        new._behind_of = None
        own = getattr(self, "__dict__", None)
        if own:
            new.__dict__.update(own)
        return new

    @property
    def _annotations(self) -> dict[str, ColumnType | None]:
        return {name: expression.type for name, expression in self.query.annotations}

    def _condition(self, conditions: tuple[Any, ...], named: dict[str, Any]) -> ConditionNode | None:
        table = self.query.table
        annotations = self._annotations if self.query.annotations else None
        found: list[ConditionNode] = []
        for item in (*conditions, *named.items()) if named else conditions:
            condition = condition_of(item, table, annotations)
            if condition is not None:
                found.append(condition)
        if len(found) < 2:
            return found[0] if found else None
        return Junction("and", tuple(found))

    def _unsliced(self, verb: str) -> None:
        if self.query.limit is not None or self.query.offset is not None:
            raise QueryError(f"{verb}() of a sliced query; call {verb}() first, then slice")

    def filter(self, *conditions: Condition[M] | Q, **named: Any) -> Self:
        """The rows that satisfy every condition.

        Args:
            conditions: `Book.price < 10`, `Q(...)`.
            named: Lookups by name, `author__name__icontains="guin"`.

        Raises:
            FieldError: An unknown name.
            InvalidValue: A value of the wrong type.
        """
        self._unsliced("filter")
        condition = self._condition(conditions, named)
        return self._with(self.query if condition is None else self.query.filtered(condition))

    def exclude(self, *conditions: Condition[M] | Q, **named: Any) -> Self:
        """The rows that do not satisfy all the conditions; NULL counts as not satisfying."""
        self._unsliced("exclude")
        condition = self._condition(conditions, named)
        return self._with(self.query if condition is None else self.query.filtered(Negation(condition)))

    def all(self) -> Self:
        """The same question again, with nothing kept; also says that update() and delete() may take the whole table."""
        new = self._with(self.query)
        new._is_all = True
        new._behind_of = self._behind_of
        return new

    def none(self) -> Self:
        """No row at all, without asking the database."""
        return self._with(self.query.filtered(Nothing()))

    def order_by(self, *items: OrderBy[M] | Expr[M, Any] | F | DeferredOrder | str) -> Self:
        """The rows in an order: columns, `Book.price.desc()`, names, `-name`; without any, in no order.

        Raises:
            FieldError: An unknown name.
        """
        self._unsliced("order_by")
        known = self._annotations
        order = tuple([order_item(self.query.table, item, known) for item in items])
        new = self._with(self.query.replaced(order=order))
        new._is_all = self._is_all
        return new

    def reverse(self) -> Self:
        """The rows in the opposite order."""
        self._unsliced("reverse")
        query = self._ordered(self.query)
        return self._with(query.replaced(order=tuple([item.reversed() for item in query.order])))

    def distinct(self) -> Self:
        """Equal rows once."""
        self._unsliced("distinct")
        return self._with(self.query.replaced(distinct=True))

    def using(self, alias: str) -> Self:
        """The same question to another database."""
        new = self._with(self.query)
        new._alias = alias
        new._is_all = self._is_all
        return new

    # -- asking ----------------------------------------------------------------------------------

    @property
    def _database(self) -> Database:
        return databases[self._alias]

    def _ordered(self, query: Query) -> Query:
        """With `Meta.ordering` where the caller asked for no order."""
        if query.order or not query.table.ordering or query.group_by is not None or query.distinct:
            return query
        return query.replaced(order=default_order(query.table))

    @property
    def _load(self) -> Any:
        return loader(self.model, self._alias)

    @property
    def _rows(self) -> operations.Fetched:
        return operations.Fetched(
            self._ordered(self.query), self._load, self._prefetched, self._alias, self._behind_of, self
        )

    def _one(self, conditions: tuple[Any, ...], named: dict[str, Any]) -> operations.Fetched:
        query = self.query
        if conditions or named:
            self._unsliced("filter")
            condition = self._condition(conditions, named)
            query = query.replaced(where=query.where if condition is None else (*query.where, condition), limit=2)
        return operations.Fetched(query, self._load, self._prefetched, self._alias, None, None)

    def _end(self, *, is_last: bool) -> operations.Fetched:
        query = read_plans.ordered(self._ordered(self.query))
        if is_last and (query.limit is not None or query.offset is not None):
            raise QueryError("last() of a sliced query; order it the other way round, slice and take first()")
        if is_last:
            query = query.replaced(order=tuple([item.reversed() for item in query.order]))
        if query.limit != 0:
            query = query.replaced(limit=1)
        return operations.Fetched(query, self._load, self._prefetched, self._alias, None, None)

    def get(self, *conditions: Condition[M] | Q, **named: Any) -> R:
        """The one row that satisfies the conditions.

        Raises:
            DoesNotExist: There is none.
            MultipleObjectsReturned: There are several.
        """
        return cast("R", self._database.run(operations.get, self._one(conditions, named), self.model))

    async def aget(self, *conditions: Condition[M] | Q, **named: Any) -> R:
        """The awaiting twin of `get`."""
        return cast("R", await self._database.arun(operations.get, self._one(conditions, named), self.model))

    def first(self) -> R | None:
        """The first row, by primary key where there is no order; None when there is none."""
        return cast("R | None", self._database.run(operations.first, self._end(is_last=False)))

    async def afirst(self) -> R | None:
        """The awaiting twin of `first`."""
        return cast("R | None", await self._database.arun(operations.first, self._end(is_last=False)))

    def last(self) -> R | None:
        """The last row, by primary key where there is no order; None when there is none."""
        return cast("R | None", self._database.run(operations.first, self._end(is_last=True)))

    async def alast(self) -> R | None:
        """The awaiting twin of `last`."""
        return cast("R | None", await self._database.arun(operations.first, self._end(is_last=True)))

    def earliest(self, *items: OrderBy[M] | Expr[M, Any] | F | DeferredOrder | str) -> R:
        """The first row in the given order: `earliest("published_on")`. NULLs come last.

        Raises:
            DoesNotExist: There is none.
        """
        return cast("R", self._database.run(operations.earliest, self._extreme(items), self.model))

    async def aearliest(self, *items: OrderBy[M] | Expr[M, Any] | F | DeferredOrder | str) -> R:
        """The awaiting twin of `earliest`."""
        return cast("R", await self._database.arun(operations.earliest, self._extreme(items), self.model))

    def latest(self, *items: OrderBy[M] | Expr[M, Any] | F | DeferredOrder | str) -> R:
        """The last row in the given order: `latest("published_on")`. NULLs never win.

        Raises:
            DoesNotExist: There is none.
        """
        return cast("R", self._database.run(operations.earliest, self._extreme(items, is_latest=True), self.model))

    async def alatest(self, *items: OrderBy[M] | Expr[M, Any] | F | DeferredOrder | str) -> R:
        """The awaiting twin of `latest`."""
        return cast(
            "R", await self._database.arun(operations.earliest, self._extreme(items, is_latest=True), self.model)
        )

    def _extreme(self, items: tuple[Any, ...], *, is_latest: bool = False) -> operations.Fetched:
        verb = "latest" if is_latest else "earliest"
        self._unsliced(verb)
        if not items:
            raise QueryError(f"{verb}() needs to know by what: {verb}('published_on')")
        known = self._annotations
        order = [order_item(self.query.table, item, known) for item in items]
        if is_latest:
            order = [item.reversed() for item in order]
        order = [Ordering(item.expression, descending=item.descending, nulls=item.nulls or "last") for item in order]
        query = self.query.replaced(order=tuple(order), limit=1)
        return operations.Fetched(query, self._load, self._prefetched, self._alias, None, None)

    def count(self) -> int:
        """How many rows there are; counted here where they were fetched already."""
        return len(self._kept) if self._kept is not None else self._database.run(read_plans.count, self.query)

    async def acount(self) -> int:
        """The awaiting twin of `count`."""
        return len(self._kept) if self._kept is not None else await self._database.arun(read_plans.count, self.query)

    def exists(self) -> bool:
        """Whether there is any row."""
        return bool(self._kept) if self._kept is not None else self._database.run(read_plans.exists, self.query)

    async def aexists(self) -> bool:
        """The awaiting twin of `exists`."""
        return bool(self._kept) if self._kept is not None else await self._database.arun(read_plans.exists, self.query)

    def aggregate(self, *aggregates: Aggregate, **named: Aggregate) -> dict[str, Any]:
        """Values over all rows: `aggregate(Avg("price"), cheapest=Min("price"))`."""
        return self._database.run(read_plans.aggregate, self.query, self._aggregates(aggregates, named))

    async def aaggregate(self, *aggregates: Aggregate, **named: Aggregate) -> dict[str, Any]:
        """The awaiting twin of `aggregate`."""
        return await self._database.arun(read_plans.aggregate, self.query, self._aggregates(aggregates, named))

    def _aggregates(self, aggregates: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
        every = {**{item.default_name: item for item in aggregates if isinstance(item, Aggregate)}, **named}
        wrong = [item for item in (*aggregates, *named.values()) if not isinstance(item, Aggregate)]
        if wrong or not every:
            raise QueryError(
                f"aggregate() takes Count, Sum, Avg, Min and Max, not {wrong[0] if wrong else 'nothing'!r}"
            )
        known = self._annotations
        return tuple([(name, item.resolved(self.query.table, known)) for name, item in every.items()])

    def iterator(self, chunk_size: int = 500) -> Iterator[R]:
        """The rows one by one, never holding more than a chunk of them."""
        return cast("Iterator[R]", self._database.stream(chunk_size, operations.streamed, self._rows))

    def aiterator(self, chunk_size: int = 500) -> AsyncIterator[R]:
        """The awaiting twin of `iterator`."""
        return cast("AsyncIterator[R]", self._database.astream(chunk_size, operations.streamed, self._rows))

    def explain(self, *, analyze: bool = False) -> str:
        """How the database would find the rows, in its own words.

        Args:
            analyze: Runs the query and says what it took; PostgreSQL only.

        Raises:
            NotSupported: `analyze` on SQLite.
        """
        return self._database.run(read_plans.explain, self._ordered(self.query), analyze)

    async def aexplain(self, *, analyze: bool = False) -> str:
        """The awaiting twin of `explain`."""
        return await self._database.arun(read_plans.explain, self._ordered(self.query), analyze)

    def sql(self) -> tuple[str, tuple[object, ...]]:
        """The SQL and its values; sends nothing."""
        query = self._ordered(self.query)
        command = self._database.compiler.select(query).command(query.values)
        return command.sql, tuple(command.params)

    # -- as a collection -------------------------------------------------------------------------

    def _fetched(self) -> list[R]:
        if self._kept is None:
            self._kept = cast("list[R]", self._database.run(operations.fetch, self._rows))
        return self._kept

    async def _afetched(self) -> list[R]:
        if self._kept is None:
            self._kept = cast("list[R]", await self._database.arun(operations.fetch, self._rows))
        return self._kept

    def __iter__(self) -> Iterator[R]:
        return iter(self._fetched())

    async def __aiter__(self) -> AsyncIterator[R]:
        for row in await self._afetched():
            yield row

    def __await__(self) -> Generator[Any, None, list[R]]:
        return self._afetched().__await__()

    def __len__(self) -> int:
        return len(self._fetched())

    def __bool__(self) -> bool:
        return bool(self._fetched())

    def __contains__(self, item: object) -> bool:
        return item in self._fetched()

    @overload
    def __getitem__(self, item: int) -> R: ...
    @overload
    def __getitem__(self, item: slice) -> Self: ...
    def __getitem__(self, item: int | slice) -> Any:
        if isinstance(item, slice):
            if item.step is not None:
                raise QueryError("a slice of a query has no step; make a list of it first")
            return self._sliced(item.start, item.stop)
        if not hasattr(item, "__index__"):
            raise QueryError(f"a query is indexed by numbers and slices, not by {item!r}")
        if item < 0:
            raise QueryError("a query cannot be indexed from its end; order it the other way round, or use last()")
        if self._kept is not None:
            return self._kept[item]
        found = self._sliced(item, item + 1)._fetched()
        if not found:
            raise IndexError(f"the query has no row {item}")
        return found[0]

    def _sliced(self, start: int | None, stop: int | None) -> Self:
        wrong = [end for end in (start, stop) if end is not None and not hasattr(end, "__index__")]
        if wrong:
            raise QueryError(f"a query is indexed by numbers and slices, not by {wrong[0]!r}")
        if (start or 0) < 0 or (stop is not None and stop < 0):
            raise QueryError("a query cannot be sliced from its end; order it the other way round")
        low = (self.query.offset or 0) + (start or 0)
        limit = self.query.limit
        if limit is not None:
            limit = max(0, limit - (start or 0))
        if stop is not None:
            wanted = max(0, stop - (start or 0))
            limit = wanted if limit is None else min(limit, wanted)
        new = self._with(self.query.replaced(limit=limit, offset=low or None))
        if self._kept is not None:
            new._kept = self._kept[start:stop]
        return new

    def __repr__(self) -> str:
        if self._kept is None:
            return f"<{type(self).__name__} of {self.model.__name__}, not asked yet>"
        shown = [repr(row) for row in self._kept[:20]]
        if len(self._kept) > 20:
            shown.append("...")
        return f"<{type(self).__name__} [{', '.join(shown)}]>"


class Values(Rows[M, R]):
    """Rows as tuples, dictionaries or single values instead of instances."""

    __slots__ = ("form",)

    form: str
    """How each row is given: `dict`, `tuple`, or `flat` for one bare value."""

    def _with(self, query: Query) -> Self:
        new = super()._with(query)
        new.form = self.form
        return new

    @property
    def _load(self) -> Any:
        form = self.form

        def load(prepared: Prepared, rows: list[Row]) -> list[Any]:
            found = read_plans.converted(prepared.columns, rows)
            if form == "flat":
                return [row[0] for row in found]
            if form == "tuple":
                return found
            names = [column.name for column in prepared.columns]
            return [dict(zip(names, row, strict=True)) for row in found]

        return load


class QuerySet(Rows[M, M]):
    """A lazy, immutable question about the rows of a model: nothing is sent before the rows are needed."""

    __slots__ = ()

    # -- what comes along ------------------------------------------------------------------------

    def annotate(self, **named: Any) -> Self:
        """Values computed by the database beside each row: `annotate(total=Count("books"))`."""
        self._unsliced("annotate")
        table, known = self.query.table, self._annotations
        made = list(self.query.annotations)
        for name, item in named.items():
            if name in table.fields or name in table.relations or hasattr(self.model.__class__, name):
                raise QueryError(f"annotate({name}=...): {table.model} has {name!r} already; choose another name")
            made.append((name, expression_of(item, table, known)))
        return self._with(self.query.replaced(annotations=tuple(made)))

    def select_related(self, *paths: str | Related[M, Any]) -> Self:
        """Rows of to-one relations come along in the same statement.

        Raises:
            FieldError: An unknown relation, or one to many rows.
        """
        joined = list(self.query.joined)
        for path in paths:
            steps = relation_path(self.query.table, self._path(path), to_one=True)
            for length in range(1, len(steps) + 1):
                if steps[:length] not in joined:
                    joined.append(steps[:length])
        return self._with(self.query.replaced(joined=tuple(joined)))

    def prefetch_related(self, *paths: str | Related[M, Any]) -> Self:
        """Rows of relations are loaded right after, by one statement for each relation.

        Raises:
            FieldError: An unknown relation.
        """
        new = self._with(self.query)
        found = [relation_path(self.query.table, self._path(path)) for path in paths]
        new._prefetched = (*self._prefetched, *found)
        return new

    def _path(self, path: object) -> str:
        if isinstance(path, str):
            return path
        if not isinstance(path, Related):
            raise QueryError(f"{path!r} is no relation; give a name or a relation such as {self.query.table.model}.x")
        if path.table is not self.query.table:
            raise QueryError(f"{path!r} starts at {path.table.model}, not at {self.query.table.model}")
        return "__".join(path.path)

    def only(self, *fields: str | Expr[M, Any] | Related[M, Any]) -> Self:
        """Loads these columns only; reading another one raises `FieldNotLoaded`."""
        names = self._names(fields, "only")
        key = [name for name in self.query.table.primary_key if name not in names]
        return self._with(self.query.replaced(only=(*key, *names)))

    def defer(self, *fields: str | Expr[M, Any] | Related[M, Any]) -> Self:
        """Loads every column but these."""
        names = self._names(fields, "defer")
        table = self.query.table
        kept = tuple([n for n in table.fields if n not in names or n in table.primary_key])
        return self._with(self.query.replaced(only=kept))

    def _names(self, fields: Iterable[str | Expr[M, Any] | Related[M, Any]], verb: str) -> tuple[str, ...]:
        known = self.query.table.fields
        found: list[str] = []
        for item in fields:
            if isinstance(item, Related):
                name = self._path(item)
            else:
                name = item if isinstance(item, str) else _own_name(item, self.query.table)
            if name in self.query.table.relations and self.query.table.relations[name].kind.is_forward:
                found.extend(self.query.table.relations[name].local)
                continue
            if name not in known:
                raise FieldError(
                    f"{verb}() got {name!r}, which is no field of {self.query.table.model}; the choices are "
                    f"{choices_text(known)}{nearest(name, known)}",
                    name=name,
                    choices=known,
                )
            found.append(name)
        return tuple(found)

    # -- other forms -----------------------------------------------------------------------------

    def _values(self, form: str, columns: tuple[Any, ...], named: dict[str, Any]) -> Values[M, Any]:
        table, known = self.query.table, self._annotations
        wanted: list[tuple[str, Any]] = []
        if not columns and not named:
            columns = (*table.fields, *known)
        for place, item in enumerate(columns):
            name = item if isinstance(item, str) else f"column{place}"
            node = expression_of(item, table, known)
            if not isinstance(item, str) and isinstance(node, FieldRef):
                name = "__".join((*node.path, node.field))
            wanted.append((name, node))
        wanted.extend((name, expression_of(item, table, known)) for name, item in named.items())
        new: Values[M, Any] = cast("Values[M, Any]", object.__new__(Values))
        new._start(self.model, self._alias)
        new.query = self.query.replaced(columns=tuple(wanted), joined=())
        new.form = form
        return new

    def values(self, *columns: str | Expr[M, Any] | Related[M, Any], **named: Any) -> Values[M, dict[str, Any]]:
        """The rows as dictionaries."""
        return self._values("dict", columns, named)

    @overload
    def values_list(self, a: Expr[M, T1], /) -> Values[M, tuple[T1]]: ...
    @overload
    def values_list(self, a: Expr[M, T1], b: Expr[M, T2], /) -> Values[M, tuple[T1, T2]]: ...
    @overload
    def values_list(self, a: Expr[M, T1], b: Expr[M, T2], c: Expr[M, T3], /) -> Values[M, tuple[T1, T2, T3]]: ...
    @overload
    def values_list(
        self, a: Expr[M, T1], b: Expr[M, T2], c: Expr[M, T3], d: Expr[M, T4], /
    ) -> Values[M, tuple[T1, T2, T3, T4]]: ...
    @overload
    def values_list(
        self, a: Expr[M, T1], b: Expr[M, T2], c: Expr[M, T3], d: Expr[M, T4], e: Expr[M, T5], /
    ) -> Values[M, tuple[T1, T2, T3, T4, T5]]: ...
    @overload
    def values_list(self, column: Expr[M, T1], /, *, flat: Literal[True]) -> Values[M, T1]: ...
    @overload
    def values_list(self, column: str, /, *, flat: Literal[True]) -> Values[M, Any]: ...
    @overload
    def values_list(self, *columns: str | Expr[M, Any] | Deferred) -> Values[M, tuple[Any, ...]]: ...
    def values_list(self, *columns: Any, flat: bool = False) -> Values[M, Any]:
        """The rows as tuples; typed columns give typed tuples.

        Args:
            columns: Columns, names or expressions; every field when none is named.
            flat: One column, as plain values instead of tuples of one.
        """
        if flat and len(columns) != 1:
            raise QueryError(f"values_list(flat=True) gives the values of one column, not of {len(columns)}")
        return self._values("flat" if flat else "tuple", columns, {})

    # -- by key ----------------------------------------------------------------------------------

    def in_bulk(self, keys: Collection[Any] | None = None, *, field: str = "pk") -> dict[Any, M]:
        """Instances by primary key, or by another unique field."""
        return cast("dict[Any, M]", self._database.run(operations.in_bulk, self._bulk(keys, field), field))

    async def ain_bulk(self, keys: Collection[Any] | None = None, *, field: str = "pk") -> dict[Any, M]:
        """The awaiting twin of `in_bulk`."""
        return cast("dict[Any, M]", await self._database.arun(operations.in_bulk, self._bulk(keys, field), field))

    def _bulk(self, keys: Collection[Any] | None, field: str) -> operations.Fetched:
        table = self.query.table
        if field != "pk" and (field,) not in [
            table.primary_key,
            *[u.fields for u in table.unique if u.condition is None],
        ]:
            raise QueryError(
                f"in_bulk() by {field!r}, which no unique constraint of {table.model} covers: "
                "several rows could have the same key"
            )
        found = self if keys is None else self.filter(**{f"{field}__in": keys})
        return operations.Fetched(found.query, self._load, self._prefetched, self._alias, None, None)

    # -- writing ---------------------------------------------------------------------------------

    def _defaults(self, values: dict[str, Any]) -> dict[str, Any]:
        if self._behind_of is None:
            return values
        instance, spec = self._behind_of
        return values if spec.reverse is None else {spec.reverse: instance, **values}

    def _new(self, values: dict[str, Any]) -> M:
        return self.model(**self._defaults(values))

    def create(self, **values: Any) -> M:
        """Makes an instance and saves it."""
        return cast("M", self._database.run(operations.create, self._new(values), self._alias))

    async def acreate(self, **values: Any) -> M:
        """The awaiting twin of `create`."""
        return cast("M", await self._database.arun(operations.create, self._new(values), self._alias))

    def get_or_create(self, defaults: Mapping[str, Any] | None = None, **named: Any) -> tuple[M, bool]:
        """The row that matches, or a new one; and whether it is new. Safe against somebody doing the same."""
        return cast(
            "tuple[M, bool]",
            self._database.run(operations.get_or_create, self._upsert(defaults, named), self._database.depth),
        )

    async def aget_or_create(self, defaults: Mapping[str, Any] | None = None, **named: Any) -> tuple[M, bool]:
        """The awaiting twin of `get_or_create`."""
        return cast(
            "tuple[M, bool]",
            await self._database.arun(operations.get_or_create, self._upsert(defaults, named), self._database.depth),
        )

    def update_or_create(self, defaults: Mapping[str, Any] | None = None, **named: Any) -> tuple[M, bool]:
        """Writes `defaults` to the row that matches, or makes one; and whether it is new."""
        return cast(
            "tuple[M, bool]",
            self._database.run(operations.update_or_create, self._upsert(defaults, named), self._database.depth),
        )

    async def aupdate_or_create(self, defaults: Mapping[str, Any] | None = None, **named: Any) -> tuple[M, bool]:
        """The awaiting twin of `update_or_create`."""
        return cast(
            "tuple[M, bool]",
            await self._database.arun(operations.update_or_create, self._upsert(defaults, named), self._database.depth),
        )

    def _upsert(self, defaults: Mapping[str, Any] | None, named: dict[str, Any]) -> operations.Upsert:
        known = names_of(self.query.table)
        unknown = [name for name in defaults or () if name not in known]
        if unknown:
            raise FieldError(
                f"defaults name {unknown[0]!r}, which {self.query.table.model} does not have; the choices are "
                f"{choices_text(known)}{nearest(unknown[0], known)}",
                name=unknown[0],
                choices=known,
            )
        plain = {name: value for name, value in self._defaults(named).items() if "__" not in name}
        return operations.Upsert(self._one((), named), self.model, self._alias, plain, dict(defaults or {}))

    def update(self, **values: Any) -> int:
        """Writes values to every row of the query, in one statement; gives the number of rows.

        Raises:
            QueryError: The whole table, without an explicit `all()`; a sliced query.
        """
        return self._database.run(write_plans.update, operations.update_of(self, values))

    async def aupdate(self, **values: Any) -> int:
        """The awaiting twin of `update`."""
        return await self._database.arun(write_plans.update, operations.update_of(self, values))

    def delete(self) -> int:
        """Deletes every row of the query, in one statement; gives the number of rows of this table.

        Raises:
            QueryError: The whole table, without an explicit `all()`; a sliced query.
        """
        return self._database.run(write_plans.delete, Delete(operations.writable(self, "delete")))

    async def adelete(self) -> int:
        """The awaiting twin of `delete`."""
        return await self._database.arun(write_plans.delete, Delete(operations.writable(self, "delete")))

    def bulk_create(
        self,
        objects: Iterable[M],
        *,
        on_conflict: Sequence[str] | None = None,
        update: Sequence[str] = (),
        batch_size: int | None = None,
    ) -> list[M]:
        """Saves many new instances in as few statements as possible; gives them with their keys.

        Args:
            objects: The instances.
            on_conflict: Fields or a relation whose conflict is no error; () for any.
            update: What to overwrite on a conflict; nothing leaves the old row alone.
            batch_size: Most rows in one statement.
        """
        return cast(
            "list[M]",
            self._database.run(
                operations.bulk_create,
                operations.Bulk(self.model, self._alias, list(objects), on_conflict, update, batch_size),
                self._database.depth,
            ),
        )

    async def abulk_create(
        self,
        objects: Iterable[M],
        *,
        on_conflict: Sequence[str] | None = None,
        update: Sequence[str] = (),
        batch_size: int | None = None,
    ) -> list[M]:
        """The awaiting twin of `bulk_create`."""
        return cast(
            "list[M]",
            await self._database.arun(
                operations.bulk_create,
                operations.Bulk(self.model, self._alias, list(objects), on_conflict, update, batch_size),
                self._database.depth,
            ),
        )

    def bulk_update(
        self,
        objects: Iterable[M],
        fields: Sequence[str | Expr[M, Any] | Related[M, Any]],
        *,
        batch_size: int | None = None,
    ) -> int:
        """Writes some fields of many instances, one statement for each batch; gives the number of rows found."""
        return self._database.run(
            operations.bulk_update,
            operations.Bulk(
                self.model, self._alias, list(objects), None, self._names(fields, "bulk_update"), batch_size
            ),
            self._database.depth,
        )

    async def abulk_update(
        self,
        objects: Iterable[M],
        fields: Sequence[str | Expr[M, Any] | Related[M, Any]],
        *,
        batch_size: int | None = None,
    ) -> int:
        """The awaiting twin of `bulk_update`."""
        return await self._database.arun(
            operations.bulk_update,
            operations.Bulk(
                self.model, self._alias, list(objects), None, self._names(fields, "bulk_update"), batch_size
            ),
            self._database.depth,
        )

    def raw(self, sql: str, params: Mapping[str, object] | Sequence[object] = ()) -> RawRows[M]:
        """Instances from SQL written by hand: `raw("select * from book where price < %(p)s", {"p": 5})`.

        Args:
            sql: A statement that returns columns of the model, its primary key among them.
            params: Values for `%(name)s` or `%s`; never put them into the text.
        """
        return RawRows(self.model, self._alias, sql, params)


class RawRows(Generic[M]):
    """The rows of SQL written by hand; iterate or await it."""

    __slots__ = ("_alias", "model", "params", "sql")

    def __init__(self, model: type[M], alias: str, sql: str, params: Mapping[str, object] | Sequence[object]) -> None:
        self.model = model
        self._alias = alias
        self.sql = sql
        self.params = params

    def __iter__(self) -> Iterator[M]:
        return iter(databases[self._alias].run(operations.raw, self.model, self._alias, self.sql, self.params))

    async def _afetched(self) -> list[M]:
        return await databases[self._alias].arun(operations.raw, self.model, self._alias, self.sql, self.params)

    async def __aiter__(self) -> AsyncIterator[M]:
        for row in await self._afetched():
            yield row

    def __await__(self) -> Generator[Any, None, list[M]]:
        return self._afetched().__await__()

    def __repr__(self) -> str:
        return f"<RawRows of {self.model.__name__}: {self.sql!r}>"


__all__ = ["QuerySet", "RawRows", "Rows", "Values", "default_order", "order_item"]
