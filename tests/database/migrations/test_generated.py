"""From any schema to any other, there and back: what is live is what was meant, and no value is lost.

A few pairs in the suite; SCHEMA_PAIRS=500 tries that many, and SCHEMA_PAIRS_COUNT names a file for the counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from datalayer import conf
from datalayer._compile.tables import Backend, create_all_statements, drop_all_statements
from datalayer._compile.values import from_driver, to_driver
from datalayer._schema.field import FieldSpec, Kind
from datalayer._schema.table import TableSpec
from datalayer.migrations import commands, config
from datalayer.migrations.facts import facts
from datalayer.migrations.records import OWN_TABLES
from tests.database.migrations.schemas import CODE, LINKS, PLACES, TABLES, VALUES, Pair, Rows, pairs


@pytest.fixture
def project(database_url: str, tmp_path: Path) -> Iterator[Path]:
    with conf.override(databases={"default": {"url": database_url}}, migrations=str(tmp_path / "migrations")):
        yield tmp_path / "migrations"


def send(statements: list[str]) -> None:
    with config.environment("default").connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        connection.commit()


def live() -> list[str]:
    """What the database has, one line a fact."""
    with config.environment("default").connect() as connection:
        found = facts(connection)
    return sorted(f"{fact}: {value}" for fact, value in found.items())


def meant(backend: Backend, schema: list[TableSpec]) -> list[str]:
    """What the schema looks like when made at once in an empty database."""
    send(create_all_statements(schema, backend))
    found = live()
    send(drop_all_statements(schema, backend))
    return found


def sweep(backend: Backend) -> None:
    names = [*TABLES, *(f"{name} new" for name in TABLES), LINKS, PLACES, *OWN_TABLES]
    texts = drop_all_statements([TableSpec(name, model=name, fields=()) for name in names], backend)
    send([text + (" CASCADE" if backend == "postgresql" else "") for text in texts])


# -- rows -------------------------------------------------------------------------------------------


def fill(schema: list[TableSpec], backend: Backend, count: int) -> Rows:
    """Rows full of values in each table, one with NULL where that is allowed, and references between them."""
    numbers = [5, *(10 + number for number in range(count) if (10 + number) % 97 != 1)]
    rows: Rows = {}
    keys = {
        LINKS: [(number, 5) for number in numbers],
        PLACES: [(number, number % 3) for number in numbers],
    }
    with config.environment("default").connect() as connection:
        for table in sorted(schema, key=lambda one: one.name == LINKS):
            own = [field for field in table.fields.values() if field.name in VALUES]
            rows[table.name] = {}
            for place, key in enumerate(keys.get(table.name, [(number,) for number in numbers])):
                row: dict[str, object] = {
                    one.name: VALUES[one.name][(place + at) % len(VALUES[one.name])] for at, one in enumerate(own)
                }
                if not place:
                    row = {one.name: None if one.nullable else row[one.name] for one in own}
                if CODE in table.fields:
                    row[CODE] = key[0]
                rows[table.name][key] = row
                values = dict(zip(table.primary_key, key, strict=True)) | row
                names = ", ".join(f'"{name}"' for name in values)
                marks = ", ".join(["?" if backend == "sqlite" else "%s"] * len(values))
                bound = tuple(adapted(table.fields[name], value, backend) for name, value in values.items())
                connection.exec_driver_sql(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', bound)
        for table in schema:
            for key_ in table.foreign_keys if table.name != LINKS else ():
                given = (5, 5 % 3) if key_.target == PLACES else (5,)
                sets = ", ".join(f'"{column}" = {value}' for column, value in zip(key_.fields, given, strict=True))
                connection.exec_driver_sql(f'UPDATE "{table.name}" SET {sets} WHERE id > 5')
                for number, row in rows[table.name].items():
                    row.update(zip(key_.fields, given if cast("int", number[0]) > 5 else [None] * 2, strict=False))
        connection.commit()
    return rows


def adapted(field: FieldSpec, value: object, backend: Backend) -> Any:
    kind = field.type
    if value is not None and kind.kind is Kind.BOOLEAN:
        value = bool(value)
    if isinstance(value, int) and kind.kind is Kind.DECIMAL:
        value = Decimal(value)
    convert = to_driver(kind, backend)
    return value if convert is None or value is None else convert(value)


def read(schema: list[TableSpec], backend: Backend) -> Rows:
    rows: Rows = {}
    with config.environment("default").connect() as connection:
        for table in schema:
            fields = [one for one in table.fields.values() if one.name not in table.primary_key and not one.generated]
            names = ", ".join(f'"{name}"' for name in [*table.primary_key, *(one.name for one in fields)])
            rows[table.name] = {}
            for found in connection.execute(sa.text(f'SELECT {names} FROM "{table.name}"')):
                key, values = tuple(found[: len(table.primary_key)]), found[len(table.primary_key) :]
                pair = zip(fields, values, strict=True)
                rows[table.name][key] = {one.name: loaded(one, value, backend) for one, value in pair}
    return rows


def loaded(field: FieldSpec, value: Any, backend: Backend) -> object:
    convert = from_driver(field.type, backend)
    return value if convert is None or value is None else convert(value)


def lost(before: Rows, after: Rows) -> list[str]:
    """The values that are not what they were, where both have the table and the column; NULL may be filled."""
    return [
        f"{table}.{column} of {key}: {value!r} became {after[table].get(key, {}).get(column)!r}"
        for table in before
        if table in after
        for key, values in before[table].items()
        for column, value in [*values.items(), ("", None)]
        if key not in after[table] or (value is not None and after[table][key].get(column, value) != value)
    ]


@settings(
    max_examples=int(os.environ.get("SCHEMA_PAIRS", "8")),
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(pair=pairs(), count=st.integers(0, 40))
def test_any_schema_to_any_other_and_back(project: Path, backend: Backend, pair: Pair, count: int) -> None:
    for file in project.glob("*.py"):
        file.unlink()
    sweep(backend)
    pair = pair.for_sqlite() if backend == "sqlite" else pair
    first, second = meant(backend, pair.before), meant(backend, pair.after)
    commands.makemigrations("one", tables=pair.before)
    commands.migrate()
    assert live() == first
    rows = fill(pair.before, backend, count)
    made = commands.makemigrations("two", tables=pair.after, rename={**pair.tables, **pair.columns})
    assert not commands.makemigrations(tables=pair.after).has_changes
    for _ in range(1 + made.has_changes):
        commands.migrate()
        assert live() == second, made.text
        there = pair.as_before(read(pair.after, backend))
        assert lost(rows, there) == [], made.text
        commands.migrate("0001")
        assert live() == first, made.text
        assert lost(there, read(pair.before, backend)) == [], made.text
    commands.migrate("zero")
    assert live() == []
    tell(backend, sum(len(found) for found in rows.values()))


def tell(backend: str, rows: int) -> None:
    if "SCHEMA_PAIRS_COUNT" in os.environ:
        with Path(os.environ["SCHEMA_PAIRS_COUNT"]).open("a") as file:
            file.write(f"{backend} {rows}\n")
