"""What every connector and every pool must do: checks to run on one's own.

`connector_checks` and `pool_checks` give them one by one, for a test of pytest or a loop by hand. The pools of this
package are tested with them.
"""

from __future__ import annotations

from datalayer.pooling.testing.conformance.cases import ConnectorCase, Making, PoolCase
from datalayer.pooling.testing.conformance.check import Check
from datalayer.pooling.testing.conformance.checks import connector_checks, pool_checks

__all__ = ["Check", "ConnectorCase", "Making", "PoolCase", "connector_checks", "pool_checks"]
