"""Names as people write them (`author__name__icontains`) -> columns, relations and lookups of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from datalayer._query.added import is_of, lookups_for, transforms
from datalayer._query.expression import AnnotationRef, Expression, FieldRef, Function, Together
from datalayer._query.lookup import TRANSFORMS, lookups_of, transformed, transforms_of
from datalayer._query.steps import may_step, step_type, taken
from datalayer._schema.field import ColumnType, FieldSpec
from datalayer._schema.relation import RelationSpec
from datalayer._schema.table import TableSpec
from datalayer.errors import FieldError, choices_text, nearest


class Resolved(NamedTuple):
    """What a name means.

    Attributes:
        path: The relations that lead there.
        field: The field at the end; None for a relation or an annotation.
        relation: The relation at the end, where the name ends in one; `path` does not include it.
        annotation: The name of the annotation.
        annotation_type: Its type.
        lookup: What followed, else None (which means `exact`).
        transform: A part of a date or time, else None.
        table: The table that `field` or `relation` belongs to.
        key: The fields of a primary key of several columns, where the name ends in its `pk`.
        steps: The words that lead into the value of the field or the annotation.
    """

    path: tuple[str, ...]
    field: FieldSpec | None
    relation: RelationSpec | None
    annotation: str | None
    annotation_type: ColumnType | None
    lookup: str | None
    transform: str | None
    table: TableSpec
    key: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


class _Suffix(NamedTuple):
    """What follows a field: words into its value, a part of a date, a lookup."""

    lookup: str | None = None
    transform: str | None = None
    steps: tuple[str, ...] = ()


def resolve(
    table: TableSpec,
    name: str,
    *,
    annotations: Mapping[str, ColumnType | None] | None = None,
    allow_lookup: bool = True,
) -> Resolved:
    """Finds out what a name means.

    Args:
        table: Where it starts.
        name: `author__name__icontains`; `pk` stands for the primary key, `author_id` and `author__pk` for the column
            of the foreign key `author`.
        annotations: The annotations of the query, with their types.
        allow_lookup: Whether a lookup or a part of a date may follow.

    Raises:
        FieldError: A part of the name is unknown; the message lists the choices.
    """
    parts = name.split("__")
    if annotations and name in annotations:
        return Resolved((), None, None, name, annotations[name], None, None, table)
    if annotations and parts[0] in annotations:
        type = annotations[parts[0]]
        lookup, transform, steps = _suffix(table, name, parts[0], parts[1:], type, allow_lookup)
        return Resolved((), None, None, parts[0], type, lookup, transform, table, (), steps)
    path: list[str] = []
    here = table
    if table.base is table:  # rows of another query: a column of theirs may be called author__name
        for length in range(len(parts), 1, -1):
            field = table.fields.get("__".join(parts[:length]))
            if field is not None:
                lookup, transform, steps = _suffix(table, name, field.name, parts[length:], field.type, allow_lookup)
                return Resolved((), field, None, None, None, lookup, transform, table, (), steps)
    for place, part in enumerate(parts):
        rest = parts[place + 1 :]
        field = _field(here, part)
        if field is not None:
            lookup, transform, steps = _suffix(here, name, part, rest, field.type, allow_lookup)
            return Resolved(tuple(path), field, None, None, None, lookup, transform, here, (), steps)
        relation = here.relation(part)
        if relation is None and part == "pk" and len(here.primary_key) > 1:
            lookup, _, _ = _suffix(here, name, part, rest, None, allow_lookup)
            return Resolved(tuple(path), None, None, None, None, lookup, None, here, here.primary_key)
        if relation is None:
            raise _unknown(here, part, name, annotations if here is table and not path else None)
        if not rest:
            return Resolved(tuple(path), None, relation, None, None, None, None, here)
        if not _knows(relation.target, rest[0]) and _is_word(rest[0]):
            lookup, _, _ = _suffix(here, name, part, rest, None, allow_lookup)
            return Resolved(tuple(path), None, relation, None, None, lookup, None, here)
        path.append(part)
        here = relation.target
    raise AssertionError("a name has at least one part")  # pragma: no cover


def _field(table: TableSpec, part: str) -> FieldSpec | None:
    if part == "pk" and len(table.primary_key) == 1:
        return table.fields[table.primary_key[0]]
    return table.fields.get(part)


def _knows(table: TableSpec, part: str) -> bool:
    return part == "pk" or part in table.fields or part in table.relations


def _is_word(part: str) -> bool:
    return part in _ANY_LOOKUP or part in TRANSFORMS or part in lookups_for(None)


_ANY_LOOKUP = lookups_of(None)


_NO_SUFFIX = _Suffix()


def _suffix(
    table: TableSpec, name: str, part: str, rest: list[str], type: ColumnType | None, allow_lookup: bool
) -> _Suffix:
    """The words into the value, the transform and the lookup in what follows a field."""
    if not rest:
        return _NO_SUFFIX
    transform = None
    words = list(rest)
    strange = {word for word in words if not is_of(word, table, part)}
    if strange:
        known = lookups_of(type) | transforms_of(type) | (lookups_for(type) - strange)
        raise _unknown_lookup(table, name, part, type, min(strange, key=words.index), known)
    steps: list[str] = []
    while allow_lookup and words and type is not None and may_step(type, words[0]):
        inside = step_type(type, words[0])
        if inside is None or (len(words) == 1 and words[0] in lookups_of(type) | lookups_for(type)):
            break
        steps.append(words.pop(0))
        type = inside
    if not words:
        return _Suffix(None, None, tuple(steps))
    if allow_lookup and words[0] in transforms_of(type) and words[0] not in (lookups_of(type) | lookups_for(type)):
        transform = words.pop(0)
        type = transformed(type, transform)
    if not words:
        return _Suffix(None, transform, tuple(steps))
    if allow_lookup and len(words) == 1 and words[0] in (lookups_of(type) | lookups_for(type)):
        return _Suffix(words[0], transform, tuple(steps))
    choices = ((lookups_of(type) | lookups_for(type)) | transforms_of(type)) if allow_lookup else frozenset[str]()
    if type is not None and choices:
        choices |= {word for word, (kinds, _, _) in transforms.items() if type.kind in kinds}
    wrong = words[0] if words[0] not in choices or len(words) == 1 else words[1]
    if not allow_lookup:
        raise FieldError(f"{name!r}: {part!r} of {table.model} is a field and nothing may follow it", name=wrong)
    raise _unknown_lookup(table, name, part, type, wrong, choices)


def _unknown_lookup(
    table: TableSpec, name: str, part: str, type: ColumnType | None, wrong: str, choices: frozenset[str]
) -> FieldError:
    what = f"{type.kind.value} fields" if type is not None else "it"
    return FieldError(
        f"{name!r}: unknown lookup {wrong!r} on {part!r} of {table.model}; "
        f"the choices for {what} are: {choices_text(choices)}{nearest(wrong, choices)}",
        name=wrong,
        choices=choices,
    )


def _unknown(table: TableSpec, part: str, name: str, annotations: Mapping[str, ColumnType | None] | None) -> FieldError:
    choices = names_of(table) | set(annotations or ())
    inside = f" in {name!r}" if name != part else ""
    return FieldError(
        f"{table.model} has no field {part!r}{inside}; "
        f"the choices are: {choices_text(choices)}{nearest(part, choices)}",
        name=part,
        choices=choices,
    )


def names_of(table: TableSpec) -> set[str]:
    """Every field and relation of a table, `pk` included."""
    return {*table.fields, *table.relations, "pk"}


def relation_path(table: TableSpec, name: str, *, to_one: bool = False) -> tuple[str, ...]:
    """The relations a name such as `author__country` runs over.

    Raises:
        FieldError: A part is no relation (of one row, with `to_one`); the message lists the choices.
    """
    found: list[str] = []
    here = table
    for part in name.split("__"):
        relation = here.relation(part)
        if relation is None or (to_one and relation.kind.is_to_many):
            choices = [n for n, r in here.relations.items() if not (to_one and r.kind.is_to_many)]
            what = "is a relation to many rows" if relation is not None else "is no relation"
            raise FieldError(
                f"{part!r} {what} of {here.model}; the choices are: {choices_text(choices)}{nearest(part, choices)}",
                name=part,
                choices=choices,
            )
        found.append(part)
        here = relation.target
    return tuple(found)


def is_nullable(table: TableSpec, path: Iterable[str], field: str) -> bool:
    """Whether a field reached over a path may be NULL."""
    here = table
    for part in path:
        relation = here.relations[part]
        if relation.nullable or relation.kind.is_to_many or not relation.kind.is_forward:
            return True
        here = relation.target
    return here.fields[field].nullable


def field_reference(table: TableSpec, path: tuple[str, ...], field: str, *, outer: int = 0) -> FieldRef:
    """A column over a path, with the last step left out where the column is already on this side of it."""
    here = table
    steps: list[RelationSpec] = []
    for part in path:
        steps.append(here.relations[part])
        here = steps[-1].target
    type = here.fields[field].type
    while steps and steps[-1].kind.is_forward and field in steps[-1].remote:
        last = steps.pop()
        field = last.local[last.remote.index(field)]
        here = last.source
    kept = path[: len(steps)]
    return FieldRef(kept, field, type, nullable=is_nullable(table, kept, field), outer=outer)


def references(table: TableSpec, found: Resolved, *, outer: int = 0) -> tuple[Expression, ...]:
    """The expressions a resolved name stands for: several for a relation of several columns."""
    if found.annotation is not None:
        return (taken(AnnotationRef(found.annotation, found.annotation_type), found.steps),)
    if found.field is not None:
        return (taken(field_reference(table, found.path, found.field.name, outer=outer), found.steps),)
    if found.key:
        return tuple([field_reference(table, found.path, name, outer=outer) for name in found.key])
    relation = found.relation
    assert relation is not None
    path = (*found.path, relation.name)
    names = relation.remote if relation.kind.is_forward else relation.target.primary_key
    return tuple([field_reference(table, path, name, outer=outer) for name in names])


Named: TypeAlias = tuple[Resolved, tuple[Expression, ...]]


def named(table: TableSpec, name: str, annotations: Mapping[str, ColumnType | None] | None = None) -> Named:
    """What a name means, and the expressions it stands for; kept for the columns of the table itself.

    Relations come and go while models are declared, and what an application adds may be taken back in tests: names that
    need them are looked up each time.

    Raises:
        FieldError: A part of the name is unknown.
    """
    if not annotations:
        kept: Named | None = table.names.get(name)
        if kept is not None:
            return kept
    found = resolve(table, name, annotations=annotations)
    made = found, references(table, found)
    is_own = found.field is not None and not found.path and not found.steps
    if is_own and not annotations and (found.lookup is None or found.lookup in _ANY_LOOKUP):
        table.names[name] = made
    return made


def reference(
    table: TableSpec,
    name: str,
    *,
    annotations: Mapping[str, ColumnType | None] | None = None,
    outer: int = 0,
    columns: int = 1,
) -> Expression:
    """The expression of a name without a lookup (`F("author__name")`, `order_by("author__name")`); dates have parts.

    Args:
        table: Where the name starts.
        name: A path.
        annotations: The annotations of the query, with their types.
        outer: How many queries further out the table is.
        columns: How many the name must stand for, 0 for any number; several are a `Together`.

    Raises:
        FieldError: The name is unknown, a lookup follows it, or it stands for more or fewer columns.
    """
    if outer:
        found = resolve(table, name, annotations=annotations)
        expression, *others = references(table, found, outer=outer)
    else:
        found, (expression, *others) = named(table, name, annotations)
    if found.lookup is not None:
        inside = None if expression.type is None else step_type(expression.type, found.lookup)
        if inside is None or others:
            raise FieldError(f"{name!r}: the lookup {found.lookup!r} has no place here, only fields and relations do")
        return taken(expression, (found.lookup,))  # where no lookup can stand, the word is a key
    if columns > 1 and len(others) + 1 != columns:
        wanted = f"where a key of {columns} columns is wanted"
        raise FieldError(f"{name!r} of {table.model} has {len(others) + 1} column(s) {wanted}", name=name)
    if others and columns != 1:
        return Together((expression, *others))
    if others:
        raise FieldError(f"{name!r} of {table.model} has several columns; name one of them", name=name)
    if found.transform is not None:
        return Function(found.transform, (expression,), transformed(expression.type, found.transform))
    return expression
