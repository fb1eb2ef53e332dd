"""`inspectdb`: a module of models for a database that exists.

The models make the same tables as there are. What no model can say becomes a comment, never a guess.
"""

from __future__ import annotations

import io
import tokenize
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from datalayer._schema.names import constraint_name, table_name
from datalayer.migrations import config
from datalayer.migrations.annotations import Annotation, annotation, choices_of, default, literal, quoted
from datalayer.migrations.identifiers import attribute, class_names, is_refused
from datalayer.migrations.live import LiveColumn, LiveKey, LiveTable, live_tables

_ON_DELETE = {
    "CASCADE": "CASCADE",
    "RESTRICT": "PROTECT",
    "NO ACTION": "RESTRICT",
    "SET NULL": "SET_NULL",
    "SET DEFAULT": "SET_DEFAULT",
}


@dataclass
class _Model:
    """A model to be written."""

    live: LiveTable
    name: str
    kinds: dict[str, Annotation]
    fields: dict[str, str] = field(default_factory=dict[str, str])
    relations: list[tuple[str, LiveKey, bool]] = field(default_factory=list[tuple[str, LiveKey, bool]])
    notes: list[str] = field(default_factory=list[str])
    primary_key: tuple[str, ...] = ()
    reverses: set[str] = field(default_factory=set[str])
    taken: set[str] = field(default_factory=set[str])

    @property
    def is_whole(self) -> bool:
        """Whether it can be a model: one without a primary key cannot."""
        return bool(self.primary_key)

    def key_of(self, column: str) -> tuple[str, LiveKey] | None:
        """The relation that a column is the key of, and whose field it makes."""
        for name, key, is_implicit in self.relations:
            if is_implicit and key.columns == (column,):
                return name, key
        return None


def inspectdb(tables: Collection[str] = (), *, include_views: bool = False, alias: str = "default") -> str:
    """The text of a module with a model for each table of a database.

    Args:
        tables: The names of tables or views; all tables when empty.
        include_views: Whether views become models too.
        alias: The database.

    Raises:
        MigrationError: A table does not exist.
        ConnectionFailed: The database cannot be reached.
    """
    environment = config.environment(alias)
    backend = environment.url.backend
    with environment.connect() as connection:
        if backend == "sqlite":
            connection = connection.execution_options(datalayer_reads=True)
        live = live_tables(connection, tables, include_views)
        connection.rollback()
    return _module(live, backend)


def _module(live: list[LiveTable], backend: str) -> str:
    from datalayer.models.meta import taken_names  # noqa: PLC0415 - the models come in only when they are asked for
    from datalayer.models.model import Model  # noqa: PLC0415

    names = class_names(table.name for table in live)
    hidden = taken_names((Model,))
    reserved = hidden | set(names.values())
    models: dict[str, _Model] = {}
    for table in live:
        kinds = {name: _kind(column, table, backend) for name, column in table.columns.items()}
        known = {name: kind for name, kind in kinds.items() if kind is not None}
        models[table.name] = _Model(table, names[table.name], known)
        _choose_key(models[table.name])
    for model in models.values():
        _name_fields(model, models, reserved)
    body: list[str] = []
    for model in models.values():
        text = list(_class(model, models, hidden))
        body += ["", "", *(text if model.is_whole else [f"# {line}".rstrip() for line in text])]
    return _imports(body) + "\n".join(body) + "\n"


def _kind(column: LiveColumn, table: LiveTable, backend: str) -> Annotation | None:
    found = annotation(column, backend, is_ours=table.is_ours)
    if found is None or column.generated == "":  # an expression that could not be read
        return None
    checks = dict(table.checks)
    text = checks.get(constraint_name("ck", table.name, (column.name,), "choices"))
    is_key = any(column.name in key.columns for key in table.keys)
    choices = None if text is None or is_key else choices_of(text, found)
    return found if not choices else Annotation(literal(choices))


def _choose_key(model: _Model) -> None:
    live = model.live
    key = live.primary_key
    if live.view is not None and "id" in model.kinds:
        key = ("id",)
        model.notes.append("A view has no primary key, so id is taken for one: see that no two rows have the same.")
    unknown = [name for name in key if name not in model.kinds]
    if not key or unknown:
        why = (
            f"the type of its primary key's column {unknown[0]!r} is not known" if unknown else "it has no primary key"
        )
        what = "table" if live.view is None else "view"
        model.notes.append(f"The {what} {live.name!r} is no model as it is: {why}.")
        if not unknown:
            model.notes.append('Name the columns that tell its rows apart in Meta: primary_key = ("a", "b")')
        return
    model.primary_key = key


def _name_fields(model: _Model, models: dict[str, _Model], reserved: Collection[str]) -> None:
    live, taken = model.live, model.taken
    fitting = [key for key in live.keys if _fits(model, key, models)]
    used = [column for key in fitting for column in key.columns]
    for column in live.columns.values():
        if column.name not in model.kinds:
            continue
        single = next((key for key in fitting if key.columns == (column.name,)), None)
        if single is not None and used.count(column.name) == 1 and not column.is_numbered and not column.generated:
            base = column.name[:-3] if column.name.endswith("_id") and len(column.name) > 3 else column.name
            name = attribute(base, taken, reserved)
            while f"{name}_id" in taken or is_refused(f"{name}_id", reserved):
                name = attribute(f"{name}_ref", taken, reserved)
            model.relations.append((name, single, True))
            taken |= {name, f"{name}_id"}
            model.fields[column.name] = f"{name}_id"
        else:
            model.fields[column.name] = attribute(column.name, taken, reserved)
            taken.add(model.fields[column.name])
    for key in fitting:
        if all(key is not known for _, known, _ in model.relations):
            name = attribute(table_name(models[key.target].name), taken, reserved)
            model.relations.append((name, key, False))
            taken.add(name)


def _fits(model: _Model, key: LiveKey, models: dict[str, _Model]) -> bool:
    """Whether a foreign key can be a relation; else a note says what it is."""
    target = models.get(key.target)
    reason = ""
    if target is None:
        reason = "which is not in this module"
    elif not target.is_whole:
        reason = "which is no model"
    elif any(column not in model.kinds for column in key.columns):
        reason = "by columns of an unknown type"
    elif key.remote != target.primary_key:
        columns = {columns for columns, _ in target.live.uniques.values()}
        if len(key.remote) > 1 or key.remote not in columns:
            reason = "by columns that are not its primary key, in this order"
    elif key.on_delete == "SET NULL" and not all(model.live.columns[name].nullable for name in key.columns):
        reason = "and SET NULL, though a column of it is never NULL"
    elif key.on_delete == "SET DEFAULT" and any(model.live.columns[name].default is None for name in key.columns):
        reason = "and SET DEFAULT, though a column of it has no default"
    if reason:
        model.notes.append(
            f"No relation: {', '.join(map(repr, key.columns))} refers to {key.target!r}, {reason}"
            f" (ON DELETE {key.on_delete})."
        )
    return not reason


def _class(model: _Model, models: dict[str, _Model], hidden: Collection[str]) -> Iterator[str]:
    live = model.live
    meta = _Meta(model)
    body: list[str] = []
    lone = live.columns[model.primary_key[0]] if len(model.primary_key) == 1 else None
    has_id = (
        lone is not None
        and lone.name == "id"
        and lone.is_numbered
        and model.kinds["id"].text == "BigInt"
        and not lone.comment
        and model.fields["id"] == "id"
    )
    for column in live.columns.values():
        if column.name not in model.kinds:
            word = column.type or "no type"
            body.append(f"# {column.name!r}: {word} in the database, which no field of datalayer has; left out")
        elif not (has_id and column is lone):
            relation = model.key_of(column.name)
            if relation is None:
                body += _field(model, column, meta)
            else:
                body += _relation(model, relation, column, models, meta, hidden)
    for name, key, is_implicit in model.relations:
        if not is_implicit:
            body.append(_explicit(model, name, key, models, hidden))
    lines = meta.lines()
    yield from (f"# {note}" for note in [*model.notes, *meta.notes])
    yield f"class {model.name}({'Model' if has_id else 'ModelBase'}):"
    body += [*([""] if body and lines else []), *(["class Meta:"] if lines else []), *(f"    {line}" for line in lines)]
    yield from (f"    {line}".rstrip() for line in body or ["pass"])


def _field(model: _Model, column: LiveColumn, meta: _Meta) -> Iterator[str]:
    kind, name = model.kinds[column.name], model.fields[column.name]
    is_key = model.primary_key == (column.name,)
    nullable = column.nullable and column.name not in model.primary_key
    options: list[str] = list(kind.options)
    notes = [kind.note or f"{column.type} in the database"] if not kind.is_exact else []
    text = kind.text
    if name != column.name:
        options.append(f"column={quoted(column.name)}")
    if column.comment:
        options.append(f"comment={quoted(column.comment)}")
    plain = is_key and column.default is None and not column.generated and not options_besides(options)
    if column.generated:
        options += [f"generated={quoted(column.generated)}", "init=False"]
    elif is_key and column.is_numbered:
        options.append("init=False")
        if kind.text == "int":
            notes.append("an identity of 32 bits in the database, of 64 here")
    elif column.default is not None:
        options.append(f"db_default={default(column.default, kind)}")
        if is_key:
            options.append("init=False")
    elif nullable:
        options.append("default=None")
    if column.is_numbered and not is_key:
        notes.append("numbered by the database; a model numbers only a primary key of one column")
    if not is_key:
        options += meta.of_field(column.name)
    if is_key and not plain:
        meta.key_is_named = True
    annotation_ = f"{text} | None" if nullable else text
    yield from (f"# {note}" for note in notes)
    yield f"{name}: Mapped[{annotation_}] = {'PrimaryKey' if plain else 'Field'}({', '.join(options)})"


def options_besides(options: Collection[str]) -> bool:
    """Whether there are options that a `PrimaryKey()` does not have."""
    return any(one.partition("=")[0] not in ("column", "comment", "max_length") for one in options)


def _relation(
    model: _Model,
    relation: tuple[str, LiveKey],
    column: LiveColumn,
    models: dict[str, _Model],
    meta: _Meta,
    hidden: Collection[str],
) -> Iterator[str]:
    name, key = relation
    target = models[key.target]
    is_key = model.primary_key == (column.name,)
    nullable = column.nullable and column.name not in model.primary_key
    options = [f"on_delete={_ON_DELETE[key.on_delete]}"]
    words = meta.of_field(column.name, is_relation=True)
    is_one = is_key or "unique=True" in words
    options += _related_name(model, name, target, hidden, "" if is_one else "_set")
    if key.remote != target.primary_key:
        options.append(f"to_field={quoted(target.fields[key.remote[0]])}")
    if f"{name}_id" != column.name:
        options.append(f"column={quoted(column.name)}")
    if is_key:
        options.append("primary_key=True")
    elif not is_one and "index=True" not in words:
        options.append("index=False")
    if column.comment:
        options.append(f"comment={quoted(column.comment)}")
    if column.default is not None:
        options.append(f"db_default={default(column.default, model.kinds[column.name])}")
    elif nullable:
        options.append("default=None")
    if key.note:
        yield f"# the database also says {key.note}"
    theirs = target.live.columns[key.remote[0]].type
    if theirs != column.type:
        yield f"# {column.type} in the database, and the key it refers to is {theirs}"
    yield from _renamed(model, key)
    word = "OneToOne" if is_one else "ForeignKey"
    yield f"{name}: {word}[{target.name}{' | None' if nullable else ''}] = {word}({', '.join(options)})"


def _renamed(model: _Model, key: LiveKey) -> Iterator[str]:
    mine = constraint_name("fk", model.live.name, key.columns)
    if key.name and key.name != mine:
        yield f"# the foreign key is called {key.name!r} in the database, and {mine!r} by datalayer"


def _explicit(model: _Model, name: str, key: LiveKey, models: dict[str, _Model], hidden: Collection[str]) -> str:
    target = models[key.target]
    fields = "".join(f"{quoted(model.fields[column])}, " for column in key.columns)
    nullable = any(model.live.columns[one].nullable and one not in model.primary_key for one in key.columns)
    options = [
        f"on_delete={_ON_DELETE[key.on_delete]}",
        f"fields=({fields.strip() if len(key.columns) == 1 else fields[:-2]})",
    ]
    options += _related_name(model, name, target, hidden, "_set")
    if key.remote != target.primary_key:
        options.append(f"to_field={quoted(target.fields[key.remote[0]])}")
    if nullable:
        options.append("default=None")
    return f"{name}: ForeignKey[{target.name}{' | None' if nullable else ''}] = ForeignKey({', '.join(options)})"


def _related_name(model: _Model, name: str, target: _Model, hidden: Collection[str], tail: str) -> list[str]:
    """The name of the way back, where the usual one is taken."""
    usual = f"{model.name.lower()}{tail}"
    taken = {*target.taken, *target.reverses, *hidden}
    if usual not in taken:
        target.reverses.add(usual)
        return []
    longer = f"{model.name.lower()}_{name}{tail}"
    if longer in taken:
        return ['related_name="+"']
    target.reverses.add(longer)
    return [f"related_name={quoted(longer)}"]


class _Meta:
    """`class Meta` of a model, and the constraints that a field says itself."""

    def __init__(self, model: _Model) -> None:
        self.model = model
        self.notes: list[str] = []
        self.key_is_named = len(model.primary_key) > 1
        live = model.live
        self.uniques = dict(live.uniques)
        self.indexes = list(live.indexes)
        self.said: set[str] = set()
        for column in live.columns:
            if model.kinds.get(column, Annotation("")).text.startswith("Literal["):
                self.said.add(constraint_name("ck", live.name, (column,), "choices"))

    def of_field(self, column: str, *, is_relation: bool = False) -> list[str]:
        """What a field says of its own constraints; they are not said again."""
        table, found = self.model.live.name, list[str]()
        for name, (columns, distinct) in list(self.uniques.items()):
            mine = constraint_name("uq", table, (column,))
            if columns == (column,) and distinct and (name == mine or (is_relation and not found)):
                found.append("unique=True")
                del self.uniques[name]
                if name != mine:
                    self.notes.append(f"The unique constraint {name!r} is called {mine!r} by datalayer.")
        for index in list(self.indexes):
            is_plain = index.parts == (column,) and not (index.unique or index.condition or index.method or index.note)
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
        for option, parts in (("constraints", [*self._uniques(), *self._checks()]), ("indexes", list(self._indexes()))):
            if parts:
                found += [f"{option} = (", *(f"    {part}," for part in parts), ")"]
        return found

    def _names(self, columns: Collection[str]) -> str:
        named = [quoted(self._field(column)) for column in columns]
        return f"({', '.join(named)}{',' if len(named) == 1 else ''})"

    def _field(self, part: str) -> str:
        column = part if part in self.model.fields else part.removeprefix("-")
        return ("" if column == part else "-") + self.model.fields[column]

    def _knows(self, what: str, name: str | None, parts: Collection[str]) -> bool:
        if all(part in self.model.fields or part.removeprefix("-") in self.model.fields for part in parts):
            return True
        self.notes.append(f"Left out, for a column of an unknown type: the {what} {name!r}.")
        return False

    def _uniques(self) -> Iterator[str]:
        for name, (columns, distinct) in self.uniques.items():
            if self._knows("unique constraint", name, columns):
                yield self._unique(name, columns, "" if distinct else ", nulls_distinct=False")
        for index in self.indexes:
            if not index.unique or not index.parts or not self._knows("index", index.name, index.parts):
                continue
            names = [part if part in self.model.fields else part.removeprefix("-") for part in index.parts]
            if index.condition is None:
                self.notes.append(f"{index.name!r} is a unique index in the database, and a constraint by datalayer.")
                yield self._unique(index.name, names, "")
            else:
                yield self._unique(index.name, names, f", condition={quoted(index.condition)}")

    def _unique(self, name: str | None, columns: Collection[str], more: str) -> str:
        fields = ", ".join(quoted(self._field(column)) for column in columns)
        return f"UniqueConstraint({fields}{'' if name is None else f', name={quoted(name)}'}{more})"

    def _checks(self) -> Iterator[str]:
        prefix = constraint_name("ck", self.model.live.name, (), "") + "_"
        for name, sql in self.model.live.checks:
            if name is None:
                self.notes.append(f"A CHECK without a name, which a model cannot have: {' '.join(sql.split())}")
            elif name not in self.said:
                if not name.startswith(prefix):
                    self.notes.append(f"The CHECK {name!r} is called {prefix + name!r} by datalayer.")
                yield f"CheckConstraint({quoted(sql)}, name={quoted(name.removeprefix(prefix))})"

    def _indexes(self) -> Iterator[str]:
        for index in self.indexes:
            if not index.parts or index.note:
                self.notes.append(f"The index {index.name!r} has what a model cannot say: {index.note!r}.")
            if not index.parts or index.unique or not self._knows("index", index.name, index.parts):
                continue
            options = [*(quoted(self._field(part)) for part in index.parts), f"name={quoted(index.name)}"]
            if index.condition is not None:
                options.append(f"condition={quoted(index.condition)}")
            if index.method is not None:
                options.append(f"method={quoted(index.method)}")
            yield f"Index({', '.join(options)})"


_NAMES = (
    "CASCADE", "PROTECT", "RESTRICT", "SET_DEFAULT", "SET_NULL", "BigInt", "CheckConstraint", "Field", "ForeignKey",
    "Index", "Mapped", "Model", "ModelBase", "NaiveDatetime", "OneToOne", "PrimaryKey", "SmallInt", "Sql",
    "UniqueConstraint",
)  # fmt: skip


def _imports(body: list[str]) -> str:
    """The imports that the code needs; what comments and texts say counts for nothing."""
    tokens = _words("\n".join(body))
    lines = ['"""Models of tables that were there, written by datalayer inspectdb: look them over."""', ""]
    lines += ["from __future__ import annotations", ""]
    standard = ["import datetime as dt"] if "dt" in tokens else []
    standard += ["from decimal import Decimal"] if "Decimal" in tokens else []
    typing = [name for name in ("Any", "Literal") if name in tokens]
    standard += [f"from typing import {', '.join(typing)}"] if typing else []
    standard += ["from uuid import UUID"] if "UUID" in tokens else []
    lines += [*standard, ""] if standard else []
    lines += ["from pydantic import IPvAnyInterface", ""] if "IPvAnyInterface" in tokens else []
    names = [name for name in _NAMES if name in tokens]
    if names:
        lines.append(f"from datalayer import {', '.join(names)}")
    return "\n".join(lines).rstrip("\n") + "\n"


def _words(code: str) -> set[str]:
    return {one.string for one in tokenize.generate_tokens(io.StringIO(code).readline) if one.type == tokenize.NAME}
