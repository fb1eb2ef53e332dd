"""The `datalayer` command: words, tables and exit codes over the layers below; nothing is decided here."""

from __future__ import annotations


def call_command(name: str, /, *arguments: object, **options: object) -> int:
    """Run a command of datalayer or of the project inside this program, as the command line would.

    What it prints goes to stdout and stderr, and it asks nothing that it would not ask there.

    Args:
        name: The command.
        arguments: What stands behind it.
        options: Its options: `fake_initial=True` is `--fake-initial`, `number=2` is `--number 2`, a list is one option
            several times; what is None or False is left out.

    Returns:
        The exit code: 1 where `--check` found work to do.

    Raises:
        CommandError: There is no such command, argument or option.
        DatalayerError: The command failed.
    """
    from datalayer.cli import own

    return own.call(name, arguments, options)
