"""`inspectdb`: models of what is in a database, that make the same again."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Literal

import pytest

from datalayer import Mapped, Model, conf, pools
from datalayer._compile import tables as compiled
from datalayer.cli import app
from datalayer.errors import ConnectionFailed, DatabaseError, MigrationError
from datalayer.migrations import config
from datalayer.migrations.describing import describe
from datalayer.migrations.drift import compared
from datalayer.migrations.inspecting import inspectdb
from datalayer.models import registry
from datalayer.testing import isolated_models
from tests.database.migrations.files import run
from tests.typing import checkers

DECLARED = """
from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

from datalayer import *


class Author(Model):
    name: Mapped[str] = Field(max_length=100, unique=True, comment="as on the cover")
    born: Mapped[datetime.date | None] = Field(default=None, index=True)
    status: Mapped[Literal["new", "it's"]] = Field(db_default="new")
    level: Mapped[Literal[1, 2, 30]] = Field()

    class Meta:
        comment = "who writes"


class Profile(Model):
    author: OneToOne[Author] = OneToOne(on_delete=PROTECT)
    seen: Mapped[datetime.datetime] = Field(db_default=Sql("CURRENT_TIMESTAMP"))
    naive: Mapped[NaiveDatetime | None] = Field()


class Category(Model):
    parent: ForeignKey[Category | None] = ForeignKey(on_delete=SET_NULL)
    words: Mapped[str] = Field(max_length=20, db_default="it's 100%")


class Book(ModelBase):
    code: Mapped[uuid.UUID] = PrimaryKey()
    price: Mapped[Decimal] = Field(max_digits=8, decimal_places=2, ge=0)
    exact: Mapped[Decimal] = Field(max_digits=30, decimal_places=4)
    double: Mapped[Decimal | None] = Field(max_digits=9, decimal_places=2, generated='"price" * 2')
    pages: Mapped[int] = Field(db_default=0)
    small: Mapped[SmallInt] = Field()
    big: Mapped[BigInt] = Field()
    is_sold: Mapped[bool] = Field(db_default=False)
    weight: Mapped[float] = Field()
    data: Mapped[bytes] = Field()
    extra: Mapped[dict[str, Any]] = Field()
    tags: Mapped[list[str]] = Field(default_factory=list)
    marks: Mapped[list[SmallInt] | None] = Field()
    short: Mapped[list[Annotated[str, Field(max_length=20)]]] = Field()
    days: Mapped[list[datetime.date]] = Field()
    nights: Mapped[Range[int]] = Field(db_default=Range(1, 5))
    range_big: Mapped[Range[BigInt] | None] = Field()
    range_sum: Mapped[Range[Decimal]] = Field()
    range_day: Mapped[Range[datetime.date]] = Field(index=True)
    range_at: Mapped[Range[datetime.datetime]] = Field()
    range_naive: Mapped[Range[NaiveDatetime]] = Field()
    length: Mapped[datetime.timedelta] = Field()
    at: Mapped[datetime.time] = Field()
    text: Mapped[str] = Field(min_length=1)
    author: ForeignKey[Author] = ForeignKey(on_delete=CASCADE)
    editor: ForeignKey[Author | None] = ForeignKey(on_delete=RESTRICT, index=False, related_name="edited")
    category: ForeignKey[Category] = ForeignKey(on_delete=SET_DEFAULT, db_default=1, column="cat")

    class Meta:
        constraints = (
            UniqueConstraint("author", "pages", name="uq_both"),
            UniqueConstraint("text", condition='"pages" > 1'),
            CheckConstraint('"pages" >= 0 AND "weight" < 5', name="sound"),
        )
        indexes = (Index("author", "-pages"), Index("price", condition='"pages" > 10'))


class Stock(ModelBase):
    shop: Mapped[int] = Field()
    shelf: Mapped[str] = Field(max_length=5)

    class Meta:
        primary_key = ("shop", "shelf")


class Move(Model):
    shop: Mapped[int] = Field()
    shelf: Mapped[str] = Field(max_length=5)
    stock: ForeignKey[Stock] = ForeignKey(on_delete=CASCADE, fields=("shop", "shelf"))
    by_name: ForeignKey[Author] = ForeignKey(on_delete=CASCADE, to_field="name")


class Narrow(ModelBase):
    id: Mapped[Int] = PrimaryKey(init=False)
    name: Mapped[str] = Field(max_length=20)
    place: Mapped[int] = Field()
    parent: ForeignKey[Narrow | None] = ForeignKey(default=None, deferrable=Deferrable.DEFERRED)
    twin: OneToOne[Narrow] = OneToOne(related_name="other", deferrable=Deferrable.IMMEDIATE)

    class Meta:
        constraints = (
            UniqueConstraint("place", name="one_place", deferrable=Deferrable.DEFERRED),
            UniqueConstraint("name", "place", name="later", deferrable=Deferrable.IMMEDIATE),
            UniqueConstraint(Sql("lower(name)"), name="one_name"),
            UniqueConstraint("name", "parent", include=("place",), name="carried"),
            UniqueConstraint("parent", "name", nulls_distinct=False, name="alike"),
            UniqueConstraint("parent", condition='"place" > 1', nulls_distinct=False, name="alike_some"),
        )
        indexes = (
            Index("name", name="like_name", opclasses=("varchar_pattern_ops",)),
            Index(Sql("upper(name)"), "-place", name="like_upper", opclasses=("text_pattern_ops", "")),
        )


class Detail(ModelBase):
    book: OneToOne[Book] = OneToOne(on_delete=CASCADE, primary_key=True)
"""


def made(text: str, name: str = "inspected_models") -> list[str]:
    """Imports a module of models, and compares their tables with what is in the database."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    try:
        with isolated_models():
            exec(compile(text, name, "exec"), module.__dict__)
            state = describe(compiled.to_metadata(table for table in registry.tables() if table.is_managed))
            return compared(config.environment("default"), state)
    finally:
        del sys.modules[name]


def create(text: str) -> None:
    """Makes the tables of a module of models."""
    module = types.ModuleType("declared_models")
    sys.modules["declared_models"] = module
    try:
        with isolated_models():
            exec(compile(text, "declared_models", "exec"), module.__dict__)
            backend = config.url("default").backend
            run(*compiled.create_all_statements(registry.tables(), backend))
    finally:
        del sys.modules["declared_models"]


def test_tables_of_models_come_back_as_they_are(migrations: Path) -> None:
    create(DECLARED)
    text = inspectdb()
    assert made(text) == [], text


HOSTILE = (
    'CREATE TABLE "order" ("class" INTEGER NOT NULL, "Field" VARCHAR(5), "two words" TEXT, "a""b" TEXT, "1st" TEXT, '
    '"größe" TEXT, "a__b" TEXT, "_hidden" TEXT, "x_" TEXT, "pk" TEXT, "table" TEXT, "model_x" TEXT, "save" TEXT, '
    '"objects" TEXT, "int" INTEGER, "str" TEXT, "dt" DATE, "copy" TEXT, "Meta" TEXT, "CamelCase" TEXT, "100%" TEXT, '
    '"--" TEXT DEFAULT \'it\'\'s "so"\', PRIMARY KEY ("class"))',
    'CREATE TABLE "model" ("id" INTEGER NOT NULL PRIMARY KEY)',
    'CREATE TABLE "Model" ("id" INTEGER NOT NULL PRIMARY KEY)'.replace('"Model"', '"mo del"'),
    'CREATE TABLE "1" ("id" INTEGER NOT NULL PRIMARY KEY, "self" INTEGER, "order_id" INTEGER, "order" INTEGER)',
    'CREATE TABLE "it\'s ""so""" ("id" INTEGER NOT NULL PRIMARY KEY)',
)


def test_names_that_python_or_models_cannot_have_are_renamed_and_keep_the_column(migrations: Path) -> None:
    run(*HOSTILE)
    text = inspectdb()
    assert made(text) == [], text
    assert "class_value: Mapped[" in text
    assert 'table = "order"' not in text  # the class is called Order


def test_a_table_without_a_primary_key_is_a_comment_that_says_so(migrations: Path) -> None:
    run('CREATE TABLE "log" ("line" TEXT)')
    text = inspectdb()
    assert "\n# The table 'log' is no model as it is: it has no primary key." in text
    assert "# class Log(ModelBase):" in text
    assert made(text)  # the table is in the database alone


def test_a_table_with_a_dot_in_its_name_is_a_comment_that_says_so(migrations: Path) -> None:
    run('CREATE TABLE "old.log" ("id" INTEGER NOT NULL PRIMARY KEY)')
    assert "\n# The table 'old.log' is no model as it is: a dot" in inspectdb()


def test_a_type_that_is_not_known_is_a_comment_and_no_guess(migrations: Path) -> None:
    run('CREATE TABLE "shape" ("id" INTEGER NOT NULL PRIMARY KEY, "place" POINT, "name" TEXT)')
    text = inspectdb()
    assert "# 'place' is POINT in the database, which no field of datalayer has; left out" in text
    assert made(text) == [
        "column 'shape.place' is in the database and not in the migrations: no migration makes it; put it into a "
        "migration and record that with migrate --fake, or drop it"
    ]


def test_a_view_is_a_model_that_is_only_read(migrations: Path) -> None:
    run('CREATE TABLE "book" ("id" INTEGER NOT NULL PRIMARY KEY, "title" TEXT)')
    run('CREATE VIEW "titles" AS SELECT "id", "title" FROM "book"')
    assert "titles" not in inspectdb()
    text = inspectdb(include_views=True)
    assert 'view = "plain"' in text
    assert made(text) == [], text


def test_a_table_that_is_not_there_is_named_with_the_nearest(migrations: Path) -> None:
    run('CREATE TABLE "book" ("id" INTEGER NOT NULL PRIMARY KEY)')
    with pytest.raises(MigrationError, match=r"no table or view 'bok'.*book"):
        inspectdb(["bok"])


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_module_passes_a_strict_type_checker(checker: str, postgresql_url: str, tmp_path: Path) -> None:
    folder, work = tmp_path / "checked", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        create(DECLARED)
        run(*HOSTILE)
        (folder / "inspected.py").write_text(inspectdb(), "utf-8")
    if checker == "mypy":
        assert checkers.mypy(folder, "inspected.py") == {}
    else:
        assert checkers.pyright([folder], work) == {}


def test_the_command_prints_it_without_a_project(
    database_url: str, migrations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run('CREATE TABLE "book" ("id" INTEGER NOT NULL PRIMARY KEY)', 'CREATE TABLE "log" ("id" INTEGER PRIMARY KEY)')
    try:
        assert app.main(["inspectdb", "book", "--database-url", database_url]) == 0
    finally:
        conf.reset()
    printed = capsys.readouterr().out
    assert "class Book(" in printed
    assert "class Log(" not in printed


OTHERS = r"""
CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
CREATE TABLE customer (id serial PRIMARY KEY, name varchar(9) NOT NULL, email varchar(80) CONSTRAINT uq_e UNIQUE,
    at timestamptz DEFAULT now(), n numeric, i interval, ip inet, flag boolean NOT NULL DEFAULT true,
    u uuid DEFAULT gen_random_uuid(), negative integer DEFAULT -1, data jsonb DEFAULT '{}');
COMMENT ON TABLE customer IS E'two\nlines "quoted" \\ it''s';
COMMENT ON COLUMN customer.name IS E'a\nb';
CREATE INDEX by_data ON customer USING gin (data);
CREATE INDEX by_part ON customer (name DESC, email) WHERE flag AND name <> 'a"b%';
CREATE TABLE tenant (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE TABLE doc (tenant_id bigint NOT NULL CONSTRAINT fk_doc_tenant_id REFERENCES tenant, num int NOT NULL, parent int,
    PRIMARY KEY (tenant_id, num),
    CONSTRAINT fk_doc_tenant_id_parent FOREIGN KEY (tenant_id, parent) REFERENCES doc (tenant_id, num));
CREATE TABLE line (id int PRIMARY KEY,
    who int CONSTRAINT fk_line_who REFERENCES customer ON DELETE SET NULL,
    line_set int CONSTRAINT fk_line_line_set REFERENCES customer ON DELETE RESTRICT,
    mail varchar(80) CONSTRAINT fk_line_mail REFERENCES customer (email),
    c_id int CONSTRAINT uq_line_c_id UNIQUE CONSTRAINT fk_line_c_id REFERENCES customer,
    s smallint CONSTRAINT ck_line_s CHECK (s IN (1, 2)));
CREATE TABLE generated (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), a int, b int GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE log (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)
"""


def test_a_database_of_others_comes_back_as_it_is_where_its_keys_are_called_so(
    postgresql_url: str, tmp_path: Path
) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        run(*OTHERS.split(";\n"))
        text = inspectdb()
        assert made(text) == [], text


def test_names_of_constraints_come_back_as_they_are(migrations: Path) -> None:
    run(
        'CREATE TABLE "author" ("id" INTEGER NOT NULL PRIMARY KEY, "name" TEXT, "mail" TEXT, '
        'CONSTRAINT "one_name" UNIQUE ("name"), CONSTRAINT "has_name" CHECK (length("name") > 0))'
    )
    run(
        'CREATE TABLE "book" ("id" INTEGER NOT NULL PRIMARY KEY, "author_id" INTEGER, "again_id" INTEGER, '
        'CONSTRAINT "written_by" FOREIGN KEY ("author_id") REFERENCES "author" ("id") ON DELETE CASCADE, '
        'CONSTRAINT "written_once" UNIQUE ("author_id"), CONSTRAINT "author_again" FOREIGN KEY ("again_id") '
        'REFERENCES "author" ("id"))'
    )
    run('CREATE INDEX "lowered" ON "author" (lower("name"), "mail") WHERE "mail" IS NOT NULL')
    run('CREATE INDEX "by_mail" ON "author" ("name" DESC, "mail")', 'CREATE UNIQUE INDEX "only" ON "author" ("mail")')
    text = inspectdb()
    assert made(text) == [], text
    assert 'author: OneToOne[Author | None] = OneToOne(on_delete=CASCADE, default=None, name="written_by")' in text
    assert "#" not in text


def test_constraints_without_a_name_are_known_by_what_they_say(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/db.sqlite3"
    with conf.override(databases={"default": {"url": url}}, migrations=str(tmp_path)):
        run(
            "CREATE TABLE author (id INTEGER PRIMARY KEY, mail VARCHAR(9) UNIQUE, code VARCHAR(5) CONSTRAINT c UNIQUE)",
            "CREATE TABLE book (id INTEGER PRIMARY KEY, by INTEGER REFERENCES Author ON DELETE CASCADE)",
        )
        text = inspectdb()
        assert made(text) == [], text


def test_types_that_are_not_ours_are_said(postgresql_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        run(
            "CREATE TYPE mood AS ENUM ('sad', 'glad')",
            "CREATE TABLE a (id int PRIMARY KEY, m mood DEFAULT 'sad', r real, tags text[], sums numeric[], "
            'b int REFERENCES a, "B" int)',
            "CREATE UNIQUE INDEX lowered ON a (abs(r))",
        )
        text = inspectdb()
        assert made(text)
    assert 'm: Mapped[Literal["sad", "glad"] | None] = Field(db_default="sad")' in text
    assert "tags: Mapped[list[str] | None]" in text
    assert "# REAL in the database\n    r: Mapped[float | None]" in text
    assert "# 'sums' is NUMERIC[] in the database, which no field of datalayer has; left out" in text
    assert "# 'B' differs from 'b' by capitals alone" in text
    assert 'UniqueConstraint(Sql("abs(r)"), name="lowered")' in text


def test_what_sqlite_takes_loosely_is_read_as_it_is_meant(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/db.sqlite3"
    with conf.override(databases={"default": {"url": url}}, migrations=str(tmp_path)):
        run(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, code VARCHAR(5) UNIQUE, t tinyint(1), m MONEY, "
            "u integer unsigned, w UNSIGNED BIG INT, p POINT, n NATIVE CHARACTER(70), "
            "g INT AS (id * (2 + 1)) VIRTUAL, h TEXT AS (code || ')\"'))",
            "CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER REFERENCES A(ID), "
            "c INTEGER REFERENCES a ON DELETE CASCADE)",
        )
        text = inspectdb()
        assert made(text)
    assert "code: Mapped[str | None] = Field(max_length=5, default=None, unique=True)" in text
    assert "# 'm' is MONEY in the database" in text
    assert "# 'p' is POINT in the database" in text
    assert "# INTEGER UNSIGNED in the database\n    u: Mapped[BigInt | None]" in text
    assert "# UNSIGNED BIG INT in the database\n    w: Mapped[BigInt | None]" in text
    assert "# NATIVE CHARACTER(70) in the database\n    n: Mapped[str | None]" in text
    assert 'g: Mapped[BigInt | None] = Field(generated="id * (2 + 1)", init=False)' in text
    assert "h: Mapped[str | None] = Field(generated='code || \\')\"\\'', init=False)" in text
    assert "a: ForeignKey[A | None] = ForeignKey(" in text
    assert "c: ForeignKey[A | None] = ForeignKey(on_delete=CASCADE" in text


def test_nothing_a_database_says_becomes_code(migrations: Path) -> None:
    bad = 'x"""\nraise SystemExit(1)\n#\\'
    name = bad.replace('"', '""')
    run(
        f'CREATE TABLE "{name}" ("id" INTEGER NOT NULL PRIMARY KEY, "{name}" TEXT, '
        f'CONSTRAINT "{name}" CHECK ("id" > 1))'
    )
    run(f'CREATE TABLE "other" ("{name}" TEXT, "id" INTEGER REFERENCES "{name}")')
    if config.url("default").backend == "sqlite":
        run('CREATE TABLE "typed" ("id" INTEGER PRIMARY KEY, "a" "x\nraise SystemExit(1)")')
    else:
        run('CREATE DOMAIN "x\nraise SystemExit(1)" AS text')
        run('CREATE TABLE "typed" ("id" INTEGER PRIMARY KEY, "a" "x\nraise SystemExit(1)")')
    text = inspectdb()
    assert made(text), text


def test_a_key_that_is_the_key_of_another_table_is_one_to_one(migrations: Path) -> None:
    run('CREATE TABLE "base" ("id" INTEGER NOT NULL PRIMARY KEY)')
    run(
        'CREATE TABLE "more" ("base_id" INTEGER NOT NULL PRIMARY KEY, '
        'CONSTRAINT "fk_more_base_id" FOREIGN KEY ("base_id") REFERENCES "base" ("id") ON DELETE CASCADE)'
    )
    text = inspectdb()
    assert "base: OneToOne[Base] = OneToOne(on_delete=CASCADE, primary_key=True)" in text
    assert made(text) == [], text


def test_an_empty_database_is_a_module_without_models(migrations: Path) -> None:
    run('CREATE TABLE "gone" ("id" INTEGER)', 'DROP TABLE "gone"')
    assert made(inspectdb()) == []


def test_a_file_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    file = tmp_path / "none.sqlite3"
    said = r"there is no file '.*none\.sqlite3'"
    with (
        conf.override(databases={"default": {"url": f"sqlite:///{file}"}}),
        pytest.raises(ConnectionFailed, match=said),
    ):
        inspectdb()
    assert not file.exists()


def test_rows_are_written_and_read_through_the_printed_models(postgresql_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)), isolated_models():
        run(*OTHERS.split(";\n"))
        module = types.ModuleType("inspected_rows")
        sys.modules["inspected_rows"] = module
        try:
            exec(compile(inspectdb(), "inspected_rows", "exec"), module.__dict__)
            made_ = module.Customer.objects.create(name="Anna", ip="10.0.0.1", email="a@b")
            assert (made_.id, made_.negative, made_.data) == (1, -1, {})
            line = module.Line.objects.create(id=5, who=made_, c=made_, mail=made_, s=1)
            assert module.Line.objects.get(who__name="Anna", c__email="a@b").pk == line.pk
            assert module.Customer.objects.get(line__s=1).name == "Anna"
        finally:
            del sys.modules["inspected_rows"]
            pools.close_all()


def test_tables_are_left_out_by_name_and_by_pattern(database_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": database_url}}, migrations=str(tmp_path)):
        run(*(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)" for name in ("auth_user", "auth_group", "book", "lamp")))
        text = inspectdb(but=("auth_*", "lamp"))
        assert "class Book" in text
        assert "class Auth" not in text
        assert "class Lamp" not in text
        with pytest.raises(MigrationError, match=r"no table or view 'lmap'.*did you mean 'lamp'"):
            inspectdb(but=("lmap",))
        with pytest.raises(MigrationError, match=r"no table or view 'x_\*'"):
            inspectdb(but=("x_*",))


def test_partitions_come_along_when_asked(postgresql_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        run(
            "CREATE TABLE visit (id bigint, year int, PRIMARY KEY (id, year)) PARTITION BY LIST (year)",
            "CREATE TABLE visit_2026 PARTITION OF visit FOR VALUES IN (2026)",
        )
        assert "class Visit(" in inspectdb()
        assert "class Visit2026(" not in inspectdb()
        assert "class Visit2026(" in inspectdb(include_partitions=True)


def test_a_column_of_an_enum_type_is_asked_as_any_text(postgresql_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        run(
            "CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad')",
            "CREATE TABLE person (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, mood mood NOT NULL)",
            "INSERT INTO person (mood) VALUES ('sad'), ('ok'), ('glad')",
        )
        with isolated_models():

            class Person(Model):
                mood: Mapped[Literal["sad", "ok", "glad"]]

            people = Person.objects.order_by("id")
            found = {
                "in": people.filter(mood__in=["sad", "glad"]),
                "exclude": people.exclude(mood__in=["sad"]),
                "startswith": people.filter(mood__startswith="gl"),
                "iexact": people.filter(mood__iexact="OK"),
                "gt": people.filter(mood__gt="sad"),
            }
            asked = {lookup: [person.mood for person in query] for lookup, query in found.items()}
            pools.close_all()
        assert asked == {
            "in": ["sad", "glad"],
            "exclude": ["ok", "glad"],
            "startswith": ["glad"],
            "iexact": ["ok"],
            "gt": ["ok", "glad"],
        }


MOOD = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "CREATE TABLE person (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, mood mood NOT NULL DEFAULT 'ok')",
)


@pytest.mark.parametrize("labels", ["'ok'", "'sad', 'ok'", "'sad', 'it''s (ok)', 'ok'"])
def test_an_enum_type_with_the_values_of_the_models_is_no_difference(
    postgresql_url: str, tmp_path: Path, labels: str
) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        run(MOOD[0].replace("'sad', 'ok'", labels), MOOD[1])
        assert made(inspectdb()) == []


def test_an_enum_type_with_other_values_or_another_default_is_told_by_its_name(
    postgresql_url: str, tmp_path: Path
) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        run(*MOOD)
        text = inspectdb()
        run("ALTER TYPE mood ADD VALUE 'glad'")
        assert any("'person.mood' is \"ENUM mood NOT NULL" in one for one in made(text)), made(text)
        other = inspectdb()
        assert made(other) == []
        run("ALTER TABLE person ALTER COLUMN mood SET DEFAULT 'sad'")
        assert any("'person.mood' is \"ENUM mood NOT NULL" in one for one in made(other)), made(other)


def test_a_migration_that_makes_text_of_an_enum_type_makes_no_difference(postgresql_url: str, tmp_path: Path) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        run(*MOOD)
        text = inspectdb()
        run(
            "ALTER TABLE person ALTER COLUMN mood DROP DEFAULT",
            "ALTER TABLE person ALTER COLUMN mood TYPE varchar(3) USING mood::text",
            "ALTER TABLE person ALTER COLUMN mood SET DEFAULT 'ok'",
            "ALTER TABLE person ADD CONSTRAINT ck_person_mood_choices CHECK (mood IN ('sad', 'ok'))",
        )
        assert made(text) == []


def test_many_rows_of_an_enum_type_at_a_time_want_a_cast_and_the_error_says_which(
    postgresql_url: str, tmp_path: Path
) -> None:
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        run(*MOOD)
        with isolated_models():

            class Person(Model):
                mood: Mapped[Literal["sad", "ok"]]

            with pytest.raises(DatabaseError) as refused:
                Person.objects.bulk_create([Person(mood="sad"), Person(mood="ok")])
            _, cast, _ = re.split(r"(CREATE CAST .* AS ASSIGNMENT)", str(refused.value))
            run(cast)
            people = Person.objects.bulk_create([Person(mood="sad"), Person(mood="ok")])
            for person in people:
                person.mood = "ok"
            assert Person.objects.bulk_update(people, ["mood"]) == 2
            assert Person.objects.filter(mood="ok").count() == 2
            pools.close_all()
