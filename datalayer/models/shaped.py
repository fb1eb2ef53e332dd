"""The forms that rows can come in beside instances: dictionaries, tuples, named tuples, bare values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

from datalayer.errors import QueryError
from datalayer.models.column import Deferred, Expr
from datalayer.models.question import M, R
from datalayer.models.rows import Rows
from datalayer.models.walk import Related

if TYPE_CHECKING:
    from datalayer.models.values import Values

T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")

ValueForm: TypeAlias = Literal["tuple", "dict", "flat", "named"]
"""What a row can be, besides an instance."""
Named: TypeAlias = str | Deferred
"""A column whose type only the database knows: named by text, or computed of what is."""
Item: TypeAlias = str | Deferred | Expr[M, Any]
"""Anything that can be a column of `values_list`."""

if TYPE_CHECKING:

    class NamedRow(tuple[Any, ...]):
        """A row of `values_list(named=True)`: a named tuple of the columns' names."""

        __slots__ = ()

        _fields: tuple[str, ...]

        def _asdict(self) -> dict[str, Any]: ...
        def __getattr__(self, name: str) -> Any: ...
else:
    NamedRow = tuple


class Shaped(Rows[M, R]):
    """Rows that can come in other forms than their own: as dictionaries, as tuples, as bare values."""

    __slots__ = ()

    def _values(self, form: ValueForm, columns: tuple[Any, ...], named: dict[str, Any]) -> Values[M, Any]:
        """The rows in a form, with other columns."""
        raise NotImplementedError

    def values(self, *columns: str | Expr[M, Any] | Related[M, Any], **named: Any) -> Values[M, dict[str, Any]]:
        """The rows as dictionaries.

        Raises:
            FieldError: An unknown name.
            QueryError: Two columns of one name.
        """
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
    def values_list(
        self, a: Expr[M, T1], b: Expr[M, T2], c: Expr[M, T3], d: Expr[M, T4], e: Expr[M, T5], f: Expr[M, T6], /
    ) -> Values[M, tuple[T1, T2, T3, T4, T5, T6]]: ...
    @overload
    def values_list(
        self,
        a: Expr[M, T1],
        b: Expr[M, T2],
        c: Expr[M, T3],
        d: Expr[M, T4],
        e: Expr[M, T5],
        f: Expr[M, T6],
        g: Expr[M, T7],
        /,
    ) -> Values[M, tuple[T1, T2, T3, T4, T5, T6, T7]]: ...
    @overload
    def values_list(
        self,
        a: Expr[M, T1],
        b: Expr[M, T2],
        c: Expr[M, T3],
        d: Expr[M, T4],
        e: Expr[M, T5],
        f: Expr[M, T6],
        g: Expr[M, T7],
        h: Expr[M, T8],
        /,
    ) -> Values[M, tuple[T1, T2, T3, T4, T5, T6, T7, T8]]: ...
    @overload
    def values_list(self, column: Expr[M, T1], /, *, flat: Literal[True]) -> Values[M, T1]: ...
    @overload
    def values_list(self, column: Named, /, *, flat: Literal[True]) -> Values[M, Any]: ...
    @overload
    def values_list(self, *columns: Item[M], named: Literal[True]) -> Values[M, NamedRow]: ...
    # From the first column on that is named by text, the types are unknown; one overload for anything would let mypy
    # take it wherever a typed one does not give what is expected.
    @overload
    def values_list(self) -> Values[M, tuple[Any, ...]]: ...
    @overload
    def values_list(self, a: Named, /, *more: Item[M]) -> Values[M, tuple[Any, ...]]: ...
    @overload
    def values_list(self, a: Expr[M, T1], b: Named, /, *more: Item[M]) -> Values[M, tuple[T1, *tuple[Any, ...]]]: ...
    @overload
    def values_list(
        self, a: Expr[M, T1], b: Expr[M, T2], c: Named, /, *more: Item[M]
    ) -> Values[M, tuple[T1, T2, *tuple[Any, ...]]]: ...
    @overload
    def values_list(
        self, a: Expr[M, T1], b: Expr[M, T2], c: Expr[M, T3], d: Named, /, *more: Item[M]
    ) -> Values[M, tuple[T1, T2, T3, *tuple[Any, ...]]]: ...
    @overload
    def values_list(
        self, a: Expr[M, T1], b: Expr[M, T2], c: Expr[M, T3], d: Expr[M, T4], e: Named, /, *more: Item[M]
    ) -> Values[M, tuple[T1, T2, T3, T4, *tuple[Any, ...]]]: ...
    @overload
    def values_list(
        self,
        a: Expr[M, T1],
        b: Expr[M, T2],
        c: Expr[M, T3],
        d: Expr[M, T4],
        e: Expr[M, T5],
        f: Named,
        /,
        *more: Item[M],
    ) -> Values[M, tuple[T1, T2, T3, T4, T5, *tuple[Any, ...]]]: ...
    @overload
    def values_list(
        self,
        a: Expr[M, T1],
        b: Expr[M, T2],
        c: Expr[M, T3],
        d: Expr[M, T4],
        e: Expr[M, T5],
        f: Expr[M, T6],
        g: Named,
        /,
        *more: Item[M],
    ) -> Values[M, tuple[T1, T2, T3, T4, T5, T6, *tuple[Any, ...]]]: ...
    @overload
    def values_list(
        self,
        a: Expr[M, T1],
        b: Expr[M, T2],
        c: Expr[M, T3],
        d: Expr[M, T4],
        e: Expr[M, T5],
        f: Expr[M, T6],
        g: Expr[M, T7],
        h: Item[M],
        /,
        *more: Item[M],
    ) -> Values[M, tuple[T1, T2, T3, T4, T5, T6, T7, *tuple[Any, ...]]]: ...
    def values_list(self, *columns: Any, flat: bool = False, named: bool = False) -> Values[M, Any]:
        """The rows as tuples; typed columns give typed tuples.

        Args:
            columns: Columns, names or expressions; every field when none is named.
            flat: One column, as plain values instead of tuples of one.
            named: As named tuples, whose attributes have the names of the columns.

        Raises:
            FieldError: An unknown name.
            QueryError: Several columns that shall be flat; a name that no attribute can have.
        """
        return self._values(_form_of(columns, flat, named), columns, {})


def _form_of(columns: tuple[Any, ...], flat: bool, named: bool) -> ValueForm:
    """The form of the rows of `values_list`.

    Raises:
        QueryError: Flat rows of several columns, or with names.
    """
    if flat and named:
        raise QueryError("values_list(flat=True) gives bare values, which have no names; leave flat or named away")
    if flat and len(columns) != 1:
        raise QueryError(f"values_list(flat=True) gives the values of one column, not of {len(columns)}")
    return "flat" if flat else "named" if named else "tuple"
