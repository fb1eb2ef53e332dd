"""What users subclass: `Model`, `UUIDModel`, `ModelBase`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from pydantic import ConfigDict, ValidationError

from datalayer._schema.field import UNSET
from datalayer._schema.table import TableSpec
from datalayer.databases import databases
from datalayer.errors import MultipleObjectsReturned, NotUpdated, ObjectDoesNotExist, QueryError
from datalayer.models import deferring, linked_rows, loading, registry, related, saving, validating
from datalayer.models._pydantic import (
    LATE,
    Assigning,
    assigning_of,
    filled,
    fills,
    first_fields_set,
    get_fields_set,
    own_fields,
    own_names,
    refuse_frozen,
    refused,
    set_dict,
    set_fields_set,
    with_choices,
)
from datalayer.models.assigning import assign_expression, assign_key
from datalayer.models.column import Several
from datalayer.models.display import display_method
from datalayer.models.expressions import is_expression
from datalayer.models.fields import Mapped, PrimaryKey, guard_values
from datalayer.models.forms import Form
from datalayer.models.identifiers import uuid7
from datalayer.models.manager import Manager
from datalayer.models.meta import ModelMeta
from datalayer.models.prefetch import lookups_of
from datalayer.models.relations import Access, Forward, not_assignable
from datalayer.models.state import (
    UNCHANGEABLE,
    RowState,
    StateSlots,
    alias_of,
    cache_of,
    forget,
    key_fields_changed,
    key_values,
    origin_of,
    packed,
    peek,
    row_state,
    set_cache,
    set_origin,
    unpack,
)

_MISSING: Any = object()
_VALUES = UNCHANGEABLE | {list, dict}
"""Types whose values are no expressions."""

if TYPE_CHECKING:
    from typing import Self

    from datalayer.models.question import Question

if not TYPE_CHECKING:  # it would have to know itself first
    _every = Manager()
Access.behind = linked_rows.behind


class ModelBase(StateSlots, metaclass=ModelMeta):
    """A model without a primary key of its own: declare `PrimaryKey()` fields, or `Meta.primary_key`."""

    model_config = ConfigDict(validate_assignment=True, extra="forbid", validate_by_name=True)
    __datalayer_root__: ClassVar[bool] = True
    __datalayer_assigning__: ClassVar[Assigning | None] = None
    __datalayer_form__: ClassVar[Form | None] = None

    if TYPE_CHECKING:
        table: ClassVar[TableSpec]
        DoesNotExist: ClassVar[type[ObjectDoesNotExist]]
        RelatedObjectDoesNotExist: ClassVar[type[ObjectDoesNotExist]]
        MultipleObjectsReturned: ClassVar[type[MultipleObjectsReturned]]
        NotUpdated: ClassVar[type[NotUpdated]]

    if not TYPE_CHECKING:
        # Hidden from type checkers: to them a `Meta` or a manager of one's own would be a wrong override; see meta.py.
        objects = Manager()

        class Meta:  # noqa: D106
            abstract = True

        def __init__(self, /, **data):
            # What the class knows is read from the instance: by way of the class, whose own class has a `__getattr__`,
            # it takes three times as long.
            cls = type(self)
            if "pk" in data:
                _spell_key(cls, data)
            relations = self.__datalayer_relations__
            linked = _linked(self, data) if relations or self.__datalayer_many__ else None
            if self.__datalayer_abstract__:
                raise QueryError(f"{cls.__name__} is abstract; make an instance of one of its subclasses")
            if linked:
                _give_keys(cls, relations, linked, data)
            try:
                if self.__datalayer_direct__:
                    self.__pydantic_validator__.validate_python(data, self_instance=self)
                else:
                    super().__init__(**data)
            except ValidationError as error:
                raise with_choices(error, [*cls.__pydantic_fields__, *cls.__datalayer_relations__]) from None
            _drop_unset(self, self.__datalayer_lacking__)
            set_origin(self, None)
            if linked is not None:
                set_cache(self, linked)
                for name, value in linked.items():
                    back = relations[name].spec.way_back
                    if back is not None and value is not None:
                        cache_of(value)[back] = self

        @classmethod
        def __datalayer_default__(cls):
            """The manager that related managers and prefetching start from."""
            found = own_names(cls).get("__datalayer_default_kept__")
            if found is None:
                found = getattr(cls, cls.__datalayer_default_name__)
                if not found.answers_anew:
                    type.__setattr__(cls, "__datalayer_default_kept__", found)
            return found

        @classmethod
        def __datalayer_base__(cls):
            """The manager of rows that are reached by their key: it hides none, unless `Meta` says so."""
            name = cls.__datalayer_options__.base_manager_name
            return _every.__get__(None, cls) if name is None else getattr(cls, name)

        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            # Names that were unknown when the class was made are known now, and so is what their columns can hold.
            registry.complete(cls)
            guard_values(own_fields(cls))
            return handler(source)

        def __setattr__(self, name, value):
            assigning = self.__datalayer_assigning__
            if assigning is None:
                assigning = assigning_of(type(self))
            validate = assigning[name]
            if validate is not None and type(value) in _VALUES:
                try:
                    new = validate(value)
                except ValidationError:
                    pass  # the validator of the whole, which is asked below, says where
                else:
                    before, values = fills[0], self.__dict__
                    try:
                        changed = get_fields_set(self)
                    except AttributeError:
                        changed = first_fields_set(self, before)
                    if name not in changed:
                        stored = values.get(name, _MISSING)
                        was = type(stored)  # and the new one is: in a document True is not 1
                        if was not in UNCHANGEABLE or new != stored or type(new) is not was or origin_of(self) is None:
                            changed.add(name)
                    values[name] = new
                    return
            cls = type(self)
            if name in self.__datalayer_relations__:
                refuse_frozen(cls, name, value, self.__datalayer_relations__[name].key_fields)
                related.assign(self, name, value, self.__pydantic_fields_set__)
                return
            if name == "pk":
                if len(cls.table.primary_key) > 1:
                    assign_key(self, value)
                    return
                (name,) = cls.table.primary_key
            if name.startswith("__datalayer_"):
                object.__setattr__(self, name, value)
                return
            if name not in cls.__pydantic_fields__ and name in cls.table.relations:
                raise not_assignable(cls.__name__, name, cls.table.relations[name])
            if value.__class__ not in UNCHANGEABLE and is_expression(value) and name in cls.__pydantic_fields__:
                refuse_frozen(cls, name, value, (name,))
                assign_expression(self, name, value)
                return
            stored = (
                self.__dict__[name] if name in self.__dict__ and name not in self.__pydantic_fields_set__ else _MISSING
            )
            if cls.__datalayer_validated_whole__:
                # pydantic keeps the bad value when a validator of the whole model fails after the assignment.
                before, changed = dict(self.__dict__), set(self.__pydantic_fields_set__)
                try:
                    super().__setattr__(name, value)
                except Exception:
                    set_dict(self, before)
                    set_fields_set(self, changed)
                    raise
            else:
                super().__setattr__(name, value)
            kind, new = stored.__class__, self.__dict__.get(name)  # what extra="allow" lets in is not there
            if kind in UNCHANGEABLE and new == stored and new.__class__ is kind and origin_of(self) is not None:
                self.__pydantic_fields_set__.discard(name)
            _drop_others(self, (name,))

        def __getattr__(self, name):
            if name in LATE:
                return filled(self, name)
            cls = type(self)
            if name == "pk":
                key = cls.table.primary_key
                found = tuple(getattr(self, item) for item in key)
                return found[0] if len(key) == 1 else found
            if name in cls.__pydantic_fields__:
                return deferring.read_field(self, name)
            if name == "_state" and name not in cls.__private_attributes__:
                return row_state(self)
            if not name.startswith("_") and name not in cls.table.relations:
                found = peek(self, name, _MISSING)
                if found is not _MISSING:
                    return found
                method = display_method(self, name)
                if method is not None:
                    return method
                if registry.settle():  # it may be the way back from a model that was declared later
                    return getattr(self, name)
            return super().__getattr__(name)

        def __copy__(self):
            new = super().__copy__()
            unpack(new, packed(self))
            return new

        def __deepcopy__(self, memo=None):
            new = super().__deepcopy__(memo)
            unpack(new, packed(self))
            return new

        def __getstate__(self):
            return {**super().__getstate__(), "__datalayer__": packed(self)}

        def __setstate__(self, state):
            unpack(self, state["__datalayer__"])
            super().__setstate__(state)

        def model_copy(self, *, update=None, deep=False):  # noqa: D102 - pydantic's own
            given = dict(update or {})
            linked = {name: given.pop(name) for name in list(given) if name in type(self).__datalayer_relations__}
            new = super().model_copy(update=given, deep=deep)
            _drop_others(new, given)
            _drop_others(new, given)
            for name, value in linked.items():
                related.assign(new, name, value, new.__pydantic_fields_set__)
            return new

        @classmethod
        def model_construct(cls, _fields_set=None, **values):  # noqa: D102 - pydantic's own
            linked = {name: values.pop(name) for name in list(values) if name in cls.__datalayer_relations__}
            new = super().model_construct(_fields_set, **values)
            _drop_unset(new, list(new.__dict__))
            for name, value in linked.items():
                related.assign(new, name, value, new.__pydantic_fields_set__)
            return new

    if TYPE_CHECKING:

        @property
        def pk(self) -> Any:
            """The primary key, whatever it is called; a tuple where it has several fields."""

        @pk.setter
        def pk(self, key: Any) -> None: ...

        @property
        def _state(self) -> RowState:
            """Whether the instance has a row, and in which database: `author._state.adding`, `author._state.db`."""
            ...

    def _is_pk_set(self) -> bool:
        """Whether the instance has a primary key, whole; one that the database numbers comes with the first save."""
        return key_values(self, type(self).table.primary_key) is not None

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other) and (
            not isinstance(other, ModelBase) or type(self).table is not type(other).table
        ):
            return NotImplemented
        key = key_values(self, type(self).table.primary_key)
        return key is not None and key == key_values(other, type(self).table.primary_key)

    def __hash__(self) -> int:
        key = key_values(self, type(self).table.primary_key)
        return object.__hash__(self) if key is None else hash((type(self).table, key))

    def save(
        self,
        *,
        force_insert: bool = False,
        force_update: bool = False,
        update_fields: Several[str] | None = None,
        using: str | None = None,
    ) -> None:
        """Writes a new row, or what changed of an existing one; nothing is sent when nothing changed.

        Args:
            force_insert: Writes a new row even where the instance came from the database.
            force_update: Writes every field to the row of that key, even where the instance is new or unchanged.
            update_fields: Writes these fields (or relations) only, changed or not.
            using: The alias of the database; the one it came from when not given. In another database the row of
                that key is written, or made.

        Raises:
            NotUpdated: The row is gone.
            InvalidValue: A column without a value that must have one.
        """
        databases[alias := using or alias_of(self)].run(
            saving.save, self, alias, force_insert, force_update, update_fields
        )

    async def asave(
        self,
        *,
        force_insert: bool = False,
        force_update: bool = False,
        update_fields: Several[str] | None = None,
        using: str | None = None,
    ) -> None:
        """The awaiting twin of `save`."""
        await databases[alias := using or alias_of(self)].arun(
            saving.save, self, alias, force_insert, force_update, update_fields
        )

    def delete(self, *, using: str | None = None) -> int:
        """Deletes the row; gives 1, or 0 where it was gone already."""
        return databases[alias := using or alias_of(self)].run(saving.delete, self, alias)

    async def adelete(self, *, using: str | None = None) -> int:
        """The awaiting twin of `delete`."""
        return await databases[alias := using or alias_of(self)].arun(saving.delete, self, alias)

    def refresh(
        self,
        *,
        fields: Several[str] | None = None,
        using: str | None = None,
        from_queryset: Question[Self, Any] | None = None,
    ) -> None:
        """Reads the row again, whole or some fields of it, and drops loaded relations.

        Args:
            fields: Fields or relations: only these are read again and dropped, and relations to many just dropped.
            using: The alias of the database; the one it came from when not given.
            from_queryset: Among which rows it is looked for, and how: `Book.objects.select_for_update()` locks it, and
                relations that it joins or prefetches are loaded anew.

        Raises:
            DoesNotExist: The row is gone, or not among those of `from_queryset`.
        """
        return databases[alias := using or alias_of(self)].run(saving.refresh, self, alias, fields, from_queryset)

    async def arefresh(
        self,
        *,
        fields: Several[str] | None = None,
        using: str | None = None,
        from_queryset: Question[Self, Any] | None = None,
    ) -> None:
        """The awaiting twin of `refresh`."""
        return await databases[alias := using or alias_of(self)].arun(
            saving.refresh, self, alias, fields, from_queryset
        )

    def get_deferred_fields(self) -> set[str]:
        """The fields that have not come with the row, because of `only()` or `defer()`; asking for one loads it."""
        return deferring.absent(self)

    def validate_constraints(self, *, using: str | None = None) -> None:
        """Asks in one statement whether the database would refuse the row: for messages beside the fields of a form.

        Looks at everything in `Meta.constraints`, at `unique=True`, at limits such as `ge=0`, and at the key of a new
        row; not at fields that only the database will fill. Somebody may write the same before `save()`, which can
        still raise `IntegrityError`.

        Args:
            using: The alias of the database; the one it came from when not given.

        Raises:
            ValidationError: It would; one error for each constraint, placed at its fields, in the words of its
                `violation_error_message`.
        """
        return databases[alias := using or alias_of(self)].run(validating.validate, self, alias)

    async def avalidate_constraints(self, *, using: str | None = None) -> None:
        """The awaiting twin of `validate_constraints`."""
        return await databases[alias := using or alias_of(self)].arun(validating.validate, self, alias)

    def validate_unique(self, *, using: str | None = None) -> None:
        """As `validate_constraints`, of unique constraints and the key alone: whether other rows are in the way.

        Args:
            using: The alias of the database; the one it came from when not given.

        Raises:
            ValidationError: There are such rows; one error for each constraint, placed at its fields.
        """
        return databases[alias := using or alias_of(self)].run(validating.validate, self, alias, only_unique=True)

    async def avalidate_unique(self, *, using: str | None = None) -> None:
        """The awaiting twin of `validate_unique`."""
        return await databases[alias := using or alias_of(self)].arun(
            validating.validate, self, alias, only_unique=True
        )

    def load(self, *relations: str) -> None:
        """Loads relations of this instance that are not loaded yet: `book.load("author")`."""
        return databases[alias := alias_of(self)].run(
            loading.prefetch, [self], lookups_of(type(self), relations), alias
        )

    async def aload(self, *relations: str) -> None:
        """The awaiting twin of `load`."""
        return await databases[alias := alias_of(self)].arun(
            loading.prefetch, [self], lookups_of(type(self), relations), alias
        )


def _drop_others(instance: Any, written: Iterable[str]) -> None:
    """Drops the objects that the keys among some fields no longer lead to."""
    model: Any = instance.__class__
    for name, relation in model.__datalayer_relations__.items():
        if any(field in relation.key_fields for field in written) and peek(instance, name) is not None:
            key_fields_changed(instance, related.spec_of(model, name))


def _drop_unset(instance: Any, names: Iterable[str]) -> None:
    """Makes those of some fields absent that nobody gave a value and that have no default."""
    values: dict[str, Any] = instance.__dict__
    for name in names:
        if values.get(name) is UNSET:
            del values[name]
            instance.__pydantic_fields_set__.discard(name)


def _spell_key(cls: Any, data: dict[str, Any]) -> None:
    """Turns `pk=` into the fields of the key.

    Raises:
        ValidationError: They were given as well, or it has not as many parts.
    """
    if cls.__datalayer_abstract__:
        return
    names, key = cls.table.primary_key, data.pop("pk")
    parts: Any = (key,) if len(names) == 1 else key
    if not isinstance(parts, tuple | list) or len(cast("list[object]", parts)) != len(names):
        raise refused(cls.__name__, "pk", f"is a tuple ({', '.join(names)})", key)
    for name, part in zip(names, cast("list[object]", parts), strict=True):
        if name in data:
            raise refused(cls.__name__, "pk", f"was given together with {name}={data[name]!r}; keep one", key)
        data[name] = part


def _linked(instance: Any, data: dict[str, Any]) -> dict[str, Any]:
    """The objects given for relations, taken out of what pydantic validates.

    Raises:
        ValidationError: Something given for a relation to many.
    """
    linked = {name: data.pop(name) for name in instance.__datalayer_relations__ if name in data}
    for name in instance.__datalayer_many__:
        if name in data:
            model = type(instance).__name__
            raise refused(model, name, f"is many rows: save this {model}, then call {name}.add(...)", data[name])
    return linked


def _give_keys(cls: Any, relations: dict[str, Forward], linked: dict[str, Any], data: dict[str, Any]) -> None:
    """Turns given objects into the keys pydantic validates.

    Raises:
        ValidationError: An object of another model.
    """
    for name, value in linked.items():
        spec = relations[name].spec or related.spec_of(cls, name)
        related.check_target(spec, value)
        key = None if value is None else key_values(value, spec.remote)
        for place, field in enumerate(spec.local):
            if field in data and data[field] != (None if key is None else key[place]):
                raise refused(cls.__name__, name, f"was given together with {field}={data[field]!r}; keep one", value)
            data[field] = (UNSET if value is not None else None) if key is None else key[place]


class Model(ModelBase):
    """A model with `id`, an integer the database numbers."""

    id: Mapped[int] = PrimaryKey(init=False)

    if not TYPE_CHECKING:

        class Meta:  # noqa: D106
            abstract = True


class UUIDModel(ModelBase):
    """A model with `id`, a UUID of version 7: made here, growing with time."""

    id: Mapped[UUID] = PrimaryKey(default_factory=uuid7)

    if not TYPE_CHECKING:

        class Meta:  # noqa: D106
            abstract = True


__all__ = ["Model", "ModelBase", "UUIDModel", "forget"]
