"""The checks of a case, one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from datalayer.pooling.testing.conformance import connecting, hooking, lending, limiting, living
from datalayer.pooling.testing.conformance.bench import Bench, ConnectorBench, PoolBench
from datalayer.pooling.testing.conformance.cases import ConnectorCase, PoolCase
from datalayer.pooling.testing.conformance.check import Check
from datalayer.pooling.testing.conformance.scripts import Script

C = TypeVar("C")

Scripts = tuple[Callable[[Any], Script], ...]

OF_CONNECTORS: Scripts = connecting.SCRIPTS
OF_POOLS: Scripts = (*lending.SCRIPTS, *limiting.SCRIPTS, *hooking.SCRIPTS, *living.SCRIPTS)

MEANS: dict[Callable[[Any], Script], str] = {
    connecting.cut_connection_is_found_by_ping: "cut",
    connecting.error_of_a_cut_connection_is_a_loss: "cut",
    connecting.cut_connection_can_be_closed: "cut",
    connecting.connection_that_was_cut_while_idle_is_replaced: "cut",
    connecting.loss_makes_all_connections_stale: "cut",
    connecting.reset_takes_away_what_was_left: "soil",
    connecting.next_borrower_finds_a_clean_connection: "soil",
    connecting.refusal_is_fatal_and_no_loss: "refused",
    connecting.refusal_reaches_the_caller_at_once: "refused",
    connecting.server_that_is_not_there_is_worth_another_try: "unreachable",
    connecting.caller_of_a_server_that_is_not_there_hears_why: "unreachable",
    lending.what_a_borrower_left_is_gone_at_return: "soil",
    living.check_finds_dead_connections: "cut",
    living.error_that_cannot_be_cured_reaches_the_caller_at_once: "refused",
}
"""What a check needs of its case; None there leaves it out."""


def connector_checks(case: ConnectorCase[C]) -> list[Check]:
    """What the connector must do, alone and in a pool: one check for each thing."""
    return _checks(OF_CONNECTORS, case, lambda is_async: ConnectorBench(case, is_async=is_async))


def pool_checks(case: PoolCase[C]) -> list[Check]:
    """What the pool must do: one check for each thing."""
    return _checks(OF_POOLS, case, lambda is_async: PoolBench(case, is_async=is_async))


def _checks(scripts: Scripts, case: object, bench: Callable[[bool], Bench]) -> list[Check]:
    return [Check(one, bench) for one in scripts if one not in MEANS or getattr(case, MEANS[one]) is not None]
