"""Which transaction am I in: one context variable for each database, read once for each statement.

A transaction belongs to the task or thread that began it. The variable alone cannot tell, since tasks inherit it, so
each transaction knows its owner and refuses everybody else instead of letting their statements interleave.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from datalayer._links.link import BackendName
from datalayer.conf.current import settings
from datalayer.errors import ConnectionLost, DatabaseError, SettingsNotConfigured, SyncInAsyncContext, TransactionError
from datalayer.late import asyncio, dataclass
from datalayer.pooling import holding

if TYPE_CHECKING:
    from datalayer._compile.compiler import Compiler
    from datalayer.pooling.database import DatabasePool

_IN_FAILED_TRANSACTION = "25P02"


Owner: TypeAlias = "int | asyncio.Task[Any]"
"""The thread or the task that a transaction belongs to."""


# -- the transaction -----------------------------------------------------------------------------


@dataclass(slots=True)
class Callback:
    """What `on_commit` was given."""

    function: Callable[[], object] | Callable[[], Awaitable[object]]
    is_robust: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One `atomic()` around another: the savepoint to return to, and how many callbacks and undos came before it."""

    savepoint: str | None
    callbacks: int
    undos: int


class Transaction:
    """An open transaction: its link, who owns it, and what must happen at its end.

    Attributes:
        alias: The database.
        backend: Which SQL it speaks.
        compiler: The compiler of its backend.
        pool, lease: Where its connection is from, whatever the settings say meanwhile.
        link: The connection it has borrowed, blocking or awaiting.
        owner: The thread (an int) or the task that began it.
        isolation, read_only: What was asked for.
        frames: One for each `atomic()` inside the outermost.
        callbacks: What to call after the commit.
        undos: Functions to call, each with what it takes behind it in one tuple, the newest first, when what was done
            is rolled back: objects that believe to be in the database learn that they are not.
        is_committed: Whether its commit has succeeded.
        undone: How many blocks are around those whose end undoes them, though no error leaves them.
        failure: Why nothing but a rollback is possible any more; None while all is well.
        is_async: Whether its link awaits.
        is_open: Whether it still goes on: tasks may inherit one that has ended.
        is_test: Whether a test holds it, around what the test believes to be the outermost `atomic()`.
    """

    __slots__ = (
        "alias",
        "backend",
        "callbacks",
        "compiler",
        "failure",
        "frames",
        "is_async",
        "is_committed",
        "is_open",
        "is_test",
        "isolation",
        "lease",
        "link",
        "owner",
        "pool",
        "read_only",
        "restores_writing",
        "undone",
        "undos",
    )

    def __init__(
        self,
        alias: str,
        *,
        compiler: Compiler,
        pool: DatabasePool,
        lease: Any,
        is_async: bool,
        isolation: str | None = None,
        read_only: bool = False,
        is_test: bool = False,
    ) -> None:
        self.alias = alias
        self.compiler = compiler
        self.pool = pool
        self.lease = lease
        self.link: Any = lease.conn
        self.backend: BackendName = self.link.backend
        self.owner: Owner = current_owner()
        self.is_async = is_async
        self.isolation = isolation
        self.read_only = read_only
        self.frames: list[Frame] = []
        self.callbacks: list[Callback] = []
        self.undos: list[tuple[Any, ...]] = []
        self.is_committed = False
        self.undone: set[int] = set()
        self.failure: BaseException | None = None
        self.is_open = True
        self.is_test = is_test
        self.restores_writing = False

    def __repr__(self) -> str:
        state = "ended" if not self.is_open else "broken" if self.failure else "open"
        return f"<Transaction on {self.alias!r}, {state}, {len(self.frames)} inner>"

    def check(self, *, is_async: bool) -> None:
        """Refuses who is not the owner or of the other world, and everybody once the transaction is broken."""
        owner = current_owner()
        if self.owner is not owner and self.owner != owner:
            if isinstance(self.owner, int) or not self.owner.done():
                raise TransactionError(self._not_the_owner() + self._in_a_test())
            # A fixture that began it has ended its task; whoever comes first goes on, and is alone again.
            self.owner = owner
        if self.is_async is not is_async:
            raise TransactionError(self._other_world() + self._in_a_test())
        if self.failure is not None:
            raise self.broken() from self.failure

    def check_stream(self, *, is_async: bool) -> None:
        """As `check`, before a stream that was begun in the transaction fetches more: it may have ended meanwhile."""
        if not self.is_open:
            raise TransactionError(
                f"the atomic() on {self.alias!r} that this stream was begun in has ended, and its connection may be "
                "somebody else's; read the stream to its end inside of the block, or begin it outside"
            )
        self.check(is_async=is_async)

    def is_ours(self) -> bool:
        """Whether it goes on and belongs to the thread or task that runs now."""
        return self.is_open and self.owner == current_owner()

    def _other_world(self) -> str:
        if self.is_async:
            return (
                f"a blocking call cannot join the awaiting atomic() on {self.alias!r} it is called in; "
                "await its twin, or begin the transaction with 'with'"
            )
        return (
            f"an awaiting call cannot join the blocking atomic() on {self.alias!r} it is called in; "
            "use blocking calls in it, or begin the transaction with 'async with'"
        )

    def _in_a_test(self) -> str:
        """What helps where the test itself has begun no block: the one it is in is that of its fixture."""
        if not self.is_test or self.frames:
            return ""
        return (
            "; a test with the fixture 'db' runs in a transaction: one that starts an event loop or threads takes "
            "'transactional_db'"
        )

    def _not_the_owner(self) -> str:
        if isinstance(self.owner, int) and not isinstance(current_owner(), int):
            return self._other_world()
        if isinstance(self.owner, int):
            return (
                f"another thread has begun the atomic() on {self.alias!r} that this one inherited, and a transaction "
                "belongs to one thread; start the thread with contextvars.Context().run for connections of its own"
            )
        return (
            f"another task has begun the atomic() on {self.alias!r} that this one inherited, and statements of two "
            "tasks must not interleave in one transaction; await the calls one after the other in the task that "
            "began it (with asyncio.timeout() rather than wait_for() on Python 3.11), or start the task with "
            "context=contextvars.Context() for connections of its own"
        )

    def broken(self) -> TransactionError:
        """The error of whoever goes on in a broken transaction."""
        reason = self.failure
        said = f"{type(reason).__name__}: {reason}" if str(reason) else type(reason).__name__
        return TransactionError(
            f"the transaction on {self.alias!r} is broken and can only be rolled back, because an error was caught "
            f"inside it ({said}); put what may fail into an atomic() of its own, inside the try"
        )

    def undo(self, kept: int = 0) -> None:
        """Tells whoever was written since that it is undone.

        Args:
            kept: How many of the oldest are not.
        """
        while len(self.undos) > kept:
            function, *arguments = self.undos.pop()
            function(*arguments)

    def note(self, error: BaseException) -> None:
        """Looks, after an error, whether the transaction can go on.

        The end of a stream that was dropped, which the event loop awaits in a task of its own, says nothing of it: its
        owner may have committed meanwhile.

        Raises:
            TransactionError: It was broken before, unseen by us.
        """
        if self.failure is not None or not self.is_ours():
            return
        link = self.link
        if isinstance(error, DatabaseError) and error.sqlstate == _IN_FAILED_TRANSACTION:
            self.failure = DatabaseError("a statement of SQL by hand failed", alias=self.alias)
            raise self.broken() from error
        if link.is_broken or link.is_failed or not link.in_transaction:
            self.failure = error

    @contextmanager
    def lent(self, *, is_async: bool) -> Generator[Any, None, None]:
        """Lends the driver's own connection for SQL by hand, which is part of the transaction then.

        Raises:
            TransactionError: It is another task's or broken, or the SQL has ended it.
        """
        self.check(is_async=is_async)
        try:
            yield self.link.raw
        except BaseException as error:
            self.note(error)
            raise
        self.look()
        if not self.link.in_transaction:
            self.failure = TransactionError(
                f"SQL by hand has ended the transaction on {self.alias!r}, which only its atomic() may commit or roll "
                "back; take out the COMMIT or ROLLBACK, or run it outside of the block"
            )
            raise self.failure

    def look(self) -> None:
        """Finds out, before an end, whether a statement has failed behind our back, or the connection was lost.

        PostgreSQL answers the COMMIT of a failed transaction with a rollback and no error.
        """
        if self.failure is None and self.link.is_failed:
            self.failure = DatabaseError("a statement of SQL by hand failed", alias=self.alias)
        elif self.failure is None and self.link.is_broken:
            self.failure = ConnectionLost("the connection was lost", alias=self.alias)


def current_owner() -> Owner:
    """Who would own a transaction begun now: the task in a running event loop, else the thread."""
    if running_loop() is not None and is_in_event_loop():
        return asyncio.current_task() or threading.get_ident()
    return threading.get_ident()


variable = cast("Callable[[str], ContextVar[Transaction | None]]", holding.variable)
"""The context variable of a database's transaction."""


def transaction(alias: str = "default") -> Transaction | None:
    """The open transaction of this task or thread, or None."""
    known = holding.variables.get(alias)
    found: Transaction | None = None if known is None else known.get()
    return found if found is not None and found.is_open else None


# -- blocking calls in a running event loop -------------------------------------------------------

running_loop: Callable[[], object] = partial(sys.modules.get, "asyncio")
"""The event loop of this thread, or None: asyncio's own function, once somebody has imported it.

What it gives until then is None, and asyncio itself once; `is_in_event_loop` tells.
"""


def is_in_event_loop() -> bool:
    """Whether an event loop runs in this thread; does not import asyncio, without which none does."""
    global running_loop
    ask = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)  # not there yet while it is being imported
    if ask is None:
        return False
    running_loop = ask
    return ask() is not None


_BLOCKING = {
    "__iter__": "'for'",
    "__len__": "len()",
    "__bool__": "the truth value of a queryset",
    "__getitem__": "an index",
    "__contains__": "'in'",
    "__enter__": "'with atomic()'",
    "__get__": "loading a relation",
}
_CURES = {
    "__iter__": "'async for', or 'await' the queryset",
    "__len__": "len(await queryset)",
    "__bool__": "'await queryset.aexists()', or 'await' the queryset first",
    "__getitem__": "'await' the queryset first",
    "__contains__": "'await queryset.acontains()', or 'await' the queryset first",
    "__enter__": "'async with atomic()'",
    "__get__": "'await' the loading of the relation first",
}


def _is_inner(name: str) -> bool:
    """Whether a function of that name is nobody's to call: what it is called by is."""
    return name.startswith("<") or (name.startswith("_") and not name.startswith("__"))


def refuse_in_event_loop(depth: int = 2) -> None:
    """Refuses a blocking call in a running event loop; only called when one runs.

    Args:
        depth: How many frames up the public method stands, whose twin the message names, or what it leaves the work to.

    Raises:
        SyncInAsyncContext: Unless the setting `allow_sync_in_async` permits it.
    """
    try:
        if settings.allow_sync_in_async:
            return
    except SettingsNotConfigured:
        pass
    frame = sys._getframe(depth)  # pyright: ignore[reportPrivateUsage]
    name = frame.f_code.co_name
    while _is_inner(name) and (above := frame.f_back) and above.f_globals["__name__"].startswith("datalayer."):
        frame, name = above, above.f_code.co_name
    what = _BLOCKING.get(name, "a blocking call" if name.startswith(("_", "<")) else f"{name}()")
    cure = _CURES.get(name) or ("the awaiting twin" if name.startswith(("_", "<")) else f"'await ...a{name}(...)'")
    raise SyncInAsyncContext(
        f"{what} would block the running event loop, and every task with it; use {cure} instead, or set "
        "allow_sync_in_async = true for a notebook"
    )
