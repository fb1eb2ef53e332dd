"""The migrations of a folder as values: Python files and plain SQL, read without running any of it.

An SQL migration is a folder `<version>_<name>/` with `up.sql`, perhaps `down.sql` and `metadata.toml`, or a pair of
files `<version>_<name>.up.sql` and `.down.sql`. A line `-- datalayer: atomic = false` (or `# datalayer: ...` in
Python) says what a file wants.
"""

from __future__ import annotations

import ast
import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from datalayer.errors import MigrationError, choices_text, nearest
from datalayer.migrations.statements import Statement, statements

UP, DOWN, METADATA = "up.sql", "down.sql", "metadata.toml"
SQUASHED = "squashed"  # the folder of what a squash has replaced
HOOKS = "hooks.py"
NOT_OURS = {SQUASHED, "alembic", "__pycache__", HOOKS}
_DIRECTIVE = re.compile(r"^[ \t]*(?:--|#)[ \t]*datalayer:[ \t]*(.+?)[ \t]*$", re.MULTILINE)
_DIRECTIVES = ("atomic", "allow", "replaces", "elidable", "checksum")
_TRANSACTION = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "START", "END", "ABORT"}


@dataclass(eq=False)
class Migration:
    """One migration, and what can be known of it without running it.

    Attributes:
        name: What it is called, in files, in messages and in the database.
        path: The file, or the folder.
        source: The text of what leads forwards.
        summary: What it does, in one line.
        declared: The migrations it says it follows; None for plain SQL, which follows whatever is before it.
        is_reversible: Whether there is a way back.
        is_atomic: Whether it runs in one transaction.
        allowed: The codes of the linter that this file wants to be silent.
        replaces: The migrations this one stands for, the last of which has its name.
        replaced_checksum: The checksum of the one whose name it has taken.
        is_elidable: Whether a squash may leave out what it does to rows.
        parents: The migrations it follows; filled in by the history.
    """

    name: str
    path: Path
    source: str
    summary: str
    declared: tuple[str, ...] | None
    is_reversible: bool = True
    is_atomic: bool = True
    allowed: frozenset[str] = frozenset()
    replaces: tuple[str, ...] = ()
    replaced_checksum: str = ""
    is_elidable: bool = False
    parents: tuple[str, ...] = ()

    @cached_property
    def checksum(self) -> str:
        """Changes with what it does forwards: lines that are empty or only a comment do not count."""
        lines = (line.rstrip() for line in self.source.splitlines())
        counted = [line for line in lines if line and not line.lstrip().startswith(("--", "#"))]
        return hashlib.sha256("\n".join(counted).encode()).hexdigest()

    @property
    def version(self) -> str:
        """What it is ordered by: the part before the first `_`, without dashes."""
        return self.name.partition("_")[0].replace("-", "")

    @property
    def is_sql(self) -> bool:
        """Whether it is plain SQL."""
        return isinstance(self, SqlMigration)


@dataclass(eq=False)
class PythonMigration(Migration):
    """A Python file with `upgrade()` and, where there is a way back, `downgrade()`."""

    @cached_property
    def module(self) -> ModuleType:
        """The file, run."""
        made = ModuleType(f"datalayer_migration_{self.name}")
        made.__file__ = str(self.path)
        exec(compile(self.source, str(self.path), "exec"), made.__dict__)
        return made

    def function(self, is_upgrade: bool) -> Callable[[], object]:
        """What it does, forwards or back."""
        found: Callable[[], object] | None = getattr(self.module, "upgrade" if is_upgrade else "downgrade", None)
        if found is None:
            if not is_upgrade:
                raise irreversible(self.name)
            raise MigrationError(f"migration file {self.path.name!r} has no function upgrade()")
        return found


@dataclass(eq=False)
class SqlMigration(Migration):
    """Plain SQL."""

    down: str | None = None

    def statements(self, is_upgrade: bool, backend: str) -> list[Statement]:
        """What it does, forwards or back, statement by statement.

        Raises:
            MigrationError: There is none, or one that cannot be in a migration.
        """
        text = self.source if is_upgrade else self.down
        if text is None:
            raise irreversible(self.name)
        is_folder = self.path.is_dir()
        word = UP if is_upgrade else DOWN
        where = f"{self.path.name}/{word}" if is_folder else f"{self.name}.{word}"
        found = statements(text, backend, where)
        if not found:
            raise MigrationError(f"{where} holds no statement; write one, or delete the migration")
        for one in found if self.is_atomic else ():
            if one.words[0] in _TRANSACTION:
                how = f"run_in_transaction = false in {METADATA}" if is_folder else "-- datalayer: atomic = false"
                raise MigrationError(
                    f"{where}, line {one.line}: {one.words[0]} would end the transaction that every migration runs in; "
                    f"leave it out, or say {how}"
                )
        return found


def irreversible(name: str) -> MigrationError:
    """What is said where there is no way back."""
    return MigrationError(f"migration {name!r} has no way back")


def directives(source: str, where: str) -> dict[str, str]:
    """What the lines `datalayer: key = value` of a file say; several lines of one key are joined."""
    found: dict[str, str] = {}
    for match in _DIRECTIVE.finditer(source):
        key, _, value = (part.strip() for part in match[1].replace("allow ", "allow = ", 1).partition("="))
        if key not in _DIRECTIVES:
            raise MigrationError(
                f"{where} says 'datalayer: {match[1]}'; it may say {choices_text(_DIRECTIVES)}"
                f"{nearest(key, _DIRECTIVES)}"
            )
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def _true(said: dict[str, str], key: str, default: bool, where: str) -> bool:
    text = said.get(key, str(default)).lower()
    if text not in ("true", "false"):
        raise MigrationError(f"{where} says {key} = {text}; it may be true or false")
    return text == "true"


def _list(text: str) -> tuple[str, ...]:
    return tuple(filter(None, re.split(r"[\s,]+", text)))


def read(folder: Path) -> list[Migration]:
    """All migrations of a folder, sorted by name.

    Raises:
        MigrationError: A file that cannot be read, or whose name or text says nothing we know.
    """
    found: list[Migration] = []
    try:
        entries = sorted(folder.iterdir())
        names = {entry.name for entry in entries}
        for entry in entries:
            if entry.name.startswith((".", "__")) or entry.name in NOT_OURS:
                continue
            if entry.is_dir():
                made = _read_folder(entry)
            elif entry.suffix == ".py":
                made = python(entry, _text(entry))
            elif entry.suffix == ".sql" and not (_is_stray(entry.name) and _is_of_folders(entries)):
                made = _read_pair(entry, names)
            else:
                continue  # plain files of other kinds are notes
            if made is not None:
                found.append(made)
    except OSError as error:
        name = Path(error.filename or folder).name
        cure = "; whoever runs this needs the right to read it" if isinstance(error, PermissionError) else ""
        raise MigrationError(f"the migrations cannot be read: {name!r}: {error.strerror}{cure}") from error
    return found


def _is_stray(name: str) -> bool:
    return not name.endswith((f".{UP}", f".{DOWN}"))


def _is_of_folders(entries: Iterable[Path]) -> bool:
    """Whether plain SQL stands in folders alone, as diesel has it, which leaves files beside them alone."""
    sql = [entry for entry in entries if entry.suffix == ".sql" or (entry / UP).is_file()]
    return any(entry.is_dir() for entry in sql) and all(entry.is_dir() or _is_stray(entry.name) for entry in sql)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        name = f"{path.parent.name}/{path.name}"
        raise MigrationError(f"{name!r} is not UTF-8 (byte {error.start}); save it as that") from error


def _read_folder(path: Path) -> Migration | None:
    files = [entry for entry in path.iterdir() if not entry.name.startswith((".", "__"))]
    if not files:
        return None
    if not (path / UP).is_file():
        raise MigrationError(f"migration folder {path.name!r} holds no {UP}: {choices_text(one.name for one in files)}")
    down = path / DOWN
    settings = path / METADATA
    in_transaction = True
    if settings.is_file():
        try:
            said = tomllib.loads(_text(settings))
        except tomllib.TOMLDecodeError as error:
            raise MigrationError(f"{path.name}/{METADATA} is no valid TOML: {error}") from error
        unknown = sorted(set(said) - {"run_in_transaction"})
        if unknown or not isinstance(said.get("run_in_transaction", True), bool):
            what = f"the unknown key {unknown[0]!r}" if unknown else "a run_in_transaction that is no boolean"
            raise MigrationError(f"{path.name}/{METADATA} has {what}; it may say run_in_transaction = true or false")
        in_transaction = bool(said.get("run_in_transaction", True))
    return _sql(path.name, path, _text(path / UP), _text(down) if down.is_file() else None, in_transaction)


def _read_pair(path: Path, names: set[str]) -> Migration | None:
    name = path.name
    if name.endswith(f".{DOWN}"):
        partner = name.removesuffix(DOWN) + UP
        if partner not in names:
            raise MigrationError(f"{name!r} has no {partner!r} beside it")
        return None
    if not name.endswith(f".{UP}"):
        raise MigrationError(f"{name!r} leads nowhere: call it {path.stem}.{UP}, and the way back {path.stem}.{DOWN}")
    down = path.with_name(name.removesuffix(UP) + DOWN)
    return _sql(name.removesuffix(f".{UP}"), path, _text(path), _text(down) if down.is_file() else None, True)


def _sql(name: str, path: Path, up: str, down: str | None, is_atomic: bool) -> Migration:
    said = directives(up, name)
    return SqlMigration(
        name,
        path,
        up,
        name.partition("_")[2].replace("_", " ") or name,
        None,
        down is not None and _holds_a_statement(down),
        is_atomic and _true(said, "atomic", True, name),
        frozenset(_list(said.get("allow", ""))),
        _list(said.get("replaces", "")),
        said.get("checksum", ""),
        _true(said, "elidable", False, name),
        down=down,
    )


def _holds_a_statement(text: str) -> bool:
    bare = re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    return bool(bare.replace(";", "").strip())


def python(path: Path, source: str) -> Migration:
    """A Python migration of this text.

    Raises:
        MigrationError: It is no Python, or does not say its name.
    """
    where = f"migration file {path.name!r}"
    try:
        tree = ast.parse(source, str(path))
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise MigrationError(f"{where} is no valid Python: {error.msg}{line}") from error
    said = _assigned(tree)
    if not isinstance(said.get("revision"), str):
        raise MigrationError(f'{where} does not say its name: revision = "{path.stem}" is missing')
    declared = said.get("down_revision")
    parents = () if declared is None else (declared,) if isinstance(declared, str) else tuple(declared)
    lines = (ast.get_docstring(tree) or path.stem).splitlines()
    told = directives(source, path.name)
    return PythonMigration(
        str(said["revision"]),
        path,
        source,
        lines[0].strip(),
        tuple(str(parent) for parent in parents),
        _goes_back(tree),
        bool(said.get("atomic", True)) and _true(told, "atomic", True, path.name),
        frozenset(_list(told.get("allow", ""))),
        tuple(said.get("replaces", ())),
        str(said.get("replaced_checksum", "")),
        _true(told, "elidable", bool(said.get("elidable", False)), path.name),
    )


def _assigned(tree: ast.Module) -> dict[str, Any]:
    """The plain values the file gives its names at the top."""
    found: dict[str, Any] = {}
    for node in tree.body:
        targets: Iterable[ast.expr]
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name) and node.value is not None:
                try:
                    found[target.id] = ast.literal_eval(node.value)
                except ValueError:
                    continue  # a value that must be worked out is no answer to what we ask
    return found


def _goes_back(tree: ast.Module) -> bool:
    """Whether there is a `downgrade()` that does not begin by refusing."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "downgrade":
            done = [one for one in node.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
            return not (done and isinstance(done[0], ast.Raise))
    return False
