"""What instances learn when the transaction that wrote them is rolled back.

Without it a `save()` after a rollback would find nothing to write. Each write inside a transaction leaves a note there
of how things stood before; the notes keep no instance alive, and are forgotten with the commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set
from typing import Any
from weakref import ref

from datalayer._schema.table import TableSpec
from datalayer.databases import current
from datalayer.models._pydantic import peek_fields_set, set_fields_set
from datalayer.models.state import Origin, cache_of, content_of, origin_of, set_content, set_origin


def note_insert(alias: str, instance: Any, origin: Origin | None, absent: Collection[str]) -> None:
    """Notes that an instance is about to count as saved.

    Args:
        alias: The database.
        instance: The one that was inserted.
        origin: Where it was from.
        absent: The fields that the database fills in; a rollback empties them again.
    """
    transaction = current.transaction(alias)
    if transaction is not None:
        transaction.undos.append((_new_again, ref(instance), origin, absent))


def note_inserts(alias: str, origin: Origin, absent: Collection[str]) -> None:
    """Notes that all rows of an origin were inserted together: one note, however many they are.

    Args:
        alias: The database.
        origin: The new origin of the rows.
        absent: As for `note_insert`.
    """
    transaction = current.transaction(alias)
    if transaction is not None:
        transaction.undos.append((_all_new_again, ref(origin), absent))


def note_computed(alias: str, instance: Any, names: Iterable[str]) -> None:
    """Notes the values of an instance that the database is about to replace by what it worked out.

    After a rollback they were worked out of rows that never were: what was to be written is an expression again, or the
    value that was brought.

    Args:
        alias: The database.
        instance: The one that is written.
        names: The fields whose values are replaced.
    """
    transaction = current.transaction(alias)
    if transaction is not None:
        values = instance.__dict__
        before = {name: values[name] for name in names if name in values}
        if before:
            transaction.undos.append((_as_asked_again, ref(instance), before))


def note_change(
    alias: str, instance: Any, origin: Origin | None, fields: Collection[str] = (), is_tracked: bool = True
) -> None:
    """Notes how an instance stands before it is updated or deleted.

    Args:
        alias: The database.
        instance: The one about to be written.
        origin: Where it is from.
        fields: What is about to be written of it.
        is_tracked: Whether it has values that may change in place.
    """
    transaction = current.transaction(alias)
    if transaction is not None:
        content = content_of(instance) if is_tracked else None
        transaction.undos.append((_changed_again, ref(instance), origin, fields, content))


def note_row(alias: str, instance: Any, origin: Origin | None, tracked: Collection[str]) -> None:
    """Notes how an instance stands to its row before it counts as that no more: it is deleted, or written elsewhere.

    Args:
        alias: The database.
        instance: The one about to be deleted or written.
        origin: Where it came from.
        tracked: Its fields whose values may change in place.
    """
    transaction = current.transaction(alias)
    if transaction is not None:
        changed, values = peek_fields_set(instance), {**instance.__dict__}
        content = content_of(instance) if tracked else None
        transaction.undos.append((_there_again, ref(instance), origin, changed, values, content))


def note_changes(
    alias: str, instances: Sequence[Any], fields: Collection[str] = (), *, is_tracked: bool = True
) -> None:
    """As `note_change` of each of some instances.

    Args:
        alias: The database.
        instances: Those about to be written.
        fields: What is about to be written of each.
        is_tracked: As for `note_change`.
    """
    transaction = current.transaction(alias)
    if transaction is not None:
        transaction.undos.extend(
            [
                (_changed_again, ref(each), origin_of(each), fields, content_of(each) if is_tracked else None)
                for each in instances
            ]
        )


def note_relation(alias: str, instance: Any, name: str) -> None:
    """Notes that what is loaded of a relation from now on may be undone.

    Args:
        alias: The database.
        instance: The one that has the relation.
        name: The relation.
    """
    transaction = current.transaction(alias)
    if transaction is not None:
        transaction.undos.append((_not_loaded_again, ref(instance), name))


def _as_asked_again(reference: ref[Any], before: dict[str, Any]) -> None:
    instance = reference()
    if instance is not None:
        changed = instance.__pydantic_fields_set__
        instance.__dict__.update({name: value for name, value in before.items() if name not in changed})


def _not_loaded_again(reference: ref[Any], name: str) -> None:
    instance = reference()
    if instance is not None:
        cache_of(instance).pop(name, None)


def _new_again(reference: ref[Any], origin: Origin | None, absent: Collection[str]) -> None:
    instance = reference()
    if instance is None:
        return
    assigned = peek_fields_set(instance)  # since then, by the program
    for name in absent:
        if name not in assigned:
            instance.__dict__.pop(name, None)
    set_origin(instance, origin)
    set_fields_set(instance, set(instance.__dict__))


def _all_new_again(reference: ref[Origin], absent: Collection[str]) -> None:
    origin = reference()
    for instance in () if origin is None else origin.peers:
        if origin_of(instance) is origin:
            _new_again(ref(instance), None, absent)


def _there_again(
    reference: ref[Any],
    origin: Origin | None,
    changed: Set[str],
    before: dict[str, object],
    content: tuple[Any, ...] | None,
) -> None:
    instance = reference()
    if instance is None:
        return
    set_origin(instance, origin)
    # All of it counts as unsaved meanwhile, and what nobody has assigned is as the row has it.
    assigned = [name for name, value in instance.__dict__.items() if before.get(name, before) is not value]
    set_fields_set(instance, instance.__pydantic_fields_set__.intersection({*changed, *assigned}))
    if content is not None:
        set_content(instance, content)


def _changed_again(
    reference: ref[Any],
    origin: Origin | None,
    fields: Collection[str],
    content: tuple[Any, ...] | None,
) -> None:
    instance = reference()
    if instance is None:
        return
    set_origin(instance, origin)
    table: TableSpec = instance.__class__.table
    unsaved = {*fields, *instance.__pydantic_fields_set__}
    set_fields_set(instance, unsaved.difference(table.primary_key))
    if content is not None:
        set_content(instance, content)
