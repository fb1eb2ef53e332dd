"""Managers: the queryset a model starts from, and the place for queries of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from datalayer.errors import QueryError
from datalayer.models._pydantic import own_names
from datalayer.models.linked_rows import LinkedRows
from datalayer.models.question import M

if TYPE_CHECKING:
    from datalayer.models.model import ModelBase

R = TypeVar("R", bound="ModelBase")


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
                managers[self] = bound
            return bound

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        model = getattr(self, "model", None)
        if model is None:
            return f"<{type(self).__name__}>"
        if any(self is manager for manager in model.__dict__.get("__datalayer_managers__", {}).values()):
            return f"<{type(self).__name__} of {model.__name__}>"
        return super().__repr__()  # what its methods gave is a question like any other
