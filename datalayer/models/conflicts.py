"""What an upsert does about rows in the way: `on_conflict=`, `update=`, `where=` and `Excluded`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from datalayer._query.change import Given, OnConflict
from datalayer._query.expression import Expression, FieldRef
from datalayer._query.path import reference
from datalayer._schema.field import ColumnType
from datalayer._schema.table import TableSpec, UniqueSpec
from datalayer.errors import QueryError, choices_text, nearest
from datalayer.models.arguments import check_listed
from datalayer.models.changes import assignments_of
from datalayer.models.collations import alike_by
from datalayer.models.column import Expr
from datalayer.models.expressions import F, condition_of
from datalayer.models.saving import field_names
from datalayer.models.walk import Related


class Excluded(F):
    """The value that a new row brings to a row that is in its way: `F("hits") + Excluded("hits")`.

    In `bulk_update` it is the value of the instance.
    """

    __slots__ = ()

    def resolved(self, table: TableSpec | None, annotations: dict[str, ColumnType | None] | None = None) -> Expression:
        """The node it means in a change of that table."""
        if table is None:
            raise QueryError(f"Excluded({self.name!r}) needs an upsert to belong to")
        node = reference(table, self.name)
        (name,) = field_names(table, [self.name], "Excluded()")
        return Given(name, node.type)

    def __repr__(self) -> str:
        return f"Excluded({self.name!r})"


def conflict_of(
    model: Any,
    on_conflict: Collection[Any] | str | None,
    update: Collection[Any] | Mapping[str, Any],
    where: Any = None,
    *,
    ignore_conflicts: bool = False,
) -> OnConflict | None:
    """What `on_conflict`, `update` and `where` mean; None where a row in the way is an error.

    Args:
        model: The class.
        on_conflict: Fields, or the name of a unique constraint or index; () for any conflict.
        update: The fields to overwrite, or what to write to them; empty to leave the row alone.
        where: Only rows in the way that satisfy it are written to.
        ignore_conflicts: Django's word for `on_conflict=()`.

    Raises:
        QueryError: No unique constraint covers the target, or the options contradict each other.
        FieldError: An unknown field.
    """
    table: TableSpec = model.table
    if ignore_conflicts:
        if on_conflict is not None or update or where is not None:
            raise QueryError("ignore_conflicts=True leaves every row in the way alone; give it alone, or on_conflict=")
        return OnConflict()
    if on_conflict is None:
        if update or where is not None:
            raise QueryError("update= and where= say what happens on a conflict, so they need on_conflict=(...)")
        return None
    target = _target(table, on_conflict)
    if not update:
        if where is not None:
            raise QueryError("where= says which rows in the way are overwritten, so it needs update=(...)")
        return OnConflict() if target is None else OnConflict(target.fields, target.condition)
    if target is None:
        raise QueryError(
            f"update= needs to know which conflict it is about: on_conflict={_shown(table)} rather than ()"
        )
    written = written_of(model, update, "update")
    for name, _ in written:
        if name in target.fields:
            raise QueryError(f"update= names {table.model}.{name}, which is the same in both rows: it is the conflict")
    now = tuple(
        [
            (name, Given(name, field.type))
            for name, field in table.fields.items()
            if field.on_update is not None and name not in [known for known, _ in written]
        ]
    )
    condition = None if where is None else condition_of(where, table)
    return OnConflict(target.fields, target.condition, written + now, condition)


def written_of(model: Any, given: Iterable[Any] | Mapping[str, Any], option: str) -> tuple[tuple[str, Expression], ...]:
    """What is written to which field: the row's own values for plain names, or what a mapping says.

    Args:
        model: The class.
        given: Names, or values and expressions by name.
        option: Where the caller named them, for messages.
    """
    table: TableSpec = model.table
    if isinstance(given, Mapping):
        return assignments_of(model, cast("Mapping[str, Any]", given), option.removesuffix("(fields)"))
    names = named_in(table, given, option)
    for name in names:
        if table.fields[name].generated is not None:
            raise QueryError(f"{table.model}.{name} is computed by the database and cannot be written")
    return tuple([(name, Given(name, table.fields[name].type)) for name in names])


def named_in(table: TableSpec, given: Iterable[Any], option: str) -> tuple[str, ...]:
    """The fields that a list of names, columns and relations of a table means.

    Args:
        table: The table.
        given: Names, columns and relations.
        option: Where the caller named them, for messages.

    Raises:
        FieldError: An unknown name.
        QueryError: Text instead of a list, or a column of another table.
    """
    if isinstance(given, Expr | Related):
        raise QueryError(f"{option} is {given!r} alone; give columns in a list: [{given!r}]")
    check_listed(option, given)
    items = given if isinstance(given, str) else [_name(table, item, option) for item in given]
    return field_names(table, items, option)


def _name(table: TableSpec, item: Any, option: str) -> str:
    """The name of a column or relation of the table."""
    if isinstance(item, str):
        return item
    if isinstance(item, Related) and item.table is table and len(item.path) == 1:
        return str(item.path[0])
    if isinstance(item, Expr) and isinstance(item.node, FieldRef) and item.table is table and not item.node.path:
        return item.node.field
    raise QueryError(f"{option} names {item!r}, which is no column of {table.model}")


def _target(table: TableSpec, on_conflict: Collection[Any] | str) -> UniqueSpec | None:
    """The unique constraint whose conflict is meant; None for any.

    Raises:
        QueryError: There is none, or several that only differ in their condition.
    """
    key = UniqueSpec("the primary key", table.primary_key)
    if isinstance(on_conflict, str):
        named = next((unique for unique in table.unique if unique.name == on_conflict), None)
        if named is not None:
            return _arbiter(table, named)
        if on_conflict in table.fields or on_conflict in table.relations or on_conflict == "pk":
            raise QueryError(
                f"on_conflict={on_conflict!r} is text, and text is the name of a constraint; give fields as a tuple: "
                f"({on_conflict!r},)"
            )
        choices = [unique.name for unique in table.unique]
        raise QueryError(
            f"on_conflict={on_conflict!r} is no unique constraint of {table.model}; the constraints are "
            f"{choices_text(choices)}{nearest(on_conflict, choices)}"
        )
    check_listed("on_conflict", on_conflict)
    if not on_conflict:
        return None
    names = named_in(table, on_conflict, "on_conflict")
    found = [unique for unique in (key, *table.unique) if set(unique.fields) == set(names)]
    whole = [unique for unique in found if unique.condition is None]
    if whole:
        return _arbiter(table, min(whole, key=lambda unique: unique.initially is not None))
    if len(found) > 1:
        raise QueryError(
            f"on_conflict={tuple(names)!r} could mean each of {choices_text(unique.name for unique in found)}; give "
            "the name of one"
        )
    if not found:
        raise QueryError(
            f"on_conflict={tuple(names)!r} is covered by no unique constraint of {table.model}; there are: "
            f"{_shown(table)}"
        )
    return found[0]


def _arbiter(table: TableSpec, unique: UniqueSpec) -> UniqueSpec:
    """The constraint, if rows can be in its way while a statement runs.

    PostgreSQL refuses others (https://www.postgresql.org/docs/current/sql-insert.html, ON CONFLICT).

    Raises:
        QueryError: It is checked later, or is over an expression.
    """
    if unique.initially is not None:
        raise QueryError(
            f"on_conflict= names {unique.name!r} of {table.model}, which is deferrable: whether a row is in the way is "
            "known at the end of the transaction; leave deferrable= away, or look for the rows first"
        )
    if any(name.startswith("(") for name in unique.fields):
        raise QueryError(
            f"on_conflict= names {unique.name!r} of {table.model}, which is over an expression, and rows are found "
            "again by fields; keep the value of the expression in a field of its own (GeneratedField), unique"
        )
    return unique


def _shown(table: TableSpec) -> str:
    return "; ".join(", ".join(fields) for fields in (table.primary_key, *[unique.fields for unique in table.unique]))


def _hashable(value: object) -> object:
    return repr(value) if value.__class__ in (list, dict) else value


def twins(
    table: TableSpec,
    conflict: OnConflict,
    groups: Sequence[tuple[tuple[str, ...], Sequence[Sequence[object]], Sequence[int]]],
    backend: str,
) -> None:
    """Makes sure that no two rows of a batch are in each other's way: the second would overwrite the first.

    Args:
        table: Where to.
        conflict: Its target is what rows must differ in.
        groups: The fields of some rows, their values, and their places in the batch.
        backend: Where the table is.

    Raises:
        QueryError: Two are.
    """
    if conflict.index is not None:
        return  # whether a row is in the index at all is for the database to say
    unique = next((one for one in table.unique if one.fields == conflict.fields), None)
    has_nulls = unique is not None and not unique.nulls_distinct
    alike = alike_by(table, conflict.fields, backend)
    seen: dict[object, int] = {}
    for fields, rows, numbers in groups:
        places = [fields.index(name) for name in conflict.fields if name in fields]
        for values, number in zip(rows, numbers, strict=True):
            key = tuple([values[place] for place in places])
            if len(places) < len(conflict.fields) or (None in key and not has_nulls):
                continue
            key = tuple([_hashable(value) for value in (key if alike is None else alike(key))])
            if key in seen:
                raise QueryError(
                    f"bulk_create() was given two rows with the same {', '.join(conflict.fields)}, at {seen[key]} and "
                    f"{number}, and one statement cannot write a row twice; give one of them"
                )
            seen[key] = number


__all__ = ["Excluded", "conflict_of", "named_in", "twins", "written_of"]
