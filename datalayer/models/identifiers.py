"""UUIDs of version 7 (RFC 9562): made anywhere, ordered by time, so that indexes grow at their end."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """A UUID that is greater than every one made before in this process."""
    global _last
    with _lock:
        moment = time.time_ns() // 1_000_000
        # 74 random bits after the version and variant; one more than the last where the clock stood still.
        number = (moment << 74) | (int.from_bytes(os.urandom(10), "big") & ((1 << 74) - 1))
        if number <= _last:
            number = _last + 1 + int.from_bytes(os.urandom(4), "big")
        _last = number
    stamp, high, low = number >> 74, (number >> 62) & 0xFFF, number & ((1 << 62) - 1)
    return UUID(int=(stamp << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | low)
