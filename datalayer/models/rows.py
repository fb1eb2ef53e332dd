"""Asking: what sends a question and gives rows, numbers and plans.

Every operation is written once, as a plan; a method and its twin with an `a` in front only say in which world it runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar, cast, overload

from datalayer._plans import read as read_plans
from datalayer._plans.by_value import Having
from datalayer._query.comparing import comparison, is_good
from datalayer._query.expression import FieldRef, Ordering
from datalayer._query.path import named
from datalayer._query.query import Query
from datalayer._query.source import NO_EXTRA, Compound
from datalayer.databases import databases
from datalayer.errors import QueryError
from datalayer.models import operations
from datalayer.models.aggregates import Aggregate, check_aggregate
from datalayer.models.checks import checked
from datalayer.models.column import Condition, Deferred, Expr, OrderBy
from datalayer.models.combining import as_source, reading
from datalayer.models.elsewhere import refuse_elsewhere
from datalayer.models.expressions import DeferredOrder, Q, is_own
from datalayer.models.hydrate import loader
from datalayer.models.locking import check_transaction
from datalayer.models.ordering import ordered_by
from datalayer.models.question import M, Question, R
from datalayer.models.state import key_values, origin_of, peek
from datalayer.models.ties import tied

if TYPE_CHECKING:
    from datalayer.databases import Database

T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")

ExplainFormat: TypeAlias = Literal["text", "json", "yaml", "xml"]
"""The forms of a plan; SQLite has the first."""


class Rows(Question[M, R]):
    """What all lazy questions share: they are asked, and then a collection of rows."""

    __slots__ = ()

    @property
    def _database(self) -> Database:
        if self.query.outline.lock is not None:
            check_transaction(self.query, self._alias)
        return databases[self._alias]

    @property
    def _load(self) -> Any:
        return loader(self.model, self._alias)

    @property
    def _rows(self) -> operations.Fetched:
        return operations.Fetched(
            self._ordered(self.query), self._load, self._prefetched, self._alias, self._behind_of, self._parent
        )

    def _narrowed(self, conditions: tuple[Any, ...], named: dict[str, Any]) -> Query:
        query = self.query
        if not (conditions or named):
            return query
        if query.limit is not None or query.offset is not None:
            self._unsliced("filter")
        condition = self._condition(conditions, named)
        if condition is not None and self._parent is not None:
            condition = tied(self._parent, condition)
        return query.narrowed(query.where if condition is None else (*query.where, condition), 2, None)

    def _getting(self, conditions: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, ...]:
        """The plan function that gives the one row, with what it takes."""
        known = self._by_value
        if known is None:
            self._by_value = {}  # most are asked once: what is worked out for all times would be for nothing
        elif given:
            if len(given) == 1 and not conditions:
                ((name, value),) = given.items()
                rows = known.get(name) or self._found_by(name)
                if rows is not None and is_good(rows.column.type, value):
                    return operations.get_by_value, rows, value, self
        elif len(conditions) == 1 and is_own(condition := conditions[0], self.query.outline.table):
            left: Any = condition.left
            right: Any = condition.right
            if condition.lookup == "exact" and not (left.path or left.outer or condition.transform):
                rows = known.get(left.field) or self._found_by(left.field)
                if rows is not None and right.type is rows.column.type:
                    return operations.get_by_value, rows, condition.values[0], self
        return operations.get, self._narrowed(conditions, given), self

    def _found_by(self, name: str) -> Having[R] | None:
        """The rows as they are found by a value of a column of their own; None where more is to be looked at."""
        query, table = self.query, self.query.table
        if self._parent is not None or query.limit is not None or query.offset is not None or query.columns is not None:
            return None
        if (name not in table.fields and name != "pk") or name in self._annotations or read_plans.is_nothing(query):
            return None
        column, *others = named(table, name)[1]
        if others or type(column) is not FieldRef or column.type is None or column.type.exact is None:
            return None
        found: Having[R] = Having(query.narrowed(query.where, 2, None), column, self._load)
        assert self._by_value is not None
        self._by_value[name] = found
        return found

    def _end(self, *, is_last: bool) -> operations.Fetched:
        query = read_plans.ordered(self._ordered(self.query))
        if is_last and (query.limit is not None or query.offset is not None):
            raise QueryError("last() of a sliced query; order it the other way round, slice and take first()")
        if is_last:
            query = query.replaced(order=tuple([item.reversed() for item in query.order]))
        if query.limit != 0:
            query = query.replaced(limit=1)
        return operations.Fetched(query, self._load, self._prefetched, self._alias, None, self._parent)

    def get(self, *conditions: Condition[M] | Q | Deferred, **named: Any) -> R:
        """The one row that satisfies the conditions.

        Raises:
            DoesNotExist: There is none.
            MultipleObjectsReturned: There are several.
        """
        return self._database.run(*self._getting(conditions, named))  # type: ignore[no-any-return] # both plans give R

    async def aget(self, *conditions: Condition[M] | Q | Deferred, **named: Any) -> R:
        """The awaiting twin of `get`."""
        return await self._database.arun(*self._getting(conditions, named))

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

    def earliest(self, *items: OrderBy[M] | Expr[M, Any] | DeferredOrder | Deferred | str) -> R:
        """The first row in the given order: `earliest("published_on")`. NULLs come last.

        Raises:
            DoesNotExist: There is none.
        """
        return cast("R", self._database.run(operations.earliest, self._extreme(items), self.model))

    async def aearliest(self, *items: OrderBy[M] | Expr[M, Any] | DeferredOrder | Deferred | str) -> R:
        """The awaiting twin of `earliest`."""
        return cast("R", await self._database.arun(operations.earliest, self._extreme(items), self.model))

    def latest(self, *items: OrderBy[M] | Expr[M, Any] | DeferredOrder | Deferred | str) -> R:
        """The last row in the given order: `latest("published_on")`. NULLs never win.

        Raises:
            DoesNotExist: There is none.
        """
        return cast("R", self._database.run(operations.earliest, self._extreme(items, is_latest=True), self.model))

    async def alatest(self, *items: OrderBy[M] | Expr[M, Any] | DeferredOrder | Deferred | str) -> R:
        """The awaiting twin of `latest`."""
        return cast(
            "R", await self._database.arun(operations.earliest, self._extreme(items, is_latest=True), self.model)
        )

    def _extreme(self, items: tuple[Any, ...], *, is_latest: bool = False) -> operations.Fetched:
        verb = "latest" if is_latest else "earliest"
        self._unsliced(verb)
        model: Any = self.model
        items = items or model.__datalayer_options__.get_latest_by
        if not items:
            raise QueryError(
                f"{verb}() needs to know by what: {verb}('published_on'), or get_latest_by = 'published_on' in "
                f"{model.__name__}.Meta"
            )
        known = self._annotations
        order = list(ordered_by(self.query.table, items, known))
        if is_latest:
            order = [item.reversed() for item in order]
        order = [Ordering(item.expression, descending=item.descending, nulls=item.nulls or "last") for item in order]
        query = self.query.replaced(order=tuple(order), limit=1)
        return operations.Fetched(query, self._load, self._prefetched, self._alias, None, self._parent)

    def count(self) -> int:
        """How many rows there are; counted here where they were fetched already."""
        return len(kept) if (kept := self._there()) is not None else self._database.run(read_plans.count, self.query)

    async def acount(self) -> int:
        """The awaiting twin of `count`."""
        return (
            len(kept)
            if (kept := self._there()) is not None
            else await self._database.arun(read_plans.count, self.query)
        )

    def exists(self) -> bool:
        """Whether there is any row."""
        return bool(kept) if (kept := self._there()) is not None else self._database.run(read_plans.exists, self.query)

    async def aexists(self) -> bool:
        """The awaiting twin of `exists`."""
        return (
            bool(kept)
            if (kept := self._there()) is not None
            else await self._database.arun(read_plans.exists, self.query)
        )

    def contains(self, item: M) -> bool:
        """Whether an instance is among the rows; asks for it alone, and nothing where they were fetched already."""
        return (
            item in kept
            if (kept := self._there()) is not None
            else self._database.run(read_plans.exists, self._only(item))
        )

    async def acontains(self, item: M) -> bool:
        """The awaiting twin of `contains`."""
        return (
            item in kept
            if (kept := self._there()) is not None
            else await self._database.arun(read_plans.exists, self._only(item))
        )

    def _only(self, item: Any) -> Query:
        query = self.query
        if query.columns is not None or not isinstance(item, self.model):
            raise QueryError(f"contains() asks for an instance of {query.table.model}, not for {item!r}")
        origin = origin_of(item)
        if origin is not None and origin.alias != self._alias:
            raise QueryError(
                f"contains() on {self._alias!r} was given {item!r}, a row of the database {origin.alias!r}; ask it "
                f"there, with using({origin.alias!r}), or for the key: filter(pk=row.pk).exists()"
            )
        key = key_values(item, query.table.primary_key)
        if key is None:
            raise QueryError(f"contains(): this {query.table.model} is not saved yet and has no key")
        if query.limit is not None or query.offset is not None or query.distinct:
            source = Compound("rows", (as_source(self, "contains"),))
            query = reading(query.table, query).replaced(extra=NO_EXTRA.replaced(source=source))
        pairs = zip(query.table.primary_key, key, strict=True)
        conditions = [comparison(query.table, name, value, check=checked) for name, value in pairs]
        return query.replaced(where=(*query.where, *conditions))

    def aggregate(self, *aggregates: Aggregate[M, Any], **named: Deferred) -> dict[str, Any]:
        """Values over all rows, by name: `aggregate(Avg("price"), dear=Max("price"), each=Sum("price") / Count("*"))`.

        `aggregate_list` gives them as a tuple, whose types are known.

        Raises:
            QueryError: A value of one row rather than over all.
        """
        return self._database.run(read_plans.aggregate, self.query, self._aggregates(aggregates, named))

    async def aaggregate(self, *aggregates: Aggregate[M, Any], **named: Deferred) -> dict[str, Any]:
        """The awaiting twin of `aggregate`."""
        return await self._database.arun(read_plans.aggregate, self.query, self._aggregates(aggregates, named))

    @overload
    def aggregate_list(self, a: Aggregate[M, T1], /) -> tuple[T1]: ...
    @overload
    def aggregate_list(self, a: Aggregate[M, T1], b: Aggregate[M, T2], /) -> tuple[T1, T2]: ...
    @overload
    def aggregate_list(self, a: Aggregate[M, T1], b: Aggregate[M, T2], c: Aggregate[M, T3], /) -> tuple[T1, T2, T3]: ...
    @overload
    def aggregate_list(
        self, a: Aggregate[M, T1], b: Aggregate[M, T2], c: Aggregate[M, T3], d: Aggregate[M, T4], /
    ) -> tuple[T1, T2, T3, T4]: ...
    def aggregate_list(self, *aggregates: Any) -> Any:
        """Values over all rows, as a tuple: `count, dearest = aggregate_list(Count(), Max(Book.price))`.

        Over typed columns a type checker knows the type of each; over no rows it is None, or the `default`.

        Raises:
            QueryError: A value of one row rather than over all.
        """
        return self._database.run(operations.aggregate_list, self.query, self._listed(aggregates))

    @overload
    async def aaggregate_list(self, a: Aggregate[M, T1], /) -> tuple[T1]: ...
    @overload
    async def aaggregate_list(self, a: Aggregate[M, T1], b: Aggregate[M, T2], /) -> tuple[T1, T2]: ...
    @overload
    async def aaggregate_list(
        self, a: Aggregate[M, T1], b: Aggregate[M, T2], c: Aggregate[M, T3], /
    ) -> tuple[T1, T2, T3]: ...
    @overload
    async def aaggregate_list(
        self, a: Aggregate[M, T1], b: Aggregate[M, T2], c: Aggregate[M, T3], d: Aggregate[M, T4], /
    ) -> tuple[T1, T2, T3, T4]: ...
    async def aaggregate_list(self, *aggregates: Any) -> Any:
        """The awaiting twin of `aggregate_list`."""
        return await self._database.arun(operations.aggregate_list, self.query, self._listed(aggregates))

    def _listed(self, aggregates: tuple[Any, ...]) -> tuple[tuple[str, Any], ...]:
        return self._aggregates((), {f"value{place}": item for place, item in enumerate(aggregates)})

    def _aggregates(self, aggregates: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
        every: dict[str, Any] = {}
        for item in aggregates:
            if isinstance(item, Aggregate):
                name = item.default_name
                if name in every or name in named:
                    raise QueryError(f"aggregate() has two values called {name!r}; name one: aggregate(other={item!r})")
                every[name] = item
        every.update(named)
        wrong = [item for item in aggregates if not isinstance(item, Aggregate)]
        wrong += [item for item in named.values() if not isinstance(item, Deferred)]
        if wrong or not every:
            raise QueryError(
                f"aggregate() takes Count, Sum, Avg, Min and Max, not {wrong[0] if wrong else 'nothing'!r}"
            )
        known = self._annotations
        found = tuple([(name, item.resolved(self.query.table, known)) for name, item in every.items()])
        for name, node in found:
            check_aggregate(node, name)
            refuse_elsewhere(node, self._alias)
        return found

    def iterator(self, chunk_size: int = 500) -> Iterator[R]:
        """The rows one by one, never holding more than a chunk of them; relations are prefetched for each chunk."""
        return cast("Iterator[R]", self._database.stream(chunk_size, operations.streamed, self._rows))

    def aiterator(self, chunk_size: int = 500) -> AsyncIterator[R]:
        """The awaiting twin of `iterator`."""
        return cast("AsyncIterator[R]", self._database.astream(chunk_size, operations.streamed, self._rows))

    def explain(self, *, format: ExplainFormat = "text", analyze: bool = False, **options: bool) -> str:
        """How the database would find the rows, in its own words.

        Args:
            format: `text`, `json`, `yaml` or `xml`; all but `text` on PostgreSQL only.
            analyze: Runs the query and says what it took; PostgreSQL only.
            options: What else PostgreSQL knows: `verbose`, `costs`, `settings`, `buffers`, `wal`, `timing`, `summary`,
                `memory`.

        Raises:
            QueryError: A form or an option that there is not.
            NotSupported: More than the bare plan on SQLite.
        """
        return self._database.run(read_plans.explain, self._ordered(self.query), format, analyze, options)

    async def aexplain(self, *, format: ExplainFormat = "text", analyze: bool = False, **options: bool) -> str:
        """The awaiting twin of `explain`."""
        return await self._database.arun(read_plans.explain, self._ordered(self.query), format, analyze, options)

    def sql(self) -> tuple[str, tuple[object, ...]]:
        """The SQL and its values; sends nothing."""
        query = self._ordered(self.query)
        command = databases[self._alias].compiler.select(query).command(query.values)
        return command.sql, tuple(command.params)

    # -- as a collection -------------------------------------------------------------------------

    def _there(self) -> list[R] | None:
        """The rows where nobody has to be asked: this query was, or they came along with the row they are behind."""
        if self._kept is None and self._behind_of is not None and not self._prefetched:
            instance, spec = self._behind_of
            known = peek(instance, spec.name)
            if known is not None:
                self._kept = list(known)
        return self._kept

    def _fetched(self) -> list[R]:
        if self._kept is None and (self._behind_of is None or self._there() is None):
            self._kept = cast("list[R]", self._database.run(operations.fetch, self._rows))
        return cast("list[R]", self._kept)

    async def _afetched(self) -> list[R]:
        if self._kept is None and (self._behind_of is None or self._there() is None):
            self._kept = cast("list[R]", await self._database.arun(operations.fetch, self._rows))
        return cast("list[R]", self._kept)

    def __iter__(self) -> Iterator[R]:
        kept = self._kept  # as rows that came along are, most of all
        return iter(self._fetched() if kept is None else kept)

    async def __aiter__(self) -> AsyncIterator[R]:
        # Every row is fetched before the first is handed out, as `for` and Django do: the loop holds no connection
        # while it awaits other things that need one, and leaving it early leaves nothing open. `aiterator` streams.
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
        kept = self._there()
        if kept is not None:
            return kept[item]
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
        new = self._with(self.query.narrowed(self.query.where, limit, low or None))
        kept = self._kept if self._behind_of is None else self._there()
        if kept is not None:
            new._kept = kept[start:stop]
        return new

    def __repr__(self) -> str:
        kept = self._there()
        if kept is None:
            return f"<{type(self).__name__} of {self.model.__name__}, not asked yet>"
        shown = [repr(row) for row in kept[:20]]
        if len(kept) > 20:
            shown.append("...")
        return f"<{type(self).__name__} [{', '.join(shown)}]>"
