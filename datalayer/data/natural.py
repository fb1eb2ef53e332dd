"""Natural keys: rows that are told by what people call them, in files that go from one database into another.

`Meta.natural_key` names the fields; a relation among them stands for the natural key of the row it leads to, or for its
plain key where that has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from datalayer._plans.read import tuples
from datalayer._plans.related import matching
from datalayer._query.expression import FieldRef
from datalayer._query.path import field_reference, reference
from datalayer._query.query import Query
from datalayer._schema.table import TableSpec
from datalayer.errors import LoadError

if TYPE_CHECKING:
    from datalayer._compile.compiler import Compiler
    from datalayer._plans.plan import Plan, Row

_AT_ONCE = 200
"""Keys that are looked up by one statement."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A field that refers to rows which have a natural key.

    Attributes:
        relation: The name of the relation.
        target: The table it leads to.
        key: The field of the target that it holds.
        parts: What the natural key is made of: paths that begin at the target.
    """

    relation: str
    target: TableSpec
    key: str
    parts: tuple[str, ...]

    @property
    def columns(self) -> tuple[FieldRef, ...]:
        """The parts, in a query over the target."""
        return tuple([cast("FieldRef", reference(self.target, part)) for part in self.parts])


def natural_key(table: TableSpec) -> tuple[str, ...]:
    """The paths of the natural key of a table; none where it has none."""
    model: Any = table.python_model
    names: tuple[str, ...] = () if model is None else model.__datalayer_options__.natural_key
    return tuple(_parts(table, names))


def _parts(table: TableSpec, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        relation = table.relations.get(name)
        if relation is None:
            yield name
        elif inner := natural_key(relation.target):
            yield from (f"{name}__{part}" for part in inner)
        else:
            yield from relation.local


def references(table: TableSpec) -> dict[str, Reference]:
    """The fields of a table that may hold a natural key in a file, by their names."""
    found: dict[str, Reference] = {}
    for relation in table.relations.values():
        if relation.kind.is_forward and len(relation.local) == 1 and (parts := natural_key(relation.target)):
            found[relation.local[0]] = Reference(relation.name, relation.target, relation.remote[0], parts)
    return found


def looked_up(
    compiler: Compiler,
    table: TableSpec,
    rows: Sequence[dict[str, object]],
    lines: Sequence[int],
    names: Sequence[str],
) -> Plan[None]:
    """Puts the plain keys in the place of natural ones.

    Args:
        compiler: For the backend at hand.
        table: Where the rows go.
        rows: Their values.
        lines: Their numbers in the file.
        names: The fields that are looked at.

    Raises:
        LoadError: No row has such a key.
    """
    for name, wanted in references(table).items():
        if name not in names:
            continue
        given = [row[name] for row in rows]
        keys = [cast("Row", key) for key in dict.fromkeys(given) if isinstance(key, tuple)]
        known: dict[object, object] = {}
        for start in range(0, len(keys), _AT_ONCE):
            found = yield from _keys(compiler, wanted, keys[start : start + _AT_ONCE])
            known.update({row[:-1]: row[-1] for row in found})
        for number, row in zip(lines, rows, strict=True):
            if not isinstance(row[name], tuple):
                continue
            key = cast("Row", row[name])
            if key not in known:
                shown = ", ".join(f"{part}={value!r}" for part, value in zip(wanted.parts, key, strict=True))
                raise LoadError(
                    f"line {number}: {table.model}.{name} refers to the {wanted.target.model} with {shown}, which is "
                    "neither in the database nor on a line before",
                    line=number,
                    model=table.model,
                    field=name,
                )
            row[name] = known[key]


def _keys(compiler: Compiler, wanted: Reference, keys: list[Any]) -> Plan[list[Row]]:
    nodes = wanted.columns
    columns = [(f"c{place}", node) for place, node in enumerate(nodes)]
    columns.append(("key", field_reference(wanted.target, (), wanted.key)))
    query = Query(wanted.target).filtered(matching(nodes, keys)).replaced(columns=tuple(columns))
    return tuples(compiler, query)
