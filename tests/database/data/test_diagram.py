"""The diagram says of every table what a reader of it needs."""

from __future__ import annotations

from datalayer import Field, ForeignKey, ManyToMany, Mapped, Model, OneToOne
from datalayer._schema.diagram import mermaid
from datalayer.data.order import labels
from datalayer.models import registry

DIAGRAM = """\
erDiagram
    "Author" {
        big_integer id PK
        string(20) name UK
        big_integer mentor_id FK "may be NULL"
    }
    "Book" {
        big_integer id PK
        text title
        big_integer author_id FK
        big_integer summary_id FK, UK
    }
    "Summary" {
        big_integer id PK
    }
    "Book_readers" {
        big_integer book_id PK, FK
        big_integer author_id PK, FK
    }
    "Author" |o--o{ "Author" : "mentor"
    "Author" ||--o{ "Book" : "author"
    "Summary" ||--o| "Book" : "summary"
    "Book" ||--o{ "Book_readers" : "book"
    "Author" ||--o{ "Book_readers" : "author"
"""


def test_columns_keys_and_the_number_of_rows_at_each_end() -> None:
    with registry.isolated():

        class Author(Model):
            name: Mapped[str] = Field(max_length=20, unique=True)
            mentor: ForeignKey[Author | None] = ForeignKey(default=None, related_name="pupils")

        class Book(Model):
            title: Mapped[str]
            author: ForeignKey[Author] = ForeignKey()
            summary: OneToOne[Summary] = OneToOne()
            readers: ManyToMany[Author] = ManyToMany(related_name="read")

        class Summary(Model):
            pass

        assert Author
        assert Book
        assert Summary
        assert mermaid(labels()) == DIAGRAM
