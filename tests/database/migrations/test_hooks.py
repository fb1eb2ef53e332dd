"""`hooks.py` beside the migrations."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalayer.errors import MigrationError
from datalayer.migrations import commands
from tests.database.migrations.files import pair, python, rows, table

HOOKS = """
from datalayer.migrations import rows, tables

def before_migrate(steps):
    print("before", *steps)

def after_migrate(steps):
    print("after", *steps)
    if not steps or steps[-1].is_upgrade:
        rows.execute(tables.thing.delete())
        rows.insert(tables.thing, [{"id": 7}])
"""


@pytest.fixture
def hooked(migrations: Path) -> Path:
    python(migrations, "0001_thing", None, *table("thing"))
    (migrations / "hooks.py").write_text(HOOKS)
    return migrations


def test_hooks_run_before_and_after_every_run(hooked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.migrate()
    commands.migrate()
    commands.redo()
    commands.migrate("zero")
    assert capsys.readouterr().out.split("\n") == [
        "before apply 0001_thing",
        "after apply 0001_thing",
        "before",
        "after",
        "before revert 0001_thing apply 0001_thing",
        "after revert 0001_thing apply 0001_thing",
        "before revert 0001_thing",
        "after revert 0001_thing",
        "",
    ]


def test_a_hook_changes_the_rows_of_the_newest_tables(hooked: Path) -> None:
    commands.migrate()
    commands.redo()
    assert rows("SELECT id FROM thing") == [(7,)]


def test_nothing_is_called_where_nothing_runs(hooked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.migrate(plan=True)
    commands.migrate(fake=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("is_atomic", [True, False])
def test_a_hook_that_fails_is_told_and_tried_again(hooked: Path, is_atomic: bool) -> None:
    pair(
        hooked,
        "0002_more",
        f"-- datalayer: atomic = {str(is_atomic).lower()}\nINSERT INTO thing VALUES (1)",
        "SELECT 1",
    )
    (hooked / "hooks.py").write_text("def after_migrate(steps):\n    raise ValueError('a bug')")
    for _ in range(2):
        with pytest.raises(MigrationError, match=r"hooks\.py: after_migrate failed: ValueError: a bug"):
            commands.migrate()
    assert [one.is_applied for one in commands.showmigrations()] == [True, True]


@pytest.mark.parametrize(("text", "why"), [("def (", "SyntaxError"), ("def post_migrate(): ...", "before_migrate")])
def test_a_file_that_hooks_nothing_is_refused_before_anything_runs(hooked: Path, text: str, why: str) -> None:
    (hooked / "hooks.py").write_text(text)
    with pytest.raises(MigrationError, match=rf"migrations/hooks\.py .*{why}"):
        commands.migrate()
    assert [one.is_applied for one in commands.showmigrations()] == [False]
