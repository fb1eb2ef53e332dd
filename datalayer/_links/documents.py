"""JSON on SQLite, where text is all it knows: steps into it, and whether one document contains another.

Steps are exact, as those of PostgreSQL's `->`: a name finds nothing in an array, a number nothing in an object, and no
character of a name is special.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import cast


@lru_cache(maxsize=256)
def _parsed(text: str) -> object:
    return json.loads(text)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def key(document: str | None, step: str | int | None) -> str | None:
    """What is in a document under a name or a number, as JSON text."""
    if document is None or step is None:
        return None
    found = _parsed(document)
    if isinstance(step, str):
        inside = cast("dict[str, object]", found) if isinstance(found, dict) else {}
        return _text(inside[step]) if step in inside else None
    items = cast("list[object]", found) if isinstance(found, list) else []
    return _text(items[step]) if -len(items) <= step < len(items) else None


def text(document: str | None) -> str | None:
    """A document as plain text: without the quotes of a string; NULL for null."""
    if document is None:
        return None
    found = _parsed(document)
    if found is None or isinstance(found, str):
        return found
    return json.dumps(_in_order(found), ensure_ascii=False)  # with the spaces that PostgreSQL writes


def _in_order(value: object) -> object:
    """A document with its keys in the order of PostgreSQL: short ones first, then by their bytes."""
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value)
        return {name: _in_order(pairs[name]) for name in sorted(pairs, key=_key_order)}
    return [_in_order(item) for item in cast("list[object]", value)] if isinstance(value, list) else value


def _key_order(name: str) -> tuple[int, bytes]:
    written = name.encode()
    return len(written), written


def number(document: str | None) -> float | int | None:
    """A number; NULL for everything else. Whole ones beyond 64 bits lose digits."""
    found = None if document is None else _parsed(document)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return found if -(2**63) <= found < 2**63 else float(found)


def string(document: str | None) -> str | None:
    """A string; NULL for everything else."""
    found = None if document is None else _parsed(document)
    return found if isinstance(found, str) else None


def boolean(document: str | None) -> bool | None:
    """True or false; NULL for everything else."""
    found = None if document is None else _parsed(document)
    return found if isinstance(found, bool) else None


def same(document: str | None) -> str | None:
    """Text that is the same for equal documents, however they are written: keys in order, 1.0 as 1."""
    return None if document is None else json.dumps(_plain(_parsed(document)), ensure_ascii=False, sort_keys=True)


def _plain(document: object) -> object:
    if isinstance(document, float) and document.is_integer():
        return int(document)
    if isinstance(document, dict):
        return {name: _plain(value) for name, value in cast("dict[str, object]", document).items()}
    return [_plain(item) for item in cast("list[object]", document)] if isinstance(document, list) else document


def place(document: str | None) -> bytes | None:
    """Bytes that sort as PostgreSQL sorts JSON: null, strings, numbers, booleans, arrays and objects by their size."""
    if document is None:
        return None
    found = _parsed(document)
    return b"\0" if found == [] else _place(found)  # an empty array comes before all else, at the top only


def _double(number: float) -> float:
    try:
        return float(number) + 0.0
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _place(document: object) -> bytes:
    if document is None:
        return b"\x01"
    if isinstance(document, str):
        return b"\x02" + document.encode().replace(b"\0", b"\0\xff") + b"\0\0"
    if isinstance(document, bool):
        return b"\x04" + bytes([document])
    if isinstance(document, int | float):
        (bits,) = struct.unpack(">Q", struct.pack(">d", _double(document)))
        bits = bits ^ 0xFFFFFFFFFFFFFFFF if bits >> 63 else bits | 1 << 63
        return b"\x03" + struct.pack(">Q", bits)
    if isinstance(document, list):
        items = cast("list[object]", document)
        return b"\x05" + struct.pack(">I", len(items)) + b"".join([_place(item) for item in items])
    pairs = cast("dict[str, object]", document)
    # PostgreSQL keeps the keys by length first, and compares name, value, name, value ...
    names = sorted(pairs, key=lambda name: (len(name.encode()), name.encode()))
    inside = b"".join([_place(name) + _place(pairs[name]) for name in names])
    return b"\x06" + struct.pack(">I", len(names)) + inside


def array_place(document: str | None) -> bytes | None:
    """Bytes that sort as PostgreSQL sorts arrays: item by item, NULL after all else, a shorter one first."""
    if document is None:
        return None
    items = cast("list[object]", _parsed(document))
    return b"".join([b"\xff" if item is None else b"\x01" + _place(item) for item in items]) + b"\0"


def with_place(place: Callable[[str | None], bytes | None]) -> Callable[[str | None], bytes | None]:
    """Makes bytes of a text that sort as its place does, and end in the text itself."""

    def run(text: str | None) -> bytes | None:
        found = place(text)
        if text is None or found is None:
            return None
        kept = text.encode()
        return found + kept + len(kept).to_bytes(4)

    return run


def without_place(value: bytes | None) -> str | None:
    """The text in what `with_place` has made."""
    return None if value is None else value[-4 - int.from_bytes(value[-4:]) : -4].decode()


def array_contains(outer: str | None, inner: str | None) -> bool | None:
    """Whether an array has every item of another; none is equal to NULL."""
    if outer is None or inner is None:
        return None
    have = cast("list[object]", _parsed(outer))
    return all(item is not None and item in have for item in cast("list[object]", _parsed(inner)))


def array_overlap(left: str | None, right: str | None) -> bool | None:
    """Whether two arrays have an item in common."""
    if left is None or right is None:
        return None
    have = cast("list[object]", _parsed(right))
    return any(item is not None and item in have for item in cast("list[object]", _parsed(left)))


def array_item(document: str | None, place: int) -> object:
    """The item at a place, from 0; NULL where there is none."""
    items = [] if document is None else cast("list[object]", _parsed(document))
    return items[place] if 0 <= place < len(items) else None


def array_slice(document: str | None, start: int, stop: int) -> str | None:
    """The items from a place up to another."""
    return None if document is None else _text(cast("list[object]", _parsed(document))[start:stop])


def _names(document: object) -> set[str]:
    if isinstance(document, dict):
        return set(cast("dict[str, object]", document))
    if isinstance(document, list):
        return {item for item in cast("list[object]", document) if isinstance(item, str)}
    return {document} if isinstance(document, str) else set()


def has(document: str | None, name: str | None) -> bool | None:
    """Whether a name is a key of an object, or a string in an array."""
    return None if document is None or name is None else name in _names(_parsed(document))


def has_all(document: str | None, names: str | None) -> bool | None:
    """Whether all of some names are."""
    if document is None or names is None:
        return None
    return set(cast("list[str]", json.loads(names))) <= _names(_parsed(document))


def has_any(document: str | None, names: str | None) -> bool | None:
    """Whether any of some names is."""
    if document is None or names is None:
        return None
    return bool(set(cast("list[str]", json.loads(names))) & _names(_parsed(document)))


def _is_same(left: object, right: object) -> bool:
    return (
        type(left) is type(right) and left == right
        if isinstance(left, bool) or isinstance(right, bool)
        else left == right
    )


def _contains(outer: object, inner: object, *, is_top: bool = False) -> bool:
    if isinstance(inner, dict):
        if not isinstance(outer, dict):
            return False
        have, want = cast("dict[str, object]", outer), cast("dict[str, object]", inner)
        return all(name in have and _contains(have[name], value) for name, value in want.items())
    if isinstance(inner, list):
        if not isinstance(outer, list):
            return False
        items = cast("list[object]", outer)
        return all(any(_contains(item, one) for item in items) for one in cast("list[object]", inner))
    if is_top and isinstance(outer, list):  # an array contains a plain value, at the top only
        return any(_is_same(item, inner) for item in cast("list[object]", outer) if not isinstance(item, dict | list))
    return not isinstance(outer, dict | list) and _is_same(outer, inner)


def contains(outer: str | None, inner: str | None) -> bool | None:
    """Whether one document contains another, as PostgreSQL's `@>` says."""
    return None if outer is None or inner is None else _contains(_parsed(outer), json.loads(inner), is_top=True)


DOCUMENTS: list[tuple[str, int, Callable[..., object]]] = [
    ("json_key", 2, key),
    ("json_text", 1, text),
    ("json_number", 1, number),
    ("json_string", 1, string),
    ("json_boolean", 1, boolean),
    ("json_same", 1, same),
    ("json_place", 1, place),
    ("json_has", 2, has),
    ("json_has_all", 2, has_all),
    ("json_has_any", 2, has_any),
    ("json_contains", 2, contains),
    ("array_place", 1, array_place),
    ("array_with_place", 1, with_place(array_place)),
    ("without_place", 1, without_place),
    ("array_contains", 2, array_contains),
    ("array_overlap", 2, array_overlap),
    ("array_item", 2, array_item),
    ("array_slice", 3, array_slice),
]
"""As `SCALARS`."""
