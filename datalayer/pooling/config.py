"""What a pool may be told: one frozen dataclass for both worlds, checked when it is built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal, Self, TypeAlias

from datalayer.errors import PoolConfigError, choices_text, nearest
from datalayer.late import dataclass
from datalayer.pooling.timeouts import is_beyond_floats

QueueStrategy: TypeAlias = Literal["lifo", "fifo"]
OnDeadlock: TypeAlias = Literal["raise", "warn", "ignore"]

_WHOLE = {"max_size": 0, "min_idle": 0, "max_opening": 1}
_OPTIONAL_WHOLE = {"max_uses": 1, "max_waiting": 0}
_SECONDS = (
    "connect_timeout", "validation_timeout", "reset_timeout", "close_timeout", "reaper_rate", "backoff_initial",
    "backoff_max", "queue_interval",
)  # fmt: skip
_OPTIONAL_SECONDS = ("max_lifetime", "idle_timeout", "keepalive", "leak_threshold", "queue_target", "unavailable_after")
_SHARES = ("lifetime_jitter", "backoff_jitter")
_SWITCHES = ("test_on_check_out", "retry_connection", "fail_fast")
_CHOICES = {"queue_strategy": ("lifo", "fifo"), "on_deadlock": ("raise", "warn", "ignore")}


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """How big a pool may grow, how long things may take, and what happens when they do not.

    All times are seconds; None switches the rule off (`connection_timeout=None` waits for ever).

    Args:
        max_size: The most connections at one time, those being opened included.
        min_idle: Idle connections kept ready; 0 opens nothing before the first use.
        connection_timeout: The whole of an acquire, waiting, opening and ping included.
        connect_timeout: One attempt to open a connection.
        validation_timeout: One ping.
        reset_timeout: One clean-up at the return of a connection.
        close_timeout: How long `close()` waits for connections that are lent out.
        max_lifetime: A connection older than this is replaced, but never while it is lent out.
        lifetime_jitter: Share of `max_lifetime` taken off at random, so that not all end together.
        idle_timeout: An idle connection unused for so long is closed, down to `min_idle`; one whose turn has not come
            yet (see `reaper_rate`) is pinged and lent.
        keepalive: Idle connections are pinged so often.
        max_uses: A connection is replaced after so many uses.
        reaper_rate: Idle connections are looked through at most so often.
        queue_strategy: Which idle connection is lent first, the last returned (`lifo`) or the first (`fifo`).
        test_on_check_out: Whether an idle connection is pinged before it is lent.
        test_bypass: The ping is skipped for a connection used within this time.
        max_waiting: The most callers in the queue; the next one gets `TooManyWaiting`.
        max_opening: The most connections opened at one time.
        retry_connection: Whether a failed attempt is repeated while callers wait; False fails them at once.
        backoff_initial: The pause after the first failed attempt; it doubles with each one.
        backoff_max: The longest pause between two attempts; while somebody waits it is a second at most.
        backoff_jitter: Share of the pause taken off at random.
        unavailable_after: Failing for so long counts as an outage.
        fail_fast: Whether callers get `PoolUnavailable` at once during an outage.
        leak_threshold: A connection lent out for longer is reported as a suspected leak.
        on_deadlock: What happens when everybody who holds a connection waits for another one.
        queue_target: The waiting time above which the queue sheds load.
        queue_interval: How long the queue must be above `queue_target` before it does.

    Raises:
        PoolConfigError: A value is of the wrong type or out of its range.
    """

    max_size: int = 10
    min_idle: int = 0
    connection_timeout: float | None = 30.0
    connect_timeout: float = 10.0
    validation_timeout: float = 5.0
    reset_timeout: float = 5.0
    close_timeout: float = 5.0
    max_lifetime: float | None = 1800.0
    lifetime_jitter: float = 0.10
    idle_timeout: float | None = 600.0
    keepalive: float | None = None
    max_uses: int | None = None
    reaper_rate: float = 30.0
    queue_strategy: QueueStrategy = "lifo"
    test_on_check_out: bool = True
    test_bypass: float = 0.0
    max_waiting: int | None = None
    max_opening: int = 4
    retry_connection: bool = True
    backoff_initial: float = 0.2
    backoff_max: float = 10.0
    backoff_jitter: float = 0.5
    unavailable_after: float | None = 5.0
    fail_fast: bool = False
    leak_threshold: float | None = None
    on_deadlock: OnDeadlock = "raise"
    queue_target: float | None = None
    queue_interval: float = 1.0

    def __post_init__(self) -> None:
        for name, low in _WHOLE.items():
            _whole(name, getattr(self, name), low)
        for name, low in _OPTIONAL_WHOLE.items():
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), low)
        for name in _SECONDS:
            _number(name, getattr(self, name), above=0.0)
        for name in _OPTIONAL_SECONDS:
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), above=0.0)
        for name in ("connection_timeout", "test_bypass"):
            if getattr(self, name) is not None or name == "test_bypass":
                _number(name, getattr(self, name), low=0.0)
        for name in _SHARES:
            _number(name, getattr(self, name), low=0.0, high=1.0)
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise PoolConfigError(f"{name}={getattr(self, name)!r} is no switch: use True or False")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                hint = nearest(str(getattr(self, name)), choices)
                raise PoolConfigError(f"{name}={getattr(self, name)!r} is not one of {choices_text(choices)}{hint}")
        if self.min_idle > self.max_size:
            raise PoolConfigError(
                f"min_idle={self.min_idle} is more than max_size={self.max_size}: lower min_idle or raise max_size"
            )
        if self.backoff_max < self.backoff_initial:
            raise PoolConfigError(
                f"backoff_max={self.backoff_max} is less than backoff_initial={self.backoff_initial}: raise backoff_max"
            )

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> Self:
        """Builds the configuration from the `pool = {...}` table of a settings file.

        Raises:
            PoolConfigError: An option does not exist, or its value is wrong.
        """
        names = {field.name for field in fields(cls)}
        for name in options:
            if name not in names:
                raise PoolConfigError(
                    f"unknown pool option {name!r}{nearest(name, names)}; the options are {choices_text(names)}"
                )
        return cls(**options)

    def resized(self, max_size: int | None, min_idle: int | None) -> Self:
        """The same with other limits; None keeps one.

        Raises:
            PoolConfigError: A limit is out of its range.
        """
        return replace(
            self,
            max_size=self.max_size if max_size is None else max_size,
            min_idle=self.min_idle if min_idle is None else min_idle,
        )


def chosen(config: PoolConfig | None, usual: PoolConfig) -> PoolConfig:
    """The configuration that a pool was given, or the usual one.

    Raises:
        PoolConfigError: It was given something else.
    """
    if config is not None and not isinstance(config, PoolConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
        hint = ": use PoolConfig.from_mapping() for it" if isinstance(config, Mapping) else ": use PoolConfig(...)"
        raise PoolConfigError(f"config={config!r} is no PoolConfig{hint}")
    return usual if config is None else config


def refuse_no_room(config: PoolConfig) -> None:
    """Raises when a pool of this size could never lend anything.

    Raises:
        PoolConfigError: `max_size` is 0.
    """
    if config.max_size < 1:
        raise PoolConfigError(
            f"max_size={config.max_size} is out of range: use 1 or more; NullPool and AsyncNullPool keep nothing"
        )


def _whole(name: str, value: object, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise PoolConfigError(f"{name}={value!r} is no whole number: use an int of {low} or more")
    if value < low:
        raise PoolConfigError(f"{name}={value!r} is out of range: use {low} or more")


def _number(
    name: str, value: object, *, above: float | None = None, low: float | None = None, high: float = math.inf
) -> None:
    wanted = f"more than {above:g}" if above is not None else f"{low:g} or more" if low is not None else "a number"
    if high != math.inf:
        wanted = f"a number from {low:g} to {high:g}"
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        raise PoolConfigError(f"{name}={value!r} is no number: use {wanted}")
    if is_beyond_floats(value):
        raise PoolConfigError(f"{name} is out of range, a number of more than 308 digits: use {wanted}")
    if (above is not None and value <= above) or (low is not None and value < low) or value > high:
        raise PoolConfigError(f"{name}={value!r} is out of range: use {wanted}")
