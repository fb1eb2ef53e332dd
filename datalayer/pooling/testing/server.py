"""A server that does as it is told: slow, down, frozen, restarted, read-only; all at a second of virtual time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from datalayer.errors import ConnectionFailed, ConnectionLost, ReadOnlyTransaction, choices_text, nearest

Change: TypeAlias = Literal["up", "down", "frozen", "refusing", "restarted", "read_only"]

_CHANGES: Final = get_args(Change)
_STATES: Final = ("up", "down", "frozen", "refusing")


class SimConnection:
    """A connection to a `SimServer`.

    Attributes:
        number: Counts from 1 in the order of opening.
        is_dead: Whether the server has ended it; its holder notices at the next use or ping.
        is_read_only: Whether its server has become a standby.
        is_broken: Whether its holder has noticed that it is of no use.
        is_closed: Whether the pool has closed it.
    """

    __slots__ = ("is_broken", "is_closed", "is_dead", "is_read_only", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_dead = self.is_read_only = self.is_broken = self.is_closed = False

    def __repr__(self) -> str:
        return f"<SimConnection {self.number}>"


@dataclass(frozen=True)
class _Event:
    at: float
    change: str | None
    times: dict[str, float]


class SimServer:
    """What a `SimPool` connects to.

    Args:
        connect_time: How long connecting takes, in seconds.
        ping_time: How long a ping takes.

    Attributes:
        state: `up`, `down`, `frozen` or `refusing`.
        opened: How many connections were made.
        refused: How many attempts failed.
        closed: How many connections the pool has closed.
    """

    def __init__(self, *, connect_time: float = 0.05, ping_time: float = 0.001) -> None:
        self.connect_time = connect_time
        self.ping_time = ping_time
        self.state = "up"
        self.opened = self.refused = self.closed = 0
        self.script: list[_Event] = []
        self._living: set[SimConnection] = set()

    def at(self, seconds: float, change: Change | None = None, **times: float) -> Self:
        """Says what happens at a second of the simulation; gives the server, for the next one.

        Args:
            seconds: When.
            change: `down` (connections die, nobody can connect), `up`, `restarted` (connections die), `frozen` (nothing
                is answered), `refusing` (a wrong password: trying again cannot help), `read_only` (what is connected
                is a standby from now on; who connects now reaches the new primary).
            times: A new `connect_time` or `ping_time`.
        """
        if change is not None and change not in _CHANGES:
            hint = nearest(change, _CHANGES)
            raise ValueError(f"a server cannot be {change!r}{hint}; it can be {choices_text(_CHANGES)}")
        for name in times:
            if name not in ("connect_time", "ping_time"):
                raise ValueError(f"a server has no {name!r}: give a connect_time or a ping_time")
        self.script.append(_Event(seconds, change, times))
        return self

    def apply(self, event: Any) -> None:
        """Does what was scripted."""
        for name, seconds in event.times.items():
            setattr(self, name, seconds)
        if event.change in _STATES:
            self.state = event.change
        if event.change in ("down", "restarted"):
            for conn in self._living:
                conn.is_dead = True
            self._living.clear()
        elif event.change == "read_only":
            for conn in self._living:
                conn.is_read_only = True

    def connected(self) -> SimConnection:
        """The end of an attempt to connect."""
        if self.state == "up":
            self.opened += 1
            conn = SimConnection(self.opened)
            self._living.add(conn)
            return conn
        self.refused += 1
        raise self.failure("the server is down" if self.state == "down" else "the password is wrong")

    def failure(self, why: str) -> ConnectionFailed:
        """The error of an attempt to connect."""
        error = ConnectionFailed(f"cannot connect: {why}")
        error.is_fatal = self.state == "refusing"
        return error

    def used(self, conn: SimConnection) -> None:
        """The end of a use or a ping: raises what has happened to the connection meanwhile."""
        if conn.is_dead or self.state == "frozen":
            conn.is_broken = True
            raise ConnectionLost(f"connection {conn.number} was lost")
        if conn.is_read_only:
            error = ReadOnlyTransaction(f"connection {conn.number} leads to a standby")
            error.is_failover = True
            raise error

    def pinged(self, conn: SimConnection) -> None:
        """The end of a ping, which a standby answers as well as any."""
        if conn.is_dead:
            self.used(conn)

    def close(self, conn: SimConnection) -> None:
        """Ends a connection."""
        assert not conn.is_closed, f"{conn} was closed twice"
        conn.is_closed = True
        self.closed += 1
        self._living.discard(conn)
