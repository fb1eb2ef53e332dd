"""What calls are given of a kind that nothing can be made of: refused with what to write, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

from datalayer.errors import QueryError

T = TypeVar("T")


def mapping_of(option: str, given: object) -> Mapping[str, Any]:
    """Values by name.

    Args:
        option: What the caller gave it as, for the message.
        given: What was given; None is none.

    Raises:
        QueryError: It is no mapping.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise QueryError(f'{option} is {given!r}; give values by name: {{"title": "..."}}')
    return cast("Mapping[str, Any]", given)


def rows_of(verb: str, given: Iterable[T]) -> list[T]:
    """The rows that a call is about.

    Args:
        verb: What was called, for the message.
        given: What was given.

    Raises:
        QueryError: It cannot be gone through.
    """
    if not isinstance(cast("object", given), Iterable):
        raise QueryError(f"{verb}() takes a list of rows, not {given!r}; write {verb}([...])")
    return list(given)


def check_listed(option: str, given: object) -> None:
    """Refuses what has no names in it.

    Args:
        option: What the caller gave it as, for the message.
        given: What was given.

    Raises:
        QueryError: It cannot be gone through.
    """
    if not isinstance(given, Iterable):
        raise QueryError(f'{option} is {given!r}; give names in a list: ["title"]')


def refuse_unnamed(verb: str, given: tuple[object, ...]) -> None:
    """Refuses values without names.

    Args:
        verb: What was called, for the message.
        given: The values.

    Raises:
        QueryError: There is one.
    """
    if not given:
        return
    if isinstance(given[0], Mapping):
        raise QueryError(f"{verb}() takes values by name; write {verb}(**values) for a dictionary of them")
    raise QueryError(f"{verb}() takes values by name, such as {verb}(title=...), not {given[0]!r}")


__all__ = ["check_listed", "mapping_of", "refuse_unnamed", "rows_of"]
