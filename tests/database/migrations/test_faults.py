"""What goes wrong around migrations, and that nothing is lost by it."""

from __future__ import annotations

import contextlib
import functools
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from datalayer import conf
from datalayer.errors import ConnectionFailed, MigrationError
from datalayer.migrations import commands, config, running
from datalayer.migrations.drift import drift
from datalayer.migrations.inspecting import inspectdb
from tests import forks, processes

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
OTHER = CREATE.replace("thing", "other")


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
        return sorted(name for name in found if name not in ("alembic_version", "datalayer_migrations"))


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
    with pytest.raises(MigrationError, match="has 0002_more, which is not in"):
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
        with pytest.raises(ConnectionFailed, match="does not exist; make it first"):
            running.toward(config.environment("default"), None)


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


def test_a_file_that_stays_locked_is_named_with_what_to_do(sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    write(folder, "0001_thing", None, CREATE)
    database = {"url": sqlite_url, "pool": {"connection_timeout": 0.1}}
    with (
        conf.override(databases={"default": database}, migrations=str(folder)),
        contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MigrationError, match=r"'default' at .*db\.sqlite3 cannot be migrated: .*run this again"):
            commands.migrate()
        other.execute("ROLLBACK")
        assert commands.migrate().applied == ("0001_thing",)


def test_a_deployer_waits_for_the_one_before(sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    write(folder, "0001_thing", None, CREATE)
    with (
        conf.override(databases={"default": {"url": sqlite_url}}, migrations=str(folder)),
        contextlib.closing(
            sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None, check_same_thread=False)
        ) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.2, other.execute, ["COMMIT"])
        release.start()
        assert commands.migrate().applied == ("0001_thing",)
        release.join()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "db.sqlite3").write_text("a letter, and no database at all" * 40)
    (tmp_path / "m").mkdir()
    write(tmp_path / "m", "0001_thing", None, CREATE)
    with conf.override(
        databases={"default": {"url": f"sqlite:///{tmp_path}/db.sqlite3"}}, migrations=str(tmp_path / "m")
    ):
        for command in (commands.showmigrations, commands.migrate, inspectdb):
            with pytest.raises(MigrationError, match=r"db\.sqlite3 cannot be .*: file is not a database"):
                command()


READ_ONLY = (
    """
import sys
import datalayer, sqlalchemy.dialects.sqlite.pysqlite, alembic.ddl
from datalayer.errors import MigrationError
from datalayer.migrations import commands
datalayer.configure(databases={"default": "sqlite:///db.sqlite3"}, migrations="m")
print(len(commands.showmigrations()))
"""
    + processes.UNPRIVILEGED
    + """
try:
    commands.migrate()
except MigrationError as error:
    print(error)
print([shown.is_applied for shown in commands.showmigrations()])
"""
)


def test_a_file_that_may_only_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:  # the folders of tmp_path are closed to others
        folder = Path(name)
        (folder / "m").mkdir()
        write(folder / "m", "0001_thing", None, CREATE)
        with conf.override(databases={"default": {"url": f"sqlite:///{name}/db.sqlite3"}}, migrations=f"{name}/m"):
            commands.migrate()
        write(folder / "m", "0002_more", "0001_thing", "    pass")
        (folder / "db.sqlite3").chmod(0o444)
        folder.chmod(0o555)
        try:
            first, said, last = forks.output_of(READ_ONLY, folder=folder).splitlines()
        finally:
            folder.chmod(0o755)
    assert (first, last) == ("2", "[True, False]")
    assert "readonly database; the file and its folder must be writable" in said


def test_a_role_that_may_not_create_tables_is_told_so(postgresql_url: str, tmp_path: Path) -> None:
    write_to = tmp_path / "m"
    write_to.mkdir()
    write(write_to, "0001_thing", None, CREATE)
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(write_to)):
        with config.environment("default").connect() as connection:
            connection.exec_driver_sql("CREATE ROLE datalayer_guest LOGIN PASSWORD 's3cret'")
            connection.commit()
        guest = re.sub(r"//[^@/]*@", "//datalayer_guest:s3cret@", postgresql_url)
        try:
            with conf.override(databases={"default": {"url": guest}}):
                assert commands.revert().reverted == ()  # nothing to do needs no rights
                with pytest.raises(MigrationError, match=r"denied for \w+ \w+; migrations need a role") as caught:
                    commands.migrate()
        finally:
            with config.environment("default").connect() as connection:
                connection.exec_driver_sql("DROP ROLE datalayer_guest")
                connection.commit()
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("is_atomic", [True, False])
def test_a_session_lost_in_the_middle_is_told_and_nothing_noted(
    postgresql_url: str, tmp_path: Path, is_atomic: bool
) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    write(folder, "0001_thing", None, CREATE)
    every = "pid) FROM pg_stat_activity WHERE datname = current_database() ORDER BY pid = pg_backend_pid("
    write(folder, "0002_lost", "0001_thing", f'    op.execute("SELECT pg_terminate_backend({every})")\n{OTHER}')
    if not is_atomic:
        with (folder / "0002_lost.py").open("a") as file:
            file.write("\natomic = False\n")
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(folder)):
        with pytest.raises(MigrationError, match=r"'0002_lost' cannot be applied on database 'default'.*terminating"):
            commands.migrate()
        assert tables() == ["thing"]
        assert [shown.is_applied for shown in commands.showmigrations()] == [True, False]


@pytest.mark.parametrize(
    ("up", "reason"),
    [
        ('    op.execute("NONSENSE")', "syntax error"),
        (
            "    if not op.get_context().as_sql:\n        raise ValueError('a bug\\nof two lines')",
            "ValueError: a bug of two lines",
        ),
    ],
)
def test_a_migration_that_fails_half_way_leaves_nothing(folder: Path, up: str, reason: str) -> None:
    write(folder, "0001_thing", None, CREATE, '    op.drop_table("thing")')
    half = f'{OTHER}\n    op.execute("INSERT INTO thing VALUES (1)")\n'
    write(folder, "0002_bad", "0001_thing", half + up)
    write(folder, "0003_never", "0002_bad", "    pass")
    with pytest.raises(
        MigrationError, match=f"'0002_bad' cannot be applied on database 'default': .*{reason}.*nothing of it"
    ):
        commands.migrate()
    assert tables() == ["thing"]
    assert [shown.is_applied for shown in commands.showmigrations()] == [True, False, False]
    with config.environment("default").connect() as connection:
        assert list(connection.exec_driver_sql("SELECT * FROM thing")) == []


def test_a_way_back_that_fails_leaves_the_migration_applied(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE, '    op.drop_table("thing")\n    op.execute("NONSENSE")')
    commands.migrate()
    with pytest.raises(MigrationError, match=r"'0001_thing' cannot be reverted.*nothing of it was taken back"):
        commands.migrate("zero")
    assert tables() == ["thing"]
    assert [shown.is_applied for shown in commands.showmigrations()] == [True]


def test_a_migration_that_ends_the_process_leaves_nothing(folder: Path) -> None:
    write(folder, "0001_thing", None, f"{CREATE}\n    if not op.get_context().as_sql:\n        raise SystemExit(0)")
    with pytest.raises(
        MigrationError, match=r"'0001_thing' cannot be applied .*: SystemExit: 0, line 15; nothing of it"
    ):
        commands.migrate()
    assert tables() == []


def test_a_missing_file_in_the_middle_is_named(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE)
    write(folder, "0003_more", "0002_gone", "    pass")
    for command in (commands.migrate, commands.makemigrations, commands.showmigrations):
        with pytest.raises(MigrationError, match="0002_gone"):
            command()


def test_a_file_that_is_there_twice_is_named(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE)
    (folder / "0001_thing_copy.py").write_text((folder / "0001_thing.py").read_text())
    with pytest.raises(MigrationError, match=r"'0001_thing' is present more than once.*0001_thing_copy"):
        commands.migrate()


def test_a_file_that_imports_what_is_gone_is_named_with_its_line(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE)
    gone = (folder / "0001_thing.py").read_text().replace("0001_thing", "0002_gone").replace("None", '"0001_thing"')
    (folder / "0002_gone.py").write_text(gone.replace("import sqlalchemy", "import nowhere\nimport sqlalchemy"))
    plan = functools.partial(commands.migrate, plan=True)
    for command in (commands.migrate, plan, commands.squashmigrations, commands.makemigrations, commands.readable):
        with pytest.raises(
            MigrationError, match=r"file '0002_gone\.py', line 3 .*: No module named 'nowhere'; a migrat"
        ):
            command()


def test_a_database_is_looked_at_whatever_is_wrong_with_the_migrations(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE)
    commands.migrate()
    (folder / "0002_bad.py").write_text("no Python at all")
    assert "class Thing" in inspectdb()


def test_a_message_names_the_last_of_many_migrations(folder: Path) -> None:
    for number in range(1, 30):
        write(folder, f"{number:04d}_thing", None if number == 1 else f"{number - 1:04d}_thing", "    pass")
    many = r"0024_thing, 0025_thing, 0026_thing, 0027_thing, 0028_thing, 0029_thing.*, and 23 older ones"
    for command in (commands.sqlmigrate, commands.migrate):
        with pytest.raises(MigrationError, match=many):
            command("zero" if command is commands.sqlmigrate else "0099")
    with pytest.raises(MigrationError, match=f"'00' means several migrations: {many}"):
        commands.migrate("00")
    assert any(re.search(f"lacks {many}", line) for line in commands.check().lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff", r"'migrations/0002_bad\.py' is not UTF-8 \(byte 0\)"),
        (b"\0", r"'0002_bad\.py' is no valid Python: .*null bytes$"),
        (b'revision, down_revision = "0002_bad", "0001_thing"', "does not say its name"),
        (b'revision = "0002_bad"\ndown_revision = "0001_thing"', r"file '0002_bad\.py' has no function upgrade\(\)"),
        (
            b'revision = "0002_bad"; down_revision = "0001_thing"\nraise SystemExit(0)',
            r"'0002_bad\.py', line 2 cannot be read: SystemExit: 0",
        ),
    ],
)
def test_a_file_that_is_none_of_ours_is_named(folder: Path, text: bytes, said: str) -> None:
    write(folder, "0001_thing", None, CREATE)
    (folder / "0002_bad.py").write_bytes(text)
    with pytest.raises(MigrationError, match=said):
        commands.migrate()
    (folder / "0002_bad.py").unlink()
    assert tables() == []


@pytest.mark.parametrize("option", ["fake", "plan", "check", "sql"])
@pytest.mark.parametrize("is_file", [False, True])
def test_without_a_folder_nothing_is_up_to_date(tmp_path: Path, option: str, is_file: bool) -> None:
    if is_file:
        (tmp_path / "m").write_text("")
    databases = {"default": {"url": f"sqlite:///{tmp_path}/db.sqlite3"}}
    with (
        conf.override(databases=databases, migrations=str(tmp_path / "m")),
        pytest.raises(MigrationError, match="'m', where .* is a file" if is_file else "there is no folder 'm'"),
    ):
        commands.migrate(None, **cast("Any", {option: True}))


def test_no_name_is_no_target(folder: Path) -> None:
    write(folder, "0001_thing", None, CREATE)
    with pytest.raises(MigrationError, match="no migration ''"):
        commands.migrate("")


@pytest.mark.parametrize("name", ["datalayer_migrations", "alembic_version"])
def test_a_table_of_others_under_our_name_is_told(folder: Path, name: str) -> None:
    with config.environment("default").connect() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {name} (x INTEGER)")
        connection.commit()
    for command in (commands.migrate, commands.showmigrations):
        with pytest.raises(MigrationError, match=f"the table {name} of the database is not the one"):
            command()


def test_asking_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    databases = {"default": {"url": f"sqlite:///{tmp_path}/db.sqlite3"}}
    with conf.override(databases=databases, migrations=str(tmp_path / "m")):
        commands.showmigrations()
        commands.migrate(plan=True)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


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


def test_two_statements_in_one_op_execute_are_told_with_the_way_out(sqlite_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": sqlite_url}}, migrations=str(tmp_path)):
        write(tmp_path, "0001_two", None, '    op.execute("SELECT 1; SELECT 2")')
        with pytest.raises(MigrationError, match=r"SQLite takes one at a time: call op\.execute\(\) for each"):
            commands.migrate()


def test_a_key_of_a_type_of_sqlalchemy_survives_a_change_of_its_table(folder: Path) -> None:
    # As plain Alembic writes it: a BIGINT that SQLite does not number.
    write(
        folder, "0001_thing", None, '    op.create_table("thing", sa.Column("id", sa.BigInteger(), primary_key=True))'
    )
    change = '    op.execute("INSERT INTO thing (id) VALUES (7)")\n    with op.batch_alter_table("thing") as batch:\n'
    check = '        batch.create_check_constraint("ck", sa.text("id > 0"))'
    write(folder, "0002_check", "0001_thing", change + check)
    commands.migrate()
    with config.environment("default").connect() as connection:
        assert connection.execute(sa.text("SELECT id FROM thing")).all() == [(7,)]
    environment = config.environment("default")
    assert drift(environment, environment.applied(), None) == []


@pytest.mark.parametrize("is_replayed", [True, False])
def test_an_import_inside_a_function_that_is_gone_is_told_with_its_line_and_what_helps(
    folder: Path, is_replayed: bool
) -> None:
    guard = "" if is_replayed else "    if not isinstance(op.get_bind(), sa.Connection):\n        return\n"
    write(folder, "0001_thing", None, f"{guard}    from shop.gone import thing")
    line = 13 if is_replayed else 15
    with pytest.raises(MigrationError, match=rf"No module named 'shop', line {line}; a migration stays and the code"):
        commands.migrate()
    assert tables() == []
