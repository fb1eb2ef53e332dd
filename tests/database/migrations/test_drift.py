"""What `check --database` finds: models, migrations and the live schema, and which of them is behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datalayer import conf
from datalayer.migrations import commands, config
from datalayer.migrations.drift import drift
from tests.database.migrations.files import pair, python, run, table, tables

UP = """    op.create_table(
        "author",
        sa.Column("id", types.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("born", types.DateTime(), server_default=types.sql("CURRENT_TIMESTAMP"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_author"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "book",
        sa.Column("id", types.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("title", types.String(50), server_default="it's", nullable=False),
        sa.Column("price", types.Decimal(8, 2), nullable=True),
        sa.Column("double", types.Decimal(9, 2), sa.Computed(types.sql('"price" * 2'), persisted=True), nullable=True),
        sa.Column("extra", types.Json(), nullable=True),
        sa.Column("author_id", types.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_book"),
        sa.UniqueConstraint("title", name="uq_book_title"),
        sa.CheckConstraint(types.sql('"price" >= 0 AND "title" IN (\\'a\\', \\'b\\')'), name="ck_book"),
        sa.ForeignKeyConstraint(["author_id"], ["author.id"], name="fk_book_author", ondelete="SET NULL"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_book_price", "book", [sa.text('"price" DESC')], postgresql_where=types.sql('"price" > 1'),
        sqlite_where=types.sql('"price" > 1'))
    op.create_index("ix_book_author_id", "book", ["author_id"])"""


@pytest.fixture
def applied(migrations: Path) -> Path:
    python(migrations, "0001_book", None, UP)
    commands.migrate()
    return migrations


def found(models: bool = False) -> list[str]:
    environment = config.environment("default")
    state = environment.history.state() if models else None
    return drift(environment, environment.applied(), state)


def test_what_the_migrations_made_is_what_they_say(applied: Path) -> None:
    assert found() == []
    assert tables() == ["author", "book"]  # nothing of the comparison stays


def test_a_change_by_hand_is_named_with_what_to_do(applied: Path) -> None:
    run("ALTER TABLE book ADD COLUMN note VARCHAR(9)", "DROP INDEX ix_book_price", "CREATE TABLE spare (id INTEGER)")
    assert found() == [
        "column 'book.note' is in the database and not in the migrations: no migration makes it; put it into a "
        "migration and record that with migrate --fake, or drop it",
        "index 'ix_book_price' of table 'book' is in the migrations and not in the database",
        "table 'spare' is in the database and not in the migrations: no migration makes it; put it into a migration "
        "and record that with migrate --fake, or drop it",
    ]


def test_what_the_sql_of_a_migration_has_made_is_no_drift(applied: Path) -> None:
    ddl = """    op.execute("CREATE TABLE spare (id INTEGER)")
    op.execute("CREATE INDEX ix_spare ON spare (id)")
    op.execute('CREATE INDEX "ix_book_double" ON book (double)')
    op.execute("INSERT INTO spare SELECT 1")"""
    python(applied, "0002_spare", "0001_book", ddl)
    commands.migrate()
    assert found() == []
    run("CREATE TABLE sparer (id INTEGER)")
    assert [line.partition(":")[0] for line in found()] == [
        "table 'sparer' is in the database and not in the migrations"
    ]


@pytest.mark.parametrize("is_python", [True, False])
def test_a_column_that_the_sql_of_a_migration_has_made_is_told_as_that(applied: Path, is_python: bool) -> None:
    ddl = "ALTER TABLE book ADD COLUMN note VARCHAR(9)"
    if is_python:
        python(applied, "0002_note", "0001_book", f'    op.execute("{ddl}")')
    else:
        pair(applied, "0002_note", ddl)
    commands.migrate()
    assert found() == [
        "column 'book.note' is in the database and not in the migrations: the SQL of 0002_note makes it, which is not "
        "read; note it there or in the next migration as an operation inside separate.state_only()"
    ]


def test_a_table_that_is_gone_is_named_once(applied: Path) -> None:
    run("DROP TABLE book")
    assert found(models=True) == ["table 'book' is in the migrations and the models and not in the database"]


def test_a_change_of_type_null_or_default_is_told_both_ways(postgresql_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        python(tmp_path, "0001_book", None, UP)
        commands.migrate()
        run("ALTER TABLE book ALTER COLUMN title TYPE VARCHAR(60)", "ALTER TABLE book ALTER COLUMN title DROP NOT NULL")
        assert found() == [
            "column 'book.title' is \"VARCHAR(60) DEFAULT 'it''s'::character varying\" in the database and "
            "\"VARCHAR(50) NOT NULL DEFAULT 'it''s'::character varying\" by the migrations"
        ]


def test_what_plain_sql_made_is_no_drift(applied: Path) -> None:
    pair(
        applied, "0002_more", "CREATE TABLE more (id INTEGER); CREATE INDEX by_hand ON book (title)", "DROP TABLE more"
    )
    commands.migrate()
    assert found() == []


def test_check_tells_it_when_asked(applied: Path) -> None:
    run("ALTER TABLE book ADD COLUMN note VARCHAR(9)")
    assert not [one for one in commands.check() if one.code == "schema"]
    assert [one.code for one in commands.check(schema=True) if one.code == "schema"] == ["schema"]
    assert commands.check(schema=True).exit_code == 1


def test_a_key_that_was_written_by_hand_is_no_drift(migrations: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    commands.migrate()
    assert found() == []


def test_a_comment_that_somebody_changed_is_told(postgresql_url: str, tmp_path: Path) -> None:
    up = (
        '    op.create_table("book", sa.Column("id", types.BigInteger(), primary_key=True, comment="a number"), '
        'comment="what is read")'
    )
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        python(tmp_path, "0001_book", None, up)
        commands.migrate()
        assert found() == []
        run("COMMENT ON TABLE book IS 'sold'", "COMMENT ON COLUMN book.id IS NULL")
        assert found() == [
            "comment of column 'book.id' is in the migrations and not in the database",
            "comment of table 'book' is 'sold' in the database and 'what is read' by the migrations",
        ]


@pytest.mark.parametrize(
    "by_hand", ['("price")', '("price" DESC, "title")', '("price" DESC) WHERE "price" > 2', '(abs("price"))']
)
def test_an_index_of_another_form_is_told(applied: Path, by_hand: str) -> None:
    run("DROP INDEX ix_book_price", f"CREATE INDEX ix_book_price ON book {by_hand}")
    assert [text.partition(" is ")[0] for text in found()] == ["index 'ix_book_price' of table 'book'"]


def test_an_index_is_the_same_in_other_words(applied: Path) -> None:
    run("DROP INDEX ix_book_price", 'create  index ix_book_price on "book"(price  desc) where (price>1)')
    assert found() == []


def test_what_has_no_name_is_told_by_what_it_says(applied: Path) -> None:
    if config.url("default").backend == "postgresql":
        run("ALTER TABLE book ADD UNIQUE (price)")
        assert [text.partition(" is ")[0] for text in found()] == ["unique constraint 'book_price_key' of table 'book'"]
    else:
        run(
            "ALTER TABLE book ADD COLUMN other INTEGER REFERENCES author",
            "CREATE TABLE kept (id INTEGER PRIMARY KEY)",
        )
        assert "a foreign key without a name of table 'book'" in [text.partition(" is ")[0] for text in found()]


def test_a_role_that_cannot_make_the_schema_of_the_comparison_is_told_how_it_could(
    postgresql_url: str, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    name = postgresql_url.split("?")[0].rpartition("/")[2]
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path / "m")):
        run("CREATE ROLE datalayer_looker LOGIN PASSWORD 'secret'")
        try:
            guest = re.sub(r"//[^@/]*@", "//datalayer_looker:secret@", postgresql_url)
            with conf.override(databases={"default": {"url": guest}}):
                (said,) = [str(one) for one in commands.check(schema=True) if one.code == "database"]
        finally:
            run("DROP ROLE datalayer_looker")
    assert f"permission denied for database {name}" in said
    assert f'needs GRANT CREATE ON DATABASE "{name}", or ask as the role that migrates' in said
