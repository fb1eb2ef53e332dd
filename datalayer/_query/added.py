"""What users have added to the language of questions: functions and lookups, each as SQL text with places for values.

The text comes from the code of the application, never from its users; values and columns are put in by the compiler,
bound and quoted as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from datalayer._query.lookup import LOOKUPS, TRANSFORMS
from datalayer._schema.field import ColumnType, Kind
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError, choices_text

BACKENDS: Final = ("sqlite", "postgresql")
_PLACE: Final = re.compile(r"\{(\d+)\}")
_COMMENT: Final = re.compile(
    r"""[eE]'(?:\\.|''|[^'\\])*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$|/\*.*?\*/|(--)""", re.DOTALL
)
"""What may have two dashes inside of it, or the two that begin a comment."""
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class Template(NamedTuple):
    """SQL text for each backend, with `{0}`, `{1}` ... where the arguments go.

    Attributes:
        name: What it is called.
        texts: The text by backend; a backend that lacks it has none.
        kinds: The kinds of column a lookup is for; empty for all.
    """

    name: str
    texts: Mapping[str, str]
    kinds: frozenset[Kind] = frozenset()

    def pieces(self, backend: str) -> list[str | int] | None:
        """The text cut at its places: text, number of an argument, text ...; None where the backend lacks it."""
        text = self.texts.get(backend)
        if text is None:
            return None
        cut = _PLACE.split(text)
        return [int(part) if place % 2 else part for place, part in enumerate(cut)]


functions: dict[str, Template] = {}
"""Functions by the key that questions know them by."""
comparisons: dict[str, Template] = {}
"""Lookups by the key that questions know them by."""
lookups: dict[str, tuple[Template, str]] = {}
"""Lookups by the word that stands for them in names, each with its key."""
transforms: dict[str, tuple[frozenset[Kind], ColumnType, str]] = {}
"""Functions that are words of names: for which kinds of column, the type of what they give, and the key."""
owners: dict[str, tuple[int, str]] = {}
"""Lookups and words that one field alone has: the key of its table and its name."""


_defined: dict[str, list[Template]] = {}
"""All that was ever defined, by name: statements are kept by keys, so no key ever means anything else."""


def _key(found: Template) -> str:
    """What questions call a definition: its name and a number, another one for other SQL of the same name."""
    every = _defined.setdefault(found.name, [])
    if found not in every:
        every.append(found)
    return f"{found.name} {every.index(found) + 1}"


def is_of(name: str, table: TableSpec, field: str) -> bool:
    """Whether a field may have a lookup or word, as far as it is one of a single field."""
    return name not in owners or owners[name] == (table.origin.key, field)


def own(name: str, owner: tuple[TableSpec, str] | None) -> None:
    """Says that one field alone has a lookup or word; with None, that all of its kind have it."""
    owners.pop(name, None)
    if owner is not None:
        owners[name] = owner[0].origin.key, owner[1]


def template(name: str, sql: str | None, sqlite: str | None, postgresql: str | None, arguments: int | None) -> Template:
    """Checks and keeps the texts of a function or lookup.

    Raises:
        QueryError: A name that could not be used, no text at all, a comment of two dashes, or places that do not fit.
    """
    if not _NAME.fullmatch(name):
        raise QueryError(f"{name!r} is no name for a function or lookup; use small letters, digits and single _")
    texts = {backend: text for backend, text in zip(BACKENDS, (sqlite or sql, postgresql or sql), strict=True) if text}
    if not texts:
        raise QueryError(f"{name} has no SQL; give sql=, or sqlite= and postgresql=")
    for backend, text in texts.items():
        if any(found[2] for found in _COMMENT.finditer(text)):  # SQL is sent as one line, and all behind it is lost
            raise QueryError(
                f"{name} on {backend} is {text!r}, which has a comment to the end of its line; "
                "write it between /* and */"
            )
        places = {int(place) for place in _PLACE.findall(text)}
        if not places or (arguments is not None and places != set(range(arguments))):
            wanted = "{0}" if arguments is None else ", ".join(f"{{{number}}}" for number in range(arguments))
            raise QueryError(f"{name} on {backend} is {text!r}; its arguments go where {wanted} stands")
    return Template(name, texts)


def add_function(found: Template) -> str:
    """Makes a function known, beside older ones of the same name; gives its key."""
    key = _key(found)
    functions[key] = found
    return key


def add_lookup(found: Template) -> str:
    """Makes a lookup known and gives its key; in names, one of the same name takes the place of the older.

    Raises:
        QueryError: The name is one of the library's own.
    """
    if found.name in LOOKUPS or found.name in TRANSFORMS:
        raise QueryError(f"the lookup {found.name!r} is built in; choose another name")
    key = _key(found)
    comparisons[key] = found
    lookups[found.name] = found, key
    return key


def add_transform(name: str, kinds: frozenset[Kind], result: ColumnType, key: str) -> None:
    """Makes a function, which has a key, a word that may follow the name of a column.

    Raises:
        QueryError: The name is one of the library's own.
    """
    if name in LOOKUPS or name in TRANSFORMS:
        raise QueryError(f"{name!r} is built in; choose another name")
    transforms[name] = kinds, result, key


def lookups_for(type: ColumnType | None) -> frozenset[str]:
    """The added lookups that a type has."""
    return frozenset(
        name for name, (found, _) in lookups.items() if not found.kinds or type is None or type.kind in found.kinds
    )


@contextmanager
def isolated() -> Generator[None]:
    """Forgets at the end what is added inside; for tests."""
    registries: list[dict[str, Any]] = [functions, comparisons, lookups, transforms, owners]
    kept = [dict(registry) for registry in registries]
    try:
        yield
    finally:
        for registry, before in zip(registries, kept, strict=True):
            registry.clear()
            registry.update(before)


def missing(found: Template, backend: str) -> str:
    """The message about a backend that lacks a function or lookup."""
    return f"{found.name!r} has no SQL for {backend}; it has for {choices_text(found.texts)}"
