"""Rows of SQL written by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from typing import Any, Generic, cast, overload

from datalayer.databases import databases
from datalayer.models import operations
from datalayer.models.question import M


class RawRows(Generic[M]):
    """The rows of SQL written by hand; iterate or await it. It asks once, and keeps its rows like a queryset."""

    __slots__ = ("_alias", "_kept", "_only", "model", "params", "sql")

    def __init__(
        self,
        model: type[M],
        alias: str,
        sql: str,
        params: Mapping[str, object] | Sequence[object],
        only: tuple[str, ...] | None = None,
    ) -> None:
        self.model = model
        self._alias = alias
        self._kept: list[M] | None = None
        self._only = only
        self.sql = sql
        self.params = params

    def _fetched(self) -> list[M]:
        if self._kept is None:
            database = databases[self._alias]
            rows = database.run(operations.raw, self.model, self._alias, self.sql, self.params, self._only)
            self._kept = cast("list[M]", rows)
        return self._kept

    async def _afetched(self) -> list[M]:
        if self._kept is None:
            database = databases[self._alias]
            rows = await database.arun(operations.raw, self.model, self._alias, self.sql, self.params, self._only)
            self._kept = cast("list[M]", rows)
        return self._kept

    def __iter__(self) -> Iterator[M]:
        return iter(self._fetched())

    def __len__(self) -> int:
        return len(self._fetched())

    @overload
    def __getitem__(self, item: int) -> M: ...
    @overload
    def __getitem__(self, item: slice) -> list[M]: ...
    def __getitem__(self, item: int | slice) -> M | list[M]:
        return self._fetched()[item]

    async def __aiter__(self) -> AsyncIterator[M]:
        for row in await self._afetched():
            yield row

    def __await__(self) -> Generator[Any, None, list[M]]:
        return self._afetched().__await__()

    def __repr__(self) -> str:
        return f"<RawRows of {self.model.__name__}: {self.sql!r}>"
