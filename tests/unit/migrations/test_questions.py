"""What makemigrations asks a person, and what it then writes; no database is needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from datalayer import Field, Mapped, Model, conf
from datalayer._schema.field import ColumnType, FieldSpec, Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import MigrationError, UnansweredQuestion
from datalayer.migrations import commands
from datalayer.models import registry

ID = FieldSpec("id", "id", ColumnType(Kind.BIG_INTEGER, int), is_primary_key=True, is_identity=True)


class Person:
    """Answers what it was told to, and remembers what it was asked."""

    def __init__(self, *renamed: str, values: tuple[str, ...] = ()) -> None:
        self.renamed = renamed
        self.values = list(values)
        self.asked: list[str] = []

    def was_renamed(self, kind: str, before: str, after: str) -> bool:
        self.asked.append(f"{kind} {before}:{after}")
        return f"{before}:{after}" in self.renamed

    def value(self, column: str, reason: str, check: Callable[[str], object]) -> str:
        self.asked.append(f"{column} {reason}")
        while True:
            answer = self.values.pop(0)
            try:
                check(answer)
            except MigrationError as error:
                self.asked.append(str(error))
            else:
                return answer


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with conf.override(
        databases={"default": {"url": "postgresql://nobody@127.0.0.1:1/none"}}, migrations=str(tmp_path / "m")
    ):
        yield tmp_path / "m"


def column(name: str, kind: Kind = Kind.TEXT, **options: Any) -> FieldSpec:
    return FieldSpec(name, name, ColumnType(kind), **{"nullable": True, **options})


def table(*fields: FieldSpec, name: str = "book") -> TableSpec:
    return TableSpec(name, model=name.title(), fields=(ID, *fields), primary_key=("id",))


def make(person: Person | None, *tables: TableSpec, **options: Any) -> commands.MadeMigration:
    return commands.makemigrations(tables=tables, questions=person, **options)


def test_a_column_that_went_and_one_of_its_type_that_came_are_asked_about() -> None:
    make(None, table(column("price", Kind.INTEGER), column("note")))
    person = Person("book.note:remark")
    made = make(person, table(column("cost", Kind.FLOAT), column("remark")))
    assert person.asked == ["column book.note:remark"]
    assert "rename column book.note to remark" in made.summaries
    assert "drop column book.price and its values" in made.summaries
    assert made.hints == ()


def test_a_no_is_a_drop_and_an_addition() -> None:
    make(None, table(column("note")))
    made = make(Person(), table(column("remark")))
    assert "drop column book.note and its values" in made.summaries


def test_each_column_is_renamed_once() -> None:
    make(None, table(column("a"), column("b")))
    person = Person("book.a:y")
    make(person, table(column("x"), column("y")))
    assert person.asked == ["column book.a:x", "column book.a:y", "column book.b:x"]


def test_a_table_is_asked_about_before_its_columns() -> None:
    make(None, table(column("note"), column("pages", Kind.INTEGER)))
    person = Person("book:volume", "book.note:remark")
    made = make(person, table(column("remark"), column("pages", Kind.INTEGER), name="volume"))
    assert person.asked == ["table book:volume", "column book.note:remark"]
    assert "rename table book to volume" in made.summaries
    assert "rename column volume.note to remark" in made.summaries


def test_a_table_with_other_columns_is_no_candidate() -> None:
    make(None, table(column("a"), column("b"), column("c")))
    person = Person()
    make(person, table(column("x"), column("y"), column("z"), name="other"))
    assert person.asked == []


def test_what_was_said_is_not_asked() -> None:
    make(None, table(column("note")))
    person = Person()
    make(person, table(column("remark")), rename=["book.note:remark"])
    assert person.asked == []


def test_check_asks_nobody() -> None:
    make(None, table(column("note")))
    person = Person("book.note:remark")
    assert make(person, table(column("remark")), check=True).exit_code == 1
    assert person.asked == []


def test_a_value_is_asked_until_it_fits() -> None:
    make(None, table())
    person = Person(values=("many", "7"))
    made = make(person, table(column("pages", Kind.INTEGER, nullable=False)))
    assert person.asked[0] == "book.pages is new, must not be NULL"
    assert "'many' is no value for the column 'pages'" in person.asked[1]
    assert 'server_default=types.sql("7")' in made.text


def test_rows_that_exist_get_the_default_of_the_model() -> None:
    with registry.isolated():

        class Parcel(Model):
            weight: Mapped[Decimal] = Field(default=Decimal("1.50"), max_digits=8, decimal_places=2)
            labels: Mapped[list[str]] = Field(default_factory=list)

        new = registry.table_of(Parcel)
        make(None, table(name="parcel"))
        text = make(None, new).text
    text = re.sub(r",?\n *(?=\))|(?<=\()\n *", "", text).replace(",\n" + " " * 16, ", ")  # however it is laid out
    assert 'sa.Column("weight", types.Decimal(8, 2), server_default=types.sql("1.50"), nullable=False)' in text
    empty = "types.sql(sqlite=\"'[]'\", postgresql=\"'{}'\")"
    assert f'sa.Column("labels", types.Array(types.Text()), server_default={empty}, nullable=False)' in text
    assert text.count("server_default=None") == 2


def test_a_default_that_is_new_for_each_row_is_a_question() -> None:
    with registry.isolated():

        class Parcel(Model):
            token: Mapped[UUID] = Field(default_factory=uuid4)

        new = registry.table_of(Parcel)
        make(None, table(name="parcel"))
        with pytest.raises(UnansweredQuestion, match=r"'parcel\.token' is new"):
            make(None, new)
