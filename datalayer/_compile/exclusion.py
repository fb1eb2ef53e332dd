"""Exclusion constraints; apart from the column types, since they bring SQLAlchemy's dialect of PostgreSQL along."""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles

from datalayer._compile.types import BackendSql
from datalayer.errors import NotSupported


class Exclusion(postgresql.ExcludeConstraint):
    """No two rows for which all operators hold between their columns; SQLite has no such thing."""

    inherit_cache = False

    def __init__(
        self, *pairs: tuple[str, str], name: str, using: str = "gist", where: BackendSql | None = None, **more: Any
    ) -> None:
        self.pairs = tuple([(str(getattr(column, "name", column)), sign) for column, sign in pairs])
        elements: list[Any] = [(sa.column(column), sign) for column, sign in self.pairs]
        super().__init__(*elements, name=name, using=using, where=cast("Any", where), **more)


@compiles(postgresql.ExcludeConstraint, "sqlite")
def _refuse_exclusion(constraint: postgresql.ExcludeConstraint, compiler: Any, **options: Any) -> str:
    raise NotSupported(
        f"{constraint.name} is an exclusion constraint, which SQLite does not have; use PostgreSQL, or leave it out of "
        "the model"
    )
