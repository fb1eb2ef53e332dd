"""Functions of text. A place in a text counts characters from 1."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar, overload

from datalayer._query.arithmetic import TEXT, TEXTS, WHOLE
from datalayer._query.expression import Expression
from datalayer._schema.field import ColumnType
from datalayer.errors import QueryError
from datalayer.models.column import Deferred, Expr
from datalayer.models.computed import function
from datalayer.models.conditional import Value
from datalayer.models.expressions import Computable

M = TypeVar("M")

_COLLATION: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]*")


def _of_text(word: str, name: str, *arguments: Any, result: ColumnType = TEXT) -> Any:
    """A function whose first argument is text; later texts are texts, and not names."""

    def check(nodes: list[Expression]) -> None:
        type = nodes[0].type
        if type is not None and type.kind not in TEXTS:
            raise QueryError(f"{word}() is of text, and {arguments[0]!r} is {type.kind.value}; Cast() it to str")

    sources = [arguments[0], *[Value(item) if isinstance(item, str) else item for item in arguments[1:]]]
    return function(word, name, sources, result, check)


def _whole(number: object, word: str, least: int = 0) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise QueryError(f"{word}() needs a whole number from {least}, not {number!r}")
    return number


@overload
def Lower(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def Lower(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def Lower(source: str | Deferred, /) -> Computable: ...
def Lower(source: Any, /) -> Any:
    """Text in lower case."""
    return _of_text("Lower", "lower", source)


@overload
def Upper(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def Upper(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def Upper(source: str | Deferred, /) -> Computable: ...
def Upper(source: Any, /) -> Any:
    """Text in upper case."""
    return _of_text("Upper", "upper", source)


@overload
def Length(source: Expr[M, str], /) -> Expr[M, int]: ...
@overload
def Length(source: Expr[M, str | None], /) -> Expr[M, int | None]: ...
@overload
def Length(source: str | Deferred, /) -> Computable: ...
def Length(source: Any, /) -> Any:
    """How many characters a text has."""
    return _of_text("Length", "length", source, result=WHOLE)


@overload
def Trim(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def Trim(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def Trim(source: str | Deferred, /) -> Computable: ...
def Trim(source: Any, /) -> Any:
    """Text without the spaces at both ends."""
    return _of_text("Trim", "trim", source)


@overload
def LTrim(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def LTrim(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def LTrim(source: str | Deferred, /) -> Computable: ...
def LTrim(source: Any, /) -> Any:
    """Text without the spaces at its start."""
    return _of_text("LTrim", "ltrim", source)


@overload
def RTrim(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def RTrim(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def RTrim(source: str | Deferred, /) -> Computable: ...
def RTrim(source: Any, /) -> Any:
    """Text without the spaces at its end."""
    return _of_text("RTrim", "rtrim", source)


@overload
def Reverse(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def Reverse(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def Reverse(source: str | Deferred, /) -> Computable: ...
def Reverse(source: Any, /) -> Any:
    """Text from its end."""
    return _of_text("Reverse", "reverse", source)


@overload
def Ord(source: Expr[M, str], /) -> Expr[M, int]: ...
@overload
def Ord(source: Expr[M, str | None], /) -> Expr[M, int | None]: ...
@overload
def Ord(source: str | Deferred, /) -> Computable: ...
def Ord(source: Any, /) -> Any:
    """The number of the first character; NULL for an empty text."""
    return _of_text("Ord", "ord", source, result=WHOLE)


@overload
def MD5(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def MD5(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def MD5(source: str | Deferred, /) -> Computable: ...
def MD5(source: Any, /) -> Any:
    """The MD5 digest as hexadecimal text."""
    return _of_text("MD5", "md5", source)


@overload
def SHA1(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def SHA1(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def SHA1(source: str | Deferred, /) -> Computable: ...
def SHA1(source: Any, /) -> Any:
    """The SHA-1 digest as hexadecimal text.

    On PostgreSQL it is of the extension `pgcrypto`: `online.create_extension("pgcrypto")` in a migration.
    """
    return _of_text("SHA1", "sha1", source)


@overload
def SHA224(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def SHA224(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def SHA224(source: str | Deferred, /) -> Computable: ...
def SHA224(source: Any, /) -> Any:
    """The SHA-224 digest as hexadecimal text."""
    return _of_text("SHA224", "sha224", source)


@overload
def SHA256(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def SHA256(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def SHA256(source: str | Deferred, /) -> Computable: ...
def SHA256(source: Any, /) -> Any:
    """The SHA-256 digest as hexadecimal text."""
    return _of_text("SHA256", "sha256", source)


@overload
def SHA384(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def SHA384(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def SHA384(source: str | Deferred, /) -> Computable: ...
def SHA384(source: Any, /) -> Any:
    """The SHA-384 digest as hexadecimal text."""
    return _of_text("SHA384", "sha384", source)


@overload
def SHA512(source: Expr[M, str], /) -> Expr[M, str]: ...
@overload
def SHA512(source: Expr[M, str | None], /) -> Expr[M, str | None]: ...
@overload
def SHA512(source: str | Deferred, /) -> Computable: ...
def SHA512(source: Any, /) -> Any:
    """The SHA-512 digest as hexadecimal text."""
    return _of_text("SHA512", "sha512", source)


@overload
def Collate(source: Expr[M, str], name: str, /) -> Expr[M, str]: ...
@overload
def Collate(source: Expr[M, str | None], name: str, /) -> Expr[M, str | None]: ...
@overload
def Collate(source: str | Deferred, name: str, /) -> Computable: ...
def Collate(source: Any, name: str, /) -> Any:
    """A text that is compared and ordered by a collation: `order_by(Collate("name", "de-x-icu"))`.

    Args:
        source: The text.
        name: What the database calls the collation; SQLite has `BINARY`, `NOCASE` and `RTRIM`.

    Raises:
        QueryError: A name that no collation has.
    """
    if not isinstance(name, str) or not _COLLATION.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance] - who does not check types
        raise QueryError(f"Collate(..., {name!r}): no collation is called so; names are such as 'de-x-icu' and 'C'")
    return _of_text("Collate", f"collate:{name}", source)


@overload
def Left(source: Expr[M, str], length: int, /) -> Expr[M, str]: ...
@overload
def Left(source: Expr[M, str | None], length: int, /) -> Expr[M, str | None]: ...
@overload
def Left(source: str | Deferred, length: int, /) -> Computable: ...
def Left(source: Any, length: int, /) -> Any:
    """The first characters of a text."""
    return _of_text("Left", "left", source, _whole(length, "Left"))


@overload
def Right(source: Expr[M, str], length: int, /) -> Expr[M, str]: ...
@overload
def Right(source: Expr[M, str | None], length: int, /) -> Expr[M, str | None]: ...
@overload
def Right(source: str | Deferred, length: int, /) -> Computable: ...
def Right(source: Any, length: int, /) -> Any:
    """The last characters of a text."""
    return _of_text("Right", "right", source, _whole(length, "Right"))


@overload
def Substr(source: Expr[M, str], start: int, length: int | None = None, /) -> Expr[M, str]: ...
@overload
def Substr(source: Expr[M, str | None], start: int, length: int | None = None, /) -> Expr[M, str | None]: ...
@overload
def Substr(source: str | Deferred, start: int, length: int | None = None, /) -> Computable: ...
def Substr(source: Any, start: int, length: int | None = None, /) -> Any:
    """A part of a text, from a place on, with a length or to its end."""
    return _of_text(
        "Substr", "substr", source, _whole(start, "Substr", 1), *([] if length is None else [_whole(length, "Substr")])
    )


@overload
def Replace(source: Expr[M, str], old: str, new: str = "", /) -> Expr[M, str]: ...
@overload
def Replace(source: Expr[M, str | None], old: str, new: str = "", /) -> Expr[M, str | None]: ...
@overload
def Replace(source: str | Deferred, old: str, new: str = "", /) -> Computable: ...
def Replace(source: Any, old: str, new: str = "", /) -> Any:
    """A text with every occurrence of another replaced."""
    return _of_text("Replace", "replace", source, old, new)


@overload
def LPad(source: Expr[M, str], length: int, fill: str = " ", /) -> Expr[M, str]: ...
@overload
def LPad(source: Expr[M, str | None], length: int, fill: str = " ", /) -> Expr[M, str | None]: ...
@overload
def LPad(source: str | Deferred, length: int, fill: str = " ", /) -> Computable: ...
def LPad(source: Any, length: int, fill: str = " ", /) -> Any:
    """A text filled up from the left, or cut, to a length."""
    return _of_text("LPad", "lpad", source, _whole(length, "LPad"), fill)


@overload
def RPad(source: Expr[M, str], length: int, fill: str = " ", /) -> Expr[M, str]: ...
@overload
def RPad(source: Expr[M, str | None], length: int, fill: str = " ", /) -> Expr[M, str | None]: ...
@overload
def RPad(source: str | Deferred, length: int, fill: str = " ", /) -> Computable: ...
def RPad(source: Any, length: int, fill: str = " ", /) -> Any:
    """A text filled up to the right, or cut, to a length."""
    return _of_text("RPad", "rpad", source, _whole(length, "RPad"), fill)


@overload
def Repeat(source: Expr[M, str], times: int, /) -> Expr[M, str]: ...
@overload
def Repeat(source: Expr[M, str | None], times: int, /) -> Expr[M, str | None]: ...
@overload
def Repeat(source: str | Deferred, times: int, /) -> Computable: ...
def Repeat(source: Any, times: int, /) -> Any:
    """A text several times."""
    return _of_text("Repeat", "repeat", source, _whole(times, "Repeat"))


@overload
def StrIndex(source: Expr[M, str], part: str | Expr[M, str] | Deferred, /) -> Expr[M, int]: ...
@overload
def StrIndex(source: Expr[M, str | None], part: str | Expr[M, str] | Deferred, /) -> Expr[M, int | None]: ...
@overload
def StrIndex(source: str | Deferred, part: str | Expr[M, str] | Deferred, /) -> Computable: ...
def StrIndex(source: Any, part: Any, /) -> Any:
    """The place of a text in another, from 1; 0 where it is not in it."""
    return _of_text("StrIndex", "strpos", source, part, result=WHOLE)


def Chr(number: Any, /) -> Computable:
    """The character of a number."""
    found: Computable = function("Chr", "chr", (number,), TEXT)
    return found


@overload
def Concat(first: Expr[M, Any], second: Expr[M, Any], /, *more: Expr[M, Any]) -> Expr[M, str]: ...
@overload
def Concat(first: Any, second: Any, /, *more: Any) -> Any: ...
def Concat(first: Any, second: Any, /, *more: Any) -> Any:
    """Texts one after the other; NULL counts as empty. Plain texts are written `Value(", ")`."""
    return function("Concat", "concat", (first, second, *more), TEXT, _check_parts)


def _check_parts(nodes: list[Expression]) -> None:
    for node in nodes:
        if node.type is not None and node.type.kind.value in {"bytes", "json", "duration"}:
            raise QueryError(f"Concat() puts text together, and one part is {node.type.kind.value}; Cast() it to str")
