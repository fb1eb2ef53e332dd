"""`check`: looks for problems without changing anything; returns values and prints nothing."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.exc import DBAPIError

from datalayer._compile import tables as compiled
from datalayer.errors import DatalayerError, MigrationError
from datalayer.migrations import config
from datalayer.migrations.describing import describe
from datalayer.migrations.drift import drift
from datalayer.migrations.environment import Environment
from datalayer.migrations.findings import Checked, Finding
from datalayer.migrations.history import History, newest_of
from datalayer.migrations.lint import lint
from datalayer.migrations.making import makemigrations
from datalayer.migrations.state import State


def check(alias: str = "default", *, schema: bool = False, fails_on_warnings: bool = False) -> Checked:
    """Looks for problems without changing anything: models, the history, drift between them, dangers, the database.

    Args:
        alias: The database; the linter looks at what it does not have yet.
        schema: Whether the live schema is compared with the migrations.
        fails_on_warnings: Whether the linter's warnings count as failures.
    """
    findings: list[Finding] = []
    history: History | None = None
    try:
        history = config.history()
        history.states()
    except DatalayerError as error:
        findings.append(Finding("migrations", str(error)))
        history = None
    models: State | None = None
    try:
        models = describe(compiled.to_metadata(config.tables()))
    except DatalayerError as error:
        findings.append(Finding("models", str(error), cause=error))
    else:
        if history is not None:
            findings += _drift()
    if history is not None:
        findings += _database(alias, models, schema)
    return Checked(tuple(findings), fails_on_warnings)


def _drift() -> list[Finding]:
    try:
        found = makemigrations(check=True)
    except MigrationError as error:
        return [Finding("drift", str(error))]
    if not found.has_changes:
        return []
    what = "; ".join(found.summaries)
    return [Finding("drift", f"the models have changes that are in no migration: {what}; run datalayer makemigrations")]


def _database(alias: str, models: State | None, schema: bool) -> list[Finding]:
    """What a database lacks, and what it has in another form."""
    try:
        environment = config.environment(alias)
        applied = environment.known(environment.applied())
        left = environment.steps_to(environment.history.head, applied, out_of_order=True)
    except DatalayerError as error:
        return [Finding("database", str(error))]
    found: list[Finding] = []
    if left:
        names = newest_of([step.name for step in left])
        found.append(Finding("pending", f"database {alias!r} lacks {names}; run datalayer migrate", is_error=False))
    if schema and environment.url.has_no_file:
        found.append(Finding("database", environment.url.without_file(alias)))
    elif schema:
        try:
            found += [Finding("schema", text) for text in drift(environment, applied, models)]
        except DBAPIError as error:
            reason = " ".join(str(error.orig).split())
            message = f"the schema of database {alias!r} cannot be compared: {reason}"
            found.append(Finding("database", message))
    found += _dangers(environment, applied.names, models)
    for one in applied.edited(environment.history):
        message = (
            f"{one.name} was edited after database {alias!r} had it, which changes nothing there; put the file back "
            "and write a new migration, or take it as it is with migrate --fake"
        )
        found.append(Finding("edited", message, is_error=False))
    return found


def _dangers(environment: Environment, applied: Collection[str], models: State | None) -> list[Finding]:
    """What the linter says of the migrations that the database does not have."""
    found: list[Finding] = []
    states = environment.history.states()
    newest = environment.history.head
    for place, one in enumerate(environment.history.order):
        # Nobody uses a database that has nothing yet; there, the newest file is what somebody works on.
        if one.name not in applied and (applied or one.name == newest):
            try:
                found += lint(one, states[place], environment.url.backend, models)
            except MigrationError as error:
                found.append(Finding("migrations", str(error)))
    return found
