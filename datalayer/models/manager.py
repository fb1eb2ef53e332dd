"""Managers: the queryset a model starts from, and the place for queries of your own."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from inspect import GEN_CREATED, getgeneratorstate
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload
from weakref import ref

from datalayer.errors import QueryError
from datalayer.models._pydantic import own_names
from datalayer.models.linked_rows import LinkedRows
from datalayer.models.question import M

if TYPE_CHECKING:
    from datalayer.models.model import ModelBase

R = TypeVar("R", bound="ModelBase")


class _Begun(threading.local):
    """The rows that a thread is about to go through: of which manager, and how many there are."""

    of: Any = None
    count = 0

    def rows(self) -> Generator[Any] | None:
        """They, as long as somebody has them."""
        return None


_begun = _Begun()


def _each(rows: list[R]) -> Generator[R]:
    yield from rows


class Manager(LinkedRows[M]):
    """A queryset that knows where it hangs; subclass it for queries with names of their own.

    Its methods return `Self`, so that they chain on managers, querysets and related rows alike.
    """

    __datalayer_manager__ = True

    def _bound(self, owner: Any) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new._start(owner)
        start = new.get_queryset()
        if start is not new:
            new.query = start.query
            new._prefetched = start._prefetched
            new._alias = start._alias
        return new

    def get_queryset(self) -> Self:
        """The rows the manager starts from: override it for a manager that knows a part of its table only.

        It is asked each time the manager is, so it may depend on a context variable, such as the tenant of a request.
        """
        return self

    @property
    def answers_anew(self) -> bool:
        """Whether it may start from other rows each time."""
        own: Any = type(self)
        return own.get_queryset is not Manager.__dict__["get_queryset"]

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type[R]) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Self: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...
    else:

        def __get__(self, instance, owner):
            if instance is not None:
                raise QueryError(f"managers belong to the class: {owner.__name__}.objects, not an instance")
            managers = own_names(owner).get("__datalayer_managers__")
            if managers is not None:
                found = managers.get(self)
                if found is not None:
                    return found
            bound = self._bound(owner)
            if not self.answers_anew:
                if managers is None:
                    managers = {}
                    type.__setattr__(owner, "__datalayer_managers__", managers)
                managers[self] = managers[bound] = bound  # the second tells that it is everybody's
            return bound

    # Every `Author.objects` gives the same object, so rows that it kept would be everybody's and never asked for again.

    def _is_everybodys(self) -> bool:
        managers = own_names(self.model).get("__datalayer_managers__")
        return managers is not None and managers.get(self) is self

    def _fetched(self) -> list[Any]:
        return self._with(self.query)._fetched() if self._is_everybodys() else super()._fetched()

    async def _afetched(self) -> list[Any]:
        return await (self._with(self.query)._afetched() if self._is_everybodys() else super()._afetched())

    def __iter__(self) -> Iterator[M]:
        kept = self._kept  # as of rows that came along with the one they are behind
        if kept is not None:
            return iter(kept)
        rows: list[M] = self._fetched()
        if rows is self._kept:
            return iter(rows)
        begun = _each(rows)
        _begun.of, _begun.rows, _begun.count = self, ref(begun), len(rows)  # type: ignore[method-assign]
        return begun

    def __len__(self) -> int:
        # list() asks for it when it has an iterator in its hands, and shall not ask the database once more.
        begun = _begun.rows() if _begun.of is self else None
        if begun is not None and getgeneratorstate(begun) == GEN_CREATED:
            return _begun.count
        return len(self._fetched())

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        model = getattr(self, "model", None)
        if model is None:
            return f"<{type(self).__name__}>"
        if self._is_everybodys():
            return f"<{type(self).__name__} of {model.__name__}>"
        return super().__repr__()  # what its methods gave is a question like any other
