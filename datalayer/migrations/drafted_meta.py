"""`class Meta` of the models that `inspectdb` writes."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from datalayer._schema.names import constraint_name, table_name
from datalayer.migrations.annotations import Annotation, quoted
from datalayer.migrations.drafts import Draft
from datalayer.migrations.live import LiveIndex


class Meta:
    """`class Meta` of a model, and the constraints that a field says itself."""

    def __init__(self, model: Draft) -> None:
        self.model = model
        self.notes: list[str] = []
        self.key_is_named = len(model.primary_key) > 1
        live = model.live
        self.uniques = list(live.uniques)
        self.indexes = list(live.indexes)
        self.said: set[str] = set()
        for column in live.columns:
            if model.kinds.get(column, Annotation("")).text.startswith("Literal["):
                self.said.add(constraint_name("ck", live.name, (column,), "choices"))

    def of_field(self, column: str, *, is_relation: bool = False) -> list[str]:
        """What a field says of its own constraints; they are not said again."""
        table, found = self.model.live.name, list[str]()
        for unique in list(self.uniques):
            mine = constraint_name("uq", table, (column,))
            is_mine = unique.name in (None, mine) or is_relation
            is_plain = unique.nulls_distinct and unique.initially is None
            if unique.columns == (column,) and (is_plain or is_relation) and is_mine and not found:
                found.append("unique=True")
                if is_plain and unique.name in (None, mine):  # any other is said in Meta, and stands for both
                    self.uniques.remove(unique)
        for index in list(self.indexes):
            has_more = index.unique or index.condition or index.method or index.note or index.include or index.opclasses
            is_plain = index.parts == (column,) and not has_more
            if is_plain and not found and index.name == constraint_name("ix", table, (column,)):
                found.append("index=True")
                self.indexes.remove(index)
        return found

    def lines(self) -> list[str]:
        """The body of the class."""
        model, live = self.model, self.model.live
        found: list[str] = []
        if table_name(model.name) != live.name:
            found.append(f"table = {quoted(live.name)}")
        if live.view is not None:
            found.append(f"view = {quoted(live.view)}")
        if live.comment:
            found.append(f"comment = {quoted(live.comment)}")
        if self.key_is_named:
            found.append(f"primary_key = {self._names(model.primary_key)}")
        for option, parts in (
            ("constraints", [*self._uniques(), *self._checks(), *self._exclusions()]),
            ("indexes", list(self._indexes())),
        ):
            if parts:
                found += [f"{option} = (", *(f"    {part}," for part in parts), ")"]
        return found

    def _names(self, columns: Collection[str]) -> str:
        named = [quoted(self._field(column)) for column in columns]
        return f"({', '.join(named)}{',' if len(named) == 1 else ''})"

    def _field(self, part: str) -> str:
        column = part if part in self.model.fields else part.removeprefix("-")
        return ("" if column == part else "-") + self.model.fields[column]

    def _part(self, part: str) -> str:
        is_expression = part.startswith("(") and part not in self.model.fields
        return f"Sql({quoted(part[1:-1])})" if is_expression else quoted(self._field(part))

    def _knows(self, what: str, name: str | None, parts: Collection[str]) -> bool:
        names = [part for part in parts if not part.startswith("(") or part in self.model.fields]
        if all(part in self.model.fields or part.removeprefix("-") in self.model.fields for part in names):
            return True
        self.notes.append(f"Left out, for a column that is left out: the {what} {name!r}.")
        return False

    def _uniques(self) -> Iterator[str]:
        for unique in self.uniques:
            if self._knows("unique constraint", unique.name, unique.columns):
                options = [] if unique.nulls_distinct else ["nulls_distinct=False"]
                options += [] if unique.initially is None else [f"deferrable=Deferrable.{unique.initially}"]
                yield self._unique(unique.name, unique.columns, options)
        for index in self.indexes:
            if self._is_constraint(index) and self._knows("index", index.name, (*index.parts, *index.include)):
                options = [] if index.condition is None else [f"condition={quoted(index.condition)}"]
                if not index.nulls_distinct:
                    options.append("nulls_distinct=False")
                    self.notes.append(f"The index {index.name!r} is a constraint here, which says the same.")
                yield self._unique(index.name, index.parts, [*options, *self._more(index)])

    def _is_constraint(self, index: LiveIndex) -> bool:
        """Whether a `UniqueConstraint` says it, of which only those are indexes that say more than columns."""
        has_more = index.condition is not None or not index.nulls_distinct or index.include or index.opclasses
        is_expression = any(part.startswith("(") and part not in self.model.fields for part in index.parts)
        is_sorted = any(part.startswith("-") and part not in self.model.fields for part in index.parts)
        return index.unique and bool(has_more or is_expression) and not (is_sorted or index.method or not index.parts)

    def _more(self, index: LiveIndex) -> list[str]:
        """The options that constraints and indexes have alike."""
        options = [f"include={self._names(index.include)}"] if index.include else []
        if index.opclasses:
            classes = ", ".join(quoted(opclass) for opclass in index.opclasses)
            options.append(f"opclasses=({classes}{',' if len(index.opclasses) == 1 else ''})")
        return options

    def _unique(self, name: str | None, parts: Collection[str], options: list[str]) -> str:
        named = [] if name is None else [f"name={quoted(name)}"]
        return f"UniqueConstraint({', '.join([*(self._part(part) for part in parts), *named, *options])})"

    def _checks(self) -> Iterator[str]:
        for name, sql in self.model.live.checks:
            if name is None:
                self.notes.append(f"A CHECK without a name, which a model cannot have: {' '.join(sql.split())}")
            elif name not in self.said:
                yield f"CheckConstraint({quoted(sql)}, name={quoted(name)})"

    def _exclusions(self) -> Iterator[str]:
        for one in self.model.live.exclusions:
            if not one.pairs:
                self.notes.append(f"The exclusion constraint {one.name!r} has what a model cannot say.")
            elif self._knows("exclusion constraint", one.name, [column for column, _ in one.pairs]):
                pairs = [f"({quoted(self._field(column))}, {quoted(sign)})" for column, sign in one.pairs]
                options = [*pairs, f"name={quoted(one.name)}"]
                options += [] if one.condition is None else [f"condition={quoted(one.condition)}"]
                options += [] if one.method == "gist" else [f"method={quoted(one.method)}"]
                yield f"ExclusionConstraint({', '.join(options)})"

    def _indexes(self) -> Iterator[str]:
        for index in self.indexes:
            if not index.parts or index.note:
                self.notes.append(f"The index {index.name!r} has what a model cannot say: {index.note!r}.")
            is_said = not index.parts or self._is_constraint(index)
            if is_said or not self._knows("index", index.name, (*index.parts, *index.include)):
                continue
            options = [*(self._part(part) for part in index.parts), f"name={quoted(index.name)}"]
            if index.condition is not None:
                options.append(f"condition={quoted(index.condition)}")
            if index.method is not None:
                options.append(f"method={quoted(index.method)}")
            options += self._more(index)
            if index.unique:
                options.append("unique=True")
            yield f"Index({', '.join(options)})"
