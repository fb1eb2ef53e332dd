"""Numbers against the raw drivers, as README.md says: ratios within a round, median over the rounds."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

TARGETS = ("raw", "blocking", "awaiting")
OPERATIONS = {"get": 3_000, "fetch": 20, "bulk": 5_000}  # how many a round: gets, pages of 1000 rows, rows
WORDS = {"get": "get by key", "fetch": "fetch 1000 rows", "bulk": "bulk insert"}
BACKENDS = ("sqlite", "postgresql")


class Worker:
    """A target in its process."""

    def __init__(self, target: str, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), target, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self) -> Any:
        """The next line it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: a target has ended with {self.process.wait()}: {self.process.args}")
        return json.loads(line)

    def ask(self, operation: str, count: int, seed: int) -> tuple[float, str]:
        """Lets it run an operation: seconds, and the checksum of what it found."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"operation": operation, "count": count, "seed": seed}) + "\n")
        self.process.stdin.flush()
        answer = self.answer()
        return answer["seconds"], answer["found"]

    def close(self) -> None:
        """Lets it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)


@contextmanager
def databases(backend: str) -> Iterator[dict[str, str]]:
    """An empty database for each target."""
    with tempfile.TemporaryDirectory(prefix="datalayer-bench-") as folder:
        if backend == "sqlite":
            yield {target: f"sqlite:///{folder}/{target}.sqlite3" for target in TARGETS}
            return
        import psycopg

        from tests import postgres_server
        from tests.conftest import _with_database

        given = os.environ.get("DATALAYER_TEST_POSTGRES_URL")
        server = None if given else postgres_server.start()
        url = given or (server.url if server else "")
        names = {target: f"datalayer_bench_{os.getpid()}_{target}" for target in TARGETS}
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                for name in names.values():
                    connection.execute(f"CREATE DATABASE {name}".encode())
                yield {target: _with_database(url, name) for target, name in names.items()}
                for name in names.values():
                    connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        finally:
            if server is not None:
                server.stop()


def measure(backend: str, rounds: int) -> dict[str, dict[str, Any]]:
    """For each operation: microseconds of the raw driver, and for each target its ratio."""
    with databases(backend) as urls:
        workers = {target: Worker(target, urls[target]) for target in TARGETS}
        for worker in workers.values():
            worker.answer()
        results = {}
        for operation, count in OPERATIONS.items():
            per_item = count * 1_000 if operation == "fetch" else count
            ratios: dict[str, list[float]] = {target: [] for target in TARGETS[1:]}
            raw_times = []
            for number in range(-1, rounds):  # the first round warms up
                turn = TARGETS[number % 3 :] + TARGETS[: number % 3]
                found = {target: workers[target].ask(operation, count, number) for target in turn}
                for target in TARGETS[1:]:
                    if found[target][1] != found["raw"][1]:
                        sys.exit(f"error: {target} and raw disagree about the rows of {operation!r} on {backend}")
                if number < 0:
                    continue
                raw_times.append(found["raw"][0] / per_item * 1e6)
                for target in TARGETS[1:]:
                    ratios[target].append(found["raw"][0] / found[target][0])
            results[operation] = {
                "raw microseconds": statistics.median(raw_times),
                **{target: statistics.median(values) for target, values in ratios.items()},
            }
        for worker in workers.values():
            worker.close()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=BACKENDS)
    parser.add_argument("--json", type=Path, help="write the numbers to this file as well")
    options = parser.parse_args()
    everything = {}
    print(f"{'ratio to the raw driver':32} {'raw, µs a row':>14} {'blocking':>10} {'awaiting':>10}")
    for backend in BACKENDS if options.only is None else (options.only,):
        everything[backend] = results = measure(backend, options.rounds)
        for operation, result in results.items():
            title = f"{backend}: {WORDS[operation]}"
            numbers = [result["raw microseconds"], result["blocking"], result["awaiting"]]
            print(f"{title:32} {numbers[0]:14.2f} {numbers[1]:10.2f} {numbers[2]:10.2f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
