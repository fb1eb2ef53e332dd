"""The places settings come from: the project file, `.env` and the environment, each with the line of every value.

A source says what stands where. It does not know which keys exist; that is asked in `loader.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from datalayer.errors import ConfigurationError
from datalayer.late import dataclass, tomllib

FILE = "datalayer.toml"
PYPROJECT = "pyproject.toml"
DOTENV = ".env"
CONFIG_VARIABLE = "DATALAYER_CONFIG"

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A settings file: its keys and the line of each."""

    path: Path
    table: Mapping[str, Any]
    lines: Mapping[Key, int]

    def origin(self, key: Key) -> str:
        """`datalayer.toml:5`: the line of a key, or of the nearest table around it."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.lines:
                return f"{self.path.name}:{self.lines[key[:length]]}"
        return self.path.name


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of `.env` or of the environment."""

    name: str
    value: str
    origin: str


_MAY_BE_OURS = re.compile(r"""tool["']?\s*(?:[]=]|\.\s*["']?datalayer)""")
"""What stands in every `pyproject.toml` that has a table `tool.datalayer`, however it is written."""


def find_file(start: Path, environ: Mapping[str, str]) -> ProjectFile | None:
    """The file `DATALAYER_CONFIG` names, else the first project file in a folder or one above it.

    Raises:
        ConfigurationError: The named file is missing, a file is no TOML, or one folder has two of them.
    """
    named = environ.get(CONFIG_VARIABLE)
    if named:
        path = start / named
        found = _read(path) if path.is_file() else None
        if found is None:
            what = f"has no table [tool.datalayer]: {path}" if path.is_file() else f"names no file: {path}"
            raise ConfigurationError(f"{CONFIG_VARIABLE} {what}", origin=f"{CONFIG_VARIABLE} (environment)")
        return found
    for folder in (start, *start.parents):
        # os.path.isfile, as a folder above that may not be looked into holds no project of ours
        files = [_read(path) for name in (FILE, PYPROJECT) if os.path.isfile(path := folder / name)]
        found_files = [file for file in files if file is not None]
        if len(found_files) > 1:
            raise ConfigurationError(
                f"settings stand in both {FILE} and {PYPROJECT} ([tool.datalayer]) of {folder}; keep one of them"
            )
        if found_files:
            return found_files[0]
    return None


def _read(path: Path) -> ProjectFile | None:
    text = _text(path)
    is_shared = path.name == PYPROJECT
    if is_shared and not _MAY_BE_OURS.search(text):
        return None  # another tool's file: a mistake in it is not ours to report, and to parse it takes its time
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).partition(" (at ")
        found = re.search(r"line (\d+)", place)
        line = found[1] if found else str(text.count("\n") + 1)
        problem = f"{reason[:1].lower()}{reason[1:]}"
    else:
        if not is_shared:
            return ProjectFile(path, table, line_numbers(text))
        ours = as_table(table.get("tool", {}).get("datalayer"))
        if ours is None:
            return None  # before its lines are looked for, which takes longer than to parse it
        lines = line_numbers(text).items()
        return ProjectFile(path, ours, {key[2:]: line for key, line in lines if key[:2] == ("tool", "datalayer")})
    raise ConfigurationError(f"{path.name}:{line}: not valid TOML: {problem}", origin=f"{path.name}:{line}")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        problem = f"cannot be read: {(error.strerror or 'unknown error').lower()}"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (byte {error.start})"
    raise ConfigurationError(f"{path.name} {problem}: {path}", origin=path.name)


def line_numbers(text: str) -> dict[Key, int]:
    """The line of every key of a valid TOML text, found by reading it statement by statement.

    tomllib itself reads each statement, so quoted, dotted and nested keys need no rules here; a statement that does not
    end on its line is tried again with the lines that may close it.
    """
    found: dict[Key, int] = {}
    table: Key = ()
    lines = text.split("\n")
    index = 0
    while index < len(lines):
        start = index
        statement = lines[index]
        index += 1
        if not statement.strip() or statement.lstrip().startswith("#"):
            continue
        parsed = _statement(statement)
        while parsed is None and index < len(lines):
            statement += "\n" + lines[index]
            if re.search(r"[\]}]|\"\"\"|'''", lines[index]):
                parsed = _statement(statement)
            index += 1
        keys = list(_keys(parsed or {}))
        if statement.lstrip().startswith("["):
            table = keys[-1] if keys else ()
            keys = [table[:length] for length in range(1, len(table) + 1)]
        else:
            keys = [table + key for key in keys]
        for key in keys:
            found.setdefault(key, start + 1)
    return found


def _statement(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _keys(value: Any) -> Iterator[Key]:
    for name, inner in (as_table(value) or {}).items():
        yield (name,)
        for rest in _keys(inner):
            yield (name, *rest)


def as_table(value: object) -> Mapping[str, Any] | None:
    """The value itself, typed, when it is a mapping."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def as_items(value: object) -> Collection[Any] | None:
    """The value itself, typed, when it is a list, tuple or set."""
    return cast("Collection[Any]", value) if isinstance(value, list | tuple | set | frozenset) else None


# One statement of a .env file: `[export] NAME=value`, the value bare, in single quotes (taken literally) or in double
# quotes (with backslash escapes); quoted values may go over several lines.
_DOTENV = re.compile(
    r"""[ \t]*(?:
        (?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*
        (?: '(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)"
            | (?P<bare>(?:[^\s'"\#][^\n]*?)??)(?=[ \t]*(?:\n|\Z)|[ \t]+\#) )
        [ \t]*
    )?(?P<comment>\#[^\n]*)?(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def read_dotenv(folder: Path) -> dict[str, Variable]:
    """The variables of the `.env` file in a folder; none when there is no such file.

    Raises:
        ConfigurationError: A line is no `NAME=value`, or a name is there twice; the message shows no value.
    """
    path = folder / DOTENV
    return parse_dotenv(_text(path)) if path.is_file() else {}


def parse_dotenv(text: str) -> dict[str, Variable]:
    """The variables of a `.env` text, each with its line; `read_dotenv` says what is refused."""
    found: dict[str, Variable] = {}
    position = 0
    while position < len(text):
        line = text.count("\n", 0, position) + 1
        match = _DOTENV.match(text, position)
        if match is None:
            raise ConfigurationError(
                f'{DOTENV}:{line}: not NAME=value; a value with quotes, # or line breaks is quoted: NAME="value"',
                origin=f"{DOTENV}:{line}",
            )
        position = match.end()
        name = match["name"]
        if name is None:
            continue
        if name in found:
            raise ConfigurationError(
                f"{DOTENV}:{line}: {name} is already set at {found[name].origin}; keep one", origin=f"{DOTENV}:{line}"
            )
        found[name] = Variable(name, _value(match), f"{DOTENV}:{line}")
    return found


def _value(match: re.Match[str]) -> str:
    if match["double"] is not None:
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), match["double"], flags=re.DOTALL)
    return match["single"] if match["single"] is not None else match["bare"]


def environment(environ: Mapping[str, str]) -> dict[str, Variable]:
    """The variables of the environment."""
    return {name: Variable(name, value, f"{name} (environment)") for name, value in environ.items()}


_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")


def interpolate(text: str, variables: Mapping[str, Variable]) -> tuple[str, list[Variable]]:
    """A text with its `${NAME}` and `${NAME:-default}` filled in, and the variables that were used.

    `$${` stands for a literal `${`. The default is taken when the variable is unset or empty.

    Raises:
        ValueError: A variable is unset, or the reference is not well formed.
    """
    used: list[Variable] = []

    def fill(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, colon, default = match[1].partition(":-")
        if not match[2] or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or "${" in default:
            raise ValueError("a reference is written ${NAME} or ${NAME:-default}; a literal ${ is written $${")
        found = variables.get(name)
        if found is not None and (found.value or not colon):
            used.append(found)
            return found.value
        if colon:
            return default
        raise ValueError(f"the variable {name} is not set; set it in the environment or in {DOTENV}")

    return _REFERENCE.sub(fill, text), used
