"""Which tables there are to work on, by which names, and in which order their rows can be written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from datalayer._schema.table import ForeignKeySpec, TableSpec
from datalayer.errors import ModelError, QueryError, choices_text, nearest
from datalayer.models import registry


def labels() -> dict[str, TableSpec]:
    """The tables rows can be written to, by the model's name, with its module before it where two share the name."""
    tables = [table for table in registry.tables() if table.view is None]
    names = [table.model for table in tables]
    return {(table.model if names.count(table.model) == 1 else full_name(table)): table for table in tables}


def full_name(table: TableSpec) -> str:
    """The name of a table's model, with its module."""
    assert table.python_model is not None
    return f"{table.python_model.__module__}.{table.python_model.__qualname__}"


def find(name: str, known: dict[str, TableSpec]) -> TableSpec:
    """The table of a model, by its name with the module or without.

    Raises:
        QueryError: No model is called so.
    """
    table = known.get(name) or next((each for each in known.values() if full_name(each) == name), None)
    if table is None:
        raise QueryError(f"no model is called {name!r}; the models are {choices_text(known)}{nearest(name, known)}")
    return table


def chosen(names: Sequence[str], but: Sequence[str] = ()) -> dict[str, TableSpec]:
    """The tables of the named models by label, or of all whose tables are ours, without those of some models.

    The table of a many to many without a model of its own comes with the models it joins.

    Raises:
        QueryError: No model is called so.
    """
    known = labels()
    left_out = {find(name, known).name for name in but}
    wanted = {find(name, known).name for name in names} - left_out

    def is_chosen(table: TableSpec) -> bool:
        joined = {key.target for key in table.foreign_keys} if table.is_automatic else set[str]()
        if table.name in left_out or joined & left_out:
            return False
        if not names:
            return table.is_managed
        return table.name in wanted or (bool(joined) and joined <= wanted)

    return {label: table for label, table in known.items() if is_chosen(table)}


def late_fields(tables: Iterable[TableSpec]) -> dict[str, tuple[str, ...]]:
    """By table, the fields that are written when all rows are there: those that may be NULL and close a cycle.

    A reference of a table to itself is the smallest cycle. More tables never make it fewer fields.
    """
    known = {table.name: table for table in tables}
    reached = {name: _reached(name, known) for name in known}
    found: dict[str, tuple[str, ...]] = {}
    for name, table in known.items():
        keys = [key for key in table.foreign_keys if name in reached.get(key.target, ())]
        fields = tuple(dict.fromkeys(field for key in keys for field in _nullable(table, key)))
        if fields:
            found[name] = fields
    return found


def _reached(name: str, known: dict[str, TableSpec]) -> set[str]:
    """The table itself, and those its references lead to, step by step."""
    found, waiting = {name}, [name]
    while waiting:
        for key in known[waiting.pop()].foreign_keys:
            if key.target in known and key.target not in found:
                found.add(key.target)
                waiting.append(key.target)
    return found


def _nullable(table: TableSpec, key: ForeignKeySpec) -> list[str]:
    return [name for name in key.fields if table.fields[name].nullable]


def ordered(tables: Iterable[TableSpec]) -> list[TableSpec]:
    """The tables, each after those it refers to; what `late_fields` names does not count.

    Raises:
        ModelError: Tables refer to each other and none of them can be first.
    """
    left = {table.name: table for table in tables}
    late = late_fields(left.values())
    found: list[TableSpec] = []
    while left:
        free = next((table for table in left.values() if not _blocked(table, left, late)), None)
        if free is None:
            ring = [table for table in left.values() if _is_in_ring(table, left)]
            names = " and ".join(table.model for table in ring)
            raise ModelError(
                f"the rows of {names} need each other, so none can be written first; let one of these foreign keys be "
                "None, give it db_constraint=False, or name the models to leave one out"
            )
        found.append(left.pop(free.name))
    return found


def _blocked(table: TableSpec, left: dict[str, TableSpec], late: dict[str, tuple[str, ...]]) -> bool:
    """Whether a table refers to another one that is left. To itself it may: rows come in the order of their keys."""
    return any(
        key.target in left and key.target != table.name and not set(key.fields) & set(late.get(table.name, ()))
        for key in table.foreign_keys
    )


def _is_in_ring(table: TableSpec, left: dict[str, TableSpec]) -> bool:
    return any(
        key.target != table.name and key.target in left and table.name in _reached(key.target, left)
        for key in table.foreign_keys
    )
