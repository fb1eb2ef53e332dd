"""Where an operation runs when a database has replicas: writes on the primary, reads on a replica that may be behind.

A task or thread that has just written reads from the primary for `replica_lag` seconds, so that it sees its own writes;
inside `atomic()` everything is on the primary. `using("replica")` asks a replica by its name. A replica that cannot be
reached is passed by, and for a while nobody waits for it: then one reader tries it again, shortly.
"""

from __future__ import annotations

import logging
import random
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from datalayer.errors import ConnectionFailed, PoolError, PoolTimeout, PoolUnavailable, QueryError
from datalayer.pooling.registry import pools
from datalayer.pooling.timeouts import DEFAULT, Timeout

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from datalayer._links.link import AsyncLink, Link
    from datalayer.pooling.async_lease import AsyncLease
    from datalayer.pooling.database import DatabasePool
    from datalayer.pooling.sqlite import Mode

log = logging.getLogger("datalayer.replicas")

PAUSE: Final = 10.0
"""For how many seconds a replica that could not be reached is passed by."""
PATIENCE: Final = 1.0
"""How many seconds the reader who tries it again waits at most."""

_wrote: Final[ContextVar[dict[str, float] | None]] = ContextVar("datalayer_wrote", default=None)
"""When this task or thread has last written to which database."""


class _Writing:
    """A lease for a write that is noted at its end, however long it took: until then no replica has it."""

    __slots__ = ("_lease", "_pool")

    def __init__(self, lease: Any, pool: DatabasePool) -> None:
        self._lease = lease
        self._pool = pool

    def __enter__(self) -> Link:
        link: Link = self._lease.__enter__()
        return link

    def __exit__(self, *ended: Any) -> None:
        note_write(self._pool)
        self._lease.__exit__(*ended)

    @property
    def conn(self) -> AsyncLink:
        """The connection, in the awaiting world."""
        link: AsyncLink = self._lease.conn
        return link

    async def __aenter__(self) -> AsyncLink:
        return self.conn

    async def __aexit__(self, *ended: Any) -> None:
        note_write(self._pool)
        await self._lease.__aexit__(*ended)


def note_write(pool: DatabasePool) -> None:
    """Notes that the reads of this task or thread stay on the primary for a while."""
    if pool.replicas:
        _wrote.set({**(_wrote.get() or {}), pool.alias: monotonic()})


def _chosen(pool: DatabasePool, mode: Mode) -> DatabasePool:
    if mode == "write":
        if pool.settings.replica_of is not None:
            raise QueryError(
                f"{pool.alias!r} is a replica of {pool.settings.replica_of!r} and takes no writes; use "
                f"using({pool.settings.replica_of!r})"
            )
        return pool
    if not pool.replicas:
        return pool
    wrote = (_wrote.get() or {}).get(pool.alias)
    if wrote is not None and monotonic() - wrote < pool.settings.replica_lag:
        return pool
    found = pools[random.choice(pool.replicas)]
    if found.passed_by_until:
        now = monotonic()
        others = [one for one in map(pools.__getitem__, pool.replicas) if one.passed_by_until <= now]
        found = random.choice(others) if others else pool
        if found.passed_by_until:
            found.passed_by_until = now + PAUSE  # whoever comes meanwhile does not wait as well
    return found


def _timeout(chosen: DatabasePool) -> Timeout:
    patience = chosen.settings.pool.connection_timeout
    return DEFAULT if not chosen.passed_by_until else PATIENCE if patience is None else min(PATIENCE, patience)


def borrow(pool: DatabasePool, mode: Mode) -> AbstractContextManager[Link, None]:
    """A connection for one operation, of the database or of one of its replicas.

    Raises:
        QueryError: A write on a replica.
    """
    chosen = _chosen(pool, mode)
    try:
        lease = chosen.borrow(mode, _timeout(chosen))
    except (PoolError, ConnectionFailed) as error:
        _pass_by(chosen, pool, error)
        return pool.borrow(mode)
    if chosen.passed_by_until:
        _welcome(chosen)
    return _Writing(lease, pool) if mode == "write" else lease


async def aborrow(pool: DatabasePool, mode: Mode) -> AsyncLease[AsyncLink] | _Writing:
    """The awaiting twin of `borrow`."""
    chosen = _chosen(pool, mode)
    try:
        lease = await chosen.asking(mode, _timeout(chosen))
    except (PoolError, ConnectionFailed) as error:
        _pass_by(chosen, pool, error)
        return await pool.asking(mode)
    if chosen.passed_by_until:
        _welcome(chosen)
    return _Writing(lease, pool) if mode == "write" else lease


def _pass_by(chosen: DatabasePool, pool: DatabasePool, error: Any) -> None:
    """Lets the primary do it where a replica could not, and remembers one that is down."""
    if chosen is pool:
        raise error
    log.warning("the replica %r cannot be reached, %r is read instead: %s", chosen.alias, pool.alias, error)
    is_busy = isinstance(error, PoolTimeout) and error.reason == "exhausted"
    if isinstance(error, ConnectionFailed | PoolTimeout | PoolUnavailable) and not is_busy:
        chosen.passed_by_until = monotonic() + PAUSE


def _welcome(chosen: DatabasePool) -> None:
    chosen.passed_by_until = 0.0
    log.warning("the replica %r can be reached again", chosen.alias)
