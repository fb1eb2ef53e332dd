"""One thing that must hold, tried in either world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datalayer.pooling.testing.conformance.bench import Bench
from datalayer.pooling.testing.conformance.scripts import Script, block, wait


class Check:
    """One thing that must hold: `run()` tries it in the blocking world, `await arun()` in the awaiting one.

    Both raise `AssertionError` when it does not hold. `str(check)` is the thing as a sentence, to name a test by.

    Attributes:
        name: The same with underscores.
    """

    def __init__(self, script: Callable[[Any], Script], bench: Callable[[bool], Bench]) -> None:
        self.name = script.__name__
        self._script = script
        self._bench = bench

    def __str__(self) -> str:
        return self.name.replace("_", " ")

    def __repr__(self) -> str:
        return f"<Check: {self}>"

    def run(self) -> None:
        """Tries it, in threads."""
        block(self._tried(is_async=False))

    async def arun(self) -> None:
        """The twin of `run`, in tasks of the running loop."""
        await wait(self._tried(is_async=True))

    def _tried(self, *, is_async: bool) -> Script:
        if not __debug__:
            raise RuntimeError("the checks are made of `assert`, which python -O leaves out: run them without it")
        bench = self._bench(is_async)
        try:
            yield from self._script(bench)
        except Exception:
            yield from bench.close()
            raise
        yield from bench.close()
        bench.look_back()
