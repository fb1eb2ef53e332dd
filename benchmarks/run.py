"""datalayer beside the raw drivers and its peers, as README.md says: ratios within a round, median over the rounds.

`python -m benchmarks.run`, from the root of the repository.
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
from typing import Any

from benchmarks.databases import databases
from benchmarks.movies import MODULES as WHOLE_TARGETS
from benchmarks.targets import MODULES
from benchmarks.worker import MOVIES

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = ("sqlite", "postgresql")
SIZE = 20_000  # rows in the table
PATIENCE = 120  # seconds without an answer after which a target is left out
OPERATIONS = {
    "A": ("insert, each in a transaction", 300),
    "B": ("insert one by one, one transaction", 1_000),
    "C": ("bulk insert", 5_000),
    "D": ("fetch all as instances", SIZE),
    "E": ("20 rows at an offset", 200),
    "F": ("get by key", 1_000),
    "G": ("fetch all as dicts", SIZE),
    "H": ("fetch all as tuples", SIZE),
    "I": ("change every field and save", 500),
    "J": ("change one field and save", 500),
    "K": ("delete one by one", 500),
}
WHOLE = {
    "L": ("a movie with people and reviews", 100),
    "M": ("a person with all movies", 400),
    "N": ("a user with ten reviews", 400),
    "O": ("insert a movie, read it whole", 50),
}
"""Those of model 4."""

MODES: dict[str, tuple[int, float, tuple[int, ...], float]] = {
    "quick": (5, 0.3, (1, 4), 2.5),
    "middle": (7, 0.4, (1, 3, 4), 5.5),
    "full": (7, 1, (1, 2, 3, 4), 60),
}
"""At most so many rounds, the share of the items that is done, the models, and minutes.

Where the minutes are too few for all rounds, each operation has fewer of them, and two at the least.
"""


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


ALONE = {"sqlite": frozenset[str](), "postgresql": frozenset({"pony"})}
"""Targets that are left out on a backend: Pony speaks psycopg2 only."""


class TargetFailed(Exception):
    """A target has ended, or did something else than the raw driver did."""


class Worker:
    """A target in its process."""

    def __init__(self, target: str, url: str, model: int) -> None:
        self.target = target
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", target, url, str(model), str(SIZE)],
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
        """Lets it run an operation: seconds, and what shows that it did what the others did."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"operation": operation, "count": count, "seed": seed}) + "\n")
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
    backend: str,
    model: int,
    targets: Sequence[str],
    operations: Sequence[str],
    rounds: int,
    share: float,
    deadline: Deadline,
) -> dict[str, Any]:
    """For each operation: microseconds an item of the raw driver, and each target's ratio to it."""
    targets = taking_part(targets, backend, model)
    results: dict[str, Any] = {}
    with databases(backend, targets) as urls:
        workers = {target: Worker(target, urls[target], model) for target in targets}
        for target in list(workers):
            try:
                workers[target].answer()
            except TargetFailed as error:
                leave_out(workers, target, error)
        targets = list(workers)
        for operation in operations:
            _, whole = titles(model)[operation]
            count = whole if whole == SIZE else max(int(whole * share), 20)
            ratios: dict[str, list[float]] = {target: [] for target in targets if target != "raw"}
            raw: list[float] = []
            deadline.begin()
            for number in range(-1, rounds):  # the first round warms up
                if len(raw) >= 2 and deadline.is_over:
                    break
                start = number % len(targets)
                turn = [*targets[start:], *targets[:start]]
                found = asked(workers, turn, operation, count, number + 1)
                targets = [target for target in targets if target in workers]
                if number < 0:
                    continue
                raw.append(found["raw"][0] / count * 1e6)
                for target in targets[1:]:
                    ratios[target].append(found["raw"][0] / found[target][0])
            results[operation] = {
                "microseconds": statistics.median(raw),
                "ratios": {target: statistics.median(ratios[target]) for target in targets[1:]},
            }
            show_line(operation, titles(model)[operation][0], results[operation])
        for worker in workers.values():
            worker.close()
    # A target that was left out on the way has no mean that could be compared.
    for result in results.values():
        result["ratios"] = {target: ratio for target, ratio in result["ratios"].items() if target in targets}
    return results


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
    """Goes on without a target. Without the raw driver or datalayer itself there is nothing to compare."""
    workers.pop(target).close()
    if target == "raw" or target.startswith("datalayer"):
        sys.exit(f"error: {target}: {error}")
    print(f"{target} is left out: {error}", flush=True)


def show_line(operation: str, title: str, result: dict[str, Any]) -> None:
    """One operation as a line."""
    numbers = " ".join(f"{value:>15.2f}" for value in result["ratios"].values())
    print(f"{operation} {title:36} {result['microseconds']:8.2f} {numbers}", flush=True)


def titles(model: int) -> dict[str, tuple[str, int]]:
    """The operations of a model: what they do, and how many items."""
    return WHOLE if model == MOVIES else OPERATIONS


def taking_part(targets: Sequence[str], backend: str, model: int) -> list[str]:
    """The targets that know a backend and have the operations of a model."""
    found = [target for target in targets if target.removesuffix("-10") not in ALONE[backend]]
    return [target for target in found if target.removesuffix("-10") in WHOLE_TARGETS] if model == MOVIES else found


def about() -> str:
    """When and where the numbers were taken, and the versions of all that took part."""
    packages = (
        "datalayer", "pydantic", "psycopg", "Django", "SQLAlchemy", "sqlmodel", "peewee", "pony", "tortoise-orm",
        "piccolo", "asyncpg", "aiosqlite",
    )  # fmt: skip
    found = {package.name.lower(): package.version for package in metadata.distributions()}
    versions = ", ".join(f"{name} {found[name.lower()]}" for name in packages if name.lower() in found)
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{date.today()}, {os.cpu_count()} cores, Python {python}, SQLite {sqlite3.sqlite_version}; {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="how often each operation is measured")
    parser.add_argument("--quick", dest="mode", action="store_const", const="quick", help="in three minutes")
    parser.add_argument("--middle", dest="mode", action="store_const", const="middle", help="in six minutes")
    parser.add_argument("--backend", choices=BACKENDS, action="append")
    parser.add_argument("--model", type=int, choices=(1, 2, 3, 4), action="append")
    parser.add_argument("--targets", help="names with commas between them; all by default")
    parser.add_argument("--operations", default="".join(OPERATIONS | WHOLE), help="their letters, such as DFG")
    parser.add_argument("--json", type=Path, help="write the numbers to this file as well")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        # Clients and server on one core: a wake-up across cores costs more than a query, and differs from run to run.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    every = [*MODULES, "datalayer-async-10", "tortoise-10", "piccolo-10"]
    targets = ["raw", *[name for name in (options.targets or ",".join(every)).split(",") if name != "raw"]]
    everything: dict[str, Any] = {"about": about()}
    rounds, share, models, minutes = MODES[options.mode or "full"]
    models = options.model or models
    backends = options.backend or BACKENDS
    several = sum(len(set(options.operations) & set(titles(model))) for model in models)
    deadline = Deadline(minutes, several * len(backends))
    for backend in backends:
        for model in models:
            operations = [operation for operation in options.operations if operation in titles(model)]
            if not operations:
                continue
            print(f"\n{backend}, model {model}: ratio to the raw driver\n{'':38} {'raw, µs':>8}", end=" ")
            shown = taking_part(targets, backend, model)[1:]
            print(" ".join(f"{target[-15:]:>15}" for target in shown), flush=True)
            results = measure(backend, model, targets, operations, options.rounds or rounds, share, deadline)
            everything[f"{backend} {model}"] = results
            kept = next(iter(results.values()))["ratios"]
            means = [statistics.geometric_mean([r["ratios"][t] for r in results.values()]) for t in kept]
            print(f"{'geometric mean':47} " + " ".join(f"{value:>15.2f}" for value in means), flush=True)
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
