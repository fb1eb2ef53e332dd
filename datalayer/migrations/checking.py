"""`check`: looks for problems without changing anything; returns values and prints nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy.exc import DBAPIError

from datalayer import checks
from datalayer._compile import tables as compiled
from datalayer.checks import Finding
from datalayer.conf import is_configured, settings
from datalayer.errors import ConfigurationError, DatalayerError, MigrationError, nearest
from datalayer.migrations import config
from datalayer.migrations.deploying import CODES, deployment
from datalayer.migrations.describing import describe
from datalayer.migrations.drift import drift
from datalayer.migrations.environment import Environment
from datalayer.migrations.findings import Checked
from datalayer.migrations.history import History, newest_of
from datalayer.migrations.lint import lint
from datalayer.migrations.making import makemigrations
from datalayer.migrations.records import Applied
from datalayer.migrations.rules import RULES
from datalayer.migrations.state import State

TAGS = {
    "models": "whether the models can be built, and whether the migrations say what they say",
    "migrations": "whether the files can be read, and follow one another",
    "database": "whether it can be reached, which migrations it lacks, and which were edited after it had them",
    "own": "what the checks of the project find, which @register of datalayer.checks has made known",
    "dangers": "what the migrations that it lacks do to tables in use",
    "schema": "whether its live schema is what migrations and models say",
    "deploy": "what is no good in production, of the settings and of the server",
}
"""What `check` can look at, and what that means."""

_NEVER_SILENT = frozenset({"models", "migrations", "drift", "database", "schema"})
_KNOWN = frozenset({"pending", "edited", "B102", *RULES, *CODES})
_ONLY_WHEN_ASKED = frozenset({"schema", "deploy"})


def check(
    alias: str = "default",
    *,
    schema: bool = False,
    deploy: bool = False,
    tags: Collection[str] = (),
    fails_on_warnings: bool = False,
) -> Checked:
    """Looks for problems without changing anything: models, the history, drift between them, dangers, the database.

    Args:
        alias: The database; the linter looks at what it does not have yet.
        schema: Whether the live schema is compared with the migrations.
        deploy: Whether what is no good in production is looked for.
        tags: What alone is looked at, of `TAGS`; all but schema and deploy when left out.
        fails_on_warnings: Whether warnings count as failures.

    Raises:
        MigrationError: There is no such tag.
    """
    for tag in tags:
        if tag not in TAGS:
            raise MigrationError(f"no tag {tag!r}; the tags are {', '.join(TAGS)}{nearest(tag, TAGS)}")
    chosen = set(tags) or set(TAGS) - _ONLY_WHEN_ASKED
    chosen |= {tag for tag, is_asked in (("schema", schema), ("deploy", deploy)) if is_asked}
    findings: list[Finding] = []
    history: History | None = None
    if chosen != {"deploy"}:
        try:
            history = config.history()
            history.states()
        except DatalayerError as error:
            findings.append(Finding("migrations", str(error)))
            history = None
    models: State | None = None
    is_readable = False
    if chosen - {"migrations", "deploy"}:
        try:
            models = describe(compiled.to_metadata(config.tables())) if config.has_models() else None
        except DatalayerError as error:
            if "models" in chosen:
                findings.append(Finding("models", str(error), cause=error))
        else:
            is_readable = True
            if "models" in chosen and is_configured() and alias in settings.databases:
                findings += _lacking(alias)
            if history is not None and models is not None and "models" in chosen:
                findings += _drift()
    if history is not None and chosen & {"database", "dangers", "schema"}:
        findings += _database(alias, models, chosen)
    if "own" in chosen and is_readable:
        findings += checks.run()
    if "deploy" in chosen:
        findings += deployment(alias)
    return Checked(tuple(_told(findings)), fails_on_warnings)


def _told(findings: list[Finding]) -> Iterator[Finding]:
    """The findings that `silenced_checks` of the settings leaves.

    Raises:
        ConfigurationError: It names what must not be silent, or what no finding is called.
    """
    silenced = set(settings.silenced_checks) if is_configured() else set[str]()
    for code in silenced & _NEVER_SILENT:
        raise ConfigurationError(
            f"silenced_checks names {code!r}, and without its message nobody knows why the check fails; name the codes "
            "of warnings and of checks of your own, such as 'M103' and 'shop.W001'"
        )
    for code in sorted(silenced - _KNOWN):
        if not checks.is_own(code):
            raise ConfigurationError(
                f"silenced_checks names {code!r}, and no finding is called so{nearest(code, _KNOWN)}; codes are "
                "such as 'M103', or 'shop.W001' of a check of your own"
            )
    return (one for one in findings if one.code not in silenced)


def _lacking(alias: str) -> Iterator[Finding]:
    """What the models say and the backend does not do."""
    if settings.databases[alias].url.backend != "sqlite":
        return
    for table in config.tables():
        for rule in (rule for rule in table.unique if rule.initially is not None):
            text = (
                f"{table.model} says deferrable of the unique constraint on {', '.join(rule.fields)}, and SQLite "
                "checks it with each row: two rows that change places need a third value in between"
            )
            yield Finding("B102", text, is_error=False)


def _drift() -> list[Finding]:
    try:
        found = makemigrations(check=True)
    except MigrationError as error:
        return [Finding("drift", str(error))]
    if not found.has_changes:
        return []
    what = "; ".join(found.summaries)
    return [Finding("drift", f"the models have changes that are in no migration: {what}; run datalayer makemigrations")]


def _database(alias: str, models: State | None, tags: Collection[str]) -> list[Finding]:
    """What a database lacks, and what it has in another form."""
    try:
        environment = config.environment(alias)
        applied = environment.known(environment.applied())
        left = environment.steps_to(environment.history.head, applied, out_of_order=True)
    except DatalayerError as error:
        return [Finding("database", str(error))]
    found: list[Finding] = []
    if left and "database" in tags:
        names = newest_of([step.name for step in left])
        found.append(Finding("pending", f"database {alias!r} lacks {names}; run datalayer migrate", is_error=False))
    if "schema" in tags:
        found += _schema(alias, environment, applied, models)
    if "dangers" in tags:
        found += _dangers(environment, applied.names, models)
    for one in applied.edited(environment.history) if "database" in tags else ():
        message = (
            f"{one.name} was edited after database {alias!r} had it, which changes nothing there; put the file back "
            "and write a new migration, or take it as it is with migrate --fake"
        )
        found.append(Finding("edited", message, is_error=False))
    return found


def _schema(alias: str, environment: Environment, applied: Applied, models: State | None) -> list[Finding]:
    if environment.url.has_no_file:
        return [Finding("database", environment.url.without_file(alias))]
    try:
        return [Finding("schema", text) for text in drift(environment, applied, models)]
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        if "permission denied for database" in reason:
            name = (environment.url.database or "").replace('"', '""')
            reason += (
                f'; comparing makes a schema there and takes it back, which needs GRANT CREATE ON DATABASE "{name}", '
                "or ask as the role that migrates"
            )
        return [Finding("database", f"the schema of database {alias!r} cannot be compared: {reason}")]


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
