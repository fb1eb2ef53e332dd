"""What is kept of a value that may change in place, to see later whether it has."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from datalayer.models.state import kept


class Point(BaseModel):
    x: list[int] = []


def again(value: Any) -> Any:
    """What was kept of a value, as the next look at it finds it, after it was changed inside."""
    _, found, convert = kept("name", value)
    inner = value[0] if isinstance(value, list) else value["a"]
    (inner.x if isinstance(inner, Point) else inner).append(9)
    return found if convert is None else convert(found)


@pytest.mark.parametrize("inner", [[1, 2.5, None, "é", {"b": [True]}], Point(x=[1])], ids=["plain", "with a model"])
@pytest.mark.parametrize("is_list", [True, False])
def test_what_is_kept_does_not_change_with_the_value(inner: Any, is_list: bool) -> None:
    before = inner.model_copy(deep=True) if isinstance(inner, Point) else [*inner]
    assert again([inner] if is_list else {"a": inner}) == ([before] if is_list else {"a": before})
