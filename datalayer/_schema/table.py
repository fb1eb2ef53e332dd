"""What a table is: the single truth that queries, migrations and checks read.

A `TableSpec` is complete once every relation is resolved (`models.registry` does that). Names of constraints and
indexes are settled here, so that models, migrations and error messages agree on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeAlias

from datalayer._schema.field import FieldSpec
from datalayer._schema.relation import RelationSpec
from datalayer.late import dataclass

Initially = Literal["IMMEDIATE", "DEFERRED"]
"""When a deferrable constraint is checked if nobody says otherwise: with each statement, or at the end."""

SqlText: TypeAlias = "str | dict[str, str]"
"""SQL that is the same everywhere, or keyed by backend name. Columns are written as quoted names."""


def text_for(sql: SqlText, backend: str) -> str:
    """The text of a backend; where it has none of its own, that of the other one."""
    return sql if isinstance(sql, str) else sql.get(backend, next(iter(sql.values())))


@dataclass(frozen=True, slots=True)
class Violation:
    """What `validate_constraints()` says of a constraint that is not met; None where it says it in its own words."""

    message: str | None = None
    code: str | None = None


NO_WORDS = Violation()


class Late:
    """What links the tables of models that were declared since it was last done, and says whether there were any.

    `models.registry` puts it here, because it needs the models.
    """

    settle: ClassVar[Callable[..., bool]] = staticmethod(bool)


@dataclass(frozen=True, slots=True)
class UniqueSpec:
    """A unique constraint; each of `fields` is a field name, or an SQL expression in brackets.

    Attributes:
        condition: SQL that limits it to some rows.
        initially: When it is checked, where that can be put off; None where it cannot.
        include: Fields that PostgreSQL takes along.
        opclasses: The operator classes of PostgreSQL, one for each of `fields` or none at all.
        violation: How a row that does not meet it is told.
    """

    name: str
    fields: tuple[str, ...]
    condition: SqlText | None = None
    nulls_distinct: bool = True
    initially: Initially | None = None
    include: tuple[str, ...] = ()
    opclasses: tuple[str, ...] = ()
    violation: Violation = NO_WORDS

    @property
    def is_whole(self) -> bool:
        """Whether no two rows of the table have the same values of its fields."""
        return self.condition is None and not any(name.startswith("(") for name in self.fields)

    @property
    def is_index(self) -> bool:
        """Whether it can only be said as a unique index."""
        return not self.is_whole or bool(self.include or self.opclasses)


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A CHECK constraint."""

    name: str
    sql: SqlText
    fields: tuple[str, ...] = ()
    violation: Violation = NO_WORDS


@dataclass(frozen=True, slots=True)
class ExclusionSpec:
    """An exclusion constraint of PostgreSQL: no two rows for which all operators hold between their fields.

    Attributes:
        pairs: Field names, each with its operator.
        method: The index method behind it.
        condition: SQL that limits it to some rows.
        violation: How a row that does not meet it is told.
    """

    name: str
    pairs: tuple[tuple[str, str], ...]
    method: str = "gist"
    condition: SqlText | None = None
    violation: Violation = NO_WORDS

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields alone."""
        return tuple([field for field, _ in self.pairs])


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """An index; each of `fields` is a field name, `-name` for descending, or an SQL expression in brackets.

    `condition` (SQL) makes it partial; PostgreSQL takes the fields of `include` along, and has an operator class for
    each of `fields` where `opclasses` is not empty.
    """

    name: str
    fields: tuple[str, ...]
    condition: SqlText | None = None
    method: str | None = None
    include: tuple[str, ...] = ()
    unique: bool = False
    nulls_distinct: bool = True
    opclasses: tuple[str, ...] = ()


OnDelete = Literal["CASCADE", "RESTRICT", "SET NULL", "SET DEFAULT", "NO ACTION"]


@dataclass(frozen=True, slots=True)
class ForeignKeySpec:
    """A foreign key constraint; `fields` are ours, `target_fields` are field names of `target` (a table name).

    `refill` gives what a row refers to instead when its target is deleted: the library writes it first.
    """

    name: str
    fields: tuple[str, ...]
    target: str
    target_fields: tuple[str, ...]
    on_delete: OnDelete = "CASCADE"
    initially: Initially | None = None
    refill: Callable[[], object] | None = None


class TableSpec:
    """A table and the model it belongs to. Compared by identity.

    Attributes:
        name: The table's name in the database.
        model: The model's name, for messages and for the registry.
        fields: The columns by field name, in order of declaration.
        primary_key: The field names of the primary key.
        unique, checks, exclusions, indexes, foreign_keys: The constraints.
        relations: Every relation by its name on the model, reverse ones included; filled when models are resolved.
        referrers: The foreign keys that refer to it, each with its table; filled when models are resolved.
        ordering: `Meta.ordering` as field paths (`"name"`, `"-author__name"`).
        comment: Kept in the database where it can.
        is_managed: Whether migrations may create and change it.
        is_automatic: Whether it was made for a relation of many to many, without a class of the user's.
        key: A small number, unique in the process: what query shapes say instead of the table.
        references: How often a reference to any table was noted: what is known of references may be old when it grows.
        view: `plain` or `materialized` where it is a view, which nothing is written to; else None.
        python_model: The Model class itself, opaque to the lower layers.
        base: The table that this one is a query's own view of (`viewed`); None for tables themselves.
        names: What the names of its own columns mean in a query, with a lookup or without, once they were asked for.
    """

    __slots__ = (
        "base",
        "by_column",
        "checks",
        "comment",
        "exclusions",
        "fields",
        "foreign_keys",
        "indexes",
        "is_automatic",
        "is_managed",
        "key",
        "model",
        "name",
        "names",
        "ordering",
        "primary_key",
        "python_model",
        "referrers",
        "relations",
        "unique",
        "view",
    )
    _count = 0
    references: ClassVar[int] = 0

    def __init__(
        self,
        name: str,
        *,
        model: str,
        fields: tuple[FieldSpec, ...],
        primary_key: tuple[str, ...] = (),
        unique: tuple[UniqueSpec, ...] = (),
        checks: tuple[CheckSpec, ...] = (),
        exclusions: tuple[ExclusionSpec, ...] = (),
        indexes: tuple[IndexSpec, ...] = (),
        foreign_keys: tuple[ForeignKeySpec, ...] = (),
        ordering: tuple[str, ...] = (),
        comment: str | None = None,
        is_managed: bool = True,
        python_model: type | None = None,
        view: str | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self.fields: dict[str, FieldSpec] = {field.name: field for field in fields}
        self.by_column: dict[str, FieldSpec] = {field.column: field for field in fields}
        self.primary_key = primary_key
        self.unique = unique
        self.checks = checks
        self.exclusions = exclusions
        self.indexes = indexes
        self.foreign_keys = foreign_keys
        self.relations: dict[str, RelationSpec] = {}
        self.referrers: list[tuple[TableSpec, ForeignKeySpec]] = []
        self.ordering = ordering
        self.comment = comment
        self.is_managed = is_managed
        self.is_automatic = False
        self.python_model = python_model
        self.view = view
        self.base: TableSpec | None = None
        self.names: dict[str, Any] = {}
        TableSpec._count += 1
        self.key = TableSpec._count

    @property
    def origin(self) -> TableSpec:
        """The table itself, behind a query's view of it."""
        return self.base or self

    def viewed(self, fields: tuple[FieldSpec, ...] = (), relations: tuple[RelationSpec, ...] = ()) -> TableSpec:
        """The table as one query sees it: with joins that it names itself, and columns that its rows come with.

        It has the key of the table: what it has beyond that is part of the query's shape anyway.
        """
        new = TableSpec.__new__(TableSpec)
        for name in TableSpec.__slots__:
            setattr(new, name, getattr(self, name))
        more = {field.name: field for field in fields}
        new.fields = {**self.fields, **more}
        new.by_column = {**self.by_column, **{field.column: field for field in fields}}
        new.relations = {**self.relations, **{relation.name: relation for relation in relations}}
        new.base = self.origin
        new.names = {}
        return new

    def named_in(self, sql: SqlText) -> tuple[str, ...]:
        """The fields whose columns an SQL text names."""
        words = set(re.findall(r'"((?:[^"]|"")+)"|(\w+)', sql if isinstance(sql, str) else " ".join(sql.values())))
        found = {quoted.replace('""', '"') or bare for quoted, bare in words}
        return tuple([field.name for field in self.fields.values() if field.column in found])

    def relation(self, name: str) -> RelationSpec | None:
        """A relation; one that leads here from a model that was declared later is found too."""
        found = self.relations.get(name)
        return self.origin.relations.get(name) if found is None and Late.settle() else found

    def referred_by(self, table: TableSpec, key: ForeignKeySpec) -> None:
        """Notes a foreign key that refers to this table; of two of one name the newer takes the place of the older."""
        others = [pair for pair in self.referrers if (pair[0].name, pair[1].name) != (table.name, key.name)]
        self.referrers = [*others, (table, key)]
        TableSpec.references += 1

    def __repr__(self) -> str:
        return f"<TableSpec {self.name} of {self.model}>"
