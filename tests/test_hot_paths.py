"""What the hot paths do, counted: a needless call in one of them fails here, on any machine and however loaded."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datalayer._compile.compiler import Compiler
from datalayer._compile.prepared import Prepared
from datalayer._links import run
from datalayer._links.sqlite import SQLiteLink
from datalayer._plans import write
from datalayer.databases.database import Database
from datalayer.models import saving, state, undone, upserts
from datalayer.models.forms import Form
from tests.processes import environment

ROOT = Path(__file__).resolve().parents[1]

# One more call for each statement that is prepared, made by the package itself.
NEEDLESS = """
from datalayer._compile.prepared import Prepared
command = Prepared.command
def needless(self, values):
    return command(self, values)
needless.__code__ = needless.__code__.replace(co_filename=command.__code__.co_filename)
Prepared.command = needless
"""


def counts(url: str, *options: str, before: str = "", file: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Counts the hot paths in a fresh interpreter, with some code run first, and compares them with those of a file."""
    code = f"{before}\nfrom benchmarks import counts"
    if file is not None:
        code += f"\nfrom pathlib import Path\ncounts.FILE = Path({str(file)!r})"
    return subprocess.run(
        [sys.executable, "-c", f"{code}\ncounts.main()", "--url", url, *options],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_hot_paths_do_no_more_than_they_did_on_sqlite(sqlite_url: str) -> None:
    done = counts(sqlite_url)
    assert done.returncode == 0, done.stderr


def test_the_hot_paths_do_no_more_than_they_did_on_postgresql(postgresql_url: str) -> None:
    done = counts(postgresql_url)
    assert done.returncode == 0, done.stderr


def test_one_needless_call_for_each_statement_is_found(tmp_path: Path) -> None:
    # Compared with counts of today: those that are kept may be of a time when a path did more.
    known = tmp_path / "counts.json"
    few = ("--only", "get by key", "--only", "fetch a row of 1000")
    written = counts(f"sqlite:///{tmp_path / 'before.sqlite3'}", "--write", *few, file=known)
    assert written.returncode == 0, written.stderr
    done = counts(f"sqlite:///{tmp_path / 'after.sqlite3'}", *few, before=NEEDLESS, file=known)
    assert done.returncode == 1
    assert "sqlite: get by key: " in done.stderr
    assert "sqlite: fetch a row of 1000" not in done.stderr  # one statement for a thousand rows


HOT: list[Callable[..., object]] = [
    Compiler.select, Compiler.insert, Compiler.update, Compiler.delete, Prepared.command, Prepared.params,
    Database.run, Database.arun, run.run, run.arun, SQLiteLink.execute, write.insert, upserts.create,
    saving.save, saving.delete, saving.changed_names, saving.prepare_insert, saving.saved, saving.gone,
    Form.in_order, Form.insert, Form.update, undone.note_insert, undone.note_change, state.key_values,
]  # fmt: skip


@pytest.mark.parametrize("function", HOT, ids=lambda function: function.__qualname__)
def test_a_hot_function_makes_no_cells(function: Callable[..., object]) -> None:
    # A variable that a lambda or comprehension names is a cell, made at each call even where the line is not reached.
    assert inspect.unwrap(function).__code__.co_cellvars == ()
