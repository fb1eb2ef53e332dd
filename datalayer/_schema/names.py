"""Names the database sees: tables, constraints and indexes, stable and at most 63 bytes long.

PostgreSQL cuts identifiers silently at 63 bytes (manual, section 4.1.1); a name that would be cut ends in a hash
of the whole instead, so that two long names never meet.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from datalayer.errors import ModelError

LONGEST = 63


def shortened(name: str) -> str:
    """The name itself, or its beginning and a hash of the whole where it is too long."""
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return name.encode()[: LONGEST - 9].decode(errors="ignore") + "_" + digest


def table_name(class_name: str) -> str:
    """The table of a model: its name in snake case (`OrderLine` -> `order_line`)."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_name).lower()


def constraint_name(kind: str, table: str, columns: tuple[str, ...], tail: str = "") -> str:
    """The name of a constraint or index.

    Args:
        kind: `pk`, `uq`, `fk`, `ck` or `ix`.
        table: The table's name.
        columns: The columns it is about, in order.
        tail: What tells it from another one on the same columns, such as `ge`.
    """
    return shortened("_".join((kind, table, *columns, *((tail,) if tail else ()))))


def check_identifiers(model: str, table: str, columns: Iterable[str], others: Iterable[str]) -> None:
    """Refuses names that a database would not take, or would take for something else.

    Args:
        model: The model they are of, for messages.
        table: The name of its table.
        columns: The names of columns.
        others: The names of constraints and indexes.

    Raises:
        ModelError: One is empty, has a zero byte or is too long; the table's has a dot.
    """
    named = [("table", table), *[("column", name) for name in columns], *[("name", name) for name in others]]
    for what, name in named:
        size = len(name.encode())
        if not name or "\0" in name:
            raise ModelError(f"{model} has the {what} {name!r}; a name has one character or more, and no zero byte")
        if size > LONGEST:
            raise ModelError(
                f"{model} has the {what} {name!r} of {size} bytes; PostgreSQL cuts names at {LONGEST}, so shorten it"
            )
    if "." in table:
        schema, _, rest = table.rpartition(".")
        raise ModelError(
            f"{model} has the table {table!r}; a table is named without a schema: table = {rest!r}, and the "
            f"search_path of the database names {schema!r}"
        )
