"""The statements of an SQL text, found without running it: quotes, comments, dollar quotes and bodies are respected.

Each backend reads its own way: PostgreSQL nests comments and quotes with dollars, SQLite quotes with brackets and has
triggers with statements inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from datalayer.errors import MigrationError

_WORD = r"[^\W\d][\w$]*"
_QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
_TOKENS = {
    "postgresql": re.compile(
        rf"--[^\n]*|/\*|(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'|{_QUOTED}|\$(?:[^\W\d]\w*)?\$|{_WORD}|\d[\w.]*|;|\S", re.DOTALL
    ),
    "sqlite": re.compile(rf"--[^\n]*|/\*|{_QUOTED}|`[^`]*`|\[[^\]]*\]|{_WORD}|\d[\w.]*|;|\S", re.DOTALL),
}
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_TRIGGER = re.compile(r"create\s+(temp\w*\s+)?trigger\b", re.IGNORECASE)
_IN_TRANSACTION = {"INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "COMMENT", "TRUNCATE"}
_SCHEMA = {"CREATE", "ALTER", "DROP"}
_IN_SCHEMA = {"TABLE", "INDEX", "VIEW", "TRIGGER", "FUNCTION", "SEQUENCE", "TYPE", "SCHEMA"}


@dataclass(frozen=True)
class Statement:
    """One statement, without its semicolon.

    Attributes:
        text: What is sent, comments inside included.
        line: The line of the file it begins in.
        words: Its words and signs in upper case, comments and the insides of quotes left out; to look at, not to send.
    """

    text: str
    line: int
    words: tuple[str, ...]

    @property
    def may_be_in_transaction(self) -> bool:
        """Whether it is surely one of those that work inside a transaction as they do outside."""
        first = set(self.words[:1]) & _IN_TRANSACTION
        made = set(self.words[:1]) & _SCHEMA and set(self.words[1:4]) & _IN_SCHEMA
        return bool(first or made) and "CONCURRENTLY" not in self.words


def statements(text: str, backend: str, where: str) -> list[Statement]:
    """The statements of a text, in order; comments alone are none.

    Args:
        text: The SQL.
        backend: Whose SQL it is.
        where: The file, for errors.

    Raises:
        MigrationError: A quote or a comment that does not end, or a command of psql.
    """
    found: list[Statement] = []
    start: int | None = None
    words: list[str] = []
    depth = finish = 0
    for token, place, last in _tokens(text, backend, where):
        if token == ";" and depth == 0:
            if start is not None:
                found.append(_statement(text, start, place, words))
            start, words = None, []
            continue
        if start is None:
            start = place
        words.append(token.upper())
        depth = _depth(depth, words, backend)
        finish = last
    if start is not None:
        found.append(_statement(text, start, finish, words))
    return found


def _statement(text: str, start: int, end: int, words: list[str]) -> Statement:
    return Statement(text[start:end].strip(), text.count("\n", 0, start) + 1, tuple(words))


def _depth(depth: int, words: list[str], backend: str) -> int:
    """How deep inside a body with semicolons of its own: a trigger of SQLite, or a function with BEGIN ATOMIC."""
    last = words[-1]
    if depth:
        return depth + (last in ("CASE", "BEGIN")) - (last == "END")
    if backend == "sqlite":
        return int(last == "BEGIN" and bool(_TRIGGER.match(" ".join(words[:3]))))
    return int(last == "ATOMIC" and words[-2:-1] == ["BEGIN"])


def _tokens(text: str, backend: str, where: str) -> Iterator[tuple[str, int, int]]:
    """The tokens that matter, where each begins and where it ends; a quoted one is only its first sign."""
    pattern = _TOKENS[backend]
    place = 0
    while (found := pattern.search(text, place)) is not None:
        token, begins, place = found[0], found.start(), found.end()
        if token.startswith("--"):
            continue
        if token == "/*":
            place = _comment_end(text, place, where, nests=backend == "postgresql")
            continue
        if token.startswith("$") and token.endswith("$") and len(token) > 1:
            closing = text.find(token, place)
            if closing < 0:
                raise _unfinished(text, begins, token, where)
            place = closing + len(token)
            yield "$", begins, place
        elif token in ("'", '"', "`"):
            raise _unfinished(text, begins, token, where)
        elif token == "\\" and not text[text.rfind("\n", 0, begins) + 1 : begins].strip():
            line = text.count("\n", 0, begins) + 1
            raise MigrationError(f"{where}, line {line}: a command of psql is no SQL, and nobody runs it here")
        else:
            yield (token[0] if token[0] in "'\"`[" and len(token) > 1 else token), begins, place


def _comment_end(text: str, place: int, where: str, *, nests: bool) -> int:
    depth, begins = 1, place - 2
    while depth:
        edge = _COMMENT_EDGE.search(text, place)
        if edge is None:
            raise _unfinished(text, begins, "/*", where)
        place = edge.end()
        depth += -1 if edge[0] == "*/" else int(nests)
    return place


def _unfinished(text: str, place: int, sign: str, where: str) -> MigrationError:
    line = text.count("\n", 0, place) + 1
    return MigrationError(f"{where}, line {line}: what begins with {sign} there does not end")
