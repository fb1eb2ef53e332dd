"""Databases and projects that others have migrated: plain Alembic before and after, and diesel."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalayer.errors import MigrationError
from datalayer.migrations import commands, config
from tests import forks
from tests.database.migrations.files import diesel, pair, python, rows, run, table, tables


def history(folder: Path) -> None:
    python(folder, "0001_thing", None, *table("thing"))
    pair(folder, "0002_rows", "INSERT INTO thing VALUES (1);", "DELETE FROM thing;")
    add = '    op.add_column("thing", sa.Column("n", types.Integer(), server_default="7", nullable=False))'
    python(folder, "0003_n", "0002_rows", add, '    op.drop_column("thing", "n")')


def alembic(folder: Path, *words: str) -> str:
    done = forks.run(["-m", "alembic", *words], folder=folder.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def ejected(migrations: Path, database_url: str) -> Path:
    history(migrations)
    (migrations.parent / "datalayer.toml").write_text(f'[databases.default]\nurl = "{database_url}"\n')
    done = forks.run(["-m", "datalayer", "migrations", "eject"], folder=migrations.parent)
    assert done.returncode == 0, done.stderr
    return migrations


def test_plain_alembic_works_after_an_eject(ejected: Path) -> None:
    alembic(ejected, "upgrade", "head")
    assert rows("SELECT id, n FROM thing") == [(1, 7)]
    assert [str(one) for one in commands.showmigrations()] == ["[x] 0001_thing", "[x] 0002_rows", "[x] 0003_n"]
    assert commands.migrate().applied == ()
    assert "0003_n (head)" in alembic(ejected, "current")
    alembic(ejected, "downgrade", "-1")
    assert [one.is_applied for one in commands.showmigrations()] == [True, True, False]
    assert commands.migrate().applied == ("0003_n",)
    alembic(ejected, "downgrade", "base")
    assert tables() == []


def test_alembic_writes_sql_and_new_files_after_an_eject(ejected: Path) -> None:
    assert "INSERT INTO thing VALUES (1)" in alembic(ejected, "upgrade", "head", "--sql")
    alembic(ejected, "revision", "-m", "more", "--rev-id", "0004")
    assert commands.migrate().applied == ("0001_thing", "0002_rows", "0003_n", "0004")


def test_plain_alembic_tells_in_one_line_what_datalayer_has_against_it(ejected: Path) -> None:
    pair(ejected, "0004_wrong", "DROP TABLE nowhere;", "")
    done = forks.run(["-m", "alembic", "upgrade", "head"], folder=ejected.parent)
    assert done.returncode != 0
    assert "FAILED: migration '0004_wrong' cannot be applied" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_an_eject_writes_over_nothing(ejected: Path) -> None:
    from datalayer.migrations.ejected import eject

    with pytest.raises(MigrationError, match=r"'alembic\.ini' already"):
        eject(ejected.parent)


ALEMBIC = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def test_a_database_of_plain_alembic_is_taken_over(migrations: Path) -> None:
    long = "0002_a_name_that_is_far_longer_than_thirty_two_characters"
    python(migrations, "0001_thing", None, *table("thing"))
    python(migrations, long, "0001_thing", *table("other"))
    run(ALEMBIC, "INSERT INTO alembic_version VALUES ('0001_thing')", "CREATE TABLE thing (id BIGINT)")
    assert [one.is_applied for one in commands.showmigrations()] == [True, False]
    assert commands.migrate().applied == (long,)
    assert rows("SELECT version_num FROM alembic_version") == [(long,)]
    assert commands.migrate("zero").reverted == (long, "0001_thing")


def test_a_version_of_somebody_else_is_refused_with_the_way_out(migrations: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    run(ALEMBIC, "INSERT INTO alembic_version VALUES ('ae1027a6acf')")
    for command in (commands.migrate, commands.showmigrations):
        with pytest.raises(MigrationError, match=r"'ae1027a6acf', which is not in 'migrations'.*drop the table"):
            command()
    assert tables() == []


DIESEL = (
    "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, "
    "run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)


def test_a_database_of_diesel_is_taken_over(migrations: Path) -> None:
    diesel(migrations, "2017-11-23-064836_users", "CREATE TABLE users (id INTEGER)", "DROP TABLE users")
    diesel(migrations, "2018-01-01-000000_posts", "CREATE TABLE posts (id INTEGER)", "DROP TABLE posts")
    run(
        DIESEL,
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('20171123064836')",
        "CREATE TABLE users (id INTEGER)",
    )
    assert [one.is_applied for one in commands.showmigrations()] == [True, False]
    assert commands.migrate().applied == ("2018-01-01-000000_posts",)
    assert commands.revert(None).reverted == ("2018-01-01-000000_posts", "2017-11-23-064836_users")


def test_a_version_of_diesel_without_a_folder_is_named(migrations: Path) -> None:
    diesel(migrations, "2017-11-23-064836_users", "CREATE TABLE users (id INTEGER)")
    run(DIESEL, "INSERT INTO __diesel_schema_migrations (version) VALUES ('20200101000000')")
    with pytest.raises(MigrationError, match="diesel has applied version 20200101000000"):
        commands.migrate()


def test_a_folder_that_may_not_be_read_is_named(migrations: Path) -> None:
    path = migrations / "0001_thing.py"
    path.symlink_to(migrations / "nowhere.py")
    with pytest.raises(MigrationError, match=r"cannot be read: '0001_thing\.py': No such file"):
        commands.migrate()
    path.unlink()
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MigrationError, match="not UTF-8"):
        commands.migrate()


def test_unknown_and_ambiguous_targets_name_the_near_ones(migrations: Path) -> None:
    history(migrations)
    python(migrations, "0004_thing", "0003_n", "    pass")
    with pytest.raises(MigrationError, match=r"no migration '0003_m'.*did you mean '0003_n'"):
        commands.migrate("0003_m")
    with pytest.raises(MigrationError, match="'thing' means several migrations: 0001_thing, 0004_thing"):
        commands.migrate("thing")
    assert commands.migrate("rows").applied == ("0001_thing", "0002_rows")


def test_a_first_migration_is_only_recorded_where_its_tables_are_there(migrations: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    python(migrations, "0002_more", "0001_thing", '    op.add_column("thing", sa.Column("name", types.Text()))')
    run('CREATE TABLE thing (id BIGINT PRIMARY KEY, "by hand" POINT)', "INSERT INTO thing (id) VALUES (7)")
    with pytest.raises(MigrationError, match="already exists"):
        commands.migrate()
    told: list[str] = []
    done = commands.migrate(fake_initial=True, on_progress=lambda step: told.append(step.done))
    assert done.applied == ("0001_thing", "0002_more")
    assert told == ["recorded 0001_thing as applied, without running it", "applied 0002_more"]
    assert rows("SELECT id, name FROM thing") == [(7, None)]


def test_a_first_migration_is_run_where_its_tables_or_columns_are_missing(migrations: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    assert commands.migrate(fake_initial=True).applied == ("0001_thing",)
    assert tables() == ["thing"]
    commands.migrate("zero")
    run("CREATE TABLE thing (other BIGINT)")
    with pytest.raises(MigrationError, match="already exists"):
        commands.migrate(fake_initial=True)


def test_an_extension_comes_and_goes_on_postgresql_and_is_nothing_on_sqlite(migrations: Path) -> None:
    up = '    from datalayer.migrations import online\n    online.create_extension("plpgsql")'
    python(migrations, "0001_extension", None, up, up.replace("create", "drop").replace("plpgsql", "no such"))
    assert commands.migrate().applied == ("0001_extension",)
    assert ("CREATE EXTENSION IF NOT EXISTS plpgsql" in commands.sqlmigrate("0001")) is (
        config.url("default").backend == "postgresql"
    )
    assert commands.revert().reverted == ("0001_extension",)
