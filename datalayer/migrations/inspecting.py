"""`inspectdb`: a module of models for a database that exists.

The models make the same tables as there are. What no model can say becomes a comment, never a guess.
"""

from __future__ import annotations

import io
import tokenize
from collections.abc import Collection, Iterator

from datalayer._schema.names import constraint_name
from datalayer.migrations import config
from datalayer.migrations.annotations import default, quoted
from datalayer.migrations.drafted_meta import Meta
from datalayer.migrations.drafts import Draft, choose_key, kind_of, name_fields, why_not
from datalayer.migrations.environment import Environment
from datalayer.migrations.history import History
from datalayer.migrations.identifiers import class_names
from datalayer.migrations.live import LiveColumn, LiveKey, LiveTable, Wanted, live_tables

_ON_DELETE = {
    "CASCADE": "CASCADE",
    "RESTRICT": "PROTECT",
    "NO ACTION": "RESTRICT",
    "SET NULL": "SET_NULL",
    "SET DEFAULT": "SET_DEFAULT",
}


def inspectdb(
    tables: Collection[str] = (),
    *,
    include_views: bool = False,
    include_partitions: bool = False,
    but: Collection[str] = (),
    alias: str = "default",
) -> str:
    """The text of a module with a model for each table of a database.

    Args:
        tables: The names of tables or views; all tables when empty.
        include_views: Whether views become models too.
        include_partitions: Whether the partitions of a table become models, besides that of the table.
        but: Tables and views that are left out; `*` in a name stands for any letters.
        alias: The database.

    Raises:
        MigrationError: A table does not exist.
        ConnectionFailed: The database cannot be reached.
    """
    wanted = Wanted(tables, include_views, include_partitions, but)
    return inspected(config.environment(alias, known=History(None)), wanted)


def inspected(environment: Environment, wanted: Wanted) -> str:
    """The same for a database that is given itself."""
    backend = environment.url.backend
    environment.refuse_without_file()
    with environment.connect() as connection, environment.in_words("inspected"):
        if backend == "sqlite":
            connection = connection.execution_options(datalayer_reads=True)
        live = live_tables(connection, wanted)
        connection.rollback()
    return _module(live, backend)


def _module(live: list[LiveTable], backend: str) -> str:
    from datalayer.models.meta import taken_names  # noqa: PLC0415 - the models come in only when they are asked for
    from datalayer.models.model import Model  # noqa: PLC0415

    names = class_names(table.name for table in live)
    hidden = taken_names((Model,))
    reserved = hidden | set(names.values())
    models: dict[str, Draft] = {}
    for table in live:
        kinds = {name: kind_of(column, table, backend) for name, column in table.columns.items()}
        known = {name: kind for name, kind in kinds.items() if kind is not None}
        models[table.name] = Draft(table, names[table.name], known, notes=list(table.remarks))
        choose_key(models[table.name])
    for model in models.values():
        name_fields(model, models, reserved)
    body: list[str] = []
    for model in models.values():
        text = list(_class(model, models, hidden))
        body += ["", "", *(text if model.is_whole else [_commented(line) for line in text])]
    return _imports(body) + "\n".join(body) + "\n"


def _commented(line: str) -> str:
    """A line as a comment; a note above the class is one already."""
    return line if line.startswith("#") else f"# {line}".rstrip()


def _class(model: Draft, models: dict[str, Draft], hidden: Collection[str]) -> Iterator[str]:
    live = model.live
    meta = Meta(model)
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
            why = f"is {column.type or 'of no type'} in the database, which no field of datalayer has"
            body.append(f"# {column.name!r} {why_not(column, live) or why}; left out")
        elif not (has_id and column is lone):
            relation = model.key_of(column.name)
            if relation is None:
                body += _field(model, column, meta)
            else:
                body += _relation(model, relation, column, models, meta, hidden)
    for name, key, is_implicit in model.relations:
        if not is_implicit:
            body += _explicit(model, name, key, models, hidden)
    lines = meta.lines()
    yield from (f"# {note}" for note in [*model.notes, *meta.notes])
    yield f"class {model.name}({'Model' if has_id else 'ModelBase'}):"
    body += [*([""] if body and lines else []), *(["class Meta:"] if lines else []), *(f"    {line}" for line in lines)]
    if all(line.startswith("#") for line in body):
        body.append("pass")
    yield from (f"    {line}".rstrip() for line in body)


def _field(model: Draft, column: LiveColumn, meta: Meta) -> Iterator[str]:
    kind, name = model.kinds[column.name], model.fields[column.name]
    is_key = model.primary_key == (column.name,)
    nullable = column.nullable and column.name not in model.primary_key
    options: list[str] = list(kind.options)
    notes = [kind.note or f"{column.type} in the database"] if not kind.is_exact else []
    if column.collation and kind.text == "str" and model.live.view is None:
        options.append(f"collation={quoted(column.collation)}")
    elif column.collation:
        notes.append(f"collated by {column.collation} in the database")
    if column.nullable and not nullable and model.live.view is None:
        notes.append("may be NULL in the database, as SQLite lets keys be")
    text = kind.text
    if name != column.name:
        options.append(f"column={quoted(column.name)}")
    if column.comment:
        options.append(f"comment={quoted(column.comment)}")
    plain = is_key and column.default is None and not column.generated and not _has_more(options)
    if column.generated:
        options += [f"generated={quoted(column.generated)}", "init=False"]
    elif is_key and column.is_numbered:
        options.append("init=False")
        text = "Int" if text == "int" else text
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


def _has_more(options: Collection[str]) -> bool:
    """Whether there are options that a `PrimaryKey()` does not have."""
    return any(one.partition("=")[0] not in ("column", "comment", "max_length", "collation") for one in options)


def _relation(
    model: Draft,
    relation: tuple[str, LiveKey],
    column: LiveColumn,
    models: dict[str, Draft],
    meta: Meta,
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
    if key.initially is not None:
        options.append(f"deferrable=Deferrable.{key.initially}")
    if key.note:
        yield f"# the database also says {key.note}"
    referred = target.live.columns[key.remote[0]]
    ours, theirs = (f"{one.type} COLLATE {one.collation}" if one.collation else one.type for one in (column, referred))
    if theirs != ours:
        yield f"# {ours} in the database, and the key it refers to is {theirs}"
    options += _name(model, key)
    word = "OneToOne" if is_one else "ForeignKey"
    yield f"{name}: {word}[{target.name}{' | None' if nullable else ''}] = {word}({', '.join(options)})"


def _name(model: Draft, key: LiveKey) -> list[str]:
    """The name of a foreign key, where it is not the one that datalayer gives."""
    if key.name is None and key is not next(one for one in model.live.keys if one.columns == key.columns):
        return [f"name={quoted(constraint_name('fk', model.live.name, (*key.columns, key.target)))}"]
    is_ours = key.name in (None, constraint_name("fk", model.live.name, key.columns))
    return [] if is_ours else [f"name={quoted(str(key.name))}"]


def _explicit(
    model: Draft, name: str, key: LiveKey, models: dict[str, Draft], hidden: Collection[str]
) -> Iterator[str]:
    """A relation by fields that are declared themselves."""
    target = models[key.target]
    names = ", ".join(quoted(model.fields[column]) for column in key.columns)
    nullable = any(model.live.columns[one].nullable and one not in model.primary_key for one in key.columns)
    options = [f"on_delete={_ON_DELETE[key.on_delete]}", f"fields=({names}{',' if len(key.columns) == 1 else ''})"]
    options += _related_name(model, name, target, hidden, "_set")
    if key.remote != target.primary_key:
        options.append(f"to_field={quoted(target.fields[key.remote[0]])}")
    if nullable:
        options.append("default=None")
    options += _name(model, key)
    if key.initially is not None:
        options.append(f"deferrable=Deferrable.{key.initially}")
    if key.note:
        yield f"# the database also says {key.note}"
    yield f"{name}: ForeignKey[{target.name}{' | None' if nullable else ''}] = ForeignKey({', '.join(options)})"


def _related_name(model: Draft, name: str, target: Draft, hidden: Collection[str], tail: str) -> list[str]:
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


_NAMES = (
    "CASCADE", "PROTECT", "RESTRICT", "SET_DEFAULT", "SET_NULL", "BigInt", "CheckConstraint", "Deferrable",
    "ExclusionConstraint", "Field",
    "ForeignKey", "Index", "Int", "Mapped", "Model", "ModelBase", "NaiveDatetime", "OneToOne", "PrimaryKey",
    "Range", "SmallInt", "Sql", "UniqueConstraint",
)  # fmt: skip


def _imports(body: list[str]) -> str:
    """The imports that the code needs; what comments and texts say counts for nothing."""
    tokens = _words("\n".join(body))
    lines = ['"""Models of tables that were there, written by datalayer inspectdb: look them over."""', ""]
    lines += ["from __future__ import annotations", ""]
    standard = ["import datetime as dt"] if "dt" in tokens else []
    standard += ["from decimal import Decimal"] if "Decimal" in tokens else []
    typing = [name for name in ("Annotated", "Any", "Literal") if name in tokens]
    standard += [f"from typing import {', '.join(typing)}"] if typing else []
    standard += ["from uuid import UUID"] if "UUID" in tokens else []
    lines += [*standard, ""] if standard else []
    lines += ["from pydantic import IPvAnyInterface", ""] if "IPvAnyInterface" in tokens else []
    names = [name for name in _NAMES if name in tokens]
    if names:
        line = f"from datalayer import {', '.join(names)}"
        lines += [line] if len(line) <= 88 else ["from datalayer import (", *(f"    {name}," for name in names), ")"]
    return "\n".join(lines).rstrip("\n") + "\n"


def _words(code: str) -> set[str]:
    return {one.string for one in tokenize.generate_tokens(io.StringIO(code).readline) if one.type == tokenize.NAME}
