"""How much of datalayer's own code the hot paths run: counts, which are the same in every run, and no times.

`python -m benchmarks.counts`, from the root of the repository, compares them with `counts.json`; `--write` puts the
numbers of this Python there. For each item the calls are counted that begin in the package or lead into it, to
functions of Python and of C, and the lines of the package that run; where rows are given, also the blocks of memory
that each is. What the drivers, pydantic and SQLAlchemy do among themselves is not counted, so that their new versions
change nothing. Of several runs the least counts: now and then a pool has something else to do.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NotRequired, TypeAlias, TypedDict
from urllib.parse import urlsplit

import datalayer
from benchmarks import rows as data
from benchmarks.models import journal
from benchmarks.movies import ours as movies
from datalayer import atomic, configure, pools
from datalayer.testing import create_tables

OURS = str(Path(datalayer.__file__).parent)
GENERATED = "<hydrate"
FILE = Path(__file__).with_name("counts.json")
TIMED = frozenset({"note_use"})
"""Functions that run when something took longer than ever before; they are left out."""

RUNS = 4
SLACK = 0.02
"""Of the lines of an item: so much more is let pass. Of calls and blocks half of one is, so that one more is seen."""


class Count(TypedDict):
    """What one item costs: calls, lines, and the blocks of memory of what it gives, where it gives anything."""

    calls: float
    lines: float
    blocks: NotRequired[float]


Counts: TypeAlias = dict[str, Count]
Hot: TypeAlias = tuple[str, int, Callable[[], object]]
"""The name of a path, the number of its items, and what runs it."""


class Counter:
    """Counts calls and lines of the package in this thread while it is entered."""

    def __init__(self) -> None:
        self.calls = self.lines = 0
        self._known: dict[CodeType, bool] = {}

    def _is_ours(self, frame: FrameType) -> bool:
        code = frame.f_code
        known = self._known.get(code)
        if known is None:
            known = code.co_filename.startswith((OURS, GENERATED)) and code.co_name not in TIMED
            self._known[code] = known
        return known

    def _called(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            before = frame.f_back
            if self._is_ours(frame) or (before is not None and self._is_ours(before)):
                self.calls += frame.f_code.co_name not in TIMED
        elif event == "c_call":
            self.calls += self._is_ours(frame)

    def _traced(self, frame: FrameType, event: str, argument: object) -> Any:
        if not self._is_ours(frame):
            return None
        if event == "line":
            self.lines += 1
        return self._traced

    def measure(self, work: Callable[[], object]) -> tuple[int, int]:
        """The calls and the lines of some work, each counted in a run of its own."""
        self.calls = self.lines = 0
        for set_hook, hook in ((sys.setprofile, self._called), (sys.settrace, self._traced)):
            set_hook(hook)
            try:
                work()
            finally:
                set_hook(None)
        return self.calls, self.lines


def paths(model: Any, loop: asyncio.Runner, backend: str) -> Iterator[Hot]:
    """The hot paths. Each is run more than once, and each time on as many rows."""
    objects, names = model.objects, data.names(1)
    written = [dict(zip(names, row, strict=True)) for row in data.rows(1, 1_000, 3)]
    keys = range(1, 101)

    def each_got() -> None:
        for key in keys:
            objects.get(model.id == key)

    def each_got_by_name() -> None:
        for key in keys:
            objects.get(id=key)

    async def each_awaited() -> None:
        for key in keys:
            await objects.aget(model.id == key)

    def each_filtered() -> None:
        for key in keys:
            objects.filter(level__gte=key, text__contains="x").order_by("-level")[:10]

    def each_created() -> None:
        with atomic():
            for values in written[:100]:
                objects.create(**values)

    def each_saved() -> None:
        with atomic():
            for each in kept:
                each.level += 1
                each.save()

    def each_deleted() -> None:
        with atomic():
            for each in objects.filter(id__gt=1_000).order_by("id")[:100]:
                each.delete()

    def each_lent() -> None:
        pool = pools["default"]
        for _ in keys:
            with pool.borrow("read"):
                pass

    def each_begun() -> None:
        for _ in keys:
            with atomic():
                pass

    async def each_begun_awaiting() -> None:
        for _ in keys:
            async with atomic():
                pass

    def each_read_and_saved() -> None:
        with atomic():
            for each in objects.order_by("id")[:100]:
                each.level += 1
                each.save()

    async def each_created_awaiting() -> None:
        async with atomic():
            for values in written[:100]:
                await objects.acreate(**values)

    async def each_saved_awaiting() -> None:
        async with atomic():
            for each in kept:
                each.level += 1
                await each.asave()

    async def all_awaited() -> Any:
        return await objects.filter(id__lte=1_000).order_by("id")

    def all_changed() -> None:
        for each in kept:
            each.level += 1
        objects.bulk_update(kept)

    def movies_got() -> list[Any]:
        return [movies.whole_movie(whole.get(id=key)) for key in range(1, 11)]

    async def movies_awaited() -> list[Any]:
        return [movies.whole_movie(await whole.aget(id=key)) for key in range(1, 11)]

    async def each_lent_awaiting() -> None:
        pool = pools["default"]
        for _ in keys:
            async with await pool.asking("read"):  # what an operation does
                pass

    kept = list(objects.order_by("id")[:100])
    whole = movies.whole_movies()
    yield "get by key", 100, each_got
    yield "get by key, by name", 100, each_got_by_name
    yield "get by key, awaiting", 100, lambda: loop.run(each_awaited())
    yield "build a query", 100, each_filtered
    some = objects.filter(id__lte=1_000).order_by("id")
    yield "fetch a row of 1000", 1_000, lambda: list(objects.filter(id__lte=1_000).order_by("id"))
    yield "fetch a dict of 1000", 1_000, lambda: list(objects.filter(id__lte=1_000).order_by("id").values("id", *names))
    yield "fetch a tuple of 1000", 1_000, lambda: list(some.values_list("id", *names))
    yield "fetch a row of 1000, awaiting", 1_000, lambda: loop.run(all_awaited())
    yield "fetch a movie whole", 10, movies_got
    if backend == "postgresql":  # on SQLite it depends on the time which statements a thread is given
        yield "fetch a movie whole, awaiting", 10, lambda: loop.run(movies_awaited())
    yield "create", 100, each_created
    yield "create, awaiting", 100, lambda: loop.run(each_created_awaiting())
    yield "bulk_create of 1000", 1_000, lambda: objects.bulk_create([model(**values) for values in written])
    yield "save", 100, each_saved
    yield "save, awaiting", 100, lambda: loop.run(each_saved_awaiting())
    yield "fetch, change and save", 100, each_read_and_saved
    yield "bulk_update of 100", 100, all_changed
    yield "delete", 100, each_deleted
    yield "a transaction", 100, each_begun
    yield "a transaction, awaiting", 100, lambda: loop.run(each_begun_awaiting())
    yield "borrow a connection", 100, each_lent
    yield "borrow a connection, awaiting", 100, lambda: loop.run(each_lent_awaiting())


def counted(url: str, *, only: Collection[str] = (), is_enough: Callable[[Counts], bool] | None = None) -> Counts:
    """The counts of the paths on one database, which is empty.

    Args:
        url: Where it is.
        only: The names of the paths that are counted; all when there are none.
        is_enough: Whether a path that was counted so needs no other run.
    """
    backend = urlsplit(url).scheme.partition("+")[0]
    configure(databases={"default": url})
    model: Any = journal(1)
    create_tables()
    model.objects.bulk_create([model(**dict(zip(data.names(1), row, strict=True))) for row in data.rows(1, 1_000)])
    fill_movies()
    counter = Counter()
    found: Counts = {}
    with asyncio.Runner() as loop:
        for name, items, work in paths(model, loop, backend):
            if only and name not in only:
                continue
            work()  # compiled and imported by now
            blocks = blocks_of(work)
            gc.disable()
            try:
                runs: list[tuple[int, int]] = []
                for _ in range(RUNS):
                    runs.append(counter.measure(work))
                    calls, lines = (min(numbers) / items for numbers in zip(*runs, strict=True))
                    one: Count = {"calls": round(calls, 2), "lines": round(lines, 2)}
                    if blocks:
                        one["blocks"] = round(blocks / items, 2)
                    count: Counts = {f"{backend}: {name}": one}
                    found |= count
                    if is_enough is not None and is_enough(count):
                        break
            finally:
                gc.enable()
        loop.run(pools.aclose_all())
    pools.close_all()
    return found


def fill_movies() -> None:
    """Ten movies, each with a director, four in its cast and three reviews."""
    people = movies.Person.objects.bulk_create([movies.Person(name=f"person {n}", born=1960) for n in range(50)])
    account = movies.Account.objects.create(name="user")
    for number in range(10):
        movie = movies.Movie.objects.create(title=f"movie {number}", year=2000)
        cast = people[number * 5 : number * 5 + 4]
        movies.Direction.objects.create(movie=movie, person=people[number * 5 + 4])
        movies.Role.objects.bulk_create(
            [movies.Role(movie=movie, person=person, name="role", position=n) for n, person in enumerate(cast)]
        )
        movies.Review.objects.bulk_create(
            [movies.Review(movie=movie, account=account, rating=n, text="review") for n in range(3)]
        )


def blocks_of(work: Callable[[], object]) -> int:
    """The blocks of memory of the rows that some work gives, the median of three times; 0 where it gives none."""
    found: list[int] = []
    for _ in range(3):
        gc.collect()
        before = sys.getallocatedblocks()
        result = work()
        if result is None:
            return 0
        gc.collect()
        found.append(sys.getallocatedblocks() - before)
        del result
    return sorted(found)[1]


def compared(known: Counts, found: Counts, *, slack: float = SLACK) -> list[str]:
    """What became worse, in words; empty where nothing did.

    Args:
        known: What the counts should be.
        found: What they are.
        slack: Of the lines: so much more is let pass.
    """
    worse: list[str] = []
    for name, count in found.items():
        before = known.get(name)
        if before is None:
            worse.append(f"{name}: not in {FILE.name}")
            continue
        blocks = before.get("blocks", float("inf"))
        if count.get("blocks", 0) > blocks + max(0.5, 0.1 * blocks):  # many of them are not always the same number
            worse.append(f"{name}: {count.get('blocks')} blocks of memory instead of {before.get('blocks')}")
        # What happens a few times in a run of a hundred items is not what one item costs.
        if count["calls"] > before["calls"] + (0.5 if slack == SLACK else before["calls"] * slack):
            worse.append(f"{name}: {count['calls']} calls instead of {before['calls']}")
        elif count["lines"] > before["lines"] * (1 + slack) + 0.5:
            worse.append(f"{name}: {count['lines']} lines instead of {before['lines']}")
    return worse


def version() -> str:
    """The Python whose counts these are: comprehensions are calls in some, and not in others."""
    return ".".join(map(str, sys.version_info[:2]))


def worse_than_known(found: Counts) -> list[str]:
    """What became worse than `counts.json` has it; another Python may do a tenth more than the newest.

    A path that no Python has yet is new, and is compared with nothing until its counts are taken.
    """
    everything: dict[str, Counts] = json.loads(FILE.read_text())
    found = {name: count for name, count in found.items() if any(name in counts for counts in everything.values())}
    if version() in everything:
        return compared(everything[version()], found)
    return compared(everything[max(everything, key=lambda name: [*map(int, name.split("."))])], found, slack=0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="take the counts of today as what they should be")
    parser.add_argument("--url", help="an empty database; a new SQLite file when not given")
    parser.add_argument("--only", action="append", metavar="PATH", help="count this path; may be given several times")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="datalayer-counts-") as folder:
        found = counted(
            options.url or f"sqlite:///{Path(folder) / 'counts.sqlite3'}",
            only=options.only or (),
            is_enough=None if options.write else lambda count: not worse_than_known(count),
        )
    everything: dict[str, Counts] = json.loads(FILE.read_text()) if FILE.exists() else {}
    known = everything.get(version(), {})
    for name, count in found.items():
        before = known.get(name, {"calls": 0, "lines": 0})
        told = (f"{value:8.2f} {unit} ({before.get(unit, 0):.2f})" for unit, value in count.items())
        print(f"{name:46}", *told)
    if options.write:
        everything[version()] = dict(sorted((known | found).items()))
        FILE.write_text(json.dumps(dict(sorted(everything.items())), indent=1) + "\n")
        return
    worse = worse_than_known(found)
    if worse:
        sys.exit(
            "error: hot paths do more than they did:\n  " + "\n  ".join(worse) + f"\nFind out why; where it is worth "
            f"it, take the new counts with `{Path(sys.executable).name} -m benchmarks.counts --write`."
        )


if __name__ == "__main__":
    main()
