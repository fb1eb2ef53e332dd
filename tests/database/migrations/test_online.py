"""Operations for tables in use: forwards, back, stopped half-way and run again, with rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from datalayer import conf
from datalayer.errors import MigrationError
from datalayer.migrations import commands
from tests.database.migrations.files import python, rows, run

TABLES = """    op.create_table("author", sa.Column("id", types.BigInteger(), primary_key=True))
    op.create_table(
        "book",
        sa.Column("id", types.BigInteger(), primary_key=True),
        sa.Column("title", types.String(50), nullable=True),
        sa.Column("author_id", types.BigInteger(), nullable=True),
    )"""
HEAD = "    from datalayer.migrations import online\n"
CHANGES = {
    "index": ('online.create_index("ix", "book", ["title"])', 'online.drop_index("ix", "book")'),
    "unique index": ('online.create_index("ix", "book", ["id"], unique=True)', 'online.drop_index("ix", "book")'),
    "unique": ('online.create_unique("uq", "book", ["title"])', 'op.drop_constraint("uq", "book", type_="unique")'),
    "not null": ('online.set_not_null("book", "title")', 'op.alter_column("book", "title", nullable=True)'),
    "key": (
        'online.create_foreign_key("fk", "book", ["author_id"], "author", ["id"], on_delete="CASCADE")\n'
        '    online.validate("book", "fk")',
        'op.drop_constraint("fk", "book", type_="foreignkey")',
    ),
    "key that is put off": (
        'online.create_foreign_key("fk", "book", ["author_id"], "author", ["id"], initially="DEFERRED")\n'
        '    online.validate("book", "fk")',
        'op.drop_constraint("fk", "book", type_="foreignkey")',
    ),
    "unique that is put off": (
        'online.create_unique("uq", "book", ["title"], initially="IMMEDIATE")',
        'op.drop_constraint("uq", "book", type_="unique")',
    ),
    "unique NULL": (
        'online.create_unique("uq", "book", ["title"], nulls_distinct=False)',
        'op.drop_constraint("uq", "book", type_="unique")',
    ),
    "index that takes columns along": (
        'online.create_index("ix", "book", ["title"], include=["id"], opclasses={"title": "text_pattern_ops"})',
        'online.drop_index("ix", "book")',
    ),
    "check": (
        'online.create_check("ck", "book", "length(title) > 2")\n    online.validate("book", "ck")',
        'op.drop_constraint("ck", "book", type_="check")',
    ),
}


def write(folder: Path, name: str, after: str, up: str, down: str = "pass", *, atomic: bool = False) -> None:
    python(folder, name, after, f"{HEAD}    {up}", f"{HEAD}    {down}")
    if not atomic:
        path = folder / f"{name}.py"
        path.write_text(path.read_text().replace("down_revision", "atomic = False\ndown_revision"))


@pytest.fixture
def filled(migrations: Path) -> Path:
    python(migrations, "0001_tables", None, TABLES)
    commands.migrate()
    run("INSERT INTO author VALUES (1)", "INSERT INTO book VALUES (1, 'Roke', 1), (2, 'Solaris', 1)")
    return migrations


@pytest.mark.parametrize("what", CHANGES)
def test_an_operation_goes_there_and_back_with_rows(filled: Path, what: str) -> None:
    up, down = CHANGES[what]
    write(filled, "0002_change", "0001_tables", up, down)
    for _ in range(2):
        assert commands.migrate().applied == ("0002_change",)
        assert commands.revert().reverted == ("0002_change",)
    assert rows("SELECT * FROM book ORDER BY id") == [(1, "Roke", 1), (2, "Solaris", 1)]


class Lost(BaseException):
    """The session is gone, and with it the process."""


def lose(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
    """Closes the connection that is about to note what it has done."""
    if statement.startswith("UPDATE datalayer_migrations"):
        connection.connection.driver_connection.close()
        raise Lost


@pytest.mark.parametrize("what", CHANGES)
def test_an_operation_whose_session_was_lost_before_it_was_noted_goes_on(filled: Path, what: str) -> None:
    write(filled, "0002_change", "0001_tables", *CHANGES[what])
    for target in ("0002", "0001"):
        sa.event.listen(sa.Engine, "before_cursor_execute", lose)
        try:
            with pytest.raises(Lost):
                commands.migrate(target)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", lose)
        commands.migrate(target)
    assert [str(one) for one in commands.showmigrations()] == ["[x] 0001_tables", "[ ] 0002_change"]


@pytest.mark.parametrize("what", CHANGES)
def test_the_sql_of_an_operation_can_be_read(filled: Path, what: str, backend: str) -> None:
    write(filled, "0002_change", "0001_tables", *CHANGES[what])
    text = commands.sqlmigrate("0002")
    if backend == "postgresql":
        assert any(word in text for word in ("CONCURRENTLY", "NOT VALID"))
        assert text.index("INSERT INTO datalayer_migrations") > text.index("BEGIN")
        assert "CONCURRENTLY" not in text[text.index("BEGIN") :]


def test_concurrently_inside_a_transaction_is_refused(postgresql_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        python(tmp_path, "0001_tables", None, TABLES)
        write(tmp_path, "0002_change", "0001_tables", CHANGES["index"][0], atomic=True)
        with pytest.raises(MigrationError, match="write atomic = False at the top"):
            commands.migrate()


def test_an_index_that_was_left_invalid_is_made_again(postgresql_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        python(tmp_path, "0001_tables", None, TABLES)
        commands.migrate()
        run("INSERT INTO book VALUES (1, 'same', NULL), (2, 'same', NULL)")
        write(
            tmp_path,
            "0002_change",
            "0001_tables",
            'online.create_index("ix", "book", ["id"])\n    online.create_index("uq", "book", ["title"], unique=True)',
        )
        with pytest.raises(MigrationError, match=r"could not create unique index.*the next run goes on"):
            commands.migrate()
        assert str(commands.showmigrations()[1]) == "[ ] 0002_change  (stopped after 1 operations)"
        run("UPDATE book SET title = 'other' WHERE id = 2")
        assert commands.migrate().applied == ("0002_change",)
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid IN ('ix'::regclass, 'uq'::regclass)"
        assert rows(valid) == [(True,), (True,)]


def test_rows_that_do_not_obey_stop_the_validation_only(postgresql_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        python(tmp_path, "0001_tables", None, TABLES)
        commands.migrate()
        run("INSERT INTO book VALUES (1, 'x', NULL)")
        up = 'online.create_check("ck", "book", "length(title) > 2")'
        write(tmp_path, "0002_check", "0001_tables", up, atomic=True)
        write(tmp_path, "0003_validate", "0002_check", 'online.validate("book", "ck")', atomic=True)
        with pytest.raises(MigrationError, match=r"'0003_validate' cannot be applied.*is violated"):
            commands.migrate()
        assert [one.is_applied for one in commands.showmigrations()] == [True, True, False]


def test_a_table_that_others_use_is_not_waited_for_long(postgresql_url: str, tmp_path: Path) -> None:
    database = {"url": postgresql_url, "migrate": {"lock_timeout": 0.1}}
    with conf.override(databases={"default": database}, migrations=str(tmp_path)):
        python(tmp_path, "0001_tables", None, TABLES)
        commands.migrate()
        python(tmp_path, "0002_more", "0001_tables", '    op.add_column("book", sa.Column("x", types.Text()))')
        from datalayer.migrations import config

        with config.environment("default").connect() as other:
            other.exec_driver_sql("SELECT * FROM book")
            with pytest.raises(MigrationError, match=r"lock timeout.*migrate\.lock_timeout"):
                commands.migrate()
            other.rollback()
            assert commands.migrate().applied == ("0002_more",)


def test_a_statement_may_not_take_longer_than_was_said(postgresql_url: str, tmp_path: Path) -> None:
    database = {"url": postgresql_url, "migrate": {"statement_timeout": 0.1}}
    with conf.override(databases={"default": database}, migrations=str(tmp_path)):
        python(tmp_path, "0001_slow", None, '    op.execute("SELECT pg_sleep(60)")')
        with pytest.raises(MigrationError, match=r"statement timeout.*migrate\.statement_timeout"):
            commands.migrate()


@pytest.mark.parametrize("is_atomic", [True, False])
def test_a_migration_takes_as_long_as_it_needs_whatever_the_program_is_allowed(
    postgresql_url: str, tmp_path: Path, is_atomic: bool
) -> None:
    url = f"{postgresql_url}{'&' if '?' in postgresql_url else '?'}options=-cstatement_timeout%3D50"
    database = {"url": url, "migrate": {"lock_timeout": None}}
    with conf.override(databases={"default": database}, migrations=str(tmp_path)):
        write(tmp_path, "0001_slow", None, 'op.execute("SELECT pg_sleep(0.1)")', atomic=is_atomic)
        assert commands.migrate().applied == ("0001_slow",)


LISTED = r"\(\) takes a list of columns as"
MISPLACED = {
    'create_foreign_key("fk", "book", "author", ["author_id"], ["id"])': rf"create_foreign_key{LISTED} columns",
    'create_foreign_key("fk", "book", ["author_id"], "author", "id")': rf"create_foreign_key{LISTED} remote",
    'create_index("ix", "book", "title")': rf"create_index{LISTED} columns",
    'create_unique("uq", "book", "title")': rf"create_unique{LISTED} columns",
}


def test_arguments_in_the_order_of_alembic_are_refused_with_ours(filled: Path) -> None:
    for call, words in MISPLACED.items():
        write(filled, "0002_change", "0001_tables", f"online.{call}")
        with pytest.raises(MigrationError, match=words):
            commands.migrate()
