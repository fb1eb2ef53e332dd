"""What differs between the backends, as methods; the rest of the compiler does not know which one it writes for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

import sqlalchemy as sa

from datalayer._compile.prepared import Convert
from datalayer._query.expression import Ordering
from datalayer._schema.field import ColumnType

Element: TypeAlias = sa.ColumnElement[Any]
Types: TypeAlias = "tuple[ColumnType | None, ColumnType | None]"


class Ordered(NamedTuple):
    """One item of an order: the value, the finished clause, and what it means."""

    element: Element
    clause: Element
    item: Ordering


class Backend(ABC):
    """One SQL dialect.

    Attributes:
        name: `sqlite` or `postgresql`.
        dialect: SQLAlchemy's.
        sorts_null_last: Whether ascending order puts NULL last by itself.
        has_lock: Whether `FOR UPDATE` exists.
        knows_again: Whether an expression with bound values is the same one where it stands a second time.
        ends: What dates are compared with that come before and after all dates.
    """

    name: ClassVar[str]
    dialect: ClassVar[sa.Dialect]
    sorts_null_last: ClassVar[bool]
    has_lock: ClassVar[bool]
    knows_again: ClassVar[bool]
    ends: ClassVar[tuple[str, str]]

    @abstractmethod
    def typed(self, bound: Element, type: ColumnType | None) -> Element:
        """A bound value where the backend could not guess its type."""

    def typed_composite(self, bound: Element, type: ColumnType | None) -> Element:
        """A bound array or range where the backend could not guess its type."""
        return bound

    def as_text(self, value: Element, type: ColumnType | None) -> Element:
        """The text of a value that the database may keep as one of a type of its own."""
        return value

    @abstractmethod
    def one_of(self, left: Element, bound: Element, type: ColumnType | None) -> Element:
        """`left IN` a bound list."""

    @abstractmethod
    def list_converter(self, type: ColumnType | None) -> Convert:
        """How a tuple becomes the value that `one_of` binds."""

    @abstractmethod
    def text_converter(self, lookup: str) -> Convert | None:
        """How a text becomes the value that `text_value` binds."""

    @abstractmethod
    def text_value(self, lookup: str, left: Element, bound: Element) -> Element:
        """A text lookup against a bound value that went through `text_converter`."""

    @abstractmethod
    def text_expression(self, lookup: str, left: Element, right: Element) -> Element:
        """A text lookup against an expression: no character of it is special."""

    @abstractmethod
    def part(self, name: str, value: Element, type: ColumnType | None) -> Element:
        """A part of a date or time."""

    @abstractmethod
    def function(
        self, name: str, arguments: list[Element], types: list[ColumnType | None], type: ColumnType | None
    ) -> Element | None:
        """A function that this backend writes in its own way; None for all others.

        Args:
            name: Its portable name.
            arguments: What it is given.
            types: The types of the arguments.
            type: The type of the result.
        """

    @abstractmethod
    def arithmetic(
        self, operator: str, left: Element, right: Element, types: Types, type: ColumnType | None
    ) -> Element | None:
        """Arithmetic that this backend writes in its own way; None for all other."""

    @abstractmethod
    def aggregate(
        self, name: str, arguments: list[Element], type: ColumnType | None, *, distinct: bool, order: list[Ordered]
    ) -> Any:
        """The call of an aggregate over values of a type."""

    @abstractmethod
    def divided(self, total: Element, count: Element, type: ColumnType | None) -> Element:
        """An average out of a sum and a number."""

    def collation(self, name: str) -> str:
        """What the database calls a collation.

        Raises:
            NotSupported: It has none of that name.
        """
        return name

    def distant(self, value: Element, type: ColumnType | None) -> tuple[Element, int]:
        """A number whose distance to others is counted, and in how many parts of one."""
        return value, 1

    def truth(self, value: Element) -> Element:
        """A boolean value as a condition."""
        return value

    def scaled(self, total: Element, name: str, type: ColumnType | None) -> Element:
        """What `aggregate` made (over a window, it may be), brought to the scale of its type."""
        return total

    def fitted(self, value: Element, type: ColumnType, name: str) -> Element:
        """A computed value as a column of that type keeps it, refused where it has no room for it.

        Args:
            value: What is assigned.
            type: That of the column.
            name: The name of the column, for the message.
        """
        return value

    def collated(self, value: Element, type: ColumnType | None, *, is_column: bool) -> Element:
        """A value that compares in the order of its type; `is_column`: as it is stored, not computed."""
        return value

    def same(self, value: Element, type: ColumnType | None) -> Element:
        """A value that equals another one exactly where the two mean the same."""
        return value

    def placed(self, value: Element, type: ColumnType | None) -> Element:
        """A value that is less than another one exactly where it comes before that."""
        return self.same(value, type)

    def sorting(self, value: Element, type: ColumnType | None) -> Element:
        """What a value is put in order by."""
        return value


def escaped_like(text: str) -> str:
    """Text in which no character is special to LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


class _Backends(dict[str, Backend]):
    """The backends by name, each imported when it is first asked for."""

    def __missing__(self, name: str) -> Backend:
        made: Backend = import_module(f"datalayer._compile.backends.{name}").BACKEND
        self[name] = made
        return made


BACKENDS: Final = _Backends()
