"""One target of the measurements: does what it is told on standard input and answers with the seconds it took.

`python -m benchmarks.worker TARGET URL MODEL`, from the root of the repository.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import inspect
import json
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from benchmarks import movies, targets
from benchmarks import rows as data

MOVIES = 4
"""The number of the model of the operations L to O."""

SEEN = 50  # how many of the changed rows are compared


class Worker:
    """A target with its table full of rows.

    Args:
        name: The target's name.
        url: Its own database.
        model: The number of the model.
        size: How many rows lie in the table between the operations.
    """

    def __init__(self, name: str, url: str, model: int, size: int) -> None:
        self.model, self.size = model, size
        self.runner = asyncio.Runner(loop_factory=targets.loop(name, url))
        if model == MOVIES:
            movies.data.fill(url)
        self.target: Any = movies.make(name, url) if model == MOVIES else targets.make(name, url, model)
        if hasattr(self.target, "open"):
            self.wait(self.target.open())
        if model != MOVIES:
            self.wait(self.target.bulk(data.rows(model, size)))
        self.besides = _beside(url)

    def wait(self, result: Any) -> Any:
        """The result itself, or what it comes to when it is awaited."""
        if not inspect.isawaitable(result):
            return result

        async def main() -> Any:
            return await result

        return self.runner.run(main())

    def timed(self, work: Callable[[], Any]) -> tuple[float, Any]:
        """The seconds of the work, and its result."""
        gc.collect()
        began = time.perf_counter()
        result = self.wait(work())
        return time.perf_counter() - began, result

    def run(self, operation: str, count: int, seed: int) -> tuple[float, str]:
        """An operation: its seconds, and what shows that it did what all others did; that in the first round only."""
        one = self.target
        is_compared = seed == 0
        match operation:
            case "L" | "N":
                keys = data.keys(count, seed, movies.data.MOVIES)
                seconds, found = self.timed(lambda: one.movies(keys) if operation == "L" else one.users(keys))
                return seconds, self.digest_whole(found) if is_compared else ""
            case "M":
                keys = data.keys(count, seed, movies.data.PEOPLE)
                seconds, found = self.timed(lambda: one.people(keys))
                return seconds, self.digest_whole(found) if is_compared else ""
            case "O":
                new = movies.data.new(count, seed)
                seconds, found = self.timed(lambda: one.add(new))
                for table, column in (("role", "movie_id"), ("direction", "movie_id"), ("movie", "id")):
                    self.besides(f"DELETE FROM {table} WHERE {column} > {movies.data.MOVIES}")
                return seconds, self.digest_whole(found) if is_compared else ""
            case "A" | "B" | "C":
                made = data.rows(self.model, count, seed)
                if operation == "C":
                    seconds, _ = self.timed(lambda: one.bulk(made))
                else:
                    seconds, _ = self.timed(lambda: one.insert_each(made, is_one_transaction=operation == "B"))
                ((number, least),) = self.besides(f"SELECT count(*), min(id) FROM journal WHERE id > {self.size}")
                found = self.digest_new(self.wait(one.get(range(least, least + count)))) if is_compared else ""
                self.besides(f"DELETE FROM journal WHERE id > {self.size}")
                return seconds, f"{number} {found}"
            case "D":
                seconds, rows = self.timed(one.everything)
                return seconds, self.digest(rows) if is_compared else ""
            case "E":
                chosen = random.Random(seed)
                offsets = [chosen.randrange(self.size - 20) for _ in range(count)]
                seconds, rows = self.timed(lambda: one.pages(offsets))
                return seconds, self.digest(rows) if is_compared else ""
            case "F":
                keys = data.keys(count, seed, self.size)
                seconds, rows = self.timed(lambda: one.get(keys))
                return seconds, self.digest(rows) if is_compared else ""
            case "G" | "H":
                seconds, rows = self.timed(one.dicts if operation == "G" else one.tuples)
                is_raw = type(one).__module__.endswith(".raw")
                if not is_compared:
                    return seconds, ""
                return seconds, self.digest(rows) if is_raw else self.digest_of(map(self.in_order, rows))
            case "I" | "R":
                made = data.rows(self.model, count, seed)
                objects = self.wait(one.load(1, count))
                change = self.together("change_all", "change_all_together") if operation == "R" else one.change_all
                seconds, _ = self.timed(lambda: change(objects, made))
            case "J" | "P":
                levels = [row[1] for row in data.rows(1, count, seed)]
                objects = self.wait(one.load(1, count))
                change = self.together("change_one", "change_together") if operation == "P" else one.change_one
                seconds, _ = self.timed(lambda: change(objects, levels))
            case _:
                self.wait(one.bulk(data.rows(self.model, count, seed)))
                ((least,),) = self.besides(f"SELECT min(id) FROM journal WHERE id > {self.size}")
                objects = self.wait(one.load(least, count))
                delete = self.together("delete_each", "delete_together") if operation == "Q" else one.delete_each
                seconds, _ = self.timed(lambda: delete(objects))
                ((number,),) = self.besides("SELECT count(*) FROM journal")
                return seconds, str(number)
        return seconds, self.digest(self.wait(one.get(range(1, min(SEEN, count) + 1)))) if is_compared else ""

    def together(self, each: str, many: str) -> Callable[..., Any]:
        """How the target does it to many rows in one go; to each by itself where it has nothing else, or flushes."""
        return getattr(self.target, many, None) or getattr(self.target, each)

    def digest_whole(self, found: Any) -> str:
        """The digest of movies, people or users with all that belongs to them."""
        # An average is a decimal in one driver and a double in the other: the last of its digits may differ.
        plain = json.loads(json.dumps(list(found), default=float), parse_float=lambda text: round(float(text), 9))
        return hashlib.sha256(json.dumps(plain).encode()).hexdigest()

    def digest(self, found: Any) -> str:
        """The digest of instances."""
        return self.digest_of(self.target.plain(found))

    def digest_new(self, found: Any) -> str:
        """The digest of new rows: their keys differ from target to target, and their order with several tasks."""
        return self.digest_of(sorted((0, *row[1:3]) for row in self.target.plain(found)))

    def digest_of(self, found: Iterable[Any]) -> str:
        """The digest of tuples, with the forms in which targets give decimals and JSON made one."""
        return data.digest([self.normal(row) for row in found])

    def in_order(self, row: Any) -> Any:
        """A dict or tuple as a tuple in the order of the columns."""
        return [row[name] for name in ("id", *data.names(self.model))] if isinstance(row, dict) else row

    def normal(self, row: Any) -> list[Any]:
        """A row with its decimals and JSON as Python has them."""
        values = list(row[: len(data.names(self.model)) + 1])
        for place, name in enumerate(data.names(self.model)[: len(values) - 1], 1):
            if name.startswith("json") and isinstance(values[place], str):
                values[place] = json.loads(values[place])
            elif name.startswith("json") and not values[place]:
                values[place] = None  # Pony gives {} for it; nobody writes one
            elif name.startswith("decimal") and values[place] is not None:
                values[place] = Decimal(str(values[place]))
        return values

    def close(self) -> None:
        """Ends the target."""
        self.wait(self.target.close())
        self.runner.close()


def _beside(url: str) -> Callable[[str], list[Any]]:
    """A connection of the worker's own, for what is not measured."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=30)
        return lambda sql: connection.execute(sql).fetchall()
    import psycopg

    other: Any = psycopg.connect(url, autocommit=True)

    def execute(sql: str) -> list[Any]:
        cursor = other.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []

    return execute


def serve() -> None:
    """Answers each line of JSON with one."""
    name, url, model, size = sys.argv[1:5]
    worker = Worker(name, url, int(model), int(size))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        seconds, found = worker.run(asked["operation"], asked["count"], asked["seed"])
        print(json.dumps({"seconds": seconds, "found": found}), flush=True)
    worker.close()


if __name__ == "__main__":
    serve()
