"""Migrations when there is much of everything: `python -m benchmarks.migrations`, or `--quick` for a tenth.

Each line of the table is a process of its own: what it costs in CPU and wall seconds, and how much memory it took
beyond what it had when everything was made ready. Rows are copied by the database; a memory that grows with them would
show it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datalayer
from datalayer._schema.field import ColumnType, FieldSpec, Kind
from datalayer._schema.table import ForeignKeySpec, IndexSpec, TableSpec
from datalayer.migrations import commands, config
from datalayer.migrations.environment import Hooks

FILE = '''"""Table {number}."""

import sqlalchemy as sa
from alembic import op

from datalayer.migrations import types

revision = "{name}"
down_revision = {after!r}


def upgrade() -> None:
    op.create_table("t{number}", sa.Column("id", types.BigInteger(), sa.Identity(), primary_key=True))


def downgrade() -> None:
    op.drop_table("t{number}")
'''
BIG, TEXT = ColumnType(Kind.BIG_INTEGER, int), ColumnType(Kind.TEXT, str)


def history(count: int) -> None:
    """A folder of migrations that each make a table."""
    folder, after = config.folder(), None
    for number in range(1, count + 1):
        name = f"{number:04d}_t{number}"
        (folder / f"{name}.py").write_text(FILE.format(name=name, number=number, after=after))
        after = name


def models(count: int) -> list[TableSpec]:
    """Tables with a foreign key and an index each."""
    return [
        TableSpec(
            f"t{number}",
            model=f"T{number}",
            fields=(
                FieldSpec("id", "id", BIG, is_primary_key=True, is_identity=True),
                *(FieldSpec(f"c{place}", f"c{place}", TEXT, nullable=True) for place in range(8)),
                FieldSpec("ref", "ref", BIG, nullable=True),
            ),
            primary_key=("id",),
            indexes=(IndexSpec(f"ix_t{number}", ("c1", "-c2")),),
            foreign_keys=(ForeignKeySpec(f"fk_t{number}", ("ref",), f"t{max(0, number - 1)}", ("id",)),),
        )
        for number in range(count)
    ]


def book(price: ColumnType) -> list[TableSpec]:
    """A table whose price changes its type."""
    fields = (
        FieldSpec("id", "id", BIG, is_primary_key=True, is_identity=True),
        FieldSpec("title", "title", TEXT),
        FieldSpec("price", "price", price, nullable=True),
    )
    return [TableSpec("book", model="Book", fields=fields, primary_key=("id",))]


def rows(count: int, backend: str) -> None:
    """A table of many rows, and a migration that is still to come: whole prices become decimals."""
    commands.makemigrations(tables=book(ColumnType(Kind.INTEGER, int)))
    commands.migrate()
    series = f"generate_series(1, {count}) s(n)"
    if backend == "sqlite":
        series = f"(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT n FROM s)"
    with config.environment("default").connect() as connection:
        text = f"INSERT INTO book (title, price) SELECT 'title number ' || n, n % 1000 FROM {series}"
        connection.exec_driver_sql(text, execution_options={"no_parameters": True})
        connection.commit()
    commands.makemigrations(tables=book(ColumnType(Kind.DECIMAL, precision=10, scale=2)))


def measured(task: str, count: int, backend: str) -> dict[str, float]:
    """What one task costs; everything before it is made ready first."""
    told: list[int] = []
    hooks = Hooks(on_rows=lambda table, done, total: told.append(done))
    does: Callable[[], object]
    if task == "makemigrations":
        commands.makemigrations(tables=models(count))
        changed = models(count)
        changed[count // 2].comment = "changed"
        does = lambda: commands.makemigrations(tables=changed, dry_run=True)  # noqa: E731
    elif task == "rows":
        rows(count, backend)
        does = lambda: commands.migrate(hooks=hooks)  # noqa: E731
    else:
        history(count)
        if task != "apply":
            commands.migrate()
        asked: dict[str, Callable[[], object]] = {
            "apply": commands.migrate,
            "show": commands.showmigrations,
            "plan": lambda: commands.migrate("zero", plan=True),
            "nothing": commands.migrate,
            "revert": lambda: commands.migrate("zero"),
        }
        does = asked[task]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, wall = time.process_time(), time.perf_counter()
    does()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    return {"cpu": cpu, "wall": wall, "memory": more / 1024, "told": len(told)}


def in_a_process(task: str, count: int, url: str) -> dict[str, Any]:
    """The same in a process of its own, on a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        if not url:
            url = f"sqlite:///{folder}/db.sqlite3"
        command = [sys.executable, "-m", "benchmarks.migrations", "--task", task, str(count), url, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def table(quick: bool, server_url: str) -> None:
    """Prints what everything costs."""
    scale = 10 if quick else 1
    tasks = [(task, count // scale) for task in ("apply", "show", "plan", "nothing", "revert") for count in (125, 500)]
    tasks += [("makemigrations", count // scale) for count in (75, 300)]
    tasks += [("rows", count // scale) for count in (250_000, 1_000_000)]
    print("| task | count | backend | CPU s | wall s | more memory, MB | told of rows |")
    print("|---|---|---|---|---|---|---|")
    for task, count in tasks:
        for backend in ("sqlite", "postgresql") if task != "makemigrations" else ("sqlite",):
            url = fresh(server_url) if backend == "postgresql" else ""
            one = in_a_process(task, count, url)
            print(
                f"| {task} | {count:,} | {backend} | {one['cpu']:.2f} | {one['wall']:.2f} | {one['memory']:.1f} | "
                f"{one['told']:.0f} |",
                flush=True,
            )


def fresh(server_url: str) -> str:
    """An empty database on the server."""
    import psycopg

    name = "datalayer_benchmark_migrations"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(server_url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def main() -> None:
    """Runs one task, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--task", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        task, count, url, folder = given.task
        made = Path(folder) / "migrations"
        made.mkdir()
        datalayer.configure(databases={"default": url}, migrations=str(made))
        backend = "sqlite" if url.startswith("sqlite") else "postgresql"
        print(json.dumps(measured(task, int(count), backend)))
        return
    from tests import postgres_server

    url = os.environ.get("DATALAYER_TEST_POSTGRES_URL")
    server = None if url else postgres_server.start()
    try:
        table(given.quick, url or (server.url if server else ""))
    finally:
        if server is not None:
            server.stop()


if __name__ == "__main__":
    main()
