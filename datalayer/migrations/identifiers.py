"""Python names for what a database calls its tables and columns, whatever that is."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Container, Iterable

from datalayer._schema.names import table_name

IN_ANNOTATIONS = frozenset({"int", "str", "float", "bool", "bytes", "dict", "list", "dt", "object", "super", "type"})
"""Names that annotations of the module use: a field of such a name would hide them from type checkers."""
IMPORTED = frozenset(
    {
        "Annotated", "Any", "BigInt", "CASCADE", "CheckConstraint", "ClassVar", "Decimal", "Deferrable",
        "ExclusionConstraint", "Field",
        "ForeignKey", "IPvAnyAddress", "IPvAnyInterface", "Index", "Int", "Literal", "Mapped", "Meta", "Model",
        "ModelBase", "NaiveDatetime", "None", "OneToOne", "PROTECT", "PrimaryKey", "RESTRICT", "Range",
        "SET_DEFAULT", "SET_NULL", "SmallInt", "Sql", "UUID", "UniqueConstraint",
    }
)  # fmt: skip


def class_names(tables: Iterable[str]) -> dict[str, str]:
    """The name of a model for each table; no two are the same, and none hides what the module imports."""
    found: dict[str, str] = {}
    for table in tables:
        words = re.split(r"[\W_]+", unicodedata.normalize("NFKC", table))
        name = "".join(word[:1].upper() + word[1:] for word in words if word)
        if not name.isidentifier():
            name = f"Table{name}" if f"Table{name}".isidentifier() else "Table"
        if name in IMPORTED or keyword.iskeyword(name):
            name += "Row"
        found[table] = _free(name, set(found.values()))
    return found


def attribute(column: str, taken: Container[str], reserved: Container[str]) -> str:
    """The name of a field.

    Args:
        column: What the database calls it.
        taken: The names of the other fields.
        reserved: Names that would hide something.
    """
    plain = unicodedata.normalize("NFKC", column)
    name = plain if plain.isidentifier() and plain == plain.lower() else table_name(re.sub(r"\W+", "_", plain))
    name = re.sub(r"__+", "_", name).strip("_")
    if not name.isidentifier():
        name = f"column_{name}".rstrip("_")
        name = name if name.isidentifier() else "column"
    if is_refused(name, reserved):
        name = f"{name.removeprefix('model_') or 'model'}_value"
    return _free(name, taken, "_")


def is_refused(name: str, reserved: Container[str]) -> bool:
    """Whether a model cannot have a field of this name."""
    return (
        keyword.iskeyword(name)
        or name in reserved
        or name in IN_ANNOTATIONS
        or name in IMPORTED
        or name in ("pk", "table")
        or name.startswith("model_")
    )


def _free(name: str, taken: Container[str], between: str = "") -> str:
    number, tried = 2, name
    while tried in taken:
        tried, number = f"{name}{between}{number}", number + 1
    return tried
