"""What only a person can know, asked while a migration is made: what was renamed, and what existing rows get."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Protocol

from datalayer.migrations import enums
from datalayer.migrations.following import followed
from datalayer.migrations.state import State, Table


class Questions(Protocol):
    """Somebody to ask; `datalayer.cli` asks on a terminal."""

    def was_renamed(self, kind: str, before: str, after: str) -> bool:
        """Whether a table or column that is gone is the one that is new.

        Args:
            kind: `table`, `column` or `value`.
            before: Its name in the migrations, as `table.column` or `table.column.value`.
            after: Its name in the models.
        """
        ...

    def value(self, column: str, reason: str, check: Callable[[str], object]) -> str:
        """What the rows that exist get in a column.

        Args:
            column: `table.column`.
            reason: Why they need a value.
            check: Raises MigrationError for an answer that is no value of the column's type.
        """
        ...


def asked_renames(
    old: State, new: State, said: Mapping[str, str], questions: Questions, automatic: Collection[str] = ()
) -> dict[str, str]:
    """The renames that were said, and those that were asked for; the keys are old names, as `--rename` takes them.

    Args:
        old: The tables there are.
        new: The tables of the models.
        said: What was said.
        questions: Who is asked.
        automatic: The tables of many to many, which follow their models.
    """
    renames = dict(said)
    for before, after in _tables(old, new, renames):
        if after not in renames.values() and before not in renames and questions.was_renamed("table", before, after):
            renames[before] = after
            renames = followed(old, new, renames, automatic)
    for name, table in old.items():
        made = new.get(renames.get(name, name))
        if made is None:
            continue
        for gone, come in _columns(name, table, made, renames):
            key, said_now = f"{name}.{gone}", _said(name, renames)
            is_open = gone not in said_now and come not in said_now.values()
            if is_open and questions.was_renamed("column", key, come):
                renames[key] = come
    for name, column, lost, found in enums.changed(old, new):
        for value in lost:
            key = f"{name}.{column}.{value}"
            for other in found:
                is_open = key not in renames and str(other) not in _values_said(name, column, renames)
                if is_open and questions.was_renamed("value", key, str(other)):
                    renames[key] = str(other)
    return renames


def _values_said(table: str, column: str, renames: Mapping[str, str]) -> set[str]:
    return {after for before, after in renames.items() if before.startswith(f"{table}.{column}.")}


def _tables(old: State, new: State, renames: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A table that is gone, and a new one with at least half of its columns."""
    for before, table in old.items():
        for after, made in new.items():
            if before in new or after in old:
                continue
            shared = len(table.columns.keys() & made.columns.keys())
            if shared * 2 >= max(len(table.columns), len(made.columns)):
                yield before, after


def _columns(name: str, old: Table, new: Table, renames: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A column that is gone, and a new one of the same type."""
    said = _said(name, renames)
    for gone, column in old.columns.items():
        for come, made in new.columns.items():
            is_new = come not in old.columns and come not in said.values()
            if gone not in new.columns and gone not in said and is_new and column.type_text == made.type_text:
                yield gone, come


def _said(table: str, renames: Mapping[str, str]) -> dict[str, str]:
    """The renames of a table's columns, without the table."""
    pairs = [(key.rpartition("."), value.rpartition(".")[2]) for key, value in renames.items()]
    return {column: value for (before, dot, column), value in pairs if dot and before == table}
