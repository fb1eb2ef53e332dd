"""Names and writes migration files."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Sequence
from pathlib import Path

from datalayer.errors import MigrationError
from datalayer.migrations.history import History
from datalayer.migrations.layout import laid_out
from datalayer.migrations.lines import INDENT, Changes
from datalayer.migrations.scripts import DOWN, UP

LONGEST_NAME = 60
LONGEST_NUMBER = 6  # what is longer is a date


def slug(text: str) -> str:
    """A name as a file may have it: lower case, words joined by `_`."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:LONGEST_NAME].strip("_")


def next_name(history: History, changes: Changes, name: str | None) -> str:
    """`0002_book_price`: the next number, and the given name or one taken from the changes.

    Raises:
        MigrationError: The given name holds no letter or digit.
    """
    found = (re.match(rf"\d{{1,{LONGEST_NUMBER}}}(?=_)", known) for known in history.names)
    numbers = [int(number[0]) for number in found if number]
    if name is not None and not slug(name):
        raise MigrationError(f"{name!r} is no name for a migration; use letters, digits and _")
    if name is not None:
        word = slug(name)
    elif not history.names:
        word = "initial"
    else:
        topics = changes.topics or changes.small_topics
        word = slug("_and_".join(topics[:2])) + ("_and_more" if len(topics) > 2 else "") if topics else "empty"
    return f"{max(numbers, default=0) + 1:04d}_{word}"


def file_text(name: str, after: str | None, up: Changes, down: Changes) -> str:
    """The whole text of a migration file."""
    words = re.sub(r"^\d+_", "", name).replace("_", " ")
    body = f"def upgrade() -> None:\n{_body(up.lines)}\n\n\ndef downgrade() -> None:\n{_body(down.lines)}\n"
    # Names come from models and databases: none may end the docstring, and begin a program.
    done = "".join(f"\n- {summary}" for summary in up.summaries).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    docstring = f'"""{words.capitalize()}.' + (f"\n{done}\n" if done else "") + '"""'
    imports: list[str] = []
    if "sa." in body:
        imports.append("import sqlalchemy as sa")
    if "op." in body:
        imports.append("from alembic import op")
    ours = [word for word in ("online", "separate", "types") if f"{word}." in body]
    if ours:
        imports += ["", f"from datalayer.migrations import {', '.join(ours)}"]
    head = f"revision = {_quoted(name)}\ndown_revision = {'None' if after is None else _quoted(after)}\n"
    return "\n".join([docstring, "", *imports, *([""] if imports else []), head, "", body])


def merge_text(name: str, heads: Sequence[str]) -> str:
    """The text of a migration that only brings heads together."""
    words = re.sub(r"^\d+_", "", name).replace("_", " ")
    both = ", ".join(_quoted(head) for head in heads)
    body = "def upgrade() -> None:\n    pass\n\n\ndef downgrade() -> None:\n    pass\n"
    after = "\n".join(laid_out([f"down_revision = ({both})"], ""))
    return f'"""{words.capitalize()}."""\n\nrevision = {_quoted(name)}\n{after}\n\n\n{body}'


def squash_text(name: str, up: Changes, down: Changes, replaced: Sequence[str], checksum: str) -> str:
    """The text of a migration that stands for others."""
    quoted = "".join(f"{INDENT}{_quoted(one)},\n" for one in replaced)
    head = f"replaces = [\n{quoted}]\nreplaced_checksum = {_quoted(checksum)}\n"
    return file_text(name, None, up, down).replace("down_revision = None\n", f"down_revision = None\n{head}", 1)


def sql_paths(history: History, name: str, now: datetime.datetime, number: str | None = None) -> tuple[str, Path, Path]:
    """What a new plain SQL migration is called, and its two files: like those that are there already.

    Raises:
        MigrationError: The name holds no letter or digit, or another migration has the number.
    """
    made = next_name(history, Changes(), name)
    known = [one for one in history.order if one.is_sql]
    if number is not None:
        return _pair(history, _numbered(history, name, number))
    newest = max((one.version for one in known), default="")
    dated = f"{now:%Y-%m-%d-%H%M%S}_{slug(name)}"
    # Versions are compared as texts: a number must not sort before what is there, and dates are gone on with.
    if len(newest) > LONGEST_NUMBER or (made.partition("_")[0] <= newest < f"{now:%Y}"):
        made = dated
    elif made.partition("_")[0] <= newest:
        raise MigrationError(
            f"no number sorts after {newest!r}, the newest version in {history.folder.name!r}: versions are compared "
            "as texts; give the files numbers of one length"
        )
    return _pair(history, made)


def _numbered(history: History, name: str, number: str) -> str:
    """A name with a number that was given; numbers are compared as texts without dashes."""
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z-]*", number):
        raise MigrationError(f"{number!r} is no number of a migration; use digits, letters and -")
    version = number.replace("-", "")
    other = next((one.name for one in history.order if one.version == version), None)
    if other is not None:
        newest = max(one.version for one in history.order)
        raise MigrationError(f"{other!r} has the number {number!r} already; the newest there is {newest!r}")
    return f"{number}_{slug(name)}"


def _pair(history: History, made: str) -> tuple[str, Path, Path]:
    """The two files of a migration: in a folder of its own where the newest are."""
    known = [one for one in history.order if one.is_sql]
    if known and known[-1].path.is_dir():
        return made, history.folder / made / UP, history.folder / made / DOWN
    return made, history.folder / f"{made}.{UP}", history.folder / f"{made}.{DOWN}"


def _body(lines: Sequence[str]) -> str:
    return "\n".join(laid_out(lines or ["pass"]))


def _quoted(text: str) -> str:
    return f'"{text}"'


def write(path: Path, text: str) -> Path:
    """Writes a file as a whole or not at all.

    Raises:
        MigrationError: There is such a file already, or the folder cannot be written to.
    """
    if path.exists():
        raise MigrationError(f"there is a file {path.name!r} in {path.parent.name!r} already")
    return place(prepare(path.with_name(f".{path.name}.new"), path, text), path)


def prepare(waiting: Path, path: Path, text: str) -> Path:
    """Writes what shall be a file under a name that nobody reads, which takes all there is to take of the disk.

    Raises:
        MigrationError: The folder cannot be written to.
    """
    try:
        waiting.parent.mkdir(parents=True, exist_ok=True)
        waiting.write_text(text, encoding="utf-8")
    except OSError as error:
        with contextlib.suppress(OSError):
            waiting.unlink(missing_ok=True)
        raise MigrationError(f"cannot write {path.name!r}: {error.strerror}") from error
    return waiting


def place(waiting: Path, path: Path) -> Path:
    """Gives it its name."""
    path.parent.mkdir(exist_ok=True)
    return waiting.replace(path)
