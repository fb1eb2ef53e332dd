"""Pools in virtual time: an hour of traffic, a restart or a failover in milliseconds, the same on every run.

`SimPool` is a third shell around the core that serves threads and tasks: what it decides is what they decide.
"""

from __future__ import annotations

from datalayer.pooling.testing.report import SimReport, check_stats
from datalayer.pooling.testing.server import SimConnection, SimServer
from datalayer.pooling.testing.simulation import Cancelled, Pause, SimLease, SimPool, SimStuck, SimTask

__all__ = [
    "Cancelled",
    "Pause",
    "SimConnection",
    "SimLease",
    "SimPool",
    "SimReport",
    "SimServer",
    "SimStuck",
    "SimTask",
    "check_stats",
]
