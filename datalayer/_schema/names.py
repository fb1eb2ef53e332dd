"""Names the database sees: tables, constraints and indexes, stable and at most 63 bytes long.

PostgreSQL cuts identifiers silently at 63 bytes (manual, section 4.1.1); a name that would be cut ends in a hash
of the whole instead, so that two long names never meet.
"""

from __future__ import annotations

import hashlib
import re

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
