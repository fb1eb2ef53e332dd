"""From rows to instances, by code generated once for each shape of a query.

A value of the database is trusted: nothing is validated, and the `__dict__` of the instance is filled directly. Other
slots of pydantic's `BaseModel` are filled when somebody asks for them (`_pydantic.filled`), for most rows never;
`__pydantic_fields_set__` starts empty then, so that it is the set of changed fields from then on. Only this file and
`_pydantic.py` know pydantic's insides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from datalayer._compile.prepared import Output, Prepared
from datalayer._compile.reading import SHORTS, Short
from datalayer._plans.plan import Chunks
from datalayer.databases import databases
from datalayer.models._pydantic import private_values, set_dict, set_private
from datalayer.models.state import Origin, set_cache, set_content, set_origin

Make: TypeAlias = Callable[[Chunks, str], list[Any]]
"""Rows and the alias of the database they come from -> instances."""


def loader(model: Any, alias: str) -> Callable[[Prepared, Chunks], list[Any]]:
    """How the plans turn rows of a prepared query into instances of a model.

    Args:
        model: The class.
        alias: The database the rows come from.
    """

    def load(prepared: Prepared, chunks: Chunks) -> list[Any]:
        memo: Any = prepared.memo
        if memo is None or memo[0] is not model:
            memo = prepared.memo = (model, maker(model, prepared.columns, databases[alias].backend))
        found: list[Any] = memo[1](chunks, alias)
        return found

    return load


def maker(model: Any, columns: tuple[Output, ...], backend: str) -> Make:
    """Generates the function that makes instances of rows with these columns.

    Args:
        model: The class.
        columns: What comes back, in row order.
        backend: Whose driver gives the rows.
    """
    names: dict[str, Any] = {
        "new": object.__new__,
        "set_dict": set_dict,
        "set_private": set_private,
        "set_origin": set_origin,
        "set_cache": set_cache,
        "set_content": set_content,
        "private_values": private_values,
        "Origin": Origin,
    }
    variables = [f"c{place}" for place in range(len(columns))]
    by_path: dict[tuple[str, ...], list[int]] = {(): []}
    for place, column in enumerate(columns):
        by_path.setdefault(column.path, []).append(place)
    paths = sorted(by_path, key=len)
    lines = [
        "def make(chunks, alias):",
        " out = []",
        " append = out.append",
        " origin0 = Origin(alias, out)",
    ]
    for number, path in enumerate(paths):
        if path:
            lines.append(f" peers{number} = []; origin{number} = Origin(alias, peers{number})")
    target = ", ".join(variables) + ("," if len(variables) == 1 else "")
    lines.append(" for rows in chunks:")
    lines.append(f"  if rows and len(rows[0]) > {len(columns)}: rows = [row[:{len(columns)}] for row in rows]")
    lines.append(f"  for {target} in rows:")
    for place, column in enumerate(columns):
        short = _short(column)
        if short is not None:
            names[f"convert{place}"], names[f"call{place}"] = column.convert, short.call
            value = short.expression.format(value=f"c{place}", convert=f"convert{place}", call=f"call{place}")
            made = _made(place, column)
            lines.append(f"   if c{place} is not None:")
            lines.append(f"    try: {made} = {value}")
            lines.append(f"    except (ValueError, TypeError): {made} = convert{place}(c{place})")
            if made != f"c{place}":
                lines.append(f"   else: {made} = None")
    objects: dict[tuple[str, ...], str] = {}
    linked = {path[:-1] for path in paths if path} | {path for path in paths if _way_back(model, path) is not None}
    for number, path in enumerate(paths):
        _object(lines, names, model, number, path, columns, by_path[path], objects, backend, is_linked=path in linked)
    lines.append("   append(o0)")
    # A single row has no peers: without a circle it is freed at once, and not by the collector.
    lines.append(" if len(out) < 2: origin0.peers = []")
    lines.append(" return out")
    source = "\n".join(lines)
    exec(compile(source, f"<hydrate {model.__name__}>", "exec"), names)
    make: Make = names["make"]
    return make


def _short(column: Output) -> Short | None:
    return None if column.convert is None else SHORTS.get(column.convert)


def _made(place: int, column: Output) -> str:
    """The variable of a value that is made first: not that of what has come, where this is kept."""
    return f"v{place}" if column.field is not None and column.field.tracks_content else f"c{place}"


def _value(names: dict[str, Any], place: int, column: Output) -> str:
    if column.convert is None:
        return f"c{place}"
    if column.convert in SHORTS:
        return _made(place, column)
    names[f"convert{place}"] = column.convert
    return f"None if c{place} is None else convert{place}(c{place})"


def _object(
    lines: list[str],
    names: dict[str, Any],
    model: Any,
    number: int,
    path: tuple[str, ...],
    columns: tuple[Output, ...],
    places: list[int],
    objects: dict[tuple[str, ...], str],
    backend: str,
    *,
    is_linked: bool,
) -> None:
    """The lines that make one object of a row: the row's own, or one of a joined relation.

    `is_linked` says that others are kept on it, as `related.remember` keeps them.
    """
    table = model.table
    for step in path:
        table = table.relations[step].target
    cls = table.python_model if path else model
    var = f"o{number}"
    objects[path] = var
    names[f"M{number}"] = cls
    fields = [place for place in places if columns[place].field is not None]
    extras = [place for place in places if columns[place].field is None]
    pad = "   "
    if path:
        keys = [p for p in fields if columns[p].name in table.primary_key]
        lines.append(f"{pad}if {' or '.join(f'c{p} is None' for p in keys)}:")
        lines.append(f"{pad} {var} = None")
        lines.append(f"{pad}else:")
        pad += " "
    items = ", ".join(f"{columns[p].name!r}: {_value(names, p, columns[p])}" for p in fields)
    lines.append(f"{pad}{var} = new(M{number})")
    lines.append(f"{pad}set_dict({var}, {{{items}}})")
    if getattr(cls, "__private_attributes__", None):
        lines.append(f"{pad}set_private({var}, private_values(M{number}, {var}.__dict__))")
    lines.append(f"{pad}set_origin({var}, origin{number})")
    tracked = [p for p in fields if (field := columns[p].field) is not None and field.tracks_content]
    if tracked:
        names[f"kept{number}"] = tuple([columns[p].name for p in tracked])
        names[f"hows{number}"] = tuple(["value" if columns[p].convert is None else backend for p in tracked])
        # The driver's own list is the value itself, so what is kept must be a copy.
        given = [f"c{p}" if columns[p].convert else f"None if c{p} is None else c{p}[:]" for p in tracked]
        lines.append(f"{pad}set_content({var}, (kept{number}, hows{number}, {', '.join(given)}))")
    if extras or is_linked:
        items = ", ".join(f"{columns[p].name!r}: {_value(names, p, columns[p])}" for p in extras)
        lines.append(f"{pad}x{number} = {{{items}}}; set_cache({var}, x{number})")
    if path:
        lines.append(f"{pad}peers{number}.append({var})")
        parent = objects[path[:-1]]
        back = _way_back(model, path)
        if back is not None:
            lines.append(f"{pad}x{number}[{back!r}] = {parent}")
        check = f"if {parent} is not None: " if path[:-1] else ""
        lines.append(f"   {check}x{parent[1:]}[{path[-1]!r}] = {var}")


def _way_back(model: Any, path: tuple[str, ...]) -> str | None:
    """Under what name an object at the end of a joined path keeps the one before it; None where it does not."""
    table = model.table
    for step in path[:-1]:
        table = table.relations[step].target
    return table.relations[path[-1]].way_back if path else None
