"""Tables of a small bookshop, described by hand."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from datalayer._schema.field import ColumnType, FieldSpec, Kind
from datalayer._schema.relation import RelationKind, RelationSpec
from datalayer._schema.table import TableSpec

INT = ColumnType(Kind.INTEGER, int)
TEXT = ColumnType(Kind.STRING, str, length=200)
DATE = ColumnType(Kind.DATE, date)
MOMENT = ColumnType(Kind.DATETIME, datetime)
MONEY = ColumnType(Kind.DECIMAL, Decimal, precision=8, scale=2)
ID = FieldSpec("id", "id", INT, is_primary_key=True, is_identity=True)

AUTHOR = TableSpec(
    "author",
    model="Author",
    primary_key=("id",),
    fields=(ID, FieldSpec("name", "name", TEXT), FieldSpec("born", "born", DATE, nullable=True)),
)
TAG = TableSpec("tag", model="Tag", primary_key=("id",), fields=(ID, FieldSpec("label", "label", TEXT)))
BOOK = TableSpec(
    "book",
    model="Book",
    primary_key=("id",),
    fields=(
        ID,
        FieldSpec("title", "title", TEXT),
        FieldSpec("price", "price", MONEY),
        FieldSpec("published_at", "published_at", MOMENT, nullable=True),
        FieldSpec("author_id", "author_id", INT, relation="author"),
        FieldSpec("editor_id", "editor_id", INT, nullable=True, relation="editor"),
    ),
)
BOOK_TAGS = TableSpec(
    "book_tags",
    model="BookTags",
    primary_key=("id",),
    fields=(ID, FieldSpec("book_id", "book_id", INT), FieldSpec("tag_id", "tag_id", INT)),
)
_F, _R, _M = RelationKind.FOREIGN_KEY, RelationKind.REVERSE_FOREIGN_KEY, RelationKind.MANY_TO_MANY
BOOK.relations["author"] = RelationSpec("author", _F, BOOK, AUTHOR, ("author_id",), ("id",), False, "books")
BOOK.relations["editor"] = RelationSpec("editor", _F, BOOK, AUTHOR, ("editor_id",), ("id",), True, "edited")
AUTHOR.relations["books"] = RelationSpec("books", _R, AUTHOR, BOOK, ("id",), ("author_id",), True, "author")
AUTHOR.relations["edited"] = RelationSpec("edited", _R, AUTHOR, BOOK, ("id",), ("editor_id",), True, "editor")
BOOK.relations["tags"] = RelationSpec(
    "tags", _M, BOOK, TAG, ("id",), ("book_id",), True, "books", BOOK_TAGS, ("book_id",), ("tag_id",)
)
TAG.relations["books"] = RelationSpec(
    "books", _M, TAG, BOOK, ("id",), ("tag_id",), True, "tags", BOOK_TAGS, ("tag_id",), ("book_id",)
)

SCHEMA = """
create table author (id integer primary key, name varchar(200) not null, born date);
create table tag (id integer primary key, label varchar(200) not null);
create table book (id integer primary key, title varchar(200) not null, price numeric(8, 2) not null,
    published_at text, author_id integer not null references author, editor_id integer references author);
create table book_tags (id integer primary key, book_id integer not null references book,
    tag_id integer not null references tag);
insert into author values (1, 'Ann', '1950-05-01'), (2, 'Bob', null), (3, 'Çelik', '1980-01-01');
insert into book values (1, 'A_1', 10.10, '2020-01-01 00:00:00.000000', 1, null),
    (2, 'b%2', 20.20, '2020-12-31 23:59:59.999999', 1, 2), (3, 'Ünder\\', 5, null, 2, 1),
    (4, 'a_1 again', 7.5, '2021-06-15 12:30:45.000000', 2, null);
insert into tag values (1, 'sf'), (2, 'old'), (3, 'new');
insert into book_tags (book_id, tag_id) values (1, 1), (1, 2), (2, 1), (3, 3);
"""
