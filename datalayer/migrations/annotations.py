"""What a field says for a column of a live database: its annotation, and its default."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from datalayer._compile.values import EXACT_DIGITS
from datalayer.migrations.live import LiveColumn


@dataclass(frozen=True)
class Annotation:
    """How a type is written in a model.

    Attributes:
        text: The annotation, without `None`.
        options: What `Field()` says besides.
        is_exact: Whether a table that is made from the model has the very same type.
        note: What a reader should know.
    """

    text: str
    options: tuple[str, ...] = ()
    is_exact: bool = True
    note: str = ""


_NO_ITEMS = ("Decimal", "bytes", "IPvAnyInterface", "dict[str, Any] | list[Any]")
JSON = "dict[str, Any] | list[Any]"
_SIZED = re.compile(r"^([A-Z ]+?)\s*\(\s*(\d+)(?:\s*,\s*(\d+))?\s*\)$")
_MOMENT = re.compile(r"^(TIMESTAMP|TIME(?= ?\(\d\) WITHOUT)|INTERVAL)\(\d\)((?: WITH TIME ZONE| WITHOUT TIME ZONE)?)$")
_POSTGRESQL = {
    "SMALLINT": Annotation("SmallInt"),
    "INTEGER": Annotation("int"),
    "BIGINT": Annotation("BigInt"),
    "DOUBLE PRECISION": Annotation("float"),
    "REAL": Annotation("float", is_exact=False),
    "NUMERIC": Annotation("Decimal"),
    "BOOLEAN": Annotation("bool"),
    "TEXT": Annotation("str"),
    "VARCHAR": Annotation("str", is_exact=False),
    "BYTEA": Annotation("bytes"),
    "DATE": Annotation("dt.date"),
    "TIME": Annotation("dt.time"),
    "TIME WITHOUT TIME ZONE": Annotation("dt.time"),
    "TIMESTAMP": Annotation("NaiveDatetime"),
    "TIMESTAMP WITHOUT TIME ZONE": Annotation("NaiveDatetime"),
    "TIMESTAMP WITH TIME ZONE": Annotation("dt.datetime"),
    "INTERVAL": Annotation("dt.timedelta"),
    "UUID": Annotation("UUID"),
    "JSONB": Annotation(JSON),
    "JSON": Annotation(JSON, is_exact=False),
    "INET": Annotation("IPvAnyInterface"),
    "INT4RANGE": Annotation("Range[int]"),
    "INT8RANGE": Annotation("Range[BigInt]"),
    "NUMRANGE": Annotation("Range[Decimal]"),
    "DATERANGE": Annotation("Range[dt.date]"),
    "TSTZRANGE": Annotation("Range[dt.datetime]"),
    "TSRANGE": Annotation("Range[NaiveDatetime]"),
}
_SQLITE_OURS = {
    "BIGINT": Annotation("dt.timedelta"),
    "CHAR(36)": Annotation("UUID"),
    "TEXT COLLATE DATALAYER_DECIMAL": Annotation("Decimal"),
}
_SQLITE = {
    "INTEGER": Annotation("BigInt"),
    "INT": Annotation("BigInt", is_exact=False),
    "SMALLINT": Annotation("BigInt", is_exact=False),
    "BIGINT": Annotation("BigInt", is_exact=False),
    "TINYINT": Annotation("BigInt", is_exact=False),
    "MEDIUMINT": Annotation("BigInt", is_exact=False),
    "DOUBLE": Annotation("float"),
    "DOUBLE PRECISION": Annotation("float", is_exact=False),
    "REAL": Annotation("float", is_exact=False),
    "FLOAT": Annotation("float", is_exact=False),
    "DECIMAL": Annotation("Decimal", is_exact=False),
    "NUMERIC": Annotation("Decimal", is_exact=False),
    "BOOLEAN": Annotation("bool"),
    "BOOL": Annotation("bool", is_exact=False),
    "TEXT": Annotation("str"),
    "CLOB": Annotation("str", is_exact=False),
    "VARCHAR": Annotation("str", is_exact=False),
    "BLOB": Annotation("bytes"),
    "DATE": Annotation("dt.date"),
    "TIME": Annotation("dt.time"),
    "DATETIME": Annotation("dt.datetime"),
    "TIMESTAMP": Annotation("NaiveDatetime"),
    "JSON": Annotation(JSON, is_exact=False),
}
_TEXTS = ("VARCHAR", "CHAR", "CHARACTER", "CHARACTER VARYING", "NVARCHAR", "NCHAR")


def annotation(column: LiveColumn, backend: str, *, is_ours: bool) -> Annotation | None:
    """The annotation of a column; None for a type that datalayer does not know."""
    found = _of_type(column, backend, is_ours=is_ours)
    if found is None or not column.domain:
        return found
    return replace(found, is_exact=False, note=f"the domain {column.domain} in the database")


def _of_type(column: LiveColumn, backend: str, *, is_ours: bool) -> Annotation | None:
    if column.choices:
        return Annotation(literal(column.choices), is_exact=False, note="an ENUM type in the database")
    if backend == "postgresql" and column.type.endswith("[]"):
        return _array(_of_type(replace(column, type=column.type.removesuffix("[]")), backend, is_ours=is_ours))
    known = _POSTGRESQL if backend == "postgresql" else {**_SQLITE, **(_SQLITE_OURS if is_ours else {})}
    if column.type in known:
        return known[column.type]
    if backend == "postgresql" and (match := _MOMENT.match(column.type)):  # of fewer digits than six
        return replace(_POSTGRESQL[match[1] + match[2]], is_exact=False)
    match = _SIZED.match(column.type)
    if match is None:
        return _by_affinity(column.type) if backend == "sqlite" else None
    word, first, second = match[1], int(match[2]), match[3]
    if word in _TEXTS:
        return Annotation("str", (f"max_length={first}",), is_exact=word == "VARCHAR")
    if word in ("NUMERIC", "DECIMAL"):
        exact = word == "NUMERIC" if backend == "postgresql" else word == "DECIMAL" and first <= EXACT_DIGITS
        places = int(second or 0)
        if places > first:
            return None
        return Annotation("Decimal", (f"max_digits={first}", f"decimal_places={places}"), is_exact=exact)
    return _by_affinity(word) if backend == "sqlite" else None


_AFFINITIES = (
    (re.compile(r"\b(?:TINY|SMALL|MEDIUM|BIG)?INT(?:EGER|\d)?\b"), "BigInt"),
    (re.compile(r"(?:CHAR|CHARACTER|CLOB|TEXT)\b"), "str"),
    (re.compile(r"BLOB\b"), "bytes"),
    (re.compile(r"\b(?:REAL|FLOAT\d?|DOUBLE)\b"), "float"),
)


def _by_affinity(type_: str) -> Annotation | None:
    """What SQLite itself makes of a type it does not know, such as Django's `integer unsigned`.

    The rules are those of https://www.sqlite.org/datatype3.html, 3.1, but for whole words: a POINT is no INT.
    """
    return next((Annotation(text, is_exact=False) for words, text in _AFFINITIES if words.search(type_)), None)


def _array(item: Annotation | None) -> Annotation | None:
    """A list of values of a type; None where a list of them is no array in a model."""
    if item is None or item.text in _NO_ITEMS or item.text.startswith("Range["):
        return None
    inside = f"Annotated[{item.text}, Field({', '.join(item.options)})]" if item.options else item.text
    return replace(item, text=f"list[{inside}]", options=())


def literal(choices: tuple[str | int, ...]) -> str:
    """A `Literal` of stored values."""
    return f"Literal[{', '.join(quoted(one) if isinstance(one, str) else str(one) for one in choices)}]"


def quoted(text: str) -> str:
    """A text as Python writes it, on one line."""
    return f'"{text}"' if text.isprintable() and '"' not in text and "\\" not in text else repr(text)


def default(sql: str, kind: Annotation) -> str:
    """The `db_default` of a column: a plain value where the SQL is one, else the SQL as it is."""
    value = re.sub(r"::(?:character varying|text|bpchar|integer|bigint|smallint)$", "", sql.strip())
    if kind.text in ("int", "SmallInt", "BigInt") and re.fullmatch(r"'?-?\d{1,18}'?", value):
        return str(int(value.strip("'")))
    if kind.text == "bool" and value.lower() in ("true", "false", "0", "1"):
        return str(value.lower() in ("true", "1"))
    if kind.text == "str" and re.fullmatch(r"'(?:[^'\\]|'')*'", value):
        text = value[1:-1].replace("''", "'")
        limit = next((int(one.partition("=")[2]) for one in kind.options if one.startswith("max_length=")), None)
        if limit is None or len(text) <= limit:
            return quoted(text)
    if kind.text.startswith('Literal["') and (match := re.fullmatch(r"('(?:[^'\\]|'')*')(?:::.+)?", value)):
        return quoted(match[1][1:-1].replace("''", "'"))  # a model has no ENUM type that it could be cast to
    return f"Sql({quoted(sql)})"


def choices_of(sql: str, kind: Annotation) -> tuple[str | int, ...] | None:
    """The values that a CHECK of datalayer's own allows a column; None where it says something else."""
    if kind.text == "str":
        found = tuple(one.replace("''", "'") for one in re.findall(r"'((?:[^']|'')*)'", sql))
        longest = max((len(one) for one in found), default=0)
        return found if found and kind.options == (f"max_length={max(longest, 1)}",) else None
    if kind.text in ("int", "BigInt"):
        numbers = tuple(int(one) for one in re.findall(r"(?<![\w\"])-?\d+(?!\w)", sql.partition("[")[2] or sql))
        return numbers or None
    return None
