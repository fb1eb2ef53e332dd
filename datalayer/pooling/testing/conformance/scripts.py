"""One script for two worlds: a generator yields calls, and what they give comes back; threads or tasks run it.

    def borrow_twice(pool):
        lease = yield pool.acquire
        yield lease.release

`Spawn` starts another script beside this one, `Join` waits for its end, `Until` for something to become true, and
`Within` runs one in a `with` block.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

Script: TypeAlias = Generator[Any, Any, Any]
"""What is to be done, as a generator of calls; its steps have types of all kinds, and so do their answers."""

E = TypeVar("E", bound=BaseException)

PATIENCE = 10.0
"""Seconds after which what does not come is taken to come never."""


@dataclass
class Handle:
    """A script that runs beside another one."""

    work: Any = None
    result: Any = None
    error: BaseException | None = None
    done: bool = False
    ident: object = None


@dataclass
class Spawn:
    """Step: starts a script in a thread or task of its own; answered with its handle."""

    script: Script


@dataclass
class Join:
    """Step: waits for the end of a script; answered with its result, or with what it raised."""

    handle: Handle


@dataclass
class Cancel:
    """Step: ends a script where it stands; awaiting world only."""

    handle: Handle


@dataclass
class Until:
    """Step: waits until a claim is true."""

    claim: Callable[[], object]
    label: str = ""


@dataclass
class Within:
    """Step: enters a block, `with` or `async with`, and runs a script there; answered with its result."""

    context: Any
    script: Callable[[Any], Script]


class Raising(Generic[E]):
    """What `raising` gives; `value` is the error, once there is one."""

    def __init__(self, kind: type[E], match: str) -> None:
        self._kind = kind
        self._match = match
        self.value: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> bool:
        if exc is None:
            raise AssertionError(f"{self._kind.__name__} should have been raised here, and nothing was")
        if not isinstance(exc, self._kind):
            return False
        assert re.search(self._match, str(exc)), f"{type(exc).__name__} does not say {self._match!r}: {exc}"
        self.value = exc
        return True


def raising(kind: type[E], match: str = "") -> Raising[E]:
    """A block that must end with this error: `with raising(PoolTimeout) as caught: ...`.

    Args:
        kind: Its class.
        match: A regular expression that its text must contain.
    """
    return Raising(kind, match)


def call(function: Callable[..., Any], *args: Any, **named: Any) -> Callable[[], Any]:
    """A call to be yielded, with its arguments."""
    return lambda: function(*args, **named)


def borrow(pool: Any, **options: float | None) -> Script:
    """Borrows a connection, gives it back, and says which it was."""
    lease = yield call(pool.acquire, **options)
    conn = lease.conn
    yield lease.release
    return conn


def block(script: Script) -> Any:
    """Runs a script to its end in this thread, and gives its result."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = script.throw(error) if error is not None else script.send(answer)
        except StopIteration as stop:
            return stop.value
        answer, error = None, None
        try:
            answer = _block_step(step)
        except BaseException as raised:
            error = raised


def _block_step(step: Any) -> Any:
    if isinstance(step, Spawn):
        handle = Handle()

        def run() -> None:
            try:
                handle.result = block(step.script)
            except BaseException as error:
                handle.error = error
            handle.done = True

        handle.work = threading.Thread(target=run, daemon=True)
        handle.work.start()
        return handle
    if isinstance(step, Join):
        step.handle.work.join(PATIENCE)
        assert step.handle.done, "a script did not end"
        return _ended(step.handle)
    if isinstance(step, Until):
        until = time.monotonic() + PATIENCE
        while not step.claim():
            assert time.monotonic() < until, f"never became true: {step.label or _source(step.claim)}"
            time.sleep(0.001)
        return None
    if isinstance(step, Within):
        with step.context as value:
            return block(step.script(value))
    return step()


async def wait(script: Script) -> Any:
    """The twin of `block`, in this task."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = script.throw(error) if error is not None else script.send(answer)
        except StopIteration as stop:
            return stop.value
        answer, error = None, None
        try:
            answer = await _await_step(step)
        except BaseException as raised:
            error = raised


async def _await_step(step: Any) -> Any:
    if isinstance(step, Spawn):
        handle = Handle()

        async def run() -> None:
            try:
                handle.result = await wait(step.script)
            except BaseException as error:
                handle.error = error
            handle.done = True

        handle.work = asyncio.create_task(run())
        return handle
    if isinstance(step, Cancel):
        step.handle.work.cancel()
        return None
    if isinstance(step, Join):
        await asyncio.wait([step.handle.work], timeout=PATIENCE)
        assert step.handle.done, "a script did not end"
        return _ended(step.handle)
    if isinstance(step, Until):
        until = time.monotonic() + PATIENCE
        while not step.claim():
            assert time.monotonic() < until, f"never became true: {step.label or _source(step.claim)}"
            await asyncio.sleep(0.001)
        return None
    if isinstance(step, Within):
        async with step.context as value:
            return await wait(step.script(value))
    found = step()
    return await found if inspect.isawaitable(found) else found


def _source(claim: Callable[[], object]) -> str:
    try:
        return inspect.getsource(claim).strip()
    except (OSError, TypeError):
        return repr(claim)


def _ended(handle: Handle) -> Any:
    if handle.error is not None:
        raise handle.error
    return handle.result
