"""Relations as queries see them: `Book.author[Author.name]` walks over one, `Book.author == ursula` compares keys."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast, overload

from datalayer._query.comparing import comparison
from datalayer._query.expression import FieldRef
from datalayer._query.path import field_reference
from datalayer._schema.table import TableSpec
from datalayer.errors import ObjectDoesNotExist, QueryError
from datalayer.models.checks import checked
from datalayer.models.column import Asked, Condition, Expr, Several, operand

M = TypeVar("M")
N = TypeVar("N")
R = TypeVar("R")
T = TypeVar("T")
T1 = TypeVar("T1")


class Related(Generic[M, R]):
    """A relation on the class; `Book.author[Author.name]` walks over it."""

    __slots__ = ("path", "table")

    def __init__(self, table: TableSpec, path: tuple[str, ...]) -> None:
        self.table = table
        self.path = path

    @property
    def _name(self) -> str:
        return f"{self.table.model}.{'.'.join(self.path)}"

    @property
    def _target(self) -> TableSpec:
        here = self.table
        for step in self.path:
            here = here.relations[step].target
        return here

    @property
    def through(self) -> type[Any]:
        """The model in between of a many to many: `Book.tags.through`.

        Raises:
            QueryError: There is none.
        """
        here, relation = self.table, None
        for step in self.path:
            relation = here.relations[step]
            here = relation.target
        if relation is None or relation.through is None or relation.through.python_model is None:
            raise QueryError(f"{self._name} is no ManyToMany, so there is no model in between")
        return relation.through.python_model

    @property
    def RelatedObjectDoesNotExist(self) -> type[ObjectDoesNotExist]:
        """What reading it on a row raises where nothing is at its end: `Person.profile.RelatedObjectDoesNotExist`."""
        target: Any = self._target.python_model
        found: type[ObjectDoesNotExist] = target.RelatedObjectDoesNotExist
        return found

    @overload
    def __getitem__(self: Related[M, N | None], item: Expr[N, T]) -> Expr[M, T | None]: ...
    @overload
    def __getitem__(self, item: Expr[R, T]) -> Expr[M, T]: ...
    @overload
    def __getitem__(self: Related[M, N | None], item: Related[N, T1]) -> Related[M, T1 | None]: ...
    @overload
    def __getitem__(self, item: Related[R, N]) -> Related[M, N]: ...
    def __getitem__(self, item: Any) -> Any:
        target = self._target
        if isinstance(item, Related | Expr) and item.table is not target:
            raise QueryError(f"{self._name} leads to {target.model}, so {item!r} cannot follow it")
        if isinstance(item, Related):
            further: Related[Any, Any] = Related(self.table, self.path + item.path)
            return further
        if not isinstance(item, Expr) or not isinstance(item.node, FieldRef):
            raise QueryError(f"{self._name}[...] takes a column of {target.model}, not {item!r}")
        node = field_reference(self.table, self.path + item.node.path, item.node.field)
        node.table = self.table
        found: Expr[Any, Any] = Expr(node, self.table, f"{self._name}[{item.name}]")
        return found

    def _compared(self, lookup: str, value: object) -> Any:
        tail = "" if lookup == "exact" else f"__{lookup}"
        return comparison(self.table, "__".join(self.path) + tail, operand(value), check=checked)

    def __eq__(self, other: R | None) -> Condition[M]:  # type: ignore[override]
        return cast("Condition[M]", self._compared("exact", other))

    def __ne__(self, other: R | None) -> Condition[M]:  # type: ignore[override]
        return cast("Condition[M]", self._compared("ne", other))

    __hash__ = object.__hash__

    def in_(self, values: Several[R] | Asked) -> Condition[M]:
        """Whether it leads to one of some objects, or into a query."""
        return cast("Condition[M]", self._compared("in", values))

    def is_null(self) -> Condition[M]:
        """Whether there is nothing at its end."""
        return cast("Condition[M]", self._compared("isnull", True))

    def is_not_null(self) -> Condition[M]:
        """Whether there is something at its end."""
        return cast("Condition[M]", self._compared("isnull", False))

    def __repr__(self) -> str:
        return f"<Related {self._name}>"
