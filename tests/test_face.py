"""The face: `datalayer.__all__` is sorted, and every name in it exists."""

from __future__ import annotations

import datalayer


def test_all_is_sorted_and_true() -> None:
    names = list(getattr(datalayer, "__all__", []))
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(datalayer, name)] == []


def test_every_name_has_words() -> None:
    values = {name: getattr(datalayer, name) for name in getattr(datalayer, "__all__", [])}
    faceless = [name for name, value in values.items() if isinstance(value, type) and not value.__doc__]
    assert faceless == []


def test_errors_draws_its_whole_tree() -> None:
    from datalayer import errors

    classes = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, Exception)}
    assert {n for n in classes if n not in (errors.__doc__ or "")} == set()
