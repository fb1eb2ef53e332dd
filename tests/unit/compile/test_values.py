"""Values on their way back are exact, whichever way is the shorter one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer._compile.values import from_driver
from datalayer._schema.field import ColumnType, Kind

JSON = from_driver(ColumnType(Kind.JSON, object), "sqlite")


def decimal(scale: int) -> ColumnType:
    return ColumnType(Kind.DECIMAL, Decimal, precision=15, scale=scale)


@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(0, 15))
def test_a_decimal_that_was_kept_as_a_number_comes_back_exact(digits: int, scale: int) -> None:
    read = from_driver(decimal(scale), "sqlite")
    assert read is not None
    written = Decimal(digits).scaleb(-scale)
    found = read(float(written))
    assert found == written
    assert isinstance(found, Decimal)
    assert found.as_tuple().exponent == -scale


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        (2.675, "2.68"),
        (0.285, "0.29"),
        (1e14, "1E+14"),
        (123456789012345678.0, "123456789012345680"),
        (-0.005, "-0.01"),
    ],
)
def test_a_number_that_somebody_else_wrote_is_rounded_half_up_as_it_is_shown(kept: float, found: str) -> None:
    read = from_driver(decimal(2), "sqlite")
    assert read is not None
    assert read(kept) == Decimal(found)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_json_comes_back_as_json_loads_gives_it(value: object) -> None:
    assert JSON is not None
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        found = JSON(text)
        assert (found, repr(found)) == (json.loads(text), repr(json.loads(text)))


@pytest.mark.parametrize("text", ['"\\ud800"', "[" * 400 + "]" * 400, ' {"a": 1} ', "1e400", "-0"])
def test_json_that_few_write_comes_back_as_json_loads_gives_it(text: str) -> None:
    assert JSON is not None
    assert repr(JSON(text)) == repr(json.loads(text))


def test_text_that_is_no_json_is_refused() -> None:
    assert JSON is not None
    with pytest.raises(json.JSONDecodeError):
        JSON("[1,")


@pytest.mark.parametrize(
    ("kept", "hour"),
    [
        ("2024-06-01 12:00:00.000000", 12),
        ("2024-06-01 12:00:00", 12),
        ("2024-06-01T12:00:00+02:00", 10),
        ("2024-06-01 12:00:00-05:00", 17),
        ("2024-06-01T12:00:00Z", 12),
    ],
)
def test_a_moment_that_somebody_else_wrote_is_that_moment(kept: str, hour: int) -> None:
    read = from_driver(ColumnType(Kind.DATETIME, datetime), "sqlite")
    assert read is not None
    assert read(kept) == datetime(2024, 6, 1, hour, tzinfo=UTC)
