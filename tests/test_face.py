"""The face: `datalayer.__all__` is sorted, and every name in it exists."""

from __future__ import annotations

import ast
from pathlib import Path

import datalayer


def test_all_is_sorted_and_true() -> None:
    names = list(getattr(datalayer, "__all__", []))
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(datalayer, name)] == []


def test_type_checkers_and_the_running_program_see_the_same_names() -> None:
    tree = ast.parse(Path(datalayer.__file__).read_text("utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname or alias.name: node.module for node in imports for alias in node.names}
    assert set(seen) == set(datalayer.__all__)
    homes = {name: f"datalayer.{home}".rstrip(".") for name, home in datalayer._HOMES.items()}
    assert homes == seen


def test_every_name_has_words() -> None:
    values = {name: getattr(datalayer, name) for name in getattr(datalayer, "__all__", [])}
    faceless = [name for name, value in values.items() if isinstance(value, type) and not value.__doc__]
    assert faceless == []


def test_errors_draws_its_whole_tree() -> None:
    from datalayer import errors

    classes = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, Exception)}
    assert {n for n in classes if n not in (errors.__doc__ or "")} == set()
