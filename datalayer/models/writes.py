"""The writing half of querysets: update, delete, inserts from a query, upserts and many rows at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Never, Self, TypeAlias, overload

from datalayer.errors import QueryError
from datalayer.models import bulk, changes, views
from datalayer.models.arguments import rows_of
from datalayer.models.bulk import Saved
from datalayer.models.column import Condition, Expr, Several
from datalayer.models.conflicts import conflict_of, named_in, written_of
from datalayer.models.elsewhere import refuse_elsewhere
from datalayer.models.expressions import Q
from datalayer.models.locking import lock_of
from datalayer.models.question import M
from datalayer.models.rows import Rows
from datalayer.models.shaped import Shaped
from datalayer.models.walk import Related

if TYPE_CHECKING:
    from datalayer._query.change import InsertFrom, OnConflict

Columns: TypeAlias = Several[str | Expr[M, Any] | Related[M, Any]]
"""Fields and relations, by name or as columns of the model."""


class WritableRows(Shaped[M, M]):
    """Rows of a table that can be written."""

    __slots__ = ()

    def select_for_update(
        self,
        *,
        nowait: bool = False,
        skip_locked: bool = False,
        of: Several[str | Related[M, Any]] = (),
        no_key: bool = False,
    ) -> Self:
        """The rows, locked until the end of the transaction: others wait who want to change or lock them.

        On SQLite a transaction that may write has locked the whole database since it began, and nothing is left to do.

        Args:
            nowait: A row that somebody else has locked is an error at once, `LockTimeout`.
            skip_locked: Such rows are left out.
            of: Whose rows are locked: `"self"` and relations of `select_related`; all that are sure to be there when
                not given.
            no_key: A weaker lock, under which others may still insert rows that refer to the locked ones.

        Raises:
            TransactionError: When the rows are asked for outside of `atomic()`, or in one that only reads.
        """
        lock = lock_of(self.query, of, nowait=nowait, skip_locked=skip_locked, no_key=no_key)
        return self._with(self.query.replaced(lock=lock))

    # -- the rows of a query ---------------------------------------------------------------------

    @overload
    def update(self, *, returning: Literal[True], **values: Any) -> list[M]: ...
    @overload
    def update(self, *, returning: Literal[False] = False, **values: Any) -> int: ...
    def update(self, *unnamed: Never, returning: bool = False, **values: Any) -> Any:
        """Writes values to every row of the query, in one statement; gives the number of rows.

        Args:
            returning: Gives the written rows as instances instead of their number.
            values: What is written, by field or relation: values, or expressions over the row and its relations.

        Raises:
            QueryError: The whole table, without an explicit `all()`; a sliced query.
        """
        return self._database.run(
            changes.update, changes.update_of(self, values, *unnamed, returning=returning), self._load
        )

    @overload
    async def aupdate(self, *, returning: Literal[True], **values: Any) -> list[M]: ...
    @overload
    async def aupdate(self, *, returning: Literal[False] = False, **values: Any) -> int: ...
    async def aupdate(self, *unnamed: Never, returning: bool = False, **values: Any) -> Any:
        """The awaiting twin of `update`."""
        return await self._database.arun(
            changes.update, changes.update_of(self, values, *unnamed, returning=returning), self._load
        )

    @overload
    def delete(self, *, returning: Literal[True]) -> list[M]: ...
    @overload
    def delete(self, *, returning: Literal[False] = False) -> int: ...
    def delete(self, *, returning: bool = False) -> Any:
        """Deletes every row of the query, in one statement; gives the number of rows of this table.

        Args:
            returning: Gives the deleted rows as instances instead of their number.

        Raises:
            QueryError: The whole table, without an explicit `all()`; a sliced query.
        """
        return self._database.run(changes.delete, changes.delete_of(self, returning=returning), self.model, self._alias)

    @overload
    async def adelete(self, *, returning: Literal[True]) -> list[M]: ...
    @overload
    async def adelete(self, *, returning: Literal[False] = False) -> int: ...
    async def adelete(self, *, returning: bool = False) -> Any:
        """The awaiting twin of `delete`."""
        return await self._database.arun(
            changes.delete, changes.delete_of(self, returning=returning), self.model, self._alias
        )

    @overload
    def insert_from(
        self,
        source: Rows[Any, Any],
        *,
        columns: Columns[M] | None = None,
        returning: Literal[True],
        on_conflict: Columns[M] | str | None = None,
        update: Columns[M] | Mapping[str, Any] = (),
        where: Condition[M] | Q | None = None,
    ) -> list[M]: ...
    @overload
    def insert_from(
        self,
        source: Rows[Any, Any],
        *,
        columns: Columns[M] | None = None,
        returning: Literal[False] = False,
        on_conflict: Columns[M] | str | None = None,
        update: Columns[M] | Mapping[str, Any] = (),
        where: Condition[M] | Q | None = None,
    ) -> int: ...
    def insert_from(
        self,
        source: Rows[Any, Any],
        *,
        columns: Columns[M] | None = None,
        returning: bool = False,
        on_conflict: Columns[M] | str | None = None,
        update: Columns[M] | Mapping[str, Any] = (),
        where: Condition[M] | Q | None = None,
    ) -> Any:
        """Inserts what another query finds, in one statement (INSERT ... SELECT); gives the number of rows.

        Args:
            source: `values()` or `values_list()`; its names are fields of this model where `columns` does not say.
            columns: The fields that the columns of the source go to, in their order.
            returning: Gives the new rows as instances instead of their number.
            on_conflict: As in `bulk_create`.
            update: As in `bulk_create`.
            where: As in `bulk_create`.

        Raises:
            QueryError: The source names no columns, or is of another database.
            InvalidValue: A column of another type, or one without a value that must have one.
        """
        return self._database.run(
            changes.insert_from,
            self._inserted(source, columns, self._conflict(on_conflict, update, where), returning),
            self._load,
        )

    @overload
    async def ainsert_from(
        self,
        source: Rows[Any, Any],
        *,
        columns: Columns[M] | None = None,
        returning: Literal[True],
        on_conflict: Columns[M] | str | None = None,
        update: Columns[M] | Mapping[str, Any] = (),
        where: Condition[M] | Q | None = None,
    ) -> list[M]: ...
    @overload
    async def ainsert_from(
        self,
        source: Rows[Any, Any],
        *,
        columns: Columns[M] | None = None,
        returning: Literal[False] = False,
        on_conflict: Columns[M] | str | None = None,
        update: Columns[M] | Mapping[str, Any] = (),
        where: Condition[M] | Q | None = None,
    ) -> int: ...
    async def ainsert_from(
        self,
        source: Rows[Any, Any],
        *,
        columns: Columns[M] | None = None,
        returning: bool = False,
        on_conflict: Columns[M] | str | None = None,
        update: Columns[M] | Mapping[str, Any] = (),
        where: Condition[M] | Q | None = None,
    ) -> Any:
        """The awaiting twin of `insert_from`."""
        return await self._database.arun(
            changes.insert_from,
            self._inserted(source, columns, self._conflict(on_conflict, update, where), returning),
            self._load,
        )

    def _inserted(
        self, source: Rows[Any, Any], columns: Columns[M] | None, conflict: OnConflict | None, returning: bool
    ) -> InsertFrom:
        named = None if columns is None else named_in(self.query.table, columns, "insert_from(columns)")
        return changes.insert_of(self, source, named, conflict, returning=returning)

    def refresh_materialized_view(self, *, concurrently: bool = False) -> None:
        """Computes the materialized view behind the model anew, on PostgreSQL.

        Args:
            concurrently: Readers need not wait meanwhile; the view needs a unique index for it.

        Raises:
            QueryError: The model is no materialized view.
            NotSupported: SQLite.
        """
        return self._database.run(views.refresh, self.query.table, concurrently)

    async def arefresh_materialized_view(self, *, concurrently: bool = False) -> None:
        """The awaiting twin of `refresh_materialized_view`."""
        return await self._database.arun(views.refresh, self.query.table, concurrently)

    # -- many instances --------------------------------------------------------------------------

    def bulk_create(
        self,
        objects: Iterable[M],
        *,
        on_conflict: Columns[M] | str | None = None,
        update: Columns[M] | Mapping[str, Any] = (),
        where: Condition[M] | Q | None = None,
        ignore_conflicts: bool = False,
        batch_size: int | None = None,
    ) -> Saved[M]:
        """Saves many new instances in as few statements as possible; gives them with what the database filled in.

        Args:
            objects: The instances.
            on_conflict: Fields or a relation whose conflict is no error, or the name of a unique constraint or index;
                () for any conflict.
            update: What to overwrite on a conflict: names, or values and expressions by name, in which
                `Excluded("x")` is the new row's value; nothing leaves the old row alone.
            where: Only old rows that satisfy it are overwritten.
            ignore_conflicts: Django's word for `on_conflict=()`.
            batch_size: Most rows in one statement.

        Returns:
            The instances; `inserted`, `updated` and `skipped` tell what became of them.

        Raises:
            QueryError: No unique constraint covers `on_conflict`, or two of the rows are in each other's way.
        """
        return self._database.run(
            bulk.bulk_create,
            self._many(
                objects,
                batch_size,
                self._conflict(on_conflict, update, where, ignore_conflicts=ignore_conflicts),
            ),
            self._database.depth,
        )

    async def abulk_create(
        self,
        objects: Iterable[M],
        *,
        on_conflict: Columns[M] | str | None = None,
        update: Columns[M] | Mapping[str, Any] = (),
        where: Condition[M] | Q | None = None,
        ignore_conflicts: bool = False,
        batch_size: int | None = None,
    ) -> Saved[M]:
        """The awaiting twin of `bulk_create`."""
        return await self._database.arun(
            bulk.bulk_create,
            self._many(
                objects,
                batch_size,
                self._conflict(on_conflict, update, where, ignore_conflicts=ignore_conflicts),
            ),
            self._database.depth,
        )

    def bulk_update(
        self,
        objects: Iterable[M],
        fields: Columns[M] | Mapping[str, Any] | None = None,
        *,
        batch_size: int | None = None,
    ) -> int:
        """Writes some fields of many instances, one statement for each batch; gives the number of rows found.

        Args:
            objects: The instances.
            fields: Names, or values and expressions by name, in which `Excluded("x")` is the instance's value:
                `{"hits": F("hits") + Excluded("hits")}`. What the database computed is on the instances afterwards.
                When not given, of each instance what differs from its row, as `save()` does.
            batch_size: Most rows in one statement.
        """
        return self._database.run(bulk.bulk_update, self._updates(objects, batch_size, fields), self._database.depth)

    async def abulk_update(
        self,
        objects: Iterable[M],
        fields: Columns[M] | Mapping[str, Any] | None = None,
        *,
        batch_size: int | None = None,
    ) -> int:
        """The awaiting twin of `bulk_update`."""
        return await self._database.arun(
            bulk.bulk_update, self._updates(objects, batch_size, fields), self._database.depth
        )

    def bulk_delete(self, objects: Iterable[M]) -> int:
        """Deletes the rows of many instances in as few statements as possible; gives the number of rows found.

        Args:
            objects: The instances; they are new ones afterwards, as after `delete()`.

        Raises:
            QueryError: One of them is not saved.
            ProtectedError: Rows that refer to one must not be left without; nothing is deleted.
        """
        return self._database.run(
            bulk.bulk_delete, self._many(objects, None, None, "bulk_delete"), self._database.depth
        )

    async def abulk_delete(self, objects: Iterable[M]) -> int:
        """The awaiting twin of `bulk_delete`."""
        return await self._database.arun(
            bulk.bulk_delete, self._many(objects, None, None, "bulk_delete"), self._database.depth
        )

    def _conflict(self, *given: Any, ignore_conflicts: bool = False) -> OnConflict | None:
        found = conflict_of(self.model, *given, ignore_conflicts=ignore_conflicts)
        if found is not None:
            for _, node in found.assignments:
                refuse_elsewhere(node, self._alias)
            if found.where is not None:
                refuse_elsewhere(found.where, self._alias)
        return found

    def _many(
        self, objects: Iterable[M], batch_size: int | None, conflict: OnConflict | None, verb: str = "bulk_create"
    ) -> bulk.Bulk:
        return bulk.Bulk(self.model, self._alias, rows_of(verb, objects), batch_size, conflict)

    def _updates(self, objects: Iterable[M], batch_size: int | None, fields: Any) -> bulk.Bulk:
        if fields is not None and not fields:
            raise QueryError("bulk_update() was given no fields to write; leave them out for what differs in each")
        written = None if fields is None else written_of(self.model, fields, "bulk_update(fields)")
        for _, node in written or ():
            refuse_elsewhere(node, self._alias)
        return bulk.Bulk(self.model, self._alias, rows_of("bulk_update", objects), batch_size, None, written)
