"""The `datalayer` command, which `python -m datalayer` is too."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process, and give its exit code."""
    try:
        from datalayer.cli import app  # noqa: PLC0415 - so that a Ctrl-C meanwhile is heard
    except KeyboardInterrupt:  # Ctrl-C before there was anything to interrupt
        sys.stderr.write("error: interrupted; nothing was done\n")
        return 130
    return app.main()


if __name__ == "__main__":
    sys.exit(main())
