"""A database by its alias: runs an operation in either world, on the right connection.

Inside `atomic()` that is the link of the transaction. Outside, a connection is borrowed for just that operation: on
SQLite a reader where nothing is written. This is the hot path of everything: one context variable is read, a
connection borrowed, the plan run, the connection given back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, closing
from threading import get_ident
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeAlias, TypeVar, cast

from datalayer._compile.compiler import COMPILERS
from datalayer._links.link import AsyncLink, BackendName, Link
from datalayer._links.run import arun, run
from datalayer._plans.plan import Call, Command, Plan, Row, calling
from datalayer._plans.write import WRITING
from datalayer.databases import current, events, router
from datalayer.databases.atomic import Atomic
from datalayer.databases.calling import AsyncCalling, Calling, check_blocking
from datalayer.databases.current import Transaction
from datalayer.databases.events import AsyncHeard, Heard
from datalayer.errors import QueryError
from datalayer.late import LateModule, asyncio
from datalayer.pooling.registry import pools

if TYPE_CHECKING:
    from datalayer._compile.compiler import Compiler
    from datalayer.pooling import waiting
else:
    waiting = LateModule("datalayer.pooling.waiting")

T = TypeVar("T")
P = ParamSpec("P")

Mode: TypeAlias = Literal["read", "write"]

Streamed: TypeAlias = tuple[Command, Callable[[list[Row]], Plan[Iterable[T]]]]
"""What is sent for a stream, and the plan that makes results of each chunk of its rows, on the same connection."""


class Database:
    """One database of the settings; `databases["default"]` gives it.

    It holds no connection: the pools do.

    Attributes:
        alias: Its name in the settings.
    """

    __slots__ = ("_current", "alias")

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._current = current.variable(alias)

    def __repr__(self) -> str:
        return f"<Database {self.alias!r}>"

    @property
    def backend(self) -> BackendName:
        """Which SQL it speaks: `sqlite` or `postgresql`."""
        return pools[self.alias].backend

    @property
    def compiler(self) -> Compiler:
        """The compiler of its backend."""
        return COMPILERS[pools[self.alias].backend]

    @property
    def in_transaction(self) -> bool:
        """Whether this task or thread is inside `atomic()`."""
        return current.transaction(self.alias) is not None

    @property
    def depth(self) -> int:
        """How many transactions and savepoints are open here: what plans of several statements ask for."""
        transaction = current.transaction(self.alias)
        return 0 if transaction is None else 1 + len(transaction.frames)

    # -- one operation --------------------------------------------------------------------------

    def run(self, operation: Callable[Concatenate[Compiler, P], Plan[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs an operation and gives its result, blocking.

        Args:
            operation: A function of `_plans` that takes the compiler first.
            args: What it takes besides.
            kwargs: What it takes besides.

        Raises:
            SyncInAsyncContext: An event loop is running in this thread.
            TransactionError: The open transaction is broken, or another task's.
        """
        is_looped = current.running_loop() is not None and current.is_in_event_loop()
        if is_looped:
            current.refuse_in_event_loop()
        transaction = self._current.get()
        if transaction is not None and transaction.is_open:
            # What `check` would let pass, but in two calls less.
            if is_looped or transaction.owner != get_ident() or transaction.is_async or transaction.failure is not None:
                transaction.check(is_async=False)
            plan = operation(transaction.compiler, *args, **kwargs)
            try:
                first: Any = next(plan)
            except StopIteration as stop:
                return cast("T", stop.value)
            if type(first) is Call:
                return self._run_calling(plan, first)
            try:
                return run(plan, _heard(transaction.link) if events.listeners else transaction.link, first)
            except BaseException as error:
                transaction.note(error)
                raise
        pool = pools[self.alias]
        plan = operation(COMPILERS[pool.backend], *args, **kwargs)
        try:
            first = next(plan)
        except StopIteration as stop:
            return cast("T", stop.value)
        if type(first) is Call:
            return self._run_calling(plan, first)
        try:
            mode: Mode = "write" if first.writes or operation in WRITING else "read"  # `_mode`, in a call less
            lease = router.borrow(pool, mode) if pool.is_routed else pool.borrow(mode)
        except BaseException:
            plan.close()
            raise
        with lease as link:  # which hears of an error that leaves it: the server may be gone
            return run(plan, Heard(link) if events.listeners else link, first)

    async def arun(
        self, operation: Callable[Concatenate[Compiler, P], Plan[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The awaiting twin of `run`."""
        transaction = self._current.get()
        if transaction is not None and transaction.is_open:
            is_ours = transaction.is_async and transaction.owner is waiting.task_of(asyncio.get_running_loop())
            if not is_ours or transaction.failure is not None:
                transaction.check(is_async=True)
            plan = operation(transaction.compiler, *args, **kwargs)
            try:
                first: Any = next(plan)
            except StopIteration as stop:
                return cast("T", stop.value)
            if type(first) is Call:
                return await self._arun_calling(plan, first)
            try:
                return await arun(plan, _aheard(transaction.link) if events.listeners else transaction.link, first)
            except BaseException as error:
                transaction.note(error)
                raise
        pool = pools[self.alias]
        plan = operation(COMPILERS[pool.backend], *args, **kwargs)
        try:
            first = next(plan)
        except StopIteration as stop:
            return cast("T", stop.value)
        if type(first) is Call:
            return await self._arun_calling(plan, first)
        try:
            mode: Mode = "write" if first.writes or operation in WRITING else "read"
            lease = await (router.aborrow(pool, mode) if pool.is_routed else pool.asking(mode))
        except BaseException:
            plan.close()
            raise
        link = lease.conn
        try:  # an `async with`, whose `__aenter__` would be one more coroutine
            result = await arun(plan, AsyncHeard(link) if events.listeners else link, first)
        except BaseException as error:
            await lease.__aexit__(type(error), error, error.__traceback__)
            raise
        await lease.__aexit__(None, None, None)
        return result

    def _run_calling(self, plan: Plan[T], first: Call) -> T:
        """Runs a plan that calls hooks, in a transaction in which they take part."""
        try:
            check_blocking(first)
            with Atomic(self.alias):
                transaction = cast("Transaction", self._current.get())
                try:
                    return run(plan, Calling(_heard(transaction.link)), calling(first))
                except BaseException as error:
                    transaction.note(error)
                    raise
        finally:
            plan.close()

    async def _arun_calling(self, plan: Plan[T], first: Call) -> T:
        """The awaiting twin of `_run_calling`."""
        try:
            async with Atomic(self.alias):
                transaction = cast("Transaction", self._current.get())
                try:
                    return await arun(plan, AsyncCalling(_aheard(transaction.link)), calling(first))
                except BaseException as error:
                    transaction.note(error)
                    raise
        finally:
            plan.close()

    # -- many rows ------------------------------------------------------------------------------

    def stream(
        self,
        chunk_size: int,
        operation: Callable[Concatenate[Compiler, P], Streamed[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Iterator[T]:
        """The results of a query one by one, never holding more than a chunk of rows.

        A stream cannot be a plan, whose reply is all rows at once; so this is written twice, and is short.

        Args:
            chunk_size: How many rows are fetched at a time.
            operation: Takes the compiler first and gives the statement and what makes results of a list of rows.
            args: What it takes besides.
            kwargs: What it takes besides.

        Raises:
            QueryError: A `chunk_size` below 1.
        """
        if current.is_in_event_loop():
            current.refuse_in_event_loop()
        _check_chunk(chunk_size)
        return self._stream(chunk_size, operation, *args, **kwargs)

    def _stream(
        self,
        chunk_size: int,
        operation: Callable[Concatenate[Compiler, P], Streamed[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Iterator[T]:
        transaction = current.transaction(self.alias)
        if transaction is not None:
            transaction.check(is_async=False)
            command, load = operation(transaction.compiler, *args, **kwargs)
            try:
                streamed = _heard(transaction.link).stream(command, chunk_size, transaction.is_ours)
                with closing(cast("Any", streamed)) as chunks:
                    for rows in chunks:
                        yield from run(load(rows), _heard(transaction.link))
                        transaction.check_stream(is_async=False)
            except BaseException as error:
                transaction.note(error)
                raise
            return
        pool = pools[self.alias]
        command, load = operation(COMPILERS[pool.backend], *args, **kwargs)
        if pool.settings.url.is_memory:
            yield from self.run(_loaded, command, load)
            return
        with (
            router.borrow(pool, _mode(command, operation)) as link,
            closing(cast("Any", _heard(link).stream(command, chunk_size))) as chunks,
        ):
            for rows in chunks:
                yield from run(load(rows), _heard(link))

    def astream(
        self,
        chunk_size: int,
        operation: Callable[Concatenate[Compiler, P], Streamed[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AsyncIterator[T]:
        """The awaiting twin of `stream`."""
        _check_chunk(chunk_size)
        return self._astream(chunk_size, operation, *args, **kwargs)

    async def _astream(
        self,
        chunk_size: int,
        operation: Callable[Concatenate[Compiler, P], Streamed[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AsyncIterator[T]:
        transaction = current.transaction(self.alias)
        if transaction is not None:
            transaction.check(is_async=True)
            command, load = operation(transaction.compiler, *args, **kwargs)
            try:
                streamed = _aheard(transaction.link).stream(command, chunk_size, transaction.is_ours)
                async with aclosing(cast("Any", streamed)) as chunks:
                    async for rows in chunks:
                        for each in await arun(load(rows), _aheard(transaction.link)):
                            yield each
                        transaction.check_stream(is_async=True)
            except BaseException as error:
                transaction.note(error)
                raise
            return
        pool = pools[self.alias]
        command, load = operation(COMPILERS[pool.backend], *args, **kwargs)
        if pool.settings.url.is_memory:
            for each in await self.arun(_loaded, command, load):
                yield each
            return
        async with (
            await router.aborrow(pool, _mode(command, operation)) as link,
            aclosing(cast("Any", _aheard(link).stream(command, chunk_size))) as chunks,
        ):
            async for rows in chunks:
                for each in await arun(load(rows), _aheard(link)):
                    yield each


def _check_chunk(size: object) -> None:
    if not isinstance(size, int) or isinstance(size, bool):
        raise QueryError(f"chunk_size is {size!r}; it is a number of rows: chunk_size=500")
    if size < 1:
        raise QueryError(f"chunk_size is {size}; a stream fetches at least one row at a time")


def _heard(link: Link) -> Link | Heard:
    return Heard(link) if events.listeners else link


def _aheard(link: AsyncLink) -> AsyncLink | AsyncHeard:
    return AsyncHeard(link) if events.listeners else link


def _loaded(compiler: Compiler, command: Command, load: Callable[[list[Row]], Plan[Iterable[T]]]) -> Plan[Iterable[T]]:
    """All rows at once, from a database in memory: its one connection must be free for the body of the loop."""
    reply = yield command
    return (yield from load(reply.rows))


def _mode(first: Command, operation: Callable[..., Any]) -> Mode:
    """Whether an operation needs the writer; its first statement tells, unless it is known to write later."""
    return "write" if first.writes or operation in WRITING else "read"


class Databases(dict[str, Database]):
    """The databases by alias; one object for each, made on first use."""

    def __missing__(self, alias: str) -> Database:
        """Makes the database of that alias.

        Raises:
            ConfigurationError: The settings have none of that name; the message lists them.
        """
        pools[alias]  # raises for an unknown alias
        return self.setdefault(alias, Database(alias))


databases = Databases()
"""Every database of the settings."""
