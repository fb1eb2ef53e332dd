"""Which values stay out of errors."""

from __future__ import annotations

from typing import Final

from datalayer._schema.table import TableSpec
from datalayer.conf.options import SECRET_NAME

HIDDEN: Final = "**********"


def is_secret(column: str, spec: TableSpec | None) -> bool:
    """Whether a column's values stay out of errors: by its type (SecretStr) or by its name."""
    field = None if spec is None else spec.by_column.get(column)
    kept = getattr(getattr(field, "type", None), "python", object)
    return kept.__name__.startswith("Secret") or SECRET_NAME.search(column) is not None
