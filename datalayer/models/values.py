"""Rows as values instead of instances; and groups of them, which is what `values(...).annotate(Count(...))` means."""

from __future__ import annotations

import keyword
from collections import namedtuple
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Never, Self, TypeAlias, cast

from datalayer._compile.prepared import Prepared
from datalayer._plans.plan import Chunks
from datalayer._query.condition import Condition
from datalayer._query.expression import Aggregate, AnnotationRef, Expression, FieldRef, Together, Window
from datalayer._query.path import reference
from datalayer._query.query import Query
from datalayer._query.source import NO_EXTRA
from datalayer._query.walk import parts
from datalayer.errors import QueryError
from datalayer.models.elsewhere import refuse_columns_elsewhere, refuse_elsewhere
from datalayer.models.expressions import expression_of, is_plain
from datalayer.models.grouping import conjuncts, filters_before, rows_before
from datalayer.models.literals import literal
from datalayer.models.question import M, R
from datalayer.models.shaped import Shaped, ValueForm


def refuse_unnamed(verb: str, unnamed: tuple[object, ...]) -> None:
    """Refuses values without a name.

    Raises:
        QueryError: There is one.
    """
    if unnamed:
        raise QueryError(f"{verb}({unnamed[0]!r}): give it a name, by which rows and queries know it: {verb}(name=...)")


def annotated(query: Query, named: dict[str, Any], verb: str) -> Query:
    """A query with more named values.

    Raises:
        FieldError: An unknown name.
        QueryError: Something that is no value.
    """
    made = list(query.annotations)
    before: dict[str, int] = {}
    known = {name: expression.type for name, expression in made}
    for name, item in named.items():
        if "__" in name:
            raise QueryError(f"{verb}({name}=...): two underscores are for paths; choose another name")
        if is_plain(item) and not isinstance(item, str) and not hasattr(item, "query"):
            raise QueryError(f"{verb}({name}={item!r}): a plain value is written Value({item!r})")
        node = expression_of(item, query.table, known)
        _check_aggregates(node, dict(made), name)
        made = [(other, expression) for other, expression in made if other != name] + [(name, node)]
        known[name] = node.type
        before[name] = filters_before(query, node)
    return _reaching(query.replaced(annotations=tuple(made)), before)


def _reaching(query: Query, before: dict[str, int]) -> Query:
    """A query that knows how many filters stood before each of its aggregates."""
    extra = query.extra or NO_EXTRA
    after = (*[item for item in extra.after if item[0] not in before], *[item for item in before.items() if item[1]])
    return query if after == extra.after else query.replaced(extra=extra.replaced(after=after))


def _check_aggregates(node: Expression, annotations: dict[str, Expression], name: str) -> None:
    for part in parts(node):
        if not isinstance(part, Aggregate):
            continue
        for inner in (item for child in part.children for item in parts(child)):
            found = annotations.get(inner.name) if isinstance(inner, AnnotationRef) else None
            if found is not None and has(found, annotations, Aggregate | Window):
                raise QueryError(
                    f"{name}: an aggregate over {inner.name!r}, which is one itself; "  # type: ignore[union-attr]
                    "use aggregate() of the annotated rows, or a Subquery"
                )


def has(node: Condition | Expression, annotations: dict[str, Expression], kind: Any) -> bool:
    """Whether a node of some kind takes part, through annotations as well."""
    for part in parts(node):
        if isinstance(part, kind):
            return True
        if (
            isinstance(part, AnnotationRef)
            and part.name in annotations
            and has(annotations[part.name], annotations, kind)
        ):
            return True
    return False


Keys: TypeAlias = tuple[tuple[int, int, str], ...]
"""Columns that are one key together: the place of the first, how many, and what the key is called."""


def named_columns(query: Query, columns: tuple[Any, ...], named: dict[str, Any]) -> tuple[Query, Keys]:
    """A query for values: of the columns given, or of every field and annotation; and which of them are keys.

    Raises:
        FieldError: An unknown name.
        QueryError: Two columns of one name.
    """
    table = query.table
    hidden = query.extra.hidden if query.extra is not None else frozenset[str]()
    known = {name: expression.type for name, expression in query.annotations}
    wanted: list[tuple[str, Expression]] = []
    keys: Keys = ()
    if not columns and not named:
        columns = (*table.fields, *[name for name in known if name not in hidden])
    for place, item in enumerate(columns):
        name = item if isinstance(item, str) else getattr(item, "default_name", f"column{place}")
        if isinstance(item, str):
            node = reference(table, item, annotations=known, columns=0)
            if isinstance(node, Together):
                keys += ((len(wanted), len(node.parts), name),)
                wanted.extend([(f"{name}__{cast('FieldRef', part).field}", part) for part in node.parts])
                continue
        else:
            node = expression_of(item, table, known)
            if isinstance(node, FieldRef):
                name = "__".join((*node.path, node.field))
        wanted.append((name, node))
    if named:
        # As annotations they can be grouped, filtered and ordered by.
        for name in named:
            if name in table.fields or name in table.relations:
                raise QueryError(f"values({name}=...): {table.model} has {name!r} already; choose another name")
        query = annotated(query, {n: literal(v) if _is_number(v) else v for n, v in named.items()}, "values")
        types = dict(query.annotations)
        wanted.extend((name, AnnotationRef(name, types[name].type)) for name in named)
    names = [name for name, _ in wanted]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise QueryError(f"{twice!r} is asked for twice; give one of them another name: name=...")
    if query.group_by is not None:
        for name, node in wanted:
            check_grouped(query, node, name)
    made = _reaching(
        query.replaced(columns=tuple(wanted)),
        {name: filters_before(query, node) for name, node in wanted if not isinstance(node, AnnotationRef)},
    )
    return made, keys


def _with_keys(names: tuple[str, ...], rows: list[Any], keys: Keys) -> tuple[tuple[str, ...], list[Any]]:
    """The names and rows of columns in which each key is one tuple; None for a reference to nothing."""
    for place, width, name in reversed(keys):
        end = place + width
        names = (*names[:place], name, *names[end:])
        parts = [row[place:end] for row in rows]
        rows = [
            (*row[:place], None if None in part else part, *row[end:]) for row, part in zip(rows, parts, strict=True)
        ]
    return names, rows


@lru_cache(maxsize=256)
def row_type(names: tuple[str, ...]) -> Any:
    """The named tuple for rows of some columns.

    Raises:
        QueryError: A name that no attribute can have.
    """
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            raise QueryError(
                f"values_list(named=True): {name!r} cannot be the name of an attribute; annotate() it by another name, "
                "or take values()"
            )
    make: Any = namedtuple  # no checker can know names of run time
    return make("Row", names)


def _is_number(value: object) -> bool:
    return is_plain(value) and not isinstance(value, str) and not hasattr(value, "query")


def check_grouped(query: Query, node: Condition | Expression, name: str) -> None:
    """Makes sure that a group has one value of something.

    Raises:
        QueryError: Its rows differ in a column outside of aggregates.
    """
    keys = {expression.shape for expression in query.group_by or ()}
    annotations = dict(query.annotations)

    def look(part: Condition | Expression) -> None:
        if isinstance(part, Aggregate) or part.shape in keys:
            return
        if isinstance(part, AnnotationRef):
            look(annotations[part.name])
        elif isinstance(part, FieldRef) and not part.outer:
            raise QueryError(
                f"{name}: the rows of a group differ in {'__'.join((*part.path, part.field))!r}; group by it, in "
                "values(...), or use an aggregate of it"
            )
        for child in part.children:
            look(child)

    look(node)


_OF_ROWS = frozenset({"update", "delete", "create", "bulk_create", "bulk_update", "get_or_create", "update_or_create"})
"""What a queryset of instances can do, and one of values cannot."""


class Values(Shaped[M, R]):
    """Rows as tuples, dictionaries or single values instead of instances.

    `values("author").annotate(total=Sum("price"))` has a row for each author: the columns named before the first
    aggregate are what is grouped by. `filter()` on an aggregate then takes groups, and on other columns rows.
    """

    __slots__ = ("form", "keys")

    form: ValueForm
    """How each row is given: `dict`, `tuple`, `named` for a named tuple, or `flat` for one bare value."""
    keys: Keys
    """Which columns are one value together, as a key of several columns is."""

    def _with(self, query: Query) -> Self:
        new = super()._with(query)
        formed(new, self.form, self.keys)
        return new

    @property
    def _load(self) -> Any:
        form, keys = self.form, self.keys

        def load(prepared: Prepared, chunks: Chunks) -> list[Any]:
            if keys:
                names = tuple([column.name for column in prepared.columns])
                names, found = _with_keys(names, prepared.read_chunks(chunks), keys)
                if form == "dict":
                    return [dict(zip(names, row, strict=True)) for row in found]
                if form == "flat":
                    return [row[0] for row in found]
                return found if form == "tuple" else [*map(row_type(names)._make, found)]
            if form == "named":
                names = tuple([column.name for column in prepared.columns])
                return [*map(row_type(names)._make, prepared.read_chunks(chunks))]
            return prepared.read_chunks(chunks, form)

        return load

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.removeprefix("a") in _OF_ROWS or name in _OF_ROWS:
                raise QueryError(
                    f"{name}() is about rows of {self.model.__name__}, and these are values of them; call it before "
                    "values(), or filter the rows by a query of their keys"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def annotate(self, *unnamed: Never, **named: Any) -> Self:
        """More columns; with an aggregate among them, one row for each group of equal columns named before.

        Raises:
            QueryError: A name that is a column already, or a value that differs inside of a group.
        """
        refuse_unnamed("annotate", unnamed)
        self._unsliced("annotate")
        return self._with(self._grouped("annotate", named))

    def alias(self, *unnamed: Never, **named: Any) -> Self:
        """As `annotate`, for values that are only used in other methods and are no columns."""
        refuse_unnamed("alias", unnamed)
        self._unsliced("alias")
        shown = self.query.columns
        return self._with(self._grouped("alias", named).replaced(columns=shown))

    def _grouped(self, verb: str, named: dict[str, Any]) -> Query:
        query = self.query
        columns = query.columns or ()
        table = query.table
        taken = [n for n in named if n in dict(columns) or n in table.fields or n in table.relations]
        if taken:
            raise QueryError(f"{verb}({taken[0]}=...): {table.model} has {taken[0]!r} already; choose another name")
        query = annotated(query, named, verb)
        annotations = dict(query.annotations)
        for name in named:
            node = annotations[name]
            is_aggregate = has(node, annotations, Aggregate) and not isinstance(node, Window)
            if is_aggregate and query.group_by is None:
                query = rows_before(query).replaced(group_by=self._keys(columns, annotations))
            if query.group_by is not None and not is_aggregate and not isinstance(node, Window):
                query = query.replaced(group_by=(*query.group_by, AnnotationRef(name, node.type)))
            elif query.group_by is not None:
                check_grouped(query, node, name)
            refuse_elsewhere(node, self._alias)
            columns = (*columns, (name, AnnotationRef(name, node.type)))
        return query.replaced(columns=columns)

    def _keys(
        self, columns: tuple[tuple[str, Expression], ...], annotations: dict[str, Expression]
    ) -> tuple[Expression, ...]:
        for name, node in columns:
            if has(node, annotations, Aggregate | Window):
                raise QueryError(f"{name!r} is an aggregate or a window, and groups are made of plain values")
        return tuple([node for _, node in columns])

    def _values(self, form: ValueForm, columns: tuple[Any, ...], named: dict[str, Any]) -> Values[M, Any]:
        query, keys = named_columns(self.query, columns, named)
        refuse_columns_elsewhere(query, self._alias)
        return formed(self._with(query), form, keys)

    def _condition(self, conditions: tuple[Any, ...], named: dict[str, Any]) -> Condition | None:
        found = super()._condition(conditions, named)
        if found is not None and self.query.group_by is not None:
            annotations = dict(self.query.annotations)
            for part in conjuncts(found):
                if has(part, annotations, Aggregate):
                    check_grouped(self.query, part, "filter()")
        return found


def formed(rows: Values[M, Any], form: ValueForm, keys: Keys = ()) -> Values[M, Any]:
    """Rows that were just made, in a form.

    Raises:
        QueryError: A name that no attribute can have, where they are named tuples.
    """
    rows.form = form
    rows.keys = keys
    if form == "named":
        row_type(_with_keys(tuple([name for name, _ in rows.query.columns or ()]), [], keys)[0])
    return rows
