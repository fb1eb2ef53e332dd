"""Models that exist for one test only."""

from __future__ import annotations

import contextlib
from collections.abc import Generator


@contextlib.contextmanager
def isolated_models() -> Generator[None]:
    """Inside, only models declared inside are known, and afterwards they are forgotten.

    Names of relations are resolved among them, `create_tables()` makes their tables only, and a class of the same name
    elsewhere is in nobody's way. The models themselves go on working where they are kept.
    """
    from datalayer.models import registry  # noqa: PLC0415  (models are only needed when they are declared)

    with registry.isolated():
        yield
        registry.resolve()
