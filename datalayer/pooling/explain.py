"""Where a connection was borrowed, where its holder is now, and what a timeout means: the words of a pool."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from types import CodeType
from typing import Any, TypeAlias, cast
from weakref import ReferenceType

from datalayer.errors import PoolDeadlock, PoolTimeout, TooManyWaiting, WrongEventLoop
from datalayer.late import asyncio
from datalayer.pooling.stats import LeaseInfo, PoolStats

Site: TypeAlias = tuple[CodeType | None, int]
"""A place in code: its function, and the offset of the instruction, whose line is looked up only when it is shown.

Not its frame: that would keep every variable in it alive for as long as the lease.
"""

NOWHERE: Site = (None, 0)


class Placed:
    """What knows where it was asked for; `site` in two parts, as the quickest way to note it sets them."""

    __slots__ = ("code", "offset")

    code: CodeType | None
    offset: int

    @property
    def site(self) -> Site:
        """The place, or `NOWHERE`."""
        return self.code, self.offset


_OURS = ("datalayer.", "contextlib", "threading", "asyncio.")
_NOT_OURS = "datalayer.pooling.testing."  # what is played there borrows as any caller does


class _Ours(dict[str, bool]):
    """Whether a module is no place of a caller, by its name; asked once for each."""

    def __missing__(self, name: str) -> bool:
        found = self[name] = name.startswith(_OURS) and not name.startswith(_NOT_OURS)
        return found


_is_ours = _Ours()


getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  # the one way to a frame that costs nothing


def call_site(depth: int = 2) -> Site:
    """The nearest place outside of this package that called, through whatever, the function that asks.

    Args:
        depth: How many frames are ours for certain, this one included.
    """
    frame = getframe(depth)
    while _is_ours[frame.f_globals["__name__"]] and (before := frame.f_back) is not None:
        frame = before
    return frame.f_code, frame.f_lasti


def site_text(site: Site) -> str:
    """The file and line of a site; nothing for `NOWHERE`."""
    code, offset = site
    if code is None:
        return ""
    line = next((line for start, end, line in code.co_lines() if start <= offset < end), None)
    return f"{code.co_filename}:{line or code.co_firstlineno}"


def borrowed_at(site: Site) -> str:
    """The same as the end of a sentence about a connection."""
    return f", borrowed at {site_text(site)}" if site != NOWHERE else ""


def living(owner: Any) -> Any:
    """A holder that may be held weakly; None for one that is gone."""
    return cast("Any", owner)() if isinstance(owner, ReferenceType) else owner


def describe_thread(owner: object) -> tuple[str, str]:
    """The name of a thread, and where it is at this moment."""
    for thread in threading.enumerate():
        if thread.ident == owner:
            frame = sys._current_frames().get(thread.ident or 0)  # pyright: ignore[reportPrivateUsage]  # debugging aid
            while frame is not None and _is_ours[frame.f_globals.get("__name__", "")]:
                frame = frame.f_back
            where = f", now at {frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
            return f"thread {thread.name!r}", where
    return "a thread that has ended", ""


def describe_task(owner: object) -> tuple[str, str]:
    """The name of a task, and where it is at this moment."""
    owner = living(owner)
    if not isinstance(owner, asyncio.Task):
        return "nobody known", ""
    stack = owner.get_stack(limit=1)
    where = f", now at {stack[0].f_code.co_filename}:{stack[0].f_lineno}" if stack else ""
    return f"task {owner.get_name()!r}", where


def explain_deadlock(holders: Sequence[str]) -> PoolDeadlock:
    """The error of the caller by whom everybody who holds a connection waits for another one.

    Args:
        holders: Each connection, and where it was borrowed.
    """
    return PoolDeadlock(
        f"all {len(holders)} connections are held by callers who wait for another one of the same pool, "
        f"this one included: use the connection you hold, or raise max_size. Held: {'; '.join(holders)}"
    )


def wrong_loop(pool: object) -> WrongEventLoop:
    """The error of who awaits something of a pool in another event loop."""
    return WrongEventLoop(
        f"{pool!r} belongs to another event loop: a connection cannot be awaited in two loops; use it and give it back "
        "where it was lent, and make one pool for each loop, or close this one first"
    )


def explain_full_queue(waiting: int, limit: int) -> TooManyWaiting:
    """The error of a caller who is one too many.

    Args:
        waiting: How many wait already.
        limit: `max_waiting`.
    """
    return TooManyWaiting(
        f"{waiting} callers wait for a connection already and max_waiting is {limit}: "
        "raise max_size or max_waiting, or hold connections for a shorter time"
    )


SHOWN_HOLDERS = 3
"""How many of those who hold a connection stand below the error of who waited in vain; all are in `holders`."""

MORE_CONNECTIONS = "all {} of max_size={} are lent out; raise max_size, or hold connections for a shorter time"
"""What helps where a pool may be larger."""


def explain_timeout(
    name: str | None, reason: str, waited: float, stats: PoolStats, leases: Sequence[LeaseInfo], cure: str
) -> PoolTimeout:
    """The error of a caller who waited in vain: why, who holds the connections, and what to do.

    Args:
        name: The name of the pool.
        reason: One of `PoolTimeout.reason`.
        waited: How long, in seconds.
        stats: The numbers of the pool now.
        leases: Who holds a connection now.
        cure: What helps where all connections are lent out.
    """
    cause = stats.last_error if reason in ("unavailable", "connecting") else None
    hints = {
        "exhausted": cure.format(stats.in_use, stats.max_size),
        "connecting": "the database is slow to accept a connection; look at connect_timeout and its server",
        "unavailable": f"the last attempt to connect failed with {error_text(cause)}",
        "paused": "the pool is paused; resume() serves the queue",
        "validating": "connections are being pinged; the database is slow to answer",
    }
    label = f" of pool {name!r}" if name else ""
    error = PoolTimeout(
        f"no connection{label} was to be had in {waited:.3f} s ({reason}): {hints[reason]}",
        reason=reason, waited=waited, stats=stats, holders=tuple(str(one) for one in leases),
    )  # fmt: skip
    for lease in leases[:SHOWN_HOLDERS]:
        error.add_note(f"lent out: {lease}")
    error.__cause__ = cause
    return error


def error_text(error: BaseException | None) -> str:
    """The class and text of an error, whose own text may fail."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def again(error: BaseException) -> BaseException:
    """The same error for each of several callers: a copy where that is possible, so that tracebacks do not pile up."""
    try:
        copied = type(error)(*error.args)
        copied.__dict__.update(error.__dict__)
    except Exception:
        return error
    copied.__cause__ = error.__cause__ or error
    return copied
