"""How long a caller is ready to wait, as `acquire` is told."""

from __future__ import annotations

import sys
from typing import Final, TypeAlias

from datalayer.errors import PoolConfigError


class DefaultTimeout:
    """Marks a timeout that was not given, since None means: wait for ever."""

    def __repr__(self) -> str:
        return "<the pool's own>"


DEFAULT: Final = DefaultTimeout()
Timeout: TypeAlias = float | DefaultTimeout | None


def check_timeout(timeout: Timeout) -> None:
    """Refuses what is no time to wait.

    Raises:
        PoolConfigError: It is no number of seconds, or less than 0.
    """
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if is_number and is_beyond_floats(timeout):
        raise PoolConfigError("a timeout of more than 308 digits is no time to wait: use None to wait for ever")
    if timeout is not None and not isinstance(timeout, DefaultTimeout) and not (is_number and timeout >= 0):
        raise PoolConfigError(
            f"timeout={timeout!r} is no time to wait: use seconds, 0 or more, or None to wait for ever"
        )


def is_beyond_floats(number: object) -> bool:
    """Whether it is a whole number with which no clock can be asked: one that is larger than any float."""
    return isinstance(number, int) and abs(number) > sys.float_info.max
