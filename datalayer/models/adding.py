"""What an application adds to queries: functions and lookups of its own, in SQL, typed."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast, overload

from datalayer._query import added
from datalayer._query.expression import Expression, FieldRef, Function
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError
from datalayer.models.column import Condition, Expr
from datalayer.models.computed import computed
from datalayer.models.expressions import check_owned
from datalayer.models.types import column_type

M = TypeVar("M")
T = TypeVar("T")

_FAMILIES = (
    frozenset({Kind.STRING, Kind.TEXT, Kind.ENUM}),
    frozenset({Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER}),
    frozenset({Kind.DATETIME, Kind.NAIVE_DATETIME}),
)
"""Kinds that one Python type may be kept as."""


def _kinds_of(of: Any, place: str) -> tuple[frozenset[Kind], tuple[TableSpec, str] | None]:
    """The kinds of column that a type means; of a column its own kind, and which field it is.

    Raises:
        QueryError: Something computed, which is no field.
    """
    if not isinstance(of, Expr):
        kind = column_type(of, (), place)[0].kind
        return next((kinds for kinds in _FAMILIES if kind in kinds), frozenset({kind})), None
    node = of.node
    if not isinstance(node, FieldRef) or node.path or node.type is None or of.table is None:
        raise QueryError(f"{place} is {of!r}, which is no field; give a type, or a column such as Author.name")
    return frozenset({node.type.kind}), (of.table, node.field)


class SqlFunction(Generic[T]):
    """A function or expression of the database, written in SQL: called with columns, it is a value in a query.

    `Initials = SqlFunction("initials", str, "upper(substr({0}, 1, 1)) || upper(substr({1}, 1, 1))")`, and then
    `Initials(Author.first, Author.last)` anywhere a column may stand.

    Args:
        name: What it is called in messages.
        result: The type of its value, an annotation as of a field.
        sql: The SQL, the same everywhere, with `{0}`, `{1}` ... where the arguments go.
        sqlite: The SQL of SQLite, where it differs or exists there only.
        postgresql: The SQL of PostgreSQL, likewise.

    Raises:
        QueryError: A name that could not be used, no SQL at all, or places that do not fit.
    """

    __slots__ = ("_key", "_type", "name")

    def __init__(
        self,
        name: str,
        result: type[T],
        sql: str | None = None,
        *,
        sqlite: str | None = None,
        postgresql: str | None = None,
    ) -> None:
        self.name = name
        self._type: ColumnType = column_type(result, (), f"the result of {name}()")[0]
        self._key = added.add_function(added.template(name, sql, sqlite, postgresql, None))

    @overload
    def __call__(self, source: Expr[M, Any], /, *sources: Expr[M, Any] | int | float) -> Expr[M, T]: ...
    @overload
    def __call__(self, *sources: Any) -> Any: ...
    def __call__(self, *sources: Any) -> Any:
        """The value of the function for some columns, names, expressions or plain values."""

        def build(nodes: list[Expression]) -> Expression:
            return Function(f"added:{self._key}", tuple(nodes), self._type)

        return computed(self.name, sources, build)

    def __repr__(self) -> str:
        return f"<SqlFunction {self.name}>"


class Transform(SqlFunction[T]):
    """A function of one column that is a word of names too: `filter(title__initial="A")`, `order_by("title__initial")`.

    Args:
        name: What stands behind the two underscores.
        of: The type of the columns it is for, an annotation as of a field; or the one column that has it.
        result: The type of its value, likewise.
        sql: The SQL, the same everywhere, with the column where `{0}` stands.
        sqlite: The SQL of SQLite, where it differs or exists there only.
        postgresql: The SQL of PostgreSQL, likewise.

    Raises:
        QueryError: The name is taken or could not be used, or the SQL has no place for the column.
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        of: Any,
        result: type[T],
        sql: str | None = None,
        *,
        sqlite: str | None = None,
        postgresql: str | None = None,
    ) -> None:
        kinds, owner = _kinds_of(of, f"the column of {name}")
        added.template(name, sql, sqlite, postgresql, 1)
        super().__init__(name, result, sql, sqlite=sqlite, postgresql=postgresql)
        added.add_transform(name, kinds, self._type, self._key)
        added.own(name, owner)


class Lookup(Generic[T]):
    """A comparison of the application's own, by name and typed.

    `sounds_like = Lookup("sounds_like", str, "soundex({0}) = soundex({1})")`, and then
    `filter(name__sounds_like="Smith")`, or typed `filter(sounds_like(Author.name, "Smith"))`.

    Args:
        name: What stands behind the two underscores.
        value: The type of the columns and values it compares, as of a field; or the one column that has it.
        sql: The SQL, the same everywhere: the column where `{0}` stands and the value where `{1}` does.
        sqlite: The SQL of SQLite, where it differs or exists there only.
        postgresql: The SQL of PostgreSQL, likewise.

    Raises:
        QueryError: The name is taken or could not be used, or the SQL lacks one of its two places.
    """

    __slots__ = ("_key", "name")

    def __init__(
        self,
        name: str,
        value: type[T] | Expr[Any, T],
        sql: str | None = None,
        *,
        sqlite: str | None = None,
        postgresql: str | None = None,
    ) -> None:
        kinds, owner = _kinds_of(value, f"the value of {name}")
        self._key = added.add_lookup(added.template(name, sql, sqlite, postgresql, 2)._replace(kinds=kinds))
        added.own(name, owner)
        self.name = name

    @overload
    def __call__(self, column: Expr[M, T], value: T | Expr[M, T]) -> Condition[M]: ...
    @overload
    def __call__(self, column: Expr[M, T | None], value: T | Expr[M, T]) -> Condition[M]: ...
    def __call__(self, column: Expr[M, Any], value: Any) -> Condition[M]:
        """The condition on a column."""
        if column.node.type is not None and self.name not in added.lookups_for(column.node.type):
            raise QueryError(f"{self.name} does not compare {column.node.type.kind.value} values, as {column!r} is")
        check_owned(self.name, column.node, column.table, repr(column))
        return cast("Condition[M]", column._compared(self._key, value))  # pyright: ignore[reportPrivateUsage]

    def __repr__(self) -> str:
        return f"<Lookup {self.name}>"
