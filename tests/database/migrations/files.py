"""Migration folders of the tests: files that are written, and what the database then has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from datalayer.migrations import config
from datalayer.migrations.records import OWN_TABLES

PYTHON = '''"""{name}."""

import sqlalchemy as sa
from alembic import op

from datalayer.migrations import types

revision = "{name}"
down_revision = {after!r}


def upgrade() -> None:
{up}


def downgrade() -> None:
{down}
'''


def python(folder: Path, name: str, after: str | tuple[str, ...] | None, up: str, down: str = "    pass") -> None:
    """Writes a Python migration."""
    (folder / f"{name}.py").write_text(PYTHON.format(name=name, after=after, up=up, down=down))


def table(name: str) -> tuple[str, str]:
    """The bodies of a migration that makes a table, and of its way back."""
    return (
        f'    op.create_table("{name}", sa.Column("id", types.BigInteger(), primary_key=True))',
        f'    op.drop_table("{name}")',
    )


def pair(folder: Path, name: str, up: str, down: str | None = None) -> None:
    """Writes a plain SQL migration as two files."""
    (folder / f"{name}.up.sql").write_text(up)
    if down is not None:
        (folder / f"{name}.down.sql").write_text(down)


def diesel(folder: Path, name: str, up: str, down: str | None = None, metadata: str | None = None) -> None:
    """Writes a plain SQL migration as a folder."""
    made = folder / name
    made.mkdir()
    (made / "up.sql").write_text(up)
    if down is not None:
        (made / "down.sql").write_text(down)
    if metadata is not None:
        (made / "metadata.toml").write_text(metadata)


def tables() -> list[str]:
    """The tables there are, but for ours."""
    with config.environment("default").connect() as connection:
        return sorted(set(sa.inspect(connection).get_table_names()) - OWN_TABLES - {"sqlite_sequence"})


def rows(query: str) -> list[tuple[Any, ...]]:
    """What a query finds."""
    with config.environment("default").connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def run(*statements: str) -> None:
    """Runs statements as they are."""
    with config.environment("default").connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        connection.commit()
