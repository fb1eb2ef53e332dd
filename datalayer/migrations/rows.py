"""Changes rows in a migration, many at a time and with a progress bar; see `datalayer.migrations.tables`.

While the history is only replayed, and where SQL is only written down, there are no rows: loops are not entered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from datalayer.errors import MigrationError
from datalayer.migrations._alembic import running
from datalayer.migrations.operations import Live, Recording


def batches(source: sa.Table | sa.Select[Any], *, size: int = 1000) -> Iterator[Sequence[sa.Row[Any]]]:
    """The rows of a table or query, in the order of the primary key and never all in memory.

    Each batch is asked for when the one before it is done with, so rows may be changed meanwhile.

    Args:
        source: A table, or a select that has the primary key of its first table among its columns.
        size: How many rows at a time.

    Raises:
        MigrationError: The table has no primary key, or the select lacks a column of it.
    """
    op = _current()
    query = source.select() if isinstance(source, sa.Table) else source
    table: Any = source if isinstance(source, sa.Table) else next(iter(query.get_final_froms()), None)
    keys = list(table.primary_key.columns) if isinstance(table, sa.Table) else []
    names = {column.key for column in query.selected_columns}
    missing = [key.name for key in keys if key.name not in names]
    if not isinstance(table, sa.Table) or not keys or missing:
        what = f"the select lacks {', '.join(missing)}" if missing else "it has no primary key"
        raise MigrationError(f"rows come in batches in the order of the primary key, and {what}")
    if not isinstance(op, Live):
        op.goes_through(str(table.name))
        return
    if op.is_text:
        op.migration_context.impl.static_output(
            f"-- the rows of {table.name} are changed by Python, which is not in here\n"
        )
        return
    yield from _batches(op, query, str(table.name), keys, size)


def _batches(
    op: Live, query: sa.Select[Any], name: str, keys: list[sa.Column[Any]], size: int
) -> Iterator[Sequence[sa.Row[Any]]]:
    connection = op.get_bind()
    total = connection.execute(sa.select(sa.func.count()).select_from(query.order_by(None).subquery())).scalar_one()
    ordered = query.order_by(None).order_by(*keys).limit(size)
    done, place = 0, None
    while True:
        after = ordered if place is None else ordered.where(_beyond(keys, place))
        found = connection.execute(after).all()
        if not found:
            return
        place = [getattr(found[-1], key.name) for key in keys]
        yield found
        done += len(found)
        if op.on_rows is not None:
            op.on_rows(name, done, max(total, done))


def _beyond(keys: list[sa.Column[Any]], place: list[Any]) -> sa.ColumnElement[bool]:
    if len(keys) == 1:
        return sa.and_(keys[0] > place[0])
    values = [sa.bindparam(None, value, type_=key.type) for key, value in zip(keys, place, strict=True)]
    return sa.and_(sa.tuple_(*keys) > sa.tuple_(*values))


def update(table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
    """Changes rows found by their primary key.

    Args:
        table: The table.
        values: For each row its primary key and its new values, all with the same names.
    """
    if not values:
        return
    keys = [column.name for column in table.primary_key.columns]
    changed = [name for name in values[0] if name not in keys]
    statement = (
        table.update()
        .where(*(table.c[name] == sa.bindparam(f"key_{name}", type_=table.c[name].type) for name in keys))
        .values({name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in changed})
    )
    given = [
        {**{f"key_{name}": row[name] for name in keys}, **{f"new_{name}": row[name] for name in changed}}
        for row in values
    ]
    _send(table, statement, given)


def insert(table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
    """Adds rows.

    Args:
        table: The table.
        values: The values of each row, all with the same names.
    """
    if values:
        _send(table, table.insert(), [dict(row) for row in values])


def execute(statement: sa.Executable) -> Any:
    """Runs a statement of SQLAlchemy Core; what it gives can be read where there is a database.

    Args:
        statement: What to run.
    """
    op = _current()
    if isinstance(op, Live) and not op.is_text:
        return op.get_bind().execute(statement)
    op.execute(statement)
    return Recording.get_bind(op)  # to nothing


def _send(table: sa.Table, statement: sa.Insert | sa.Update, values: list[dict[str, Any]]) -> None:
    op = _current()
    if not isinstance(op, Live):
        op.changes_rows = True
        op.goes_through(table.name)
    elif op.is_text:
        for one in values:
            op.execute(statement.values(one) if isinstance(statement, sa.Insert) else _update_of_one(table, one))
    else:
        with op.whole():
            op.get_bind().execute(statement, values)


def _update_of_one(table: sa.Table, given: Mapping[str, Any]) -> sa.Update:
    """The statement that changes one row, with its values in it."""
    there = {name.removeprefix("new_"): value for name, value in given.items() if name.startswith("new_")}
    keys = [table.c[name.removeprefix("key_")] == value for name, value in given.items() if name.startswith("key_")]
    return table.update().where(*keys).values(there)


def _current() -> Recording:
    op = running()
    if not isinstance(op, Recording):
        raise MigrationError("rows are changed by datalayer.migrations.rows inside a migration only")
    return op
