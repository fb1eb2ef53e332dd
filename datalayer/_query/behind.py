"""Rows that are asked for on behalf of many others: those behind a relation of theirs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from datalayer._schema.relation import RelationSpec

_FAR: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Behind:
    """The part of a question that says whose rows are wanted.

    Attributes:
        relation: Leads from those who ask to the rows.
        keys: The keys of those who ask, values of `relation.local`; none of them twice.
        cut: How many rows of each are passed over, and how many are wanted then (None: all); None for all rows.
    """

    relation: RelationSpec
    keys: tuple[tuple[object, ...], ...]
    cut: tuple[int, int | None] | None = None

    @property
    def shape(self) -> Hashable:
        """What decides the SQL: of a key of one column the number of keys does not."""
        number = None if len(self.relation.local) == 1 else len(self.keys)
        return (self.relation.source.key, self.relation.name, number, self.cut is not None)

    @property
    def values(self) -> tuple[object, ...]:
        """The keys (those of one column as one tuple), then the first and the last place of each where rows are cut."""
        if len(self.relation.local) == 1:
            found: list[object] = [tuple([key[0] for key in self.keys])]
        else:
            found = [value for key in self.keys for value in key]
        if self.cut is not None:
            passed, wanted = self.cut
            found += [passed, _FAR if wanted is None else passed + wanted]
        return tuple(found)
