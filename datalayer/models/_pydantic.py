"""The insides of pydantic that datalayer counts on, each once.

Only this file and `hydrate.py` may name them; `tests/unit/models/test_pydantic.py` has one test for each name, so that
a new pydantic tells us before a user does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

import pydantic
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import (
    InitErrorDetails,
    PydanticCustomError,
    PydanticUndefined,
    SchemaValidator,
    ValidationError,
    core_schema,
)

from datalayer.errors import choices_text, nearest

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass

    PydanticMeta = ModelMetaclass
else:
    PydanticMeta = type(BaseModel)

own_names: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
"""The namespace of a class: `cls.__dict__`, which a metaclass with a `__getattr__` makes three times as slow."""

_Setter = Callable[[BaseModel, Any], None]
set_dict: _Setter = BaseModel.__dict__["__dict__"].__set__
set_fields_set: _Setter = BaseModel.__dict__["__pydantic_fields_set__"].__set__
set_extra: _Setter = BaseModel.__dict__["__pydantic_extra__"].__set__
set_private: _Setter = BaseModel.__dict__["__pydantic_private__"].__set__

LATE = frozenset({"__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"})
"""Slots that rows of a database get when somebody asks for them."""

_late: dict[str, Any] = {name: BaseModel.__dict__[name] for name in LATE}
get_fields_set: Callable[[BaseModel], set[str]] = _late["__pydantic_fields_set__"].__get__
_filling = Lock()
fills: Final = [0]
"""How often a slot was filled: who saw a slot empty, and that nobody has filled any since, need not look again."""
NOTHING: Final[frozenset[str]] = frozenset()


def filled(instance: BaseModel, name: str) -> set[str] | None:
    """What is in a slot of `LATE`, filled now where it was empty: no changes, and nothing besides the fields."""
    slot = _late[name]
    with _filling:  # two threads that write to one instance must both find the set that tells what was changed
        try:
            found: set[str] | None = slot.__get__(instance)
        except AttributeError:
            found = set() if name == "__pydantic_fields_set__" else None
            slot.__set__(instance, found)
            fills[0] += 1
        return found


def first_fields_set(instance: BaseModel, before: int) -> set[str]:
    """The fields that were assigned, to be written to, of an instance whose slot was found empty.

    Args:
        instance: Whose.
        before: The count in `fills` before somebody looked.
    """
    with _filling:
        if fills[0] == before:  # nobody else has: a second look that finds nothing takes longer than all else here
            new: set[str] = set()
            set_fields_set(instance, new)
            fills[0] += 1
            return new
    found = filled(instance, "__pydantic_fields_set__")
    assert found is not None
    return found


def peek_fields_set(instance: BaseModel) -> Set[str]:
    """As `fields_set`, to look at only: the slot stays empty where it is."""
    try:
        return get_fields_set(instance)
    except AttributeError:
        return NOTHING


_LIMITS = ("ge", "gt", "le", "lt", "max_length", "min_length", "max_digits", "decimal_places", "pattern")


PARENT_NAMESPACE = "__pydantic_parent_namespace__"
"""Where pydantic looks for names around a class; by itself it would find our metaclass there."""


def own_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model, without the deprecation shims around `model_fields`."""
    fields: dict[str, FieldInfo] = model.__pydantic_fields__
    return fields


def is_complete(field: FieldInfo) -> bool:
    """Whether every name in a field's annotation is known."""
    return bool(field._complete)  # pyright: ignore[reportPrivateUsage]  # nothing public says so


def has_model_validators(model: type[BaseModel]) -> bool:
    """Whether validators of the whole model run on assignment."""
    return bool(model.__pydantic_decorators__.model_validators)


def only_validated(model: type[BaseModel], root: type[BaseModel]) -> frozenset[str]:
    """The fields whose assignment is `validate_assignment` of the validator, and nothing else.

    Not those that are frozen or hidden by a property, and none where somebody else takes part in assignments.

    Args:
        model: The class.
        root: The parent of it that is ours, whose own parents are pydantic's or the user's.
    """
    config = model.model_config
    if _next(model, root, "__setattr__") is not BaseModel or has_model_validators(model):
        return frozenset()
    if config.get("frozen") or not config.get("validate_assignment"):
        return frozenset()
    return frozenset(
        [
            name
            for name, field in own_fields(model).items()
            if not field.frozen and not any(name in vars(base) for base in model.__mro__)
        ]
    )


class Assigning(dict[str, Callable[[object], object] | None]):
    """What validates an assigned value of each field, made of the field's part of the schema when it is first needed.

    It is `validate_assignment` of the whole without the copies of all other values: a fifth of the time. None where an
    assignment is more than that, or a validator of the field asks for the other values; and where a value is refused,
    the whole says where.

    Args:
        model: The class.

    Attributes:
        whole: The validator that it is a part of; the class gets another one when it is built again.
    """

    __slots__ = ("_config", "_fields", "whole")

    def __init__(self, model: Any) -> None:
        super().__init__()
        schema: Any = model.__pydantic_core_schema__
        if schema["type"] == "definitions":
            schema = schema["schema"]
        self._config: Any = schema.get("config")
        inner: Any = schema.get("schema", {})
        is_plain = schema["type"] == "model" and inner.get("type") == "model-fields"
        plain = model.__datalayer_plain__ if is_plain else ()
        self._fields: dict[str, Any] = {name: inner["fields"][name]["schema"] for name in plain}
        self.whole = model.__pydantic_validator__

    def __missing__(self, name: str) -> Callable[[object], object] | None:
        schema = self._fields.get(name)
        if schema is None:  # whatever else somebody assigns to, which is not remembered: it may be anything
            return None
        made = None if _asks_for_more(schema) else SchemaValidator(schema, self._config).validate_python
        self[name] = made
        return made


VALIDATOR = "__pydantic_validator__"
"""What pydantic gives a class each time it is built; what is made of it is made anew then."""


def assigning_of(model: type[BaseModel]) -> Assigning:
    """What validates the values assigned to instances of a model; the class has it until it is built again."""
    known: Assigning | None = model.__dict__.get("__datalayer_assigning__")
    while known is None or known.whole is not model.__pydantic_validator__:  # which another thread may build again
        _ = model.__pydantic_validator__.validate_assignment  # builds the class where that was put off
        known = Assigning(model)
        type.__setattr__(model, "__datalayer_assigning__", known)
    return known


def _asks_for_more(schema: object) -> bool:
    """Whether a part of a schema asks for other values of the instance, or is described elsewhere."""
    if isinstance(schema, dict):
        known = cast("dict[str, object]", schema)
        return known.get("type") in ("with-info", "definition-ref") or any(map(_asks_for_more, known.values()))
    return isinstance(schema, list | tuple) and any(map(_asks_for_more, cast("list[object]", schema)))


def is_made_by_validator(model: type[BaseModel], root: type[BaseModel]) -> bool:
    """Whether what is behind `root.__init__` is `validate_python` of the validator, and nothing else.

    Args:
        model: The class.
        root: As in `only_validated`.
    """
    schema = next(base for base in model.__mro__ if "__get_pydantic_core_schema__" in vars(base))
    return schema is root and _next(model, root, "__init__") is BaseModel and not has_model_validators(model)


def _next(model: type[BaseModel], root: type[BaseModel], name: str) -> type:
    """Who has an attribute behind `root`."""
    return next(base for base in model.__mro__[model.__mro__.index(root) + 1 :] if name in vars(base))


def field_validators(model: type[BaseModel], name: str) -> tuple[object, ...]:
    """The `@field_validator`s of a field as metadata, but for those that ask for the other values: there are none."""
    kinds: dict[str, Any] = {
        "after": pydantic.AfterValidator,
        "before": pydantic.BeforeValidator,
        "plain": pydantic.PlainValidator,
        "wrap": pydantic.WrapValidator,
    }
    found: list[object] = []
    for decorator in model.__pydantic_decorators__.field_validators.values():
        mode, taken = decorator.info.mode, len(inspect.signature(decorator.func).parameters)
        if {name, "*"}.intersection(decorator.info.fields) and taken == (2 if mode == "wrap" else 1):
            found.append(kinds[mode](decorator.func))
    return tuple(found)


def limits(metadata: Iterable[object]) -> dict[str, Any]:
    """The constraints in a field's metadata, whoever wrote them: annotated_types, pydantic or `StringConstraints`."""
    found: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, FieldInfo):
            found.update(limits(item.metadata))
            continue
        # What `isinstance(item, GroupedMetadata)` asks, a protocol, in a twentieth of its time: each field does.
        if hasattr(item, "__is_annotated_types_grouped_metadata__"):
            found.update(limits(cast("Iterable[object]", item)))
            continue
        for name in _LIMITS:
            value = getattr(item, name, None)
            if value is not None and not isinstance(item, type):
                found[name] = value
    return found


class KeySchema:
    """Metadata of the field behind a relation: asks for its type only when pydantic builds the schema.

    By then every model is there, so that a foreign key may refer to a model that is declared later.

    Args:
        annotation: Gives the annotation of the key.
        unset: The value that stands for "the object is not saved yet" and is let through unchecked.
    """

    def __init__(self, annotation: Callable[[], Any], unset: object) -> None:
        self.annotation = annotation
        self.unset = unset

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """The schema of the key, letting `unset` pass."""
        inner = handler.generate_schema(self.annotation())
        unset = self.unset

        def check(value: Any, validate: Callable[[Any], Any]) -> Any:
            return value if value is unset else validate(value)

        return core_schema.no_info_wrap_validator_function(check, inner)

    def __repr__(self) -> str:
        return "KeySchema()"


class IntegerSize:
    """Metadata of an integer field: its values fit in so many bits.

    Not `annotated_types.Interval`, because that would become CHECK constraints of every integer column.

    Args:
        bits: 16, 32 or 64.
    """

    def __init__(self, bits: int) -> None:
        self.least, self.greatest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """The schema of the field, with its own limits or these, whichever are narrower."""
        found = inner = handler(source)
        while inner["type"] != "int" and "schema" in inner:
            inner = inner["schema"]
        if inner["type"] == "int":
            if "gt" not in inner:
                inner["ge"] = max(inner.get("ge", self.least), self.least)
            if "lt" not in inner:
                inner["le"] = min(inner.get("le", self.greatest), self.greatest)
        return found

    def __repr__(self) -> str:
        return f"IntegerSize(least={self.least})"


class NoZeroByte:
    """Metadata of a text field: no value has a zero byte, which PostgreSQL does not keep.

    pydantic-core itself looks for it, so that no Python is called for each text.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """The schema of the field, followed by the look."""
        found = inner = handler(source)
        while inner["type"] != "str" and "schema" in inner:
            inner = inner["schema"]
        if inner["type"] == "str":
            own: Any = dict(inner)
            look = core_schema.custom_error_schema(
                core_schema.str_schema(pattern=r"^[^\x00]*$"),
                custom_error_type="zero_byte",
                custom_error_message="text of a database has no zero byte",
            )
            shown: Any = _shown_as(own)
            inner.clear()
            inner.update(core_schema.chain_schema([own, look], metadata=shown, serialization=own.get("serialization")))
        return found

    def __repr__(self) -> str:
        return "NoZeroByte()"


def _shown_as(schema: Any) -> dict[str, Any]:
    """What makes pydantic describe one schema in JSON as another."""

    def describe(_: Any, handler: Callable[[Any], Any]) -> Any:
        return handler(schema)

    return {"pydantic_js_functions": [describe]}


def refused(title: str, place: str, message: str, value: object) -> ValidationError:
    """A validation error of one field, as pydantic itself would raise it."""
    details: InitErrorDetails = {
        "type": PydanticCustomError("relation", "{message}", {"message": message}),
        "loc": (place,),
        "input": value,
    }
    return ValidationError.from_exception_data(title, [details])


def refuse_frozen(model: type[BaseModel], name: str, value: object, fields: Iterable[str]) -> None:
    """Refuses an assignment that pydantic does not see, where it would refuse that to the fields behind.

    Args:
        model: The class.
        name: What is assigned to.
        value: What is assigned.
        fields: The fields that would change.

    Raises:
        ValidationError: The model, or one of the fields, is frozen.
    """
    kind = "frozen_instance" if model.model_config.get("frozen") else None
    if kind is None and any(own_fields(model)[field].frozen for field in fields):
        kind = "frozen_field"
    if kind is not None:
        details: InitErrorDetails = {"type": kind, "loc": (name,), "input": value}
        raise ValidationError.from_exception_data(model.__name__, [details])


def with_choices(error: ValidationError, choices: Collection[str]) -> ValidationError:
    """The same error, in which each unknown name is told with the names there are."""
    found = error.errors(include_url=False)
    unknown = [one for one in found if one["type"] == "extra_forbidden" and len(one["loc"]) == 1]
    if not unknown:
        return error
    for one in unknown:
        name = str(one["loc"][0])
        one["msg"] = (
            f"{error.title} has no field {name!r}; the choices are {choices_text(choices)}{nearest(name, choices)}"
        )
    rebuilt: Any = PydanticCustomError  # a checker would have the texts of pydantic's own errors be literals
    details: list[InitErrorDetails] = [
        {"type": rebuilt(one["type"], one["msg"], one.get("ctx")), "loc": one["loc"], "input": one["input"]}
        for one in found
    ]
    return ValidationError.from_exception_data(error.title, details)


def private_values(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """The private attributes of a new instance that has these values."""
    undefined = PydanticUndefined
    found: dict[str, Any] = {}
    for name, attribute in model.__private_attributes__.items():
        value = attribute.get_default(call_default_factory=True, validated_data={**values, **found})
        if value is not undefined:
            found[name] = value
    return found
