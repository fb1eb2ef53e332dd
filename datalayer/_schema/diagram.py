"""Tables as an entity-relationship diagram: what it says of each, and the text that Mermaid draws."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.relation import RelationKind
from datalayer._schema.table import TableSpec


@dataclass(frozen=True, slots=True)
class Column:
    """A column as a diagram shows it.

    Attributes:
        name: What it is called in the database.
        type: Its type, in one word.
        keys: `PK`, `FK`, `UK`, or several of them.
        nullable: Whether it may be NULL.
    """

    name: str
    type: str
    keys: str
    nullable: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key as a diagram shows it.

    Attributes:
        label: The table that refers ...
        column: ... with this column ...
        target: ... to this table ...
        target_column: ... and this column there.
        name: What the relation is called.
        may_lack: Whether the target may be missing.
        is_many: Whether several rows may refer to one.
    """

    label: str
    column: str
    target: str
    target_column: str
    name: str
    may_lack: bool
    is_many: bool


def columns(table: TableSpec) -> Iterator[Column]:
    """The columns of a table, in order."""
    for field in table.fields.values():
        keys = [
            mark
            for mark, is_one in (
                ("PK", field.name in table.primary_key),
                ("FK", field.relation is not None),
                ("UK", _is_unique(table, (field.name,)) and table.primary_key != (field.name,)),
            )
            if is_one
        ]
        yield Column(field.column, _type(field.type), ", ".join(keys), field.nullable)


def references(tables: Mapping[str, TableSpec]) -> Iterator[Reference]:
    """The foreign keys between the tables."""
    names = {table.name: label for label, table in tables.items()}
    for label, table in tables.items():
        for relation in table.relations.values():
            if relation.kind.is_forward and relation.through is None and relation.target.name in names:
                yield Reference(
                    label,
                    table.fields[relation.local[0]].column,
                    names[relation.target.name],
                    relation.target.fields[relation.remote[0]].column,
                    relation.name,
                    relation.nullable,
                    not (relation.kind is RelationKind.ONE_TO_ONE or _is_unique(table, relation.local)),
                )


def mermaid(tables: Mapping[str, TableSpec]) -> str:
    """The text of a diagram: each table with its columns and keys, and how many rows of one belong to a row of another.

    Args:
        tables: By the name that is shown.
    """
    lines = ["erDiagram"]
    for label, table in tables.items():
        lines.append(f'    "{label}" {{')
        for column in columns(table):
            words = (column.type, _word(column.name), column.keys, '"may be NULL"' if column.nullable else "")
            lines.append(f"        {' '.join(word for word in words if word)}")
        lines.append("    }")
    for one in references(tables):
        ends = f"{'|o' if one.may_lack else '||'}--{'o{' if one.is_many else 'o|'}"
        lines.append(f'    "{one.target}" {ends} "{one.label}" : "{one.name}"')
    return "\n".join(lines) + "\n"


def _type(kind: ColumnType) -> str:
    word = kind.kind.value.replace(" ", "_")
    if kind.item is not None:
        inner = _type(kind.item)
        return f"range({inner})" if kind.kind is Kind.RANGE else f"{inner}[]"
    return word if kind.length is None else f"{word}({kind.length})"


def _word(name: str) -> str:
    """The name of a column as Mermaid can read it: one word that begins with a letter, and is none of its marks."""
    word = re.sub(r"[^\w-]", "_", name)
    is_plain = (word[:1].isalpha() or word[:1] == "_") and word.upper() not in ("PK", "FK", "UK")
    return word if is_plain else f"_{word}"


def _is_unique(table: TableSpec, fields: tuple[str, ...]) -> bool:
    if set(table.primary_key) == set(fields):
        return True
    return any(one.is_whole and set(one.fields) == set(fields) for one in table.unique)
