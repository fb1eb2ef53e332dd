"""What handles each fault of docs/pools-faults.md: a text of the package, and what stands there when it is taken out.

Each one is taken out in turn by `python -m tests.database.pooling.mutations`, which sees that its tests fail then. A
text that is found no more, or a fault or a test of the page without one, is an error of tests/test_pool_faults.py.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Handling:
    """One handling of one fault.

    Attributes:
        fault: The first cell of its row.
        without: What a pool without it does.
        text: What is taken out.
        instead: What stands there then.
        fails: The tests of the row that must fail then, each in one case at least.
        cases: Which of their cases to run, as `pytest -k` has it; all when empty.
        times: In how many places of the package the text stands; twins are taken out together.
        since: The Python from which on this handling is needed.
        before: The Python from which on it is needed no more.
    """

    fault: str
    without: str
    text: str
    instead: str
    fails: tuple[str, ...]
    cases: str = ""
    times: int = 1
    since: tuple[int, int] = (3, 0)
    before: tuple[int, int] = (4, 0)


HANDLINGS = [
    # -- 1, 2: the database is down -------------------------------------------------------------
    Handling(
        "1", "a timeout does not tell its cause",
        'cause = stats.last_error if reason in ("unavailable", "connecting") else None', "cause = None",
        ("test_server_that_is_down_is_waited_for_and_told_as_the_cause",),
    ),
    Handling(
        "1", "nobody tries again",
        "self._arm(self.outage.retry_at)", "pass",
        ("test_caller_who_waits_is_served_when_the_server_comes",), cases="generic",
    ),
    Handling(
        "1", "the next attempt never comes",
        "return self.outage.retry_at - now", "return NEVER",
        ("test_caller_who_waits_is_served_when_the_server_comes",), cases="psycopg",
    ),
    Handling(
        "1", "a new caller waits for the end of the pause",
        "if refusal is None:\n            self.outage.hurry(now)", "if refusal is None:\n            pass",
        ("test_new_caller_need_not_wait_for_the_end_of_a_long_pause",), cases="generic",
    ),
    Handling(
        "1", "a new caller waits for the end of the pause",
        "if self.outage.refusal is None:\n            self.outage.hurry(now)", "pass",
        ("test_new_caller_need_not_wait_for_the_end_of_a_long_pause",), cases="psycopg",
    ),
    Handling(
        "1", "who waits is tried for as seldom as nobody",
        "if is_waited_for and refusal is None:", "if False:",
        ("test_pause_is_short_while_somebody_waits",),
    ),
    Handling(
        "2", "open() is ready when its time is up",
        "raise self._timed_out(self._core.reason(), self._clock() - began)\n            yield Wait(watcher, left)",
        "return",
        ("test_opening_a_pool_of_a_server_that_is_down_fails_in_time",), cases="generic",
    ),
    Handling(
        "2", "open() is ready when its time is up",
        "raise self._timed_out(reason, self._clock() - began)", "return",
        ("test_opening_a_pool_of_a_server_that_is_down_fails_in_time",), cases="psycopg", times=2,
    ),
    # -- 3, 4: a restart ------------------------------------------------------------------------
    Handling(
        "3", "a lost connection says nothing about the others",
        "if is_news:\n                    self._core.invalidate(now)", "if False:\n                    pass",
        ("test_restarted_server_costs_one_query",), cases="generic",
    ),
    Handling(
        "3", "a lost connection says nothing about the others",
        "if is_news:\n            self.invalidate(exc)", "if False:\n            pass",
        ("test_restarted_server_costs_one_query",), cases="psycopg",
    ),
    Handling(
        "3", "nobody tries again",
        "self._arm(self.outage.retry_at)", "pass",
        ("test_restart_under_load_costs_no_more_than_what_was_under_way",), cases="generic",
    ),
    Handling(
        "3", "the next attempt never comes",
        "return self.outage.retry_at - now", "return NEVER",
        ("test_restart_under_load_costs_no_more_than_what_was_under_way",), cases="psycopg",
    ),
    Handling(
        "4", "each connection is pinged",
        "if lost and entry.generation == self.generation:", "if False:",
        ("test_fifty_idle_connections_are_stale_at_once_and_not_replaced_at_once",), cases="generic",
    ),
    Handling(
        "4", "each connection is pinged",
        "return self.is_lost(error) and entry.generation == ledger.generation", "return False",
        ("test_fifty_idle_connections_are_stale_at_once_and_not_replaced_at_once",), cases="psycopg",
    ),
    Handling(
        "4", "each one that was closed is replaced",
        "if max(self.queued, self.min_idle - size) <= self.opening or size + self.opening >= self.max_size:",
        "if size + self.opening >= self.max_size:",
        ("test_fifty_idle_connections_are_stale_at_once_and_not_replaced_at_once",), cases="psycopg",
    ),
    # -- 5: a failover --------------------------------------------------------------------------
    Handling(
        "5", "what a connection of before says is news",
        "is_news = entry.generation == self._core.generation", "is_news = True",
        ("test_server_that_turns_read_only_is_left_for_its_successor",), cases="generic",
    ),
    Handling(
        "5", "what a connection of before says is news",
        "is_news = entry.generation == self._ledger.generation", "is_news = True",
        ("test_server_that_turns_read_only_is_left_for_its_successor",), cases="psycopg",
    ),
    Handling(
        "5", "a server that takes no writes is as good as any",
        "return exc.is_failover", "return False",
        ("test_server_that_turns_read_only_is_left_for_its_successor", "test_failover_is_noticed_by_the_first_write"),
    ),
    # -- 6: a black hole ------------------------------------------------------------------------
    Handling(
        "6", "a connect waits for ever",
        'settings["connect_timeout"] = max(1, round(connect_timeout))', "pass",
        ("test_connect_into_nothing_holds_nobody_up_and_frees_its_place",), cases="not generic-awaiting",
    ),
    Handling(
        "6", "a ping takes its time, whoever waits",
        "yield Ping(entry.conn, min(self.config.validation_timeout, left))", "yield Ping(entry.conn, 3600.0)",
        ("test_ping_into_nothing_is_bounded_by_the_patience_of_the_caller",), cases="generic",
    ),
    Handling(
        "6", "a ping takes its time, whoever waits",
        "return self.config.validation_timeout if left < 0.002 else min(self.config.validation_timeout, left)",
        "return self.config.validation_timeout",
        ("test_ping_into_nothing_is_bounded_by_the_patience_of_the_caller",), cases="psycopg",
    ),
    Handling(
        "6", "a return waits for its rollback for ever",
        "if needs_rollback and timeout is not None:", "if False:",
        ("test_return_into_nothing_ends_with_its_time",), cases="generic-blocking", times=2,
    ),
    # -- 7, 8: it refuses -----------------------------------------------------------------------
    Handling(
        "7", "a wrong password is tried again like anything else",
        "return isinstance(exc, ConnectionFailed) and exc.is_fatal", "return False",
        (
            "test_wrong_password_reaches_all_at_once_and_the_right_one_cures_it",
            "test_wrong_password_fails_who_waits_when_the_last_connection_is_lost",
        ),
    ),
    Handling(
        "7", "all fail, though a lent connection may come back",
        "and self.waiters\n            and not self._may_come_back()", "and self.waiters",
        ("test_wrong_password_fails_nobody_whom_a_returned_connection_will_serve",), cases="generic",
    ),
    Handling(
        "7", "all fail, though a lent connection may come back",
        "return self.lent_count == len(self.entries) and all(", "return True or all(",
        ("test_wrong_password_fails_nobody_whom_a_returned_connection_will_serve",), cases="psycopg",
    ),
    Handling(
        "7", "who waits when there is no hope any more hears nothing",
        "one.fail(AskAgain())", "list(waiting)",
        ("test_wrong_password_fails_who_waits_when_the_last_connection_is_lost",), cases="psycopg-blocking", times=2,
    ),
    Handling(
        "7", "who comes when there is no hope any more hears nothing",
        "if self._is_hopeless():", "if False:",
        ("test_caller_who_queues_in_the_moment_of_a_refusal_is_told_at_once",), cases="psycopg",
    ),
    Handling(
        "8", "the first failure reaches the callers",
        "or (configured and self._is_fatal(error))", "or True",
        ("test_one_failed_connect_is_not_seen",), cases="generic",
    ),
    Handling(
        "8", "the first failure reaches the callers",
        "or self.is_fatal(error) or not self.config.retry_connection", "or True",
        ("test_one_failed_connect_is_not_seen",), cases="psycopg",
    ),
    # -- 9 to 14: cancelled ---------------------------------------------------------------------
    Handling(
        "9", "a cancelled caller stays in the queue",
        "self.waiters.pop(waiter, None)\n        self.outcomes[outcome] += 1", "self.outcomes[outcome] += 1",
        ("test_cancelled_in_the_queue_leaves_it_and_the_next_one_is_served",), cases="generic",
    ),
    Handling(
        "9", "a cancelled caller counts as waiting",
        'ledger.end(owner, "failed" if isinstance(error, Exception) else "cancelled")', "pass",
        ("test_cancelled_in_the_queue_leaves_it_and_the_next_one_is_served",), cases="psycopg",
    ),
    Handling(
        "10", "what was handed to a cancelled caller is lost",
        "self.testing -= 1\n            self._keep(entry, now)", "self.testing -= 1",
        ("test_cancelled_in_the_moment_of_delivery_gives_the_connection_back",), cases="generic",
    ),
    Handling(
        "10", "what was handed to a cancelled caller is lost",
        "task.add_done_callback(lambda done: self._give_back_late(done, home))", "pass",
        ("test_cancelled_in_the_moment_of_delivery_gives_the_connection_back",), cases="psycopg", before=(3, 12),
    ),
    Handling(
        "11", "what nobody waits for any more is closed",
        "self.actions.append(Tell(events.ConnectionOpened(entry.id, took)))\n        self._keep(entry, now)",
        "self.actions.append(Tell(events.ConnectionOpened(entry.id, took)))\n"
        '        self._keep(entry, now) if self.waiters else self._drop(entry, "surplus", now)',
        ("test_cancelled_while_the_pool_connects_for_it_leaves_the_connection_to_the_pool",), cases="generic",
    ),
    Handling(
        "12", "what a ping was cancelled on is used again",
        'self.outcomes["cancelled"] += 1\n        self._drop(entry, "invalid", now)',
        'self.outcomes["cancelled"] += 1\n        self._keep(entry, now)',
        (
            "test_cancelled_in_its_ping_throws_the_connection_away",
            "test_interrupted_in_a_hook_throws_the_connection_away",
        ),
        cases="generic",
    ),
    Handling(
        "12", "what a ping was cancelled on is used again",
        "self._cancelled(entry, owner)\n                self._later(lambda: self._put(entry, True))",
        "self._cancelled(entry, owner)\n                self._later(lambda: self._put(entry, False))",
        ("test_interrupted_in_a_hook_throws_the_connection_away",), cases="psycopg-awaiting and check",
    ),
    Handling(
        "12", "what a ping was interrupted on is used again",
        "self._cancelled(entry, owner)\n                raw.close()", "self._cancelled(entry, owner)",
        ("test_interrupted_in_a_hook_throws_the_connection_away",), cases="psycopg-blocking and check",
    ),
    Handling(
        "12", "an interrupted clean-up ends no lease",
        'discard_entry(entry, "reset_failed")', "config",
        ("test_interrupted_in_a_hook_throws_the_connection_away",), cases="reset", times=4,
    ),
    Handling(
        "12", "a return that is cancelled half-way keeps its place",
        "await asyncio.shield(self._spawn(_finish(work, step)))", "await _finish(work, step)",
        ("test_cancelled_while_it_waits_to_give_back_frees_the_place",), cases="psycopg",
    ),
    Handling(
        "12", "a return that is cancelled in its hook keeps its place",
        "await asyncio.shield(self._spawn(work))", "await work",
        ("test_cancelled_while_its_broken_connection_is_closed_frees_the_place",), cases="psycopg",
    ),
    Handling(
        "12", "a failed configure keeps its place",
        "self._open_failed(error, configured=False)", "pass",
        ("test_interrupted_in_configure_frees_the_place_and_is_tried_again",), cases="generic", times=2,
    ),
    Handling(
        "12", "an interruption ends the worker of psycopg-pool",
        'raise psycopg.OperationalError("the configure hook was interrupted") from error', "raise",
        ("test_interrupted_in_configure_frees_the_place_and_is_tried_again",), cases="psycopg-blocking",
    ),
    Handling(
        "13", "a cancelled caller stays in the queue",
        "self.waiters.pop(waiter, None)\n        self.outcomes[outcome] += 1", "self.outcomes[outcome] += 1",
        ("test_wait_for_is_honoured_in_time_and_loses_nothing", "test_random_cancels_lose_nothing"), cases="generic",
    ),
    Handling(
        "13", "what a ping was cancelled on keeps its place",
        'self.outcomes["cancelled"] += 1\n        self._drop(entry, "invalid", now)', 'self.outcomes["cancelled"] += 1',
        ("test_cancelled_at_every_await_nothing_is_lost",), cases="generic",
    ),
    Handling(
        "13", "a cancelled caller counts as waiting",
        'ledger.end(owner, "failed" if isinstance(error, Exception) else "cancelled")', "pass",
        ("test_wait_for_is_honoured_in_time_and_loses_nothing", "test_random_cancels_lose_nothing"), cases="psycopg",
    ),
    Handling(
        "13", "what a ping was cancelled on counts as pinged",
        "self._cancelled(entry, owner)\n                self._later(", "self._later(",
        ("test_cancelled_at_every_await_nothing_is_lost",), cases="psycopg",
    ),
    Handling(
        "14", "cancelled callers stay in the queue",
        "self.waiters.pop(waiter, None)\n        self.outcomes[outcome] += 1", "self.outcomes[outcome] += 1",
        ("test_storm_of_cancelled_waiters_leaves_no_trace", "test_cancel_storm"), cases="not psycopg",
    ),
    Handling(
        "14", "cancelled callers count as waiting",
        'ledger.end(owner, "failed" if isinstance(error, Exception) else "cancelled")', "pass",
        ("test_storm_of_cancelled_waiters_leaves_no_trace",), cases="psycopg",
    ),
    Handling(
        "14", "all leave in one turn of the loop",
        "if self._passed < PORTION:", "if True:",
        ("test_cancelled_crowd_leaves_in_portions_so_that_others_get_their_turn",),
    ),
    # -- 15 to 17: what comes back --------------------------------------------------------------
    Handling(
        "15", "a broken connection is cleaned like any other",
        'if connector.is_broken(conn):\n                drop = "broken"', "if False:\n                pass",
        ("test_connection_lost_while_lent_is_replaced_for_who_waits", "test_broken_connection_is_closed_at_return"),
        cases="not psycopg", times=2,
    ),
    Handling(
        "15", "a broken connection is cleaned like any other",
        'if link.is_broken:\n                drop = "broken"', "if False:\n                pass",
        ("test_connection_lost_while_lent_is_replaced_for_who_waits",), cases="psycopg", times=2,
    ),
    Handling(
        "16", "a transaction stays open",
        "if needs_rollback:", "if False:",
        ("test_what_a_borrower_left_is_gone_at_return",), cases="postgresql", times=2,
    ),
    Handling(
        "16", "a transaction stays open",
        'if raw.in_transaction:\n        raw.execute("ROLLBACK")', "pass",
        ("test_what_a_borrower_left_is_gone_at_return",), cases="sqlite",
    ),
    Handling(
        "17", "nobody looks whether a statement still runs",
        "needs_rollback = _needs_rollback(", "needs_rollback = False and _needs_rollback(",
        ("test_connection_with_a_running_statement_is_thrown_away",), times=2,
    ),
    # -- 18, 19: hooks --------------------------------------------------------------------------
    Handling(
        "18", "a timeout does not tell its cause",
        'cause = stats.last_error if reason in ("unavailable", "connecting") else None', "cause = None",
        (
            "test_configure_that_always_fails_has_the_pauses_of_a_failed_connect",
            "test_configure_that_always_fails_is_the_cause_of_the_timeout",
        ),
    ),
    Handling(
        "18", "there are no pauses",
        "self._tried_at, self.retry_at = now, now + pause", "self._tried_at, self.retry_at = now, now + 0.0 * pause",
        ("test_configure_that_always_fails_has_the_pauses_of_a_failed_connect",),
    ),
    Handling(
        "19", "an error without words is an error of the pool",
        'return f"{type(error).__name__}: {error}"\n    except Exception:\n        return type(error).__name__',
        'return f"{type(error).__name__}: {error}"\n    except Exception:\n        raise',
        ("test_hook_that_fails_without_words_harms_one_connection",),
    ),
    Handling(
        "19", "an error of a listener is an error of the pool",
        'log.exception("a listener of %s failed on %s", pool, event)', "raise",
        ("test_listener_that_fails_harms_nobody",),
    ),
    Handling(
        "19", "a hook that hangs is waited for",
        "self.config.close_timeout):\n                    await self._on_close(conn)",
        "None):\n                    await self._on_close(conn)",
        ("test_on_close_that_hangs_ends_with_its_time_and_cancels_nobody",), cases="generic",
    ),
    Handling(
        "19", "a hook that hangs is waited for",
        "self.config.close_timeout):\n                        await self._on_close(entry.conn)",
        "None):\n                        await self._on_close(entry.conn)",
        ("test_on_close_that_hangs_ends_with_its_time_and_cancels_nobody",), cases="psycopg",
    ),
    Handling(
        "19", "a hook that hangs cancels who gave the lease back",
        "if self._on_close is not None:  # it may wait with a time limit, which cancels the task that began to wait",
        "if False:",
        ("test_on_close_that_hangs_ends_with_its_time_and_cancels_nobody",), cases="psycopg",
    ),
    # -- 20 to 23: leases -----------------------------------------------------------------------
    Handling(
        "20", "a lease keeps its connection",
        "self._grip = grip.entry = None\n        entry.grip = grip\n        pool = self.pool", "pool = self.pool",
        ("test_second_release_is_refused_and_changes_nothing",), cases="blocking and not psycopg",
    ),
    Handling(
        "20", "a lease keeps its connection",
        "self._grip = grip.entry = None\n        entry.grip = grip\n        conn, connector", "conn, connector",
        ("test_second_release_is_refused_and_changes_nothing",), cases="awaiting and not psycopg",
    ),
    Handling(
        "20", "a lease keeps its connection",
        "self._grip = grip.entry = None\n        entry.grip = grip\n        self._gone = how", "self._gone = how",
        ("test_second_release_is_refused_and_changes_nothing",), cases="psycopg",
    ),
    Handling(
        "21", "nobody asks whose a connection is",
        'raise ForeignLease(f"connection {entry.id} was not lent by {self!r}: give a lease back to its own pool")\n\n',
        "return True\n\n",
        ("test_foreign_lease_is_refused_and_its_connection_untouched",), cases="not psycopg",
    ),
    Handling(
        "21", "nobody asks whose a connection is",
        "elif entry.state != GONE:", "elif False:",
        ("test_foreign_lease_is_refused_and_its_connection_untouched",), cases="psycopg",
    ),
    Handling(
        "22", "a lease keeps its connection",
        "self._grip = grip.entry = None\n        entry.grip = grip\n        pool = self.pool", "pool = self.pool",
        ("test_lease_is_of_no_use_after_its_end",), cases="blocking and not psycopg",
    ),
    Handling(
        "22", "a lease keeps its connection",
        "self._grip = grip.entry = None\n        entry.grip = grip\n        conn, connector", "conn, connector",
        ("test_lease_is_of_no_use_after_its_end",), cases="awaiting and not psycopg",
    ),
    Handling(
        "22", "a lease keeps its connection",
        "self._grip = grip.entry = None\n        entry.grip = grip\n        self._gone = how", "self._gone = how",
        ("test_lease_is_of_no_use_after_its_end",), cases="psycopg",
    ),
    Handling(
        "23", "what nobody holds any more stays lent",
        "pool.orphan_entry(entry)", "pass",
        ("test_dropped_lease_warns_and_frees_its_place",),
    ),
    Handling(
        "23", "who lost a lease, and waits for its connection, waits for himself",
        "entry.owner = None  # whoever held it: to wait for what is about to be buried is no deadlock", "pass",
        ("test_dropped_lease_warns_and_frees_its_place",), cases="psycopg and awaiting", times=2,
    ),
    # -- 24, 25: closing ------------------------------------------------------------------------
    Handling(
        "24", "a pool opens whether it was told to or not",
        'if self._core.state == "new" and self._auto_open:', 'if self._core.state == "new":',
        ("test_opens_on_first_use_unless_told_not_to",), times=6,
    ),
    Handling(
        "24", "a closed pool lets its callers queue",
        'if self.state != "open":\n            self.refuse_unless_open()', 'if self.state != "open":\n            pass',
        ("test_closed_pool_says_so_and_opens_again",), cases="not psycopg", times=2,
    ),
    Handling(
        "24", "a closed pool is used like an open one",
        'if self._state != "open":\n                raise PoolClosed(', "if False:\n                raise PoolClosed(",
        ("test_closed_pool_tells_the_way_back",), cases="psycopg",
    ),
    Handling(
        "24", "the queue of a closed pool waits on",
        "while self.waiters:\n            self._fail_first(PoolClosed(",
        "while False:\n            self._fail_first(PoolClosed(",
        ("test_close_fails_the_queue",), cases="not psycopg",
    ),
    Handling(
        "24", "the queue of a closed pool opens it again",
        'if self._state != "open":\n            ledger.end(owner, "failed")', 'if False:\n            pass',
        ("test_close_fails_the_queue",), cases="psycopg",
    ),
    Handling(
        "24", "what connects while the pool is closed is kept",
        'if entry.generation != self.generation or self.state in ("closing", "closed"):', "if False:",
        ("test_close_while_it_connects_leaves_no_session",), cases="generic",
    ),
    Handling(
        "24", "close() is not told that a ping has ended",
        'self.outcomes["failed"] += 1\n            self._settle()\n            raise PoolClosed(',
        'self.outcomes["failed"] += 1\n            raise PoolClosed(',
        ("test_close_during_a_ping_leaves_no_session",), cases="generic",
    ),
    Handling(
        "24", "whoever was pinging opens the pool again",
        'if self._state != "open":\n            ledger.end(owner, "failed")', 'if False:\n            pass',
        ("test_close_during_a_ping_leaves_no_session",), cases="psycopg",
    ),
    Handling(
        "24", "only one who closes is told that the pool is empty",
        "watchers, self.watchers = self.watchers, []", "watchers, self.watchers = self.watchers[:1], []",
        ("test_close_by_two_at_once_ends_for_both",), cases="generic",
    ),
    Handling(
        "25", "nobody says who holds a connection",
        "leftovers = tuple(self.leases())", "leftovers = ()",
        ("test_close_reports_who_still_holds_a_connection",), times=3,
    ),
    Handling(
        "25", "what runs is left to run",
        "terminated = self._terminate_all() if force and leftovers else 0", "terminated = 0",
        ("test_close_by_force_ends_what_runs_and_names_who_runs_it",), cases="generic",
    ),
    Handling(
        "25", "what runs is left to run",
        "if force and leftovers:", "if False:",
        ("test_close_by_force_ends_what_runs_and_names_who_runs_it",), cases="psycopg", times=2,
    ),
    # -- 26: fork -------------------------------------------------------------------------------
    Handling(
        "26", "a child goes on with what its parent had",
        "os.register_at_fork(after_in_child=_after_fork_in_child)", "pass",
        (
            "test_child_opens_its_own_and_leaves_those_of_its_parent_alone",
            "test_fork_while_callers_wait_loses_none_of_them",
        ),
        cases="generic",
    ),
    Handling(
        "26", "a child goes on with what its parent had",
        "os.register_at_fork(after_in_child=_forget_all_after_fork)", "pass",
        (
            "test_child_opens_its_own_and_leaves_those_of_its_parent_alone",
            "test_fork_while_callers_wait_loses_none_of_them",
        ),
        cases="psycopg",
    ),
    Handling(
        "26", "a child closes what it has inherited",
        "self._inherited.append((old, self._orphans))", "pass",
        ("test_child_opens_its_own_and_leaves_those_of_its_parent_alone",), cases="generic",
    ),
    Handling(
        "26", "a child closes what it has inherited",
        "self._inherited.append((self._home, self._ledger))", "pass",
        ("test_child_opens_its_own_and_leaves_those_of_its_parent_alone",), cases="psycopg",
    ),
    Handling(
        "26", "a child keeps the pools of its parent's loops",
        "os.register_at_fork(after_in_child=pools.forget_after_fork)", "pass",
        ("test_child_of_a_loop_has_no_pool_of_that_loop",),
    ),
    # -- 27 to 29: time -------------------------------------------------------------------------
    Handling(
        "27", "an old connection is kept at its return",
        'elif entry.expires <= now:\n            self._drop(entry, "lifetime", now)\n        elif len', "elif len",
        ("test_connection_that_grows_old_while_lent_is_closed_at_its_return",), cases="not psycopg",
    ),
    Handling(
        "27", "an old connection is kept at its return",
        "or entry.expires <= now\n            or len(self.entries)", "or len(self.entries)",
        ("test_connection_that_grows_old_while_lent_is_closed_at_its_return",), cases="psycopg",
    ),
    Handling(
        "27", "an old connection is lent",
        "if entry.expires > now:\n                return entry", "if entry:\n                return entry",
        ("test_old_connection_is_not_lent",), cases="not psycopg",
    ),
    Handling(
        "27", "an old connection is lent",
        'elif entry.expires <= now:\n                entry.reason = "lifetime"', "",
        ("test_old_connection_is_not_lent",), cases="psycopg",
    ),
    Handling(
        "28", "all live equally long",
        "now + life * (1.0 - self.config.lifetime_jitter * self.rng.random())", "now + life",
        ("test_connections_of_one_second_do_not_end_in_one_second",), cases="generic",
    ),
    Handling(
        "28", "all live equally long",
        "now + life * (1.0 - self._config.lifetime_jitter * self._rng.random())", "now + life",
        ("test_connections_of_one_second_do_not_end_in_one_second",), cases="psycopg",
    ),
    Handling(
        "29", "a pool looks at the clock on the wall",
        "clock: Callable[[], float] = STEADY", 'clock: Callable[[], float] = lambda: __import__("time").time()',
        ("test_wall_clock_may_jump",), times=6,
    ),
    Handling(
        "29", "no connection grows older while the machine sleeps",
        "return partial(time.clock_gettime, which)", "return time.monotonic",
        ("test_connection_grows_older_while_the_machine_sleeps",),
    ),
    Handling(
        "29", "what was idle for long is lent without a ping",
        "self._bypass = config.test_bypass if config.test_on_check_out else NEVER", "self._bypass = NEVER",
        ("test_machine_that_slept_finds_its_dead_connections_by_ping",), cases="generic",
    ),
    Handling(
        "29", "what was idle for long is lent without a ping",
        "self._bypass = self.config.test_bypass if self.config.test_on_check_out else NEVER", "self._bypass = NEVER",
        ("test_machine_that_slept_finds_its_dead_connections_by_ping",), cases="psycopg",
    ),
    # -- 30 to 33: limits -----------------------------------------------------------------------
    Handling(
        "30", "who waits does not hear of a raised limit",
        "self.actions.append(Tell(events.Resized(max_size, min_idle)))\n        self._grow(now)",
        "self.actions.append(Tell(events.Resized(max_size, min_idle)))",
        ("test_raised_limit_serves_who_waits",), cases="not psycopg",
    ),
    Handling(
        "30", "who waits does not hear of a raised limit",
        "home.resize(*sizes)\n            self.feed(home)", "home.resize(*sizes)",
        ("test_raised_limit_serves_who_waits",), cases="psycopg and blocking",
    ),
    Handling(
        "30", "who waits does not hear of a raised limit",
        "home.resize(*sizes)\n            await self.feed(home)", "home.resize(*sizes)",
        ("test_raised_limit_serves_who_waits",), cases="psycopg and awaiting",
    ),
    Handling(
        "30", "one too many is kept",
        'elif len(self.entries) > self.max_size:\n            self._drop(entry, "surplus", now)', "",
        ("test_lowered_limit_closes_the_surplus_at_its_return",), cases="not psycopg",
    ),
    Handling(
        "30", "one too many is kept",
        "or entry.expires <= now\n            or len(self.entries) > self.max_size", "or entry.expires <= now",
        ("test_lowered_limit_closes_the_surplus_at_its_return",), cases="psycopg",
    ),
    Handling(
        "31", "nobody looks for a deadlock",
        "if self.opening or self.testing or len(self.entries) < self.max_size or not self.entries:", "if True:",
        ("test_waiting_for_oneself_is_a_deadlock_found_at_once", "test_two_who_wait_for_each_other_are_a_deadlock"),
        cases="not psycopg",
    ),
    Handling(
        "31", "nobody looks for a deadlock",
        "if self.lent_count < self.max_size:\n            return False", "return False",
        ("test_waiting_for_oneself_is_a_deadlock_found_at_once", "test_two_who_wait_for_each_other_are_a_deadlock"),
        cases="psycopg",
    ),
    Handling(
        "31", "a full pool is a deadlock",
        "if holder is None or holder not in queued:\n                    return", "",
        ("test_holder_that_does_not_wait_is_no_deadlock",), cases="not psycopg",
    ),
    Handling(
        "31", "a full pool is a deadlock",
        "return all(one.owner in self.waiting for one in self.lent())", "return True",
        ("test_holder_that_does_not_wait_is_no_deadlock",), cases="psycopg",
    ),
    Handling(
        "32", "the last one to ask is served first",
        "waiter, _ = self.waiters.popitem(last=False)\n        while",
        "waiter, _ = self.waiters.popitem(last=True)\n        while",
        ("test_crowd_of_25_000_is_served_in_the_order_of_asking", "test_returned_connection_goes_to_who_asked_first"),
        cases="not psycopg",
    ),
    Handling(
        "33", "the queue has no end",
        "if limit is not None and len(self.waiters) >= limit and not self._could_open(now):", "if False:",
        ("test_queue_is_limited",), cases="not psycopg",
    ),
    Handling(
        "33", "the queue has no end",
        "ledger.is_crowded(limit)", "None",
        ("test_queue_is_limited",), cases="psycopg",
    ),
    Handling(
        "33", "who gave up counts as waiting",
        'ledger.end(owner, "timed_out")', "pass",
        ("test_callers_that_gave_up_do_not_fill_the_queue",), cases="psycopg",
    ),
    Handling(
        "33", "who gave up stays in the queue",
        "self.waiters.pop(waiter, None)\n        self.outcomes[outcome] += 1", "self.outcomes[outcome] += 1",
        ("test_callers_that_gave_up_do_not_fill_the_queue",), cases="generic",
    ),
    Handling(
        "33", "a timeout of 0 is none",
        "yield Wait(waiter, None if limit is None else", "yield Wait(waiter, None if not limit else",
        ("test_timeout_of_zero_serves_what_is_idle_and_else_ends_at_once",), cases="not psycopg",
    ),
    Handling(
        "33", "a timeout of 0 serves nothing",
        "max(until - self._clock(), 0.001)", "until - self._clock()",
        ("test_timeout_of_zero_serves_what_is_idle_and_else_ends_at_once",), cases="psycopg", times=2,
    ),
    Handling(
        "33", "who gave up stays in the queue",
        "self.waiters.pop(waiter, None)\n        self.outcomes[outcome] += 1", "self.outcomes[outcome] += 1",
        ("test_callers_that_gave_up_are_passed_over",), cases="generic",
    ),
    Handling(
        "33", "who gave up counts as waiting",
        'ledger.end(owner, "timed_out")', "pass",
        ("test_callers_that_gave_up_are_passed_over",), cases="psycopg",
    ),
    # -- 34, 35: loops and processes ------------------------------------------------------------
    Handling(
        "34", "a pool moves from loop to loop",
        "if self._loop is not None and not self._loop.is_closed() and self._core.entries:", "if False:",
        ("test_another_loop_is_refused_while_the_first_one_lives",),
    ),
    Handling(
        "34", "the pool of a loop does not end with it",
        "guard.asend(None).send(None)", "pass",
        ("test_asyncio_run_ends_without_close", "test_each_loop_has_its_pool_and_takes_it_along"),
    ),
    Handling(
        "34", "a worker of psycopg-pool works on when it is cancelled",
        "ending: Any = _EndingQueue(q)", "ending: Any = q",
        ("test_asyncio_run_ends_while_the_server_does_not_answer",), cases="psycopg",
    ),
    Handling(
        "34", "a pool of psycopg-pool waits for a worker that was cancelled, and closes nothing",
        "if not worker.done()]", "]",
        ("test_registry_has_a_pool_for_each_loop",), cases="psycopg",
    ),
    Handling(
        "34", "the pools of loops that are gone stay",
        "closed = [loop for loop in self._loops if loop.is_closed()]", "closed = []",
        ("test_loop_that_was_only_closed_leaves_its_sockets_to_the_next_one",),
    ),
    Handling(
        "35", "the end waits for who holds a connection",
        "atexit.register(self.close_all, 0.0)", "atexit.register(self.close_all)",
        ("test_interpreter_ends_at_once",),
    ),
    Handling(
        "35", "nobody closes psycopg-pools at the end",
        "atexit.register(_close_all)", "pass",
        ("test_interpreter_ends_at_once",), cases="psycopg", since=(3, 13),
    ),
    Handling(
        "35", "a pool that nobody holds keeps its sockets",
        "for entry in list(core.entries.values()) if core is not None else ():\n            self._drop_now(entry.conn)",
        "",
        ("test_dropped_pool_closes_its_connections_and_ends_its_threads",), cases="generic",
    ),
    Handling(
        "35", "psycopg-pool holds those who gave up, and they their pool",
        "while waiting and waiting[0].error:", "while False:",
        ("test_dropped_pool_of_a_server_that_is_down_ends_its_threads",), cases="psycopg",
    ),
    Handling(
        "35", "a pool that nobody holds keeps its threads",
        "weakref.finalize(self, gate.close).atexit = False", "pass",
        ("test_dropped_pool_of_a_server_that_is_down_ends_its_threads",), cases="psycopg",
    ),
    Handling(
        "35", "a pool that nobody holds keeps its threads",
        "weakref.finalize(self, self._keeper.wake).atexit = False", "pass",
        ("test_dropped_pool_closes_its_connections_and_ends_its_threads",), cases="generic",
    ),
    # -- 36: numbers ----------------------------------------------------------------------------
    Handling(
        "36", "numbers are read while they change",
        "with self._mutex:\n            found = self._numbers()", "if True:\n            found = self._numbers()",
        ("test_numbers_add_up_at_every_moment",), cases="blocking",
    ),
    Handling(
        "36", "what comes back before a caller is in the queue passes it by",
        "elif self.idle and (entry := self._pop_idle(now)) is not None:", "elif False:",
        ("test_caller_of_a_full_pool_misses_nothing_that_happens_before_it_waits",),
    ),
    Handling(
        "36", "a caller queues in a pool that was closed meanwhile",
        'if self.state != "open":\n            self.refuse_unless_open()\n        elif', "if",
        ("test_caller_of_a_full_pool_misses_nothing_that_happens_before_it_waits",),
    ),
    Handling(
        "36", "an error of a listener ends what goes on behind",
        'log.exception("a listener of %s failed on %s", pool, event)', "raise",
        ("test_housekeeping_lives_on_after_an_error_of_a_listener",),
    ),
    # -- SQLite ---------------------------------------------------------------------------------
    Handling(
        "many writers", "several may write at one time",
        "self.writer = replace(base, max_size=1,", "self.writer = replace(base, max_size=5,",
        ("test_writers_queue_in_turn_while_readers_read_on",),
    ),
    Handling(
        "deferred upgrade", "readers may write",
        'raw.execute("PRAGMA query_only = ON")', "pass",
        ("test_reader_cannot_become_a_writer",),
    ),
    Handling(
        "`:memory:` with a size above 1", "a database in memory has readers of its own",
        'self.is_memory = "vfs=memdb" in self.path', "self.is_memory = False",
        ("test_memory_has_one_connection_and_both_modes_see_its_rows",),
    ),
    Handling(
        "`:memory:` with a size above 1", "all have one name",
        'return f"file:/datalayer-{os.getpid()}-{next(_names)}?vfs=memdb"', 'return "file:/datalayer?vfs=memdb"',
        ("test_memory_of_two_pools_is_two_databases",),
    ),
    Handling(
        "the file is replaced or deleted", "a ping asks only what is open",
        "self._file.check(self.alias)", "pass",
        ("test_replaced_file_is_opened_anew_by_every_connection", "test_deleted_file_is_told_and_comes_back"), times=2,
    ),
    Handling(
        "a file or file system that may only be read", "what cannot be switched to the log cannot be opened",
        'startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_READONLY"))',
        'startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))',
        ("test_a_file_that_may_only_be_read_says_so",),
    ),
    Handling(
        "another program holds the lock", "it is an error like any other",
        '"BUSY": errors.LockTimeout', '"BUSY": errors.OperationalError',
        ("test_lock_of_another_program_is_waited_for_and_then_told",),
    ),
    Handling(
        "the write-ahead log cannot be made", "the error is the driver's own",
        "raise _cannot_open(name, alias, error, uri=uri) from error\n    except BaseException:",
        "raise\n    except BaseException:",
        ("test_folder_without_space_for_a_log_is_told_by_name",),
    ),
    Handling(
        "the write-ahead log cannot be made", "who finds another one writing cannot open the file",
        'startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_READONLY"))', 'startswith("SQLITE_READONLY")',
        ("test_wal_is_kept_out_while_another_writes",),
    ),
    Handling(
        "the disk is full at a commit", "it is an error like any other",
        '"FULL": errors.DiskFull', '"FULL": errors.OperationalError',
        ("test_a_full_disk_loses_nothing_that_was_committed",),
    ),
    Handling(
        "a cancelled awaiting query", "the query runs on",
        "if not job.is_delivered:\n                await self._acknowledgement(job)", "",
        ("test_cancelled_query_ends_before_its_error_goes_on",),
    ),
    Handling(
        "readers keep the log from being written back", "a reader that was given back keeps its snapshot",
        'if raw.in_transaction:\n        raw.execute("ROLLBACK")', "pass",
        ("test_idle_readers_do_not_keep_the_log_from_being_written_back",),
    ),
    Handling(
        "readers keep the log from being written back", "what is idle stays open",
        'self._drop(self.idle.popleft(), "pool_closed", now)', "self.idle.popleft()",
        ("test_close_leaves_one_file",),
    ),
    Handling(
        "threads", "a connection belongs to the thread that made it",
        "check_same_thread=False,\n            cached", "check_same_thread=True,\n            cached",
        ("test_connection_is_used_by_one_thread_after_the_other",), cases="blocking",
    ),
    Handling(
        "threads", "a thread waits for work for ever",
        "self._state.is_stopped = True\n            self._queue.put(None)", "self._state.is_stopped = True",
        ("test_thread_of_an_awaiting_connection_ends_with_it",), cases="awaiting",
    ),
]  # fmt: skip
