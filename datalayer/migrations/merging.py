"""`mergemigrations`: brings together what two branches added."""

from __future__ import annotations

import re
from pathlib import Path

from datalayer.errors import MigrationError, choices_text
from datalayer.migrations import config, files, scripts
from datalayer.migrations.alone import alone
from datalayer.migrations.history import History, Migration
from datalayer.migrations.lines import Changes
from datalayer.migrations.making import MadeMigration


@alone
def mergemigrations(name: str | None = None) -> MadeMigration:
    """Brings several heads together: Python files by a migration that follows all of them, plain SQL by a new number.

    A database that has either branch, or both, gets what it lacks with the next `migrate`.

    Args:
        name: What the merge is called; taken from the heads when left out.

    Raises:
        MigrationError: There is nothing to merge, or the branches do not fit together; then nothing is changed.
    """
    folder = config.folder()
    renamed = _renumbered(folder)
    history = History(folder, allows_heads=True)
    heads = history.heads
    if len(heads) < 2:
        if renamed:
            return MadeMigration(
                renamed[0][1], None, "\n".join(f"{old} is {new} now" for old, new in renamed), has_changes=True
            )
        there = f"the history has one head, {heads[0]}" if heads else f"there are no migrations in {folder.name!r}"
        raise MigrationError(f"there is nothing to merge: {there}")
    tails = [re.sub(r"^\d+_", "", head) for head in heads]
    made = files.next_name(history, Changes(), name or f"merge_{'_and_'.join(tails)}")
    text = files.merge_text(made, heads)
    path = files.write(folder / f"{made}.py", text)
    try:
        History(folder).states()
    except MigrationError as error:
        path.unlink()
        raise MigrationError(
            f"the branches {choices_text(heads)} do not fit together: {error}; change one of them where no "
            "database has it yet"
        ) from error
    return MadeMigration(made, path, text, tuple(f"follows {head}" for head in heads), has_changes=True)


def _renumbered(folder: Path) -> list[tuple[str, str]]:
    """Gives plain SQL whose number is taken the next one; a database that has it knows it by its checksum."""
    found = scripts.read(folder) if folder.is_dir() else []
    taken: dict[str, Migration] = {}
    double: list[Migration] = []
    for one in sorted(found, key=lambda one: (one.version, one.is_sql, one.name)):
        if one.version in taken and one.is_sql:
            double.append(one)
        taken.setdefault(one.version, one)
    numbers = [int(one.version) for one in found if one.version.isdigit()]
    renamed: list[tuple[str, str]] = []
    for count, one in enumerate(double, 1):
        tail = one.name.partition("_")[2]
        new = f"{max(numbers) + count:0{len(one.version)}d}_{tail}"
        _rename(one, new)
        renamed.append((one.name, new))
    return renamed


def _rename(one: Migration, new: str) -> None:
    if one.path.is_dir():
        one.path.rename(one.path.with_name(new))
        return
    for end in (scripts.UP, scripts.DOWN):
        path = one.path.with_name(f"{one.name}.{end}")
        if path.exists():
            path.rename(path.with_name(f"{new}.{end}"))
