"""What a server is asked about all its clients, whichever program they are of."""

from __future__ import annotations

STATES = """
SELECT coalesce(state, 'starting'), count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY state ORDER BY count(*) DESC, 1
"""
LIMIT = "SELECT current_setting('max_connections')"
