"""The writing half of querysets: create, update, delete, upserts, many at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from datalayer._plans import write as write_plans
from datalayer._query.change import Delete
from datalayer._query.path import names_of
from datalayer.errors import FieldError, choices_text, nearest
from datalayer.models import operations
from datalayer.models.column import Expr, Related
from datalayer.models.question import M
from datalayer.models.rows import Rows


class WritableRows(Rows[M, M]):
    """Rows of a table that can be written."""

    __slots__ = ()

    def _defaults(self, values: dict[str, Any]) -> dict[str, Any]:
        if self._behind_of is None:
            return values
        instance, spec = self._behind_of
        return values if spec.reverse is None else {spec.reverse: instance, **values}

    def _new(self, values: dict[str, Any]) -> M:
        return self.model(**self._defaults(values))

    def create(self, **values: Any) -> M:
        """Makes an instance and saves it."""
        return cast("M", self._database.run(operations.create, self._new(values), self._alias))

    async def acreate(self, **values: Any) -> M:
        """The awaiting twin of `create`."""
        return cast("M", await self._database.arun(operations.create, self._new(values), self._alias))

    def get_or_create(self, defaults: Mapping[str, Any] | None = None, **named: Any) -> tuple[M, bool]:
        """The row that matches, or a new one; and whether it is new. Safe against somebody doing the same."""
        return cast(
            "tuple[M, bool]",
            self._database.run(operations.get_or_create, self._upsert(defaults, named), self._database.depth),
        )

    async def aget_or_create(self, defaults: Mapping[str, Any] | None = None, **named: Any) -> tuple[M, bool]:
        """The awaiting twin of `get_or_create`."""
        return cast(
            "tuple[M, bool]",
            await self._database.arun(operations.get_or_create, self._upsert(defaults, named), self._database.depth),
        )

    def update_or_create(self, defaults: Mapping[str, Any] | None = None, **named: Any) -> tuple[M, bool]:
        """Writes `defaults` to the row that matches, or makes one; and whether it is new."""
        return cast(
            "tuple[M, bool]",
            self._database.run(operations.update_or_create, self._upsert(defaults, named), self._database.depth),
        )

    async def aupdate_or_create(self, defaults: Mapping[str, Any] | None = None, **named: Any) -> tuple[M, bool]:
        """The awaiting twin of `update_or_create`."""
        return cast(
            "tuple[M, bool]",
            await self._database.arun(operations.update_or_create, self._upsert(defaults, named), self._database.depth),
        )

    def _upsert(self, defaults: Mapping[str, Any] | None, named: dict[str, Any]) -> operations.Upsert:
        known = names_of(self.query.table)
        unknown = [name for name in defaults or () if name not in known]
        if unknown:
            raise FieldError(
                f"defaults name {unknown[0]!r}, which {self.query.table.model} does not have; the choices are "
                f"{choices_text(known)}{nearest(unknown[0], known)}",
                name=unknown[0],
                choices=known,
            )
        plain = {name: value for name, value in self._defaults(named).items() if "__" not in name}
        return operations.Upsert(self._one((), named), self.model, self._alias, plain, dict(defaults or {}))

    def update(self, **values: Any) -> int:
        """Writes values to every row of the query, in one statement; gives the number of rows.

        Raises:
            QueryError: The whole table, without an explicit `all()`; a sliced query.
        """
        return self._database.run(write_plans.update, operations.update_of(self, values))

    async def aupdate(self, **values: Any) -> int:
        """The awaiting twin of `update`."""
        return await self._database.arun(write_plans.update, operations.update_of(self, values))

    def delete(self) -> int:
        """Deletes every row of the query, in one statement; gives the number of rows of this table.

        Raises:
            QueryError: The whole table, without an explicit `all()`; a sliced query.
        """
        return self._database.run(write_plans.delete, Delete(operations.writable(self, "delete")))

    async def adelete(self) -> int:
        """The awaiting twin of `delete`."""
        return await self._database.arun(write_plans.delete, Delete(operations.writable(self, "delete")))

    def bulk_create(
        self,
        objects: Iterable[M],
        *,
        on_conflict: Sequence[str] | None = None,
        update: Sequence[str] = (),
        batch_size: int | None = None,
    ) -> list[M]:
        """Saves many new instances in as few statements as possible; gives them with their keys.

        Args:
            objects: The instances.
            on_conflict: Fields or a relation whose conflict is no error; () for any.
            update: What to overwrite on a conflict; nothing leaves the old row alone.
            batch_size: Most rows in one statement.
        """
        return cast(
            "list[M]",
            self._database.run(
                operations.bulk_create,
                operations.Bulk(self.model, self._alias, list(objects), on_conflict, update, batch_size),
                self._database.depth,
            ),
        )

    async def abulk_create(
        self,
        objects: Iterable[M],
        *,
        on_conflict: Sequence[str] | None = None,
        update: Sequence[str] = (),
        batch_size: int | None = None,
    ) -> list[M]:
        """The awaiting twin of `bulk_create`."""
        return cast(
            "list[M]",
            await self._database.arun(
                operations.bulk_create,
                operations.Bulk(self.model, self._alias, list(objects), on_conflict, update, batch_size),
                self._database.depth,
            ),
        )

    def bulk_update(
        self,
        objects: Iterable[M],
        fields: Sequence[str | Expr[M, Any] | Related[M, Any]],
        *,
        batch_size: int | None = None,
    ) -> int:
        """Writes some fields of many instances, one statement for each batch; gives the number of rows found."""
        return self._database.run(
            operations.bulk_update,
            operations.Bulk(
                self.model, self._alias, list(objects), None, self._names(fields, "bulk_update"), batch_size
            ),
            self._database.depth,
        )

    async def abulk_update(
        self,
        objects: Iterable[M],
        fields: Sequence[str | Expr[M, Any] | Related[M, Any]],
        *,
        batch_size: int | None = None,
    ) -> int:
        """The awaiting twin of `bulk_update`."""
        return await self._database.arun(
            operations.bulk_update,
            operations.Bulk(
                self.model, self._alias, list(objects), None, self._names(fields, "bulk_update"), batch_size
            ),
            self._database.depth,
        )
