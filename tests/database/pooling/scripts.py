"""One script for two worlds: a generator yields calls, and what they give comes back; threads or tasks run it.

    def borrow_twice(pool):
        lease = yield pool.acquire
        yield lease.release

`Spawn` starts another script beside this one, `Join` waits for its end, `Until` for something to become true.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.worlds import World

Script: TypeAlias = Generator[Any, Any, Any]
PATIENCE = 10.0


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
    script: Script


@dataclass
class Join:
    handle: Handle


@dataclass
class Cancel:
    """Ends a script where it stands; awaiting world only."""

    handle: Handle


@dataclass
class Until:
    """Waits until a claim is true."""

    claim: Callable[[], object]
    label: str = field(default="")


def play(world: World, script: Script) -> Any:
    """Runs a script to its end and gives its result."""
    return world.run(lambda: _block(script), lambda: _await(script))


def call(function: Callable[..., Any], *args: Any, **named: Any) -> Callable[[], Any]:
    """A call to be yielded, with its arguments."""
    return lambda: function(*args, **named)


def _block(script: Script) -> Any:
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
                handle.result = _block(step.script)
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
            assert time.monotonic() < until, f"never became true: {step.label or inspect.getsource(step.claim)}"
            time.sleep(0.001)
        return None
    return step()


async def _await(script: Script) -> Any:
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
                handle.result = await _await(step.script)
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
            assert time.monotonic() < until, f"never became true: {step.label or inspect.getsource(step.claim)}"
            await asyncio.sleep(0.001)
        return None
    found = step()
    return await found if inspect.isawaitable(found) else found


def _ended(handle: Handle) -> Any:
    if handle.error is not None:
        raise handle.error
    return handle.result
