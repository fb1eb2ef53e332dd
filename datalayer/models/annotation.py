"""What queries compute beside a row, declared on the model: `book_count: ClassVar[Annotation[int]]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from datalayer._query.expression import Expression
from datalayer._schema.field import ColumnType
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError
from datalayer.models.expressions import F
from datalayer.models.relations import RelationAnnotation
from datalayer.models.state import peek

if TYPE_CHECKING:
    from datalayer.models.column import Expr

M = TypeVar("M")
T = TypeVar("T")

_MISSING: Any = object()


class Annotated(F):
    """A declared annotation on the class: it stands for what the query at hand computes under its name."""

    __slots__ = ("model",)

    def __init__(self, model: str, name: str) -> None:
        super().__init__(name)
        self.model = model

    @property
    def default_name(self) -> str:
        """The name of its column in `values()`."""
        return self.name

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a query over that table."""
        if self.name not in (annotations or {}):
            raise QueryError(
                f"{self!r} is computed by a query, and this one does not: annotate({self.name}=...) it first"
            )
        return super().resolved(table, annotations)

    def __repr__(self) -> str:
        return f"{self.model}.{self.name}"


if TYPE_CHECKING:

    class Annotation(Generic[T]):
        """What `annotate()` may put beside a row, as an annotation: `book_count: ClassVar[Annotation[int]]`.

        On the class it is a column of that type, to filter and order annotated queries by and to name in `values_list`;
        on an instance the value, where the query annotated it.
        """

        def __init__(self, name: str) -> None: ...
        @overload
        def __get__(self, instance: None, owner: type[M]) -> Expr[M, T]: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> T: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...
else:

    class Annotation:
        """What `annotate()` may put beside a row, as an annotation: `book_count: ClassVar[Annotation[int]]`."""

        def __init__(self, name: str) -> None:
            self.name = name

        def __class_getitem__(cls, item):
            return RelationAnnotation("Annotation", item)

        def __get__(self, instance, owner):
            if instance is None:
                return Annotated(owner.__name__, self.name)
            found = peek(instance, self.name, _MISSING)
            if found is _MISSING:
                raise AttributeError(
                    f"this {owner.__name__} has no {self.name}: its query did not annotate({self.name}=...)",
                    name=self.name,
                    obj=instance,
                )
            return found


__all__ = ["Annotated", "Annotation"]
