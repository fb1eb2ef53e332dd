"""Who else is connected to a database of PostgreSQL."""

from __future__ import annotations

from datalayer._compile import sessions
from datalayer._plans.plan import Command, Plan


def others() -> Plan[tuple[dict[str, int], int]]:
    """How many other sessions are in each state, and how many the server allows in all."""
    found = yield Command(sessions.STATES)
    limit = yield Command(sessions.LIMIT)
    return {str(state): int(str(count)) for state, count in found.rows}, int(str(limit.rows[0][0]))
