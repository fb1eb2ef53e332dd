"""Listeners ready to use: a log of slow statements, and tracing with OpenTelemetry."""

from __future__ import annotations

import logging
import threading
from typing import Any

from datalayer.databases.events import Listener, Statement
from datalayer.extras import optional


class SlowQueryLog(Listener):
    """Logs every statement that takes long, with the line that sent it and without its values.

    Args:
        seconds: From how long on.
        logger: Where to; the logger `datalayer.slow` when not given.
        level: How loud.
    """

    wants_origin = True

    def __init__(
        self, seconds: float = 0.5, *, logger: logging.Logger | None = None, level: int = logging.WARNING
    ) -> None:
        if not seconds >= 0:
            raise ValueError(f"seconds is {seconds!r}; a statement takes 0 seconds or more")
        self.seconds = seconds
        self.logger = logger or logging.getLogger("datalayer.slow")
        self.level = level

    def statement_finished(self, statement: Statement) -> None:
        """Logs it when it was slow."""
        self._look(statement)

    def statement_failed(self, statement: Statement) -> None:
        """Logs it when it was slow to fail."""
        self._look(statement)

    def _look(self, statement: Statement) -> None:
        if statement.took >= self.seconds:
            self.logger.log(
                self.level,
                "%.3f s on %r for %d rows, sent by %s: %s%s",
                statement.took,
                statement.alias,
                statement.rows,
                statement.origin,
                statement.sql,
                "" if statement.error is None else f" (failed: {type(statement.error).__name__})",
            )


class OpenTelemetryTracing(Listener):
    """Makes a span of each statement, as the semantic conventions for database clients name its attributes.

    Args:
        tracer: The tracer; one named `datalayer` of the global provider when not given.

    Raises:
        MissingExtra: opentelemetry-api is not installed.
    """

    def __init__(self, tracer: Any = None) -> None:
        if tracer is None:
            api = optional("opentelemetry.trace", "OpenTelemetryTracing() needs its API", "opentelemetry-api")
            tracer = api.get_tracer("datalayer")
        self.tracer = tracer
        self._spans: dict[int, Any] = {}
        self._lock = threading.Lock()

    def statement_started(self, statement: Statement) -> None:
        """Begins a span below the current one."""
        word = statement.sql.split(None, 1)[0].upper()
        attributes = {
            "db.system.name": statement.backend,
            "db.namespace": statement.alias,
            "db.operation.name": word,
            "db.query.text": statement.sql,
        }
        if statement.table is not None:
            attributes["db.collection.name"] = statement.table
        name = word if statement.table is None else f"{word} {statement.table}"
        span = self.tracer.start_span(name, attributes=attributes)
        with self._lock:
            self._spans[id(statement)] = span

    def statement_finished(self, statement: Statement) -> None:
        """Ends the span."""
        span = self._taken(statement)
        if statement.rows >= 0:
            span.set_attribute("db.response.returned_rows", statement.rows)
        span.end()

    def statement_failed(self, statement: Statement) -> None:
        """Ends the span with what went wrong."""
        span = self._taken(statement)
        span.set_attribute("error.type", type(statement.error).__name__)
        span.record_exception(statement.error)
        span.end()

    def _taken(self, statement: Statement) -> Any:
        with self._lock:
            return self._spans.pop(id(statement))
