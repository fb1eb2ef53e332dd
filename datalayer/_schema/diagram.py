"""Tables as an entity-relationship diagram, in the text that Mermaid draws."""

from __future__ import annotations

from collections.abc import Mapping

from datalayer._schema.field import FieldSpec
from datalayer._schema.relation import RelationKind, RelationSpec
from datalayer._schema.table import TableSpec


def mermaid(tables: Mapping[str, TableSpec]) -> str:
    """The text of a diagram: each table with its columns and keys, and how many rows of one belong to a row of another.

    Args:
        tables: By the name that is shown.
    """
    names = {table.name: label for label, table in tables.items()}
    lines = ["erDiagram"]
    for label, table in tables.items():
        lines.append(f'    "{label}" {{')
        lines += [f"        {_column(table, field)}" for field in table.fields.values()]
        lines.append("    }")
    for label, table in tables.items():
        for relation in table.relations.values():
            if relation.kind.is_forward and relation.through is None and relation.target.name in names:
                target = names[relation.target.name]
                lines.append(f'    "{target}" {_ends(table, relation)} "{label}" : "{relation.name}"')
    return "\n".join(lines) + "\n"


def _column(table: TableSpec, field: FieldSpec) -> str:
    kind = field.type.kind.value.replace(" ", "_")
    if field.type.length is not None:
        kind += f"({field.type.length})"
    keys = [
        mark
        for mark, is_one in (
            ("PK", field.name in table.primary_key),
            ("FK", field.relation is not None),
            ("UK", _is_unique(table, (field.name,)) and table.primary_key != (field.name,)),
        )
        if is_one
    ]
    words = [kind, field.column, ", ".join(keys), '"may be NULL"' if field.nullable else ""]
    return " ".join(word for word in words if word)


def _ends(table: TableSpec, relation: RelationSpec) -> str:
    """How many rows there are at each end: of the target one or none, of the table many or one."""
    target = "|o" if relation.nullable else "||"
    is_single = relation.kind is RelationKind.ONE_TO_ONE or _is_unique(table, relation.local)
    return f"{target}--{'o|' if is_single else 'o{'}"


def _is_unique(table: TableSpec, fields: tuple[str, ...]) -> bool:
    if set(table.primary_key) == set(fields):
        return True
    return any(one.condition is None and set(one.fields) == set(fields) for one in table.unique)
