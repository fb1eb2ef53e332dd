"""Test databases that stay for the next run: what each was made of is noted beside it, and anything else is made anew.

A note in pytest's cache would not do: another run may have replaced the database since. It is the comment of a database
of PostgreSQL, and a file beside one of SQLite, written when all is done.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from datalayer._links.link import BackendName
from datalayer.conf import DatabaseUrl, settings
from datalayer.databases import whole

_MARK = "datalayer test database, made of "


def migration_files() -> list[Path]:
    """The migrations of the project; none where tables come from the models."""
    return sorted(Path(settings.migrations).glob("[0-9]*"))


def made_of(backend: BackendName) -> str:
    """A digest of what a test database is made of: every file of the migrations, or the statements of the models."""
    digest = hashlib.sha256()
    if migration_files():
        folder = Path(settings.migrations)
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                digest.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
                digest.update(file.read_bytes())
    else:
        for statement in _statements(backend):
            digest.update(f"{statement}\0".encode())
    return digest.hexdigest()


def _statements(backend: BackendName) -> list[str]:
    # Imported here: they are only needed where something is made.
    from datalayer._compile.tables import create_all_statements  # noqa: PLC0415
    from datalayer.models import modules, registry  # noqa: PLC0415

    modules.imported(settings.models)
    return create_all_statements([table for table in registry.tables() if table.view is None], backend, [])


def kept(url: DatabaseUrl) -> str | None:
    """What the database of an earlier run was made of; None where there is none, or it was never finished."""
    if url.backend == "postgresql":
        said = whole.description(url)
        return said.removeprefix(_MARK) if said is not None and said.startswith(_MARK) else None
    note = _note(url)
    return note.read_text("utf-8") if note.exists() and whole.exists(url) else None


def note(url: DatabaseUrl, made_of: str) -> None:
    """Notes what a database was made of, now that it is done."""
    if url.backend == "postgresql":
        whole.describe(url, _MARK + made_of)
    else:
        _note(url).write_text(made_of, "utf-8")


def forget(url: DatabaseUrl) -> None:
    """Takes the note away: the database is about to be made. That of PostgreSQL went with the one before."""
    if url.backend == "sqlite":
        _note(url).unlink(missing_ok=True)


def _note(url: DatabaseUrl) -> Path:
    return Path(url.database + ".made-of")
