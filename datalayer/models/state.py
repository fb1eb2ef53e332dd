"""What an instance knows besides its values: where it came from, what relations it has loaded.

It lives in slots beside pydantic's, never in `__dict__`: dumps, schemas and equality do not see it. A copy or a pickle
is the same row again: it keeps what the original knew, but loads relations alone, without the rows that came together.
"""

from __future__ import annotations

import copy
import marshal
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

from pydantic import BaseModel

from datalayer._compile.values import from_driver
from datalayer._schema.field import ColumnType
from datalayer._schema.relation import RelationSpec
from datalayer.late import dataclass


class Origin:
    """Where rows came from, shared by all rows of one result.

    Attributes:
        alias: The database.
        peers: The rows that came together: a relation that is read on one is loaded for all.
    """

    __slots__ = ("__weakref__", "alias", "peers")

    def __init__(self, alias: str, peers: list[Any]) -> None:
        self.alias = alias
        self.peers = peers


@dataclass(frozen=True, slots=True)
class RowState:
    """What `author._state` says, in Django's words.

    Attributes:
        db: The alias of the database that the row is in; None for an instance that is in none.
        adding: Whether `save()` would make a new row.
    """

    db: str | None
    adding: bool


def row_state(instance: Any) -> RowState:
    """Where an instance came from, and what its `save()` would do."""
    origin = origin_of(instance)
    return RowState(None if origin is None else origin.alias, origin is None)


class StateSlots(BaseModel):
    """The slots, declared apart so that their setters can be named before the model exists."""

    __slots__ = ("__datalayer_cache__", "__datalayer_content__", "__datalayer_origin__")


def origin_of(instance: Any) -> Origin | None:
    """Where an instance came from; None for one that is not in a database."""
    try:
        found: Origin | None = _get_origin(instance)
    except AttributeError:
        return None
    return found


def alias_of(instance: Any) -> str:
    """The database an instance belongs to."""
    try:
        origin: Origin | None = _get_origin(instance)
    except AttributeError:
        return "default"
    return "default" if origin is None else origin.alias


def origins_of(instances: Iterable[Any]) -> set[Origin | None]:
    """The different origins of some instances, None among them where one is not in a database."""
    try:
        return set(map(_get_origin, instances))
    except AttributeError:
        return {origin_of(instance) for instance in instances}


def cache_of(instance: Any) -> dict[str, Any]:
    """The relations and annotations an instance has loaded; kept when written to."""
    try:
        cache: dict[str, Any] = get_cache(instance)
    except AttributeError:
        cache = {}
        set_cache(instance, cache)
    return cache


_NOTHING: Final[dict[str, Any]] = {}


def peek_cache(instance: Any) -> Mapping[str, Any]:
    """As `cache_of`, to look at only."""
    try:
        found: dict[str, Any] = get_cache(instance)
    except AttributeError:
        return _NOTHING
    return found


def peek(instance: Any, name: str, missing: Any = None) -> Any:
    """One loaded relation or annotation."""
    try:
        return get_cache(instance).get(name, missing)
    except AttributeError:
        return missing


def forget(instance: Any) -> None:
    """Drops everything loaded."""
    set_cache(instance, {})


def content_of(instance: Any) -> tuple[Any, ...] | None:
    """The slot of what is kept of the fields that may change in place, for `set_content`."""
    try:
        found: tuple[Any, ...] | None = _get_content(instance)
    except AttributeError:
        return None
    return found


def each_kept(instance: Any) -> Iterable[tuple[str, str, Any]]:
    """The fields that may change in place: the name of each, how it is kept, and what."""
    content = content_of(instance)
    if not content:
        return ()
    names, hows, *values = content
    return zip(names, hows, values, strict=True)


def kept_of(instance: Any) -> dict[str, Kept]:
    """What is kept of the fields that may change in place, by name."""
    return {name: (how, what) for name, how, what in each_kept(instance)}


def keep(instance: Any, kept: Mapping[str, Kept]) -> None:
    """Replaces what is kept of the fields that may change in place."""
    hows = tuple([how for how, _ in kept.values()])
    set_content(instance, (tuple(kept), hows, *[value for _, value in kept.values()]))


def key_values(instance: Any, names: tuple[str, ...]) -> tuple[Any, ...] | None:
    """Some values of an instance; None where one is missing."""
    values = instance.__dict__
    if len(names) == 1:
        value = values.get(names[0])
        return None if value is None else (value,)
    return _several(values, names)


def _several(values: dict[str, Any], names: tuple[str, ...]) -> tuple[Any, ...] | None:
    try:
        found = tuple([values[name] for name in names])
    except KeyError:
        return None
    return None if None in found else found


UNCHANGEABLE: Final = frozenset(
    {str, int, float, bool, bytes, Decimal, date, datetime, time, timedelta, UUID, type(None)}
)
"""Types of values that nobody can change in place, and whose `==` is a plain one."""


Kept: TypeAlias = tuple[str, Any]
"""How something is kept of a field that may change in place, and what: `value` is a value nobody else has, `marshal`
bytes of Python's own, and the name of a backend says that it is what its driver gave.

A row holds it as the names, the ways and what is kept, side by side: what is of plain parts only, the collector leaves
alone, and it takes a third of the time of reading many wide rows.
"""


def kept(value: Any) -> Kept:
    """A value that may change in place as it is now, to see later whether it has."""
    kind = value.__class__
    if kind is list or kind is dict:
        try:
            return "marshal", marshal.dumps(value, 2)  # the copy is made where it is looked at
        except ValueError:  # something else is in it
            pass
    return "value", value if kind in UNCHANGEABLE else copy.deepcopy(value)


def value_of(how: str, what: Any, type_: ColumnType) -> Any:
    """The value that was kept of a field of a type."""
    if how == "value" or what is None:
        return what
    if how == "marshal":
        return marshal.loads(what)
    convert = from_driver(type_, how)
    return what if convert is None else convert(what)


_NUMBERS: Final = frozenset({bool, int, float})


def is_as_kept(how: str, what: Any, type_: ColumnType, now: Any) -> bool:
    """Whether a value is what was kept of it; also in a document, where Python takes True for 1 and JSON does not.

    Where the value would be written as the very text that the row has, nobody needs to read that.
    """
    try:
        if how == "marshal":
            if marshal.dumps(now, 2) == what:
                return True
        elif how == "sqlite" and type_.codec is not None and what is not None and type_.codec.dump(now) == what:
            return True
    except ValueError:  # whatever it is now, it is not what could be kept
        pass
    before = value_of(how, what, type_)
    return _is_same(before, now) or (bool(before == now) and _is_alike(before, now))


def _is_same(before: Any, now: Any) -> bool:
    """Whether two documents are the same in all and every kind of number, as far as that is told without a walk."""
    try:
        return marshal.dumps(before, 2) == marshal.dumps(now, 2)
    except ValueError:  # something else is in them
        return False


def _is_alike(before: Any, now: Any) -> bool:
    """Whether equal values are of the same kinds of numbers."""
    kind = before.__class__
    if kind in _NUMBERS:
        return kind is now.__class__ or now.__class__ not in _NUMBERS
    if kind is dict:
        return all(_is_alike(value, now[key]) for key, value in cast("dict[Any, Any]", before).items())
    if kind is list:
        return all(map(_is_alike, before, now))
    return True


def key_fields_changed(instance: Any, spec: RelationSpec) -> None:
    """Drops a cached object that a newly written key no longer refers to."""
    known = peek(instance, spec.name)
    if known is not None and key_values(known, spec.remote) != key_values(instance, spec.local):
        cache_of(instance).pop(spec.name, None)


def packed(instance: Any) -> tuple[str | None, tuple[Any, ...] | None, dict[str, Any]]:
    """What an instance knows, in a form that can be pickled."""
    origin = origin_of(instance)
    content = content_of(instance)
    loaded: dict[str, Any] = {
        name: list(cast("Iterable[Any]", value)) if isinstance(value, list) else value
        for name, value in cache_of(instance).items()
    }
    return None if origin is None else origin.alias, content, loaded


def unpack(instance: Any, state: tuple[str | None, tuple[Any, ...] | None, dict[str, Any]]) -> None:
    """Gives an instance what `packed` took of another."""
    alias, content, loaded = state
    set_origin(instance, None if alias is None else Origin(alias, []))
    set_cache(instance, loaded)
    if content is not None:
        set_content(instance, content)


_origin: Any = StateSlots.__dict__["__datalayer_origin__"]
_cache: Any = StateSlots.__dict__["__datalayer_cache__"]
_content: Any = StateSlots.__dict__["__datalayer_content__"]
set_origin, _get_origin = _origin.__set__, _origin.__get__
set_cache, get_cache = _cache.__set__, _cache.__get__
set_content, _get_content = _content.__set__, _content.__get__
