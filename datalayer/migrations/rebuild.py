"""How SQLite, which changes little of a table in place, gets a table of another form.

The new table is created, the rows are copied, the old one is dropped, and the new one takes its name. What the state
does not know, such as triggers and indexes that SQL migrations made, is made again afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from sqlalchemy.schema import CreateIndex, CreateTable

from datalayer._compile import types
from datalayer._compile.nulls import SUFFIX, is_beside
from datalayer._compile.tables import DIALECTS
from datalayer.errors import MigrationError
from datalayer.migrations import sqlite_ddl
from datalayer.migrations.casts import Cast, sqlite_cast
from datalayer.migrations.describing import to_metadata
from datalayer.migrations.replaying import changed_by, table_changed
from datalayer.migrations.state import SQLITE, State, Table

if TYPE_CHECKING:
    from datalayer.migrations.operations import Live

TEMPORARY = "_datalayer_new_"
ROWS_AT_ONCE = 50_000
_CONSTANT = re.compile(r"^(-?\d+(\.\d+)?|'([^']|'')*'|NULL|X'[0-9a-f]*')$", re.IGNORECASE)


def together(live: Live, operations: list[MigrateOperation]) -> None:
    """Does several changes of one table at once: the rows are copied once, or not at all."""
    if not operations:
        return
    if all(is_simple(operation, live.state) for operation in operations):
        for operation in operations:
            live.natively(operation, changed_by(live.state, operation, live.migration_context))
        return
    after = live.state
    for operation in operations:
        after = changed_by(after, operation, live.migration_context)
    toward(live, table_changed(operations[0]), after)


def toward(live: Live, name: str, after: State) -> None:
    """Gives a table the form it has in `after`."""
    casts = _casts(live, live.state[name], after[name])
    for column, cast in casts.items():
        live.refuse_unfit(name, after[name].columns[column], cast)
    is_same = all(cast.expression == live.quoted(column) for column, cast in casts.items())
    old, old_indexes = _texts(live.state, name)
    new, new_indexes = _texts(after, name)
    if not is_same or old != new:
        _rebuild(live, name, after, casts)
        return
    # SQLite does not see every difference: two sizes of integers are one to it.
    for index in sorted(old_indexes):
        if new_indexes.get(index) != old_indexes[index]:
            live.run(f"DROP INDEX {live.quoted(index)}")
    for index in sorted(new_indexes):
        if old_indexes.get(index) != new_indexes[index]:
            live.run(new_indexes[index])
    live.state = after


def make_beside(live: Live, name: str) -> None:
    """Makes the indexes that SQLite needs beside the constraints of a new table."""
    made = _table(live.state, name)
    for index in sorted(made.indexes, key=lambda one: str(one.name)):
        if is_beside(index):
            live.run(_text(CreateIndex(index)))


def rename(live: Live, operation: ops.AlterColumnOp) -> None:
    """Renames a column in place; whatever else changes of it comes after that."""
    table, old, new = operation.table_name, operation.column_name, operation.modify_name or ""
    after = changed_by(live.state, ops.AlterColumnOp(table, old, modify_name=new), live.migration_context)
    live.run(f"ALTER TABLE {live.quoted(table)} RENAME COLUMN {live.quoted(old)} TO {live.quoted(new)}")
    live.state = after
    rest = ops.AlterColumnOp(
        table,
        new,
        modify_type=operation.modify_type,
        modify_nullable=operation.modify_nullable,
        modify_server_default=operation.modify_server_default,
    )
    if changed_by(after, rest, live.migration_context) != after:
        together(live, [rest])


def _casts(live: Live, before: Table, after: Table) -> dict[str, Cast]:
    """How the values of the columns whose type changes become the new one."""
    return {
        name: sqlite_cast(live.quoted(name), before.columns[name].type, column.type)
        for name, column in after.columns.items()
        if name in before.columns and column.type_text != before.columns[name].type_text
    }


def _rebuild(live: Live, name: str, after: State, casts: Mapping[str, Cast]) -> None:
    before, table = live.state[name], after[name]
    _refuse_unknown_columns(live, before)
    temporary = TEMPORARY + name
    kept = [column for column in table.columns if column in before.columns]
    kept = [column for column in kept if table.columns[column].computed is None]
    kept_too = _made_by_hand(live, before)
    made = _table(after, name)
    _keep_collations(live, before, table, made)
    ddl = _text(CreateTable(made))
    head = f"CREATE TABLE {live.quoted(name)}"
    if not ddl.startswith(head):
        raise MigrationError(f"the new form of table {name!r} cannot be written")
    # References of other tables must keep meaning the old name while the new table takes its place.
    live.run("PRAGMA legacy_alter_table=ON")
    live.run(f"CREATE TABLE {live.quoted(temporary)}{ddl[len(head) :]}")
    if kept:
        columns = ", ".join(live.quoted(column) for column in kept)
        values = ", ".join(casts[one].expression if one in casts else live.quoted(one) for one in kept)
        insert = f"INSERT INTO {live.quoted(temporary)} ({columns}) SELECT {values} FROM {live.quoted(name)}"
        _copy(live, before, insert)
    if before.is_numbered and table.is_numbered:
        literal, new_literal = _literal(name), _literal(temporary)
        live.run(f"DELETE FROM sqlite_sequence WHERE name = {new_literal}")
        live.run(
            "INSERT INTO sqlite_sequence (name, seq) "
            f"SELECT {new_literal}, seq FROM sqlite_sequence WHERE name = {literal}"
        )
    live.run(f"DROP TABLE {live.quoted(name)}")
    live.run(f"ALTER TABLE {live.quoted(temporary)} RENAME TO {live.quoted(name)}")
    live.run("PRAGMA legacy_alter_table=OFF")
    for index in sorted(made.indexes, key=lambda one: str(one.name)):
        live.run(_text(CreateIndex(index)))
    for text in kept_too:
        live.run(text)
    live.state = after


def _copy(live: Live, table: Table, text: str) -> None:
    """Copies the rows, many at a time, so that somebody can be told how far it is; none of them comes to Python."""
    row = next((one for one in ("rowid", "_rowid_", "oid") if one not in {name.lower() for name in table.columns}), "")
    name = live.quoted(table.name)
    counted = live.rows(f"SELECT count(*) FROM {name}") if live.on_rows is not None and row else []
    if not counted or live.on_rows is None or counted[0][0] <= ROWS_AT_ONCE:
        live.run(text)
        return
    total, done, last = int(counted[0][0]), 0, None
    while done < total:
        after = "" if last is None else f" WHERE {row} > {last}"
        found = live.rows(
            f"SELECT max({row}), count(*) FROM (SELECT {row} FROM {name}{after} ORDER BY {row} LIMIT {ROWS_AT_ONCE})"
        )
        until = int(found[0][0])
        live.run(f"{text} WHERE {row} <= {until}" + ("" if last is None else f" AND {row} > {last}"))
        last, done = until, done + int(found[0][1])
        live.on_rows(table.name, done, total)


def _refuse_unknown_columns(live: Live, table: Table) -> None:
    """A column somebody added by hand would be lost with its data."""
    rows = live.rows(f"SELECT name FROM pragma_table_xinfo({_literal(table.name)})")
    unknown = {str(row[0]) for row in rows} - set(table.columns)
    if unknown:
        raise MigrationError(
            f"table {table.name!r} has columns that no migration made: {', '.join(sorted(unknown))}; "
            "they would be lost; add them in a migration first, or drop them"
        )


def _keep_collations(live: Live, before: Table, after: Table, made: sa.Table) -> None:
    """A collation that SQL gave a column, and no migration knows, stays while the column is text."""
    rows = live.rows(f"SELECT sql FROM sqlite_master WHERE type = 'table' AND name = {_literal(before.name)}")
    for name, collation in sqlite_ddl.collations(str(rows[0][0])).items() if rows else ():
        if name not in before.columns or name not in after.columns:
            continue
        old, new = before.columns[name], after.columns[name]
        is_known = any(" COLLATE " in column.type_text[SQLITE] for column in (old, new))
        if isinstance(new.type, sa.String) and not isinstance(new.type, sa.Enum) and not is_known:
            length, names = new.type.length, {"sqlite": collation}
            made.columns[name].type = types.String(length, names) if length else types.Text(collation=names)


def _made_by_hand(live: Live, table: Table) -> list[str]:
    """The statements of what goes with the table and is not in the state: triggers, and indexes of SQL migrations."""
    rows = live.rows(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql IS NOT NULL "
        f"AND lower(tbl_name) = lower({_literal(table.name)}) ORDER BY type, name"
    )
    known = {*table.indexes, *(name + SUFFIX for name in (*table.uniques, *table.indexes))}
    return [str(sql) for kind, name, sql in rows if kind == "trigger" or name not in known]


def _texts(state: State, name: str) -> tuple[str, dict[str, str]]:
    """All that SQLite is told about a table, and about its indexes by name."""
    table = _table(state, name)
    return _text(CreateTable(table)), {str(index.name): _text(CreateIndex(index)) for index in table.indexes}


def _table(state: State, name: str) -> sa.Table:
    """One table; of the others only those it refers to, which is all that its DDL needs."""
    needed = {name, *(key.target for key in state[name].foreign_keys.values())}
    return to_metadata({one: state[one] for one in state if one in needed}).tables[name]


def _text(element: CreateTable | CreateIndex) -> str:
    return str(element.compile(dialect=DIALECTS["sqlite"])).strip()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def is_simple(operation: MigrateOperation, state: State) -> bool:
    """Whether SQLite can do it in place, and Alembic knows all of it."""
    if isinstance(operation, ops.CreateIndexOp):
        return not operation.kw.get("postgresql_nulls_not_distinct")
    if isinstance(operation, ops.DropIndexOp):
        name = str(operation.index_name)
        return all(table.indexes[name].nulls_distinct for table in state.values() if name in table.indexes)
    if not isinstance(operation, ops.AddColumnOp):
        return False
    column = operation.column
    if column.foreign_keys or column.unique or column.index or column.primary_key or column.computed is not None:
        return False
    default = column.server_default
    if default is None:
        return bool(column.nullable)
    if not isinstance(default, sa.DefaultClause):
        return False
    if isinstance(default.arg, str):
        return True
    dialect = DIALECTS["sqlite"]
    text = dialect.statement_compiler(dialect, None).process(default.arg, literal_binds=True)
    return bool(_CONSTANT.match(text))
