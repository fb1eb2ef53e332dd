"""Rows that are asked for on behalf of many others: those behind a relation of theirs."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from datalayer._schema.relation import RelationSpec
from datalayer.late import dataclass

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
    def is_listed(self) -> bool:
        """Whether the keys are one value, a list: several keys of one column."""
        return len(self.relation.local) == 1 and len(self.keys) > 1

    @property
    def shape(self) -> Hashable:
        """What decides the SQL: of several keys of one column their number does not."""
        number = None if self.is_listed else len(self.keys)
        return (self.relation.source.key, self.relation.name, number, self.cut is not None)

    @property
    def values(self) -> tuple[object, ...]:
        """The keys (a list as one tuple); where rows are cut, how many are passed over, and the last place of each.

        Of the rows of one key no place is counted: the last value is how many are wanted.
        """
        if self.is_listed:
            found: list[object] = [tuple([key[0] for key in self.keys])]
        else:
            found = [value for key in self.keys for value in key]
        if self.cut is not None:
            passed, wanted = self.cut
            last = wanted if len(self.keys) == 1 or wanted is None else passed + wanted
            found += [passed, _FAR if last is None else last]
        return tuple(found)
