"""What is in a pool: a connection with what is known about it, and those who wait for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeAlias, TypeVar

from datalayer.pooling.explain import NOWHERE, Placed

if TYPE_CHECKING:
    from datalayer.pooling.lease import Grip

C = TypeVar("C")

State: TypeAlias = Literal["new", "open", "paused", "closing", "closed"]

IDLE, TESTING, LENT, GONE, CHECKED = range(5)
NEVER = float("inf")


class Entry(Placed, Generic[C]):
    """A connection of the pool, and what the pool knows about it."""

    __slots__ = (
        "born", "conn", "expires", "fresh", "generation", "grip", "home", "id", "info", "owner", "reported", "seen",
        "since", "state", "uses",
    )  # fmt: skip

    def __init__(self, conn: C, id: int, now: float, expires: float, generation: int) -> None:
        self.conn = conn
        self.home: object = None  # the `home` of the core it is in; not the core itself, which would be a cycle
        self.id = id
        self.born = now
        self.since = now  # when the present state began
        self.seen = now  # when it was last known to be good
        self.expires = expires
        self.generation = generation
        self.uses = 0
        self.fresh = True  # never been idle: a ping would ask what connecting has just answered
        self.state = IDLE
        self.owner: object = None
        self.code, self.offset = NOWHERE  # where it was borrowed
        self.reported = False
        self.info: dict[str, object] | None = None
        self.grip: Grip[C] | None = None  # of the leases it had; the present one has it while it is lent


class Waiter(Protocol[C]):
    """A caller in the queue: woken once, with an entry or an error set.

    Attributes:
        is_leaving: Whether it was cancelled and is about to `abandon`; it is served no more.
    """

    entry: Entry[C] | None
    error: BaseException | None
    is_leaving: bool
    owner: object
    since: float

    def wake(self) -> None:
        """Lets the caller go on; never blocks, and may be called for a caller that has already left."""
        ...


class Wakeable(Protocol):
    """Whoever waits for the pool to become empty, or ready."""

    def wake(self) -> None:
        """Lets the caller look again."""
        ...
