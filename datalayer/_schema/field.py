"""What a column is: a frozen description without any database or pydantic in it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import field
from typing import Any, Final, Protocol

from datalayer.late import dataclass


class Unset(enum.Enum):
    """The type of `UNSET`, "not given": its own value, because None means NULL."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset.UNSET


class Kind(enum.StrEnum):
    """The portable kinds of column; each backend has one SQL type for each."""

    SMALL_INTEGER = "small integer"
    INTEGER = "integer"
    BIG_INTEGER = "big integer"
    FLOAT = "float"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    STRING = "string"  # varchar(length)
    TEXT = "text"
    BYTES = "bytes"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"  # aware, kept in UTC
    NAIVE_DATETIME = "naive datetime"
    DURATION = "duration"
    UUID = "uuid"
    JSON = "json"
    ENUM = "enum"  # kept as the member's value: varchar with a CHECK, or integer
    INET = "inet"
    ARRAY = "array"  # of one of the kinds above; JSON text on SQLite
    RANGE = "range"  # of whole numbers, decimals, dates or datetimes; text on SQLite


_EXACT: Final = frozenset(
    {
        Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER, Kind.FLOAT, Kind.DECIMAL, Kind.BOOLEAN, Kind.STRING,
        Kind.TEXT, Kind.BYTES, Kind.DATE, Kind.TIME, Kind.DURATION, Kind.UUID,
    }
)  # fmt: skip


INTEGER_BITS: Final = {Kind.SMALL_INTEGER: 16, Kind.INTEGER: 32, Kind.BIG_INTEGER: 64}
"""How wide the whole numbers are."""


class Codec(Protocol):
    """Turns values of one type into JSON text and back."""

    @property
    def dump(self) -> Callable[[object], str]:
        """JSON text of a value. It raises `InvalidValue` where JSON has no word for it."""
        ...

    @property
    def load(self) -> Callable[[str | bytes], object]:
        """The value of JSON text. It raises a `ValueError` where there is none of the type."""
        ...

    def keys(self, path: tuple[str | int, ...]) -> frozenset[str] | None:
        """The keys that an object at the end of a path may have; None where any may be there."""
        ...


@dataclass(frozen=True, slots=True)
class ColumnType:
    """The type of a column.

    Attributes:
        kind: The portable kind.
        python: The Python type of a value (the Enum class for `ENUM`, `object` for untyped JSON).
        length: Longest text, in characters; None for no limit.
        precision: All digits of a decimal; None for no limit.
        scale: Digits after the decimal point.
        choices: The stored values of an enum or Literal, in order.
        codec: Typed JSON only: turns a value into JSON text, and back.
        stored: Of a registered type: the type it is kept as.
        to_stored: Of a registered type: turns a value into one of the kept type.
        from_stored: Of a registered type: turns a value of the kept type into one of its own.
        collation: What compares and orders the text of a column, on SQLite and on PostgreSQL; empty for the database's
            own. Of the column alone: values and types that differ in nothing else are alike.
        item: The type of each value of an array, of the list that an aggregate has collected, or of a range's ends.
        is_open: Of a decimal that other queries compute: it may have more digits behind the point than `scale`.
        exact: The type whose values a comparison takes unchecked: `python`, where that says all; else None.
        bound: The shape of a bound value of this type.
    """

    kind: Kind
    python: type = object
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    choices: tuple[str | int, ...] = ()
    codec: Codec | None = None
    item: ColumnType | None = None
    stored: ColumnType | None = None
    to_stored: Callable[[Any], object] | None = None
    from_stored: Callable[[Any], object] | None = None
    collation: tuple[str, str] = field(default=("", ""), compare=False)
    is_open: bool = False
    exact: type | None = field(init=False, repr=False, compare=False)
    bound: tuple[object, ...] = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "exact", self.python if self.kind in _EXACT and not self.stored else None)
        # Shapes of queries hold types and are looked up for every query, so they are made here once. Of what Python
        # hashes by itself: a hash that is written in Python, as those of enums and of this class are, would show.
        item, stored = self.item and self.item.bound, self.stored and self.stored.bound
        limits = (self.length, self.precision, self.scale, self.choices)
        functions = (self.codec, self.to_stored, self.from_stored)
        bound = ("value", self.kind.value, self.python, *limits, *functions, item, stored)
        object.__setattr__(self, "bound", bound)
        object.__setattr__(self, "_hash", hash(bound))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, slots=True)
class DatabaseDefault:
    """A default that the database fills in.

    Attributes:
        literal: A plain value; UNSET when `sql` is given.
        sql: An SQL expression, the same on every backend or keyed by backend name.
    """

    literal: object = UNSET
    sql: str | dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A column of a table.

    Attributes:
        name: The attribute on the model (`author_id` for the column behind a foreign key `author`).
        column: The name in the database.
        type: Its type.
        nullable: Whether NULL is allowed.
        is_primary_key: Whether it belongs to the primary key.
        is_identity: Whether the database numbers it (identity / autoincrement).
        db_default: What the database fills in when nothing is given.
        generated: The SQL expression of a generated column, else None.
        comment: Kept in the database where it can.
        on_create: Fills the value on insert when it is unset (auto_now_add, auto_now).
        on_update: Fills the value on every save (auto_now).
        relation: The name of the foreign key this column belongs to, if any.
        tracks_content: Whether values may change in place (JSON), so that save() must compare them.
    """

    name: str
    column: str
    type: ColumnType
    nullable: bool = False
    is_primary_key: bool = False
    is_identity: bool = False
    db_default: DatabaseDefault | None = None
    generated: str | None = None
    comment: str | None = None
    on_create: Callable[[], object] | None = None
    on_update: Callable[[], object] | None = None
    relation: str | None = None
    tracks_content: bool = False
