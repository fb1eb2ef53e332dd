"""The connectors of our own databases pass the checks that are shipped for everybody's."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from datalayer.pooling import PoolConfig
from datalayer.pooling.links import AsyncLinkConnector, LinkConnector
from datalayer.pooling.testing.conformance import ConnectorCase, connector_checks
from datalayer.pooling.testing.conformance.checks import OF_CONNECTORS
from tests.database.pooling.conftest import Maker
from tests.database.pooling.test_conformance import cut, is_clean, soil, use
from tests.worlds import World


def connector(make: Maker, url: str) -> Any:
    limits = PoolConfig()
    if make.world.is_async:
        return AsyncLinkConnector(lambda: make.aconnect(url, limits))
    return LinkConnector(lambda: make.connect(url, limits), fast_open=make.kind == "sqlite", ping_timeout=5.0)


def case_of(make: Maker) -> ConnectorCase[Any]:
    return ConnectorCase(
        connector=partial(connector, make, make.url),
        use=use,
        cut=cut,
        soil=soil(make.world),
        is_clean=is_clean(make.world),
        refused=partial(connector, make, make.missing),
        unreachable=partial(connector, make, NOBODY) if make.kind != "sqlite" else None,
    )


NOBODY = "postgresql://nobody@127.0.0.1:1/datalayer"  # a port on which nothing listens


@pytest.mark.parametrize("make", ["sqlite", "postgresql-generic"], indirect=True)
@pytest.mark.parametrize("name", [one.__name__ for one in OF_CONNECTORS])
def test_connector(make: Maker, world: World, name: str) -> None:
    for check in connector_checks(case_of(make)):
        if check.name == name:
            world.run(check.run, check.arun)


@pytest.mark.parametrize("make", ["sqlite", "postgresql-generic"], indirect=True)
def test_only_what_a_file_cannot_do_is_left_out(make: Maker, world: World) -> None:
    left_out = {one.__name__ for one in OF_CONNECTORS} - {one.name for one in connector_checks(case_of(make))}
    assert all("not_there" in one for one in left_out)
    assert len(left_out) == (2 if make.kind == "sqlite" else 0)
