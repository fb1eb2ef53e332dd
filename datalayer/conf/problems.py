"""What is wrong with the settings, in their own words: the key, the place it came from and the reason.

The loader finds the problems; this file tells of them, and repeats no value that may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datalayer.conf.show import hidden_in
from datalayer.conf.sources import Key
from datalayer.errors import ConfigurationError, nearest
from datalayer.late import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One value: where it came from, and whether it is text that still has to be read as its type."""

    value: Any
    origin: str
    is_text: bool = False
    is_file: bool = False


Entries = dict[Key, Entry]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the dotted key, the place and the reason."""

    key: str
    origin: str | None
    reason: str

    def __str__(self) -> str:
        place = f"{self.key} ({self.origin})" if self.key and self.origin else self.key or self.origin
        return f"{place}: {self.reason}" if place else self.reason


_REASONS = {
    "missing": "must be set",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "string_type": "must be text, in quotes",
    "path_type": "must be a path, in quotes",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
}
"""What pydantic says, in the words of a settings file."""


def problem_of(detail: Mapping[str, Any], entries: Entries) -> Problem:
    """What pydantic found wrong, with the place it came from."""
    location = tuple(str(part) for part in detail["loc"] if part != "[key]")
    key: Key = location
    while key and key not in entries and not any(other[: len(key)] == key for other in entries):
        key = key[:-1]
    origin = origin_of(key, entries) if key else "default"
    reason = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
    reason = reason.replace("Input should be", "must be")
    reason = _REASONS.get(detail["type"], reason)
    if detail["type"] == "missing":
        if key[:1] == ("databases",):
            others = {other[1] for other in entries if other[0] == "databases" and (*other[:2], "url") in entries}
            reason += nearest(key[1], others - {key[1]}) if len(key) > 1 else ""
    elif detail["type"] == "string_pattern_mismatch":
        reason = (
            "must be a database alias: letters, digits, _ and -"
            if key[:1] == ("databases",)
            else ("must be a dotted module name, such as shop.models" if key == ("models",) else reason)
        )
    if key in entries:
        reason = hidden_in(reason, key, entries[key].value)
    return Problem(".".join(location), None if origin == "default" else origin, reason[:1].lower() + reason[1:])


def error_of(problems: list[Problem]) -> ConfigurationError:
    """One error that tells of all problems."""
    first = problems[0]
    text = str(first)
    if len(problems) > 1:
        text = "\n".join([f"{len(problems)} problems in the settings", *(f"  {problem}" for problem in problems)])
    return ConfigurationError(text, key=first.key or None, origin=first.origin)


def origin_of(key: Key, entries: Entries) -> str:
    """Where the value of a key came from, or those below it."""
    for length in range(len(key), 0, -1):
        if key[:length] in entries:
            return entries[key[:length]].origin
    below = [entry.origin for other, entry in entries.items() if other[: len(key)] == key]
    return ", ".join(dict.fromkeys(below)) or "default"
