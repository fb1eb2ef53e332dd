"""The linter where people meet it: `check` on what a database lacks, and `makemigrations` on what it writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer import Field, Mapped, Model
from datalayer.migrations import commands
from datalayer.models import registry
from tests.database.migrations.files import pair, python


@pytest.fixture(autouse=True)
def lamps(migrations: Path) -> Iterator[None]:
    with registry.isolated():

        class Lamp(Model):
            name: Mapped[str] = Field(max_length=20)
            watts: Mapped[int] = Field(default=40)

        commands.makemigrations()
        commands.migrate()
        yield


@pytest.mark.parametrize("what", ["lamp.watts", "lamp"])
@pytest.mark.parametrize("is_sql", [True, False])
def test_dropping_what_a_model_still_has_fails_the_check(migrations: Path, what: str, is_sql: bool) -> None:
    table, _, column = what.partition(".")
    if is_sql:
        pair(migrations, "0002_drop", f"ALTER TABLE {table} DROP COLUMN {column}" if column else f"DROP TABLE {table}")
    else:
        line = f'op.drop_column("{table}", "{column}")' if column else f'op.drop_table("{table}")'
        python(migrations, "0002_drop", "0001_initial", f"    {line}")
    found = commands.check(tags=("dangers",))
    assert found.exit_code == 1
    (line,) = found.lines
    assert line.startswith(f"error (M108): 0002_drop: drop {what}: what is dropped is still in a model")


def test_a_new_migration_is_looked_at_as_it_is_written(backend: str) -> None:
    registry.clear()

    class Lamp(Model):
        name: Mapped[str] = Field(max_length=10)
        colour: Mapped[str] = Field(max_length=9, index=True)

    made = commands.makemigrations(default={"lamp.colour": "red"})
    codes = {finding.code for finding in made.findings}
    assert codes == ({"M102", "M103", "M109"} if backend == "postgresql" else {"M109"})
