"""Threads and psycopg-pool: `psycopg_pool.ConnectionPool` with the surface of `Pool`."""

from __future__ import annotations

import atexit
import contextlib
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from random import Random
from threading import get_ident
from types import TracebackType
from typing import Any, Self

import psycopg

from datalayer._links.postgresql import PostgresLink, connect_postgresql, is_clean
from datalayer.errors import PoolError
from datalayer.pooling.arguments import check_address, plain_hook
from datalayer.pooling.clock import STEADY
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.entry import Entry
from datalayer.pooling.events import LeaseAbandoned, Listener
from datalayer.pooling.explain import Site, call_site, describe_thread, error_text
from datalayer.pooling.lease import Lease, lease_of, warn_of_orphan
from datalayer.pooling.psycopg.adapter import Adapter, hopeless, living
from datalayer.pooling.psycopg.connections import Home, connection_class
from datalayer.pooling.psycopg.gate import Gate
from datalayer.pooling.psycopg.ledger import RawEntry
from datalayer.pooling.psycopg.options import INSTEAD
from datalayer.pooling.stats import CheckReport, CloseReport
from datalayer.pooling.thread_waiting import ThreadWaiter
from datalayer.pooling.timeouts import DEFAULT, Timeout, check_timeout

log = logging.getLogger("datalayer.pooling")

Hook = Callable[[PostgresLink], object]


class PsycopgPool(Adapter[PostgresLink]):
    """Blocking pool of one PostgreSQL database, on `psycopg_pool.ConnectionPool`.

    Args:
        conninfo: A URL or conninfo string, or a function that gives one for each new connection.
        name: The alias of the database.
        config: The limits; options psycopg-pool has no place for are refused.
        transaction_pooling: Whether a pooler such as PgBouncer stands between.
        configure: Run once on every new connection; when it raises, the connection is not used.
        check: Run instead of a ping.
        reset: Run after a connection was cleaned at its return.
        on_close: Run before a connection is closed at its return, or by `close()`.
        listeners: Called with every event.
        clock: The source of time.
        rng: The source of jitter.

    Raises:
        PoolConfigError: An option is set that cannot be honoured.
    """

    def __init__(
        self,
        conninfo: str | Callable[[], str],
        config: PoolConfig | None = None,
        *,
        name: str = "default",
        transaction_pooling: bool = False,
        configure: Hook | None = None,
        check: Hook | None = None,
        reset: Hook | None = None,
        on_close: Hook | None = None,
        listeners: Sequence[Listener] = (),
        clock: Callable[[], float] = STEADY,
        rng: Random | None = None,
    ) -> None:
        self._configure, self._check = plain_hook("configure", configure), plain_hook("check", check)
        self._reset, self._on_close = plain_hook("reset", reset), plain_hook("on_close", on_close)
        self._watch: threading.Timer | None = None
        check_address(conninfo)
        self._conninfo = conninfo
        super().__init__(
            name=name, config=config, transaction_pooling=transaction_pooling, listeners=listeners,
            clock=clock, rng=rng,
        )  # fmt: skip

    # -- life -----------------------------------------------------------------------------------

    def open(self, *, wait: bool = False, timeout: float | None = None) -> Self:
        """Opens the pool; with `wait`, returns only when `min_idle` connections, at least one, could be made.

        Raises:
            ConnectionFailed: The server refused, and trying again cannot help.
            PoolTimeout: They were not there in time; the pool stays open and goes on trying.
        """
        self._start()
        with self._mutex:
            if self._home is None:
                self._home = self._new_home()
        if wait:
            self.wait_ready(DEFAULT if timeout is None else timeout)
        return self

    def wait_ready(self, timeout: Timeout = DEFAULT) -> None:
        """Waits until `min_idle` connections, at least one, are there."""
        check_timeout(timeout)
        if not self.config.min_idle:
            self.acquire(timeout).release()
            return
        began = self._clock()
        until = began + self._limit(timeout)
        while True:
            watcher: ThreadWaiter[Any] = ThreadWaiter(None)
            with self._mutex:
                self._watchers.append(watcher)
            if self._is_ready(began):
                return
            if until <= self._clock():
                failing = self._ledger.outage.since is not None
                reason = "unavailable" if failing else "connecting"
                raise self._timed_out(reason, self._clock() - began)
            watcher.wait(until - self._clock())

    def close(self, timeout: float | None = None, *, force: bool = True) -> CloseReport:
        """Closes the pool: fails the queue, closes what is idle, waits for what is lent.

        Args:
            timeout: How long to wait for lent connections; `close_timeout` when not given.
            force: Whether those still out then are closed under their holders.
        """
        check_timeout(timeout)
        until = self._clock() + (self.config.close_timeout if timeout is None else timeout)
        if self._state == "closed":
            return CloseReport()
        self._set_state("closing")
        with self._mutex:
            home, self._home = self._home, None
        self._gate.close()
        if home is not None:
            home.close(timeout=max(until - self._clock(), 0.5))
        while True:
            watcher: ThreadWaiter[Any] = ThreadWaiter(None)
            with self._mutex:
                if not self._ledger.entries or until <= self._clock():
                    break
                self._watchers.append(watcher)
            watcher.wait(until - self._clock())
        leftovers = tuple(self.leases())
        if force and leftovers:
            for entry in list(self._ledger.lent()):
                entry.reason = "pool_closed"
                entry.raw.close()
        if self._watch is not None:
            self._watch.cancel()
        self._set_state("closed")
        return CloseReport(leftovers, len(leftovers) if force else 0)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # -- lending --------------------------------------------------------------------------------

    def acquire(self, timeout: Timeout = DEFAULT) -> Lease[PostgresLink]:
        """Lends a connection, as `Pool.acquire` does.

        Raises:
            ConnectionFailed: The server refused, and trying again cannot help.
            PoolTimeout: None was to be had in time.
            PoolClosed: The pool is closed.
            TooManyWaiting: The queue is full.
            PoolDeadlock: Everybody who holds a connection waits for another one.
        """
        owner, site = get_ident(), call_site()
        if timeout is not DEFAULT:
            check_timeout(timeout)
        home = self._home
        if home is not None and self._bypass and not self._ledger.outage.failures:
            found = self._lend_idle(home, owner, site)
            if found.__class__ is RawEntry:
                return lease_of(self, found)
            if found is not None:
                home.putconn(found)
        began = self._clock()
        until = began + self._limit(timeout)
        home, immediate = self._begin(owner)
        while True:
            try:  # psycopg-pool serves nothing at 0, not even what is idle
                raw = home.getconn(max(until - self._clock(), 0.001))
            except BaseException as error:
                refused = self._refused(error, owner, began)
                if refused is error:
                    raise
                if refused is not None:
                    raise refused from refused.__cause__ or error
            else:
                entry = self._tested(raw, home, owner, site, began, until, immediate=immediate)
                if entry is not None:
                    return lease_of(self, entry)
            home, immediate = self._ask(owner), False

    def try_acquire(self) -> Lease[PostgresLink] | None:
        """Lends an idle connection if there is one now; when another caller is faster, a new one may be opened."""
        if self._state == "new" or (self._state == "open" and not self._ledger.idle):
            return None
        try:
            return self.acquire(0)
        except TimeoutError:
            return None

    def release_entry(self, entry: Entry[PostgresLink]) -> None:
        """Ends a lease: cleans the connection, and keeps or closes it."""
        link = entry.conn
        drop: str | None = None
        try:
            if self._reset is None and is_clean(link.raw):
                pass  # the usual end of a lease
            elif link.is_broken:
                drop = "broken"
            else:
                link.reset(self.config.reset_timeout)
                if self._reset is not None:
                    self._reset(link)
        except Exception as error:
            drop = "reset_failed"
            log.warning("connection %s of %s could not be reset and is closed: %s", entry.id, self, error_text(error))
        except BaseException:
            self.discard_entry(entry, "reset_failed")
            raise
        self._give_back(entry, drop)

    def discard_entry(self, entry: Entry[PostgresLink], reason: str) -> None:
        """Ends a lease and closes its connection."""
        self._give_back(entry, reason)

    def orphan_entry(self, entry: Entry[PostgresLink]) -> None:
        """Ends a lease that was garbage collected, perhaps while this thread holds a lock: another thread does it."""
        warn_of_orphan(entry)
        entry.owner = None  # whoever held it: to wait for what is about to be buried is no deadlock
        if sys.is_finalizing():  # no thread starts any more, and waiting for one would never end
            return
        threading.Thread(target=self._bury, args=(entry,), name=f"datalayer-pool-{self.name}-leak", daemon=True).start()

    def dedicated(self) -> PostgresLink:
        """Opens a configured connection that is not the pool's: not counted, and yours to close."""
        link = connect_postgresql(
            self.conninfo(), alias=self.alias,
            connect_timeout=self.config.connect_timeout, transaction_pooling=self._transaction_pooling,
        )  # fmt: skip
        try:
            self.configure_link(link)
        except BaseException:
            link.close()
            raise
        return link

    def add(self, conn: PostgresLink) -> None:
        """Not possible here: psycopg-pool takes in nothing it has not opened."""
        raise PoolError(f"psycopg-pool takes in no connection that it has not opened; it stays with you; {INSTEAD}")

    # -- upkeep ---------------------------------------------------------------------------------

    def check(self) -> CheckReport:
        """Pings every idle connection and replaces those that do not answer."""
        before = self.stats()
        home = self._home
        if home is not None and not home.closed:
            home.check()
        return CheckReport(before.idle, self.stats().closed - before.closed)

    def drain(self) -> int:
        """Replaces every idle connection; gives their number."""
        idle = self.stats().idle
        with self._mutex:
            self._ledger.make_stale()
        self._start_draining()
        return idle

    def resize(self, *, max_size: int | None = None, min_idle: int | None = None) -> None:
        """Changes the limits while the pool works; lent connections are never interrupted.

        Raises:
            PoolConfigError: A limit is out of its range.
        """
        sizes = self._resized(max_size, min_idle)
        home = self._home
        if home is not None and not home.closed:
            home.resize(*sizes)
            self.feed(home)

    # -- the shell ------------------------------------------------------------------------------

    def conninfo(self) -> str:
        """The address of a new connection, asked for each time since it may hold a password that changes."""
        return self._conninfo if isinstance(self._conninfo, str) else self._conninfo()

    def configure_link(self, link: PostgresLink) -> None:
        """Runs the `configure` hook on a new connection."""
        if self._configure is not None:
            self._configure(link)

    def _tested(
        self, raw: Any, home: Any, owner: object, site: Site, began: float, until: float, *, immediate: bool
    ) -> RawEntry[PostgresLink] | None:
        """Lends what was handed out, when it is good; else it is closed, and None says: ask again."""
        entry, reason, due = self._take(raw, home, owner, site, began, immediate=immediate)
        if entry is None:
            raw.close()
            home.putconn(raw)
            return None
        if due:
            try:
                if self._check is not None:
                    self._check(entry.conn)
                else:
                    entry.conn.ping(self._ping_limit(until))
            except Exception as error:
                reason = "invalid"
                if self._ping_failed(entry, error):
                    self.invalidate(error)
            except BaseException:
                self._cancelled(entry, owner)
                raw.close()
                home.putconn(raw)
                raise
        if reason is None:
            if due:
                self._lend(entry, owner, site, began, immediate=immediate)
            return entry
        self._put_back(owner)
        self._close_raw(entry)
        home.putconn(raw)
        return None

    def _bury(self, entry: Entry[PostgresLink]) -> None:
        with self._mutex:
            if self._ledger.entries.get(id(getattr(entry, "raw", None))) is not entry:
                return  # lent before a fork, by the parent
            self._ledger.leaks += 1
        self._tell(LeaseAbandoned(entry.id, self._clock() - entry.since))
        with contextlib.suppress(PoolError):
            self._give_back(entry, "abandoned")

    def _give_back(self, entry: Entry[PostgresLink], drop: str | None) -> None:
        found = self._take_back(entry, drop)
        if found is not None:
            mine, is_unusable = found
            if is_unusable:
                self._close_raw(mine)
            mine.home.putconn(mine.raw)
        if self._watchers:
            self._settle()

    def _close_raw(self, entry: RawEntry[PostgresLink]) -> None:
        if self._on_close is not None and not entry.conn.is_broken:
            try:
                self._on_close(entry.conn)
            except Exception:
                log.exception("the on_close hook of %s failed", self)
        entry.raw.close()

    def _new_gate(self) -> Gate:
        return Gate()

    def _new_home(self) -> Any:
        self._gate = gate = Gate()
        weakref.finalize(self, gate.close).atexit = False
        ref: weakref.ref[PsycopgPool] = weakref.ref(self)
        home = Home(
            is_hopeless=hopeless(ref), lock=self._mutex, connection_class=connection_class(ref, gate),
            reconnect_failed=_feeding(ref), **self._options(),
        )  # fmt: skip
        home.look = _looking(ref)
        home.open()
        return home

    def feed(self, home: Any) -> None:
        """Lets psycopg-pool open a connection for somebody who came to wait while it was not looking.

        Its `check()` does that besides looking at the idle connections, and there are none then.
        """
        if self._is_starving() and not home.closed:
            home.check()

    def check_idle(self, raw: Any) -> None:
        """What psycopg-pool's `check()` calls; it forgets what fails, so that must be closed here."""
        with self._mutex:
            entry = self._ledger.checking(raw)
        if entry is None:
            raise psycopg.OperationalError("the connection was closed")
        try:
            entry.conn.ping(self.config.validation_timeout)
        except Exception as error:
            self._ping_failed(entry, error)
            raw.close()
            raise

    def _turn_away(self, home: Any) -> None:
        home.turn_away()

    def _put_late(self, home: Any, raw: Any) -> None:
        home.putconn(raw)

    def _start_draining(self) -> None:
        home = self._home
        if home is not None and not home.closed:
            home.drain()

    def _watch_in(self, seconds: float) -> None:
        self._watch = threading.Timer(seconds, self._look_for_leaks)
        self._watch.daemon = True
        self._watch.name = f"datalayer-pool-{self.name}-leaks"
        self._watch.start()

    def _describe(self, owner: object) -> tuple[str, str]:
        return describe_thread(owner)

    def current_owner(self) -> object:
        """The identifier of this thread."""
        return threading.get_ident()

    def forget_after_fork(self) -> None:
        """In a child process: starts with nothing."""
        if self._home is not None:
            self._home.leave_to_parent()
        super().forget_after_fork()
        self._watch = None


def _feeding(ref: weakref.ref[PsycopgPool]) -> Callable[[Any], None]:
    def feed(home: Any) -> None:
        pool = ref()
        if pool is not None:
            pool.feed(home)

    return feed


def _looking(ref: weakref.ref[PsycopgPool]) -> Callable[[Any], None]:
    def look(raw: Any) -> None:
        pool = ref()
        if pool is not None:
            pool.check_idle(raw)

    return look


def _close_all() -> None:
    # Once the interpreter is on its way out, Python 3.13 and newer can end no thread: psycopg-pool would wait for each.
    for pool in list(living):
        if isinstance(pool, PsycopgPool):
            pool.close(0.0)


atexit.register(_close_all)
