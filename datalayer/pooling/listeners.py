"""Those who hear what happens in a pool."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from datalayer.errors import PoolConfigError
from datalayer.pooling.arguments import check_listener

if TYPE_CHECKING:
    from datalayer.pooling.events import Event, Listener

log = logging.getLogger("datalayer.pooling")


class Listeners:
    """The listeners of one pool; they may come and go while others are told.

    Attributes:
        all: Every one; looked at before an event is told in vain.
    """

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        self.all: tuple[Listener, ...] = ()
        if not isinstance(listeners, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # whom no checker told
            raise PoolConfigError(f"listeners={listeners!r} is no list: give a list of functions")
        for one in listeners:
            self.add(one)

    def add(self, listener: Listener) -> None:
        """One more; called under the lock of the pool.

        Raises:
            PoolConfigError: It cannot be told.
        """
        check_listener(listener)
        self.all = (*self.all, listener)

    def remove(self, listener: Listener) -> None:
        """One less, or none less if it was not there; called under the lock of the pool."""
        self.all = tuple(one for one in self.all if one != listener)

    def tell(self, event: Event, pool: object) -> None:
        """Tells everybody, outside of every lock; what one of them raises is logged and harms nobody."""
        for listener in self.all:
            try:
                listener(event)
            except Exception:
                log.exception("a listener of %s failed on %s", pool, event)
