"""Rows of the driver become tuples, dictionaries or single values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from datalayer._compile.reading import Form, read_moment, reader

ROWS: list[tuple[object, ...]] = [(1, "2", None), (3, None, "x")]


def number(value: Any) -> int:
    assert value is not None
    return int(value)


def test_rows_that_need_no_conversion_go_through_untouched() -> None:
    assert reader("tuple", ["a", "b", "c"], [None, None, None])(ROWS) is ROWS


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("tuple", [(1, 2, None), (3, None, "x")]),
        ("dict", [{"a": 1, "b'\"": 2, "c": None}, {"a": 3, "b'\"": None, "c": "x"}]),
        ("flat", [1, 3]),
    ],
)
def test_values_are_converted_and_null_stays_null(form: Form, found: list[object]) -> None:
    assert reader(form, ["a", "b'\"", "c"], [None, number, None])(ROWS) == found


@pytest.mark.parametrize(("form", "found"), [("tuple", [(1,), (3,)]), ("dict", [{"a": 1}, {"a": 3}]), ("flat", [1, 3])])
def test_hidden_columns_are_left_out(form: Form, found: list[object]) -> None:
    for convert in (None, number):
        assert reader(form, ["a"], [convert])(ROWS) == found


def test_no_rows_are_no_results() -> None:
    assert reader("dict", ["a"], [number])([]) == []


def test_a_day_that_somebody_has_written_as_a_moment_is_its_midnight_in_utc() -> None:
    rows: list[tuple[object, ...]] = [("2020-01-02",), ("2020-01-02 03:04:05.000006",)]
    assert reader("flat", ["a"], [read_moment])(rows) == [
        datetime(2020, 1, 2, tzinfo=UTC),
        datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    ]
