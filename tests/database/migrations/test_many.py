"""The table of a many to many is made, renamed and dropped by migrations, with the links in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from datalayer import ForeignKey, ManyToMany, Model, conf
from datalayer._schema.table import TableSpec
from datalayer.migrations import commands, config
from datalayer.models import registry
from tests.database.migrations.live import live_schema


@pytest.fixture(autouse=True)
def project(database_url: str, tmp_path: Path) -> Iterator[None]:
    with conf.override(databases={"default": {"url": database_url}}, migrations=str(tmp_path / "migrations")):
        yield


def tables(
    *, book: str = "Book", tag: str = "Tag", tags: str | None = "tags", is_through: bool = False
) -> list[TableSpec]:
    """The tables of tags, of books, and of the relation between them; `book`, `tag` and `tags` are their names."""
    with registry.isolated():
        label: Any = type(Model)(tag, (Model,), {"__module__": __name__, "__qualname__": tag, "__annotations__": {}})
        body: dict[str, Any] = {"__module__": __name__, "__qualname__": book, "__annotations__": {}}
        if tags is not None:
            body["__annotations__"][tags] = ManyToMany[label]
            body[tags] = ManyToMany(related_name="books", through="Link" if is_through else None)
        owner: Any = type(Model)(book, (Model,), body)
        if is_through:
            link: dict[str, Any] = {
                "__module__": __name__,
                "__qualname__": "Link",
                "__annotations__": {"book": ForeignKey[owner], "tag": ForeignKey[label]},
                "book": ForeignKey(related_name="+"),
                "tag": ForeignKey(related_name="+"),
            }
            type(Model)("Link", (Model,), link)
        return registry.tables()


def made(found: list[TableSpec], **options: Any) -> str:
    result = commands.makemigrations(tables=found, **options)
    assert result.name is not None
    again = commands.makemigrations(tables=found)
    assert not again.has_changes, again.text
    return result.name


def execute(*statements: str) -> None:
    with config.environment("default").connect() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
        connection.commit()


def links(table: str) -> list[tuple[Any, ...]]:
    with config.environment("default").connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(f"SELECT * FROM {table} ORDER BY 1, 2"))]


def test_it_is_made_and_taken_back() -> None:
    made(tables())
    commands.migrate()
    execute(
        "INSERT INTO tag (id) VALUES (1)", "INSERT INTO book (id) VALUES (1)", "INSERT INTO book_tags VALUES (1, 1)"
    )
    found = live_schema()["book_tags"]
    assert found["primary key"] == ["book_id", "tag_id"]
    assert [key[1:3] for key in found["keys"]] == [(["book_id"], "book"), (["tag_id"], "tag")]
    assert all("CASCADE" in key[4] for key in found["keys"])
    commands.migrate("zero")
    assert live_schema() == {}


def test_it_comes_and_goes_with_the_relation() -> None:
    made(tables(tags=None))
    assert "book_tags" in made(tables())
    made(tables(tags=None))
    commands.migrate()
    assert set(live_schema()) == {"tag", "book"}
    commands.revert(1)
    assert set(live_schema()) == {"tag", "book", "book_tags"}


def test_links_outlive_a_new_name_of_the_relation() -> None:
    made(tables())
    commands.migrate()
    execute(
        "INSERT INTO tag (id) VALUES (1)", "INSERT INTO book (id) VALUES (1)", "INSERT INTO book_tags VALUES (1, 1)"
    )
    made(tables(tags="topics"), rename=["book_tags:book_topics"])
    commands.migrate()
    assert links("book_topics") == [(1, 1)]
    assert live_schema()["book_topics"]["indexes"][0][0] == "ix_book_topics_tag_id"
    commands.revert(1)
    assert links("book_tags") == [(1, 1)]


def test_links_outlive_a_new_name_of_the_model() -> None:
    made(tables())
    commands.migrate()
    execute(
        "INSERT INTO tag (id) VALUES (1)", "INSERT INTO book (id) VALUES (1)", "INSERT INTO book_tags VALUES (1, 1)"
    )
    made(tables(book="Novel"), rename=["book:novel", "book_tags:novel_tags", "novel_tags.book_id:novel_id"])
    commands.migrate()
    assert links("novel_tags") == [(1, 1)]
    assert live_schema()["novel_tags"]["primary key"] == ["novel_id", "tag_id"]


@pytest.mark.parametrize("is_asked", [False, True], ids=["said", "asked"])
def test_the_table_and_its_column_follow_a_new_name_of_the_model(*, is_asked: bool) -> None:
    made(tables())
    commands.migrate()
    execute(
        "INSERT INTO tag (id) VALUES (1)", "INSERT INTO book (id) VALUES (1)", "INSERT INTO book_tags VALUES (1, 1)"
    )
    answers = Yes()
    made(tables(book="Novel"), **({"questions": answers} if is_asked else {"rename": ["book:novel"]}))
    assert answers.asked == ([("table", "book", "novel")] if is_asked else [])
    for _ in range(2):
        commands.migrate()
        assert links("novel_tags") == [(1, 1)]
        assert live_schema()["novel_tags"]["primary key"] == ["novel_id", "tag_id"]
        commands.revert(1)
        assert links("book_tags") == [(1, 1)]


def test_a_column_follows_a_new_name_of_the_model_that_is_related_to() -> None:
    made(tables())
    commands.migrate()
    execute(
        "INSERT INTO tag (id) VALUES (1)", "INSERT INTO book (id) VALUES (1)", "INSERT INTO book_tags VALUES (1, 1)"
    )
    made(tables(tag="Label"), rename=["tag:label"])
    commands.migrate()
    assert live_schema()["book_tags"]["primary key"] == ["book_id", "label_id"]
    commands.revert(1)
    assert links("book_tags") == [(1, 1)]


class Yes:
    """Somebody who says yes to everything, and what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    def was_renamed(self, kind: str, before: str, after: str) -> bool:
        self.asked.append((kind, before, after))
        return True

    def value(self, column: str, reason: str, check: object) -> str:
        raise AssertionError(column)


def test_a_model_in_between_has_a_table_of_its_own() -> None:
    made(tables(is_through=True))
    commands.migrate()
    assert set(live_schema()) == {"tag", "book", "link"}


def test_a_database_made_at_once_is_the_migrated_one(database_url: str) -> None:
    from datalayer._compile.tables import create_all_statements

    made(tables())
    commands.migrate()
    migrated = live_schema()
    commands.migrate("zero")
    execute(*create_all_statements(tables(), "sqlite" if database_url.startswith("sqlite") else "postgresql"))
    assert live_schema() == migrated
