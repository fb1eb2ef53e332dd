"""What must be known of a connector or a pool to check it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from datalayer.pooling.config import PoolConfig
from datalayer.pooling.connectors import AsyncConnector, Connector

C = TypeVar("C")


class Making(Protocol):
    """How a check asks for a pool: as one asks `Pool`, without the connector."""

    def __call__(self, config: PoolConfig, /, **options: Any) -> object:
        """Makes a pool; the options are those of `Pool`: `name`, `listeners`, `clock` and the hooks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorCase(Generic[C]):
    """A connector to be checked, blocking or awaiting.

    What is called with a connection may be an `async def` when the connector is awaiting. Checks whose means are None
    are left out: say None where there is no such thing.

    Args:
        connector: Makes one.
        use: Does with a connection what a borrower does; raises when the connection is no good.
        cut: Ends a connection as a server or a network does: on their side, behind the connector's back.
        soil: Leaves in a connection what its next borrower must not find; None when nothing can be left.
        is_clean: Whether nothing of that is to be found any more; None beside `soil=None`.
        refused: Makes a connector that is turned away whenever it tries, as with a wrong password.
        unreachable: Makes a connector whose server is not there for the moment.
    """

    connector: Callable[[], Connector[C] | AsyncConnector[C]]
    use: Callable[[C], object]
    cut: Callable[[C], object] | None
    soil: Callable[[C], object] | None
    is_clean: Callable[[C], object] | None
    refused: Callable[[], Connector[C] | AsyncConnector[C]] | None
    unreachable: Callable[[], Connector[C] | AsyncConnector[C]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCase(Generic[C]):
    """A kind of pool to be checked, blocking or awaiting.

    What is called with a connection may be an `async def` in the awaiting world. Checks whose means are None or False
    are left out: say so where there is no such thing.

    Args:
        make: Makes such a pool: `lambda config, **options: Pool(MyConnector(), config, **options)`.
        use: Does with a connection what a borrower does; raises when the connection is no good.
        close: Closes a connection, as a borrower may who knows no better.
        cut: Ends a connection so that neither its object nor the pool knows of it.
        loss: Makes an error that tells of a server that is gone.
        soil: Leaves in a connection what its next borrower must not find; None when nothing can be left.
        is_clean: Whether nothing of that is to be found any more; None beside `soil=None`.
        refused: Makes a pool, as `make` does, that is turned away whenever it connects, as with a wrong password.
        lends_several: Whether it lends several connections at one time; a writer of a SQLite file is one.
        keeps: Whether it keeps what is given back; a null pool does not.
        excused: What such a pool cannot do, each method or option by its name, with the reason. It must refuse it, with
            `PoolError` or `PoolConfigError`: what is not honoured must not be ignored.
    """

    make: Making
    use: Callable[[C], object]
    close: Callable[[C], object]
    cut: Callable[[C], object] | None
    loss: Callable[[], BaseException]
    soil: Callable[[C], object] | None
    is_clean: Callable[[C], object] | None
    refused: Making | None
    lends_several: bool = True
    keeps: bool = True
    excused: Mapping[str, str] = field(default_factory=dict[str, str])
