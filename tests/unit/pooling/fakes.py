"""Connectors whose connections are plain objects: opening, pinging and resetting does what a test has asked for."""

from __future__ import annotations

import threading


class FakeConnection:
    def __init__(self, number: int) -> None:
        self.number = number
        self.broken = False
        self.closed = 0
        self.resets = 0
        self.pings = 0


class Script:
    """What both fakes share: the connections made so far, and the errors to raise next."""

    fast_open = True

    def __init__(self) -> None:
        self.made: list[FakeConnection] = []
        self.connect_errors: list[BaseException] = []
        self.ping_errors: list[BaseException] = []
        self.reset_errors: list[BaseException] = []
        self.fatal: type[BaseException] | tuple[()] = ()
        self.lost: type[BaseException] | tuple[()] = ConnectionResetError
        self._lock = threading.Lock()

    def make(self) -> FakeConnection:
        with self._lock:
            if self.connect_errors:
                raise self.connect_errors.pop(0)
            conn = FakeConnection(len(self.made) + 1)
            self.made.append(conn)
            return conn

    def did_ping(self, conn: FakeConnection) -> None:
        conn.pings += 1
        if self.ping_errors:
            raise self.ping_errors.pop(0)

    def did_reset(self, conn: FakeConnection) -> None:
        conn.resets += 1
        if self.reset_errors:
            raise self.reset_errors.pop(0)

    def is_broken(self, conn: FakeConnection) -> bool:
        return conn.broken

    def is_disconnect(self, exc: BaseException) -> bool:
        return isinstance(exc, self.lost)

    def is_fatal(self, exc: BaseException) -> bool:
        return isinstance(exc, self.fatal)

    @property
    def closed(self) -> int:
        assert all(conn.closed <= 1 for conn in self.made), "a connection was closed twice"
        return sum(conn.closed for conn in self.made)


class FakeConnector(Script):
    def connect(self) -> FakeConnection:
        return self.make()

    def close(self, conn: FakeConnection) -> None:
        conn.closed += 1

    def ping(self, conn: FakeConnection) -> None:
        self.did_ping(conn)

    def reset(self, conn: FakeConnection) -> None:
        self.did_reset(conn)


class AsyncFakeConnector(Script):
    """Each step may be held up: set `gate` to an Event and the step waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: dict[str, object] = {}

    async def _pass(self, step: str) -> None:
        gate = self.gates.get(step)
        if gate is not None:
            await gate.wait()  # type: ignore[attr-defined]

    async def connect(self) -> FakeConnection:
        await self._pass("connect")
        return self.make()

    async def close(self, conn: FakeConnection) -> None:
        conn.closed += 1

    async def ping(self, conn: FakeConnection) -> None:
        await self._pass("ping")
        self.did_ping(conn)

    async def reset(self, conn: FakeConnection) -> None:
        await self._pass("reset")
        self.did_reset(conn)

    def terminate(self, conn: FakeConnection) -> None:
        conn.closed += 1
