"""Layers the sources over one another and turns the result into settings, or into one error with every problem.

Later wins, key by key: defaults < project file < `.env` < environment < code. Each surviving value keeps its origin.
References (`${NAME}`) are filled in last, so that one in a value that was replaced need not be set.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from datalayer.conf import schema, sources
from datalayer.conf.options import Settings
from datalayer.conf.problems import Entries, Entry, Problem, error_of, origin_of, problem_of
from datalayer.conf.show import leaves
from datalayer.conf.sources import Key, Variable
from datalayer.conf.url import DatabaseUrl
from datalayer.errors import SettingsNotConfigured, choices_text, nearest
from datalayer.late import dataclass

PREFIX = "DATALAYER_"
URL_VARIABLE = "DATABASE_URL"
URL_KEY: Key = ("databases", "default", "url")
NOT_SETTINGS = (sources.CONFIG_VARIABLE, "DATALAYER_TEST_")
"""Variables with our prefix that are no settings: the name of the file, and what our own tests are told."""


@dataclass(frozen=True, slots=True)
class Source:
    """Everything that was read from outside, once; code is layered over it any number of times."""

    root: Path
    file: sources.ProjectFile | None
    dotenv: Mapping[str, Variable]
    environment: Mapping[str, Variable]


def read(root: Path | None = None, environ: Mapping[str, str] | None = None) -> Source:
    """Reads the project file, `.env` and the environment, without judging what stands in them.

    Args:
        root: Where the search for the file starts, going upwards; the working directory when left out.
        environ: The environment; the one of this process when left out.
    """
    start = (root or Path.cwd()).absolute()
    variables = dict(os.environ if environ is None else environ)
    file = sources.find_file(start, variables)
    folder = file.path.parent if file else start
    return Source(folder, file, sources.read_dotenv(folder), sources.environment(variables))


def load(root: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a folder, without making them the settings in force.

    Args:
        root: Where the search for the file starts, going upwards; the working directory when left out.
        environ: The environment; the one of this process when left out.

    Raises:
        SettingsNotConfigured: Neither a file nor a variable sets anything.
        ConfigurationError: Something is wrong; every problem has its line in the message.
    """
    return build(read(root, environ))


def build(source: Source, code: Entries | None = None) -> Settings:
    """The settings that come out of a source with the values of code on top; `load` says what is raised."""
    code = code or {}
    problems: list[Problem] = []
    file = dict(_file_entries(source.file))
    cls = _settings_class(source, file, code)
    layers = [file]
    for variables in (source.dotenv, source.environment):
        layers.append(_variable_entries(cls, variables, file, problems))
    if source.file is None and not problems and not code and not any(layers):
        raise SettingsNotConfigured(
            f"there are no settings: no {sources.FILE} and no [tool.datalayer] in {sources.PYPROJECT} "
            f"in {source.root} or above it; run 'datalayer startproject', write a {sources.FILE}, set {URL_VARIABLE} "
            "or call datalayer.configure(...)"
        )
    for layer in layers:
        for key in [key for key in layer if key[0] == "root"]:
            entry = layer.pop(key)
            problems.append(Problem("root", entry.origin, "is the folder of the settings file and cannot be set"))
    place = Entry(source.root, source.file.path.name if source.file else "working directory")
    entries = merge({("root",): place}, *layers, code)
    entries = _readable(cls, entries, {**source.dotenv, **source.environment}, problems)
    return _validated(cls, entries, problems)


# -- the layers ---------------------------------------------------------------------------------


def flatten(value: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """The leaves of a nested mapping; a text or URL that stands for a database is the leaf `url` of it."""
    if isinstance(value, BaseModel) and not isinstance(value, Settings):
        value = {name: getattr(value, name) for name in value.model_fields_set}
    if len(key) == 2 and key[0] == "databases" and isinstance(value, str | DatabaseUrl):
        key, value = (*key, "url"), value
    table = sources.as_table(value)
    for name, inner in (table or {}).items():
        yield from flatten(inner, (*key, str(name)))
    if key and not table:
        yield key, value


def merge(*layers: Entries) -> Entries:
    """One layer out of many: a later value replaces an earlier one, and what stood above or below it."""
    merged: Entries = {}
    for layer in layers:
        for key, entry in layer.items():
            if entry.value == {} and any(other[: len(key)] == key for other in merged):
                continue  # an empty table adds nothing
            for other in [other for other in merged if _overlap(key, other)]:
                del merged[other]
            merged[key] = entry
    return merged


def _overlap(one: Key, other: Key) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _file_entries(file: sources.ProjectFile | None) -> Iterator[tuple[Key, Entry]]:
    if file is not None:
        for key, value in flatten(file.table):
            yield key, Entry(value, file.origin(key), is_file=True)


def _variable_entries(
    cls: type[Settings], variables: Mapping[str, Variable], file: Entries, problems: list[Problem]
) -> Entries:
    entries: Entries = {}
    if URL_VARIABLE in variables:
        found = variables[URL_VARIABLE]
        entries[URL_KEY] = Entry(found.value, _with_name(found), is_text=True)
    for name, variable in sorted(variables.items()):
        if not name.startswith(PREFIX):
            continue
        if name.startswith(NOT_SETTINGS):
            if variable.origin.startswith(sources.DOTENV):
                problems.append(Problem(name, variable.origin, "belongs in the environment, not in .env"))
            continue
        key, annotation, unknown = _key_of(cls, name, file)
        if unknown:
            problems.append(Problem(".".join(key), _with_name(variable), unknown))
            continue
        entry = Entry(variable.value, _with_name(variable), is_text=True)
        try:
            value = (
                variable.value
                if len(key) == 2 and _is_url(key, variable.value)
                else schema.decode(variable.value, annotation)
            )
        except ValueError as error:
            problems.append(Problem(".".join(key), entry.origin, str(error)))
            continue
        for leaf, inner in flatten(value, key):
            entries = merge(entries, {leaf: replace(entry, value=inner, is_text=value is variable.value)})
    return entries


def _is_url(key: Key, text: str) -> bool:
    return key[0] == "databases" and not text.lstrip().startswith("{")


def _with_name(variable: Variable) -> str:
    """The origin of a variable, with its name where the origin is a line."""
    return variable.origin if variable.name in variable.origin else f"{variable.name}, {variable.origin}"


def _key_of(cls: type[Settings], name: str, file: Entries) -> tuple[Key, Any, str | None]:
    """The key a variable sets, its type, and what is wrong with the name."""
    key: Key = ()
    annotation: Any = cls
    for segment in name.removeprefix(PREFIX).split("__"):
        known = [other[len(key)] for other in file if other[: len(key)] == key and len(other) > len(key)]
        step = schema.spelled(annotation, segment, known)
        inner = schema.below(annotation, step) if segment else None
        if inner is None:
            choices = [name for name in schema.names(annotation) or [] if name != "root"]
            before = PREFIX + "".join(f"{part.upper()}__" for part in key)
            if not segment:
                return (*key, step), None, "a name is missing: the parts of a key are joined by two underscores"
            if not choices:
                return (*key, step), None, "no such setting: nothing stands below " + ".".join(key)
            hint = nearest(name, [before + choice.upper() for choice in choices])
            return (*key, step), None, f"no such setting{hint or f'; choose from {choices_text(choices)}'}"
        key, annotation = (*key, step), inner
    return key, annotation, None


def _settings_class(source: Source, file: Entries, code: Entries) -> type[Settings]:
    """The class that `settings` names in the strongest layer that sets it."""
    entry = code.get(("settings",))
    for variables in (source.environment, source.dotenv):
        variable = variables.get(PREFIX + "SETTINGS")
        if entry is None and variable is not None:
            entry = Entry(variable.value, _with_name(variable))
    entry = entry or file.get(("settings",))
    if entry is None or entry.value is None:
        return Settings
    module_name, _, class_name = str(entry.value).partition(":")
    if not isinstance(entry.value, str) or not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", entry.value):
        raise error_of([Problem("settings", entry.origin, 'must be "package.module:Class"')])
    return _import_class(module_name, class_name, entry)


def _import_class(module_name: str, class_name: str, entry: Entry) -> type[Settings]:
    found: Any
    try:
        found = sys.modules.get(module_name) or importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there and misses something itself
        reason = f"there is no module {error.name!r} here; run from the project folder or install the project"
        raise error_of([Problem("settings", entry.origin, reason)]) from None
    for name in class_name.split("."):
        choices = [str(other) for other in dir(found) if not other.startswith("_")]
        found = getattr(found, name, None)
        if found is None:
            reason = f"the module {module_name!r} has no class {class_name!r}{nearest(name, choices)}"
            raise error_of([Problem("settings", entry.origin, reason)])
    if not (isinstance(found, type) and issubclass(found, Settings)):
        raise error_of([Problem("settings", entry.origin, f"{class_name} is no subclass of datalayer.Settings")])
    return found


# -- from layers to settings --------------------------------------------------------------------


def _readable(
    cls: type[Settings], entries: Entries, variables: Mapping[str, Variable], problems: list[Problem]
) -> Entries:
    """The entries that may be there, with references filled in and text decoded; the others become problems."""
    kept: Entries = {}
    for key, entry in entries.items():
        problem, annotation = _place(cls, key, entries)
        if problem is None:
            try:
                entry = _filled(entry, annotation, variables) if entry.is_file else entry
                problem = None if entry.is_text else schema.mistyped(annotation, entry.value)
            except ValueError as error:
                problem = str(error)
        if problem is None:
            kept[key] = entry
        else:
            problems.append(Problem(".".join(key), entry.origin, problem))
    return kept


def _place(cls: type[Settings], key: Key, entries: Entries) -> tuple[str | None, Any]:
    annotation: Any = cls
    for index, name in enumerate(key):
        inner = schema.below(annotation, name)
        if inner is None:
            choices = [choice for choice in schema.names(annotation) or [] if choice not in {"root", *key[:index]}]
            if not choices:
                return f"{'.'.join(key[:index])} is a single value; nothing stands below it", None
            return f"unknown key{nearest(name, choices) or f'; choose from {choices_text(choices)}'}", None
        annotation = inner
    return None, annotation


def _filled(entry: Entry, annotation: Any, variables: Mapping[str, Variable]) -> Entry:
    used: list[Variable] = []

    def fill(value: Any) -> Any:
        if isinstance(value, str) and "${" in value:
            text, found = sources.interpolate(value, variables)
            used.extend(found)
            return text
        table, items = sources.as_table(value), sources.as_items(value)
        if items is not None:
            return [fill(item) for item in items]
        return value if table is None else {name: fill(item) for name, item in table.items()}

    value = fill(entry.value)
    if value is entry.value or value == entry.value:
        return entry
    is_text = isinstance(value, str)
    if is_text:
        value = schema.decode(value, annotation)
    origin = entry.origin
    if used:
        origin += " with " + ", ".join(dict.fromkeys(_with_name(variable) for variable in used))
    return replace(entry, value=value, origin=origin, is_text=is_text)


def _validated(cls: type[Settings], entries: Entries, problems: list[Problem]) -> Settings:
    tree: dict[str, Any] = {}
    for key, entry in entries.items():
        place = tree
        for name in key[:-1]:
            place = place.setdefault(name, {})
        place[key[-1]] = entry.value
    given = entries[("root",)].value
    root = Path(given).absolute() if isinstance(given, str | Path) else Path.cwd()
    tree["root"] = root if isinstance(given, str | Path) else given
    origins: dict[str, str] = {}
    try:
        found = cls.model_validate(tree, context={"root": root, "origins": origins})
    except ValidationError as error:
        reported = {problem.key for problem in problems}
        more = [problem_of(detail, entries) for detail in error.errors(include_url=False, include_input=False)]
        problems = [*problems, *(problem for problem in more if problem.key not in reported)]
    else:
        if not problems:
            origins.update({".".join(key): origin_of(key, entries) for key, _ in leaves(found)})
            return found
    raise error_of(problems)
