"""`check`: looks for problems without changing anything; returns values and prints nothing."""

from __future__ import annotations

from datalayer.errors import DatalayerError, MigrationError
from datalayer.migrations import config
from datalayer.migrations.findings import Checked, Finding
from datalayer.migrations.history import History
from datalayer.migrations.making import makemigrations


def check(alias: str = "default") -> Checked:
    """Looks for problems without changing anything: models, the history, drift between them, the database."""
    findings: list[Finding] = []
    history: History | None = None
    try:
        history = config.history()
        history.states()
    except DatalayerError as error:
        findings.append(Finding("migrations", str(error)))
        history = None
    try:
        config.tables()
    except DatalayerError as error:
        findings.append(Finding("models", str(error)))
    else:
        if history is not None:
            findings += _drift()
    if history is not None:
        findings += _database(alias)
    return Checked(tuple(findings))


def _drift() -> list[Finding]:
    try:
        found = makemigrations(check=True)
    except MigrationError as error:
        return [Finding("drift", str(error))]
    if not found.has_changes:
        return []
    what = "; ".join(found.summaries)
    return [Finding("drift", f"the models have changes that are in no migration: {what}; run datalayer makemigrations")]


def _database(alias: str) -> list[Finding]:
    """What a database lacks, and what it has in another form."""
    try:
        environment = config.environment(alias)
        applied = environment.known(environment.applied())
        left = environment.steps_to(environment.history.head, applied, out_of_order=True)
    except DatalayerError as error:
        return [Finding("database", str(error))]
    found: list[Finding] = []
    if left:
        names = ", ".join(step.name for step in left)
        found.append(Finding("pending", f"database {alias!r} lacks {names}; run datalayer migrate", is_error=False))
    for one in applied.edited(environment.history):
        message = (
            f"{one.name} was edited after database {alias!r} had it, which changes nothing there; put the file back "
            "and write a new migration, or take it as it is with migrate --fake"
        )
        found.append(Finding("edited", message, is_error=False))
    return found
