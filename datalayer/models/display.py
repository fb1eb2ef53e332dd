"""`get_status_display()`: what a person reads for a value of a column that has choices."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from datalayer._schema.field import Kind


def display(value: object) -> str:
    """What a person reads: an enum member's `label`, else its name in words; of anything else its text.

    Args:
        value: A member of an enum, a value of a `Literal`, or None, which is nothing to read.
    """
    if value is None:
        return ""
    if isinstance(value, enum.Enum):
        label = getattr(value, "label", None)
        return label if isinstance(label, str) else value.name.replace("_", " ").strip().capitalize()
    return str(value)


def display_method(instance: Any, name: str) -> Callable[[], str] | None:
    """The method that `get_status_display` names; None where it names no column with choices."""
    if not (name.startswith("get_") and name.endswith("_display")):
        return None
    field = instance.__class__.table.fields.get(name[4:-8])
    if field is None or field.type.kind is not Kind.ENUM:
        return None
    return lambda: display(getattr(instance, field.name))
