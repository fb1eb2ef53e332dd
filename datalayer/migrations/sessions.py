"""Sessions of PostgreSQL in words: whoever waits for one learns whose it is, and how to end it."""

from __future__ import annotations

from datetime import UTC, datetime

PARTS = "a.pid, a.usename, a.application_name, host(a.client_addr)"
"""What `named` wants of `pg_stat_activity a`, before the moment."""


def named(
    pid: int, role: str | None, program: str | None, address: str | None, since: datetime | None, state: str = ""
) -> str:
    """A session, as far as the role may know it.

    Args:
        pid: Its process on the server.
        role: Who it belongs to.
        program: What it says it is.
        address: The machine of its client; None on the same one.
        since: A moment.
        state: What has been so since then; empty where that is all of the session.
    """
    words = [f"process {pid}", role and f"role {role}", program, address and f"on {address}"]
    if since is not None:
        words.append(f"{state} since {moment(since)}".lstrip())
    return f"{', '.join(str(word) for word in words if word)}; SELECT pg_terminate_backend({pid}) ends it"


def moment(when: datetime) -> str:
    """A moment, the same for everybody."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


__all__ = ["PARTS", "moment", "named"]
