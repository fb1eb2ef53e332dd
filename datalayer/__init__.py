"""A Django-style data layer for typed Python, without Django.

Names are loaded when they are first used, so that `import datalayer` costs nothing that is not needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datalayer import errors
    from datalayer._schema.field import UNSET
    from datalayer.conf import DatabaseUrl, Settings, configure, override, settings
    from datalayer.databases.atomic import atomic
    from datalayer.databases.events import Listener, Statement, listen
    from datalayer.databases.inside import on_commit
    from datalayer.databases.listeners import OpenTelemetryTracing, SlowQueryLog
    from datalayer.models.adapters import register_type
    from datalayer.models.adding import Lookup, SqlFunction, Transform
    from datalayer.models.aggregates import Avg, Count, Max, Min, Sum
    from datalayer.models.annotation import Annotation
    from datalayer.models.combining import FilteredRelation, Join
    from datalayer.models.conditional import Case, Value, When
    from datalayer.models.conflicts import Excluded
    from datalayer.models.constraints import CheckConstraint, Deferrable, ExclusionConstraint, Index, UniqueConstraint
    from datalayer.models.display import display
    from datalayer.models.expressions import F, Q
    from datalayer.models.fields import BigInt, Field, Int, Mapped, NaiveDatetime, PrimaryKey, SmallInt, Sql
    from datalayer.models.hooks import Change, after_delete, after_save, before_delete, before_save
    from datalayer.models.manager import Manager
    from datalayer.models.model import Model, ModelBase, UUIDModel
    from datalayer.models.prefetch import Prefetch, aprefetch_related_objects, prefetch_related_objects
    from datalayer.models.queryset import QuerySet
    from datalayer.models.ranges import Range
    from datalayer.models.relations import (
        CASCADE,
        DO_NOTHING,
        PROTECT,
        RESTRICT,
        SET,
        SET_DEFAULT,
        SET_NULL,
        ForeignKey,
        ManyToMany,
        OneToOne,
        Reverse,
        ReverseOne,
    )
    from datalayer.models.subqueries import Exists, OuterRef, Subquery
    from datalayer.models.windows import Window
    from datalayer.pooling.registry import pools

_HOMES = {
    "Annotation": "models.annotation",
    "Avg": "models.aggregates",
    "BigInt": "models.fields",
    "CASCADE": "models.relations",
    "Case": "models.conditional",
    "Change": "models.hooks",
    "CheckConstraint": "models.constraints",
    "Count": "models.aggregates",
    "DO_NOTHING": "models.relations",
    "DatabaseUrl": "conf",
    "Deferrable": "models.constraints",
    "Excluded": "models.conflicts",
    "ExclusionConstraint": "models.constraints",
    "Exists": "models.subqueries",
    "F": "models.expressions",
    "Field": "models.fields",
    "FilteredRelation": "models.combining",
    "ForeignKey": "models.relations",
    "Index": "models.constraints",
    "Int": "models.fields",
    "Join": "models.combining",
    "Listener": "databases.events",
    "Lookup": "models.adding",
    "Manager": "models.manager",
    "ManyToMany": "models.relations",
    "Mapped": "models.fields",
    "Max": "models.aggregates",
    "Min": "models.aggregates",
    "Model": "models.model",
    "ModelBase": "models.model",
    "NaiveDatetime": "models.fields",
    "OneToOne": "models.relations",
    "OpenTelemetryTracing": "databases.listeners",
    "OuterRef": "models.subqueries",
    "PROTECT": "models.relations",
    "Prefetch": "models.prefetch",
    "PrimaryKey": "models.fields",
    "Q": "models.expressions",
    "QuerySet": "models.queryset",
    "RESTRICT": "models.relations",
    "Range": "models.ranges",
    "Reverse": "models.relations",
    "ReverseOne": "models.relations",
    "SET": "models.relations",
    "SET_DEFAULT": "models.relations",
    "SET_NULL": "models.relations",
    "Settings": "conf",
    "SlowQueryLog": "databases.listeners",
    "SmallInt": "models.fields",
    "Sql": "models.fields",
    "SqlFunction": "models.adding",
    "Statement": "databases.events",
    "Subquery": "models.subqueries",
    "Sum": "models.aggregates",
    "Transform": "models.adding",
    "UNSET": "_schema.field",
    "UUIDModel": "models.model",
    "UniqueConstraint": "models.constraints",
    "Value": "models.conditional",
    "When": "models.conditional",
    "Window": "models.windows",
    "after_delete": "models.hooks",
    "after_save": "models.hooks",
    "aprefetch_related_objects": "models.prefetch",
    "atomic": "databases.atomic",
    "before_delete": "models.hooks",
    "before_save": "models.hooks",
    "configure": "conf",
    "display": "models.display",
    "errors": "",
    "listen": "databases.events",
    "on_commit": "databases.inside",
    "override": "conf",
    "pools": "pooling.registry",
    "prefetch_related_objects": "models.prefetch",
    "register_type": "models.adapters",
    "settings": "conf",
}

__all__ = [  # noqa: RUF022 - plain order, so that a person finds a name
    "Annotation",
    "Avg",
    "BigInt",
    "CASCADE",
    "Case",
    "Change",
    "CheckConstraint",
    "Count",
    "DO_NOTHING",
    "DatabaseUrl",
    "Deferrable",
    "Excluded",
    "ExclusionConstraint",
    "Exists",
    "F",
    "Field",
    "FilteredRelation",
    "ForeignKey",
    "Index",
    "Int",
    "Join",
    "Listener",
    "Lookup",
    "Manager",
    "ManyToMany",
    "Mapped",
    "Max",
    "Min",
    "Model",
    "ModelBase",
    "NaiveDatetime",
    "OneToOne",
    "OpenTelemetryTracing",
    "OuterRef",
    "PROTECT",
    "Prefetch",
    "PrimaryKey",
    "Q",
    "QuerySet",
    "RESTRICT",
    "Range",
    "Reverse",
    "ReverseOne",
    "SET",
    "SET_DEFAULT",
    "SET_NULL",
    "Settings",
    "SlowQueryLog",
    "SmallInt",
    "Sql",
    "SqlFunction",
    "Statement",
    "Subquery",
    "Sum",
    "Transform",
    "UNSET",
    "UUIDModel",
    "UniqueConstraint",
    "Value",
    "When",
    "Window",
    "after_delete",
    "after_save",
    "aprefetch_related_objects",
    "atomic",
    "before_delete",
    "before_save",
    "configure",
    "display",
    "errors",
    "listen",
    "on_commit",
    "override",
    "pools",
    "prefetch_related_objects",
    "register_type",
    "settings",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'datalayer' has no attribute {name!r}")
    value = import_module(f"datalayer.{home or name}")
    if home:
        value = getattr(value, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
