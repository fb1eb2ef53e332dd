"""`python -m datalayer` is the `datalayer` command."""

from __future__ import annotations

import sys

from datalayer.cli.app import main

sys.exit(main())
