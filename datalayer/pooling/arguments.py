"""What a pool is given besides its limits: looked at when the pool is made, and not when a caller needs it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from datalayer.errors import PoolConfigError

C = TypeVar("C")

_METHODS = ("connect", "close", "ping", "is_broken", "reset", "is_disconnect", "is_fatal")
_AWAITED = ("connect", "close", "ping")


def plain_hook(name: str, hook: Callable[[C], object] | None) -> Callable[[C], object] | None:
    """A hook of a blocking pool.

    Raises:
        PoolConfigError: It cannot be called, or would have to be awaited.
    """
    _refuse_uncallable(name, hook)
    if inspect.iscoroutinefunction(hook):
        raise PoolConfigError(
            f"{name}={_named(hook)} is an `async def`, which a blocking pool cannot await: give a plain function, "
            "or use the awaiting pool"
        )
    return hook


def awaited_hook(name: str, hook: Callable[[C], Awaitable[object]] | None) -> Callable[[C], Awaitable[object]] | None:
    """A hook of an awaiting pool.

    Raises:
        PoolConfigError: It cannot be called; or, when it is called, what it gives cannot be awaited.
    """
    _refuse_uncallable(name, hook)
    if hook is None or inspect.iscoroutinefunction(hook):
        return hook

    def checked(conn: C) -> Awaitable[object]:
        return to_be_awaited(f"{name}={_named(hook)}", hook(conn))

    return checked


def to_be_awaited(what: str, found: Awaitable[C]) -> Awaitable[C]:
    """What a function of an awaiting pool gave.

    Raises:
        PoolConfigError: It cannot be awaited.
    """
    if not inspect.isawaitable(found):
        raise PoolConfigError(
            f"{what} gave {type(found).__name__}, and an awaiting pool awaits it: make it an `async def`, "
            "or use the blocking pool"
        )
    return found


def check_connector(connector: object, *, is_async: bool) -> None:
    """Looks whether a connector has its methods.

    Raises:
        PoolConfigError: It has not, or it is one for the other world.
    """
    if isinstance(connector, type):
        raise PoolConfigError(f"the connector is the class {connector.__name__}: give an object of it")
    for name in (*_METHODS, "terminate") if is_async else _METHODS:
        if not callable(getattr(connector, name, None)):
            raise PoolConfigError(
                f"{type(connector).__name__}, which was given as connector, has no method {name}(): "
                f"{'AsyncConnector' if is_async else 'Connector'} in datalayer.pooling says what it must have"
            )
    for name in () if is_async else (*_AWAITED, "reset"):
        if inspect.iscoroutinefunction(getattr(connector, name)):
            raise PoolConfigError(
                f"{name}() of {type(connector).__name__} is an `async def`, which a blocking pool "
                "cannot await: use AsyncPool"
            )


def check_sources(clock: object, rng: object) -> None:
    """Looks at the sources of time and of jitter.

    Raises:
        PoolConfigError: One of them is none.
    """
    _refuse_uncallable("clock", clock)
    if rng is not None and not isinstance(rng, Random):
        raise PoolConfigError(f"rng={rng!r} is no source of jitter: give a random.Random, or leave it out")


def check_address(conninfo: object) -> None:
    """Looks at where connections of PostgreSQL go.

    Raises:
        PoolConfigError: It is no text and no function.
    """
    if not isinstance(conninfo, str) and not callable(conninfo):
        raise PoolConfigError(
            f"conninfo is of type {type(conninfo).__name__}: give a url or conninfo text, or a function that gives one"
        )


def check_listener(listener: object) -> None:
    """Looks whether a listener can be told.

    Raises:
        PoolConfigError: It cannot be called, or would have to be awaited.
    """
    _refuse_uncallable("a listener", listener)
    if inspect.iscoroutinefunction(listener):
        raise PoolConfigError(
            f"the listener {_named(listener)} is an `async def`, and events are told without awaiting: "
            "give a plain function"
        )


def _refuse_uncallable(name: str, found: object) -> None:
    if found is not None and not callable(found):
        raise PoolConfigError(f"{name} is {found!r}, which cannot be called: give a function")


def _named(function: object) -> str:
    return str(getattr(function, "__qualname__", None) or repr(function))
