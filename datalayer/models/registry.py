"""Every model there is, and how they find each other.

Models are registered when their class is made and resolved when something first needs a table: by then all modules are
loaded, so relations may refer to models that come later, by name. The registry belongs to the process; tests use
`isolated()`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from functools import partial
from typing import Any

from datalayer._query.comparing import comparable
from datalayer._schema.field import ColumnType, FieldSpec
from datalayer._schema.relation import RelationKind, RelationSpec
from datalayer._schema.table import ForeignKeySpec, Late, SqlText, TableSpec
from datalayer.errors import ModelError, choices_text, nearest
from datalayer.models import building, late_conditions, many
from datalayer.models._pydantic import is_complete, own_fields
from datalayer.models.declarations import check_together, check_way_back
from datalayer.models.relations import Declared, Forward, Many, Reverse
from datalayer.models.unwrap import unwrapped

_lock = threading.RLock()
_models: dict[tuple[str, str], Any] = {}
_pending: list[Any] = []
_failed: dict[Any, Exception] = {}
_new: set[Any] = set()
"""Those that were declared since tables were built the last time: what is used already does not know of them yet."""


def register(model: Any) -> None:
    """Makes a model known; one of the same module and name takes the place of the older."""
    with _lock:
        key = (model.__module__, model.__qualname__)
        old = _models.get(key)
        if old is not None and old in _pending:
            _pending.remove(old)
        _models[key] = model
        _pending.append(model)
        _new.add(model)


def models() -> list[Any]:
    """Every model with a table, in order of declaration."""
    return list(_models.values())


def tables() -> list[TableSpec]:
    """The table of every model, complete.

    Raises:
        ModelError: A relation leads nowhere, or two models claim one table.
    """
    resolve()
    found: dict[str, TableSpec] = {}
    for model in models():
        table = table_of(model)
        _check_reverses(model, table)
        other = found.setdefault(table.name, table)
        if other is not table:
            first, second = other.python_model, table.python_model
            assert first is not None
            assert second is not None
            raise ModelError(
                f"{first.__module__}.{first.__qualname__} and {second.__module__}.{second.__qualname__} both have the "
                f"table {table.name!r}; give one another Meta.table"
            )
    check_together(found.values())
    return list(found.values())


def _check_reverses(model: Any, table: TableSpec) -> None:
    known = {name for name, spec in table.relations.items() if not spec.kind.is_forward}
    for name in model.__datalayer_reverses__:
        if name not in known:
            raise ModelError(
                f"{table.model}.{name} is no way back of any relation; the ways back are {choices_text(known)}"
                f"{nearest(name, known)}"
            )


def clear() -> None:
    """Forgets every model: for tests."""
    with _lock:
        _models.clear()
        _pending.clear()
        _failed.clear()
        _new.clear()


@contextlib.contextmanager
def isolated() -> Generator[None]:
    """Inside, only models declared inside are known: for tests."""
    with _lock:
        kept = dict(_models), list(_pending)
    clear()
    try:
        yield
    finally:
        clear()
        with _lock:
            _models.update(kept[0])
            _pending.extend(kept[1])


def resolve() -> None:
    """Builds every table that is not built yet.

    Raises:
        ModelError: The first model that cannot be built.
    """
    _try_pending()
    for model in _pending:
        raise _failed[model]


def settle() -> bool:
    """Builds the tables of models that were declared since it was last done; whether there were any."""
    if not _new:
        return False
    _try_pending()
    return True


Late.settle = staticmethod(settle)


def table_of(model: Any) -> TableSpec:
    """The table of a model.

    Raises:
        ModelError: An abstract model, or one that cannot be built.
    """
    table: TableSpec | None = model.__dict__.get("__datalayer_table__")
    if table is not None and "__datalayer_linked__" in model.__dict__:
        return table
    if "__datalayer_shown__" in model.__dict__:
        table = table_of(model.__datalayer_shown__)
        type.__setattr__(model, "__datalayer_table__", table)
        type.__setattr__(model, "__datalayer_linked__", True)
        return table
    if model.__datalayer_abstract__:
        raise ModelError(f"{model.__name__} is abstract and has no table; use one of its subclasses")
    with _lock:
        if model not in _pending and "__datalayer_linked__" not in model.__dict__:
            _pending.append(model)
        _try_pending()
        if "__datalayer_linked__" not in model.__dict__:
            raise _failed[model]
    built: TableSpec = model.__dict__["__datalayer_table__"]
    return built


def column_of(model: Any, name: str) -> Any:
    """The column of a model, as its class attribute gives it."""
    from datalayer.models.column import make_column  # noqa: PLC0415 - columns need models resolved

    return make_column(model, name)


def find_target(relation: Declared, model: Any) -> Any:
    """The model a relation leads to.

    Raises:
        ModelError: No model of that name, or several.
    """
    if relation.spec is not None:
        return relation.spec.target.python_model
    return find_model(relation.target_name, model, f"{model.__name__}.{relation.name}")


def find_model(name: Any, model: Any, where: str) -> Any:
    """A model by the name that another one calls it.

    Args:
        name: The model itself, its name, with the module before it or without, or `self`.
        model: The one that names it; what is near to it is found first.
        where: The place that names it, for messages.

    Raises:
        ModelError: No model of that name, or several.
    """
    if not isinstance(name, str):
        if not hasattr(name, "__datalayer_abstract__"):
            raise ModelError(f"{where} refers to {name!r}, which is not a model")
        if name.__datalayer_abstract__:
            raise ModelError(f"{where} refers to {name.__name__}, which is abstract and has no rows")
        if "__datalayer_shown__" in name.__dict__:
            raise _is_proxy(name, where)
        return name
    if name == "self":
        return model
    module, _, last = name.rpartition(".")
    found = [m for m in _models.values() if m.__name__ == last and (not module or m.__module__.endswith(module))]
    if model.__name__ == last and model not in found:
        found.append(model)
    scope = model.__qualname__.rpartition(".")[0]
    for near in (
        [m for m in found if m.__module__ == model.__module__ and m.__qualname__.rpartition(".")[0] == scope],
        [m for m in found if m.__module__ == model.__module__],
        found,
    ):
        if len(near) == 1:
            return near[0]
    if not found:
        for proxy in [cls for m in list(_models.values()) for cls in m.__subclasses__() if cls.__name__ == last]:
            raise _is_proxy(proxy, where)
        names = {m.__name__ for m in _models.values()}
        raise ModelError(
            f"{where} refers to {name!r}, and no model is called so; "
            f"the models are {choices_text(names)}{nearest(last, names)}"
        )
    choices = choices_text(f"{m.__module__}.{m.__qualname__}" for m in found)
    raise ModelError(f"{where} refers to {name!r}, which could be any of {choices}; write the module before the name")


def _is_proxy(proxy: Any, where: str) -> ModelError:
    shown = proxy.__datalayer_shown__.__name__
    return ModelError(f"{where} refers to {proxy.__name__}, which is a proxy; refer to {shown}, whose rows it shows")


def target_fields(relation: Forward, model: Any) -> tuple[Any, tuple[str, ...]]:
    """The target of a relation and the fields its key is compared with."""
    target = find_target(relation, model)
    where = f"{model.__name__}.{relation.name}"
    if relation.options["to_field"] is not None:
        name = relation.options["to_field"]
        fields = own_fields(target)
        if name not in fields:
            raise ModelError(
                f"{where} has to_field={name!r}; {target.__name__} has {choices_text(fields)}{nearest(name, fields)}"
            )
        return target, (name,)
    key = primary_key(target)
    if len(key) != len(relation.key_fields):
        raise ModelError(
            f"{where} refers to {target.__name__}, whose primary key is {', '.join(key) or 'missing'}; "
            f"declare {len(key)} fields for it and name them: fields=({', '.join(repr(item) for item in key)})"
        )
    return target, key


def primary_key(model: Any) -> tuple[str, ...]:
    """The names of the primary key's fields."""
    named: tuple[str, ...] = model.__datalayer_options__.primary_key
    relations: dict[str, Forward] = model.__datalayer_relations__
    if named:
        return tuple(key for name in named for key in (relations[name].key_fields if name in relations else (name,)))
    keys = {key for relation in relations.values() if relation.options["primary_key"] for key in relation.key_fields}
    complete(model)
    return tuple(
        name for name, info in own_fields(model).items() if name in keys or building.options_of(info).is_primary_key
    )


def key_annotation(relation: Forward, model: Any, depth: int = 0) -> Any:
    """The Python type of a relation's key."""
    target, (name, *_) = target_fields(relation, model)
    for behind in target.__datalayer_relations__.values():
        if name in behind.key_fields and not behind.options["fields"] and depth < 20:
            return key_annotation(behind, target, depth + 1)
    complete(target)
    info = own_fields(target)[name]
    return unwrapped(info.annotation)[0]


def key_type(relation: Forward, model: Any, depth: int = 0) -> tuple[ColumnType, str]:
    """The column type of a relation's key, and the field of the target it is compared with."""
    target, (name, *_) = target_fields(relation, model)
    for behind in target.__datalayer_relations__.values():
        if name in behind.key_fields and not behind.options["fields"]:
            if depth > 20:
                raise ModelError(f"{model.__name__}.{relation.name} refers to a primary key that refers to itself")
            return key_type(behind, target, depth + 1)[0], name
    complete(target)
    info = own_fields(target)[name]
    return building.plain_type(info, f"{target.__name__}.{name}")[0], name


def complete(model: Any) -> None:
    """Resolves names in annotations that were not known when the class was made."""
    if all(is_complete(info) for info in own_fields(model).values()):
        return
    namespace = {m.__name__: m for m in _models.values()}
    namespace.update(model.__datalayer_scope__ or {})
    try:
        model.model_rebuild(force=True, _types_namespace=namespace)
    except NameError as error:
        raise ModelError(f"{model.__name__} has an annotation that cannot be read: {error}") from error


def _try_pending() -> None:
    """Builds and links what can be; what cannot stays pending with its error."""
    with _lock:
        _new.clear()
        for model in list(_pending):
            try:
                _join(model)
            except ModelError as error:
                _failed[model] = error
        waiting = list(_pending)
        for model in waiting:
            try:
                _build(model)
            except ModelError as error:
                _failed[model] = error
        for model in waiting:
            if "__datalayer_table__" in model.__dict__:
                try:
                    _link(model)
                except ModelError as error:
                    _failed[model] = error
                else:
                    _finish(model)


def _finish(model: Any) -> None:
    """Marks a model as linked, and writes the conditions of its constraints, which are about columns of it."""
    type.__setattr__(model, "__datalayer_linked__", True)
    try:
        table: TableSpec = model.__dict__["__datalayer_table__"]
        options = model.__datalayer_options__
        late_conditions.written_conditions(table, (*options.constraints, *options.indexes), partial(_written, table))
    except ModelError as error:
        type.__delattr__(model, "__datalayer_linked__")
        _failed[model] = error
    else:
        _pending.remove(model)
        _failed.pop(model, None)


def _written(table: TableSpec, given: Any, where: str) -> tuple[SqlText, tuple[str, ...]]:
    # Conditions need columns, and these models resolved; and models without any do not pay for the compiler.
    from datalayer.models.rules import written  # noqa: PLC0415 - for both reasons

    return written(given, table, where)


def _join(model: Any) -> None:
    """Finds or makes the models in between of its relations of many to many."""
    relation: Many
    for relation in model.__datalayer_many__.values():
        if relation.through is not None:
            continue
        named = relation.options["through"]
        if named is None:
            target = find_target(relation, model)
            relation.through = many.make_through(relation, model, target, _key_annotations)
        else:
            relation.through = find_model(named, model, f"{model.__name__}.{relation.name} (through=)")


def _key_annotations(model: Any) -> dict[str, Any]:
    """The fields of a model's primary key, each with the annotation of a field that holds its value elsewhere."""
    found: dict[str, Any] = {}
    for name in primary_key(model):
        info = own_fields(model)[name]
        found[name] = many.annotation_of(info)
        for relation in model.__datalayer_relations__.values():
            if name in relation.key_fields and not relation.options["fields"]:
                found[name] = key_annotation(relation, model)
    return found


def _build(model: Any) -> None:
    if "__datalayer_table__" in model.__dict__:
        return
    complete(model)
    table = building.build_table(
        model, model.__datalayer_options__, model.__datalayer_relations__, lambda relation: key_type(relation, model)
    )
    table.is_automatic = "__datalayer_automatic__" in model.__dict__
    type.__setattr__(model, "__datalayer_table__", table)


def _link(model: Any) -> None:
    """Makes both ends of each forward relation."""
    table: TableSpec = model.__dict__["__datalayer_table__"]
    keys: list[ForeignKeySpec] = []
    for relation in model.__datalayer_relations__.values():
        target, remote = target_fields(relation, model)
        other: TableSpec | None = target.__dict__.get("__datalayer_table__")
        if other is None:
            raise ModelError(
                f"{model.__name__}.{relation.name} refers to {target.__name__}, "
                f"which cannot be built: {_failed.get(target)}"
            )
        if relation.options["to_field"] and not _is_unique(other, remote):
            raise ModelError(
                f"{model.__name__}.{relation.name} has to_field={remote[0]!r}, which is not unique in {other.model} at "
                "every moment; give that field unique=True"
            )
        for here, there in zip(relation.key_fields, remote, strict=True):
            _check_comparable(table, relation, here, other.fields[there])
        name = _reverse_name(model, relation)
        spec = RelationSpec(
            relation.name,
            relation.kind,
            table,
            other,
            relation.key_fields,
            remote,
            relation.nullable or not relation.options["db_constraint"],
            name,
        )
        if relation.options["db_constraint"]:
            keys.append(building.foreign_key(table, relation, other, remote))
            other.referred_by(table, keys[-1])
        if name is not None:
            back = (
                RelationKind.REVERSE_ONE_TO_ONE
                if relation.kind is RelationKind.ONE_TO_ONE
                else RelationKind.REVERSE_FOREIGN_KEY
            )
            _add_reverse(
                model,
                relation,
                target,
                RelationSpec(name, back, other, table, remote, relation.key_fields, True, relation.name),
            )
        relation.spec = table.relations[relation.name] = spec
    table.foreign_keys = tuple(keys)
    building.no_double_names(table)
    for between in model.__datalayer_many__.values():
        _link_many(model, between, table)
    _check_natural_key(table, model.__datalayer_options__.natural_key)
    for option in ("ordering", "get_latest_by"):
        for item in getattr(model.__datalayer_options__, option):
            _check_ordering(table, item, option)


def _check_comparable(table: TableSpec, relation: Forward, here: str, there: FieldSpec) -> None:
    """Refuses a field of one type as the key of a row that has one of another."""
    own = table.fields[here].type.kind
    if not comparable(own, there.type.kind):
        raise ModelError(
            f"{table.model}.{relation.name} uses the field {here!r}, which is {own.value}, and refers to "
            f"{there.name!r}, which is {there.type.kind.value}; declare {here!r} as that"
        )


def _link_many(model: Any, relation: Many, table: TableSpec) -> None:
    """Makes both ends of a relation of many to many."""
    target, between = find_target(relation, model), relation.through
    other: TableSpec | None = target.__dict__.get("__datalayer_table__")
    middle: TableSpec | None = getattr(between, "__dict__", {}).get("__datalayer_table__")
    if between is None:
        raise _failed[model]  # as `_join` has found it
    if other is None or middle is None:
        broken = target if other is None else between
        raise ModelError(
            f"{model.__name__}.{relation.name} needs {broken.__name__}, which cannot be built: {_failed.get(broken)}"
        )
    ends = {name: find_target(key, between) for name, key in between.__datalayer_relations__.items()}
    here, there = many.sides(relation, model, target, between, ends)
    local, remote = target_fields(here, between)[1], target_fields(there, between)[1]
    is_symmetrical = many.is_symmetrical(relation, model, target)
    name = relation.name if is_symmetrical else _reverse_name(model, relation)
    kind = RelationKind.MANY_TO_MANY
    spec = RelationSpec(
        relation.name, kind, table, other, local, remote, True, name, middle, here.key_fields, there.key_fields
    )
    if name is not None and not is_symmetrical:
        back = RelationSpec(
            name, kind, other, table, remote, local, True, relation.name, middle, there.key_fields, here.key_fields
        )
        _add_reverse(model, relation, target, back)
    relation.spec = table.relations[relation.name] = spec


def _is_unique(table: TableSpec, fields: tuple[str, ...]) -> bool:
    return fields == table.primary_key or any(
        u.fields == fields and u.is_whole and u.initially is None for u in table.unique
    )


def _check_natural_key(table: TableSpec, names: tuple[str, ...]) -> None:
    """Refuses a natural key that names nothing, or that several rows could have.

    Raises:
        ModelError: It does.
    """
    forward = {name: relation.local for name, relation in table.relations.items() if relation.kind.is_forward}
    fields: list[str] = []
    for name in names:
        if name not in table.fields and name not in forward:
            choices = {*table.fields, *forward}
            raise ModelError(
                f"{table.model}.Meta.natural_key names {name!r}, which is neither a field nor a relation to one row; "
                f"the choices are {choices_text(choices)}{nearest(name, choices)}"
            )
        fields.extend(forward.get(name, (name,)))
    unique = (table.primary_key, *[one.fields for one in table.unique if one.is_whole])
    if names and not any(set(one) <= set(fields) for one in unique):
        raise ModelError(
            f"{table.model}.Meta.natural_key is {names!r}, which several rows could have; add "
            f"UniqueConstraint({', '.join(map(repr, names))}) to its constraints"
        )


def _check_ordering(table: TableSpec, path: object, option: str) -> None:
    """Refuses an item of `Meta.ordering` that names nothing; one that is no text is looked at when it is first used.

    Raises:
        ModelError: An unknown name, or what is no order at all.
    """
    if not isinstance(path, str):
        if hasattr(path, "resolved"):
            return
        raise ModelError(
            f"{table.model}.Meta.{option} holds {path!r}; it takes names of fields, as 'name' or '-name', and "
            "expressions, as F('name').desc(nulls='last')"
        )
    first = path.removeprefix("-").split("__")[0]
    known = {*table.fields, *table.relations, "pk"}
    if first not in known and first != "?":
        raise ModelError(
            f"{table.model}.Meta.{option} names {first!r}; the choices are {choices_text(known)}{nearest(first, known)}"
        )


def _reverse_name(model: Any, relation: Declared) -> str | None:
    given: str | None = relation.options["related_name"]
    if given is None:
        given = model.__datalayer_options__.default_related_name
    if given is None:
        tail = "" if relation.kind is RelationKind.ONE_TO_ONE else "_set"
        return str(model.__name__.lower()) + tail
    if given.endswith("+"):
        return None
    return building.placed(given, model.__name__, f"the related_name of {model.__name__}.{relation.name}")


def _add_reverse(model: Any, relation: Declared, target: Any, spec: RelationSpec) -> None:
    """Puts the way back of a relation on its target.

    Raises:
        ModelError: The target has something of that name.
    """
    other, name = spec.source, spec.name
    known = other.relations.get(name)
    where = f"{model.__name__}.{relation.name}"
    check_way_back(where, name)
    if known is not None:
        mine = known.target is model.__dict__["__datalayer_table__"] and known.reverse == relation.name
        again = (known.target.model, known.reverse) == (model.__name__, relation.name)  # the class was made again
        if not mine and not again:
            owner = f"{known.target.model}.{known.reverse}" if not known.kind.is_forward else f"{other.model}.{name}"
            raise ModelError(
                f"{where} is called {name!r} on {other.model}, and so is {owner}; "
                'give one of them another related_name, or related_name="+" for none'
            )
    elif name in other.fields or hasattr(target.__class__, name) or any(name in c.__dict__ for c in target.__mro__):
        raise ModelError(
            f"{where} is called {name!r} on {other.model}, which has that name already; choose another related_name"
        )
    other.relations[name] = spec
    back: Any = Reverse
    type.__setattr__(target, name, back(name, spec))
