"""What differs between the backends, as methods; the rest of the compiler does not know which one it writes for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeAlias

import sqlalchemy as sa

from datalayer._compile.prepared import Convert
from datalayer._schema.field import ColumnType

Element: TypeAlias = sa.ColumnElement[Any]


class Backend(ABC):
    """One SQL dialect.

    Attributes:
        name: `sqlite` or `postgresql`.
        dialect: SQLAlchemy's.
        sorts_null_last: Whether ascending order puts NULL last by itself.
        has_lock: Whether `FOR UPDATE` exists.
        ends: What dates are compared with that come before and after all dates.
    """

    name: ClassVar[str]
    dialect: ClassVar[sa.Dialect]
    sorts_null_last: ClassVar[bool]
    has_lock: ClassVar[bool]
    ends: ClassVar[tuple[str, str]]

    @abstractmethod
    def typed(self, bound: Element, type: ColumnType | None) -> Element:
        """A bound value where the backend could not guess its type."""

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
    def function(self, name: str, arguments: list[Element], type: ColumnType | None) -> Element | None:
        """A function that this backend writes in its own way; None for all others."""

    @abstractmethod
    def aggregate(self, name: str, argument: Element, type: ColumnType | None) -> Element | None:
        """`sum` or `avg` that this backend writes in its own way, else None."""

    def scaled(self, total: Element, name: str, type: ColumnType | None) -> Element:
        """What `aggregate` made, brought to the scale of its type."""
        return total

    def arithmetic(self, operator: str, left: Element, right: Element, type: ColumnType | None) -> Element | None:
        """`left operator right` that this backend writes in its own way, else None."""
        return None

    def rounded(self, value: Element, type: ColumnType) -> Element:
        """A computed value as a column of that type keeps it."""
        return value

    def collated(self, value: Element, type: ColumnType | None, *, is_column: bool) -> Element:
        """A value that compares in the order of its type; `is_column`: as it is stored, not computed."""
        return value


def escaped_like(text: str) -> str:
    """Text in which no character is special to LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
