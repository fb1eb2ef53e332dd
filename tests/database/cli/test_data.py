"""Rows on the command line: written, loaded elsewhere, and told of where they are wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests import forks

MODELS = """
from datalayer import Field, Mapped, Model


class Lamp(Model):
    name: Mapped[str] = Field(max_length=20)
"""
ROWS = '{"model":"Lamp","fields":{"id":7,"name":"a"}}\n{"model":"Lamp","fields":{"id":9,"name":"b"}}\n'
DUMP = '{"rows":2}\n' + ROWS
NOTHING = '{"rows":0}\n'


@pytest.fixture
def folder(tmp_path: Path, database_url: str) -> Path:
    (tmp_path / "datalayer.toml").write_text(f'models = ["lamps"]\n[databases.default]\nurl = "{database_url}"\n')
    (tmp_path / "lamps.py").write_text(MODELS)
    run(tmp_path, "makemigrations")
    run(tmp_path, "migrate")
    return tmp_path


def run(folder: Path, *words: str, given: str = "") -> tuple[int, str, str]:
    done = forks.run(["-m", "datalayer", *words], folder=folder, given=given)
    return done.returncode, done.stdout, done.stderr


def test_what_was_loaded_is_dumped_again(folder: Path) -> None:
    assert run(folder, "loaddata", "-", given=ROWS) == (0, "2 rows loaded\n", "")
    assert run(folder, "dumpdata", "Lamp") == (0, DUMP, "")


def test_a_model_may_be_left_out_of_a_dump(folder: Path) -> None:
    run(folder, "loaddata", "-", given=ROWS)
    assert run(folder, "dumpdata", "--except", "Lamp") == (0, NOTHING, "")


@pytest.mark.parametrize("words", [("dumpdata",), ("loaddata", "-"), ("flush", "--yes"), ("pools", "--timeout", "20")])
def test_a_database_that_is_down_is_told_at_once_and_without_its_password(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "datalayer.toml").write_text('models = ["lamps"]\n')
    (tmp_path / "lamps.py").write_text(MODELS)
    began = time.monotonic()
    code, shown, told = run(tmp_path, *words, "--database-url", "postgresql://me:hidden@127.0.0.1:1/shop", given=DUMP)
    assert time.monotonic() - began < 10
    assert code == 1
    assert "127.0.0.1" in shown + told
    assert "Connection refused" in shown + told
    assert "Is the server running" in shown + told
    assert "hidden" not in shown + told


def test_a_wrong_line_is_one_line_of_error(folder: Path) -> None:
    (folder / "rows.jsonl").write_text(ROWS + '{"model":"Lamp","fields":{"id":8}}\n')
    code, shown, told = run(folder, "loaddata", "rows.jsonl")
    assert (code, shown) == (1, "")
    assert told == "error: line 3: Lamp.name has no value and can never be NULL\n"
    assert run(folder, "dumpdata") == (0, NOTHING, "")


def test_a_dump_that_was_cut_is_refused_whole(folder: Path) -> None:
    code, shown, told = run(folder, "loaddata", "-", given=DUMP[: DUMP.rindex("{", 0, DUMP.rindex('"fields"'))])
    assert (code, shown) == (1, "")
    assert told.startswith("error: the first line says 2 rows and 1 follow: the file was cut or changed")
    assert run(folder, "dumpdata") == (0, NOTHING, "")
    assert run(folder, "loaddata", "-", given=DUMP) == (0, "2 rows loaded\n", "")


def test_flush_wants_to_be_sure_and_begins_numbering_anew(folder: Path) -> None:
    run(folder, "loaddata", "-", given=ROWS)
    code, _, told = run(folder, "flush")
    assert code == 3
    assert "there is nobody to ask: say --yes" in told
    assert run(folder, "dumpdata") == (0, DUMP, "")
    assert run(folder, "flush", "--yes") == (0, "1 table emptied\n", "")
    assert run(folder, "dumpdata") == (0, NOTHING, "")
    assert run(folder, "shell", "-c", "print(Lamp.objects.create(name='c').id)") == (0, "1\n", "")


def test_the_diagram_is_mermaid_text(folder: Path) -> None:
    shown = 'erDiagram\n    "Lamp" {\n        big_integer id PK\n        string(20) name\n    }\n'
    assert run(folder, "diagram") == (0, shown, "")


def test_a_piped_script_awaits_and_blocks_in_turn(folder: Path) -> None:
    script = (
        "from __future__ import annotations\n"
        "lamp = await Lamp.objects.acreate(name='a')\n"
        "def name(lamp: Nothing) -> str: return lamp.name\n"
        "print(name(lamp), await Lamp.objects.acount() + 1)\n"
        "print(Lamp.objects.count())\n"
    )
    assert run(folder, "shell", given=script) == (0, "a 2\n1\n", "")


def test_an_awaiting_command_that_fails_is_one_line(folder: Path) -> None:
    code, shown, told = run(folder, "shell", "-c", "print(await Lamp.objects.aget(name='b'))")
    assert (code, shown, told) == (1, "", "error: no Lamp matches the query\n")


def test_a_url_on_the_line_stands_in_for_the_one_of_the_settings(folder: Path) -> None:
    elsewhere = ("--database-url", "sqlite:///elsewhere.sqlite3")
    run(folder, "migrate", *elsewhere)
    assert run(folder, "loaddata", "-", *elsewhere, given=ROWS) == (0, "2 rows loaded\n", "")
    assert run(folder, "dumpdata") == (0, NOTHING, "")
    assert run(folder, "dumpdata", *elsewhere) == (0, DUMP, "")
