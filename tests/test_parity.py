"""Every public `x` with an `ax` is the same operation: equal signatures, one statement each."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator

import pytest

CLASSES = (
    ("datalayer.models.queryset", "QuerySet"),
    ("datalayer.models.manager", "Manager"),
    ("datalayer.models.model", "ModelBase"),
    ("datalayer.models.model", "Model"),
)
SAME_WORDS = (  # where the two worlds differ by more than a word, only the signatures have to be equal
    ("datalayer.pooling.registry", "PoolRegistry"),
    ("datalayer.pooling.database", "DatabasePool"),
    ("datalayer.databases.database", "Database"),
    ("datalayer.models.prefetch", None),
    ("datalayer.testing", None),
    ("datalayer.data", None),
)
COMES_WITH_PYTHON = {"aclose"}  # an ending that only the awaiting world has is no twin


def classes() -> Iterator[type]:
    for module, name in CLASSES:
        try:
            yield getattr(importlib.import_module(module), name)
        except (ModuleNotFoundError, AttributeError) as error:
            if not str(getattr(error, "name", "") or "").startswith(("datalayer", name)):
                raise


def functions(cls: type) -> dict[str, object]:
    """The public functions of a class that are ours."""
    found = {}
    for name in dir(cls):
        function = inspect.getattr_static(cls, name)
        function = getattr(function, "__func__", function)
        if not name.startswith("_") and inspect.isfunction(function) and function.__module__.startswith("datalayer"):
            found[name] = function
    return found


def pairs() -> list[tuple[type, str]]:
    return [(cls, name) for cls in classes() for name in functions(cls) if f"a{name}" in functions(cls)]


def parameters(function: object) -> list[tuple[str, object, object]]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]  # type: ignore[arg-type]


def statements(function: object) -> int:
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]  # type: ignore[arg-type]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return len(node.body) - (ast.get_docstring(node) is not None)


@pytest.mark.parametrize(("cls", "name"), [pytest.param(c, n, id=f"{c.__name__}.{n}") for c, n in pairs()])
def test_twins_are_one_operation(cls: type, name: str) -> None:
    mine, twin = functions(cls)[name], functions(cls)[f"a{name}"]
    assert parameters(mine) == parameters(twin)
    assert statements(mine) == 1, f"{cls.__name__}.{name} is more than one statement"
    assert statements(twin) == 1, f"{cls.__name__}.a{name} is more than one statement"


@pytest.mark.parametrize(("module", "name"), SAME_WORDS)
def test_twins_take_the_same(module: str, name: str | None) -> None:
    imported = importlib.import_module(module)
    owner = imported if name is None else getattr(imported, name)
    found = {n: v for n, v in vars(owner).items() if inspect.isfunction(v) and not n.startswith("_")}
    twins = [(n, f"a{n}") for n in found if f"a{n}" in found]
    assert twins
    assert [(mine, twin) for mine, twin in twins if parameters(found[mine]) != parameters(found[twin])] == []


@pytest.mark.parametrize("cls", [pytest.param(c, id=c.__name__) for c in classes()])
def test_what_awaits_has_a_blocking_twin(cls: type) -> None:
    alone = [
        name
        for name, function in functions(cls).items()
        if (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))
        and not (name.startswith("a") and name[1:] in functions(cls))
    ]
    assert set(alone) <= COMES_WITH_PYTHON


def test_the_guard_counts_statements() -> None:
    def one() -> int:
        """Words."""
        return 1

    def two() -> int:
        a = 1
        return a + a

    assert (statements(one), statements(two)) == (1, 2)
