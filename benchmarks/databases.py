"""Empty databases for the targets of a measurement."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
"""What a private server is told besides: a commit waits for the disk, as it does for everybody."""


@contextmanager
def databases(backend: str, targets: Sequence[str]) -> Iterator[dict[str, str]]:
    """An empty database for each target."""
    with tempfile.TemporaryDirectory(prefix="datalayer-bench-") as folder:
        if backend == "sqlite":
            yield {target: f"sqlite:///{folder}/{target}.sqlite3" for target in targets}
            return
        import psycopg

        from tests import postgres_server

        given = os.environ.get("DATALAYER_TEST_POSTGRES_URL")
        server = None if given else postgres_server.start(DURABLE)
        url = given or (server.url if server else "")
        names = {target: f"datalayer_bench_{os.getpid()}_{target.replace('-', '_')}" for target in targets}
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                for name in names.values():
                    connection.execute(f"CREATE DATABASE {name}".encode())
                yield {target: urlsplit(url)._replace(path=f"/{name}").geturl() for target, name in names.items()}
                for name in names.values():
                    connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        finally:
            if server is not None:
                server.stop()
