"""`makemigrations`: what changed in the models, as a new migration; returns values and prints nothing."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from datalayer._compile import tables as compiled
from datalayer._schema.table import TableSpec
from datalayer.checks import Finding
from datalayer.errors import MigrationError, UnansweredQuestion, nearest
from datalayer.migrations import adopting, config, enums, files, scripts, updating
from datalayer.migrations.alone import alone
from datalayer.migrations.autogenerate import difference
from datalayer.migrations.describing import describe
from datalayer.migrations.filling import Answers
from datalayer.migrations.following import followed
from datalayer.migrations.history import History
from datalayer.migrations.lines import Changes
from datalayer.migrations.lint import lint
from datalayer.migrations.questions import Questions, asked_renames
from datalayer.migrations.scripts import PythonMigration
from datalayer.migrations.state import State


@dataclass(frozen=True)
class MadeMigration:
    """What makemigrations found and wrote.

    Attributes:
        name: The migration's name; None when nothing changed.
        path: The file; None when none was written.
        text: The text of the file.
        summaries: What it does, one thing each.
        hints: What a person should think about: what looks like a rename.
        has_changes: Whether the models differ from the migrations (or an empty one was asked for).
        exit_code: 1 when `check` found changes.
        findings: What the linter says of it.
        down: With plain SQL, the file of the way back.
    """

    name: str | None = None
    path: Path | None = None
    text: str = ""
    summaries: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    has_changes: bool = False
    exit_code: int = 0
    findings: tuple[Finding, ...] = ()
    down: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """The files that were written."""
        return [path for path in (self.path, self.down) if path is not None]

    @property
    def operations(self) -> str:
        """The text of the file."""
        return self.text

    @property
    def lines(self) -> list[str]:
        """What to tell a person."""
        if not self.has_changes:
            return ["no changes: the migrations are what the models say"]
        done = [f"  {summary}" for summary in self.summaries] + list(self.hints)
        if self.path is not None:
            down = [] if self.down is None else [f"  {self._shown(self.down)}"]
            return [self._shown(self.path), *down, *done]
        if self.exit_code:
            return ["the models have changes that are in no migration:", *done]
        return [self.text.rstrip("\n")]

    def _shown(self, path: Path) -> str:
        """A file with the folder of the migrations before it, whether it lies there or in a folder of its own."""
        folder = path.parents[1] if path.parent.name == self.name else path.parent
        return path.relative_to(folder.parent).as_posix()


Pairs: TypeAlias = Mapping[str, str] | Sequence[str]


def _pairs(given: Pairs, sign: str, option: str, form: str) -> dict[str, str]:
    if isinstance(given, Mapping):
        return dict(given)
    pairs: dict[str, str] = {}
    for text in given:
        key, found, value = text.partition(sign)
        if not found or not key.strip():
            raise MigrationError(f"{option} {text!r} is not of the form {form}")
        pairs[key.strip()] = value.strip() if sign == ":" else value
    return pairs


def _compare(old: State, new: State, answers: Answers, renames: Mapping[str, str]) -> tuple[Changes, Changes]:
    """The way there and the way back."""
    up = difference(old, new, renames=renames, answers=answers)
    unused = sorted(set(answers.defaults) - answers.used)
    if unused:
        known = [f"{table.name}.{column}" for table in new.values() for column in table.columns]
        raise MigrationError(f"the value for {unused[0]!r} is not needed{nearest(unused[0], known)}")
    back = {
        _renamed_back(before, after, renames): _plain(before, after)
        for before, after in renames.items()
        if before.count(".") < 2
    }
    for before, after in renames.items():
        pair = enums.back(old, before, after, renames) if before.count(".") > 1 else None
        if pair is not None:
            back[pair[0]] = pair[1]
    down = difference(new, old, renames=back, answers=Answers({}, takes_zero=True))
    return up, down


def _renamed_back(before: str, after: str, renames: Mapping[str, str]) -> str:
    table, dot, _ = before.partition(".")
    return f"{renames.get(table, table)}.{after.rpartition('.')[2]}" if dot else after


def _plain(before: str, after: str) -> str:
    return before.partition(".")[2] if "." in before else before


@alone
def makemigrations(
    name: str | None = None,
    *,
    check: bool = False,
    dry_run: bool = False,
    empty: bool = False,
    update: bool = False,
    default: Pairs = (),
    rename: Pairs = (),
    tables: Iterable[TableSpec] | None = None,
    adopt: str | None = None,
    questions: Questions | None = None,
) -> MadeMigration:
    """Writes what changed in the models as a new migration. No database is needed, but for `adopt`.

    Args:
        name: What it is called; taken from the changes when left out.
        check: Write nothing, and return exit code 1 when there are changes.
        dry_run: Write nothing, and return the text.
        empty: Write a migration without operations.
        update: Write the newest migration anew, with what has changed since; no database may have it yet.
        default: Values for rows that exist, `table.column` to value (or texts `table.column=value`).
        rename: What was renamed, `old` to `new` (or texts `old:new`); a column is `table.column`.
        tables: What to compare with; the models' tables when left out.
        adopt: The alias of a database that has everything applied: what plain SQL has made there is taken as known.
        questions: Who is asked what was renamed, and for values; nobody when left out, and with `check`.

    Raises:
        UnansweredQuestion: A column must not be NULL and nothing says what existing rows get; nothing is written.
        MigrationError: The history cannot be read, or a name does not fit.
    """
    history = config.history()
    renames = _pairs(rename, ":", "rename", "old:new, such as book.price:cost")
    old: State = {}
    new: State = {}
    last: PythonMigration | None = None
    if empty:
        up, down = Changes(), Changes()
    else:
        questions = None if check else questions
        wanted = config.tables() if tables is None else list(tables)
        answers = Answers(
            _pairs(default, "=", "default", "table.column=value, such as book.pages=0"),
            own=config.defaults(wanted),
            questions=questions,
        )
        old, new = history.state(), describe(compiled.to_metadata(wanted))
        if old and tables is None and not config.has_models():
            raise MigrationError(
                "there are no models, so every table would be dropped: the setting models names no module; name those "
                'that have models, as in models = ["shop.models"], or write a migration by hand with --empty or --sql'
            )
        if update and old != new:
            last, old, renames = updating.newest(history, renames)
        known = adopting.NOTHING
        if adopt is not None:
            known = adopting.known(config.environment(adopt), old, new)
            old = known.state
        else:
            adopting.refuse_made_by_sql(history, old, new)
        automatic = [table.name for table in wanted if table.is_automatic]
        renames = followed(old, new, renames, automatic)
        if questions is not None:
            renames = asked_renames(old, new, renames, questions, automatic)
        try:
            up, down = _compare(old, new, answers, renames)
        except UnansweredQuestion:
            if check:
                return MadeMigration(summaries=("changes that need an answer",), has_changes=True, exit_code=1)
            raise
        up, down = known.before(up), known.after(down)
    if not up.lines and not empty:
        if last is not None:
            raise MigrationError(
                f"the models are as they were before {last.name}: delete its file, nothing is left of it"
            )
        return MadeMigration()
    made = files.next_name(history, up, name) if last is None else last.name
    text = files.file_text(made, history.head if last is None else next(iter(last.declared or ()), None), up, down)
    findings = () if empty else tuple(_linted(history, made, text, history.state() if last is None else old))
    summaries, hints = tuple(up.summaries), () if questions else tuple(_hints(up, down))
    if not empty:
        hints += tuple(_value_hints(old, new, renames))
    if check or dry_run:
        code = int(check)
        return MadeMigration(made, None, text, summaries, hints, has_changes=True, exit_code=code, findings=findings)
    if last is None:
        path = files.write(history.folder / f"{made}.py", text)
    else:
        path = files.place(files.prepare(last.path.with_name(f".{last.path.name}.new"), last.path, text), last.path)
        hints += (f"a database that has {made} already knows nothing of it: take it back there first, with revert",)
    return MadeMigration(made, path, text, summaries, hints, has_changes=True, findings=findings)


def _linted(history: History, name: str, text: str, before: State) -> list[Finding]:
    """What the linter says of a new file, for all kinds of databases there are."""
    migration = scripts.python(history.folder / f"{name}.py", text)
    return [finding for backend in config.backends() for finding in lint(migration, before, backend)]


@alone
def makesql(name: str, *, has_down: bool = True, number: str | None = None) -> MadeMigration:
    """Writes an empty plain SQL migration, to be filled in by hand; models are not needed.

    Args:
        name: What it is called.
        has_down: Whether there is a file for the way back.
        number: What its name begins with, such as `0042` or a date; the next one when left out.

    Raises:
        MigrationError: The history cannot be read, the name holds no letter or digit, or the number is taken.
    """
    history = config.history()
    made, up, down = files.sql_paths(history, name, datetime.datetime.now(datetime.UTC), number)
    words = made.partition("_")[2].replace("_", " ")
    text = f"-- {words}: write the statements here; they run in one transaction\n"
    files.write(up, text)
    if has_down:
        files.write(down, f"-- takes back {words}\n")
    return MadeMigration(made, up, text, has_changes=True, down=down if has_down else None)


def _value_hints(old: State, new: State, renames: Mapping[str, str]) -> list[str]:
    """Values that stop a migration where there are rows: of enums that are gone, and one for all of a unique column."""
    moved = {f"{before.partition('.')[0]}.{after.rpartition('.')[2]}" for before, after in renames.items()}
    hints = [
        f"{name}.{column.name} is unique, and every row that exists gets the same value: that fails where there are "
        "two; make it nullable, fill it in a migration of its own, and let it be unique after that"
        for name, table in new.items()
        if name in old
        for column in table.columns.values()
        if column.name not in old[name].columns and f"{name}.{column.name}" not in moved
        if (column.name,) in [unique.columns for unique in table.uniques.values()]
        if not column.nullable and column.default is None and not column.identity
    ]
    for table, column, gone, come in enums.changed(old, new):
        left = [f"{table}.{column}.{value}" for value in gone if f"{table}.{column}.{value}" not in renames]
        if left:
            to = come[0] if come else "VALUE"
            hints.append(
                f"rows that have {', '.join(left)} would stop this migration; give them another value with "
                f"--rename {left[0]}:{to}"
            )
    return hints


def _hints(up: Changes, down: Changes) -> list[str]:
    """What goes and comes at the same place may have been meant as a rename: `down` drops what `up` adds."""
    hints: list[str] = []
    for gone in up.drops:
        place = gone.rpartition(".")[0]
        for come in down.drops:
            if come.rpartition(".")[0] == place:
                short = come.rpartition(".")[2]
                hints.append(f"if {gone} was renamed to {short}, delete this file and give --rename {gone}:{short}")
    return hints
