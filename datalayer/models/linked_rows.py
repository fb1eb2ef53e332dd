"""The rows behind a relation to many: a queryset that also links and unlinks, makes and links.

Every manager has these methods, so that those behind a relation keep the methods that an application gave them, to a
type checker too; on a manager that is behind nothing, what only links is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, Never, TypeAlias, overload
from uuid import UUID

from datalayer._plans.related import matching
from datalayer._query.condition import Comparison, Condition, ExistsCondition, Junction
from datalayer._query.expression import Expression, FieldRef, Subquery
from datalayer._query.path import field_reference
from datalayer._query.query import Later, Query
from datalayer._schema.relation import RelationSpec
from datalayer.errors import QueryError
from datalayer.models import changes, linking, upserts, views
from datalayer.models.arguments import mapping_of, refuse_unnamed, rows_of
from datalayer.models.checks import check_complete
from datalayer.models.queryset import QuerySet
from datalayer.models.question import M
from datalayer.models.state import alias_of, key_values, peek

Key: TypeAlias = int | str | UUID | tuple[object, ...]
"""A primary key, where it stands for an object."""


class LinkedRows(QuerySet[M]):
    """Rows that may be behind a relation to many: `author.books`, `book.tags`."""

    __slots__ = ()

    def _link(self, verb: str, through_defaults: Mapping[str, Any] | None = None) -> linking.Link:
        if self._behind_of is None:
            linking.refuse(self.model, None if self._parent is None else self._parent[1], verb)
        instance, spec = self._behind_of
        if verb in ("remove", "clear", "set"):
            linking.check_removable(spec, verb)
        found = linking.Link(instance, spec, self._alias, through_defaults or {})
        if verb not in ("remove", "clear"):
            found.check_complete(verb)
        return found

    def _link_of(self, verb: str, through_defaults: Mapping[str, Any] | None) -> linking.Link | None:
        """What a new row is linked by; None where nothing is behind anything."""
        if self._parent is None and through_defaults is None:
            return None
        return self._link(verb, through_defaults)

    @property
    def through(self) -> type[Any]:
        """The model in between of a many to many: `book.tags.through`.

        Raises:
            QueryError: There is none.
        """
        spec = None if self._parent is None else self._parent[1]
        if spec is None or spec.through is None or spec.through.python_model is None:
            place = self.model.__name__ if spec is None else f"{spec.source.model}.{spec.name}"
            raise QueryError(f"{place} is no ManyToMany of a row, so there is no model in between")
        return spec.through.python_model

    def add(self, *objects: M | Key, through_defaults: Mapping[str, Any] | None = None) -> None:
        """Links objects, or the rows with these primary keys; what is linked already stays so.

        One statement: it writes the foreign keys of the objects, or the rows in between.

        Args:
            objects: Saved objects, or their primary keys.
            through_defaults: What new rows of a `through=` model have besides their keys.

        Raises:
            InvalidValue: One is not saved.
        """
        return self._database.run(linking.add, self._link("add", through_defaults), objects, self._database.depth)

    async def aadd(self, *objects: M | Key, through_defaults: Mapping[str, Any] | None = None) -> None:
        """The awaiting twin of `add`."""
        return await self._database.arun(
            linking.add, self._link("add", through_defaults), objects, self._database.depth
        )

    def remove(self, *objects: M | Key) -> None:
        """Unlinks objects, or the rows with these primary keys; what is not linked is left alone.

        Raises:
            QueryError: The foreign key is never null, so there is no way to unlink.
        """
        return self._database.run(linking.remove, self._link("remove"), objects)

    async def aremove(self, *objects: M | Key) -> None:
        """The awaiting twin of `remove`."""
        return await self._database.arun(linking.remove, self._link("remove"), objects)

    def clear(self) -> None:
        """Unlinks every row.

        Raises:
            QueryError: The foreign key is never null, so there is no way to unlink.
        """
        return self._database.run(linking.clear, self._link("clear"))

    async def aclear(self) -> None:
        """The awaiting twin of `clear`."""
        return await self._database.arun(linking.clear, self._link("clear"))

    def set(self, objects: Iterable[M | Key], *, through_defaults: Mapping[str, Any] | None = None) -> None:
        """Links exactly these objects: the others are unlinked, those that stay are not touched.

        Args:
            objects: Saved objects, or their primary keys.
            through_defaults: What new rows of a `through=` model have besides their keys.

        Raises:
            QueryError: The foreign key is never null, so there is no way to unlink.
            InvalidValue: One is not saved.
        """
        return self._database.run(
            linking.replace, self._link("set", through_defaults), rows_of("set", objects), self._database.depth
        )

    async def aset(self, objects: Iterable[M | Key], *, through_defaults: Mapping[str, Any] | None = None) -> None:
        """The awaiting twin of `set`."""
        return await self._database.arun(
            linking.replace, self._link("set", through_defaults), rows_of("set", objects), self._database.depth
        )

    # -- make and link -----------------------------------------------------------------------------

    # The second one lets `create(**values)` pass whose values are of any type, `dict[str, object]`.
    @overload
    def create(self, *, through_defaults: Mapping[str, Any], **values: Any) -> M: ...
    @overload
    def create(self, **values: Any) -> M: ...
    def create(self, *unnamed: Never, through_defaults: Mapping[str, Any] | None = None, **values: Any) -> M:
        """Makes an instance and saves it; behind a relation it is linked in the same transaction.

        Args:
            through_defaults: What the new row of a `through=` model has besides its keys.
            values: The values of the instance.
        """
        return self._database.run(*self._creating(unnamed, through_defaults, values))  # type: ignore[no-any-return] # both plans give M

    @overload
    async def acreate(self, *, through_defaults: Mapping[str, Any], **values: Any) -> M: ...
    @overload
    async def acreate(self, **values: Any) -> M: ...
    async def acreate(self, *unnamed: Never, through_defaults: Mapping[str, Any] | None = None, **values: Any) -> M:
        """The awaiting twin of `create`."""
        return await self._database.arun(*self._creating(unnamed, through_defaults, values))

    def get_or_create(
        self,
        defaults: Mapping[str, Any] | None = None,
        *,
        through_defaults: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> tuple[M, bool]:
        """The row that matches, or a new one; and whether it is new. Safe against somebody doing the same.

        Behind a relation only linked rows match, and a new one is linked in the same transaction.

        Args:
            defaults: Values of a new instance besides `named`.
            through_defaults: What the new row of a `through=` model has besides its keys.
            named: Lookups that find the row, and values of a new one.
        """
        return self._database.run(
            linking.get_or_create, *self._asked("get_or_create", defaults, None, named, through_defaults)
        )

    async def aget_or_create(
        self,
        defaults: Mapping[str, Any] | None = None,
        *,
        through_defaults: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> tuple[M, bool]:
        """The awaiting twin of `get_or_create`."""
        return await self._database.arun(
            linking.get_or_create, *self._asked("get_or_create", defaults, None, named, through_defaults)
        )

    def update_or_create(
        self,
        defaults: Mapping[str, Any] | None = None,
        create_defaults: Mapping[str, Any] | None = None,
        *,
        through_defaults: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> tuple[M, bool]:
        """Writes `defaults` to the row that matches, or makes one; and whether it is new.

        The row is locked between the read and the write, so that nobody's change in between is overwritten unseen.
        Behind a relation only linked rows match, and a new one is linked in the same transaction.

        Args:
            defaults: What is written: values, or expressions over a row that is there, such as `F("hits") + 1`.
            create_defaults: What a new row is made of instead of `defaults`.
            through_defaults: What the new row of a `through=` model has besides its keys.
            named: Lookups that find the row, and values of a new one.
        """
        return self._database.run(
            linking.update_or_create,
            *self._asked("update_or_create", defaults, create_defaults, named, through_defaults),
        )

    async def aupdate_or_create(
        self,
        defaults: Mapping[str, Any] | None = None,
        create_defaults: Mapping[str, Any] | None = None,
        *,
        through_defaults: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> tuple[M, bool]:
        """The awaiting twin of `update_or_create`."""
        return await self._database.arun(
            linking.update_or_create,
            *self._asked("update_or_create", defaults, create_defaults, named, through_defaults),
        )

    def _asked(
        self,
        verb: str,
        defaults: Mapping[str, Any] | None,
        create_defaults: Mapping[str, Any] | None,
        named: dict[str, Any],
        through_defaults: Mapping[str, Any] | None,
    ) -> tuple[linking.Link | None, upserts.Upsert, int]:
        views.refuse_view(self.query.table, verb)
        for option, given in (("defaults", defaults), ("create_defaults", create_defaults)):
            if mapping_of(option, given):
                takes_expressions = (verb, option) == ("update_or_create", "defaults")
                changes.check_values(self.model, mapping_of(option, given), option, takes_expressions=takes_expressions)
        query = self._narrowed((), named)
        values = {name: value for name, value in self._defaults(named).items() if "__" not in name}
        if verb == "get_or_create":  # to update a row that is there, the other one needs no more than what is written
            check_complete(self.model, {*values, *(defaults or ())}, verb, "defaults")
        asked = upserts.Upsert(
            query,
            self._load,
            self.model,
            self._alias,
            values,
            dict(defaults or {}),
            None if create_defaults is None else dict(create_defaults),
        )
        return self._link_of(verb, through_defaults), asked, self._database.depth

    def _creating(
        self, unnamed: tuple[object, ...], through_defaults: Mapping[str, Any] | None, values: dict[str, Any]
    ) -> tuple[Any, ...]:
        """The plan function that saves a new instance, with what it takes."""
        if unnamed:
            refuse_unnamed("create", unnamed)
        if self._parent is None and through_defaults is None:
            return upserts.create, self.model(**values), self._alias
        link = self._link("create", through_defaults)
        return linking.create, link, self.model(**self._defaults(values)), self._alias, self._database.depth

    def _defaults(self, values: dict[str, Any]) -> dict[str, Any]:
        if self._behind_of is None:
            return values
        instance, spec = self._behind_of
        return values if spec.reverse is None or spec.through is not None else {spec.reverse: instance, **values}


def behind(manager: Any, instance: Any, spec: RelationSpec) -> Any:
    """The rows of a manager that are behind a relation of an instance."""
    new: Any = object.__new__(manager.__class__)
    own = manager.__dict__
    if own:
        new.__dict__.update(own)
    key = key_values(instance, spec.local)
    if key is None:
        key = tuple([getattr(instance, name) for name in spec.local])  # one may not have come with the row
    query = Later(manager.query, partial(is_behind, spec, key))
    new._start(manager.model, alias_of(instance), query)
    new._prefetched = manager._prefetched
    new._behind_of = new._parent = (instance, spec)
    known = peek(instance, spec.name)
    if known is not None:
        new._kept = list(known)
    return new


def is_behind(spec: RelationSpec, key: tuple[object, ...]) -> Condition:
    """The condition that a row of the target is behind a relation of the row with a key."""
    local, links, own = _parts(spec)
    here = matching(local, [key])
    if links is None:
        return here
    links = links.filtered(here)
    return ExistsCondition(links) if own is None else Comparison(own, "in", Subquery(links, own.type))


@lru_cache(maxsize=1024)
def _parts(spec: RelationSpec) -> tuple[tuple[Expression, ...], Query | None, Expression | None]:
    """What conditions of one relation have in common: managers are made all the time, once for each row in a loop.

    Returns:
        What the key is compared with; of a many to many also the query of its links, and the column of the target that
        they are looked for in (None where the query is tied to several).
    """
    through = spec.through
    if through is None:
        return tuple([field_reference(spec.target, (), name) for name in spec.remote]), None, None
    local = tuple([field_reference(through, (), name) for name in spec.through_local])
    links = Query(through)
    if len(spec.remote) == 1:
        column = field_reference(through, (), spec.through_remote[0])
        return local, links.replaced(columns=((spec.through_remote[0], column),)), _own(spec)
    ties = [
        Comparison(
            field_reference(through, (), name),
            "exact",
            FieldRef((), remote, spec.target.fields[remote].type, outer=1),
        )
        for name, remote in zip(spec.through_remote, spec.remote, strict=True)
    ]
    return local, links.filtered(Junction("and", tuple(ties))), None


def _own(spec: RelationSpec) -> Expression:
    return field_reference(spec.target, (), spec.remote[0])
