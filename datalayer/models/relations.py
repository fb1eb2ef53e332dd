"""How one model refers to another: `author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE)`.

A relation is a data descriptor on the class. The object it leads to lives in a slot of the instance, never in its
`__dict__`, so dumps, schemas and equality never see it. The column behind it (`author_id`) is an ordinary field.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    ForwardRef,
    Generic,
    Never,
    Protocol,
    Self,
    TypeVar,
    get_args,
    get_origin,
    overload,
)

from datalayer._schema.field import UNSET
from datalayer._schema.relation import RelationKind, RelationSpec
from datalayer._schema.table import OnDelete
from datalayer.errors import ModelError, choices_text, nearest
from datalayer.late import dataclass
from datalayer.models.constraints import Deferrable, initially
from datalayer.models.django_words import RELATION, taught
from datalayer.models.state import get_cache

if TYPE_CHECKING:
    import typing_extensions

    from datalayer.models.manager import Manager
    from datalayer.models.walk import Related

M = TypeVar("M")
R = TypeVar("R")

if TYPE_CHECKING:
    R_co = TypeVar("R_co", covariant=True)
    G_co = TypeVar("G_co", covariant=True)
    G = TypeVar("G")
    B = TypeVar("B", bound="Manager[Any]")
    B_co = typing_extensions.TypeVar("B_co", covariant=True, default="_NotSaid")

    class _NotSaid:
        """Stands where no manager is said."""

    class _Declares(Protocol[G]):
        """A model that declares a manager, as pyright sees it."""

        objects: ClassVar[G]  # pyright: ignore[reportGeneralTypeIssues]  # it solves what it calls unsolvable

    class _Has(Protocol[G_co]):
        """The same as mypy sees it."""

        @property
        def objects(self) -> G_co: ...

    class _Leads(Generic[R_co, B_co]):
        """Where a relation leads, and the manager its rows come with where that is said.

        Apart from the relations: mypy leaves out overloads for a `self` of the very class that has them.
        """


class Access:
    """How relations are read and written.

    `related.py` and `model.py` put the functions here, because they need querysets.
    """

    read: Callable[[Any, Any, Any], Any]
    write: Callable[[Any, Any, Any], None]
    behind: Callable[[Any, Any, RelationSpec], Any]


CASCADE = "CASCADE"
"""When the target is deleted, this row goes too."""
RESTRICT = "RESTRICT"
"""The target cannot be deleted while this row refers to it, unless this row goes with it by another way."""
PROTECT = "PROTECT"
"""The target cannot be deleted while this row refers to it."""
SET_NULL = "SET_NULL"
"""When the target is deleted, the key becomes NULL."""
SET_DEFAULT = "SET_DEFAULT"
"""When the target is deleted, the key becomes its `db_default`."""
DO_NOTHING = "DO_NOTHING"
"""The schema says `NO ACTION`: the database refuses to delete the target, unless a trigger takes care of this row."""


@dataclass(frozen=True, slots=True)
class SET:
    """When the target is deleted, the key becomes another one: `on_delete=SET(default_owner)`.

    Args:
        value: The object or key to refer to then, or a function that gives it, called once for a delete.
    """

    value: object

    def __call__(self) -> object:
        """What to refer to."""
        return self.value() if callable(self.value) else self.value


ON_DELETE: dict[str, OnDelete] = {
    CASCADE: "CASCADE",
    # Judged when the statement ends, so that rows that go with it by another way are not in the way; PROTECT is judged
    # at once.
    RESTRICT: "NO ACTION",
    PROTECT: "RESTRICT",
    SET_NULL: "SET NULL",
    SET_DEFAULT: "SET DEFAULT",
    DO_NOTHING: "NO ACTION",
}


@dataclass(frozen=True, slots=True)
class RelationAnnotation:
    """What `ForeignKey[Author]` is at run time: its argument, not looked at yet."""

    word: str
    argument: Any

    def __call__(self) -> None:
        """Typing accepts only what can be called inside `ClassVar[...]`."""


_TEXT = re.compile(
    r"^(?:typing\.|t\.)?(?:ClassVar\[\s*)?(?:\w+\.)*(ForeignKey|OneToOne|ManyToMany|Reverse|Annotation)\[(.*?)\]\s*\]?$",
    re.S,
)


def relation_annotation(annotation: Any) -> RelationAnnotation | None:
    """The relation an annotation speaks of, whether it is text or was evaluated; None for anything else."""
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        match = _TEXT.match(annotation.strip().strip("'\""))
        if match is None:
            return None
        has_manager = match[1] in ("Reverse", "ManyToMany")
        return RelationAnnotation(match[1], match[2].partition(",")[0] if has_manager else match[2])
    if get_origin(annotation) is typing.ClassVar:
        annotation = get_args(annotation)[0]
    return annotation if isinstance(annotation, RelationAnnotation) else None


def _target(given: Any) -> Any:
    """The target of `Reverse[Book, Books]`; what manager its rows come with is for type checkers."""
    return given[0] if given.__class__ is tuple else given


def target_and_null(argument: Any) -> tuple[Any, bool]:
    """The target of a relation (a class or its name) and whether it may be missing."""
    if isinstance(argument, ForwardRef):
        argument = argument.__forward_arg__
    if isinstance(argument, str):
        text = argument.strip().strip("'\"").strip()
        if text.startswith(("Optional[", "typing.Optional[")):
            return text[text.index("[") + 1 : -1].strip(" '\""), True
        parts = [part.strip(" '\"") for part in text.split("|")]
        rest = [part for part in parts if part != "None"]
        return (rest[0] if len(rest) == 1 else text), len(rest) < len(parts)
    if get_origin(argument) in (typing.Union, types.UnionType):
        rest = [item for item in get_args(argument) if item is not type(None)]
        inner = target_and_null(rest[0])[0] if len(rest) == 1 else argument
        return inner, len(rest) < len(get_args(argument))
    return argument, False


def not_assignable(model: str, name: str, spec: RelationSpec | None = None) -> AttributeError:
    """The error of an assignment to a relation to many rows, or to a way back, where that is known."""
    if spec is not None and not spec.kind.is_to_many:
        return AttributeError(f"{name} is the reverse side of {spec.target.model}.{spec.reverse}; set that one instead")
    return AttributeError(f"{model}.{name} is many rows and cannot be assigned; call {name}.set([...]) on a saved row")


class Declared:
    """What all relations of a class body have in common: a name, a target, options.

    Attributes:
        name: The attribute it is declared as.
        target_name: The target, as the annotation has it: a class or its name.
        nullable: Whether the target may be missing.
        options: What the declaration says, by keyword.
        spec: Both ends of it, once the models are resolved.
    """

    kind = RelationKind.FOREIGN_KEY

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.name = ""
        self.target_name: Any = None
        self.nullable = False
        self.spec: RelationSpec | None = None

    def copied(self) -> Self:
        """A copy for a subclass: the same options, resolved anew."""
        new = type(self)(**self.options)
        new.name, new.target_name, new.nullable = self.name, self.target_name, self.nullable
        return new

    def declared(self, name: str, annotation: Any, where: str) -> None:
        """Learns its name and target from the class body.

        Raises:
            ModelError: When the annotation says no target, or contradicts the options.
        """
        found = relation_annotation(annotation)
        word = type(self).__name__
        if found is None or found.word != word:
            raise ModelError(f"{where} needs the annotation `{name}: {word}[Target] = {word}(...)` to know its target")
        self.name = name
        self.target_name, self.nullable = target_and_null(found.argument)

    @property
    def shown_target(self) -> str:
        """The target's name, for messages."""
        return self.target_name if isinstance(self.target_name, str) else getattr(self.target_name, "__name__", "?")


class Forward(Declared):
    """What ForeignKey and OneToOne have in common."""

    @taught("", RELATION)
    def __init__(
        self,
        *,
        on_delete: str | SET = CASCADE,
        related_name: str | None = None,
        to_field: str | None = None,
        fields: tuple[str, ...] = (),
        column: str | None = None,
        default: Any = UNSET,
        index: bool = True,
        db_constraint: bool = True,
        primary_key: bool = False,
        comment: str | None = None,
        db_default: Any = UNSET,
        name: str | None = None,
        deferrable: Deferrable | None = None,
    ) -> None:
        initially(deferrable, "deferrable=")
        if not isinstance(on_delete, SET) and on_delete not in ON_DELETE:
            raise ModelError(
                f"on_delete is {on_delete!r}; the choices are {choices_text([*ON_DELETE, 'SET(...)'])}"
                f"{nearest(on_delete, ON_DELETE)}"
            )
        if default is not UNSET and default is not None:
            raise ModelError("the default of a relation can only be None; for another row give its key as db_default=")
        super().__init__(
            on_delete=on_delete,
            related_name=related_name,
            to_field=to_field,
            fields=fields,
            column=column,
            default=default,
            index=index,
            db_constraint=db_constraint,
            primary_key=primary_key,
            comment=comment,
            db_default=db_default,
            name=name,
            deferrable=deferrable,
        )

    def declared(self, name: str, annotation: Any, where: str) -> None:
        """As `Declared.declared`.

        Raises:
            ModelError: When the annotation says no target, or contradicts the options.
        """
        super().declared(name, annotation, where)
        word = type(self).__name__
        on_delete: object = self.options["on_delete"]
        if on_delete in (SET_NULL, SET(None)) and not self.nullable:
            raise ModelError(
                f"{where} has on_delete={on_delete} but is never null; write {word}[{self.shown_target} | None] "
                "or choose another on_delete"
            )
        if not self.options["db_constraint"] and on_delete != DO_NOTHING:
            raise ModelError(
                f"{where} has db_constraint=False, and on_delete={on_delete} is what the constraint does; say "
                "on_delete=DO_NOTHING: rows stay that refer to nothing, and it is for you to find them"
            )
        if self.options["default"] is None and not self.nullable:
            raise ModelError(f"{where} has default=None but is never null; write {word}[{self.shown_target} | None]")

    @property
    def on_delete(self) -> str:
        """What happens to this row when the one it refers to goes, as far as the database does it."""
        return DO_NOTHING if self.refill is not None else str(self.options["on_delete"])

    @property
    def refill(self) -> SET | None:
        """What gives the row to refer to instead, where the library sees to it."""
        found: object = self.options["on_delete"]
        return found if isinstance(found, SET) else None

    @property
    def key_fields(self) -> tuple[str, ...]:
        """The names of the fields that hold the key."""
        fields: tuple[str, ...] = self.options["fields"]
        return fields or (f"{self.name}_id",)


class Many(Declared):
    """What ManyToMany is at run time, but for its way of being read."""

    kind = RelationKind.MANY_TO_MANY

    @taught("", RELATION)
    def __init__(
        self,
        *,
        related_name: str | None = None,
        through: Any = None,
        through_fields: tuple[str, str] | None = None,
        symmetrical: bool | None = None,
        db_table: str | None = None,
    ) -> None:
        if through is not None and db_table is not None:
            raise ModelError("db_table= names the table that is made for a ManyToMany; through= has one already")
        if through_fields is not None and through is None:
            raise ModelError("through_fields= names relations of through=, which is not given")
        if through_fields is not None and (isinstance(through_fields, str) or len(tuple(through_fields)) != 2):
            raise ModelError(
                f"through_fields is {through_fields!r}; name the two relations of through=: the one that leads here, "
                "then the one that leads there"
            )
        super().__init__(
            related_name=related_name,
            through=through,
            through_fields=through_fields,
            symmetrical=symmetrical,
            db_table=db_table,
        )
        self.through: Any = None  # the model in between, once it is found or made

    def declared(self, name: str, annotation: Any, where: str) -> None:
        """As `Declared.declared`.

        Raises:
            ModelError: When the annotation says no target.
        """
        super().declared(name, annotation, where)
        if self.nullable:
            raise ModelError(f"{where}: a ManyToMany is never None, only empty; write ManyToMany[{self.shown_target}]")


if TYPE_CHECKING:

    class ForeignKey(Forward, Generic[R]):
        """Many rows refer to one: annotation and declaration at once.

        Args:
            on_delete: What happens here when the target goes: CASCADE, RESTRICT, PROTECT, SET_NULL, SET_DEFAULT or
                DO_NOTHING, which the database itself does, or SET(...), which `delete()` does.
            related_name: The name of the way back, on the target; `<model>_set` when not given, `+` for none.
            to_field: The unique field of the target that is referred to, when it is not its primary key.
            fields: Declared fields that hold the key, for a target with a composite primary key.
            column: The name of the key's column in the database.
            default: None, to make it optional in the constructor; needs `ForeignKey[Target | None]`.
            index: Whether the column is indexed.
            db_constraint: Whether the database enforces it; False needs `on_delete=DO_NOTHING`, and rows may refer to
                nothing.
            primary_key: Whether the key is this model's primary key as well.
            comment: Kept in the database where it can.
            db_default: The key the database fills in where none is given, and on_delete=SET_DEFAULT goes back to.
            name: The name of the constraint in the database; made from table and columns where it is not given.
            deferrable: Whether the target may be missing until the end of the transaction.
        """

        @overload
        def __get__(self, instance: None, owner: type[M]) -> Related[M, R]: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> R: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...
        def __set__(self, instance: object, value: R) -> None: ...

    class OneToOne(ForeignKey[R]):
        """A foreign key that no two rows share; the way back is one object instead of many."""

    class Reverse(_Leads[R_co, B_co]):
        """The way back of a foreign key, as an annotation: `books: ClassVar[Reverse["Book"]]`.

        Its rows come with the methods of the target's `objects`; a target whose first manager has another name says so
        as well: `books: ClassVar[Reverse["Book", "PublishedBooks"]]`.
        """

        @overload
        def __get__(self, instance: None, owner: type[M]) -> Related[M, R_co | None]: ...
        @overload
        def __get__(self: _Leads[_Declares[G], _NotSaid], instance: object, owner: Any) -> G: ...
        @overload
        def __get__(self: _Leads[_Has[G], _NotSaid], instance: object, owner: Any) -> G: ...
        @overload
        def __get__(self: _Leads[R, _NotSaid], instance: object, owner: Any) -> Manager[R]: ...  # type: ignore[type-var]
        @overload
        def __get__(self: _Leads[Any, B], instance: object, owner: Any) -> B: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...

    class ManyToMany(Many, _Leads[R_co, B_co]):
        """Many rows refer to many, through a table in between: annotation and declaration at once.

        Its rows come with the methods of the target's `objects`; a target whose first manager has another name says so
        as well: `ManyToMany[Tag, UsedTags]`.

        Args:
            related_name: The name of the way back, on the target; `<model>_set` when not given, `+` for none.
            through: The model of the table in between, or its name; one is made when not given.
            through_fields: The relations of `through` that lead to this model and to the target, where it has several.
            symmetrical: Of a relation to itself: whether it goes both ways at once; it does when not given.
            db_table: The table that is made, when `<table>_<name>` is not wanted.
        """

        @overload
        def __get__(self, instance: None, owner: type[M]) -> Related[M, R_co | None]: ...
        @overload
        def __get__(self: _Leads[_Declares[G], _NotSaid], instance: object, owner: Any) -> G: ...
        @overload
        def __get__(self: _Leads[_Has[G], _NotSaid], instance: object, owner: Any) -> G: ...
        @overload
        def __get__(self: _Leads[R, _NotSaid], instance: object, owner: Any) -> Manager[R]: ...  # type: ignore[type-var]
        @overload
        def __get__(self: _Leads[Any, B], instance: object, owner: Any) -> B: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...
        def __set__(self, instance: object, value: Never) -> None: ...

    class ReverseOne(Generic[R]):
        """The way back of a one to one, as an annotation: `profile: ClassVar[ReverseOne["Profile"]]`."""

        @overload
        def __get__(self, instance: None, owner: type[M]) -> Related[M, R | None]: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> R: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...
else:

    class ForeignKey(Forward):
        """Many rows refer to one: annotation and declaration at once."""

        def __class_getitem__(cls, item):
            return RelationAnnotation(cls.__name__, item)

        def __get__(self, instance, owner):
            if instance is not None:
                try:
                    found = get_cache(instance)[self.name]
                except (AttributeError, KeyError):
                    pass
                else:
                    if found is not None:
                        return found
            return Access.read(self, instance, owner)

        def __set__(self, instance, value):
            Access.write(self, instance, value)

    class OneToOne(ForeignKey):
        """A foreign key that no two rows share; the way back is one object instead of many."""

        kind = RelationKind.ONE_TO_ONE

    class ManyToMany(Many):
        """Many rows refer to many, through a table in between: annotation and declaration at once."""

        def __class_getitem__(cls, item):
            return RelationAnnotation("ManyToMany", _target(item))

        def __get__(self, instance, owner):
            return Access.read(self, instance, owner)

        def __set__(self, instance, value):
            raise not_assignable(type(instance).__name__, self.name)

    class Reverse:
        """The way back of a relation, found at resolution; as an annotation it tells type checkers about it."""

        def __init__(self, name: str, spec: RelationSpec) -> None:
            self.name = name
            self.spec = spec

        def __class_getitem__(cls, item):
            return RelationAnnotation("Reverse", _target(item))

        def __get__(self, instance, owner):
            return Access.read(self, instance, owner)

        def __set__(self, instance, value):
            raise not_assignable(self.spec.source.model, self.name, self.spec)

    class ReverseOne:
        """The way back of a one to one, as an annotation."""

        def __class_getitem__(cls, item):
            return RelationAnnotation("Reverse", item)
