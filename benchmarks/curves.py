"""How cost grows: with rows, columns, conditions, the depth of a prefetch, models, tasks, threads and connections.

`python -m benchmarks.curves`, from the root of the repository; with `--keep` each goes to `results/curves.json` when it
is done, and `report.py` draws them. Each point is a
fresh process, several times; the median counts. Rows, columns, conditions, depth and models are measured on SQLite, by
the time of the processor; tasks, threads and connections (`concurrent.py`) on PostgreSQL, by the clock.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.concurrent import AT_A_TIME, CONCURRENT, concurrent, fill
from benchmarks.databases import databases
from benchmarks.run import RESULTS

ROOT = Path(__file__).resolve().parents[1]
POINTS: dict[str, tuple[int, ...]] = {
    "rows": (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000),
    "columns": (2, 5, 10, 20, 50, 100),
    "conditions": (1, 2, 4, 8, 16, 32, 64),
    "depth": (0, 1, 2, 3, 4, 5),
    "models": (1, 10, 50, 100, 200, 400),
}
PATIENCE = 120  # seconds for a point
LONGEST = 100_000  # rows in a list


def cpu(work: Callable[[], object], at_least: float = 0.05) -> float:
    """Seconds of the processor that some work takes, once it is warm: the least of several times."""
    work()
    gc.collect()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < at_least and len(times) < 200):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


# -- SQLite: each gives what it found for one point ----------------------------------------------


def opened(statements: list[str]) -> tuple[sqlite3.Connection, Any]:
    """A new database with some tables: the raw connection, and datalayer configured for it."""
    from datalayer import configure

    file = Path(tempfile.mkdtemp(prefix="datalayer-curves-", dir=os.environ.get("CURVES_FOLDER"))) / "curves.sqlite3"
    raw = sqlite3.connect(file, isolation_level=None, cached_statements=512)
    raw.execute("PRAGMA journal_mode = wal").fetchall()
    for statement in statements:
        raw.execute(statement)
    configure(databases={"default": f"sqlite:///{file}"})
    return raw, file


def rows(count: int) -> dict[str, float]:
    """Rows streamed and rows in a list: microseconds a row, and the memory that each took."""
    from datalayer import Field, Mapped, Model

    raw, _ = opened(
        [
            "CREATE TABLE line (id INTEGER PRIMARY KEY, level integer NOT NULL, text varchar(255) NOT NULL)",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
            f"{count}) INSERT INTO line SELECT i, i % 50, 'message ' || i FROM n",
        ]
    )

    class Line(Model):
        level: Mapped[int] = Field()
        text: Mapped[str] = Field(max_length=255)

    query = Line.objects.order_by("id")

    def stream() -> int:
        return sum(1 for _ in query.iterator())

    for _ in query.all()[:1]:
        pass
    before = most_memory()
    assert stream() == count
    memory = {"memory": most_memory() - before}
    gc.collect()
    if count <= LONGEST:  # one of each before any is repeated, which leaves the collector more to free
        assert len(list(query.all())) == count
        memory["list memory"] = most_memory() - before
    found = {"streamed": cpu(stream), "raw": cpu(lambda: sum(1 for _ in raw.execute("SELECT * FROM line ORDER BY id")))}
    if count <= LONGEST:
        found["list"] = cpu(lambda: list(query.all()))
    return {**{name: value / count * 1e6 for name, value in found.items()}, **memory}


def most_memory() -> float:
    """The most memory that this process had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def columns(count: int) -> dict[str, float]:
    """A thousand rows as instances: microseconds a row."""
    from datalayer import Model

    names = [f"c{number}" for number in range(count - 1)]
    raw, _ = opened(
        [
            f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {', '.join(f'{name} integer NOT NULL' for name in names)})",
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO wide SELECT i"
            f"{', i + 1000' * len(names)} FROM n",
        ]
    )
    body = {"__module__": __name__, "__qualname__": "Wide", "__annotations__": dict.fromkeys(names, int)}
    model: Any = type(Model)("Wide", (Model,), body)
    return {
        "datalayer": cpu(lambda: list(model.objects.order_by("id"))) / 1_000 * 1e6,
        "raw": cpu(lambda: raw.execute("SELECT * FROM wide ORDER BY id").fetchall()) / 1_000 * 1e6,
    }


def conditions(count: int) -> dict[str, float]:
    """A filter of so many conditions, built and sent: microseconds."""
    from datalayer import Model

    names = [f"c{number}" for number in range(count)]
    raw, _ = opened(
        [f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {', '.join(f'{name} integer NOT NULL' for name in names)})"]
    )
    body = {"__module__": __name__, "__qualname__": "Wide", "__annotations__": dict.fromkeys(names, int)}
    model: Any = type(Model)("Wide", (Model,), body)
    fields = [getattr(model, name) for name in names]
    sql = f"SELECT * FROM wide WHERE {' AND '.join(f'{name} = ?' for name in names)}"
    values = [1] * count
    named = dict.fromkeys(names, 1)
    began = time.process_time()
    list(model.objects.filter(*[field == 1 for field in fields]))
    first = time.process_time() - began

    def repeated(work: Callable[[], object]) -> float:
        return cpu(lambda: [work() for _ in range(50)]) / 50 * 1e6

    return {
        "by column": repeated(lambda: list(model.objects.filter(*[field == 1 for field in fields]))),
        "by name": repeated(lambda: list(model.objects.filter(**named))),
        "raw": repeated(lambda: raw.execute(sql, values).fetchall()),
        "compiled": first * 1e6,
    }


def depth(count: int) -> dict[str, float]:
    """A hundred rows, each with one child, and that with one, so many deep: microseconds for all."""
    from datalayer import ForeignKey, Model

    levels = 6
    raw, _ = opened(
        [
            "CREATE TABLE node (id INTEGER PRIMARY KEY, parent_id integer REFERENCES node (id))",
            "CREATE INDEX node_parent ON node (parent_id)",
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {levels}00) "
            "INSERT INTO node SELECT i, CASE WHEN i > 100 THEN i - 100 END FROM n",
        ]
    )

    class Node(Model):
        parent: ForeignKey[Node | None] = ForeignKey(default=None, related_name="children")

    globals()["Node"] = Node
    query = Node.objects.filter(parent=None).order_by("id")
    if count:
        query = query.prefetch_related("__".join(["children"] * count))

    def by_hand() -> None:
        found = raw.execute("SELECT * FROM node WHERE parent_id IS NULL ORDER BY id").fetchall()
        for _ in range(count):
            keys = json.dumps([row[0] for row in found])
            found = raw.execute(
                "SELECT * FROM node WHERE parent_id IN (SELECT value FROM json_each(?))", (keys,)
            ).fetchall()

    return {"datalayer": cpu(lambda: list(query.all())) * 1e6, "raw": cpu(by_hand) * 1e6}


def models(count: int) -> dict[str, float]:
    """So many models of six fields, each referring to the one before: milliseconds to declare, and to the first row."""
    began = time.process_time()
    import datalayer

    imported = time.process_time() - began
    lines = ["from __future__ import annotations", "from datalayer import ForeignKey, Mapped, Model"]
    for number in range(count):
        lines += [f"class M{number}(Model):", *[f"    f{place}: Mapped[int]" for place in range(5)]]
        if number:
            lines.append(f"    before: ForeignKey[M{number - 1} | None] = ForeignKey(default=None)")
    space: dict[str, Any] = {"__name__": "curves_models"}
    sys.modules["curves_models"] = type(sys)("curves_models")
    space = vars(sys.modules["curves_models"])
    code = compile("\n".join(lines), "curves_models", "exec")
    began = time.process_time()
    exec(code, space)
    declared = time.process_time() - began
    opened(
        [
            "CREATE TABLE m0 (id INTEGER PRIMARY KEY, f0 integer, f1 integer, f2 integer, f3 integer, f4 integer)",
            "INSERT INTO m0 VALUES (1, 1, 2, 3, 4, 5)",
        ]
    )
    began = time.process_time()
    assert space["M0"].objects.get(id=1).f4 == 5
    first = time.process_time() - began
    began = time.process_time()
    space["M0"].objects.get(f1=2)
    second = time.process_time() - began
    datalayer.pools.close_all()
    return {
        "declared": declared * 1e3,
        "first query": first * 1e3,
        "next shape": second * 1e3,
        "import": imported * 1e3,
    }


# -- all of it -----------------------------------------------------------------------------------


def one(*words: str) -> dict[str, float] | None:
    """A point in a process of its own; None where it fails, which is said."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.curves", "--one", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        print(f"{' '.join(words[:2])} is left out: no end in {PATIENCE} s", flush=True)
        return None
    if done.returncode:
        print(f"{' '.join(words[:2])} is left out: {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return None
    found: dict[str, float] = json.loads(done.stdout)
    return found


def repeated(times: int, *words: str) -> dict[str, float]:
    """The median of each number over several processes; empty where one of them failed."""
    every = [found for found in [one(*words) for _ in range(times)] if found is not None]
    return {name: statistics.median([found[name] for found in every]) for name in (every[0] if every else ())}


def everything(times: int, step: int, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Curves: for each the numbers of each point, of every `step`th from the last on."""
    with tempfile.TemporaryDirectory(prefix="datalayer-curves-") as folder:
        os.environ["CURVES_FOLDER"] = folder
        for name in [name for name in POINTS if name in names]:
            points = POINTS[name][::-step][::-1]
            yield name, {str(point): repeated(1 if point == 1_000_000 else times, name, str(point)) for point in points}
    kinds = [kind for kind in CONCURRENT if kind in names]
    if not kinds:
        return
    with databases("postgresql", ["curves"]) as urls:
        fill(urls["curves"])
        for kind in kinds:
            counts = AT_A_TIME[kind][::-step][::-1]
            yield kind, {str(count): at_a_time(kind, urls["curves"], count, times) for count in counts}


def at_a_time(kind: str, url: str, count: int, times: int) -> dict[str, float]:
    """The throughput and the 99th percentile of all who can do so many at a time."""
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in CONCURRENT[kind]}
    for _ in range(times):  # in turn, so that what disturbs one disturbs all
        for name in CONCURRENT[kind]:
            found = one(kind, name, url, str(count))
            if found is not None:
                rounds[name].append(found)
    return {
        f"{name} {number}": statistics.median([each[number] for each in every])
        for name, every in rounds.items()
        for number in ("throughput", "p99")
        if every
    }


def keep_curve(name: str, found: dict[str, Any]) -> None:
    """Puts a curve among those that are kept."""
    file = RESULTS / "curves.json"
    curves = json.loads(file.read_text()) if file.exists() else {}
    rounded = {point: {key: float(f"{value:.4g}") for key, value in each.items()} for point, each in found.items()}
    file.write_text(json.dumps(curves | {name: rounded}, indent=1) + "\n")


def show(name: str, curve: dict[str, dict[str, float]]) -> None:
    """A curve as lines."""
    for point, found in curve.items():
        print(f"{name} {point:>8}  " + "  ".join(f"{key} {value:.2f}" for key, value in found.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="put the numbers into results/curves.json")
    parser.add_argument("--only", help="names of curves with commas between them; all by default")
    parser.add_argument("--times", type=int, default=3, help="processes for each point")
    parser.add_argument("--quick", action="store_true", help="one process for each of every third point")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        kind, *rest = options.one
        if kind in CONCURRENT:
            found = concurrent(kind, rest[0], rest[1], int(rest[2]))
        else:
            found = globals()[kind](int(rest[0]))
        print(json.dumps(found))
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # as in run.py
    names = options.only.split(",") if options.only else [*POINTS, *CONCURRENT]
    for name, found in everything(1 if options.quick else options.times, 3 if options.quick else 1, names):
        show(name, found)
        if options.keep:
            keep_curve(name, found)


if __name__ == "__main__":
    main()
