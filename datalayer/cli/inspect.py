"""Commands that show and change nothing."""

from __future__ import annotations

from datalayer.cli import output
from datalayer.cli.here import enter_project


def settings() -> None:
    """Show every setting in force and where it came from.

    Passwords and secrets are shown as stars. In a pipe the columns are separated by tabs.

    \b
    Examples:
      datalayer settings
      datalayer settings | grep url
    """
    enter_project()
    from datalayer.conf import effective

    output.table(("setting", "value", "origin"), effective())


COMMANDS = (settings,)
