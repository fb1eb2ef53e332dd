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

ALL_MEANS = ("cut", "soil", "refused", "unreachable", "lends_several", "keeps")
CUT, SOIL, REFUSED, UNREACHABLE, SEVERAL, KEEPS = ALL_MEANS

MEANS: dict[Callable[[Any], Script], tuple[str, ...]] = {
    connecting.cut_connection_is_found_by_ping: (CUT,),
    connecting.error_of_a_cut_connection_is_a_loss: (CUT,),
    connecting.cut_connection_can_be_closed: (CUT,),
    connecting.connection_that_was_cut_while_idle_is_replaced: (CUT,),
    connecting.loss_makes_all_connections_stale: (CUT,),
    connecting.reset_takes_away_what_was_left: (SOIL,),
    connecting.next_borrower_finds_a_clean_connection: (SOIL,),
    connecting.refusal_is_fatal_and_no_loss: (REFUSED,),
    connecting.refusal_reaches_the_caller_at_once: (REFUSED,),
    connecting.server_that_is_not_there_is_worth_another_try: (UNREACHABLE,),
    connecting.caller_of_a_server_that_is_not_there_hears_why: (UNREACHABLE,),
    lending.lends_in_a_block_and_takes_back: (KEEPS,),
    lending.same_connection_is_lent_again: (KEEPS,),
    lending.notes_live_with_the_connection: (KEEPS,),
    lending.what_a_borrower_left_is_gone_at_return: (SOIL, KEEPS),
    lending.timeout_of_zero_serves_what_is_idle_and_else_ends_at_once: (KEEPS,),
    lending.try_acquire_takes_only_what_is_idle: (KEEPS,),
    lending.callers_of_one_moment_wait_but_as_many_as_connections_are_idle: (KEEPS,),
    limiting.queue_of_no_length_serves_what_can_be_served_and_refuses_the_rest: (KEEPS,),
    limiting.two_who_wait_for_each_other_are_a_deadlock: (SEVERAL,),
    limiting.raised_limit_serves_who_waits: (SEVERAL,),
    limiting.lowered_limit_closes_the_surplus_at_its_return: (SEVERAL, KEEPS),
    limiting.pool_without_room_is_refused_and_a_resize_to_none_changes_nothing: (KEEPS,),
    limiting.connection_is_replaced_after_so_many_uses: (KEEPS,),
    limiting.old_connection_is_not_lent: (KEEPS,),
    limiting.connection_that_grows_old_while_lent_is_closed_at_its_return: (KEEPS,),
    limiting.idle_connections_end_after_their_time_down_to_min_idle: (SEVERAL, KEEPS),
    limiting.min_idle_is_there_when_the_pool_says_it_is_ready: (SEVERAL, KEEPS),
    hooking.hooks_see_each_connection: (KEEPS,),
    hooking.connection_whose_check_fails_is_replaced: (KEEPS,),
    living.new_generation_closes_idle_now_and_lent_at_return: (SEVERAL, KEEPS),
    living.drain_replaces_what_is_idle: (KEEPS,),
    living.check_finds_dead_connections: (CUT, SEVERAL, KEEPS),
    living.error_that_cannot_be_cured_reaches_the_caller_at_once: (REFUSED,),
}
"""What a check needs of its case; None or False there leaves it out."""


def connector_checks(case: ConnectorCase[C]) -> list[Check]:
    """What the connector must do, alone and in a pool: one check for each thing."""
    return _checks(OF_CONNECTORS, case, lambda is_async: ConnectorBench(case, is_async=is_async))


def pool_checks(case: PoolCase[C]) -> list[Check]:
    """What the pool must do: one check for each thing."""
    return _checks(OF_POOLS, case, lambda is_async: PoolBench(case, is_async=is_async))


def _checks(scripts: Scripts, case: object, bench: Callable[[bool], Bench]) -> list[Check]:
    missing = {name for name in ALL_MEANS if getattr(case, name, None) in (None, False)}
    return [Check(one, bench) for one in scripts if missing.isdisjoint(MEANS.get(one, ()))]
