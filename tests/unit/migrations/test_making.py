"""What makemigrations writes, without any database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datalayer import conf
from datalayer._schema.field import ColumnType, DatabaseDefault, FieldSpec, Kind
from datalayer._schema.table import CheckSpec, IndexSpec, TableSpec
from datalayer.errors import MigrationError, UnansweredQuestion
from datalayer.migrations import commands, deploy_lock, files

ID = FieldSpec("id", "id", ColumnType(Kind.BIG_INTEGER, int), is_primary_key=True, is_identity=True)


def column(name: str, kind: Kind = Kind.TEXT, **options: Any) -> FieldSpec:
    return FieldSpec(name, name, ColumnType(kind), **options)


def table(*fields: FieldSpec, name: str = "book", **options: Any) -> TableSpec:
    return TableSpec(name, model=name.title(), fields=(ID, *fields), primary_key=("id",), **options)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    # A server that does not exist: nothing here may ask a database.
    url = "postgresql://nobody@127.0.0.1:1/none"
    with conf.override(databases={"default": {"url": url}}, migrations=str(tmp_path / "migrations")):
        yield tmp_path / "migrations"


def make(*tables: TableSpec, **options: Any) -> commands.MadeMigration:
    return commands.makemigrations(tables=tables, **options)


def test_no_models_and_no_history_are_no_changes(folder: Path) -> None:
    assert not make().has_changes
    assert not folder.exists()


def test_a_file_is_named_after_what_it_does() -> None:
    assert make(table()).name == "0001_initial"
    assert make(table(column("price", nullable=True))).name == "0002_book_price"
    many = [column(name, nullable=True) for name in ("price", "note", "pages", "isbn")]
    assert make(table(*many)).name == "0003_book_note_and_book_pages_and_more"
    assert make(table(*many), name="Add full-text search!", empty=True).name == "0004_add_full_text_search"


def test_check_and_dry_run_write_nothing(folder: Path) -> None:
    assert make(table(), check=True).exit_code == 1
    assert "op.create_table(" in make(table(), dry_run=True).text
    assert not folder.exists()
    make(table())
    assert make(table(), check=True).exit_code == 0


def test_a_question_writes_nothing_and_an_answer_does(folder: Path) -> None:
    make(table())
    with pytest.raises(UnansweredQuestion, match=r"'book\.pages' is new.*--default book\.pages=VALUE"):
        make(table(column("pages", Kind.INTEGER)))
    make(table(column("size", Kind.INTEGER, nullable=True)))
    with pytest.raises(UnansweredQuestion, match=r"gone with --rename book\.size:pages$"):
        make(table(column("pages", Kind.INTEGER)))
    make(table())
    assert len(list(folder.glob("*.py"))) == 3
    with pytest.raises(MigrationError, match="'many' is no value for the column 'pages'"):
        make(table(column("pages", Kind.INTEGER)), default=["book.pages=many"])
    with pytest.raises(MigrationError, match=r"'book\.page' is not needed; did you mean 'book\.pages'"):
        make(table(column("pages", Kind.INTEGER)), default=["book.pages=1", "book.page=1"])
    made = make(table(column("pages", Kind.INTEGER)), default=["book.pages=1"])
    assert 'server_default=types.sql("1"),' in made.text
    assert 'batch.alter_column("pages", existing_type=types.Integer(), server_default=None)' in made.text


def test_not_null_on_a_nullable_column_is_a_question_too() -> None:
    make(table(column("pages", Kind.INTEGER, nullable=True)))
    with pytest.raises(UnansweredQuestion, match="was nullable"):
        make(table(column("pages", Kind.INTEGER)))
    made = make(table(column("pages", Kind.INTEGER, db_default=DatabaseDefault(literal=3))))
    assert 'UPDATE "book" SET "pages" = 3 WHERE "pages" IS NULL' in made.text


def test_a_rename_is_one_only_when_it_was_said() -> None:
    make(table(column("price", nullable=True)))
    guess = make(table(column("cost", nullable=True)), dry_run=True)
    assert "drop column book.price and its values" in guess.summaries
    assert "--rename book.price:cost" in guess.hints[0]
    said = make(table(column("cost", nullable=True)), rename=["book.price:cost"])
    assert said.summaries == ("rename column book.price to cost",)
    assert 'op.alter_column("book", "cost", new_column_name="price")' in said.text


def test_a_rename_of_a_table_takes_its_columns_along() -> None:
    make(table(column("price", nullable=True)))
    made = make(table(column("cost", nullable=True), name="volume"), rename=["book:volume", "book.price:cost"])
    assert "rename table book to volume" in made.summaries
    assert "rename column volume.price to cost" in made.summaries
    assert not any("drop" in summary for summary in made.summaries if "pk_" not in summary)


@pytest.mark.parametrize("rename", ["book.prise:cost", "book.price:costs", "boook:volume", "nonsense"])
def test_a_rename_that_does_not_fit_is_refused(rename: str) -> None:
    make(table(column("price", nullable=True)))
    with pytest.raises(MigrationError):
        make(table(column("cost", nullable=True)), rename=[rename])


def test_sql_that_differs_between_backends_is_written_as_two() -> None:
    check = CheckSpec("ck_book_note", {"sqlite": "\"note\" GLOB 'a*'", "postgresql": "\"note\" ~ '^a'"})
    made = make(table(column("note", nullable=True), checks=(check,)))
    assert 'sqlite="\\"note\\" GLOB \'a*\'"' in made.text
    assert 'postgresql="\\"note\\" ~ \'^a\'"' in made.text
    assert not make(table(column("note", nullable=True), checks=(check,))).has_changes


def test_descending_and_partial_indexes_survive_the_file() -> None:
    index = IndexSpec("ix_book_note", ("-note", "id"), '"note" IS NOT NULL', "btree")
    make(table(column("note"), indexes=(index,)))
    assert not make(table(column("note"), indexes=(index,))).has_changes


def test_every_kind_of_column_survives_the_file() -> None:
    items = {Kind.ARRAY: ColumnType(Kind.STRING, length=20), Kind.RANGE: ColumnType(Kind.DATE)}
    options: dict[str, Any] = {"length": 9, "precision": 20, "scale": 3, "choices": ("a", "bb")}
    kinds = [ColumnType(kind, item=items.get(kind), **options) for kind in Kind]
    fields = [FieldSpec(f"c{number}", f"c{number}", kind) for number, kind in enumerate(kinds)]
    make(table(*fields))
    assert not make(table(*fields)).has_changes


def test_a_file_that_is_no_python_is_named(folder: Path) -> None:
    make(table())
    (folder / "0002_bad.py").write_text("def upgrade(:\n")
    with pytest.raises(MigrationError, match=r"'0002_bad\.py' is no valid Python"):
        make(table())


def test_names_are_cut_at_words_of_letters_and_digits() -> None:
    assert files.slug("  Ünïcode & Spaces ") == "n_code_spaces"
    with pytest.raises(MigrationError, match="no name for a migration"):
        make(table(), name="!!!")


def test_an_update_writes_the_newest_file_anew(folder: Path) -> None:
    make(table(column("title"), column("pages", nullable=True)))
    make(table(column("name"), column("pages", nullable=True)), rename={"book.title": "name"})
    wanted = table(column("label"), column("price", nullable=True))
    made = make(wanted, update=True, rename={"book.name": "label"})
    assert [path.name for path in sorted(folder.iterdir())] == ["0001_initial.py", "0002_book_name.py"]
    assert 'op.alter_column("book", "title", new_column_name="label")' in made.text
    assert '"0001_initial"' in made.text
    assert not make(wanted).has_changes


def test_an_update_without_changes_leaves_the_file(folder: Path) -> None:
    before = make(table()).text
    assert not make(table(), update=True).has_changes
    assert (folder / "0001_initial.py").read_text() == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('    op.execute("DELETE FROM book")', "changes rows"),
        ("    from datalayer.migrations import rows, tables\n    rows.execute(tables.book.delete())", "changes rows"),
        (
            "    from datalayer.migrations import rows, tables\n"
            "    for batch in rows.batches(tables.book):\n        print(batch)",
            "changes rows",
        ),
        ("    pass  # datalayer: allow M103\n# datalayer: allow M103", "says what the linter shall allow"),
        ("    pass\n\n\natomic = False", "runs without a transaction"),
        ("    pass\n\n\ndef downgrade() -> None:\n    raise ValueError", "has no way back"),
    ],
)
def test_an_update_that_would_lose_what_a_person_has_written_is_refused(folder: Path, text: str, why: str) -> None:
    make(table())
    made = make(table(column("price", nullable=True)))
    assert made.path is not None
    head, sign, tail = made.text.partition("\n\n\ndef downgrade")
    made.path.write_text(f"{head}\n{text}{sign}{tail}")
    with pytest.raises(MigrationError, match=f"0002_book_price {why}, which would be lost"):
        make(table(), update=True)


def test_an_update_of_nothing_is_refused(folder: Path) -> None:
    with pytest.raises(MigrationError, match="there is no migration to write anew"):
        make(table(), update=True)
    make(table())
    make(table(column("price", nullable=True)))
    with pytest.raises(MigrationError, match="as they were before 0002_book_price: delete its file"):
        make(table(), update=True)


@pytest.mark.parametrize(
    "write",
    [
        lambda: make(table(column("price", nullable=True))),
        lambda: commands.makesql("more"),
        commands.mergemigrations,
        commands.squashmigrations,
    ],
)
def test_two_that_write_at_the_same_time_are_told_apart(folder: Path, write: Callable[[], object]) -> None:
    make(table())
    with deploy_lock.on_file(folder.parent / f".{folder.name}-making", None):
        with pytest.raises(MigrationError, match=rf"another command is writing into .* \(process {os.getpid()}, since"):
            write()
        assert make(table(column("price", nullable=True)), check=True).exit_code == 1
    assert [path.name for path in folder.iterdir()] == ["0001_initial.py"]
    assert make(table(column("price", nullable=True))).has_changes
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rename": ["nonsense"]}, "rename 'nonsense' is not of the form old:new, such as book.price:cost"),
        ({"default": ["nonsense"]}, "default 'nonsense' is not of the form table.column=value, such as book.pages=0"),
    ],
)
def test_an_answer_of_another_form_is_told_with_its_option_and_an_example(given: dict[str, Any], said: str) -> None:
    with pytest.raises(MigrationError) as refused:
        make(table(column("price", nullable=True)), **given)
    assert str(refused.value) == said
