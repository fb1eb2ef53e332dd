"""`squashmigrations`: folds the oldest migrations into one that stands for them.

The new one has the name of the last it replaces, so what follows it need not be touched and a database that has them
all is where it was. The old files move to `squashed/`, for databases that are still in the middle of them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from alembic.operations import ops
from alembic.operations.ops import MigrateOperation

from datalayer.errors import MigrationError
from datalayer.migrations import config, files, scripts
from datalayer.migrations._alembic import as_op
from datalayer.migrations.alone import alone
from datalayer.migrations.autogenerate import difference
from datalayer.migrations.filling import Answers
from datalayer.migrations.history import History, Migration
from datalayer.migrations.making import MadeMigration
from datalayer.migrations.operations import Recording, recording_context
from datalayer.migrations.scripts import PythonMigration, SqlMigration
from datalayer.migrations.state import State

_EXISTING_ROWS = re.compile(r"\s*(UPDATE|DELETE)\b", re.IGNORECASE)


@alone
def squashmigrations(target: str | None = None) -> MadeMigration:
    """Folds the migrations up to a target into one that stands for them.

    Args:
        target: The last to fold, by number or name; the newest when left out.

    Raises:
        MigrationError: There are fewer than two, or one does what cannot be folded; then nothing is changed.
    """
    history = config.history()
    if (made := _finish(history.folder)) is not None:
        return made
    history = config.history()
    history.states()
    name = history.find(target)
    if name is None:
        why = "zero is no migration to fold up to" if history.names else f"{history.folder.name!r} holds none"
        raise MigrationError(f"there is nothing to fold: {why}")
    chosen = history.order[: history.place(name) + 1]
    if any(one.name not in history.closure(name) for one in chosen):
        raise MigrationError(
            f"{name!r} has a branch beside it; fold up to the migration that merges them, or a later one"
        )
    if len(chosen) < 2:
        raise MigrationError(f"there is nothing to fold up to {name!r}: it is the first migration")
    replaced = list(dict.fromkeys([old for one in chosen for old in (*one.replaces, one.name)]))
    if all(isinstance(one, SqlMigration) for one in chosen):
        texts = _sql([one for one in chosen if isinstance(one, SqlMigration)], replaced)
    else:
        texts = {f"{name}.py": _python(history, chosen, replaced)}
    return _exchange(history.folder, chosen, name, texts)


def _python(history: History, chosen: Sequence[Migration], replaced: list[str]) -> str:
    state: State = {}
    inserts = False
    for one in chosen:
        if isinstance(one, PythonMigration):
            recording = _Folding(state)
            with as_op(recording):
                one.function(True)()
            state = recording.state
            said = recording.beyond(inserts)
            inserts = inserts or recording.inserts
        else:
            said = "plain SQL"
        if said and not one.is_elidable:
            raise MigrationError(
                f"{one.name} does more than change tables ({said}), which a new database would lack; fold up to the "
                "one before it, or, where a new database can do without, say so in the file: "
                f"{'--' if one.is_sql else '#'} datalayer: elidable = true"
            )
    answers = Answers({}, takes_zero=True)
    up = difference({}, state, renames={}, answers=answers)
    down = difference(state, {}, renames={}, answers=answers)
    last = chosen[-1]
    return files.squash_text(last.name, up, down, replaced[:-1], last.checksum)


class _Folding(Recording):
    """Keeps the state, and notes what the state does not show."""

    def __init__(self, state: State) -> None:
        super().__init__(recording_context("sqlite"), state)
        self.inserts = False
        self.asks = False

    def invoke(self, operation: MigrateOperation) -> Any:
        self.inserts = self.inserts or isinstance(operation, ops.BulkInsertOp)
        super().invoke(operation)

    def get_bind(self) -> Any:
        self.asks = True
        return super().get_bind()

    def beyond(self, inserted_before: bool) -> str:
        """What it does beyond changing tables; rows that exist are no matter where nothing was ever put in."""
        said = [" ".join(text.split()) for text in self.said]
        self.inserts = self.inserts or self.changes_rows or any(not _EXISTING_ROWS.match(text) for text in said)
        if said and (self.inserts or inserted_before):
            return f"op.execute({said[0][:40]!r})"
        if self.inserts or self.asks:
            return "it changes rows"
        return ""


def _sql(chosen: Sequence[SqlMigration], replaced: list[str]) -> dict[str, str]:
    for one in chosen:
        if not one.is_atomic:
            raise MigrationError(f"{one.name} runs without a transaction, so it cannot be folded with others")
    last = chosen[-1]
    head = f"-- datalayer: replaces = {', '.join(replaced[:-1])}\n-- datalayer: checksum = {last.checksum}\n"
    texts = {scripts.UP: head + "".join(_piece(one.name, one.source) for one in chosen)}
    if all(one.down is not None for one in chosen):
        texts[scripts.DOWN] = "".join(_piece(one.name, one.down or "") for one in reversed(chosen))
    if last.path.is_dir():
        return {f"{last.name}/{end}": text for end, text in texts.items()}
    return {f"{last.name}.{end}": text for end, text in texts.items()}


def _piece(name: str, text: str) -> str:
    bare = "\n".join(line for line in text.rstrip().splitlines() if "datalayer:" not in line)
    return f"\n-- {name}\n{bare}\n;\n"


def _exchange(folder: Path, chosen: Sequence[Migration], name: str, texts: dict[str, str]) -> MadeMigration:
    ready: dict[Path, Path] = {}
    for relative, text in texts.items():  # before anything moves
        waiting = folder / f".{relative.replace('/', '.')}.new"
        ready[folder / relative] = files.prepare(waiting, folder / relative, text)
    try:
        (folder / scripts.SQUASHED).mkdir(exist_ok=True)
    except OSError as error:
        for waiting in ready.values():
            waiting.unlink()
        raise MigrationError(f"cannot make the folder {scripts.SQUASHED!r}: {error.strerror}") from error
    # Whenever this is stopped, the folder is the old history or the new one: what is replaced is kept first, and what
    # is still there of it when the new file has its place counts no more. A way back never stands beside a way there
    # that is not its own: for a moment there is none.
    _keep(folder, chosen)
    old_down = _down(chosen[-1])
    if old_down is not None:
        old_down.unlink(missing_ok=True)
    placed = [files.place(waiting, path) for path, waiting in ready.items()]
    _remove(chosen, placed)
    return _made(folder, name, placed[0], next(iter(texts.values())), len(chosen))


def _made(folder: Path, name: str, path: Path, text: str, count: int) -> MadeMigration:
    summaries = (f"stands for {count} migrations, which are in {folder.name}/{scripts.SQUASHED} now",)
    return MadeMigration(name, path, text, summaries, has_changes=True)


def _finish(folder: Path) -> MadeMigration | None:
    """Goes on with a squash that was stopped; None where that left the old history, to be folded again."""
    made = None
    for one in scripts.read(folder) if folder.is_dir() else ():
        down, waiting = _down(one), folder / f".{one.name}.{scripts.DOWN}.new"
        if down is not None and not down.exists() and waiting.exists():
            if one.replaces:
                files.place(waiting, down)
                made = _made(folder, one.name, one.path, one.source, len(one.replaces) + 1)
            elif (kept := folder / scripts.SQUASHED / down.relative_to(folder)).exists():
                shutil.copy2(kept, down)
        left = [other for other in scripts.read(folder) if other.name in one.replaces]
        if left:
            _keep(folder, left)
            _remove(left, ())
            made = _made(folder, one.name, one.path, one.source, len(one.replaces) + 1)
    return made


def _keep(folder: Path, replaced: Sequence[Migration]) -> None:
    """Copies what is replaced for databases that are in the middle of it."""
    old = folder / scripts.SQUASHED
    for one in replaced:
        if one.replaces and all((old / f"{each}.py").exists() or _sql_exists(old, each) for each in one.replaces):
            continue  # what it stands for is kept already
        if one.path.is_dir():
            shutil.copytree(one.path, old / one.path.name, dirs_exist_ok=True)
        for path in [] if one.path.is_dir() else _paths(one):
            shutil.copy2(path, old / path.name)


def _remove(replaced: Sequence[Migration], but: Collection[Path]) -> None:
    for one in replaced:
        for path in [path for path in _paths(one) if path not in but]:
            path.unlink()
        if one.path.is_dir() and not any(path.parent == one.path for path in but):
            one.path.rmdir()


def _sql_exists(old: Path, name: str) -> bool:
    return (old / name).is_dir() or (old / f"{name}.{scripts.UP}").exists()


def _down(one: Migration) -> Path | None:
    """Where the way back of plain SQL is, or would be."""
    if not one.is_sql:
        return None
    return one.path / scripts.DOWN if one.path.is_dir() else one.path.with_name(f"{one.name}.{scripts.DOWN}")


def _paths(one: Migration) -> list[Path]:
    """Its files; the way there comes last, without which the others are refused."""
    if one.path.is_dir():
        return sorted((path for path in one.path.iterdir() if path.is_file()), key=lambda path: path.name == scripts.UP)
    if one.is_sql:
        pair = [one.path.with_name(f"{one.name}.{end}") for end in (scripts.DOWN, scripts.UP)]
        return [path for path in pair if path.exists()]
    return [one.path]
