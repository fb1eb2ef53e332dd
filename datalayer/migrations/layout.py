"""Lines of Python as Black and Ruff leave them: what is too long is a call with each argument on a line.

The comma at the end of the last argument keeps it so for them, however long the lines of a project may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

WIDTH = 88  # what Black and Ruff allow where nothing else is said
INDENT = "    "
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[(\[{]|[)\]}]|,')


def laid_out(lines: Iterable[str], indent: str = INDENT) -> list[str]:
    """Lines of a function, none of them longer than it has to be.

    Args:
        lines: Each a statement, a part of one, or a part with a comma at its end.
        indent: What goes before each.
    """
    return [one for line in lines for one in _wrapped(indent + line)]


def _wrapped(line: str) -> list[str]:
    if len(line) <= WIDTH:
        return [line]
    text = line.strip()
    indent = line[: len(line) - len(line.lstrip())]
    tail = "," if text.endswith(",") else ""
    text = text.removesuffix(",")
    found = _last_bracket(text)
    if found is None:
        return [line]
    begin, commas = found
    places = [begin, *commas, len(text) - 1]
    parts = [text[one + 1 : other].strip() for one, other in pairwise(places)]
    head, last = f"{indent}{text[: begin + 1]}", f"{indent}{text[-1]}{tail}"
    return [head, *(one for part in parts for one in _wrapped(f"{indent}{INDENT}{part},")), last]


def _last_bracket(text: str) -> tuple[int, list[int]] | None:
    """Where the bracket begins that a text ends with, and the commas right inside; None where it ends otherwise."""
    opened: list[tuple[int, list[int]]] = []
    for token in _TOKEN.finditer(text):
        if token[0] in "([{":
            opened.append((token.start(), []))
        elif token[0] in ")]}":
            closed = opened.pop()
            if token.end() == len(text):
                return closed
        elif token[0] == "," and opened:
            opened[-1][1].append(token.start())
    return None


__all__ = ["laid_out"]
