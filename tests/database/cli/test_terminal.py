"""The commands on a real terminal: what a person sees, types and interrupts."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forks, terminal
from tests.processes import environment

ROOT = Path(__file__).resolve().parents[3]
RED = "\x1b[31m"
MODELS = """
from datalayer import Field, Mapped, Model


class Lamp(Model):
    name: Mapped[str] = Field(max_length=20)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "datalayer.toml").write_text('models = ["lamps"]\n[databases.default]\nurl = "sqlite:///db.sqlite3"\n')
    (tmp_path / "lamps.py").write_text(MODELS)
    return tmp_path


@contextlib.contextmanager
def datalayer(folder: Path, *words: str, width: int = 80, kind: str = "xterm-256color") -> Iterator[terminal.Terminal]:
    with terminal.running(
        [sys.executable, "-m", "datalayer", *words],
        folder=folder,
        variables={**environment(), "HOME": str(folder)},
        width=width,
        kind=kind,
    ) as shown:
        yield shown


def run(folder: Path, *words: str, width: int = 80) -> tuple[str, int]:
    with datalayer(folder, *words, width=width) as shown:
        code = shown.end()
    return shown.shown, code


def prepare(folder: Path, *commands: str, **variables: str) -> None:
    """Runs commands that are not what is tried, without a terminal."""
    for command in commands:
        done = forks.run(["-m", "datalayer", command], folder=folder, **variables)
        assert done.returncode == 0, done.stderr


def plain(shown: str) -> str:
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", shown)


def test_an_error_is_one_red_line(folder: Path) -> None:
    shown, code = run(folder, "migrat")
    assert code == 2
    assert shown.startswith(f"{RED}error: unknown command 'migrat'; did you mean 'migrate'?")
    assert shown.count("\n") == 1


def test_a_wish_for_no_colour_is_heard(folder: Path) -> None:
    with terminal.running(
        [sys.executable, "-m", "datalayer", "migrat"], folder=folder, variables={**environment(), "NO_COLOR": "1"}
    ) as shown:
        assert shown.end() == 2
    assert shown.shown.startswith("error: unknown command")


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_table_of_settings_never_breaks_a_key(folder: Path, width: int) -> None:
    shown, code = run(folder, "settings", width=width)
    assert code == 0
    lines = plain(shown).splitlines()
    assert lines[0].split() == ["setting", "value", "origin"]
    assert any(re.match(r"databases\.default\.pool\.connection_timeout +30\.0 +default", line) for line in lines)


def test_a_terminal_too_narrow_for_columns_shows_every_setting_with_value_and_origin(folder: Path) -> None:
    shown, code = run(folder, "settings", width=40)
    assert code == 0
    assert "databases.default.pool.connection_timeout\n  30.0\n  default\n" in plain(shown).replace("\r\n", "\n")


def test_a_rename_is_asked_until_the_answer_is_one(folder: Path) -> None:
    prepare(folder, "makemigrations")
    (folder / "lamps.py").write_text(MODELS.replace("name:", "label:"))
    with datalayer(folder, "makemigrations") as shown:
        shown.read_until("column lamp.name is gone and label is new: was it renamed? [y/N] ")
        shown.type("perhaps\n")
        shown.read_until("error: 'perhaps' is no answer; type y or n")
        shown.read_until("[y/N] ")
        shown.type("y\n")
        assert shown.end() == 0
    assert shown.shown.endswith("migrations/0002_lamp_label.py\n  rename column lamp.name to label\n")


def test_a_value_is_asked_until_it_fits(folder: Path) -> None:
    prepare(folder, "makemigrations")
    (folder / "lamps.py").write_text(MODELS + "    watts: Mapped[int]\n")
    with datalayer(folder, "makemigrations") as shown:
        shown.read_until("column lamp.watts is new, must not be NULL: what do rows that exist get? ")
        shown.type("many\n")
        shown.read_until("error: 'many' is no value for the column 'watts'; give a whole number of 32 bits, such as 0")
        shown.read_until("get? ")
        shown.type("40\n")
        assert shown.end() == 0
    assert 'server_default=types.sql("40")' in next((folder / "migrations").glob("0002*")).read_text()


def test_an_empty_line_is_an_empty_text_and_is_announced(folder: Path) -> None:
    prepare(folder, "makemigrations")
    (folder / "lamps.py").write_text(MODELS + "    colour: Mapped[str] = Field(max_length=20)\n")
    with datalayer(folder, "makemigrations") as shown:
        shown.read_until("what do rows that exist get? (Enter: an empty text) ")
        shown.type("\n")
        assert shown.end() == 0
    assert "types.sql(\"''\")" in next((folder / "migrations").glob("0002*")).read_text()


def test_nothing_is_asked_where_nobody_wants_to_be(folder: Path) -> None:
    prepare(folder, "makemigrations")
    (folder / "lamps.py").write_text(MODELS + "    watts: Mapped[int]\n")
    shown, code = run(folder, "makemigrations", "--no-input")
    assert code == 3
    assert "column 'lamp.watts' is new" in plain(shown).replace("\n", " ")
    assert [file.name for file in (folder / "migrations").glob("*.py")] == ["0001_initial.py"]


def test_models_that_have_changed_are_told_where_migrate_has_nothing_to_do(folder: Path) -> None:
    prepare(folder, "makemigrations", "migrate")
    assert "note:" not in run(folder, "migrate")[0]
    (folder / "lamps.py").write_text(MODELS + "    watts: Mapped[int]\n")
    shown, code = run(folder, "migrate")
    assert code == 0
    assert "note: the models have changes that are in no migration" in plain(shown)


@pytest.mark.parametrize("key", ["ctrl-c", "ctrl-d"])
def test_a_question_that_is_left_writes_nothing(folder: Path, key: str) -> None:
    prepare(folder, "makemigrations")
    (folder / "lamps.py").write_text(MODELS.replace("name:", "label:"))
    with datalayer(folder, "makemigrations") as shown:
        shown.read_until("[y/N] ")
        if key == "ctrl-c":
            assert shown.interrupt() == 130
        else:
            shown.type(terminal.CTRL_D)
            assert shown.end() == 130
    assert plain(shown.shown).endswith("\nerror: interrupted; nothing more was done\n")
    assert [file.name for file in (folder / "migrations").glob("*.py")] == ["0001_initial.py"]


SLOW = """
from alembic import op

from datalayer.migrations import types

revision = "0001_slow"
down_revision = None
LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000000000) SELECT max(i) FROM n"


def upgrade() -> None:
    op.execute("CREATE TABLE half (id BIGINT)")
    print("a long statement begins", flush=True)
    op.execute(types.sql(sqlite=f"INSERT INTO half {LONG}", postgresql="SELECT pg_sleep(600)"))


def downgrade() -> None:
    op.execute("DROP TABLE half")
"""


def test_ctrl_c_during_migrate_leaves_nothing(folder: Path, database_url: str) -> None:
    (folder / "migrations").mkdir()
    (folder / "migrations" / "0001_slow.py").write_text(SLOW)
    here = {**environment(), "DATABASE_URL": database_url}
    with terminal.running([sys.executable, "-m", "datalayer", "migrate"], folder=folder, variables=here) as shown:
        shown.read_until("a long statement begins\n")
        assert shown.interrupt() == 130
    assert plain(shown.shown).endswith("\nerror: interrupted; nothing more was done\n")
    assert "Traceback" not in shown.shown
    applied = forks.run(["-m", "datalayer", "showmigrations"], folder=folder, DATABASE_URL=database_url)
    assert applied.stdout == "[ ] 0001_slow\n"


def test_a_statement_that_takes_long_has_a_line_that_goes_on(folder: Path) -> None:
    (folder / "migrations").mkdir()
    (folder / "migrations" / "0001_slow.py").write_text(SLOW)
    with datalayer(folder, "migrate") as shown:
        shown.read_until("a long statement begins\n")
        for _ in range(2):  # a busy machine may leave out a second
            shown.read_until(": INSERT INTO half WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i...")
        assert shown.interrupt() == 130
    assert plain(shown.shown).endswith("\nerror: interrupted; nothing more was done\n")


def test_ctrl_c_during_a_load_leaves_nothing(tmp_path: Path, database_url: str) -> None:
    # The load of the demo: 34 000 rows in one transaction, below a progress bar.
    shutil.copytree(ROOT / "demo" / "places", tmp_path / "places")
    (tmp_path / "datalayer.toml").write_text('models = ["places.models"]\n')
    here = {**environment(), "DATABASE_URL": database_url}

    def on_terminal(*words: str) -> contextlib.AbstractContextManager[terminal.Terminal]:
        return terminal.running([sys.executable, *words], folder=tmp_path, variables=here)

    prepare(tmp_path, "makemigrations", "migrate", DATABASE_URL=database_url)
    with on_terminal("-m", "places.load") as shown:
        shown.read_until("cities, 2000 at a time")
        shown.type(terminal.CTRL_C)
        assert shown.end() == 1
    assert plain(shown.shown).endswith("\ninterrupted; nothing was loaded\n")
    assert "Traceback" not in shown.shown
    count = "print(City.objects.count(), Country.objects.count())"
    counted = forks.run(["-m", "datalayer", "shell", "-c", count], folder=tmp_path, DATABASE_URL=database_url)
    assert counted.stdout == "0 0\n"
    with on_terminal("-m", "places.load") as shown:
        assert shown.end() == 0
    assert re.search(r"100% .*\n34\d\d\d rows in \d+\.\d s\n$", plain(shown.shown))


def test_the_shell_has_the_models_and_says_so(folder: Path) -> None:
    prepare(folder, "makemigrations", "migrate")
    with datalayer(folder, "shell") as shown:
        shown.read_until(">>> ")
        assert "imported: Lamp, atomic, datalayer, pools, settings\n" in plain(shown.shown)
        shown.type("Lamp.objects.create(name='desk').id\n")
        shown.read_until("\n1\n>>> ")
        shown.type("1 / 0\n")
        shown.read_until("ZeroDivisionError: division by zero\n>>> ")
        shown.type(terminal.CTRL_D)
        assert shown.end() == 0


def test_the_prompt_awaits_and_blocks_and_ctrl_c_ends_the_line(folder: Path) -> None:
    prepare(folder, "makemigrations", "migrate")
    with datalayer(folder, "shell") as shown:
        shown.read_until(">>> ")
        shown.type("lamp = await Lamp.objects.acreate(name='desk')\n")
        shown.read_until(">>> ")
        shown.type("Lamp.objects.count() + 40\n")
        shown.read_until("\n41\n>>> ")
        shown.type("await Lamp.objects.acount() + 50\n")
        shown.read_until("\n51\n>>> ")
        shown.type("import asyncio; print('so', 'it waits'); await asyncio.sleep(600)\n")
        shown.read_until("so it waits\n")
        shown.type(terminal.CTRL_C)
        shown.read_until("KeyboardInterrupt\n>>> ")
        shown.type("lamp.name\n")
        shown.read_until("'desk'\n>>> ")
        shown.type("exit()\n")
        assert shown.end() == 0


def test_a_line_of_the_last_shell_is_at_hand(folder: Path) -> None:
    for begin, typed in (("6 * 7", "6 * 7\n"), ("6 * 7", "\x10\n")):  # Ctrl-P brings back the line before
        with datalayer(folder, "shell") as shown:
            shown.read_until(">>> ")
            shown.type(typed)
            shown.read_until(begin)
            shown.read_until("\n42\n>>> ")
            shown.type(terminal.CTRL_D)
            assert shown.end() == 0


def test_a_terminal_that_cannot_draw_gets_lines_for_a_bar(folder: Path) -> None:
    prepare(folder, "makemigrations", "migrate")
    with datalayer(folder, "shell", "-c", "Lamp.objects.create(name='a')") as shown:
        assert shown.end() == 0
    with datalayer(folder, "dumpdata", kind="dumb") as shown:
        assert shown.end() == 0
    assert "\nLamp: 1 of 1 rows\n" in shown.shown
    assert "\x1b" not in shown.shown


def test_a_narrow_terminal_shows_numbers_whole_and_no_bar(folder: Path) -> None:
    prepare(folder, "makemigrations", "migrate")
    with datalayer(folder, "shell", "-c", "Lamp.objects.create(name='a')") as shown:
        assert shown.end() == 0
    shown_, code = run(folder, "dumpdata", width=40)
    assert code == 0
    assert "Lamp 100% 1/1 0:00:00" in plain(shown_)


def test_the_help_fits_its_terminal(folder: Path) -> None:
    for words in ([], ["makemigrations"], ["migrate"], ["startproject"]):
        shown, code = run(folder, *words, "--help", width=72)
        assert code == 0
        assert "\x1b" not in shown
        long = [line for line in shown.splitlines() if len(line) > 90]
        assert long == []


def test_flush_asks_and_a_no_deletes_nothing(folder: Path) -> None:
    prepare(folder, "makemigrations", "migrate")
    (folder / "rows.jsonl").write_text('{"model":"Lamp","fields":{"id":7,"name":"a"}}\n')
    shown, code = run(folder, "loaddata", "rows.jsonl")
    assert code == 0
    assert "1 row loaded" in plain(shown)
    for answer, expected, told in (("n\r", 1, "nothing was deleted"), ("y\r", 0, "1 table emptied")):
        with datalayer(folder, "flush") as asked:
            asked.read_until("delete every row of 1 table of the sqlite database")
            asked.type(answer)
            assert asked.end() == expected
        assert told in plain(asked.shown)
