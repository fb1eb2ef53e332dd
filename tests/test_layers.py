"""The layers of DESIGN.md section 2: a lower one never imports a higher one, and drivers stay in their rooms."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {
    "checks": 1,
    "errors": 0,
    "extras": 0,
    "late": 0,
    "conf": 0,
    "_query": 1,
    "_schema": 1,
    "_compile": 2,
    "_plans": 3,
    "_links": 4,
    "pooling": 5,
    "databases": 6,
    "models": 7,
    "data": 8,
    "functions": 8,
    "migrations": 8,
    "testing": 8,
    "cli": 9,
    "__main__": 9,
}
ROOMS_OF = {  # third-party package -> the rooms that may import it
    "sqlalchemy": {"_compile", "migrations"},
    "alembic": {"migrations"},
    "psycopg": {"_links", "pooling"},
    "psycopg_pool": {"_links", "pooling"},
    "typer": {"cli"},
    "rich": {"cli"},
    "jinja2": {"cli"},
    "pygraphviz": {"cli"},
}
PROGRAMS = {
    "datalayer.cli.shell",
    "datalayer.cli.own",
}  # whose loop is of the user's own code: at a prompt, in a command
NOT_IN_PLANS = {"time", "asyncio", "threading", "contextvars", "sqlite3", "psycopg", "datalayer.conf"}
MODULES = sorted((ROOT / "datalayer").rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Every module that `source` imports anywhere, absolute, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + is_package]
                base = ".".join([*kept, base] if base else kept)
            if base == "datalayer":
                yield from ((node.lineno, f"datalayer.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, base


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def faults(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one module."""
    here, found = room(module), []
    for line, target in imports(source, module, is_package=is_package):
        top, there = target.split(".")[0], room(target)
        where = f"{module}:{line} imports {target}"
        if top == "datalayer":
            if here == "cli" and not there:
                continue  # `shell` hands the face to its user
            if here and there not in LAYERS:
                found.append(f"{where}: a layer imports layers, never the face")
            elif here and LAYERS[there] > LAYERS[here]:
                found.append(f"{where}: layer {LAYERS[here]} imports layer {LAYERS[there]}")
        elif top in ROOMS_OF and here not in ROOMS_OF[top]:
            found.append(f"{where}: only {', '.join(sorted(ROOMS_OF[top]))} may")
        elif here in {"_query", "_schema"} and top not in sys.stdlib_module_names:
            found.append(f"{where}: {here} is stdlib only")
        if here == "_plans" and any(target == no or target.startswith(no + ".") for no in NOT_IN_PLANS):
            found.append(f"{where}: a plan knows no driver, clock, settings or context variable")
    return found


def plan_faults(source: str) -> list[str]:
    """What a generator that may be closed at any `yield` must not do."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Try | ast.TryStar):
            for statement in node.finalbody:
                if any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(statement)):
                    found.append(f"line {statement.lineno}: yield in finally")
        if isinstance(node, ast.ExceptHandler):
            names = [ast.unparse(node.type)] if node.type is not None else ["everything"]
            if isinstance(node.type, ast.Tuple):
                names = [ast.unparse(item) for item in node.type.elts]
            if any(name in {"everything", "BaseException", "GeneratorExit"} for name in names):
                found.append(f"line {node.lineno}: except {', '.join(names)}")
    return found


def loop_faults(source: str) -> list[str]:
    """Calls that start an event loop."""
    return [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and (node.attr == "run_until_complete" or ast.unparse(node) in {"asyncio.run", "asyncio.Runner"})
    ]


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_down(path: Path) -> None:
    source, module = path.read_text("utf-8"), module_name(path)
    assert faults(source, module, is_package=path.name == "__init__.py") == []
    assert not room(module) or room(module) in LAYERS, f"{module} has no layer"


@pytest.mark.parametrize("path", [path for path in MODULES if module_name(path) not in PROGRAMS], ids=module_name)
def test_no_module_starts_an_event_loop(path: Path) -> None:
    assert loop_faults(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", [p for p in MODULES if room(module_name(p)) == "_plans"], ids=module_name)
def test_plans_can_be_closed_anywhere(path: Path) -> None:
    assert plan_faults(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("datalayer._plans.read", "from datalayer.models import Model"),
        ("datalayer._plans.read", "from datalayer import models"),
        ("datalayer._plans.read", "from ..models.model import Model"),
        ("datalayer._plans.read", "if TYPE_CHECKING:\n    import datalayer.cli"),
        ("datalayer._plans.read", "def f():\n    import psycopg"),
        ("datalayer._plans.read", "from datalayer.conf import settings"),
        ("datalayer._plans.read", "from time import monotonic"),
        ("datalayer.models.model", "from datalayer import Model"),
        ("datalayer.models.model", "import sqlalchemy as sa"),
        ("datalayer.cli.app", "from alembic import command"),
        ("datalayer._schema.table", "import pydantic"),
    ],
)
def test_the_guard_sees_it(module: str, line: str) -> None:
    assert faults(line, module)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("datalayer.cli.app", "from datalayer import errors"),
        ("datalayer.models.model", "from . import meta"),
        ("datalayer.models.model", "from ..databases import current"),
        ("datalayer.pooling.psycopg", "import psycopg_pool"),
    ],
)
def test_the_guard_lets_it_pass(module: str, line: str) -> None:
    assert faults(line, module) == []


def test_the_guard_sees_faults_of_plans_and_loops() -> None:
    assert plan_faults("def f():\n try:\n  pass\n finally:\n  yield 1")
    assert plan_faults("try:\n pass\nexcept (ValueError, BaseException):\n raise")
    assert plan_faults("try:\n pass\nexcept:\n raise")
    assert plan_faults("try:\n pass\nexcept Exception:\n raise") == []
    assert loop_faults("import asyncio\nasyncio.run(f())")
