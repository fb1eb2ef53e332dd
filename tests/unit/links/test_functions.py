"""The functions SQLite is given, as plain Python."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import cmp_to_key

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer._links import functions


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=4)))
def test_decimals_sort_by_value(numbers: list[Decimal]) -> None:
    ordered = sorted(map(str, numbers), key=cmp_to_key(functions.compare_decimals))
    assert [Decimal(text) for text in ordered] == sorted(numbers)


@given(st.text(), st.text(), st.text())
def test_any_text_has_one_order(one: str, two: str, three: str) -> None:
    compare = functions.compare_decimals
    assert compare(one, two) == -compare(two, one)
    if compare(one, two) <= 0 and compare(two, three) <= 0:
        assert compare(one, three) <= 0


def test_no_number_sorts_last() -> None:
    ordered = sorted(["b", "10", "NaN", "-1", "a", "9"], key=cmp_to_key(functions.compare_decimals))
    assert ordered == ["-1", "9", "10", "NaN", "a", "b"]


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=6)))
def test_sum_is_exact(numbers: list[Decimal]) -> None:
    total = functions.DecimalSum()
    for number in numbers:
        total.step(str(number))
    found = total.finalize()
    if not numbers:
        assert found is None
    else:
        assert found is not None
        assert Fraction(found) == sum(map(Fraction, numbers))


def test_null_counts_for_nothing() -> None:
    average = functions.DecimalAverage()
    for value in ("1", None, "2"):
        average.step(value)
    assert average.finalize() == "1.5"


@pytest.mark.parametrize(("pattern", "text", "found"), [("^a", "abc", True), ("B", "abc", False), ("1", 41, True)])
def test_regexp(pattern: str, text: object, found: bool) -> None:
    assert functions.regexp(pattern, text) is found


def test_null_gives_null() -> None:
    assert functions.regexp(None, "a") is None
    assert functions.iregexp("a", None) is None
    assert functions.lower(None) is None
