"""What is wrong with models beside each other, which each of them alone does not show: names that two of them claim."""

from __future__ import annotations

import keyword
from collections.abc import Iterable
from typing import Any

from datalayer._query.path import reference
from datalayer._schema.table import TableSpec
from datalayer.errors import FieldError, ModelError


def check_way_back(where: str, name: str) -> None:
    """Refuses a name of a way back that is no attribute, or cannot be told from a path in a query.

    Raises:
        ModelError: The message asks for another one.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        reason = "which is no name of an attribute"
    elif "__" in name or name.endswith("_") or name.startswith("_"):
        reason = "which cannot be told from a path like author__name"
    elif name == "pk":
        reason = "which is the alias of the primary key"
    else:
        return
    raise ModelError(f'{where} would be called {name!r} on the other side, {reason}; give it related_name="..."')


def check_together(tables: Iterable[TableSpec]) -> None:
    """Refuses tables whose names, or whose indexes' names, would meet in the database, and orders that lead nowhere.

    Raises:
        ModelError: Two of them share a name; an ordering walks to what is not there.
    """
    known: dict[str, tuple[str, str]] = {}
    every = list(tables)
    for table in every:
        known.setdefault(table.name, (table.model, "table"))
    for table in every:
        for option, items in (("ordering", table.ordering), ("get_latest_by", _latest_by(table))):
            for item in items:
                _check_order(table, option, item)
        if not table.is_managed:
            continue
        # PostgreSQL keeps tables and indexes in one set of names, and a unique constraint is an index there.
        named = [(one.name, "index") for one in table.indexes]
        named += [(one.name, "constraint") for one in table.unique]
        named += [(one.name, "constraint") for one in table.exclusions]
        for name, what in named:
            owner, other = known.setdefault(name, (table.model, what))
            if owner != table.model or other == "table":
                an = "an" if other == "index" else "a"
                raise ModelError(
                    f"{table.model} has the {what} {name!r}, and {owner} has {an} {other} of that name, which a "
                    "database keeps once; give one another name=, or leave it out for one that names its table"
                )


def _latest_by(table: TableSpec) -> tuple[Any, ...]:
    model: Any = table.python_model
    found: tuple[Any, ...] = model.__datalayer_options__.get_latest_by
    return found


def _check_order(table: TableSpec, option: str, item: Any) -> None:
    try:
        if not isinstance(item, str):
            item.resolved(table, {})
        elif item != "?":
            reference(table, item.removeprefix("-"), annotations={})
    except FieldError as error:
        raise ModelError(f"{table.model}.Meta.{option}: {error}") from None
