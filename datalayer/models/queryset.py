"""Querysets: immutable, lazy questions about the rows of a model.

The room has one idea a file: `question.py` chains, `rows.py` asks, `writes.py` writes, `raw.py` runs SQL by hand, and
here is what instances have beyond that: what comes along with them, and the other forms they can come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any, Literal, Never, NoReturn, Self, TypeVar, cast, overload

from datalayer._query.path import relation_path
from datalayer._query.query import Query
from datalayer._query.source import NO_EXTRA
from datalayer._schema.field import Kind
from datalayer.errors import ModelError, QueryError, choices_text, nearest
from datalayer.models import deferring, operations
from datalayer.models.annotation import Annotated, check_declared
from datalayer.models.column import Expr, Several
from datalayer.models.combining import FilteredRelation, filtered_relation
from datalayer.models.elsewhere import refuse_columns_elsewhere, refuse_elsewhere, refuse_query_elsewhere
from datalayer.models.expressions import F
from datalayer.models.grouping import in_groups
from datalayer.models.moments import truncated
from datalayer.models.ordering import default_order, order_item
from datalayer.models.prefetch import Prefetch, lookups_of, path_of
from datalayer.models.question import M
from datalayer.models.raw import RawRows
from datalayer.models.rows import Rows
from datalayer.models.sampling import sampled
from datalayer.models.shaped import ValueForm
from datalayer.models.ties import shown_tied
from datalayer.models.values import Values, annotated, formed, named_columns, refuse_unnamed
from datalayer.models.walk import Related
from datalayer.models.writes import WritableRows

K = TypeVar("K")


def _refuse_turning(cls: type, call: str) -> NoReturn:
    raise ModelError(
        f"{cls.__name__}.{call}: a manager is a queryset here, and its methods chain on both; write one class, "
        'class BookManager(Manager["Book"]) with the methods, and objects: ClassVar[BookManager] = BookManager()'
    )


class QuerySet(WritableRows[M]):
    """A lazy, immutable question about the rows of a model: nothing is sent before the rows are needed."""

    __slots__ = ()

    @classmethod
    def as_manager(cls) -> NoReturn:
        """Django's way from a queryset to a manager: here a manager is a queryset already, so it only tells that.

        Raises:
            ModelError: Always.
        """
        _refuse_turning(cls, "as_manager()")

    @classmethod
    def from_queryset(cls, queryset: object, class_name: str | None = None) -> NoReturn:
        """Django's way to copy methods of a queryset onto a manager, which here is one.

        Raises:
            ModelError: Always.
        """
        _refuse_turning(cls, f"from_queryset({getattr(queryset, '__name__', queryset)})")

    # -- what comes along ------------------------------------------------------------------------

    def annotate(self, *unnamed: Never, **named: Any) -> Self:
        """Values computed by the database beside each row: `annotate(total=Count("books"))`.

        Raises:
            QueryError: A name that the model has already.
            FieldError: An unknown name inside.
        """
        refuse_unnamed("annotate", unnamed)
        return self._with(self._annotated("annotate", named))

    def alias(self, *unnamed: Never, **named: Any) -> Self:
        """As `annotate`, for values that are only used in other methods and do not come back with the rows."""
        refuse_unnamed("alias", unnamed)
        query = self._annotated("alias", named)
        extra = query.extra or NO_EXTRA
        query = query.replaced(extra=extra.replaced(hidden=extra.hidden | frozenset(named)))
        return self._with(in_groups(query) if len(query.annotations) > 1 else query)

    def _annotated(self, verb: str, named: dict[str, Any]) -> Query:
        self._unsliced(verb)
        table = self.query.table
        taken = [name for name in named if name in table.fields or name in table.relations or self._has(name)]
        if taken:
            raise QueryError(f"{verb}({taken[0]}=...): {table.model} has {taken[0]!r} already; choose another name")
        query = self.query
        relations = {name: item for name, item in named.items() if isinstance(item, FilteredRelation)}
        for name, item in relations.items():
            query = filtered_relation(query, name, item)
            refuse_query_elsewhere(query, self._alias)
        query = annotated(query, {name: item for name, item in named.items() if name not in relations}, verb)
        made = dict(query.annotations)
        for name in named:
            if name in made:
                refuse_elsewhere(made[name], self._alias)
                check_declared(self.model, name, made[name], made, verb)
        if self._parent is not None:
            query = shown_tied(self._parent, query)
        return in_groups(query) if len(made) > 1 else query

    def _has(self, name: str) -> bool:
        found = getattr(self.model, name, None)
        return found is not None and not isinstance(found, Annotated)

    def select_related(self, *paths: str | Related[M, Any] | None) -> Self:
        """Rows of to-one relations come along in the same statement.

        Args:
            paths: Relations; None as the first takes earlier ones back.

        Raises:
            FieldError: An unknown relation, or one to many rows.
        """
        joined = [] if paths and paths[0] is None else list(self.query.joined)
        for path in paths:
            if path is None:
                continue
            steps = relation_path(self.query.table, path_of(path, self.query.table), to_one=True)
            for length in range(1, len(steps) + 1):
                if steps[:length] not in joined:
                    joined.append(steps[:length])
        return self._with(self.query.replaced(joined=tuple(joined)))

    def prefetch_related(self, *paths: str | Related[M, Any] | Prefetch | None) -> Self:
        """Rows of relations are loaded right after, by one statement for each relation.

        Args:
            paths: Relations, or `Prefetch` for a part of their rows; None as the first takes earlier ones back.

        Raises:
            FieldError: An unknown relation.
            QueryError: Two different sets of rows for one relation.
        """
        new = self._with(self.query)
        known = () if paths and paths[0] is None else self._prefetched
        new._prefetched = lookups_of(self.model, [path for path in paths if path is not None], known)
        return new

    def only(self, *fields: str | Expr[M, Any] | Related[M, Any]) -> Self:
        """Loads these columns only; reading another one loads it for all rows of the result at once.

        Args:
            fields: Columns of the model, or of relations that `select_related` joined: `author__name`.

        Raises:
            FieldError: An unknown name.
        """
        return self._with(deferring.only(self.query, fields))

    def defer(self, *fields: str | Expr[M, Any] | Related[M, Any]) -> Self:
        """Loads every column but these; reading one loads it for all rows of the result at once.

        Args:
            fields: Columns of the model, or of relations that `select_related` joined: `author__name`.

        Raises:
            FieldError: An unknown name.
        """
        return self._with(deferring.defer(self.query, fields))

    def sample(
        self,
        percent: float | Decimal,
        *,
        method: Literal["bernoulli", "system"] = "bernoulli",
        seed: float | None = None,
    ) -> Self:
        """A part of the table that chance decides, on PostgreSQL: about so many percent of its rows.

        Filters choose among the rows of the sample, wherever they stand in the chain.

        Args:
            percent: How much of the table, from 0 to 100.
            method: `bernoulli` asks chance for each row; `system` takes whole pages, and reads no others.
            seed: The same seed gives the same sample while the table does not change.

        Raises:
            QueryError: Not a number from 0 to 100, or rows that are not those of the table itself.
            NotSupported: SQLite has no samples.
        """
        return self._with(sampled(self.query, self._alias, percent, method, seed))

    # -- other forms -----------------------------------------------------------------------------

    def _values(self, form: ValueForm, columns: tuple[Any, ...], named: dict[str, Any]) -> Values[M, Any]:
        if self._prefetched:
            raise QueryError("values are no instances that rows could be prefetched for; take prefetch_related() away")
        new = cast("Values[M, Any]", object.__new__(Values))
        new._start(self.model, self._alias)
        new._is_unordered = self._is_unordered
        new.query, keys = named_columns(self.query.replaced(joined=()), columns, named)
        refuse_columns_elsewhere(new.query, self._alias)
        if self._parent is not None:
            new.query = shown_tied(self._parent, new.query)
        return formed(new, form, keys)

    def dates(
        self,
        field: str | Expr[M, date] | Expr[M, date | None],
        step: Literal["year", "quarter", "month", "week", "day"],
        order: Literal["ASC", "DESC"] = "ASC",
    ) -> Values[M, date]:
        """The years, quarters, months, weeks (Mondays) or days that a date lies in, each once and in order.

        Args:
            field: A column of dates; rows without one are left out.
            step: What each date is cut down to.
            order: Earliest or latest first.

        Raises:
            QueryError: No dates: `datetimes` is for moments.
        """
        return self._moments("dates", field, step, order, None, Kind.DATE)

    def datetimes(
        self,
        field: str | Expr[M, datetime] | Expr[M, datetime | None],
        step: Literal["year", "quarter", "month", "week", "day", "hour", "minute", "second"],
        order: Literal["ASC", "DESC"] = "ASC",
        *,
        tzinfo: tzinfo | str | None = None,
    ) -> Values[M, datetime]:
        """As `dates`, of moments, down to the second.

        Args:
            field: A column of moments; rows without one are left out.
            step: What each moment is cut down to.
            order: Earliest or latest first.
            tzinfo: A ZoneInfo or its name: whose midnight it is; UTC when nothing is given.

        Raises:
            QueryError: No moments: `dates` is for dates.
        """
        return self._moments("datetimes", field, step, order, tzinfo, Kind.DATETIME, Kind.NAIVE_DATETIME)

    def _moments(self, verb: str, field: Any, step: str, order: str, zone: Any, *kinds: Kind) -> Values[M, Any]:
        if order not in ("ASC", "DESC"):
            raise QueryError(f"{verb}(order={order!r}): the choices are 'ASC' and 'DESC'")
        cut = truncated(field, step, zone, verb, *kinds)
        column = F(field) if isinstance(field, str) else field
        if not isinstance(cast("object", column), Expr | F):
            raise QueryError(f'{verb}() takes a column or its name, not {field!r}: {verb}("born", "year")')
        found = self.filter(column.is_not_null())._values("flat", (), {verb: cut})
        return found.distinct().order_by(verb if order == "ASC" else f"-{verb}")

    # -- by key ----------------------------------------------------------------------------------

    @overload
    def in_bulk(self, keys: Several[K], *, field: str = "pk") -> dict[K, M]: ...
    @overload
    def in_bulk(self, keys: None = None, *, field: str = "pk") -> dict[Any, M]: ...
    def in_bulk(self, keys: Several[Any] | None = None, *, field: str = "pk") -> dict[Any, M]:
        """Instances by primary key, or by another unique field; keys without a row are left out.

        Args:
            keys: Those that are wanted; all rows of the query when not given.
            field: What the instances are found by.

        Raises:
            QueryError: No unique constraint covers the field.
        """
        return self._database.run(operations.in_bulk, self._bulk(keys, field), field)

    @overload
    async def ain_bulk(self, keys: Several[K], *, field: str = "pk") -> dict[K, M]: ...
    @overload
    async def ain_bulk(self, keys: None = None, *, field: str = "pk") -> dict[Any, M]: ...
    async def ain_bulk(self, keys: Several[Any] | None = None, *, field: str = "pk") -> dict[Any, M]:
        """The awaiting twin of `in_bulk`."""
        return await self._database.arun(operations.in_bulk, self._bulk(keys, field), field)

    def _bulk(self, keys: Several[Any] | None, field: str) -> operations.Fetched:
        table = self.query.table
        keyed = [table.primary_key, *[unique.fields for unique in table.unique if unique.is_whole]]
        choices = {"pk", *[fields[0] for fields in keyed if len(fields) == 1]}
        if field not in choices:
            raise QueryError(
                f"in_bulk() by {field!r}, which no unique constraint of {table.model} covers, so several rows could "
                f"have the same key; the choices are {choices_text(choices)}{nearest(field, choices)}"
            )
        found = self if keys is None else self.filter(**{f"{field}__in": keys})
        return operations.Fetched(found.query, self._load, self._prefetched, self._alias, None, self._parent)

    def raw(self, sql: str, params: Mapping[str, object] | Sequence[object] = ()) -> RawRows[M]:
        """Instances from SQL written by hand: `raw("select * from book where price < %(p)s", {"p": 5})`.

        Args:
            sql: A query that returns every column of the model, or those that `only()` and `defer()` leave; others are
                loaded when they are read. What the model does not have is left aside.
            params: Values for `%(name)s` or `%s`; never put them into the text.
        """
        if not isinstance(cast("object", sql), str) or not sql.strip():
            raise QueryError(f'raw() takes SQL as text, not {sql!r}: raw("select * from {self.query.table.name}")')
        if isinstance(params, str) or not isinstance(cast("object", params), Mapping | Sequence):
            raise QueryError(f"raw(params) is {params!r}; give values in a list for %s, or by name for %(name)s")
        return RawRows(self.model, self._alias, sql, params, self.query.only)


__all__ = ["QuerySet", "RawRows", "Rows", "Values", "default_order", "order_item"]
