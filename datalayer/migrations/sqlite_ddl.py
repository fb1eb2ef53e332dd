"""What the text of a `CREATE TABLE` of SQLite says of constraints: SQLite itself tells neither names nor checks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa

Kind: TypeAlias = Literal["primary key", "unique constraint", "check", "foreign key"]

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*"|\[[^\]]*\]|`(?:[^`]|``)*`)"""
    r"|(?P<word>[\w$]+)|(?P<sign>.)",
    re.DOTALL,
)
_INDEX = re.compile(r'^CREATE\s+(?:UNIQUE\s+)?INDEX\s+.*?\sON\s+(?:"(?:[^"]|"")*"|\w+)\s*\(', re.IGNORECASE | re.DOTALL)
_KINDS: dict[str, Kind] = {
    "PRIMARY": "primary key",
    "UNIQUE": "unique constraint",
    "CHECK": "check",
    "FOREIGN": "foreign key",
    "REFERENCES": "foreign key",
}


@dataclass(frozen=True)
class Written:
    """A constraint as it stands in the text; `text` is the condition of a CHECK, and a foreign key may be deferred.

    To SQLite, a foreign key is deferred if it says so in full, and else immediate
    (https://www.sqlite.org/foreignkeys.html#fk_deferred).
    """

    kind: Kind
    name: str | None
    columns: tuple[str, ...]
    text: str = ""
    is_deferred: bool = False


@dataclass(frozen=True)
class _Token:
    text: str
    start: int
    end: int
    is_word: bool

    @property
    def keyword(self) -> str:
        return self.text.upper() if self.is_word else ""

    @property
    def name(self) -> str:
        if self.is_word or self.text[:1] not in "\"[`'":
            return self.text
        inner = self.text[1:-1]
        return inner if self.text[0] == "[" else inner.replace(self.text[0] * 2, self.text[0])


def written(sql: str) -> list[Written]:
    """The constraints of a table, in the order they stand there."""
    found: list[Written] = []
    for part in _parts(_tokens(sql)):
        found += _constraints(part, sql)
    return found


def _tokens(sql: str) -> list[_Token]:
    return [
        _Token(one[0], one.start(), one.end(), one["word"] is not None)
        for one in _TOKEN.finditer(sql)
        if one["space"] is None
    ]


def table_text(connection: sa.Connection, table: str) -> str:
    """The text a table was made with."""
    text = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
    row = connection.exec_driver_sql(text, (table,)).first()
    return "" if row is None else str(row[0])


def generated(text: str, column: str) -> str:
    """The expression of a generated column, as `CREATE TABLE` says it; empty where it is not found."""
    start = re.search(rf"\W{re.escape(column)}\W[^,(]*(?:\([^)]*\)[^,(]*)?\bAS\s*\(", text, re.I)
    depth, quote = 1, ""
    for place, letter in enumerate(text[start.end() :] if start else ""):
        if quote or letter in "'\"":
            quote = "" if letter == quote else quote or letter
        else:
            depth += {"(": 1, ")": -1}.get(letter, 0)
        if start and not depth:
            return text[start.end() : start.end() + place]
    return ""


def collations(text: str) -> dict[str, str]:
    """The collations of columns, as `CREATE TABLE` says them."""
    found: dict[str, str] = {}
    for part in _parts(_tokens(text)):
        depth = 0
        for place, token in enumerate(part[:-1]):
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if place and not depth and token.keyword == "COLLATE":  # in brackets it is that of a condition
                found[part[0].name] = part[place + 1].name
    return found


def foreign_keys(connection: sa.Connection, table: str) -> list[dict[str, Any]]:
    """The foreign keys of a table as SQLAlchemy tells them, with their names, and all that it overlooks."""
    tables = "SELECT lower(name), name FROM sqlite_master WHERE type = 'table'"
    real = {str(row[0]): str(row[1]) for row in connection.exec_driver_sql(tables)}
    said = [one for one in written(table_text(connection, table)) if one.kind == "foreign key"]
    keys: dict[int, list[Any]] = {}
    for row in connection.exec_driver_sql("SELECT * FROM pragma_foreign_key_list(?) ORDER BY id, seq", (table,)):
        keys.setdefault(row[0], []).append(row)
    found: list[dict[str, Any]] = []
    for number in reversed(keys):  # SQLite counts them backwards
        rows = keys[number]
        target = real.get(str(rows[0][2]).lower(), str(rows[0][2]))
        text = "SELECT name, pk FROM pragma_table_xinfo(?) ORDER BY pk"
        columns = connection.exec_driver_sql(text, (target,)).all()
        if rows[0][4] is None:
            remote = [str(row[0]) for row in columns if row[1]]
        else:
            known = {str(row[0]).lower(): str(row[0]) for row in columns}
            remote = [known.get(str(row[4]).lower(), str(row[4])) for row in rows]
        is_deferred = number < len(said) and said[-1 - number].is_deferred
        deferred: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"} if is_deferred else {}
        found.append(
            {
                "name": said[-1 - number].name if number < len(said) else None,
                "constrained_columns": [str(row[3]) for row in rows],
                "referred_table": target,
                "referred_columns": remote,
                "options": {"ondelete": rows[0][6], "onupdate": rows[0][5], **deferred},
            }
        )
    return found


def index_text(sql: str) -> tuple[str, str]:
    """What an index holds, and its condition, as `CREATE INDEX` says it."""
    head = _INDEX.match(sql)
    text = sql[head.end() :] if head else sql
    depth, quote = 1, ""
    for place, letter in enumerate(text):
        if quote or letter in "'\"":
            quote = "" if letter == quote else quote or letter
        else:
            depth += {"(": 1, ")": -1}.get(letter, 0)
        if not depth:
            return text[:place], re.sub(r"^\s*WHERE\s+", "", text[place + 1 :], flags=re.IGNORECASE).strip()
    return text, ""


def index_parts(sql: str) -> tuple[str, ...]:
    """The parts of an index: names, `-name` in descending order, expressions in brackets; empty where one is more."""
    text = f"({index_text(sql)[0]})"
    found: list[str] = []
    for part in _parts(_tokens(text)):
        order = part[-1].keyword
        bare = part[:-1] if order in ("ASC", "DESC") and len(part) > 1 else part
        if len(bare) == 1:
            found.append(f"{'-' if order == 'DESC' else ''}{bare[0].name}")
        elif bare is not part or any(token.keyword == "COLLATE" for token in part):
            return ()
        else:
            while part[0].text == "(" and _closing(part, 0) == len(part) - 1:
                part = part[1:-1]
            found.append(f"({text[part[0].start : part[-1].end]})")
    return tuple(found)


def _parts(tokens: list[_Token]) -> Iterator[list[_Token]]:
    """What stands between the commas of the outer brackets."""
    depth, part = 0, list[_Token]()
    for token in tokens:
        if token.text == ")":
            depth -= 1
        if depth == 0 and token.text == ")":
            yield part
            return
        if depth == 1 and token.text == ",":
            yield part
            part = []
        elif depth > 0:
            part.append(token)
        if token.text == "(":
            depth += 1


def _constraints(part: list[_Token], sql: str) -> Iterator[Written]:
    """The constraints of one column, or the one that stands for itself."""
    is_column = part[0].keyword not in ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN")
    columns: tuple[str, ...] = (part[0].name,) if is_column else ()
    name: str | None = None
    place = int(is_column)
    while place < len(part):
        token = part[place]
        if token.text == "(":
            place = _closing(part, place)
        elif token.keyword == "CONSTRAINT" and place + 1 < len(part):
            name = part[place + 1].name
            place += 1
        elif token.keyword in _KINDS and not (token.keyword == "REFERENCES" and not is_column):
            kind = _KINDS[token.keyword]
            text = ""
            brackets = next((at for at in range(place, len(part)) if part[at].text == "("), None)
            if brackets is not None and (kind == "check" or not is_column):
                end = _closing(part, brackets)
                text = sql[part[brackets].end : part[end].start] if kind == "check" else ""
                if not is_column and kind != "check":
                    columns = tuple(_listed(part[brackets + 1 : end]))
                place = end
            yield Written(kind, name, columns, text.strip(), kind == "foreign key" and _is_deferred(part[place:]))
            name = None
        place += 1


def _is_deferred(tokens: list[_Token]) -> bool:
    """Whether a foreign key is checked at the end; what comes after another constraint of the column is not its own."""
    words: list[str] = []
    for token in tokens[1:]:
        if token.keyword in (*_KINDS, "CONSTRAINT") and token.keyword != "REFERENCES":
            break
        words.append(token.keyword)
    text = " ".join(words)
    return "DEFERRABLE INITIALLY DEFERRED" in text and "NOT DEFERRABLE" not in text


def _closing(part: list[_Token], place: int) -> int:
    depth = 0
    for at in range(place, len(part)):
        depth += {"(": 1, ")": -1}.get(part[at].text, 0)
        if depth == 0:
            return at
    return len(part) - 1


def _listed(tokens: list[_Token]) -> Iterator[str]:
    """The names between commas; what stands behind one, such as COLLATE, is no name."""
    is_next = True
    for token in tokens:
        if is_next:
            yield token.name
        is_next = token.text == ","


__all__ = ["Written", "collations", "foreign_keys", "generated", "index_parts", "index_text", "table_text", "written"]
