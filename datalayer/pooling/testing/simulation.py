"""A pool in virtual time: clients are generators, waiting is a number, and the same seed gives the same run.

    def client(pool):
        lease = yield from pool.acquire()
        yield from pool.use(lease, 0.2)  # two tenths of a virtual second
        lease.release()

The law of this file: nothing waits, starts a thread or reads a clock. One thing happens after the other, in the order
of virtual time; what happens at the same moment keeps the order in which it was arranged.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from random import Random
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

from datalayer.errors import DatalayerError
from datalayer.pooling.actions import Action, Arm, Check, Close, Open, Suspect
from datalayer.pooling.config import PoolConfig
from datalayer.pooling.entry import LENT, Entry, Waiter
from datalayer.pooling.events import Listener
from datalayer.pooling.explain import call_site
from datalayer.pooling.flows import Machine
from datalayer.pooling.lease import BaseLease, grip_of
from datalayer.pooling.links import LinkJudge
from datalayer.pooling.requests import Configure, Connect, Flow, Ping, Request, Shut, Wait
from datalayer.pooling.testing.report import SimReport
from datalayer.pooling.testing.server import SimConnection, SimServer
from datalayer.pooling.timeouts import DEFAULT, Timeout

T = TypeVar("T")


class Cancelled(BaseException):
    """Thrown into a client that is cancelled, where it stands."""


class SimStuck(DatalayerError):
    """Clients wait, and nothing can happen any more."""


class Pause:
    """What a client yields, by `yield from` of the pool's own methods: for how long, or for whom, it waits."""

    __slots__ = ("seconds", "waiter")

    def __init__(self, seconds: float | None, waiter: SimWaiter | None = None) -> None:
        self.seconds = seconds
        self.waiter = waiter


Client: TypeAlias = Generator[Pause, None, T]


class SimTask:
    """A client of a `SimPool`.

    Attributes:
        name: For messages.
        done: Whether it has ended.
        result: What it gave.
        error: What it raised.
    """

    def __init__(self, pool: SimPool, steps: Client[Any], name: str, *, is_client: bool) -> None:
        self.name = name
        self.is_client = is_client  # and not the pool's own
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.steps = steps
        self.turn = 0  # counts its steps: what was arranged for an earlier one is void
        self._pool = pool

    def cancel(self) -> None:
        """Throws `Cancelled` into it, where it stands."""
        self._pool.go_on(self, Cancelled())

    def __repr__(self) -> str:
        return f"<SimTask {self.name!r}{' done' if self.done else ''}>"


class SimWaiter:
    """A one-shot that lets a task go on."""

    __slots__ = ("_pool", "_task", "entry", "error", "is_leaving", "owner", "since", "woken")

    def __init__(self, pool: SimPool, owner: object) -> None:
        self.entry: Entry[SimConnection] | None = None
        self.error: BaseException | None = None
        self.is_leaving = self.woken = False
        self.owner = owner
        self.since = 0.0
        self._pool = pool
        self._task: SimTask | None = None

    def wake(self) -> None:
        """Lets the task go on."""
        self.woken = True
        task, self._task = self._task, None
        if task is not None:
            self._pool.go_on(task)

    def park(self, task: SimTask) -> None:
        """Names the task that waits."""
        self._task = task


class SimLease(BaseLease[SimConnection]):
    """The right to use one connection; `with lease as conn` gives it back at the end."""

    __slots__ = ()

    pool: SimPool  # pyright: ignore[reportIncompatibleVariableOverride]  # set once

    def release(self) -> None:
        """Gives the connection back, in no time."""
        self.pool.release_entry(self.end("given back"))

    def __enter__(self) -> SimConnection:
        return self.conn

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if exc is not None:
            self.report(exc)
        if self._grip is not None:
            self.release()


class SimPool(Machine[SimConnection]):
    """A pool in virtual time, for tests and for finding the right size: the same decisions as `Pool` and `AsyncPool`.

    Args:
        config: The limits to try.
        server: What it connects to; one that is always up when not given.
        seed: Of all that is random; the same seed gives the same run.
        name: For messages.
        listeners: Called with every event.
    """

    def __init__(
        self,
        config: PoolConfig | None = None,
        server: SimServer | None = None,
        *,
        seed: int = 0,
        name: str | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.server = server if server is not None else SimServer()
        self.seconds = 0.0
        self.tasks: list[SimTask] = []
        self._random = Random(seed)
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._arranged = 0
        self._running: SimTask | None = None
        self._busy = 0  # clients that have not ended
        self._waits: list[float] = []
        super().__init__(
            LinkJudge(), config if config is not None else PoolConfig(), name=name, listeners=listeners,
            clock=lambda: self.seconds, rng=self._random, auto_open=True, has_configure=False,
        )  # fmt: skip
        for event in self.server.script:
            self.at(event.at, lambda event=event: self.server.apply(event))  # type: ignore[misc]

    # -- arranging ------------------------------------------------------------------------------

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        """Calls a function at a second of virtual time, or now when that is over."""
        self._arranged += 1
        heapq.heappush(self._agenda, (max(seconds, self.seconds), self._arranged, act))

    def spawn(self, steps: Client[Any], *, at: float | None = None, name: str | None = None) -> SimTask:
        """Starts a client.

        Args:
            steps: The generator.
            at: When it begins; now when not given.
            name: For messages.
        """
        task = SimTask(self, steps, name or f"client-{len(self.tasks) + 1}", is_client=True)
        self.tasks.append(task)
        self._busy += 1
        self.at(self.seconds if at is None else at, lambda: self._step(task, 0, None))
        return task

    def arrivals(self, rate: float, hold: float, seconds: float) -> None:
        """Arranges for clients that come at random and hold a connection for a random time.

        Args:
            rate: How many come in a second, on average.
            hold: How long each keeps its connection, in seconds, on average.
            seconds: For how long they come.
        """
        for label, value in (("rate", rate), ("hold", hold), ("seconds", seconds)):
            if not value > 0:
                raise ValueError(f"{label}={value!r} is out of range: use more than 0")
        moment = self.seconds + self._random.expovariate(rate)
        until = self.seconds + seconds
        while moment < until:
            self.spawn(self._visit(self._random.expovariate(1.0 / hold)), at=moment)
            moment += self._random.expovariate(rate)

    def _visit(self, hold: float) -> Client[None]:
        with (yield from self.acquire()) as conn:
            yield Pause(hold)
            self.server.used(conn)

    # -- what a client does ---------------------------------------------------------------------

    def acquire(self, timeout: Timeout = DEFAULT) -> Client[SimLease]:
        """Borrows a connection: `lease = yield from pool.acquire()`; the errors are those of `Pool.acquire`."""
        began, owner = self.seconds, self._running
        if self._core.state == "new":
            self.open()
        entry = self._core.take(began, owner)
        self._collect()
        if entry is None or entry.state != LENT:
            entry = yield from self._drive(self._finish_acquire(entry, timeout, began, owner))
        self._waits.append(self.seconds - began)
        entry.code, entry.offset = call_site()
        lease = SimLease()
        lease.pool, lease._grip = self, grip_of(self, entry)  # pyright: ignore[reportPrivateUsage]
        return lease

    def sleep(self, seconds: float) -> Client[None]:
        """Lets virtual time pass: `yield from pool.sleep(1.5)`."""
        yield Pause(seconds)

    def use(self, lease: SimLease, seconds: float) -> Client[None]:
        """Uses a connection for some time, and reports to the pool what happens to it.

        Raises:
            ConnectionLost: The server ended it meanwhile.
            ReadOnlyTransaction: Its server became a standby.
        """
        yield Pause(seconds)
        try:
            self.server.used(lease.conn)
        except DatalayerError as error:
            lease.report(error)
            raise

    def open(self) -> None:
        """Opens the pool, which happens by itself at its first use."""
        self._core.start(self.seconds)
        self._collect()

    def close(self) -> None:
        """Closes the pool: whoever waits gets `PoolClosed`, and what is lent is closed at its return."""
        self._core.stop(self.seconds)
        self._collect()

    def resize(self, *, max_size: int, min_idle: int) -> None:
        """Changes the limits."""
        self._core.resize(self.seconds, max_size, min_idle)
        self._collect()

    # -- running --------------------------------------------------------------------------------

    def run(self, until: float | None = None) -> SimReport:
        """Lets everything happen until all clients have ended, or until a second of virtual time.

        Raises:
            SimStuck: Clients wait for something that cannot happen.
        """
        while self._busy if until is None else self._agenda and self._agenda[0][0] <= until:
            if not self._agenda:
                names = ", ".join(task.name for task in self.tasks if not task.done)
                raise SimStuck(f"nothing can happen any more, and these have not ended: {names}; {self!r}")
            self.seconds, _, act = heapq.heappop(self._agenda)
            act()
        if until is not None:
            self.seconds = max(self.seconds, until)
        return self.report()

    def report(self) -> SimReport:
        """What has come of it so far."""
        stats = self.stats()
        room = max(self.seconds * stats.max_size, 1e-9)
        lent = stats.usage_time_total + sum(self.seconds - entry.since for entry in self._core.lent())
        return SimReport(
            seconds=self.seconds, served=len(self._waits), timed_out=stats.acquires_timed_out,
            errors=Counter(type(task.error).__name__ for task in self.tasks if task.error is not None),
            waits=tuple(sorted(self._waits)), utilisation=lent / room, stats=stats,
        )  # fmt: skip

    def go_on(self, task: SimTask, error: BaseException | None = None) -> None:
        """Lets a task go on, now."""
        turn = task.turn
        self.at(self.seconds, lambda: self._step(task, turn, error))

    def _step(self, task: SimTask, turn: int, error: BaseException | None) -> None:
        if task.done or turn != task.turn:
            return
        task.turn += 1
        before, self._running = self._running, task
        try:
            pause = task.steps.throw(error) if error is not None else next(task.steps)
        except StopIteration as stop:
            task.result = stop.value
        except BaseException as raised:
            task.error = raised
        else:
            turn = task.turn
            if pause.waiter is not None:
                pause.waiter.park(task)
            if pause.seconds is not None:
                waiter = pause.waiter
                wake = (lambda: self._step(task, turn, None)) if waiter is None else waiter.wake
                self.at(self.seconds + pause.seconds, wake)
            return
        finally:
            self._running = before
        task.done = True
        self._busy -= task.is_client

    # -- the shell ------------------------------------------------------------------------------

    def _drive(self, flow: Flow[SimConnection, T]) -> Client[T]:
        try:
            request = next(flow)
            while True:
                try:
                    answer = yield from self._do(request)
                except BaseException as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _do(self, request: Request[SimConnection]) -> Client[SimConnection | None]:
        server, config = self.server, self.config
        match request:
            case Wait(waiter=waiter, timeout=timeout):
                assert isinstance(waiter, SimWaiter)
                if not waiter.woken:
                    yield Pause(timeout, waiter)
            case Ping(conn=conn, timeout=seconds):
                yield from self._answered(server.ping_time, seconds)
                server.pinged(conn)
            case Connect():
                yield from self._answered(server.connect_time, config.connect_timeout)
                return server.connected()
            case Configure() | Shut():
                raise AssertionError("there is no configure hook")
        return None

    def _answered(self, seconds: float, limit: float) -> Client[None]:
        if self.server.state == "frozen" or seconds > limit:
            yield Pause(limit)
            raise self.server.failure(f"no answer within {limit:g} s")
        yield Pause(seconds)

    def _perform(self, actions: list[Action[SimConnection]]) -> None:
        for action in actions:
            if isinstance(action, Close):
                self.server.close(action.conn)
            elif isinstance(action, Open):
                self._start(self._open_one())
            elif isinstance(action, Check):
                self._start(self._check_one(action.entry))
            elif isinstance(action, Arm):
                self.at(action.at, self._upkeep)
            elif isinstance(action, Suspect):
                self._suspect(action.entry, action.held)
            else:
                self._tell(action.event)

    def _start(self, flow: Flow[SimConnection, object]) -> None:
        task = SimTask(self, self._drive(flow), "upkeep", is_client=False)
        self.at(self.seconds, lambda: self._step(task, 0, None))

    def _upkeep(self) -> None:
        if self.seconds >= self._core.wake_at:
            self._core.tick(self.seconds)
            self._collect()

    def release_entry(self, entry: Entry[SimConnection]) -> None:
        """Ends a lease: keeps the connection or closes it."""
        if self._owns(entry):
            self._core.give_back(entry, self.seconds, "broken" if entry.conn.is_broken else None)
        self._collect()

    def _drop_now(self, conn: SimConnection) -> None:
        self.server.close(conn)

    def _poke(self) -> None:
        self.at(self.seconds, self._collect)

    def _new_waiter(self, owner: object) -> Waiter[SimConnection]:
        return SimWaiter(self, owner)

    def _describe(self, owner: object) -> tuple[str, str]:
        return (f"client {owner.name!r}", "") if isinstance(owner, SimTask) else ("nobody known", "")

    def current_owner(self) -> object:
        """The client that runs now."""
        return self._running
