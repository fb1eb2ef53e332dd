"""The linter: each rule catches what it is about, and says nothing about the safe way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datalayer.errors import MigrationError
from datalayer.migrations import scripts
from datalayer.migrations.lint import lint
from datalayer.migrations.rules import RULES
from datalayer.migrations.state import State

BEFORE = """
    op.create_table(
        "book",
        sa.Column("id", types.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("title", types.String(50), nullable=True),
        sa.Column("price", types.Decimal(8, 2), nullable=True),
        sa.Column("author_id", types.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_book"),
    )
    op.create_table("author", sa.Column("id", types.BigInteger(), primary_key=True))
    op.create_table("shop", sa.Column("id", types.BigInteger(), primary_key=True))
    op.create_index("ix_book_price", "book", ["price"])
"""
FILE = '''"""A change."""
import sqlalchemy as sa
from alembic import op
from datalayer.migrations import online, types
revision = "0002_change"
down_revision = None
{head}
def upgrade() -> None:
{body}
'''


def python(body: str, head: str = "") -> scripts.Migration:
    lines = "\n".join(f"    {line.strip()}" for line in body.strip().splitlines())
    return scripts.python(Path("0002_change.py"), FILE.format(head=head, body=lines))


def before() -> State:
    from datalayer.migrations._alembic import as_op
    from datalayer.migrations.operations import Recording, recording_context

    made = scripts.python(Path("0001.py"), FILE.format(head="", body=BEFORE))
    assert isinstance(made, scripts.PythonMigration)
    recording = Recording(recording_context("sqlite"), {})
    with as_op(recording):
        made.function(True)()
    return recording.state


def codes(migration: scripts.Migration, backend: str = "postgresql", models: State | None = None) -> list[str]:
    return sorted(finding.code for finding in lint(migration, before(), backend, models))


def sql(text: str, tmp_path: Path) -> scripts.Migration:
    (tmp_path / "0002_change.up.sql").write_text(text)
    return scripts.read(tmp_path)[0]


IN_PYTHON = {
    "M101": 'op.add_column("book", sa.Column("pages", types.Integer(), nullable=False))',
    "M102": 'op.alter_column("book", "title", type_=types.String(20))',
    "M103": 'op.create_index("ix", "book", ["title"])',
    "M104": 'op.create_foreign_key("fk", "book", "author", ["author_id"], ["id"])',
    "M105": 'op.create_check_constraint("ck", "book", "price > 0")',
    "M106": 'op.create_unique_constraint("uq", "book", ["title"])',
    "M107": 'op.alter_column("book", "title", existing_type=types.String(50), nullable=False)',
    "M109": 'op.drop_column("book", "price")',
    "M110": 'op.alter_column("book", "title", new_column_name="name")',
    "M111": 'op.add_column("book", sa.Column("key", types.Uuid(), server_default=types.sql("gen_random_uuid()")))',
    "M112": 'op.drop_index("ix_book_price", table_name="book")',
    "M113": 'op.execute("UPDATE book SET price = 0")\nop.add_column("book", sa.Column("x", types.Text()))',
    "M114": "\n".join(f'op.add_column("{t}", sa.Column("x", types.Text()))' for t in ("book", "author", "shop")),
    "M115": 'op.create_index("ix", "book", ["title"], postgresql_concurrently=True)',
    "M117": 'op.create_primary_key("pk_book", "book", ["id", "title"])',
    "M118": 'op.execute("TRUNCATE book")',
    "M119": 'op.create_exclude_constraint("ex", "book", (sa.column("id"), "="), using="btree")',
}
IN_SQL = {
    "M101": "ALTER TABLE book ADD COLUMN pages INT NOT NULL",
    "M102": 'ALTER TABLE "book" ALTER COLUMN title TYPE TEXT',
    "M103": "CREATE INDEX ix ON book (title)",
    "M104": "ALTER TABLE book ADD CONSTRAINT fk FOREIGN KEY (author_id) REFERENCES author (id)",
    "M105": "ALTER TABLE book ADD CHECK (price > 0)",
    "M106": "ALTER TABLE book ADD CONSTRAINT uq UNIQUE (title)",
    "M107": "ALTER TABLE book ALTER title SET NOT NULL",
    "M109": "ALTER TABLE book DROP COLUMN price",
    "M110": "ALTER TABLE book RENAME COLUMN title TO name",
    "M111": "ALTER TABLE book ADD COLUMN key UUID DEFAULT gen_random_uuid()",
    "M112": "DROP INDEX ix_book_price",
    "M113": "UPDATE book SET price = 0; ALTER TABLE book ALTER COLUMN price SET DEFAULT 0, ADD COLUMN a INT NOT NULL",
    "M115": "CREATE INDEX CONCURRENTLY ix ON book (title)",
    "M116": "VACUUM FULL book",
    "M117": "ALTER TABLE book ADD PRIMARY KEY (id)",
    "M118": "DROP VIEW books CASCADE",
    "M119": "ALTER TABLE book ADD CONSTRAINT ex EXCLUDE USING btree (id WITH =)",
}


def test_every_rule_has_an_example() -> None:
    assert set(RULES) == {*IN_PYTHON, *IN_SQL, "M108"}


@pytest.mark.parametrize("code", IN_PYTHON)
def test_a_rule_catches_an_operation_and_is_silent_when_told(code: str) -> None:
    assert code in codes(python(IN_PYTHON[code]))
    assert code not in codes(python(IN_PYTHON[code], head=f"# datalayer: allow {code}"))


@pytest.mark.parametrize("code", IN_SQL)
def test_a_rule_catches_a_statement_and_is_silent_when_told(code: str, tmp_path: Path) -> None:
    assert code in codes(sql(IN_SQL[code], tmp_path))
    assert code not in codes(sql(f"-- datalayer: allow {code}\n{IN_SQL[code]}", tmp_path))


def test_what_is_dropped_and_still_in_a_model_is_an_error() -> None:
    found = lint(python('op.drop_column("book", "price")'), before(), "postgresql", before())
    assert [(finding.code, finding.is_error) for finding in found] == [("M108", True)]
    assert codes(python('op.drop_table("shop")'), models={}) == ["M109"]


SAFE = [
    'online.create_index("ix", "book", ["title"])',
    'online.drop_index("ix_book_price", "book")',
    'online.create_unique("uq", "book", ["title"])',
    'online.create_foreign_key("fk", "book", ["author_id"], "author", ["id"])',
    'online.create_unique("uq", "book", ["title"], initially="DEFERRED")',
    'online.create_foreign_key("fk", "book", ["author_id"], "author", ["id"], initially="IMMEDIATE")',
    'online.create_check("ck", "book", "price > 0")',
    'online.validate("book", "ck")',
    'online.set_not_null("book", "title")',
    'op.add_column("book", sa.Column("pages", types.Integer(), nullable=True))',
    'op.add_column("book", sa.Column("pages", types.Integer(), server_default="0", nullable=False))',
    'op.alter_column("book", "title", type_=types.String(80))',
    'op.alter_column("book", "title", type_=types.Text())',
    'op.alter_column("book", "price", type_=types.Decimal(12, 2))',
    'op.alter_column("book", "title", existing_type=types.String(50), nullable=True)',
    'op.create_table("new", sa.Column("id", types.Integer()))\nop.create_index("i", "new", ["id"])',
    'op.create_table("new", sa.Column("id", types.Integer()))\nop.drop_table("new")',
    'online.rename_index("book", "ix_book_price", "ix_other")',
    'op.execute("UPDATE book SET price = 0")',
]


@pytest.mark.parametrize("body", SAFE)
def test_the_safe_way_is_not_complained_of(body: str) -> None:
    assert codes(python(body)) == []


def test_on_sqlite_only_what_matters_there_is_told() -> None:
    found = {code for body in IN_PYTHON.values() for code in codes(python(body), "sqlite")}
    assert found == {"M101", "M109", "M110", "M118"}


def test_a_rule_that_does_not_exist_is_named() -> None:
    with pytest.raises(MigrationError, match=r"'M1O3'.*did you mean 'M1"):
        codes(python("pass", head="# datalayer: allow M1O3"))


def test_the_documents_say_what_the_rules_say() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "migrations.md").read_text()
    written = re.findall(r"^\| (M\d+) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    assert written == [(rule.code, rule.danger, rule.recipe) for rule in RULES.values()]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("M104", "ALTER TABLE book ADD COLUMN shop_id BIGINT REFERENCES shop (id)"),
        ("M105", "ALTER TABLE book ADD COLUMN pages INT CHECK (pages > 0)"),
        (
            "M105",
            "ALTER TABLE book ADD CONSTRAINT c CHECK (price > 0) NOT VALID; ALTER TABLE book VALIDATE CONSTRAINT c",
        ),
        ("M106", "ALTER TABLE book ADD COLUMN code TEXT UNIQUE"),
        ("M116", "REFRESH MATERIALIZED VIEW sold"),
        ("M116", "ALTER TABLE book SET UNLOGGED"),
        ("M116", "ALTER TABLE book ATTACH PARTITION old FOR VALUES FROM (1) TO (2)"),
        ("M116", "ALTER TABLE book DETACH PARTITION old"),
        ("M115", "REINDEX INDEX CONCURRENTLY ix"),
        ("M102", 'ALTER TABLE book ALTER COLUMN "odd name" TYPE TEXT'),
        ("M105", "ALTER DOMAIN price ADD CONSTRAINT c CHECK (value > 0)"),
        ("M103", "CREATE INDEX ON what_plain_sql_has_made (title)"),
        ("M109", "DROP TABLE what_plain_sql_has_made"),
        ("M113", "ALTER TABLE book ADD COLUMN a INT; WITH one AS (SELECT 1) UPDATE book SET a = 1"),
        ("M113", "ALTER TABLE book ADD COLUMN a INT; INSERT INTO book SELECT * FROM old"),
        ("M114", "ALTER TABLE a ADD x INT; ALTER TABLE b ADD x INT; ALTER TABLE c ADD x INT"),
        ("M118", "ALTER TABLE book DROP CONSTRAINT uq CASCADE"),
        ("M104", "ALTER TABLE a DROP CONSTRAINT f, ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES c ON DELETE CASCADE"),
        ("M119", "ALTER TABLE book ADD EXCLUDE USING gist (nights WITH &&) WHERE (price > 0)"),
        ("M106", "ALTER TABLE book ADD CONSTRAINT uq UNIQUE (title) DEFERRABLE INITIALLY DEFERRED"),
        ("M104", "ALTER TABLE book ADD FOREIGN KEY (author_id) REFERENCES author DEFERRABLE"),
        ("M115", "ALTER TABLE book DETACH PARTITION old CONCURRENTLY"),
    ],
)
def test_a_rule_catches_it_in_other_words(code: str, text: str, tmp_path: Path) -> None:
    assert codes(sql(text, tmp_path)) == [code]


@pytest.mark.parametrize(
    "text",
    [
        "REFRESH MATERIALIZED VIEW CONCURRENTLY sold",
        "-- datalayer: atomic = false\nALTER TABLE book DETACH PARTITION old CONCURRENTLY",
        "ALTER TABLE book VALIDATE CONSTRAINT c",
        "ALTER TABLE book ADD COLUMN note TEXT DEFAULT 'CHECK, DROP COLUMN x'",
        "CREATE TABLE new (id INT); INSERT INTO new SELECT id FROM a; DROP TABLE a; ALTER TABLE new RENAME TO a",
        "ALTER TABLE book ADD COLUMN sold_at TIMESTAMPTZ DEFAULT now()",
        "ALTER TABLE book ALTER COLUMN title SET DEFAULT 'x', ALTER COLUMN price DROP NOT NULL",
        "-- datalayer: atomic = false\nALTER TABLE book ADD CONSTRAINT c CHECK (price > 0) NOT VALID;\n"
        "ALTER TABLE book VALIDATE CONSTRAINT c",
    ],
)
def test_what_costs_nothing_is_not_complained_of(text: str, tmp_path: Path) -> None:
    assert codes(sql(text, tmp_path)) == []


def test_a_column_with_its_constraints_is_each_of_them() -> None:
    column = 'sa.Column("s", types.BigInteger(), sa.ForeignKey("shop.id"), sa.CheckConstraint("s > 0"), unique=True)'
    assert codes(python(f'op.add_column("book", {column})')) == ["M104", "M105", "M106"]


def test_a_constraint_that_is_added_and_looked_at_in_one_transaction_locks_for_both() -> None:
    both = 'online.create_check("c", "book", types.sql("price > 0"))\nonline.validate("book", "c")'
    assert codes(python(both)) == ["M105"]
    assert codes(python(both, head="atomic = False")) == []
