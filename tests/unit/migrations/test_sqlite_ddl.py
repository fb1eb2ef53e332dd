"""What the text of a table says of its constraints."""

from __future__ import annotations

from datalayer.migrations.sqlite_ddl import Written, index_parts, index_text, written


def test_constraints_are_found_at_columns_and_by_themselves() -> None:
    text = """CREATE TABLE "a,(b" (
        id INTEGER CONSTRAINT pk PRIMARY KEY AUTOINCREMENT, -- UNIQUE (x)
        code VARCHAR(5) CONSTRAINT c UNIQUE,
        t NUMERIC(8, 2) CHECK (t > ')' AND (t < 4)) DEFAULT (1 + 2) REFERENCES x(y) ON DELETE CASCADE,
        [odd name] TEXT, g INT AS (id * (2 + 1)) VIRTUAL,
        CONSTRAINT "by "" him" FOREIGN KEY ("code", [odd name]) REFERENCES "u" ("id", "no") ON DELETE CASCADE,
        UNIQUE (a COLLATE nocase, `b`), /* CHECK (1) */
        CONSTRAINT z CHECK ( "x" is null )) STRICT"""
    assert written(text) == [
        Written("primary key", "pk", ("id",)),
        Written("unique constraint", "c", ("code",)),
        Written("check", None, ("t",), "t > ')' AND (t < 4)"),
        Written("foreign key", None, ("t",)),
        Written("foreign key", 'by " him', ("code", "odd name")),
        Written("unique constraint", None, ("a", "b")),
        Written("check", "z", (), '"x" is null'),
    ]


def test_a_table_made_of_a_query_has_none() -> None:
    assert written("CREATE TABLE a AS SELECT 1") == []


def test_an_index_is_its_parts_and_its_condition() -> None:
    text = """CREATE UNIQUE INDEX "on (x" ON "a b"("name" DESC, lower(mail || ',)'), plain) WHERE (mail <> ')')"""
    assert index_parts(text) == ("-name", "(lower(mail || ',)'))", "plain")
    assert index_text(text)[1] == "(mail <> ')')"
    assert index_parts("CREATE INDEX i ON a (((b) || (c)))") == ("((b) || (c))",)


def test_an_order_or_a_collation_of_an_expression_is_more_than_a_model_can_say() -> None:
    assert index_parts("CREATE INDEX i ON a (lower(b) DESC)") == ()
    assert index_parts("CREATE INDEX i ON a (b COLLATE nocase)") == ()
