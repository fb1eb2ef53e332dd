"""What diesel, Alembic and Django call a command, for whoever types it from habit."""

from __future__ import annotations

from collections.abc import Sequence

_MIGRATE = "datalayer migrate"
_SHOW = "datalayer showmigrations"
_COMMANDS = {
    "setup": "datalayer database create, then datalayer migrate",
    "database setup": "datalayer database create, then datalayer migrate",
    "db": "datalayer database",
    "migration": "datalayer migrate",
    "migration run": _MIGRATE,
    "migration revert": "datalayer revert",
    "migration redo": "datalayer redo",
    "migration list": _SHOW,
    "migration pending": "datalayer migrate --check",
    "migration generate": "datalayer makemigrations --sql NAME",
    "print-schema": "datalayer inspectdb",
    "completions": "datalayer --install-completion",
    "upgrade": _MIGRATE,
    "downgrade": "datalayer revert",
    "revision": "datalayer makemigrations",
    "stamp": "datalayer migrate --fake",
    "current": _SHOW,
    "heads": _SHOW,
    "history": _SHOW,
    "merge": "datalayer mergemigrations",
    "diffsettings": "datalayer settings",
    "optimizemigration": "datalayer squashmigrations",
    "sqlflush": "datalayer flush",
    "test": "pytest",
}


def here(words: Sequence[str]) -> str | None:
    """The command of datalayer that does what these words do elsewhere; None for words nobody has.

    Args:
        words: What was typed, without options.
    """
    if words[0] == "migrations":  # ours, and diesel's with one letter too many
        words = ["migration", *words[1:]]
    for number in (2, 1):
        if found := _COMMANDS.get(" ".join(words[:number])):
            return found
    return None
