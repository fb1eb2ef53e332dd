"""The metaclass: a pydantic model whose class attributes are columns.

Columns are kept out of the class dictionary and answered by `__getattr__` here, so reading an attribute of an instance
costs what it costs in Python. While pydantic collects fields it must not see them: it would take a parent's column for
the child's default.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, dataclass_transform, overload

import pydantic

from datalayer._schema.field import UNSET
from datalayer._schema.table import TableSpec
from datalayer.errors import (
    ModelError,
    MultipleObjectsReturned,
    NotUpdated,
    ObjectDoesNotExist,
    choices_text,
    nearest,
)
from datalayer.models import registry
from datalayer.models._pydantic import (
    PARENT_NAMESPACE,
    VALIDATOR,
    KeySchema,
    PydanticMeta,
    has_model_validators,
    is_made_by_validator,
    only_validated,
    own_fields,
    own_names,
)
from datalayer.models.annotation import Annotation
from datalayer.models.building import Options, proxy_options, read_meta
from datalayer.models.fields import Field, PrimaryKey, guard_values, unset
from datalayer.models.hooks import collected
from datalayer.models.relations import Declared, ForeignKey, Forward, Many, OneToOne, relation_annotation

if TYPE_CHECKING:
    from datalayer.models.manager import Manager
    from datalayer.models.question import M

    class _DefaultManager:
        """`Manager[Author]` to a type checker, whatever `Author` is, until a class declares a manager of its own.

        On the metaclass, not on `ModelBase`: a checker takes an attribute of a base class to be a variable of that very
        type and refuses `objects: ClassVar[BookManager]`. Mypy asks with the class as owner, pyright as instance.
        """

        @overload
        def __get__(self, instance: None, owner: type[M]) -> Manager[M]: ...
        @overload
        def __get__(self, instance: type[M], owner: Any) -> Manager[M]: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...


class _Building(threading.local):
    depth = 0


_building = _Building()


def own_annotations(namespace: dict[str, Any]) -> dict[str, Any]:
    """The annotations of a class body, unevaluated where Python keeps them so."""
    if sys.version_info < (3, 14) or "__annotations__" in namespace:
        return dict(namespace.get("__annotations__", {}))
    annotationlib: Any = import_module("annotationlib")  # exists from 3.14 on

    function = annotationlib.get_annotate_from_class_namespace(namespace)
    if function is None:
        return {}
    return dict(annotationlib.call_annotate_function(function, format=annotationlib.Format.FORWARDREF))


def check_name(model: str, name: str, taken: frozenset[str]) -> None:
    """Refuses names that could not be used in queries or would hide a part of Model.

    Raises:
        ModelError: With the `column=` way out.
    """
    reason = None
    if name in taken or name == "table" or name.startswith("model_"):
        reason = f"hides Model.{name}"
    elif name == "pk":
        reason = "is the alias of the primary key"
    elif "__" in name or name.endswith("_"):
        reason = "cannot be told from a path like author__name"
    if reason is not None:
        short = name.strip("_").replace("__", "_")
        raise ModelError(
            f"{model}.{name} {reason}; choose another attribute and keep the column: "
            f"{short}_value: Mapped[...] = Field(column={name!r})"
        )


def taken_names(bases: tuple[type, ...]) -> frozenset[str]:
    """The public attributes a model inherits from ModelBase and pydantic."""
    for base in bases:
        for cls in base.__mro__:
            if cls.__dict__.get("__datalayer_root__"):
                return frozenset(name for name in dir(cls) if not name.startswith("_"))
    return frozenset()


def key_annotation(relation: Forward, box: list[Any]) -> Any:
    """The annotation of the key of a relation of the model in `box`."""
    annotation = registry.key_annotation(relation, box[0])
    return annotation | None if relation.nullable else annotation


def _has_own(bases: tuple[type, ...], field: str) -> bool:
    """Whether a class above declares a field that is not the key of a relation of its own."""
    for base in bases:
        relations: dict[str, Forward] = getattr(base, "__datalayer_relations__", {})
        if field in getattr(base, "__pydantic_fields__", {}):
            return not any(field in relation.key_fields for relation in relations.values())
    return False


_OF_EVERY_MODEL = ("DoesNotExist", "MultipleObjectsReturned", "NotUpdated", "objects", "table")


class _Parts:
    """What a class body says that pydantic must not see."""

    def __init__(self, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        self.meta: type | None = namespace.pop("Meta", None)
        self.box: list[Any] = [None]  # the class itself, once it exists
        self.managers = {k: v for k, v in namespace.items() if getattr(v.__class__, "__datalayer_manager__", False)}
        for key, value in namespace.items():
            if getattr(value.__class__, "__datalayer_manager__", None) is False:
                own = type(value).__name__
                raise ModelError(
                    f"{name}.{key} is a {own}, which is a queryset and no manager; a manager is both here: "
                    f'class {own}(Manager["{name}"])'
                )
        self.relations: dict[str, Forward] = {}
        self.many: dict[str, Many] = {}
        self.reverses: list[str] = []
        self.computed: dict[str, Any] = {}
        for key in self.managers:
            del namespace[key]
        taken = taken_names(bases)
        annotations: dict[str, Any] = {}
        declared = own_annotations(namespace)
        for key, annotation in declared.items():
            value = namespace.get(key)
            if isinstance(value, Many):
                check_name(name, key, taken)
                del namespace[key]
                value.declared(key, annotation, f"{name}.{key}")
                self.many[key] = value
            elif isinstance(value, Forward):
                check_name(name, key, taken)
                del namespace[key]
                self._declare(name, key, value, annotation, namespace, annotations)
            elif relation_annotation(annotation) is not None:
                found = relation_annotation(annotation)
                assert found is not None
                if found.word == "Reverse":
                    self.reverses.append(key)
                    continue
                if found.word == "Annotation":
                    check_name(name, key, taken)
                    self.computed[key] = found.argument
                    continue
                raise ModelError(
                    f"{name}.{key} has the annotation {found.word}[...] but no value; add = {found.word}(...)"
                )
            else:
                annotations.setdefault(key, annotation)
                is_class_var = "ClassVar" in (annotation if isinstance(annotation, str) else repr(annotation))
                if bases and not key.startswith("_") and not is_class_var:
                    check_name(name, key, taken)
        for key, value in namespace.items():
            if isinstance(value, Declared):
                value.declared(key, None, f"{name}.{key}")
        for key, relation in self.relations.items():
            field = relation.key_fields[0]
            if not relation.options["fields"] and (field in declared or _has_own(bases, field)):
                raise ModelError(
                    f"{name}.{field} is the key of {name}.{key}, which makes it; take its declaration away, or "
                    f"say that the relation uses it: fields=({field!r},)"
                )
        for relation in self.relations.values():
            for key in relation.options["fields"]:
                if key not in annotations and not any(key in getattr(b, "__pydantic_fields__", {}) for b in bases):
                    raise ModelError(
                        f"{name}.{relation.name} has fields={relation.options['fields']}, but {name} has no {key}"
                    )
        namespace["__annotations__"] = annotations
        namespace.pop("__annotate_func__", None)
        namespace.pop("__annotate__", None)

    def _declare(
        self,
        model: str,
        key: str,
        relation: Forward,
        annotation: Any,
        namespace: dict[str, Any],
        annotations: dict[str, Any],
    ) -> None:
        relation.declared(key, annotation, f"{model}.{key}")
        self.relations[key] = relation
        if relation.options["fields"]:
            return
        field = relation.key_fields[0]
        annotations[field] = object
        optional: dict[str, Any] = {} if relation.options["default"] is UNSET else {"default": None}
        if relation.options["db_default"] is not UNSET:
            optional = {"default_factory": unset}
        namespace[field] = pydantic.Field(**optional)


@dataclass_transform(kw_only_default=True, field_specifiers=(Field, PrimaryKey, ForeignKey, OneToOne))
class ModelMeta(PydanticMeta):
    """The type of every model."""

    if TYPE_CHECKING:
        objects = _DefaultManager()
    else:

        def __new__(mcls, name, bases, namespace, **options):  # noqa: D102
            parts = _Parts(name, bases, namespace)
            _building.depth += 1
            try:
                # Deferred: the types of keys are only known when the models they lead to are there.
                cls = super().__new__(mcls, name, bases, namespace, **{"defer_build": True, **options})
            finally:
                _building.depth -= 1
            parts.box[0] = cls
            frame = sys._getframe(1)
            scope = None if frame.f_locals is frame.f_globals else dict(frame.f_locals)
            _finish(cls, parts, scope)
            return cls

        def __setattr__(cls, item, value):
            super().__setattr__(item, value)
            if item == VALIDATOR:
                type.__setattr__(cls, "__datalayer_assigning__", None)

        def __getattr__(cls, item):
            columns = own_names(cls).get("__datalayer_columns__")
            if columns is not None and item in columns and not _building.depth:
                return columns[item]
            if not _building.depth and not item.startswith("__"):
                fields = cls.__dict__.get("__pydantic_fields__")
                if fields is not None and (item in fields or item == "pk"):
                    return registry.column_of(cls, item)
            try:
                return super().__getattr__(item)
            except AttributeError:
                fields = cls.__dict__.get("__pydantic_fields__")
                if not fields or _building.depth or item.startswith("_"):
                    raise
                if registry.settle():  # it may be the way back from a model that was declared later
                    return getattr(cls, item)
                known = (*fields, *cls.__dict__.get("__datalayer_relations__", ()))
                said = f"{cls.__name__} has no attribute {item!r}; the choices are {choices_text(known)}"
                managers = cls.__dict__.get("__datalayer_own_managers__", ())
                meant = nearest(item, (*known, *managers, *_OF_EVERY_MODEL))
                raise AttributeError(f"{said}{meant}", name=item, obj=cls) from None

    @property
    def table(cls) -> TableSpec:
        """The table behind the model; asking for it resolves relations."""
        known = own_names(cls)
        if "__datalayer_linked__" in known and "__datalayer_table__" in known:  # as it is but for the first time
            found: TableSpec = known["__datalayer_table__"]
            return found
        return registry.table_of(cls)


def _finish(cls: Any, parts: _Parts, scope: dict[str, Any] | None) -> None:
    """Gives a new class what pydantic did not see."""
    type.__setattr__(cls, "__datalayer_validated_whole__", has_model_validators(cls))
    shown = _shown_by_proxy(cls, parts)
    if shown is not None:
        _finish_proxy(cls, parts, shown)
        return
    relations = _inherited(cls, "__datalayer_relations__") | parts.relations
    many = _inherited(cls, "__datalayer_many__") | parts.many
    for key, relation in (relations | many).items():
        type.__setattr__(cls, key, relation)
    for key, argument in parts.computed.items():
        type.__setattr__(cls, key, Annotation(key, argument))
    for relation in relations.values():
        if not relation.options["fields"]:
            _type_key(cls, relation, parts.box)
    guard_values(own_fields(cls))
    # Only the class itself waits: an adapter of it, as FastAPI makes for a body, is built when it is made.
    cls.model_config["defer_build"] = False
    if parts.meta is not None:
        type.__setattr__(cls, "Meta", parts.meta)
    inherited: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        known: Options | None = base.__dict__.get("__datalayer_options__")
        if known is not None:
            if not base.__datalayer_abstract__:
                raise ModelError(
                    f"{cls.__name__} inherits from {base.__name__}, which has a table and rows of its own; move what "
                    f"they share to a parent with `class Meta: abstract = True`, or show the same rows in another way "
                    f"with `class Meta: proxy = True`"
                )
            inherited.update(known.inherited)
    options = read_meta(parts.meta, inherited, cls.__name__)
    generic = cls.__pydantic_generic_metadata__
    is_abstract = options.abstract or bool(generic["parameters"]) or generic["origin"] is not None
    type.__setattr__(cls, "__datalayer_options__", options)
    type.__setattr__(cls, "__datalayer_relations__", relations)
    _finish_shortcuts(cls, relations)
    type.__setattr__(cls, "__datalayer_many__", many)
    type.__setattr__(cls, "__datalayer_lacking__", _may_lack(cls, relations))
    type.__setattr__(cls, "__datalayer_reverses__", tuple(parts.reverses))
    type.__setattr__(cls, "__datalayer_scope__", scope)
    type.__setattr__(cls, PARENT_NAMESPACE, scope)
    type.__setattr__(cls, "__datalayer_abstract__", is_abstract)
    _finish_errors(cls)
    _finish_managers(cls, parts, options)
    if not is_abstract:
        registry.register(cls)


def _may_lack(cls: Any, relations: dict[str, Forward]) -> tuple[str, ...]:
    """The fields that validation may leave without a value: the database gives it, or an object that is not saved."""
    names = [key for relation in relations.values() for key in relation.key_fields]
    anything: tuple[Any, ...] = (Any, object)
    for name, info in own_fields(cls).items():
        if info.default_factory is unset or info.default is UNSET or info.annotation in anything:
            names.append(name)
    return tuple(dict.fromkeys(names))


def _finish_shortcuts(cls: Any, relations: dict[str, Forward]) -> None:
    """Tells where an assignment, or the making of an instance, is nothing but a call of the validator."""
    root = next(base for base in cls.__mro__ if base.__dict__.get("__datalayer_root__"))
    plain = only_validated(cls, root).difference(*[relation.key_fields for relation in relations.values()])
    type.__setattr__(cls, "__datalayer_plain__", plain)
    type.__setattr__(cls, "__datalayer_direct__", is_made_by_validator(cls, root))


def _finish_errors(cls: Any) -> None:
    """Gives a class its own `DoesNotExist` and the like, below those of its parents."""
    for error, root in (
        ("DoesNotExist", ObjectDoesNotExist),
        ("MultipleObjectsReturned", MultipleObjectsReturned),
        ("NotUpdated", NotUpdated),
    ):
        parents = [base.__dict__[error] for base in cls.__mro__[1:] if error in base.__dict__]
        body = {"__module__": cls.__module__, "__qualname__": f"{cls.__qualname__}.{error}", "__doc__": root.__doc__}
        type.__setattr__(cls, error, type(error, (parents[0] if parents else root,), body))
    # hasattr(author, "profile") asks for an AttributeError.
    name = "RelatedObjectDoesNotExist"
    body = {"__module__": cls.__module__, "__qualname__": f"{cls.__qualname__}.{name}", "__doc__": "Nothing there."}
    type.__setattr__(cls, name, type(name, (cls.DoesNotExist, AttributeError), body))


def _finish_managers(cls: Any, parts: _Parts, options: Options) -> None:
    for key, manager in parts.managers.items():
        type.__setattr__(cls, key, manager)
    type.__setattr__(cls, "__datalayer_hooks__", collected(cls))
    type.__setattr__(cls, "__datalayer_form__", None)  # that of a proxy has hooks of its own
    type.__setattr__(cls, "__datalayer_own_managers__", tuple(parts.managers))
    type.__setattr__(cls, "__datalayer_default_name__", _default_manager(cls, options))


def _shown_by_proxy(cls: Any, parts: _Parts) -> Any:
    """The model whose rows a proxy shows; None for a class that is no proxy.

    Raises:
        ModelError: A proxy of nothing, of two models, or one that adds columns.
    """
    if parts.meta is None or not vars(parts.meta).get("proxy"):
        return None
    name = cls.__name__
    tables = [base for base in cls.__mro__[1:] if base.__dict__.get("__datalayer_abstract__") is False]
    tables = [base for base in tables if "__datalayer_shown__" not in base.__dict__]
    if len(tables) != 1:
        found = ", ".join(base.__name__ for base in tables) or "none"
        raise ModelError(f"{name} is a proxy, which shows the rows of one model it inherits from; it has {found}")
    new = [*parts.relations, *parts.many, *[field for field in own_fields(cls) if field not in own_fields(tables[0])]]
    if new:
        raise ModelError(
            f"{name}.{new[0]} would be a column, but {name} is a proxy and has no table of its own; "
            f"declare it on {tables[0].__name__}"
        )
    return tables[0]


def _finish_proxy(cls: Any, parts: _Parts, shown: Any) -> None:
    """Gives a proxy what it shares with the model it shows, and what is its own: order, managers, hooks."""
    assert parts.meta is not None
    options = proxy_options(shown.__datalayer_options__, parts.meta, cls.__name__)
    cls.model_config["defer_build"] = False
    type.__setattr__(cls, "__datalayer_shown__", shown)
    type.__setattr__(cls, "__datalayer_options__", options)
    type.__setattr__(cls, "Meta", parts.meta)
    for place in ("relations", "many", "reverses", "scope", "abstract"):
        type.__setattr__(cls, f"__datalayer_{place}__", getattr(shown, f"__datalayer_{place}__"))
    type.__setattr__(cls, PARENT_NAMESPACE, getattr(shown, PARENT_NAMESPACE))
    _finish_shortcuts(cls, shown.__datalayer_relations__)
    for key, argument in parts.computed.items():
        type.__setattr__(cls, key, Annotation(key, argument))
    _finish_errors(cls)
    _finish_managers(cls, parts, options)


def _default_manager(cls: Any, options: Options) -> str:
    """The name of the manager that relations start from: the one `Meta` names, else the first that was declared.

    Raises:
        ModelError: `Meta` names something that is no manager.
    """
    known = [name for base in cls.__mro__ for name in base.__dict__.get("__datalayer_own_managers__", ())]
    for option in ("default_manager_name", "base_manager_name"):
        name: str | None = getattr(options, option)
        if name is not None and name not in known:
            raise ModelError(
                f"{cls.__name__}.Meta.{option} is {name!r}; the managers are {choices_text(known)}"
                f"{nearest(name, known)}"
            )
    return options.default_manager_name or known[0]


def _inherited(cls: Any, place: str) -> dict[str, Any]:
    """Copies of the relations of a class's parents."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        for key, relation in base.__dict__.get(place, {}).items():
            found[key] = relation.copied()
    return found


def _type_key(cls: Any, relation: Forward, box: list[Any]) -> None:
    field = own_fields(cls).get(relation.key_fields[0])
    if field is None:
        raise ModelError(f"{cls.__name__}.{relation.key_fields[0]} was taken away, but {relation.name} needs it")
    field.metadata[:] = [KeySchema(lambda: key_annotation(relation, box), UNSET)]
