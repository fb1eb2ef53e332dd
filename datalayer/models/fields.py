"""How a column is declared: `name: Mapped[str] = Field(max_length=200)`.

For a type checker `Mapped` is a descriptor (a `Column` on the class, the plain value on an instance); at run time
`Mapped[str]` is `Annotated[str, ...]`, so that pydantic and everything built on it see `str`. What pydantic has no
word for travels in the field's metadata as `ColumnOptions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeAlias, TypeVar, get_args, get_origin, overload

import pydantic
from pydantic import AfterValidator
from pydantic.fields import FieldInfo

from datalayer._schema.field import UNSET, DatabaseDefault, Kind, Unset
from datalayer.errors import ModelError
from datalayer.late import dataclass
from datalayer.models._pydantic import IntegerSize, NoZeroByte
from datalayer.models.adapters import AdaptedSchema, adapter_of
from datalayer.models.django_words import FIELD, taught
from datalayer.models.ranges import Range
from datalayer.models.unwrap import unwrapped

if TYPE_CHECKING:
    from datalayer.models.column import Column

T = TypeVar("T")
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class ColumnOptions:
    """What a field says about its column beyond its type."""

    unique: bool = False
    index: bool = False
    column: str | None = None
    comment: str | None = None
    collation: str | Mapping[str, str] | None = None
    db_default: DatabaseDefault | None = None
    generated: str | None = None
    auto_now: bool = False
    auto_now_add: bool = False
    is_primary_key: bool = False
    is_identity: bool = False


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """Metadata that chooses among the kinds a Python type may have."""

    kind: Kind


SmallInt = Annotated[int, ColumnKind(Kind.SMALL_INTEGER)]
"""An integer of 16 bits."""
Int = Annotated[int, ColumnKind(Kind.INTEGER)]
"""An integer of 32 bits, as a plain `int` is; a key too that the database numbers, which else has 64."""
BigInt = Annotated[int, ColumnKind(Kind.BIG_INTEGER)]
"""An integer of 64 bits."""
if TYPE_CHECKING:
    NaiveDatetime: TypeAlias = datetime
    """A date and time without a time zone, kept as it is."""
else:
    NaiveDatetime = Annotated[pydantic.NaiveDatetime, ColumnKind(Kind.NAIVE_DATETIME)]


class _MappedMark:
    def __repr__(self) -> str:
        return "mapped"


_MAPPED = _MappedMark()

if TYPE_CHECKING:

    class ColumnOfAnotherModel:
        """What mypy says of a column where one of another model is expected: it would take it for a plain value."""

    class Mapped(Generic[T]):
        """The type of a column: `Mapped[str]`. Reads as `Column` on the class and as `str` on an instance."""

        @overload
        def __get__(self, instance: None, owner: type[M]) -> Column[M, T]: ...
        @overload
        def __get__(self, instance: None, owner: Any) -> ColumnOfAnotherModel: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> T: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...
        def __set__(self, instance: object, value: T) -> None: ...
else:

    class Mapped:
        """The type of a column: `Mapped[str]`. Reads as `Column` on the class and as `str` on an instance."""

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[item, _MAPPED]


def _aware(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(NAIVE)
    return value


def _without_zone(value: Any) -> Any:
    if isinstance(value, time) and value.tzinfo is not None:
        raise ValueError("a time of day has no time zone; give time.replace(tzinfo=None), or keep a whole datetime")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("NaN is no number and not every database keeps it; use None for no value")
    return value


def _without_zero(value: Any) -> Any:
    if "\0" in value:
        raise ValueError("text of a database has no zero byte")
    return value


NAIVE = (
    "a datetime needs a time zone, such as datetime.now(UTC); "
    "annotate the field NaiveDatetime to keep datetimes without one"
)
_GUARDS: dict[Any, object] = {
    datetime: AfterValidator(_aware),
    time: AfterValidator(_without_zone),
    float: AfterValidator(_number),
    str: NoZeroByte(),
    Kind.SMALL_INTEGER: IntegerSize(16),
    Kind.INTEGER: IntegerSize(32),
    Kind.BIG_INTEGER: IntegerSize(64),
}
"""What keeps out the values of a Python type that a column of its kind cannot hold."""


def guard_values(fields: dict[str, FieldInfo]) -> None:
    """Makes fields refuse what no column holds: datetimes without a time zone, times of day with one, integers of too
    many bits.
    """
    for info in fields.values():
        core, nullable, inner = unwrapped(info.annotation)
        adapter = adapter_of(core)
        if adapter is not None:
            if not any(isinstance(item, AdaptedSchema) for item in info.metadata):
                info.metadata.insert(0, AdaptedSchema(adapter, nullable=nullable))
            continue
        guard: object | None
        if get_origin(core) is Range:
            guard = RANGES.get(_kind_of(get_args(core)[0]))
        else:
            guard = _item_guard(core) if get_origin(core) is list else _guard(core, (*inner, *info.metadata))
        if guard is not None and not any(item is guard for item in info.metadata):
            info.metadata.append(guard)


def _item_guard(core: Any) -> object | None:
    item, _, metadata = unwrapped(get_args(core)[0])
    if adapter_of(item) is not None:
        return None
    kind = next((one.kind for one in metadata if isinstance(one, ColumnKind)), None)
    return _EACH.get((kind or Kind.INTEGER) if item is int else item)


def _each(check: Callable[[Any], Any]) -> AfterValidator:
    def run(values: Any) -> Any:
        return values if values is None else [None if one is None else check(one) for one in values]

    return AfterValidator(run)


def _sized(bits: int) -> Callable[[int], int]:
    def run(value: int) -> int:
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise ValueError(f"{value} is no whole number of {bits} bits")
        return value

    return run


_EACH: dict[Any, object] = {
    datetime: _each(_aware),
    time: _each(_without_zone),
    float: _each(_number),
    str: _each(_without_zero),
    Kind.SMALL_INTEGER: _each(_sized(16)),
    Kind.INTEGER: _each(_sized(32)),
    Kind.BIG_INTEGER: _each(_sized(64)),
}
"""The same for the values of arrays."""


def _kind_of(end: Any) -> Kind | None:
    core, _, metadata = unwrapped(end)
    kind = next((one.kind for one in metadata if isinstance(one, ColumnKind)), None)
    return kind or {int: Kind.INTEGER, Decimal: Kind.DECIMAL, datetime: Kind.DATETIME}.get(core)


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError(f"{value} is no end of a range; leave that end open, with None")
    return value


def _both_ends(check: Callable[[Any], Any]) -> AfterValidator:
    def run(found: Range[Any] | None) -> Range[Any] | None:
        for end in () if found is None else (found.lower, found.upper):
            if end is not None:
                check(end)
        return found

    return AfterValidator(run)


RANGES: dict[Kind | None, AfterValidator] = {
    Kind.INTEGER: _both_ends(_sized(32)),
    Kind.BIG_INTEGER: _both_ends(_sized(64)),
    Kind.DECIMAL: _both_ends(_finite),
    Kind.DATETIME: _both_ends(_aware),
    Kind.NAIVE_DATETIME: _both_ends(lambda end: end),
    Kind.DATE: _both_ends(lambda end: end),
}
"""The same for the ends of ranges."""


def _guard(core: Any, metadata: tuple[object, ...]) -> object | None:
    kind = next((item.kind for item in metadata if isinstance(item, ColumnKind)), None)
    if core is int:
        is_identity = any(isinstance(item, ColumnOptions) and item.is_identity for item in metadata)
        return None if is_identity else _GUARDS.get(kind or Kind.INTEGER)
    return _GUARDS.get(core) if kind is None and core in (datetime, time, float, str) else None


def unset() -> Unset:
    """The default of columns that stay unset until the database fills them in."""
    return UNSET


def db_default_of(value: object) -> DatabaseDefault | None:
    """A `db_default=` option as the schema writes it."""
    if value is UNSET:
        return None
    if isinstance(value, DatabaseDefault):
        return value
    return DatabaseDefault(literal=value)


def Sql(sql: str, **by_backend: str) -> DatabaseDefault:
    """An SQL expression as `db_default`, such as `Sql("now()", sqlite="current_timestamp")`.

    Args:
        sql: The expression.
        by_backend: The expression of one backend, where it differs.
    """
    if not by_backend:
        return DatabaseDefault(sql=sql)
    return DatabaseDefault(sql={"sqlite": sql, "postgresql": sql, **by_backend})


def Field(
    *,
    default: Any = UNSET,
    default_factory: Callable[[], Any] | None = None,
    db_default: Any = UNSET,
    init: bool = True,
    unique: bool = False,
    index: bool = False,
    column: str | None = None,
    comment: str | None = None,
    collation: str | Mapping[str, str] | None = None,
    generated: str | None = None,
    auto_now: bool = False,
    auto_now_add: bool = False,
    ge: Any = None,
    gt: Any = None,
    le: Any = None,
    lt: Any = None,
    multiple_of: float | None = None,
    max_length: int | None = None,
    min_length: int | None = None,
    max_digits: int | None = None,
    decimal_places: int | None = None,
    pattern: str | None = None,
    strict: bool | None = None,
    frozen: bool | None = None,
    alias: str | None = None,
    title: str | None = None,
    description: str | None = None,
    examples: list[Any] | None = None,
    exclude: bool | None = None,
    repr: bool = True,
    json_schema_extra: dict[str, Any] | None = None,
) -> Any:
    """Says more about a column than its type can.

    Args:
        default: The value of an instance that was given none.
        default_factory: Called for such a value.
        db_default: Filled in by the database: a plain value, or `Sql(...)`. Unset until the row is saved.
        init: False for what only the database or the library sets; type checkers then leave it out of the constructor.
        unique: No two rows have the same value.
        index: Makes lookups by it fast.
        column: The name in the database, where it is not the attribute's.
        comment: Kept in the database where it can.
        collation: What compares and orders text in the database: a name, or one for each backend that shall have it,
            such as `{"sqlite": "NOCASE", "postgresql": "de-x-icu"}`.
        generated: The SQL expression of a column the database computes.
        auto_now: Set to the present moment on every save.
        auto_now_add: Set to the present moment on the first save.
        ge: Least value; checked by pydantic and by a CHECK constraint, as the next four are.
        gt: The value is greater than this.
        le: Greatest value.
        lt: The value is less than this.
        multiple_of: The value is a multiple of this; checked by pydantic alone.
        max_length: Longest text; also the length of the column.
        min_length: Shortest text; checked by a CHECK constraint as well.
        max_digits: All digits of a decimal, as the column has them.
        decimal_places: Digits of a decimal after the point.
        pattern: A regular expression the text matches; checked by pydantic alone.
        strict: Refuses values that would have to be converted, as in `pydantic.Field`.
        frozen: Refuses assignments, as in `pydantic.Field`.
        alias: The name in JSON and in the constructor, as in `pydantic.Field`.
        title: For the JSON schema.
        description: For the JSON schema.
        examples: For the JSON schema.
        exclude: Leaves the field out of dumps.
        repr: False leaves the field out of the `repr`.
        json_schema_extra: More for the JSON schema.

    Raises:
        ModelError: When options contradict each other.
    """
    filled = [
        name
        for name, given in (
            ("default", default is not UNSET),
            ("default_factory", default_factory is not None),
            ("db_default", db_default is not UNSET),
            ("generated", generated is not None),
            ("auto_now", auto_now),
            ("auto_now_add", auto_now_add),
        )
        if given
    ]
    if len(filled) > 1:
        raise ModelError(f"Field() was given {' and '.join(filled)}; a column has one source of values, so keep one")
    if generated is not None and not isinstance(generated, str):  # pyright: ignore[reportUnnecessaryIsInstance] - who does not check types
        raise ModelError(
            f"Field(generated=...) is SQL, such as 'price * count', and {generated!r} is none; write it as text"
        )
    options = ColumnOptions(
        unique=unique,
        index=index,
        column=column,
        comment=comment,
        collation=collation,
        db_default=db_default_of(db_default),
        generated=generated,
        auto_now=auto_now,
        auto_now_add=auto_now_add,
    )
    limits: dict[str, Any] = {
        "ge": ge,
        "gt": gt,
        "le": le,
        "lt": lt,
        "multiple_of": multiple_of,
        "max_length": max_length,
        "min_length": min_length,
        "max_digits": max_digits,
        "decimal_places": decimal_places,
        "pattern": pattern,
        "strict": strict,
        "frozen": frozen,
        "alias": alias,
        "title": title,
        "description": description,
        "examples": examples,
        "exclude": exclude,
        "json_schema_extra": json_schema_extra,
    }
    given = {name: value for name, value in limits.items() if value is not None}
    if default is not UNSET:
        given["default"] = default
    elif default_factory is not None:
        given["default_factory"] = default_factory
    elif filled or not init:
        given["default_factory"] = unset
    return with_options(pydantic.Field(repr=repr, **given), options)


def PrimaryKey(
    *,
    default: Any = UNSET,
    default_factory: Callable[[], Any] | None = None,
    init: bool = True,
    column: str | None = None,
    comment: str | None = None,
    max_length: int | None = None,
    collation: str | Mapping[str, str] | None = None,
) -> Any:
    """The column that names a row.

    Args:
        default: The value of an instance that was given none.
        default_factory: Called for such a value, such as `uuid.uuid4`.
        init: False for a key the database numbers: an integer that is unset until the first save.
        column: The name in the database, where it is not the attribute's.
        comment: Kept in the database where it can.
        max_length: Longest text of a text key.
        collation: What compares and orders a text key, as that of `Field`; keys that refer to it have it too.
    """
    given: dict[str, Any] = {} if max_length is None else {"max_length": max_length}
    if default is not UNSET:
        given["default"] = default
    elif default_factory is not None:
        given["default_factory"] = default_factory
    elif not init:
        given |= {"default_factory": unset, "json_schema_extra": {"readOnly": True}}
    is_identity = not init and default is UNSET and default_factory is None
    return with_options(
        pydantic.Field(**given),
        ColumnOptions(
            column=column, comment=comment, collation=collation, is_primary_key=True, is_identity=is_identity
        ),
    )


def with_options(field: Any, options: ColumnOptions) -> Any:
    """A pydantic field that carries our options: metadata survives pydantic's merging, attributes do not."""
    field.metadata.append(options)
    return field


if not TYPE_CHECKING:  # a type checker looks for `init` and `default` in the functions themselves
    Field = taught("Field()", FIELD)(Field)
    PrimaryKey = taught("PrimaryKey()", FIELD)(PrimaryKey)
