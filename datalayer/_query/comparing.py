"""A left side, a lookup and a value -> the condition they mean: `filter(name=value)`, `column == value`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeGuard, cast

from datalayer._query import added, arrays, documents, ranges
from datalayer._query.condition import Comparison, Condition, Junction, Negation, Nothing, OfRow
from datalayer._query.expression import AnnotationRef, Expression, FieldRef, OuterRef, Subquery, Together, Value
from datalayer._query.lookup import transformed
from datalayer._query.path import field_reference, named
from datalayer._query.query import Query
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.relation import RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.errors import FieldError, InvalidValue

Check: TypeAlias = Callable[[ColumnType | None, str, str, object], object]
"""Given by the models: `check(type, lookup, name, value)` gives the value to bind, or raises `InvalidValue`.

It is called for each single value: for every item of `in` and both ends of `range`.
"""

_OPERATORS: Final = frozenset({"exact", "ne", "lt", "lte", "gt", "gte"})
_INTEGERS: Final = frozenset({Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER})
_LEAST, _GREATEST = -(2**63), 2**63 - 1
"""What a database can be given as a whole number."""


def is_good(type_: ColumnType | None, value: Any) -> bool:
    """Whether a value is good for a column as it is; `at_once` asks the same without a call.

    Good are plain values of the very type of the column, but for what no database can be given: numbers of more than 64
    bits, and text with a zero byte.
    """
    given = type(value)  # pyright: ignore[reportUnknownVariableType]  # of any kind
    if type_ is None or given is not type_.exact:
        return False
    return not ((given is int and not _LEAST <= value <= _GREATEST) or (given is str and "\0" in value))


def at_once(left: Expression, lookup: str, value: Any) -> Comparison | None:
    """The condition `left lookup value`, for = != < > <= >= and a value that `is_good`; None for any other."""
    type_ = left.type
    given = type(value)  # pyright: ignore[reportUnknownVariableType]  # of any kind
    if type_ is None or given is not type_.exact:
        return None
    if (given is int and not _LEAST <= value <= _GREATEST) or (given is str and "\0" in value):
        return None
    return Comparison(left, lookup, Value(value, type_))


def named_at_once(table: TableSpec, name: str, value: object) -> Comparison | None:
    """The same for `filter(name=value)`, where the name is a column's."""
    kept = table.names.get(name)
    if kept is None:
        return None
    found, lefts = kept
    lookup = found.lookup or "exact"
    return at_once(lefts[0], lookup, value) if lookup in _OPERATORS and found.transform is None else None


def comparison(
    table: TableSpec,
    name: str,
    value: object,
    *,
    check: Check | None = None,
    annotations: Mapping[str, ColumnType | None] | None = None,
) -> Condition:
    """The condition that `filter(name=value)` means.

    Args:
        table: Where the name starts.
        name: A path with or without a lookup.
        value: What it is compared with: a plain value, an `Expression` or a `Query` (of one column).
        check: Turns a plain value into the one to bind, or refuses it.
        annotations: The annotations of the query, with their types.

    Raises:
        FieldError: The name is unknown.
        InvalidValue: The value does not fit.
    """
    try:
        found, lefts = named(table, name, annotations)
        lookup = found.lookup or "exact"
        if found.relation is not None:
            key = key_of(found.relation, value, name)
            alias = None if key is value else _alias_of(value, name)
            if alias is not None:
                made = comparison(table, name, key, check=check, annotations=annotations)
                return _of_rows(made, alias)
            value = key
        if len(lefts) == 1:
            return compare(lefts[0], lookup, value, transform=found.transform, name=name, check=check)
        return _compare_several(lefts, lookup, value, name, check)
    except InvalidValue as error:
        raise InvalidValue(f"{table.model}: {error}") from None


def _alias_of(value: object, name: str) -> str | None:
    """The database of a row that something is compared with, or that of several; None for plain values.

    Raises:
        InvalidValue: They are of several.
    """
    if not isinstance(value, (list, tuple, set, frozenset)):
        found: str | None = getattr(getattr(value, "__datalayer_origin__", None), "alias", None)
        return found
    every = {_alias_of(item, name) for item in cast("Iterable[object]", value)} - {None}
    if len(every) > 1:
        shown = " and ".join(sorted(repr(alias) for alias in every))
        raise InvalidValue(f"{name!r} is compared with rows of the databases {shown}; ask each of them")
    return every.pop() if every else None


def _of_rows(condition: Condition, alias: str) -> Condition:
    """A condition that knows which database the rows in it are of."""
    if isinstance(condition, Comparison):
        return OfRow(condition, alias)
    if isinstance(condition, Junction):
        return Junction(condition.connector, tuple([_of_rows(child, alias) for child in condition.children]))
    return Negation(_of_rows(condition.child, alias)) if isinstance(condition, Negation) else condition


def _compare_several(
    lefts: tuple[Expression, ...], lookup: str, value: object, name: str, check: Check | None
) -> Condition:
    """What a comparison with a key of several columns means."""
    if lookup == "isnull":
        return _several_null(lefts, value, name)
    if lookup == "in" and isinstance(value, Query):
        return _several_in(lefts, value, name)
    if lookup == "in" and isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return _any([_several(lefts, item, name, check) for item in cast("Iterable[object]", value)])
    if lookup in _AFTER_OR_BEFORE:
        return _beyond_key(lefts, lookup, value, name, check)
    if lookup not in {"exact", "ne"}:
        raise FieldError(
            f"{name!r}: a key of several columns knows exact, ne, in, isnull, gt, gte, lt and lte only", name=lookup
        )
    return _several(lefts, value, name, check) if lookup == "exact" else _several_other(lefts, value, name, check)


def key_of(relation: RelationSpec, value: object, name: str) -> object:
    """The key of an instance that a relation is compared with, or the keys of several.

    Raises:
        InvalidValue: An instance of another model, or one that is not saved.
    """
    if isinstance(value, (list, tuple, set, frozenset)):
        return [key_of(relation, item, name) for item in cast("Iterable[object]", value)]
    target = relation.target
    if isinstance(value, Query):
        return _keys(relation, value, name)
    table = getattr(type(value), "table", None)
    if not isinstance(table, TableSpec):
        return value
    if table is not target:
        raise InvalidValue(f"{name!r} leads to {target.model}, and {value!r} is a {table.model}")
    values = vars(value)
    names = relation.remote if relation.kind.is_forward else target.primary_key
    missing = [item for item in names if values.get(item) is None]
    if missing:
        raise InvalidValue(f"{name!r}: this {target.model} is not saved yet and has no {missing[0]}")
    return values[names[0]] if len(names) == 1 else tuple([values[item] for item in names])


def _keys(relation: RelationSpec, query: Query, name: str) -> Query:
    """The column of a query that a relation is compared with."""
    if query.columns is not None:
        return query
    if query.table.origin is not relation.target.origin:
        raise InvalidValue(f"{name!r} leads to {relation.target.model}, and the query is of {query.table.model}")
    return _only(query, relation.remote if relation.kind.is_forward else relation.target.primary_key)


def _only(query: Query, names: tuple[str, ...]) -> Query:
    """The query of some columns of its table."""
    columns = tuple([(name, field_reference(query.table, (), name)) for name in names])
    return query.replaced(columns=columns, joined=(), only=None)


def _several_in(lefts: tuple[Expression, ...], query: Query, name: str) -> Condition:
    """Whether a key of several columns is one of a query's rows."""
    if query.columns is None:
        query = _only(query, query.table.primary_key)
    found = query.columns or ()
    if len(found) != len(lefts):
        raise InvalidValue(
            f"{name!r} compares {len(lefts)} columns, and the query has {len(found)}: .values() of as many, in order"
        )
    for left, (column, right) in zip(lefts, found, strict=True):
        known = dict(query.annotations)[right.name] if isinstance(right, AnnotationRef) else right
        if left.type is not None and known.type is not None and not comparable(left.type.kind, known.type.kind):
            raise InvalidValue(
                f"{name!r} is {left.type.kind.value} where the query has {column!r}, {known.type.kind.value}"
            )
    return Comparison(Together(lefts), "in", Subquery(query.unordered(), None))


def _several(lefts: tuple[Expression, ...], value: object, name: str, check: Check | None) -> Condition:
    if value is None:
        return _several_null(lefts, True, name)
    if isinstance(value, OuterRef):  # which columns they are is known when the query around it is
        return Comparison(Together(lefts), "exact", OuterRef(value.name, value.levels, len(lefts)))
    pairs = zip(lefts, _each(lefts, value, name), strict=True)
    return Junction("and", tuple([compare(left, "exact", item, name=name, check=check) for left, item in pairs]))


def _several_other(lefts: tuple[Expression, ...], value: object, name: str, check: Check | None) -> Condition:
    """Whether a key of several columns is there and another one; NULL is none, as for a single column."""
    is_there = _several_null(lefts, False, name)
    if value is None:
        return is_there
    other: Condition
    if isinstance(value, OuterRef):
        other = Comparison(Together(lefts), "ne", OuterRef(value.name, value.levels, len(lefts)))
    else:
        pairs = zip(lefts, _each(lefts, value, name), strict=True)
        other = _any([compare(left, "ne", item, name=name, check=check) for left, item in pairs])
    return Junction("and", (is_there, other))


def _each(lefts: tuple[Expression, ...], value: object, name: str) -> tuple[object, ...]:
    """What each column of a key is compared with."""
    if isinstance(value, Together):
        value = value.parts
    values = cast("tuple[object, ...]", value) if isinstance(value, (tuple, list)) else ()
    if len(values) != len(lefts):
        raise InvalidValue(f"{name!r} compares {len(lefts)} columns and needs a tuple of {len(lefts)} values")
    return tuple(values)


_AFTER_OR_BEFORE: Final = {"gt": "gt", "gte": "gt", "lt": "lt", "lte": "lt"}


def _beyond_key(lefts: tuple[Expression, ...], lookup: str, value: object, name: str, check: Check | None) -> Condition:
    """Whether a key of several columns comes after another one, or before it, in the order of its columns.

    The first column alone is compared as well: an index can look for that, and cannot for the alternatives.
    """
    strict, values = _AFTER_OR_BEFORE[lookup], _each(lefts, value, name)

    def one(place: int, how: str) -> Condition:
        return compare(lefts[place], how, values[place], name=name, check=check)

    last = len(lefts) - 1
    ways: list[Condition] = []
    for place in range(len(lefts)):
        same = [one(before, "exact") for before in range(place)]
        ways.append(Junction("and", (*same, one(place, lookup if place == last else strict))))
    return Junction("and", (one(0, f"{strict}e"), Junction("or", tuple(ways))))


def _several_null(lefts: tuple[Expression, ...], value: object, name: str) -> Condition:
    """Whether a key of several columns refers to nothing: one NULL among them is enough, as for foreign keys."""
    may_be_null = [left for left in lefts if isinstance(left, FieldRef) and left.nullable]
    found = [compare(left, "isnull", value, name=name) for left in (may_be_null or lefts[:1])]
    return _any(found) if value is True or len(found) == 1 else Junction("and", tuple(found))


def _any(conditions: list[Condition]) -> Condition:
    if not conditions:
        return Nothing()
    return conditions[0] if len(conditions) == 1 else Junction("or", tuple(conditions))


def compare(
    left: Expression,
    lookup: str,
    value: object,
    *,
    transform: str | None = None,
    name: str = "",
    check: Check | None = None,
) -> Condition:
    """The condition `left lookup value`.

    Args:
        left: The left side.
        lookup: One of `lookup.LOOKUPS`.
        value: As in `comparison`. `exact` and `ne` None ask for NULL.
        transform: A part of a date or time taken of the left side first.
        name: What the caller wrote, for messages.
        check: As in `comparison`.

    Raises:
        InvalidValue: The value does not fit.
    """
    type = transformed(left.type, transform)
    if lookup in added.lookups:
        lookup = added.lookups[lookup][1]

    def checked(item: object) -> object:
        return item if check is None else check(type, lookup, name, item)

    if isinstance(value, Query):
        value = _one_column(value, left.type, lookup, name)
    if left.type is not None and left.type.kind in _OF_KIND:
        found = _OF_KIND[left.type.kind](left, lookup, value, name, checked)
        if found is not None:
            return found
    if lookup in {"isnull", "notnull"} or value is None:
        return _null(left, lookup, value, name, transform)
    if isinstance(value, Expression):
        if lookup == "range":
            raise InvalidValue(f"{name}: range needs a pair of values, the least and the greatest")
        return Comparison(left, lookup, _beside(value, type, lookup, name), transform=transform)

    if lookup == "in":
        return _in(left, value, type, name, transform, checked)
    if lookup == "range":
        return _range(left, value, type, name, transform, checked)
    bound = checked(value)
    if is_beyond(bound, type):
        return _beyond(left, lookup, bound > 0, transform)
    return Comparison(left, lookup, Value(bound, type), transform=transform)


_Meaning: TypeAlias = Callable[[Expression, str, object, str, Callable[[object], object]], Condition | None]
_OF_KIND: Final[dict[Kind, _Meaning]] = {
    Kind.JSON: documents.compared,
    Kind.ARRAY: arrays.compared,
    Kind.RANGE: ranges.compared,
}
"""What lookups mean for the kinds of value that have their own meanings for them."""


def _beside(right: Expression, type: ColumnType | None, lookup: str, name: str) -> Expression:
    """An expression on the right side.

    Raises:
        InvalidValue: Its values cannot be compared with those of the left side.
    """
    if isinstance(right, Together) and type is not None:
        raise InvalidValue(f"{name!r} is one column, and it is compared with a key of {len(right.parts)}")
    if type is None or right.type is None or comparable(type.kind, right.type.kind):
        return right
    found = documents.sided(right, type) if right.type.kind is Kind.JSON and not isinstance(right, Subquery) else None
    if found is None:
        raise InvalidValue(
            f"{name} is {type.kind.value} and cannot be compared with a {right.type.kind.value}; Cast() one of them"
        )
    return found


def _one_column(query: Query, type: ColumnType | None, lookup: str, name: str) -> Subquery:
    """A query as the right side of a comparison."""
    columns = query.columns
    if columns is None:
        if len(query.table.primary_key) != 1:
            raise InvalidValue(f"{name}: {query.table.model} has a key of several columns; name one: .values('name')")
        key = query.table.primary_key[0]
        query = _only(query, (key,))
        columns = query.columns or ()
    if len(columns) != 1:
        raise InvalidValue(
            f"{name}: {lookup} needs a query of one column, and this one has {len(columns)}: .values('id')"
        )
    if lookup != "in" and query.limit != 1:
        raise InvalidValue(f"{name}: {lookup} compares with one value; slice the query, [:1], or use in")
    found = columns[0][1]
    if isinstance(found, AnnotationRef):
        found = dict(query.annotations)[found.name]
    kinds = None if type is None or found.type is None else (type.kind, found.type.kind)
    if kinds is not None and not comparable(*kinds) and kinds[0] is not Kind.JSON:
        raise InvalidValue(f"{name} is {kinds[0].value} and cannot be compared with a query of {kinds[1].value}")
    return Subquery(query.unordered() if lookup == "in" else query, found.type)


_FAMILIES: Final = (
    _INTEGERS | {Kind.FLOAT, Kind.DECIMAL},
    frozenset({Kind.STRING, Kind.TEXT, Kind.ENUM}),
    _INTEGERS | {Kind.ENUM},
    frozenset({Kind.DATE, Kind.DATETIME, Kind.NAIVE_DATETIME}),
)


def comparable(left: Kind, right: Kind) -> bool:
    """Whether values of two kinds can be compared."""
    return left is right or any(left in family and right in family for family in _FAMILIES)


def is_beyond(value: object, type: ColumnType | None) -> TypeGuard[int]:
    """Whether a whole number is greater or smaller than any that a database can have."""
    if type is None or type.kind not in _INTEGERS or not isinstance(value, int):
        return False
    return not _LEAST <= value <= _GREATEST


def _beyond(left: Expression, lookup: str, is_greater: bool, transform: str | None) -> Condition:
    """A comparison with a number that no row can reach: true for every row that is not NULL, or for none."""
    is_true = lookup == "ne" or lookup in ({"lt", "lte"} if is_greater else {"gt", "gte"})
    return Comparison(left, "notnull", transform=transform) if is_true else Nothing()


def _range(
    left: Expression,
    value: object,
    type: ColumnType | None,
    name: str,
    transform: str | None,
    checked: Callable[[object], object],
) -> Condition:
    pair = cast("tuple[object, ...]", value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2:
        raise InvalidValue(f"{name}: range needs a pair of values, not {value!r}")
    if pair[0] is None or pair[1] is None:
        raise InvalidValue(f"{name}: range needs two values, not None; use gte or lte for an open end")
    low, high = [end if isinstance(end, Expression | Query) else checked(end) for end in pair]
    if isinstance(low, Expression | Query) or isinstance(high, Expression | Query):
        ends = (
            compare(left, "gte", low, transform=transform, name=name),
            compare(left, "lte", high, transform=transform, name=name),
        )
        return Junction("and", ends)
    if is_beyond(low, type) or is_beyond(high, type):
        ends = (compare(left, "gte", low, transform=transform), compare(left, "lte", high, transform=transform))
        return Junction("and", ends)
    return Comparison(left, "range", Value((low, high), type), transform=transform)


def _null(left: Expression, lookup: str, value: object, name: str, transform: str | None) -> Condition:
    if value is None and lookup not in {"exact", "ne", "notnull", "iexact"}:
        raise InvalidValue(f"{name}: None cannot be compared by {lookup}; use isnull to ask for NULL")
    if lookup in {"exact", "iexact", "ne", "notnull"}:
        return Comparison(left, "isnull" if lookup in {"exact", "iexact"} else "notnull", transform=transform)
    if not isinstance(value, bool):
        raise InvalidValue(f"{name}: isnull needs True or False, not {value!r}")
    return Comparison(left, "isnull" if value else "notnull", transform=transform)


def _in(
    left: Expression,
    value: object,
    type: ColumnType | None,
    name: str,
    transform: str | None,
    checked: Callable[[object], object],
) -> Condition:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise InvalidValue(f"{name}: in needs a list, tuple, set or query, not {value!r}")
    items = list(cast("Iterable[object]", value))
    if any(isinstance(item, Expression) for item in items):
        nodes = [item for item in items if isinstance(item, Expression)]
        plain = [item for item in items if not isinstance(item, Expression)]
        found = [compare(left, "exact", node, transform=transform, name=name) for node in nodes]
        return _any([*found, *([_in(left, plain, type, name, transform, checked)] if plain else [])])
    # SQL never finds NULL by IN; leaving it out keeps `NOT IN` from finding nothing at all.
    checked_ones = [checked(item) for item in items if item is not None]
    bound = tuple([item for item in checked_ones if not is_beyond(item, type)])
    return Comparison(left, "in", Value(bound, type), transform=transform) if bound else Nothing()
