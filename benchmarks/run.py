"""datalayer beside the raw drivers and its peers, as README.md says: ratios within a round, median over the rounds.

`python -m benchmarks.run`, from the root of the repository. With `--keep` what was measured goes to
`benchmarks/results/`, a file for each backend and model, written as soon as that is done: a run of some of them, or of
some targets or operations, puts its numbers among those that are there, and `report.py` makes the page of all.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.databases import databases
from benchmarks.targets import MODULES
from benchmarks.worker import MOVIES

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BACKENDS = ("sqlite", "postgresql")
BEGIN, END = "<!-- numbers: written by `python -m benchmarks.report` -->", "<!-- end of numbers -->"
"""Between these the README has the numbers of the page that count most."""
SIZE = 20_000  # rows in the table
PATIENCE = 90  # seconds without an answer after which a target is left out
TABLE = 0
"""In place of a number of items: as many as there are rows in the table."""
OPERATIONS = {
    "A": ("insert, each in a transaction", 300),
    "B": ("insert one by one, one transaction", 1_000),
    "C": ("bulk insert", 5_000),
    "D": ("fetch all as instances", TABLE),
    "E": ("20 rows at an offset", 200),
    "F": ("get by key", 1_000),
    "G": ("fetch all as dicts", TABLE),
    "H": ("fetch all as tuples", TABLE),
    "I": ("change every field and save", 500),
    "R": ("change every field, in bulk", 500),
    "J": ("change one field and save", 500),
    "P": ("change one field, in bulk", 500),
    "K": ("delete one by one", 500),
    "Q": ("delete, in bulk", 500),
}
APART = frozenset("PQR")
"""Those that are no part of the mean, which is of A to K."""
WHOLE = {
    "L": ("a movie with people and reviews", 100),
    "M": ("a person with all movies", 400),
    "N": ("a user with ten reviews", 400),
    "O": ("insert a movie, read it whole", 50),
}
"""Those of model 4."""


class Mode(NamedTuple):
    """How much is measured: the least number of items of an operation is 20, and of rounds two."""

    rounds: int  # at most; fewer of each operation where the minutes are too few for all
    share: float  # of the items of an operation
    size: int  # rows in the table
    models: tuple[int, ...]
    minutes: float


MODES = {
    "quick": Mode(5, 0.1, 2_000, (1, 4), 1),
    "middle": Mode(7, 0.2, 4_000, (1, 2, 3, 4), 12),
    "full": Mode(9, 1, SIZE, (1, 2, 3, 4), 40),
}


class Deadline:
    """Shares the time that is left among the operations that are left."""

    def __init__(self, minutes: float, operations: int) -> None:
        self._until = time.monotonic() + minutes * 60
        self._left = operations
        self._end = 0.0

    def begin(self) -> None:
        """The next operation begins."""
        now = time.monotonic()
        self._end = now + max(self._until - now, 0) / max(self._left, 1)
        self._left -= 1

    @property
    def is_over(self) -> bool:
        """Whether the operation has had its share."""
        return time.monotonic() > self._end


class TargetFailed(Exception):
    """A target has ended, or did something else than the raw driver did."""


class Worker:
    """A target in its process."""

    def __init__(self, target: str, url: str, model: int, size: int) -> None:
        self.target = target
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", target, url, str(model), str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def answer(self) -> Any:
        """The next line it says.

        Raises:
            TargetFailed: It has ended, or says nothing for too long.
        """
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        if not ready:
            self.process.kill()
        line = self.process.stdout.readline()
        if not line:
            raise TargetFailed(f"it has ended with {self.process.wait()}" if ready else f"no answer in {PATIENCE} s")
        return json.loads(line)

    def ask(self, operation: str, count: int, seed: int) -> tuple[float, str]:
        """Lets it run an operation: seconds, and what shows that it did what the others did.

        Args:
            operation: Its letter.
            count: How many items.
            seed: What is random comes of it. With 0, the round that warms up, all that was found is compared.
        """
        assert self.process.stdin is not None
        asked = {"operation": operation, "count": count, "seed": seed}
        try:
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise TargetFailed("it has ended") from error
        answer = self.answer()
        return answer["seconds"], answer["found"]

    def close(self) -> None:
        """Lets it end."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def measure(
    backend: str, model: int, targets: Sequence[str], operations: Sequence[str], mode: Mode, deadline: Deadline
) -> dict[str, Any]:
    """For each operation: microseconds an item of the raw driver, and each target's ratio to it."""
    results: dict[str, Any] = {}
    with databases(backend, targets) as urls:
        workers = {target: Worker(target, urls[target], model, mode.size) for target in targets}
        for target in list(workers):
            try:
                workers[target].answer()
            except TargetFailed as error:
                leave_out(workers, target, error)
        for operation in operations:
            deadline.begin()
            results[operation] = measured(workers, operation, titles(model)[operation][1], mode, deadline)
            show_line(operation, titles(model)[operation][0], results[operation], targets[1:])
        for worker in workers.values():
            worker.close()
    return results


def measured(workers: dict[str, Worker], operation: str, items: int, mode: Mode, deadline: Deadline) -> dict[str, Any]:
    """One operation, of all targets that are still there at its end."""
    count = mode.size if items == TABLE else max(int(items * mode.share), 20)
    ratios: dict[str, list[float]] = {target: [] for target in workers if target != "raw"}
    raw: list[float] = []
    for number in range(mode.rounds + 1):  # the first round warms up
        if len(raw) >= 2 and deadline.is_over:
            break
        targets = list(workers)
        start = number % len(targets)
        found = asked(workers, [*targets[start:], *targets[:start]], operation, count, number)
        if number == 0:
            continue
        raw.append(found["raw"][0] / count * 1e6)
        for target in workers.keys() - {"raw"}:
            ratios[target].append(found["raw"][0] / found[target][0])
    return {
        "microseconds": statistics.median(raw),
        "ratios": {target: statistics.median(every) for target, every in ratios.items() if target in workers},
    }


def asked(
    workers: dict[str, Worker], turn: Sequence[str], operation: str, count: int, seed: int
) -> dict[str, tuple[float, str]]:
    """A round of an operation; who fails, or does not do what the raw driver did, is left out from then on."""
    found: dict[str, tuple[float, str]] = {}
    for target in turn:
        try:
            found[target] = workers[target].ask(operation, count, seed)
        except TargetFailed as error:
            leave_out(workers, target, error)
    for target in list(found):
        if found[target][1] != found["raw"][1]:
            leave_out(workers, target, TargetFailed(f"it did not do what the raw driver did in {operation}"))
            del found[target]
    return found


def leave_out(workers: dict[str, Worker], target: str, error: TargetFailed) -> None:
    """Goes on without a target. Without the raw driver there is nothing to compare with."""
    workers.pop(target).close()
    if target == "raw":
        sys.exit(f"error: the raw driver: {error}")
    print(f"{target} is left out: {error}", flush=True)


def show_line(operation: str, title: str, result: dict[str, Any], targets: Sequence[str]) -> None:
    """One operation as a line."""
    ratios = result["ratios"]
    numbers = " ".join(f"{ratios[target]:>15.2f}" if target in ratios else " " * 15 for target in targets)
    print(f"{operation} {title:36} {result['microseconds']:8.2f} {numbers}", flush=True)


def titles(model: int) -> dict[str, tuple[str, int]]:
    """The operations of a model: what they do, and how many items."""
    return WHOLE if model == MOVIES else OPERATIONS


def targets() -> list[str]:
    """All targets there are."""
    return [*MODULES, "datalayer-async-10", "tortoise-10", "piccolo-10"]


def about() -> str:
    """When and where the numbers were taken, and the versions of all that took part."""
    packages = (
        "datalayer", "pydantic", "psycopg", "Django", "SQLAlchemy", "sqlmodel", "peewee", "pony", "psycopg2-binary",
        "tortoise-orm", "piccolo", "asyncpg", "aiosqlite", "uvloop", "orjson", "ciso8601",
    )  # fmt: skip
    found = {package.name.lower(): package.version for package in metadata.distributions()}
    versions = ", ".join(f"{name} {found[name.lower()]}" for name in packages if name.lower() in found)
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{date.today()}, {os.cpu_count()} cores, Python {python}, SQLite {sqlite3.sqlite_version}; {versions}"


def means(results: dict[str, Any]) -> dict[str, float]:
    """The geometric mean of each target that did all operations."""
    every = [result["ratios"] for operation, result in results.items() if operation not in APART]
    every = every or [result["ratios"] for result in results.values()]
    names = [name for name in every[0] if all(name in ratios for ratios in every)]
    return {name: statistics.geometric_mean([ratios[name] for ratios in every]) for name in names}


def keep(name: str, results: dict[str, Any], targets: Sequence[str]) -> None:
    """Puts the numbers of a run among those that are kept; a target that failed has none any more."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"
    operations: dict[str, Any] = json.loads(file.read_text())["operations"] if file.exists() else {}
    for operation, result in results.items():
        before = operations.get(operation, {"ratios": {}})["ratios"]
        others = {target: ratio for target, ratio in before.items() if target not in targets}
        operations[operation] = {
            "microseconds": round(result["microseconds"], 3),
            "ratios": {target: round(ratio, 3) for target, ratio in (result["ratios"] | others).items()},
        }
    everything = {
        "about": about(),
        "operations": {key: operations[key] for key in OPERATIONS | WHOLE if key in operations},
    }
    file.write_text(json.dumps(everything, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="how often each operation is measured")
    parser.add_argument(
        "--quick", dest="mode", action="store_const", const="quick", help="in about a minute and a half"
    )
    parser.add_argument("--middle", dest="mode", action="store_const", const="middle", help="in twelve minutes")
    parser.add_argument("--backend", choices=BACKENDS, action="append")
    parser.add_argument("--model", type=int, choices=(1, 2, 3, 4), action="append")
    parser.add_argument("--targets", help="names with commas between them; all by default")
    parser.add_argument("--operations", default="".join(OPERATIONS | WHOLE), help="their letters, such as DFG")
    parser.add_argument("--keep", action="store_true", help=f"put the numbers into {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        # Clients and server on one core: a wake-up across cores costs more than a query, and differs from run to run.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    chosen = options.targets.split(",") if options.targets else targets()
    chosen = ["raw", *[name for name in chosen if name != "raw"]]
    mode = MODES[options.mode or "full"]
    mode = mode._replace(models=tuple(options.model or mode.models), rounds=options.rounds or mode.rounds)
    backends = options.backend or BACKENDS
    several = sum(len(set(options.operations) & set(titles(model))) for model in mode.models)
    deadline = Deadline(mode.minutes, several * len(backends))
    for backend in backends:
        for model in mode.models:
            operations = [operation for operation in options.operations if operation in titles(model)]
            if not operations:
                continue
            print(f"\n{backend}, model {model}: ratio to the raw driver\n{'':38} {'raw, µs':>8}", end=" ")
            shown = chosen[1:]
            print(" ".join(f"{target[-15:]:>15}" for target in shown), flush=True)
            results = measure(backend, model, chosen, operations, mode, deadline)
            found = means(results)
            print(
                f"{'geometric mean':47} "
                + " ".join(f"{found[target]:>15.2f}" if target in found else " " * 15 for target in shown),
                flush=True,
            )
            if options.keep:
                keep(f"{backend}-{model}", results, chosen)


if __name__ == "__main__":
    main()
