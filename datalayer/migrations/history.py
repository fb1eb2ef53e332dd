"""The migrations of a folder in order, what follows what, and what the tables look like after each.

Names are compared as texts, so numbers and dates sort together.
"""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datalayer.errors import MigrationError, choices_text, nearest
from datalayer.migrations import scripts
from datalayer.migrations._alembic import as_op
from datalayer.migrations.operations import Recording, recording_context
from datalayer.migrations.ordering import in_order
from datalayer.migrations.scripts import Migration, PythonMigration, SqlMigration
from datalayer.migrations.state import State

ZERO = "zero"
_SHOWN = 6


@dataclass(frozen=True)
class Step:
    """One migration that runs or would run.

    Attributes:
        name: The migration.
        is_upgrade: Forwards, or back.
        is_reversible: Whether it can be taken back.
        is_faked: Whether it is only recorded.
        operations: What it would do, in words; only where that was asked for.
    """

    name: str
    is_upgrade: bool
    is_reversible: bool = True
    is_faked: bool = False
    operations: tuple[str, ...] = ()

    def __str__(self) -> str:
        tail = "" if self.is_reversible else " (irreversible)"
        return f"{'apply' if self.is_upgrade else 'revert'} {self.name}{tail}"

    @property
    def done(self) -> str:
        """The same, once it has run."""
        if self.is_faked:
            return f"recorded {self.name} as {'applied' if self.is_upgrade else 'taken back'}, without running it"
        return f"{'applied' if self.is_upgrade else 'reverted'} {self.name}"


class History:
    """The migrations of a folder, in order, and what the tables look like after each.

    Args:
        folder: Where they are; a folder that does not exist is an empty history, and so is None.
        allows_heads: Whether several heads are taken as they are; for the command that merges them.
        expands: Whether the migrations that a squash replaced stand in for it.
    """

    def __init__(self, folder: Path | None, *, allows_heads: bool = False, expands: bool = False) -> None:
        found: list[Migration] = []
        if folder is None:
            folder = Path()
        elif folder.is_dir():
            found = _without_replaced(scripts.read(folder))
        elif folder.exists() and not folder.is_dir():
            raise MigrationError(f"{folder.name!r}, where the migrations should be, is a file and no folder")
        self.folder = folder
        self.is_expanded = expands
        if expands:
            found = _expanded(folder, found)
        self._refuse_doubles(found)
        self.order = in_order(found, folder)
        self.names = [one.name for one in self.order]
        self.by_name = {one.name: one for one in self.order}
        self._places = {name: place for place, name in enumerate(self.names)}
        before = [None, *self.names]
        pairs = zip(before, self.order, strict=False)
        self._is_line = all(one.parents == ((last,) if last else ()) for last, one in pairs)
        self._states: list[State] = [{}]
        self._said: dict[str, list[str]] = {}
        self._closures: dict[str, frozenset[str]] = {}
        if not allows_heads and len(self.heads) > 1:
            raise MigrationError(
                f"the history in {folder.name!r} has {len(self.heads)} heads: {choices_text(self.heads)}; two branches "
                "each added a migration: bring them together with datalayer mergemigrations"
            )

    @property
    def head(self) -> str | None:
        """The newest migration."""
        return self.names[-1] if self.names else None

    @property
    def heads(self) -> list[str]:
        """The migrations that nothing follows; SQL at the end follows all of them without having been asked."""
        followed = {parent for one in self.order if not one.is_sql for parent in self._followed(one)}
        python = [one.name for one in self.order if not one.is_sql and one.name not in followed]
        if len(python) > 1:
            return python
        return self.names[-1:]

    def _followed(self, migration: Migration) -> set[str]:
        """What a Python file says it follows, and through SQL, what that follows."""
        found: set[str] = set()
        waiting = list(migration.declared or ())
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.by_name[name].parents if self.by_name[name].is_sql else ()
        return found

    def _refuse_doubles(self, found: Iterable[Migration]) -> None:
        seen: dict[str, Migration] = {}
        versions: dict[str, Migration] = {}
        for one in found:
            if one.name in seen:
                raise MigrationError(
                    f"migration {one.name!r} is present more than once in {self.folder.name!r}: "
                    f"{seen[one.name].path.name} and {one.path.name}; give one of them another name"
                )
            seen[one.name] = one
            other = versions.setdefault(one.version, one)
            if other is not one and (one.is_sql or other.is_sql):
                raise MigrationError(
                    f"two migrations in {self.folder.name!r} have the version {one.version}, so their order is not "
                    f"known: {other.path.name} and {one.path.name}; give one of them the next number, by hand or with "
                    "datalayer mergemigrations"
                )

    # -- finding ------------------------------------------------------------------------------------

    def find(self, target: str | None) -> str | None:
        """The name of the migration that is meant; None for `zero`.

        Args:
            target: A number, a name, the beginning of one, `head` or `zero`; None for the newest.

        Raises:
            MigrationError: There is none, or more than one.
        """
        if target is None or target in ("head", "heads"):
            return self.head
        if target in (ZERO, "base"):
            return None
        found = [name for name in self.names if name == target]
        if not found and target.isdigit():
            wanted = target.lstrip("0")
            found = [name for name in self.names if re.split(r"\D", name, maxsplit=1)[0].lstrip("0") == wanted]
        found = found or [name for name in self.names if target and name.startswith(target)]
        found = found or [name for name in self.names if name.partition("_")[2] == target]
        if len(found) == 1:
            return found[0]
        if found:
            raise MigrationError(f"{target!r} means several migrations: {newest_of(found)}")
        tails = {name.partition("_")[2]: name for name in self.names}
        hint = nearest(target, [*self.names, ZERO]) or nearest(target, tails)
        raise MigrationError(f"no migration {target!r}; there are: {newest_of(self.names, ZERO)}{hint}")

    def place(self, name: str) -> int:
        """Where a migration stands in the order."""
        return self._places[name]

    def closure(self, name: str) -> frozenset[str]:
        """A migration and everything it follows, near and far."""
        if name not in self._closures:
            for one in self.order[: self._places[name] + 1]:  # parents come first, so no recursion is needed
                if one.name not in self._closures:
                    above = [self._closures[parent] for parent in one.parents]
                    self._closures[one.name] = frozenset({one.name}).union(*above)
        return self._closures[name]

    def heads_of(self, applied: Collection[str]) -> tuple[str, ...]:
        """Those of some migrations that none of the others follows."""
        count = len(applied)
        if self._is_line and 0 < count <= len(self.names) and all(name in applied for name in self.names[:count]):
            return (self.names[count - 1],)
        known = [one for one in self.order if one.name in applied]
        followed = {parent for one in known for parent in self._near(one, applied)}
        return tuple(one.name for one in known if one.name not in followed)

    def _near(self, migration: Migration, among: Collection[str]) -> set[str]:
        """The nearest of `among` that a migration follows, over gaps."""
        found: set[str] = set()
        waiting = list(migration.parents)
        seen: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in among:
                found.add(name)
            else:
                waiting += self.by_name[name].parents
        return found

    def out_of_order(self, names: Collection[str], applied: Collection[str]) -> list[str]:
        """Those of `names` that come before something that is applied already and follows them."""
        last = [name for name in applied if name in self._places]
        if not names or not last or min(map(self.place, names)) > max(map(self.place, last)):
            return []
        behind = frozenset[str]().union(*(self.closure(name) for name in self.heads_of(last)))
        return [name for name in self.names if name in names and name in behind]

    def steps(self, applied: Collection[str], target: str | None) -> list[Step]:
        """The migrations between what is applied and a target, in the order they run."""
        wanted = frozenset[str]() if target is None else self.closure(target)
        back = [one for one in reversed(self.order) if one.name in applied and one.name not in wanted]
        there = [one for one in self.order if one.name in wanted and one.name not in applied]
        return [Step(one.name, False, one.is_reversible) for one in back] + [
            Step(one.name, True, one.is_reversible) for one in there
        ]

    # -- what the tables look like --------------------------------------------------------------------

    def states(self) -> list[State]:
        """What the tables look like before the first migration, and after each.

        Raises:
            MigrationError: A migration does not fit those before it.
        """
        for one in self.order[len(self._states) - 1 :]:
            recording = _after(one, self._states[-1])
            self._states.append(recording.state)
            self._said[one.name] = recording.said
        return self._states

    def said(self, names: Collection[str]) -> dict[str, str]:
        """The SQL that migrations say as text, by their names."""
        self.states()
        return {
            one.name: one.source if one.is_sql else ";".join(self._said[one.name])
            for one in self.order
            if one.name in names
        }

    def state(self) -> State:
        """What the tables look like after the newest migration."""
        return self.states()[-1]

    def state_after(self, applied: Collection[str]) -> State:
        """What the tables look like where just these migrations are applied."""
        states = self.states()
        count = len(applied)
        if all(name in applied for name in self.names[:count]):
            return states[count]
        start = next(place for place, name in enumerate(self.names) if name not in applied)
        state = states[start]
        for one in self.order[start:]:
            if one.name in applied:
                state = _after(one, state).state
        return state


def newest_of(names: Sequence[str], *besides: str) -> str:
    """Migrations in a message: the last ones, and how many more there are."""
    older = len(names) - _SHOWN
    return choices_text([*names[-_SHOWN:], *besides]) + (f", and {older} older ones" if older > 0 else "")


def _after(migration: Migration, state: State) -> Recording:
    """Replays one migration; plain SQL leaves what is known of the tables as it is."""
    recording = Recording(recording_context("sqlite"), state)
    if not isinstance(migration, PythonMigration):
        return recording
    with readable(migration):
        function = migration.function(True)
    with as_op(recording), in_words(migration.name, "read"):
        function()
    return recording


@contextlib.contextmanager
def readable(migration: PythonMigration) -> Generator[None]:
    """What is wrong with a file when it is run, in words."""
    try:
        yield
    except MigrationError:
        raise
    except (Exception, SystemExit) as error:
        line = line_of(error, migration.path.stem)
        why = f"{type(error).__name__}: {error}{cure_of(error)}"
        raise MigrationError(f"migration file {migration.path.name!r}{line} cannot be read: {why}") from error


def line_of(error: BaseException, name: str) -> str:
    """The line of a migration file that an error came from; empty where it is none of its lines."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).stem == name]
    return f", line {frames[-1].lineno}" if frames else ""


def cure_of(error: BaseException) -> str:
    """What helps where a migration wants code that is not there any more."""
    is_gone = isinstance(error, AttributeError) and str(error).startswith("module ")
    if not isinstance(error, ImportError) and not is_gone:
        return ""
    return (
        "; a migration stays and the code it imports does not: write what it needs into the file itself "
        "(its tables are in datalayer.migrations.tables), or fold old migrations with squashmigrations"
    )


@contextlib.contextmanager
def in_words(name: str, what: str, where: str = "", after: str = "") -> Generator[None]:
    """What went wrong in a migration, as one line."""
    try:
        yield
    except MigrationError as error:
        raise type(error)(f"migration {name!r} cannot be {what}{where}: {error}{after}") from error
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}{line_of(error, name)}{cure_of(error)}"
        raise MigrationError(f"migration {name!r} cannot be {what}{where}: {reason}{after}") from error


def _without_replaced(found: list[Migration]) -> list[Migration]:
    """The migrations without those that a squash stands for, which are there still when it was stopped at its end."""
    replaced = {name for one in found for name in one.replaces}
    return [one for one in found if one.name not in replaced]


def _expanded(folder: Path, found: list[Migration]) -> list[Migration]:
    """With the migrations that were replaced in place of the one that replaces them."""
    kept = [one for one in found if not one.replaces]
    gone = {name for one in found if one.replaces for name in (*one.replaces, one.name)}
    old = scripts.read(folder / scripts.SQUASHED) if (folder / scripts.SQUASHED).is_dir() else []
    missing = gone - {one.name for one in old}
    if missing:
        raise MigrationError(
            f"the database is in the middle of the migrations that a squash replaced, and {choices_text(missing)} is "
            f"not in {folder.name}/{scripts.SQUASHED} any more; migrate it with an older checkout first"
        )
    return sorted([*kept, *(one for one in old if one.name in gone)], key=lambda one: one.name)


__all__ = ["ZERO", "History", "Migration", "SqlMigration", "Step"]
