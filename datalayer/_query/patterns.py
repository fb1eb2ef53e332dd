"""Regular expressions, looked at before they are sent.

SQLite runs them in Python, PostgreSQL has a language of its own: what is wrong in both is refused when a query is
built, and what only one of them knows is left to it.
"""

from __future__ import annotations

import re
from typing import Final

from datalayer.errors import InvalidValue

_OWN_ESCAPES: Final = {"m": "\\b", "M": "\\b", "y": "\\b", "Y": "\\B", "c": "a", "e": "a"}
"""Escapes that PostgreSQL has and Python lacks -> something of the same weight."""
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_CLASS: Final = re.compile(r"\[([:.=]).*?\1\]", re.DOTALL)
_OPTIONS: Final = re.compile(r"\(\?[a-z]+\)")


def check_pattern(pattern: str, name: str) -> None:
    """Makes sure that a text is a regular expression to at least one of the backends.

    Raises:
        InvalidValue: It is none to either.
    """
    if pattern.startswith("***"):  # PostgreSQL: what follows is another language, or plain text
        return
    options = _OPTIONS.match(pattern)
    if options is not None and set("bq") & set(options[0]):  # PostgreSQL: old expressions, or plain text
        return
    body = pattern if options is None else pattern[options.end() :]
    tried = _ESCAPE.sub(lambda found: _OWN_ESCAPES.get(found[1], found[0]), _CLASS.sub("a", body))
    try:
        re.compile(tried)
    except re.error as error:
        if "look-behind" not in str(error):  # PostgreSQL looks back over any length
            raise InvalidValue(f"{name}: {pattern!r} is no regular expression: {error}") from None
