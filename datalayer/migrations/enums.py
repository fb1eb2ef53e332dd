"""The values of enum columns: which a CHECK allows, and what becomes of rows that have one that is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from datalayer.errors import MigrationError, choices_text, nearest
from datalayer.migrations.state import State, Table

Value: TypeAlias = str | int

_CHOICES = re.compile(r'^"(?P<column>(?:[^"]|"")+)" IN \((?P<values>.+)\)$', re.DOTALL)
_VALUE = re.compile(r"'((?:[^']|'')*)'|(-?\d+)")


def choices(table: Table) -> dict[str, list[Value]]:
    """The values of each column that allows a few only."""
    found: dict[str, list[Value]] = {}
    for text in table.checks.values():
        match = _CHOICES.match(text[0])
        if match is not None:
            values = [
                int(number) if number else word.replace("''", "'") for word, number in _VALUE.findall(match["values"])
            ]
            found[match["column"].replace('""', '"')] = values
    return found


def check_of(table: Table, column: str) -> str | None:
    """The name of the CHECK that says the values of a column."""
    for name, text in table.checks.items():
        match = _CHOICES.match(text[0])
        if match is not None and match["column"].replace('""', '"') == column:
            return name
    return None


def changed(old: State, new: State) -> Iterator[tuple[str, str, list[Value], list[Value]]]:
    """The enum columns with other values than before: table, column, those that are gone and those that are new."""
    for name, table in new.items():
        if name not in old:
            continue
        before = choices(old[name])
        for column, values in choices(table).items():
            known = before.get(column)
            if known is not None and set(known) != set(values):
                gone = [value for value in known if value not in values]
                yield name, column, gone, [value for value in values if value not in known]


def moves(old: State, new: State, renames: Mapping[str, str]) -> dict[str, dict[str, dict[Value, Value]]]:
    """What was said of values, `table.column.value` to value, by table and column; names as they are in the models.

    Raises:
        MigrationError: There is no such value before, or none such afterwards.
    """
    found: dict[str, dict[str, dict[Value, Value]]] = {}
    for key, said in renames.items():
        if key.count(".") < 2:
            continue
        table, column, word = key.split(".", 2)
        table = renames.get(table, table)
        column = renames.get(f"{key.split('.', 1)[0]}.{column}", column).rpartition(".")[2]
        known = choices(old[table]).get(column, []) if table in old else []
        wanted = choices(new[table]).get(column, []) if table in new else []
        before = next((value for value in known if str(value) == word and value not in wanted), None)
        after = next((value for value in wanted if str(value) == said), None)
        if before is None or after is None:
            gone = [str(value) for value in known if value not in wanted]
            there = [str(value) for value in wanted]
            raise MigrationError(
                f"cannot move the value {key!r} to {said!r}: the values that are gone are {choices_text(gone)}; the "
                f"models have {choices_text(there)}{nearest(word, gone) or nearest(said, there)}"
            )
        found.setdefault(table, {}).setdefault(column, {})[before] = after
    return found


def back(old: State, key: str, said: str, renames: Mapping[str, str]) -> tuple[str, str] | None:
    """The same for the way back; None where the value was there before, so that rows cannot be told apart."""
    table, column, word = key.split(".", 2)
    known = choices(old[table]).get(column, []) if table in old else []
    if said in [str(value) for value in known]:
        return None
    column = renames.get(f"{table}.{column}", column).rpartition(".")[2]
    return f"{renames.get(table, table)}.{column}.{said}", word


def updates(table: str, column: str, values: Mapping[Value, Value]) -> list[str]:
    """The statement that gives the rows their new values, all at once, so that two may change places."""
    cases = " ".join(f"WHEN {_literal(before)} THEN {_literal(after)}" for before, after in values.items())
    there = ", ".join(map(_literal, values))
    return [f'UPDATE "{table}" SET "{column}" = CASE "{column}" {cases} END WHERE "{column}" IN ({there})']


def _literal(value: Value) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
