"""What goes wrong around migrations, and that nothing is lost by it."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from datalayer import conf
from datalayer.errors import ConnectionFailed, MigrationError
from datalayer.migrations import commands, config

FILE = '''"""{name}."""

import sqlalchemy as sa
from alembic import op

from datalayer.migrations import types

revision = "{name}"
down_revision = {after!r}


def upgrade() -> None:
{up}


def downgrade() -> None:
{down}
'''
CREATE = '    op.create_table("thing", sa.Column("id", types.BigInteger(), primary_key=True))'


@pytest.fixture
def folder(database_url: str, tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "migrations"
    made.mkdir()
    with conf.override(databases={"default": {"url": database_url}}, migrations=str(made)):
        yield made


def write(folder: Path, name: str, after: str | None, up: str, down: str = "    pass") -> None:
    (folder / f"{name}.py").write_text(FILE.format(name=name, after=after, up=up, down=down))


def tables() -> list[str]:
    with config.environment("default").connect() as connection:
        found = sa.inspect(connection).get_table_names()
        return sorted(name for name in found if name != "alembic_version")


def test_an_interrupt_leaves_nothing_half_applied(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE)
    write(
        folder,
        "0002_stop",
        "0001_thing",
        '    op.create_table("other", sa.Column("id", types.BigInteger()))\n'
        "    if not op.get_context().as_sql:\n        raise KeyboardInterrupt",
    )
    with pytest.raises(KeyboardInterrupt):
        commands.migrate()
    assert tables() == ["thing"]
    assert [shown.is_applied for shown in commands.showmigrations()] == [True, False]


def test_two_deployers_apply_each_migration_once(folder: Path, database_url: str) -> None:
    write(folder, "0001_thing", None, CREATE)
    for number in range(2, 5):
        add = f'    op.add_column("thing", sa.Column("c{number}", types.Text()))'
        before = "0001_thing" if number == 2 else f"000{number - 1}_more"
        write(folder, f"000{number}_more", before, add)
    script = (
        "import sys; from datalayer import conf; from datalayer.migrations import commands\n"
        "conf.configure(databases={'default': {'url': sys.argv[1]}}, migrations=sys.argv[2])\n"
        "print(*commands.migrate().applied)"
    )
    command = [sys.executable, "-c", script, database_url, str(folder)]
    root = Path(__file__).resolve().parents[3]
    both = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    done = [process.communicate(timeout=60) for process in both]
    assert [errors for _, errors in done] == ["", ""]
    applied = sorted(name for names, _ in done for name in names.split())
    assert applied == ["0001_thing", "0002_more", "0003_more", "0004_more"]


def test_two_heads_are_refused_with_their_names(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE)
    write(folder, "0002_left", "0001_thing", "    pass")
    write(folder, "0002_right", "0001_thing", "    pass")
    for command in (commands.makemigrations, commands.migrate, commands.showmigrations):
        with pytest.raises(MigrationError, match="2 heads: 0002_left, 0002_right"):
            command()


def test_a_database_ahead_of_the_folder_is_named(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE)
    write(folder, "0002_more", "0001_thing", "    pass")
    commands.migrate()
    (folder / "0002_more.py").unlink()
    with pytest.raises(MigrationError, match="is at migration '0002_more', which is not in"):
        commands.migrate()


def test_a_migration_that_does_not_fit_the_history_is_refused_before_anything_runs(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE)
    write(folder, "0002_bad", "0001_thing", '    op.drop_column("thing", "nme")')
    with pytest.raises(MigrationError, match="no column 'nme' in table 'thing'"):
        commands.migrate()
    assert tables() == []


def test_data_migrations_go_both_ways(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE, '    op.drop_table("thing")')
    write(
        folder,
        "0002_rows",
        "0001_thing",
        '    op.execute("INSERT INTO thing (id) VALUES (1)")\n'
        "    for row in op.get_bind().execute(sa.text('SELECT id FROM thing')):\n"
        '        op.execute(f"INSERT INTO thing (id) VALUES ({row[0] + 1})")',
        '    op.execute("DELETE FROM thing")',
    )
    commands.migrate()
    with config.environment("default").connect() as connection:
        assert [row[0] for row in connection.execute(sa.text("SELECT id FROM thing ORDER BY id"))] == [1, 2]
    commands.migrate("zero")
    assert tables() == []


def test_progress_is_told_before_each_migration(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE)
    told: list[str] = []
    commands.migrate(on_progress=lambda step: told.append(str(step)))
    assert told == ["apply 0001_thing"]


def test_an_unreachable_server_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://me:s3cret@127.0.0.1:1/nowhere"
    (tmp_path / "m").mkdir()
    with conf.override(databases={"default": {"url": url}}, migrations=str(tmp_path / "m")):
        with pytest.raises(ConnectionFailed, match=r"'default'.*127\.0\.0\.1") as caught:
            commands.migrate()
        assert "s3cret" not in str(caught.value)
        findings = list(commands.check())
    assert any(finding.code == "database" for finding in findings)
    assert not any("s3cret" in str(finding) for finding in findings)


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": f"sqlite:///{tmp_path}/no/db.sqlite3"}}, migrations="m"):  # noqa: SIM117
        with pytest.raises(ConnectionFailed, match="unable to open database file"):
            config.environment("default").run(None)


def test_a_database_in_memory_is_refused(tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": "sqlite:///:memory:"}}, migrations=str(tmp_path)):  # noqa: SIM117
        with pytest.raises(MigrationError, match="is in memory"):
            commands.migrate()


def test_a_locked_file_can_be_asked(sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    write(folder, "0001_thing", None, CREATE)
    with conf.override(databases={"default": {"url": sqlite_url}}, migrations=str(folder)):
        commands.migrate()
        with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert commands.migrate(plan=True).pending == ()


def test_asking_makes_no_file(tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": f"sqlite:///{tmp_path}/db.sqlite3"}}, migrations="m"):
        commands.showmigrations()
        commands.migrate(plan=True)
    assert list(tmp_path.iterdir()) == []


def test_sqlite_keeps_triggers_sequences_and_refuses_to_lose_columns(sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    create = (
        '    op.create_table("thing", sa.Column("id", types.BigInteger(), sa.Identity(), nullable=False),\n'
        '        sa.Column("name", types.String(5)), sa.PrimaryKeyConstraint("id"), sqlite_autoincrement=True)'
    )
    write(folder, "0001_thing", None, create)
    with conf.override(databases={"default": {"url": sqlite_url}}, migrations=str(folder)):
        commands.migrate()
        with config.environment("default").connect() as connection:
            for statement in (
                "INSERT INTO thing (id, name) VALUES (1, 'a'), (9, 'b')",
                "DELETE FROM thing WHERE id = 9",
                "CREATE TRIGGER t AFTER INSERT ON thing BEGIN UPDATE thing SET name = 'x' WHERE id = new.id; END",
                "CREATE VIEW v AS SELECT id FROM thing",
            ):
                connection.exec_driver_sql(statement)
            connection.commit()
        write(folder, "0002_wide", "0001_thing", '    op.alter_column("thing", "name", type_=types.String(9))')
        commands.migrate()
        with config.environment("default").connect() as connection:
            connection.exec_driver_sql("INSERT INTO thing (name) VALUES ('c')")
            assert list(connection.exec_driver_sql("SELECT id, name FROM thing")) == [(1, "a"), (10, "x")]
            assert list(connection.exec_driver_sql("SELECT * FROM v")) == [(1,), (10,)]
            connection.exec_driver_sql("ALTER TABLE thing ADD COLUMN extra TEXT")
            connection.commit()
        write(folder, "0003_text", "0002_wide", '    op.alter_column("thing", "name", type_=types.Text())')
        with pytest.raises(MigrationError, match="columns that no migration made: extra"):
            commands.migrate()
