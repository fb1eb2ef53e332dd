"""Conditions of constraints and indexes are SQL; anything else is refused where it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from datalayer import CheckConstraint, Index, Q, UniqueConstraint
from datalayer.errors import ModelError

WRONG = cast("Any", Q(stock__gte=0))


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: CheckConstraint(WRONG, name="in_stock"), r"CheckConstraint\(name='in_stock'\)"),
        (lambda: CheckConstraint({"sqlite": "a", "postgresql": WRONG}, name="x"), r"CheckConstraint\(name='x'\)"),
        (lambda: UniqueConstraint("a", condition=WRONG), r"UniqueConstraint\(condition=\.\.\.\)"),
        (lambda: Index("a", condition=WRONG), r"Index\(condition=\.\.\.\)"),
    ],
)
def test_a_condition_that_is_no_text_is_refused(make: Callable[[], object], place: str) -> None:
    with pytest.raises(
        ModelError, match=place + r" is SQL, such as '\"stock\" >= 0', and <Q .*write the condition as text"
    ):
        make()
