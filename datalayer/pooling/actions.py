"""What the core wants done: performed by a shell once it has let go of its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from datalayer.pooling.entry import Entry

if TYPE_CHECKING:
    from datalayer.pooling.events import Event

C = TypeVar("C")


class Open:
    """Action: open one connection, and report `opened` or `open_failed`."""

    __slots__ = ()


class Close(Generic[C]):
    """Action: close a connection that has left the pool."""

    __slots__ = ("conn",)

    def __init__(self, conn: C) -> None:
        self.conn = conn


class Check(Generic[C]):
    """Action: ping a connection that was taken out of the idle ones, and report `checked`."""

    __slots__ = ("entry",)

    def __init__(self, entry: Entry[C]) -> None:
        self.entry = entry


class Suspect(Generic[C]):
    """Action: tell who holds this connection for so long."""

    __slots__ = ("entry", "held")

    def __init__(self, entry: Entry[C], held: float) -> None:
        self.entry = entry
        self.held = held


class Arm:
    """Action: call `tick` at this time; replaces an earlier one that is still to come."""

    __slots__ = ("at",)

    def __init__(self, at: float) -> None:
        self.at = at


class Tell:
    """Action: give an event to the listeners."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


Action: TypeAlias = Open | Close[C] | Check[C] | Suspect[C] | Arm | Tell
OPEN = Open()
"""The only one that is needed."""
