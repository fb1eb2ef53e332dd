"""From a model class to its `TableSpec`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from typing import Any, cast

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from datalayer._schema.field import UNSET, ColumnType, FieldSpec, Kind
from datalayer._schema.names import check_identifiers, constraint_name, shortened, table_name
from datalayer._schema.table import CheckSpec, ExclusionSpec, ForeignKeySpec, IndexSpec, TableSpec, UniqueSpec
from datalayer.errors import ModelError, choices_text, nearest
from datalayer.late import dataclass
from datalayer.models._pydantic import limits, own_fields
from datalayer.models.checks import field_adapter, why
from datalayer.models.column_checks import checks_of
from datalayer.models.constraints import (
    CheckConstraint,
    ExclusionConstraint,
    Index,
    UniqueConstraint,
    initially,
)
from datalayer.models.django_words import META, hint
from datalayer.models.fields import ColumnKind, ColumnOptions, db_default_of
from datalayer.models.hooks import WITH_DELETES
from datalayer.models.late_conditions import sql_of
from datalayer.models.limits import check_limits, collation_of
from datalayer.models.relations import ON_DELETE, SET_DEFAULT, SET_NULL, Forward
from datalayer.models.types import column_type
from datalayer.models.unwrap import unwrapped


@dataclass(slots=True)
class Options:
    """`class Meta`, read and checked."""

    table: str | None = None
    abstract: bool = False
    proxy: bool = False
    managed: bool = True
    ordering: tuple[Any, ...] = ()
    constraints: tuple[object, ...] = ()
    indexes: tuple[object, ...] = ()
    primary_key: tuple[str, ...] = ()
    comment: str | None = None
    default_related_name: str | None = None
    default_manager_name: str | None = None
    base_manager_name: str | None = None
    get_latest_by: tuple[Any, ...] = ()
    natural_key: tuple[str, ...] = ()
    view: str | None = None
    inherited: dict[str, Any] = field(default_factory=dict[str, Any])


META_NAMES = (
    "table",
    "abstract",
    "proxy",
    "managed",
    "ordering",
    "constraints",
    "indexes",
    "primary_key",
    "comment",
    "default_related_name",
    "default_manager_name",
    "base_manager_name",
    "get_latest_by",
    "natural_key",
    "view",
)
VIEWS = ("plain", "materialized")
_MANAGERS = ("default_manager_name", "base_manager_name")
_INHERITED = (
    "ordering",
    "constraints",
    "indexes",
    "primary_key",
    "managed",
    "default_related_name",
    "get_latest_by",
    "natural_key",
    *_MANAGERS,
)


def read_meta(meta: type | None, inherited: Mapping[str, Any], model: str) -> Options:
    """The options of a model.

    Args:
        meta: Its `class Meta`, if it has one.
        inherited: Options of its abstract parents.
        model: Its name, for messages.

    Raises:
        ModelError: An unknown option, or a value of the wrong type.
    """
    given = dict(inherited)
    own: dict[str, Any] = {}
    for cls in reversed(meta.__mro__ if meta else ()):
        own.update({n: v for n, v in vars(cls).items() if not n.startswith("__")} if cls is not object else {})
    if meta is not None and "abstract" in own and "abstract" not in vars(meta):
        del own["abstract"]
    for name, value in own.items():
        if name not in META_NAMES:
            choices = f"; the options are {choices_text(META_NAMES)}{nearest(name, META_NAMES)}"
            raise ModelError(f"{model}.Meta has the unknown option {name!r}{hint(META, name, model) or choices}")
        if name == "get_latest_by" and isinstance(value, str):
            value = (value,)
        if name in ("ordering", "constraints", "indexes", "primary_key", "get_latest_by", "natural_key"):
            if isinstance(value, str) or not isinstance(value, list | tuple):
                raise ModelError(f"{model}.Meta.{name} is {value!r}; it must be a tuple, such as ({value!r},)")
            value = tuple(cast("Iterable[object]", value))
        if name == "view" and value not in VIEWS:
            raise ModelError(f"{model}.Meta.view is {value!r}; the choices are {choices_text(VIEWS)}")
        given[name] = value
    options = Options(**given)
    options.inherited = {name: given[name] for name in _INHERITED if name in given}
    return options


PROXY_NAMES = ("proxy", "ordering", "get_latest_by", *_MANAGERS)


def proxy_options(base: Options, meta: type, model: str) -> Options:
    """The options of a proxy: those of the model whose rows it shows, but for the order and the managers.

    Raises:
        ModelError: It says something about the table, which is the other model's.
    """
    own = {name: value for name, value in vars(meta).items() if not name.startswith("__")}
    wrong = [name for name in own if name not in PROXY_NAMES]
    if wrong:
        raise ModelError(
            f"{model}.Meta has {wrong[0]!r}, but {model} is a proxy and has no table of its own; "
            f"a proxy has {choices_text(PROXY_NAMES)}"
        )
    return replace(base, **read_meta(meta, {}, model).inherited, proxy=True)


def build_table(
    model: Any,
    options: Options,
    relations: Mapping[str, Forward],
    key_type: Callable[[Forward], tuple[ColumnType, str]],
) -> TableSpec:
    """The table of a model whose relations' targets are known.

    Args:
        model: The class.
        options: Its options.
        relations: Its forward relations by name.
        key_type: Says what type the key of a relation has, and the field of the target it refers to.
    """
    name = options.table or shortened(table_name(model.__name__))
    behind = {key: relation for relation in relations.values() for key in relation.key_fields}
    fields: list[FieldSpec] = []
    unique: list[UniqueSpec] = []
    checks: list[CheckSpec] = []
    exclusions: list[ExclusionSpec] = []
    indexes: list[IndexSpec] = []
    for field_name, info in own_fields(model).items():
        relation = behind.get(field_name)
        is_implicit = relation is not None and not relation.options["fields"]
        if relation is not None and is_implicit:
            spec, extra = _key_field(field_name, relation, key_type(relation)[0])
        else:
            spec, extra = _plain_field(model, field_name, info, relation)
            checks.extend(checks_of(name, spec, info))
        fields.append(spec)
        if extra.unique and not spec.is_primary_key:
            unique.append(UniqueSpec(constraint_name("uq", name, (spec.column,)), (field_name,)))
        if extra.index and not extra.unique and not spec.is_primary_key:
            indexes.append(IndexSpec(constraint_name("ix", name, (spec.column,)), (field_name,)))
    by_name = {spec.name: spec for spec in fields}
    _no_double_columns(model.__name__, fields)
    primary_key = options.primary_key or tuple(spec.name for spec in fields if spec.is_primary_key)
    keys = dict.fromkeys(by_name[item].relation or item for item in primary_key if item in by_name)
    if len(keys) > 1 and not options.primary_key:
        raise ModelError(
            f"{model.__name__} has several primary keys: {', '.join(keys)}; Model and UUIDModel bring one of their "
            f"own, so inherit from ModelBase, or name one of several columns: Meta.primary_key = {tuple(keys)!r}"
        )
    resolve = _Resolver(model.__name__, by_name, relations)
    primary_key = tuple(name for item in primary_key for name in resolve.fields(item, "primary_key"))
    if not primary_key:
        raise ModelError(
            f"{model.__name__} has no primary key; inherit from Model or UUIDModel, declare one field with "
            'PrimaryKey(), or name several in Meta.primary_key = ("a", "b")'
        )
    fields = [_with_key(spec, primary_key) for spec in fields]
    own: list[UniqueSpec] = []
    for constraint in options.constraints:
        if isinstance(constraint, UniqueConstraint):
            own.append(_unique(name, constraint, resolve, by_name))
        elif isinstance(constraint, CheckConstraint):
            sql = sql_of(constraint.condition)
            assert sql is not None
            checks.append(CheckSpec(resolve.named(constraint, ""), sql, violation=constraint.violation))
        elif isinstance(constraint, ExclusionConstraint):
            exclusions.append(_exclusion(name, constraint, resolve, by_name))
        else:
            raise ModelError(
                f"{model.__name__}.Meta.constraints holds {constraint!r}; use UniqueConstraint, CheckConstraint or "
                "ExclusionConstraint"
            )
    said = {one.fields for one in own if one.is_whole}
    unique = [*(one for one in unique if one.fields not in said), *own]
    for index in options.indexes:
        if not isinstance(index, Index):
            raise ModelError(f"{model.__name__}.Meta.indexes holds {index!r}; use Index")
        indexes.append(_index(name, index, resolve, by_name))
    named: list[UniqueSpec | CheckSpec | ExclusionSpec | IndexSpec] = [*unique, *checks, *exclusions, *indexes]
    check_identifiers(model.__name__, name, [spec.column for spec in fields], [item.name for item in named])
    return TableSpec(
        name,
        model=model.__name__,
        fields=tuple(fields),
        primary_key=primary_key,
        unique=tuple(unique),
        checks=tuple(checks),
        exclusions=tuple(exclusions),
        indexes=tuple(indexes),
        foreign_keys=(),
        ordering=options.ordering,
        comment=options.comment,
        is_managed=options.managed and options.view is None,
        python_model=model,
        view=options.view,
    )


def placed(name: str, model: str, where: str) -> str:
    """A name that an abstract parent gives, in which `%(class)s` stands for each subclass.

    Args:
        name: As it is written.
        model: The name of the subclass.
        where: What is called so, for the message.

    Raises:
        ModelError: The name of an app is to be filled in.
    """
    found = name.replace("%(class)s", model.lower())
    if "%(app_label)s" in found:
        raise ModelError(f"{where} is {name!r}; there are no apps here, and only %(class)s is filled in")
    return found


def foreign_key(
    table: TableSpec, relation: Forward, target: TableSpec, target_fields: tuple[str, ...]
) -> ForeignKeySpec:
    """The constraint behind a relation.

    Raises:
        ModelError: What it does on delete leaves a key that its columns do not allow.
    """
    for name in relation.key_fields:
        field = table.fields[name]
        if relation.on_delete == SET_NULL and not field.nullable:
            raise ModelError(
                f"{table.model}.{relation.name} has on_delete=SET_NULL but {table.model}.{name} is never null; "
                "annotate it with | None or choose another on_delete"
            )
        if relation.on_delete == SET_DEFAULT and field.db_default is None:
            place = f"{table.model}.{name}" if relation.options["fields"] else "the relation"
            raise ModelError(
                f"{table.model}.{relation.name} has on_delete=SET_DEFAULT but no default in the database; "
                f"give {place} db_default=, the key of the row to fall back to"
            )
    if relation.refill is not None:
        WITH_DELETES.add(table.model)
    columns = tuple(table.fields[name].column for name in relation.key_fields)
    given: str | None = relation.options["name"]
    where = f"the name of {table.model}.{relation.name}"
    name = placed(given, table.model, where) if given else constraint_name("fk", table.name, columns)
    check_identifiers(table.model, table.name, (), [name])
    return ForeignKeySpec(
        name,
        relation.key_fields,
        target.name,
        target_fields,
        ON_DELETE[relation.on_delete],
        initially(relation.options["deferrable"], f"{table.model}.{relation.name}: deferrable"),
        relation.refill,
    )


def options_of(info: FieldInfo) -> ColumnOptions:
    """What a field says about its column; plain fields say nothing."""
    for item in reversed((*unwrapped(info.annotation)[2], *info.metadata)):
        if isinstance(item, ColumnOptions):
            return item
    return ColumnOptions()


def now() -> datetime.datetime:
    """The present moment, aware, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def today() -> datetime.date:
    """The present day in UTC."""
    return now().date()


def plain_type(info: FieldInfo, where: str) -> tuple[ColumnType, bool]:
    """The column type of a field, and whether it is nullable; a numbered key has 64 bits unless it says other."""
    kind, nullable = column_type(info.annotation, tuple(info.metadata), where)
    said = (*unwrapped(info.annotation)[2], *info.metadata)
    is_said = any(isinstance(item, ColumnKind) for item in said)
    if kind.kind is Kind.INTEGER and not is_said and options_of(info).is_identity:
        kind = ColumnType(Kind.BIG_INTEGER, python=int)
    collation = options_of(info).collation
    if collation is not None:
        kind = replace(kind, collation=collation_of(where, kind, collation))
    return kind, nullable


def _plain_field(model: Any, name: str, info: FieldInfo, relation: Forward | None) -> tuple[FieldSpec, ColumnOptions]:
    where = f"{model.__name__}.{name}"
    options = options_of(info)
    kind, nullable = plain_type(info, where)
    check_limits(where, kind, limits((*unwrapped(info.annotation)[2], *info.metadata)))
    _check_default(model, name, info, options, kind, nullable)
    filler: Callable[[], object] | None = None
    if options.auto_now or options.auto_now_add:
        fillers: dict[Kind, Callable[[], object]] = {Kind.DATETIME: now, Kind.DATE: today}
        if kind.kind not in fillers:
            raise ModelError(f"{where} has auto_now or auto_now_add, which need a datetime or a date")
        filler = fillers[kind.kind]
    if options.is_identity and kind.kind not in (Kind.SMALL_INTEGER, Kind.INTEGER, Kind.BIG_INTEGER):
        raise ModelError(
            f"{where} is PrimaryKey(init=False), which the database numbers, so it must be an int; "
            "give default_factory=, or leave init=False away"
        )
    if options.is_primary_key and nullable:
        raise ModelError(
            f"{where} is a primary key and can never be None; annotate it without None: unsaved keys are absent"
        )
    spec = FieldSpec(
        name,
        options.column or name,
        kind,
        nullable=nullable,
        is_primary_key=options.is_primary_key,
        is_identity=options.is_identity,
        db_default=options.db_default,
        generated=options.generated,
        comment=options.comment,
        on_create=filler,
        on_update=filler if options.auto_now else None,
        relation=relation.name if relation is not None else None,
        tracks_content=kind.kind in (Kind.JSON, Kind.ARRAY),
    )
    return spec, options


def _check_default(
    model: Any, name: str, info: FieldInfo, options: ColumnOptions, kind: ColumnType, nullable: bool
) -> None:
    """Refuses a default that the field itself would not take: pydantic never looks at one.

    Raises:
        ModelError: It is of another type, or out of the limits.
    """
    literal = UNSET if options.db_default is None else options.db_default.literal
    for option, value in (("default", info.default), ("db_default", literal)):
        if value is PydanticUndefined or value is UNSET or (value is None and nullable):
            continue
        where = f"{model.__name__}.{name} has {option}={value!r}"
        if value is None:
            raise ModelError(f"{where} but is never None; annotate it with | None, or leave the default away")
        try:
            taken = field_adapter(model, name).validate_python(value)
        except ValidationError as error:
            raise ModelError(f"{where}, which the field itself refuses{why(error)}") from None
        if type(taken) is not type(value) and not (type(value) is int and kind.kind is Kind.FLOAT):
            raise ModelError(f"{where}, which is {type(value).__name__}; give {type(taken).__name__}: {taken!r}")


def _key_field(name: str, relation: Forward, kind: ColumnType) -> tuple[FieldSpec, ColumnOptions]:
    is_one = relation.kind.name == "ONE_TO_ONE"
    options = ColumnOptions(
        unique=is_one, index=relation.options["index"] and not is_one, is_primary_key=relation.options["primary_key"]
    )
    spec = FieldSpec(
        name,
        relation.options["column"] or name,
        kind,
        nullable=relation.nullable,
        is_primary_key=relation.options["primary_key"],
        db_default=db_default_of(relation.options["db_default"]),
        comment=relation.options["comment"],
        relation=relation.name,
    )
    return spec, options


def _with_key(spec: FieldSpec, primary_key: tuple[str, ...]) -> FieldSpec:
    if (spec.name in primary_key) == spec.is_primary_key:
        return spec
    values: dict[str, Any] = {name: getattr(spec, name) for name in FieldSpec.__dataclass_fields__}
    values["is_primary_key"] = spec.name in primary_key
    return FieldSpec(**values)


def _no_double_columns(model: str, fields: list[FieldSpec]) -> None:
    seen: dict[str, str] = {}
    for spec in fields:
        other = seen.setdefault(spec.column.lower(), spec.name)
        if other != spec.name:
            raise ModelError(
                f"{model}.{spec.name} and {model}.{other} share the column {spec.column!r}; rename one with column="
            )


def no_double_names(table: TableSpec) -> None:
    """Refuses two constraints or indexes of one name, foreign keys included.

    Raises:
        ModelError: There are two.
    """
    keys, indexes = [one.name for one in table.foreign_keys], [one.name for one in table.indexes]
    rules: list[UniqueSpec | CheckSpec | ExclusionSpec] = [*table.unique, *table.checks, *table.exclusions]
    names = [*(rule.name for rule in rules), *indexes, *keys]
    for name in names:
        if names.count(name) > 1:
            raise ModelError(f"{table.model} has two constraints or indexes called {name!r}; give one another name=")


class _Resolver:
    """Turns names in Meta into field names."""

    def __init__(self, model: str, fields: Mapping[str, FieldSpec], relations: Mapping[str, Forward]) -> None:
        self.model = model
        self.known = {name: (name,) for name in fields} | {name: r.key_fields for name, r in relations.items()}

    def named(self, made_of: Any, otherwise: str) -> str:
        """The name of a constraint or an index, or the one that is made for it where it has none."""
        given: str | None = made_of.name
        if given is None:
            return otherwise
        return placed(given, self.model, f"the name of {type(made_of).__name__} in {self.model}.Meta")

    def fields(self, name: str, option: str) -> tuple[str, ...]:
        """The fields behind a name: one, or those of a relation's key."""
        bare = name.removeprefix("-")
        if bare not in self.known:
            raise ModelError(
                f"{self.model}.Meta.{option} names {bare!r}, which {self.model} does not have; "
                f"its fields are {choices_text(self.known)}{nearest(bare, self.known)}"
            )
        sign = "-" if name.startswith("-") else ""
        return tuple(sign + item for item in self.known[bare])


def _exclusion(
    table: str, constraint: ExclusionConstraint, resolve: _Resolver, fields: Mapping[str, FieldSpec]
) -> ExclusionSpec:
    pairs = tuple([(f, sign) for item, sign in constraint.pairs for f in resolve.fields(item, "constraints")])
    made = constraint_name("ex", table, tuple([fields[name].column for name, _ in pairs]))
    return ExclusionSpec(
        resolve.named(constraint, made), pairs, constraint.method, sql_of(constraint.condition), constraint.violation
    )


def _unique(
    table: str, constraint: UniqueConstraint, resolve: _Resolver, fields: Mapping[str, FieldSpec]
) -> UniqueSpec:
    names, opclasses = _parts(constraint, resolve, "constraints")
    columns = tuple("" if item.startswith("(") else fields[item].column for item in names)
    made = constraint_name("uq", table, columns, "where" if constraint.condition is not None else "")
    return UniqueSpec(
        resolve.named(constraint, made),
        names,
        sql_of(constraint.condition),
        constraint.nulls_distinct,
        initially(constraint.deferrable, "UniqueConstraint(deferrable=...)"),
        tuple(f for item in constraint.include for f in resolve.fields(item, "constraints")),
        opclasses,
        constraint.violation,
    )


def _parts(
    made_of: UniqueConstraint | Index, resolve: _Resolver, option: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields and expressions that a constraint or an index is made of, and the operator class of each."""
    names: list[str] = []
    classes: list[str] = []
    for item, opclass in zip(made_of.fields, made_of.opclasses or [""] * len(made_of.fields), strict=True):
        if isinstance(item, str):
            found = resolve.fields(item, option)
        elif isinstance(item.sql, str) and made_of.name is not None:
            found = (f"({item.sql})",)
        else:
            word = type(made_of).__name__
            what = "one text for all backends" if made_of.name is not None else f"a name: {word}(Sql(...), name=...)"
            kind = "an index" if isinstance(made_of, Index) else "a constraint"
            raise ModelError(f"{resolve.model}.Meta.{option} has {kind} over an expression; it needs {what}")
        names += found
        classes += [opclass] * len(found)
    return tuple(names), tuple(classes) if any(classes) else ()


def _index(table: str, index: Index, resolve: _Resolver, fields: Mapping[str, FieldSpec]) -> IndexSpec:
    names, opclasses = _parts(index, resolve, "indexes")
    columns = tuple(
        "" if n.startswith("(") else fields[n.removeprefix("-")].column + ("_desc" if n.startswith("-") else "")
        for n in names
    )
    made = constraint_name("ix", table, columns, "where" if index.condition is not None else "")
    include = tuple(f for item in index.include for f in resolve.fields(item, "indexes"))
    return IndexSpec(
        resolve.named(index, made),
        names,
        sql_of(index.condition),
        index.method,
        include,
        index.unique,
        opclasses=opclasses,
    )
