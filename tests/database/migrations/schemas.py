"""Schemas nobody thought of, for the tests of migrations: tables of any shape, and pairs of them with renames."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any, TypeAlias
from uuid import UUID

from hypothesis import strategies as st

from datalayer import Range
from datalayer._schema.field import ColumnType, DatabaseDefault, FieldSpec, Kind
from datalayer._schema.names import constraint_name
from datalayer._schema.table import (
    CheckSpec,
    ExclusionSpec,
    ForeignKeySpec,
    IndexSpec,
    Initially,
    OnDelete,
    TableSpec,
    UniqueSpec,
)

Choices: TypeAlias = list[tuple[ColumnType, list[object]]]
Rows: TypeAlias = dict[str, dict[tuple[object, ...], dict[str, object]]]
"""Values by table, primary key and column."""

BIG = ColumnType(Kind.BIG_INTEGER, int)
NUMBERS: Choices = [
    (BIG, [0, -7]),
    (ColumnType(Kind.INTEGER, int), [1]),
    (ColumnType(Kind.DECIMAL, Decimal), [Decimal("6")]),
    (ColumnType(Kind.DECIMAL, Decimal, precision=8, scale=2), [Decimal("3.00")]),
    (ColumnType(Kind.DECIMAL, Decimal, precision=30, scale=9), [Decimal("-4.000000000")]),
    (ColumnType(Kind.FLOAT, float), [5.0]),
]
TEXTS: Choices = [
    (ColumnType(Kind.STRING, str, length=20), ["", "it's 5%"]),
    (ColumnType(Kind.STRING, str, length=30), ["a\\b"]),
    (ColumnType(Kind.TEXT, str), ["long: x"]),
]
# A column stays in its family: '' is no number, and no cast can help.
FAMILIES: dict[str, Choices] = {
    "a": NUMBERS,
    "b": TEXTS,
    "kind": [(ColumnType(Kind.ENUM, str, choices=("x", "y", *more)), ["x"]) for more in ((), ("longer",), ("z", "w"))],
    "data": [(ColumnType(Kind.JSON), [{"a": 1}, None])],
    "order": [*((kind, [0, 1]) for kind, _ in NUMBERS), (ColumnType(Kind.BOOLEAN, bool), [True, False])],
    "moment": [(ColumnType(Kind.DATETIME, datetime), [datetime(2020, 2, 29, 12, tzinfo=UTC)])],
    "day": [(ColumnType(Kind.DATE, date), [date(2020, 2, 29)])],
    "mark": [(ColumnType(Kind.UUID, UUID), [UUID(int=7)])],
    "items": [(ColumnType(Kind.ARRAY, list, item=ColumnType(Kind.TEXT, str)), [[], ["it's", "a,b"]])],
    "numbers": [(ColumnType(Kind.ARRAY, list, item=BIG), [[], [1, -(2**63)]])],
    "small": [
        # A default that fills NULLs is one of the choices there may have been: the way back keeps what it filled.
        (ColumnType(Kind.SMALL_INTEGER, int), [1]),
        (ColumnType(Kind.INTEGER, int), [2]),
        (ColumnType(Kind.ENUM, int, choices=(1, 2)), [1]),
        (ColumnType(Kind.ENUM, int, choices=(1, 2, 70)), [1]),
    ],
    "hour": [(ColumnType(Kind.TIME, time), [time(23, 59, 59, 999_999)])],
    "lasting": [(ColumnType(Kind.DURATION, timedelta), [timedelta(days=-1, microseconds=1)])],
    "local": [(ColumnType(Kind.NAIVE_DATETIME, datetime), [datetime(1, 1, 1, 0, 0, 1)])],
    "address": [(ColumnType(Kind.INET), [IPv4Interface("10.0.0.0/8"), IPv6Interface("::1/64")])],
    "span": [
        (ColumnType(Kind.RANGE, Range, item=ColumnType(Kind.DATE, date)), [Range(date(2020, 1, 1), None)]),
    ],
    "range": [
        (ColumnType(Kind.RANGE, Range, item=ColumnType(Kind.INTEGER, int)), [Range(1, 5), Range(None, 3)]),
        (ColumnType(Kind.RANGE, Range, item=ColumnType(Kind.BIG_INTEGER, int)), [Range(bounds="empty")]),
    ],
    "raw": [(ColumnType(Kind.BYTES, bytes), [b"\x00'%"])],
}
VALUES: dict[str, list[object]] = {
    "a": [12, 0, 99_999],
    "b": ["it's 5%", "", "\\x", "ünïcode ✓"],
    "order": [1, 0],
    "kind": ["x", "y"],
    "data": [{"a": [1, None, "it's"]}, [], {"b": 2.5}],
    "moment": [datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)],
    "day": [date(1, 1, 1), date(2024, 2, 29)],
    "mark": [UUID(int=1), UUID(int=2**128 - 1)],
    "items": [[], ["ünïcode ✓", "", "\\", '"{}', "NULL"]],
    "range": [Range(bounds="empty"), Range(None, None), Range(-4, 9)],
    "raw": [b"", bytes(range(256))],
    "numbers": [[0], [2**63 - 1, -5]],
    "small": [1, 2],
    "hour": [time(0), time(12, 30, 0, 1)],
    "lasting": [timedelta(0), timedelta(days=400, seconds=3, microseconds=7)],
    "local": [datetime(1999, 12, 31, 23, 59, 59, 999_999)],
    "address": [IPv4Interface("192.168.1.7/24"), IPv6Interface("fe80::/10")],
    "span": [Range(date(2000, 2, 29), date(2000, 3, 1)), Range(bounds="empty")],
}
NAMES = list(FAMILIES)
TABLES = ["one", "two", "group"]
LINKS, PLACES = "one_two", "place"
CODE = "code"
FEW = '"id" < 3'
GENERATED = 7
NEW = "_new"


@dataclass
class Pair:
    """Two schemas, and what has another name in the second.

    Attributes:
        before: The tables first.
        after: The tables then.
        tables: New names of tables by their old ones.
        columns: New names of columns by `table.column`, the table by its new name.
    """

    before: list[TableSpec]
    after: list[TableSpec]
    tables: dict[str, str]
    columns: dict[str, str]

    def for_sqlite(self) -> Pair:
        """The pair without the constraints that SQLite does not have."""
        for table in [*self.before, *self.after]:
            table.exclusions = ()
        return self

    def as_before(self, rows: Rows) -> Rows:
        """Rows of the second schema by the names of the first."""
        back = {new: old for old, new in self.tables.items()}
        columns = {f"{place.rpartition('.')[0]}.{new}": place.rpartition(".")[2] for place, new in self.columns.items()}
        return {
            back.get(table, table): {
                key: {columns.get(f"{table}.{column}", column): value for column, value in row.items()}
                for key, row in numbered.items()
            }
            for table, numbered in rows.items()
        }


@st.composite
def columns(draw: Any, name: str) -> FieldSpec:
    type_, values = draw(st.sampled_from(FAMILIES[name]))
    default = draw(st.sampled_from([None, *values]))
    db_default = None if default is None else DatabaseDefault(literal=default)
    if type_.kind is Kind.DATETIME and draw(st.booleans()):
        db_default = DatabaseDefault(sql={"sqlite": "(strftime('%Y-%m-%d', 'now'))", "postgresql": "now()"})
    nullable = db_default is None or draw(st.booleans())
    comment = draw(st.sampled_from([None, 'it\'s 100% \\ "odd"']))
    return FieldSpec(name, name, type_, nullable=nullable, db_default=db_default, comment=comment)


@st.composite
def references(draw: Any, name: str, targets: list[str], coded: Collection[str]) -> list[ForeignKeySpec]:
    found: list[ForeignKeySpec] = []
    for target in draw(st.lists(st.sampled_from(targets), unique=True)):
        on_delete: OnDelete = draw(st.sampled_from(["CASCADE", "SET NULL", "RESTRICT", "NO ACTION"]))
        key = draw(st.sampled_from(["fk", "refers to"]))
        mine, theirs = (("row", "seat"), ("row", "seat")) if target == PLACES else ((f"{target}_id",), ("id",))
        if target in coded and draw(st.booleans()):
            mine, theirs = (f"{target}_code",), (CODE,)
        put_off: Initially | None = draw(st.sampled_from([None, None, "DEFERRED", "IMMEDIATE"]))
        found.append(ForeignKeySpec(f"{key}_{name}_{target}", mine, target, theirs, on_delete, put_off))
    return found


@st.composite
def tables(draw: Any, name: str, targets: list[str], coded: Collection[str]) -> TableSpec:
    fields = [FieldSpec("id", "id", BIG, is_primary_key=True, is_identity=True)]
    fields += [draw(columns(column)) for column in draw(st.lists(st.sampled_from(NAMES), unique=True))]
    keys = draw(references(name, targets, coded))
    fields += [FieldSpec(column, column, BIG, nullable=True) for key in keys for column in key.fields]
    fields += [FieldSpec(CODE, CODE, BIG, nullable=True)] if name in coded else []
    if "a" in [field.name for field in fields] and draw(st.booleans()):
        fields.append(FieldSpec("sum", "sum", BIG, nullable=True, generated=f'"id" + {GENERATED}'))
    own = [field.name for field in fields if field.name in NAMES and field.name != "data"]
    parts = st.lists(st.sampled_from(own), unique=True, min_size=1) if own else st.just([])
    unique, indexes, checks = list[UniqueSpec](), list[IndexSpec](), list[CheckSpec]()
    tail = draw(st.sampled_from(["", "_2", " it's"]))
    if name in coded:
        unique.append(UniqueSpec(f"uq_{name}_{CODE}{tail}", (CODE,)))
    if own and draw(st.booleans()):
        condition = draw(st.sampled_from([None, '"id" > 3']))
        distinct = condition is not None or draw(st.booleans())
        held = (*draw(parts), "id")
        kind = draw(st.sampled_from(["plain", "deferrable", "expression", "include", "opclasses"]))
        put_off: Initially | None = "DEFERRED" if kind == "deferrable" and condition is None else None
        held += ('(lower("b"))',) if kind == "expression" and "b" in own else ()
        include = (own[0],) if kind == "include" else ()
        classes = (*[""] * (len(held) - 1), "int8_ops") if kind == "opclasses" and held[-1] == "id" else ()
        unique.append(UniqueSpec(f"uq_{name}{tail}", held, condition, distinct, put_off, include, classes))
    if own and draw(st.booleans()):
        sign = draw(st.sampled_from(["", "-"]))
        where = draw(st.sampled_from([None, '"id" > 3', f'"{own[0]}" IS NOT NULL']))
        expressions = ['(lower("b"))', "(coalesce(\"b\", 'a:b'))"] if "b" in own else []
        held = (
            *(sign + part for part in draw(parts)),
            "-id",
            *draw(st.sampled_from([[], expressions[:1], expressions])),
        )
        include = draw(st.sampled_from([(), (own[0],)]))
        unusual = {"b": "text_pattern_ops", "-b": "text_pattern_ops", '(lower("b"))': "text_pattern_ops"}
        classes = tuple(unusual.get(part, "") for part in held) if draw(st.booleans()) else ()
        indexes.append(
            IndexSpec(f"ix_{name}{tail}", held, where, None, include, draw(st.booleans()), opclasses=classes)
        )
    if draw(st.booleans()):
        either = {"sqlite": "\"id\" GLOB '*[0-9]*'", "postgresql": '"id" BETWEEN SYMMETRIC 900 AND 0'}
        checks.append(CheckSpec(f"ck_{name}{tail}", draw(st.sampled_from(['"id" > 0', '"id" % 97 <> 1', either]))))
    for field in fields:
        if field.name == "data" and draw(st.booleans()):
            classes = draw(st.sampled_from([(), ("jsonb_path_ops",)]))
            indexes.append(IndexSpec(f"ix_{name}_data", ("data",), method="gin", opclasses=classes))
    made = TableSpec(
        name,
        model=name,
        fields=tuple(fields),
        primary_key=("id",),
        unique=tuple(unique),
        indexes=tuple(indexes),
        checks=tuple(checks),
        exclusions=tuple(draw(exclusions(name, tail, own))),
        foreign_keys=tuple(keys),
        comment=draw(st.sampled_from([None, "a table"])),
    )
    return with_choices(made)


@st.composite
def exclusions(draw: Any, name: str, tail: str, own: list[str]) -> list[ExclusionSpec]:
    """What SQLite does not have, over the number of a row and over ranges; rows with ranges are all outside of it."""
    found = [ExclusionSpec(f"ex_{name}{tail}", (("id", "="),), "btree", draw(st.sampled_from([None, '"id" > 3'])))]
    for column in {"range", "span"} & set(own):
        sign = draw(st.sampled_from(["&&", "-|-"]))
        found.append(ExclusionSpec(f"ex_{name}_{column}{tail}", ((column, sign),), "gist", FEW))
    return draw(st.lists(st.sampled_from(found), unique_by=lambda one: one.name))


def with_choices(table: TableSpec) -> TableSpec:
    """The table with the CHECKs of its enums, as models make them."""
    for field in table.fields.values():
        if field.type.kind is Kind.ENUM:
            values = ", ".join(str(one) if isinstance(one, int) else f"'{one}'" for one in field.type.choices)
            name = constraint_name("ck", table.name, (field.column,), "choices")
            table.checks = (*table.checks, CheckSpec(name, f'"{field.column}" IN ({values})'))
    return table


@st.composite
def schemas(draw: Any) -> list[TableSpec]:
    names = draw(st.lists(st.sampled_from(TABLES), unique=True, min_size=1))
    has_places, has_links = draw(st.booleans()), draw(st.booleans())
    targets = [*names, PLACES] if has_places else names
    coded = draw(st.sets(st.sampled_from(names)))
    found = [draw(tables(name, targets, coded)) for name in names]
    if has_links and {"one", "two"} <= set(names):
        columns_ = ("one_id", "two_id")
        fields = tuple(FieldSpec(column, column, BIG, is_primary_key=True) for column in columns_)
        keys = tuple(
            ForeignKeySpec(f"fk_{LINKS}_{end}_id", (f"{end}_id",), end, ("id",), "CASCADE") for end in ("one", "two")
        )
        found.append(TableSpec(LINKS, model=LINKS, fields=fields, primary_key=columns_, foreign_keys=keys))
    if has_places:
        parts = [FieldSpec(part, part, BIG, is_primary_key=True) for part in ("row", "seat")]
        own = draw(st.sampled_from([[], ["b"], ["b", "kind"]]))
        made = TableSpec(
            PLACES,
            model=PLACES,
            fields=(*parts, *(draw(columns(name)) for name in own)),
            primary_key=("row", "seat"),
        )
        found.append(with_choices(made))
    return found


def renamed(table: TableSpec, *, name: str, column: str | None, tables: Mapping[str, str]) -> TableSpec:
    """A table under another name, with one column under a new one, and its references to tables that moved along."""

    def moved(text: str) -> str:
        if text.startswith("("):
            return in_sql(text) or ""
        return f"{text}{NEW}" if text.removeprefix("-") == column else text

    def in_sql(text: str | None) -> str | None:
        return text if text is None or column is None else text.replace(f'"{column}"', f'"{column}{NEW}"')

    def parts(one: UniqueSpec | IndexSpec) -> dict[str, Any]:
        fields, include = tuple(map(moved, one.fields)), tuple(map(moved, one.include))
        return {"fields": fields, "condition": in_sql(one.condition), "include": include}

    made = TableSpec(
        name,
        model=name,
        fields=tuple(replace(one, name=moved(one.name), column=moved(one.column)) for one in table.fields.values()),
        primary_key=table.primary_key,
        unique=tuple(replace(one, **parts(one)) for one in table.unique),
        indexes=tuple(replace(one, **parts(one)) for one in table.indexes),
        checks=tuple(one for one in table.checks if not one.name.endswith("choices")),
        exclusions=tuple(
            replace(one, pairs=tuple((moved(part), sign) for part, sign in one.pairs)) for one in table.exclusions
        ),
        foreign_keys=tuple(replace(one, target=tables.get(one.target, one.target)) for one in table.foreign_keys),
        comment=table.comment,
    )
    return with_choices(made)


@st.composite
def pairs(draw: Any) -> Pair:
    before, after = draw(schemas()), draw(schemas())
    old = {table.name: table for table in before}
    both = [table.name for table in after if table.name in old and table.name in TABLES]
    moved = {name: f"{name} new" for name in both if draw(st.integers(0, 3)) == 0}
    columns_: dict[str, str] = {}
    found: list[TableSpec] = []
    for table in after:
        name = moved.get(table.name, table.name)
        common = [column for column in table.fields if column in NAMES and table.name in old]
        common = [column for column in common if column in old[table.name].fields]
        column = draw(st.sampled_from([None, *common]))
        if column is not None:
            columns_[f"{name}.{column}"] = f"{column}{NEW}"
        found.append(renamed(table, name=name, column=column, tables=moved))
    return Pair(before, found, moved, columns_)
