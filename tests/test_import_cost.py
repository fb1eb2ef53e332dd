"""`import datalayer` and `datalayer --help` do not pay for what they do not use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("sqlalchemy", "alembic", "psycopg", "psycopg_pool", "rich", "pydantic", "asyncio")


def loaded_after(code: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after `code`."""
    script = f"import sys\n{code}\nprint(' '.join(sys.modules), file=sys.__stderr__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stderr.split()) & set(HEAVY)


@pytest.mark.parametrize("code", ["import datalayer", "from datalayer.cli.app import main; main(['--help'])"])
def test_heavy_packages_come_late(code: str) -> None:
    assert loaded_after(code) == set()


def test_declaring_models_loads_no_compiler_and_no_driver() -> None:
    code = (
        "from datalayer import *\nclass A(Model):\n    name: Mapped[str]\nA.objects.filter(name='x').order_by('name')"
    )
    assert loaded_after(code) == {"pydantic"}  # SQLAlchemy comes with the first statement that is compiled


CONNECTED = (
    "import datalayer\nfrom datalayer import *\nclass A(Model):\n    name: Mapped[str]\n"
    "datalayer.configure(databases={'default': {'url': 'sqlite:///:memory:'}})\n"
    "with datalayer.pools['default'].connection() as connection:\n    connection.execute('select 1')"
)


def test_a_blocking_program_imports_no_asyncio() -> None:
    assert modules_after(CONNECTED) & {"asyncio", "ssl", "async_pool", "difflib", "tomllib"} == set()


def test_events_of_pools_are_made_for_listeners_only() -> None:
    code = CONNECTED + "\nimport sys\nprint('datalayer.pooling.events' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


def test_declaring_models_builds_no_validator_of_the_settings() -> None:
    code = (
        "from datalayer import *\nclass A(Model):\n    name: Mapped[str]\n"
        "from datalayer.conf.options import Settings\nprint(Settings.__pydantic_complete__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


def test_an_awaiting_program_finds_its_loop() -> None:
    code = CONNECTED + (
        "\nimport sys\nassert 'asyncio' not in sys.modules\nimport asyncio\n"
        "async def main():\n"
        "    try:\n        A.objects.count()\n    except datalayer.errors.SyncInAsyncContext:\n        return 1\n"
        "print(asyncio.run(main()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "1\n"


def test_pools_bring_no_checks_and_checks_no_pytest() -> None:
    assert "conformance" not in modules_after("import datalayer.pooling")
    found = modules_after("import datalayer.pooling.testing.conformance")
    assert "conformance" in found
    assert "pytest" not in found


def modules_after(code: str) -> set[str]:
    """The last names of all modules that a fresh interpreter has loaded after `code`."""
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.rpartition(".")[2] for name in done.stdout.split()}


def test_the_guard_sees_them() -> None:
    assert loaded_after("import alembic") >= {"alembic", "sqlalchemy"}


def test_sqlite_loads_no_dialect_of_postgresql() -> None:
    code = (
        "import sys, datalayer\nfrom datalayer import *\nfrom datalayer.testing import create_tables\n"
        "class A(Model):\n    name: Mapped[str]\n"
        "datalayer.configure(databases={'default': {'url': 'sqlite:///:memory:'}})\n"
        "create_tables()\nA.objects.create(name='x')\nA.objects.filter(name='x').order_by('name').first()\n"
        "print([name for name in sys.modules if name.startswith('sqlalchemy.dialects.postgresql')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
