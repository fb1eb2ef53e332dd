"""What a relation is: how the rows of one table find those of another."""

from __future__ import annotations

import enum
from dataclasses import field
from typing import TYPE_CHECKING

from datalayer.late import dataclass

if TYPE_CHECKING:
    from datalayer._schema.table import TableSpec


class RelationKind(enum.Enum):
    """Which way a relation goes and how many rows stand at its end.

    Attributes:
        is_to_many: Whether several rows may stand at the end.
        is_forward: Whether the column that refers is in the source table.
        is_backward: Whether it is in the target.
    """

    FOREIGN_KEY = "foreign key"  # many to one, the column is here
    ONE_TO_ONE = "one to one"  # at most one, the column is here
    REVERSE_FOREIGN_KEY = "reverse foreign key"  # one to many, the column is there
    REVERSE_ONE_TO_ONE = "reverse one to one"  # at most one, the column is there
    MANY_TO_MANY = "many to many"  # through a table, either side

    is_to_many: bool
    is_forward: bool
    is_backward: bool

    def __init__(self, words: str) -> None:
        # Attributes, since they are read for each relation of each row.
        self.is_to_many = words in ("reverse foreign key", "many to many")
        self.is_forward = words in ("foreign key", "one to one")
        self.is_backward = words in ("reverse foreign key", "reverse one to one")


@dataclass(frozen=True, slots=True, eq=False)
class RelationSpec:
    """A relation as seen from `source`.

    Attributes:
        name: Its name on the source model.
        kind: Which way it goes.
        source: The table it starts from.
        target: The table it leads to.
        local: The field names in `source` that are compared ...
        remote: ... with these field names in `target`; through a table, both with its fields.
        nullable: Whether the target may be missing: the forward column is nullable or not enforced by a constraint, or
            the relation is reverse.
        reverse: The name of the opposite relation on the target; None when it has none.
        through: The table in between, of a many to many.
        through_local: The fields of `through` that refer to `source`.
        through_remote: The fields of `through` that refer to `target`.
        way_back: The name of the opposite relation where that leads to one row as well, and so to the one that asked.
    """

    name: str
    kind: RelationKind
    source: TableSpec
    target: TableSpec
    local: tuple[str, ...]
    remote: tuple[str, ...]
    nullable: bool
    reverse: str | None = None
    through: TableSpec | None = None
    through_local: tuple[str, ...] = ()
    through_remote: tuple[str, ...] = ()
    way_back: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.kind in (RelationKind.ONE_TO_ONE, RelationKind.REVERSE_ONE_TO_ONE):
            object.__setattr__(self, "way_back", self.reverse)

    @property
    def takes_none(self) -> bool:
        """Whether None may be assigned to a forward relation: its key may be NULL."""
        return any(self.source.fields[name].nullable for name in self.local)
