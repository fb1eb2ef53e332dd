"""Schemas nobody thought of: from any one to any other, there and back, what is live is what was meant.

A few pairs in the suite; SCHEMA_PAIRS=500 tries that many, and SCHEMA_PAIRS_COUNT names a file for the counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from datalayer import conf
from datalayer._compile.tables import create_all_statements, drop_all_statements
from datalayer._compile.values import from_driver, to_driver
from datalayer._schema.field import ColumnType, DatabaseDefault, FieldSpec, Kind
from datalayer._schema.table import CheckSpec, ForeignKeySpec, IndexSpec, TableSpec, UniqueSpec
from datalayer.migrations import commands, config
from datalayer.migrations.records import OWN_TABLES
from tests.database.migrations.live import live_schema

BIG = ColumnType(Kind.BIG_INTEGER, int)
Choices = list[tuple[ColumnType, list[object]]]
NUMBERS: Choices = [
    (BIG, [0, -7]),
    (ColumnType(Kind.INTEGER, int), [1]),
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
}
NAMES = list(FAMILIES)
GENERATED = 7
TABLES = ["one", "two", "group"]


@st.composite
def columns(draw: Any, name: str) -> FieldSpec:
    type_, values = draw(st.sampled_from(FAMILIES[name]))
    default = draw(st.sampled_from([None, *values]))
    db_default = None if default is None else DatabaseDefault(literal=default)
    nullable = db_default is None or draw(st.booleans())
    comment = draw(st.sampled_from([None, 'it\'s 100% \\ "odd"']))
    return FieldSpec(name, name, type_, nullable=nullable, db_default=db_default, comment=comment)


@st.composite
def tables(draw: Any, name: str, all_names: list[str]) -> TableSpec:
    fields = [FieldSpec("id", "id", BIG, is_primary_key=True, is_identity=True)]
    fields += [draw(columns(column)) for column in draw(st.lists(st.sampled_from(NAMES), unique=True))]
    keys = []
    for target in draw(st.lists(st.sampled_from(all_names), unique=True)):
        fields.append(FieldSpec(f"{target}_id", f"{target}_id", BIG, nullable=True))
        on_delete = draw(st.sampled_from(["CASCADE", "SET NULL", "RESTRICT", "NO ACTION"]))
        keys.append(ForeignKeySpec(f"fk_{name}_{target}", (f"{target}_id",), target, ("id",), on_delete))
    if "a" in [field.name for field in fields] and draw(st.booleans()):
        fields.append(FieldSpec("sum", "sum", BIG, nullable=True, generated=f'"id" + {GENERATED}'))
    own = [field.name for field in fields if field.name in NAMES and field.name != "data"]
    parts = st.lists(st.sampled_from(own), unique=True, min_size=1) if own else st.just([])
    unique, indexes, checks = [], [], []
    if own and draw(st.booleans()):
        condition = draw(st.sampled_from([None, '"id" > 3']))
        unique.append(UniqueSpec(f"uq_{name}", (*draw(parts), "id"), condition))
    if own and draw(st.booleans()):
        sign = draw(st.sampled_from(["", "-"]))
        indexes.append(IndexSpec(f"ix_{name}", tuple(sign + part for part in draw(parts))))
    if draw(st.booleans()):
        checks.append(CheckSpec(f"ck_{name}", draw(st.sampled_from(['"id" > 0', '"id" % 97 <> 1']))))
    for field in fields:
        if field.type.kind is Kind.ENUM:
            values = ", ".join(f"'{choice}'" for choice in field.type.choices)
            checks.append(CheckSpec(f"ck_{name}_{field.name}_choices", f'"{field.name}" IN ({values})'))
        if field.name == "data" and draw(st.booleans()):
            indexes.append(IndexSpec(f"ix_{name}_data", ("data",), method="gin"))
    return TableSpec(
        name,
        model=name,
        fields=tuple(fields),
        primary_key=("id",),
        unique=tuple(unique),
        indexes=tuple(indexes),
        checks=tuple(checks),
        foreign_keys=tuple(keys),
        comment=draw(st.sampled_from([None, "a table"])),
    )


@st.composite
def schemas(draw: Any) -> list[TableSpec]:
    names = draw(st.lists(st.sampled_from(TABLES), unique=True, min_size=1))
    return [draw(tables(name, names)) for name in names]


@pytest.fixture
def project(backend: str, database_url: str, tmp_path: Path) -> Iterator[Path]:
    with conf.override(databases={"default": {"url": database_url}}, migrations=str(tmp_path / "migrations")):
        yield tmp_path / "migrations"


def meant(backend: str, schema: list[TableSpec]) -> dict[str, Any]:
    """What the schema looks like when made at once in an empty database."""
    send(create_all_statements(schema, backend))  # type: ignore[arg-type]
    found = live_schema()
    send(drop_all_statements(schema, backend))  # type: ignore[arg-type]
    return found


def send(statements: list[str]) -> None:
    with config.environment("default").connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        connection.commit()


def drops(everything: list[TableSpec], backend: str) -> list[tuple[str, str]]:
    statements = drop_all_statements(everything, backend)  # type: ignore[arg-type]
    return [(text, " CASCADE" if backend == "postgresql" else "") for text in statements]


def flat(schema: dict[str, Any]) -> list[str]:
    """One line a fact, so that a difference can be read."""
    return [f"{table} {part}: {value}" for table in sorted(schema) for part, value in sorted(schema[table].items())]


VALUES: dict[str, list[Any]] = {
    "a": [12, 0, 99_999],
    "b": ["it's 5%", "", "\\x", "ünïcode ✓"],
    "order": [1, 0],
    "kind": ["x", "y"],
    "data": [{"a": [1, None, "it's"]}, [], {"b": 2.5}],
}
Rows = dict[str, dict[int, dict[str, Any]]]


def fill(schema: list[TableSpec], backend: str, count: int) -> Rows:
    """Rows full of values in each table, and one with NULL where that is allowed."""
    rows: Rows = {}
    with config.environment("default").connect() as connection:
        for table in schema:
            own = [field for field in table.fields.values() if field.name in VALUES]
            rows[table.name] = {5: {f.name: None if f.nullable else VALUES[f.name][0] for f in own}}
            for number in range(count):
                rows[table.name][10 + number] = {
                    f.name: VALUES[f.name][(number + place) % len(VALUES[f.name])] for place, f in enumerate(own)
                }
            rows[table.name] = {key: row for key, row in rows[table.name].items() if key % 97 != 1}
            for number, values in rows[table.name].items():
                names = ", ".join(f'"{name}"' for name in ["id", *values])
                given = [number, *(adapted(table, name, value, backend) for name, value in values.items())]
                marks = ", ".join(["?" if backend == "sqlite" else "%s"] * len(given))
                connection.exec_driver_sql(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', tuple(given))
        connection.commit()
    return rows


def adapted(table: TableSpec, name: str, value: Any, backend: str) -> Any:
    kind = table.fields[name].type
    if value is not None and kind.kind is Kind.BOOLEAN:
        value = bool(value)
    if value is not None and kind.kind is Kind.DECIMAL:
        value = Decimal(value)
    convert = to_driver(kind, backend)
    return value if convert is None or value is None else convert(value)


def read(schema: list[TableSpec], backend: str) -> Rows:
    rows: Rows = {}
    with config.environment("default").connect() as connection:
        for table in schema:
            own = [field for field in table.fields.values() if field.name in VALUES]
            names = ", ".join(f'"{name}"' for name in ["id", *(field.name for field in own)])
            rows[table.name] = {}
            for number, *values in connection.exec_driver_sql(f'SELECT {names} FROM "{table.name}"'):
                found = zip(own, values, strict=True)
                rows[table.name][number] = {f.name: loaded(f, value, backend) for f, value in found}
    return rows


def loaded(field: FieldSpec, value: Any, backend: str) -> Any:
    convert = from_driver(field.type, backend)
    return value if convert is None or value is None else convert(value)


def lost(before: Rows, after: Rows) -> list[str]:
    """The values that are not what they were, where both have the table and the column; NULL may be filled."""
    return [
        f"{table}.{column} of {number}: {value!r} became {after[table].get(number, {}).get(column)!r}"
        for table in before
        if table in after
        for number, values in before[table].items()
        for column, value in values.items()
        if value is not None and (number not in after[table] or after[table][number].get(column, value) != value)
    ]


@settings(
    max_examples=int(os.environ.get("SCHEMA_PAIRS", "8")),
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(before=schemas(), after=schemas(), count=st.integers(0, 40))
def test_any_schema_to_any_other_and_back(
    project: Path, backend: str, before: list[TableSpec], after: list[TableSpec], count: int
) -> None:
    for file in project.glob("*.py"):
        file.unlink()
    everything = [TableSpec(name, model=name, fields=()) for name in [*TABLES, *OWN_TABLES]]
    send([text + cascade for text, cascade in drops(everything, backend)])
    first, second = meant(backend, before), meant(backend, after)
    commands.makemigrations("one", tables=before)
    commands.migrate()
    assert flat(live_schema()) == flat(first)
    rows = fill(before, backend, count)
    changed = commands.makemigrations("two", tables=after).has_changes
    assert not commands.makemigrations(tables=after).has_changes
    for _ in range(1 + changed):
        commands.migrate()
        assert flat(live_schema()) == flat(second)
        there = read(after, backend)
        assert lost(rows, there) == []
        commands.migrate("0001")
        assert flat(live_schema()) == flat(first)
        assert lost(there, read(before, backend)) == []
    commands.migrate("zero")
    assert live_schema() == {}
    tell(backend, sum(len(found) for found in rows.values()))


def tell(backend: str, rows: int) -> None:
    if "SCHEMA_PAIRS_COUNT" in os.environ:
        with Path(os.environ["SCHEMA_PAIRS_COUNT"]).open("a") as file:
            file.write(f"{backend} {rows}\n")
