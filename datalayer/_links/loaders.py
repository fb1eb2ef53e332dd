"""How values of PostgreSQL are read where psycopg would do it otherwise than the converters of the compiler want."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.pq import Format

_FIRST_OWN_TYPE: Final = 16384
"""The types below are PostgreSQL's own."""
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class _JsonText(Loader):
    """JSON as the text the server keeps; psycopg would parse it before the column's converter could."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


class _JsonbBinaryText(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        return bytes(data[1:]).decode()  # the first byte is the version of the format


class _JsonBinaryText(_JsonText):
    format = Format.BINARY


class _UtcTimestamp(Loader):
    """A timestamptz in UTC whatever the time zone of the session, for sessions whose time zone we may not set."""

    format = Format.BINARY
    _epoch = datetime(2000, 1, 1, tzinfo=UTC)
    _unpack = struct.Struct("!q").unpack

    def load(self, data: Buffer) -> datetime:
        (micros,) = self._unpack(data)
        try:
            return self._epoch + timedelta(microseconds=micros)
        except OverflowError:
            raise psycopg.DataError("timestamp too large or too small for Python, or infinite") from None


class _OfOtherTypes(Loader):
    """A value of a type that psycopg does not know: text where a type of the database's own sends text, else bytes.

    An ENUM and citext send their text. What is binary has a control character where text has none: a count, a zero.
    """

    format = Format.BINARY

    def load(self, data: Buffer) -> str | bytes:
        found = bytes(data)
        if self.oid < _FIRST_OWN_TYPE or _CONTROL.search(found):
            return found
        try:
            return found.decode()
        except UnicodeDecodeError:
            return found


def _adapters(*, any_time_zone: bool) -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_loader("json", _JsonText)
    adapters.register_loader("jsonb", _JsonText)
    adapters.register_loader("json", _JsonBinaryText)
    adapters.register_loader("jsonb", _JsonbBinaryText)
    adapters.register_loader(0, _OfOtherTypes)
    if any_time_zone:
        adapters.register_loader("timestamptz", _UtcTimestamp)
    return adapters


class _Context:
    """What psycopg takes the adapters of a new connection from; the shape of its `AdaptContext`."""

    connection = None

    def __init__(self, adapters: AdaptersMap) -> None:
        self.adapters = adapters


IN_UTC: Final = _Context(_adapters(any_time_zone=False))
ANY_ZONE: Final = _Context(_adapters(any_time_zone=True))
