"""Rows of SQL written by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from typing import Any, Generic

from datalayer.databases import databases
from datalayer.models import operations
from datalayer.models.question import M


class RawRows(Generic[M]):
    """The rows of SQL written by hand; iterate or await it."""

    __slots__ = ("_alias", "model", "params", "sql")

    def __init__(self, model: type[M], alias: str, sql: str, params: Mapping[str, object] | Sequence[object]) -> None:
        self.model = model
        self._alias = alias
        self.sql = sql
        self.params = params

    def __iter__(self) -> Iterator[M]:
        return iter(databases[self._alias].run(operations.raw, self.model, self._alias, self.sql, self.params))

    async def _afetched(self) -> list[M]:
        return await databases[self._alias].arun(operations.raw, self.model, self._alias, self.sql, self.params)

    async def __aiter__(self) -> AsyncIterator[M]:
        for row in await self._afetched():
            yield row

    def __await__(self) -> Generator[Any, None, list[M]]:
        return self._afetched().__await__()

    def __repr__(self) -> str:
        return f"<RawRows of {self.model.__name__}: {self.sql!r}>"
