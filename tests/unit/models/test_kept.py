"""What is kept of a value that may change in place, to see later whether it has."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from pydantic import BaseModel

from datalayer._schema.field import ColumnType, Kind
from datalayer.models.state import StateSlots, content_of, keep, kept, value_of

JSON = ColumnType(Kind.JSON)


class Point(BaseModel):
    x: list[int] = []


def again(value: Any) -> Any:
    """What was kept of a value, as the next look at it finds it, after it was changed inside."""
    how, found = kept(value)
    inner = value[0] if isinstance(value, list) else value["a"]
    (inner.x if isinstance(inner, Point) else inner).append(9)
    return value_of(how, found, JSON)


@pytest.mark.parametrize("inner", [[1, 2.5, None, "é", {"b": [True]}], Point(x=[1])], ids=["plain", "with a model"])
@pytest.mark.parametrize("is_list", [True, False])
def test_what_is_kept_does_not_change_with_the_value(inner: Any, is_list: bool) -> None:
    before = inner.model_copy(deep=True) if isinstance(inner, Point) else [*inner]
    assert again([inner] if is_list else {"a": inner}) == ([before] if is_list else {"a": before})


def test_the_collector_leaves_alone_what_is_kept_of_json() -> None:
    point = Point()
    slots: Any = StateSlots()
    keep(slots, {"a": ("sqlite", '{"b": 1}'), "c": kept([1]), "d": kept({"e": point.x})})
    gc.collect()  # of tuples of tuples it takes the inner ones first
    gc.collect()
    assert not gc.is_tracked(content_of(slots))
