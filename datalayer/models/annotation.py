"""What queries compute beside a row, declared on the model: `book_count: ClassVar[Annotation[int]]`."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from datalayer._query.expression import Aggregate, AnnotationRef, Case, Expression, FieldRef, Subquery
from datalayer._query.path import is_nullable
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import DatalayerError, QueryError
from datalayer.models.expressions import F
from datalayer.models.relations import RelationAnnotation
from datalayer.models.state import peek
from datalayer.models.types import column_type

if TYPE_CHECKING:
    from datalayer.models.column import Expr

M = TypeVar("M")
T = TypeVar("T")

_MISSING: Any = object()
_WHOLE: Final = {Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER}
_TEXT: Final = {Kind.STRING, Kind.TEXT}


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

        name: str
        argument: Any

        def __init__(self, name: str, argument: Any) -> None: ...
        @overload
        def __get__(self, instance: None, owner: type[M]) -> Expr[M, T]: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> T: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...
else:

    class Annotation:
        """What `annotate()` may put beside a row, as an annotation: `book_count: ClassVar[Annotation[int]]`."""

        def __init__(self, name: str, argument: Any) -> None:
            self.name = name
            self.argument = argument
            self.said = None  # the same as a type of columns, once it was needed

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


def check_declared(model: Any, name: str, node: Expression, annotations: Mapping[str, Expression], verb: str) -> None:
    """Makes sure that a value is what the model says of its name, since type checkers take its word.

    Args:
        model: The model.
        name: The name that the value gets.
        node: The value.
        annotations: Every annotation of the query.
        verb: The method, for messages.

    Raises:
        QueryError: It is declared, and of another type, or may be None where the model says it is not.
    """
    bases: tuple[type, ...] = model.__mro__
    declared: object = next((vars(cls)[name] for cls in bases if name in vars(cls)), None)
    said = _said(model, declared) if isinstance(declared, Annotation) else None
    if said is None or node.type is None:
        return
    kind, nullable, shown = said
    place = f"{model.__name__}.{name} is declared Annotation[{shown}]"
    if not _fits(node.type, kind):
        raise QueryError(f"{verb}({name}=...) is {node.type.kind.value}, and {place}; one of them is wrong")
    if not nullable and verb == "annotate" and _may_be_none(node, model.table, annotations):
        raise QueryError(
            f"{verb}({name}=...) may be None, and {place}; declare Annotation[{shown} | None], or give a default: "
            "default= of an aggregate, Coalesce(...)"
        )


def _said(model: Any, declared: Any) -> tuple[ColumnType, bool, str] | None:
    """The type that a model declares, whether it may be None, and how it is written; None where it is no column's."""
    if declared.said is not None:
        return declared.said  # type: ignore[no-any-return]
    argument = declared.argument
    shown = argument if isinstance(argument, str) else getattr(argument, "__name__", str(argument))
    holder = types.SimpleNamespace(__annotations__={"it": argument})
    scope: dict[str, Any] = {**(model.__datalayer_scope__ or {}), model.__name__: model}
    try:
        hint = typing.get_type_hints(holder, vars(sys.modules[model.__module__]), scope)["it"]
        kind, nullable = column_type(hint, (), declared.name)
    except (NameError, TypeError, KeyError, DatalayerError):
        return None  # what no column can hold, or is not imported: the word of the model has to do
    declared.said = (kind, nullable, shown) if hint not in (Any, object) else None
    return declared.said  # type: ignore[no-any-return]


def _fits(found: ColumnType, said: ColumnType) -> bool:
    if said.kind is Kind.JSON or found.kind is Kind.JSON:
        return True
    if said.kind is Kind.FLOAT and found.kind in _WHOLE:
        return True
    return any(found.kind in kinds and said.kind in kinds for kinds in (_WHOLE, _TEXT, {found.kind}))


def _may_be_none(node: Expression, table: TableSpec, annotations: Mapping[str, Expression]) -> bool:
    """Whether it is sure that a value is None for some rows there may be."""
    if isinstance(node, FieldRef):
        return is_nullable(table, node.path, node.field)
    if isinstance(node, AnnotationRef):
        return node.name in annotations and _may_be_none(annotations[node.name], table, annotations)
    if isinstance(node, Case):
        values = [*[then for _, then in node.pairs], node.default]
        return any(value is None or _may_be_none(value, table, annotations) for value in values)
    return isinstance(node, Subquery) or (isinstance(node, Aggregate) and node.name != "count")


__all__ = ["Annotated", "Annotation", "check_declared"]
