"""Managers: the queryset a model starts from, and the place for queries of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from datalayer._query.query import Query
from datalayer._schema.relation import RelationSpec
from datalayer.errors import QueryError
from datalayer.models import related
from datalayer.models.queryset import QuerySet
from datalayer.models.question import M
from datalayer.models.state import key_values, peek

if TYPE_CHECKING:
    from datalayer.models.model import ModelBase

R = TypeVar("R", bound="ModelBase")


class Manager(QuerySet[M]):
    """A queryset that knows where it hangs; subclass it for queries with names of their own.

    Its methods return `Self`, so that they chain on managers, querysets and related rows alike.
    """

    __datalayer_manager__ = True

    def _bound(self, owner: Any) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new._start(owner)
        return new

    def _behind(self, instance: Any, spec: RelationSpec) -> Self:
        """The rows that refer to an instance."""
        key = key_values(instance, spec.local)
        query: Query = self.query.filtered(related.reverse_condition(spec, key or ()))
        new = self._with(query)
        new._alias = related.alias_of(instance)
        new._behind_of = (instance, spec)
        known = peek(instance, spec.name)
        if known is not None:
            new._kept = list(known)
        return new

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
            managers = owner.__dict__.get("__datalayer_managers__")
            if managers is None:
                managers = {}
                type.__setattr__(owner, "__datalayer_managers__", managers)
            found = managers.get(self)
            if found is None:
                found = managers[self] = self._bound(owner)
            return found

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
