"""Operations that change a table while others use it, and renames that copy nothing; for migration files.

    from datalayer.migrations import online

    atomic = False  # CONCURRENTLY works outside a transaction only


    def upgrade() -> None:
        online.create_index("ix_book_title", "book", ["title"])

On SQLite, where one writer works at a time anyway, each does the plain thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.schema import CreateIndex

from datalayer._compile.tables import DIALECTS, deferral
from datalayer._schema.table import Initially
from datalayer.errors import MigrationError
from datalayer.migrations._alembic import running
from datalayer.migrations.operations import Live, Recording
from datalayer.migrations.replaying import changed_by
from datalayer.migrations.state import State, column_of, table_of
from datalayer.migrations.state import rename_constraints as constraints_renamed
from datalayer.migrations.state import rename_index as index_renamed
from datalayer.migrations.statements import statements


def create_index(
    name: str,
    table: str,
    columns: Sequence[str | Any],
    *,
    unique: bool = False,
    where: Any = None,
    using: str = "",
    include: Sequence[str] = (),
    opclasses: Mapping[str, str] | None = None,
    nulls_distinct: bool = True,
) -> None:
    """Makes an index without keeping writers out; needs `atomic = False`.

    Args:
        name: The index.
        table: The table.
        columns: Its columns, or expressions as `sa.text`.
        unique: Whether values may come only once.
        where: The condition of a partial index, as `types.sql`.
        using: The method on PostgreSQL, such as `gin`.
        include: Columns that PostgreSQL takes along.
        opclasses: Operator classes of PostgreSQL, by column.
        nulls_distinct: Whether values that are NULL count as different, where values may come only once.
    """
    _refuse_misplaced("create_index(name, table, columns)", columns=columns)
    op = _current()
    options: dict[str, Any] = {} if nulls_distinct else {"postgresql_nulls_not_distinct": True}
    if where is not None:
        options.update(sqlite_where=where, postgresql_where=where)
    if using:
        options["postgresql_using"] = using
    if include:
        options["postgresql_include"] = list(include)
    if opclasses:
        options["postgresql_ops"] = dict(opclasses)
    operation = ops.CreateIndexOp(name, table, list(columns), unique=unique, **options)
    after = changed_by(op.state, operation, op.migration_context)
    op.change(table, after, _concurrent_index(op, operation, name), together=False)


def _concurrent_index(op: Recording, operation: ops.CreateIndexOp, name: str) -> list[str]:
    if not _is_postgresql(op, "create_index"):
        return []
    index = operation.to_index(op.migration_context)
    for column in operation.kw.get("postgresql_include", ()):  # Alembic's table has only the columns of the index
        if index.table is not None and column not in index.table.c:
            index.table.append_column(sa.Column(column))
    index.dialect_options["postgresql"]["concurrently"] = True
    text = str(CreateIndex(index).compile(dialect=DIALECTS["postgresql"]))
    assert isinstance(op, Live)
    found = op.rows(f"SELECT indisvalid FROM pg_index WHERE indexrelid = {_regclass(name)}")
    if not found:
        return [text]
    # One that was stopped half-way stays behind and is of no use to anybody.
    return [] if found[0][0] else [f"DROP INDEX CONCURRENTLY {_quoted(name)}", text]


def _has_constraint(op: Recording, name: str) -> bool:
    """Whether an index is a constraint already."""
    assert isinstance(op, Live)
    return bool(op.rows(f"SELECT FROM pg_constraint WHERE conindid = {_regclass(name)}"))


def _regclass(name: str) -> str:
    """What finds an index by its name."""
    quoted = _quoted(name).replace("'", "''")
    return f"to_regclass('{quoted}')"


def drop_index(name: str, table: str) -> None:
    """Drops an index without keeping anybody out; needs `atomic = False`.

    Args:
        name: The index.
        table: Its table.
    """
    op = _current()
    after = changed_by(op.state, ops.DropIndexOp(name, table), op.migration_context)
    concurrently = _is_postgresql(op, "drop_index")
    op.change(
        table, after, [f"DROP INDEX CONCURRENTLY IF EXISTS {_quoted(name)}"] if concurrently else [], together=False
    )


def create_foreign_key(
    name: str,
    table: str,
    columns: Sequence[str],
    target: str,
    remote: Sequence[str],
    *,
    on_delete: str | None = None,
    initially: Initially | None = None,
) -> None:
    """Adds a foreign key that new rows obey at once; `validate` looks at the rows that exist.

    Args:
        name: The constraint.
        table: The table that refers.
        columns: Its columns.
        target: The table that is referred to.
        remote: The columns there.
        on_delete: What happens when the target goes: `CASCADE`, `SET NULL`, ...
        initially: When it is checked, where that can be put off: `IMMEDIATE` or `DEFERRED`.
    """
    _refuse_misplaced("create_foreign_key(name, table, columns, target, remote)", columns=columns, remote=remote)
    operation = ops.CreateForeignKeyOp(
        name, table, target, list(columns), list(remote), ondelete=on_delete, **deferral(initially)
    )
    names, there = (", ".join(map(_quoted, given)) for given in (columns, remote))
    tail = ("" if on_delete is None else f" ON DELETE {on_delete}") + _put_off(initially)
    text = f"FOREIGN KEY ({names}) REFERENCES {_quoted(target)} ({there}){tail}"
    _add(table, operation, f"ADD CONSTRAINT {_quoted(name)} {text} NOT VALID")


def create_check(name: str, table: str, condition: Any) -> None:
    """Adds a CHECK that new rows obey at once; `validate` looks at the rows that exist.

    Args:
        name: The constraint.
        table: The table.
        condition: What must be true: a text, or `types.sql`.
    """
    clause = sa.text(condition) if isinstance(condition, str) else condition
    text = str(clause.compile(dialect=DIALECTS["postgresql"]))
    operation = ops.CreateCheckConstraintOp(name, table, clause)
    _add(table, operation, f"ADD CONSTRAINT {_quoted(name)} CHECK ({text}) NOT VALID")


def create_unique(
    name: str,
    table: str,
    columns: Sequence[str],
    *,
    nulls_distinct: bool = True,
    initially: Initially | None = None,
) -> None:
    """Adds a unique constraint over an index that was made without keeping writers out; needs `atomic = False`.

    Args:
        name: The constraint.
        table: The table.
        columns: Its columns.
        nulls_distinct: Whether values that are NULL count as different.
        initially: When it is checked, where that can be put off: `IMMEDIATE` or `DEFERRED`.
    """
    _refuse_misplaced("create_unique(name, table, columns)", columns=columns)
    op = _current()
    options: dict[str, Any] = {} if nulls_distinct else {"postgresql_nulls_not_distinct": True}
    operation = ops.CreateUniqueConstraintOp(name, table, list(columns), **deferral(initially), **options)
    index = ops.CreateIndexOp(name, table, list(columns), unique=True, **options)
    done: list[str] = []
    if _is_postgresql(op, "create_unique"):
        head = f"ALTER TABLE {_quoted(table)}"
        done = _concurrent_index(op, index, name)
        if done or not _has_constraint(op, name):
            done.append(
                f"{head} ADD CONSTRAINT {_quoted(name)} UNIQUE USING INDEX {_quoted(name)}{_put_off(initially)}"
            )
    op.change(table, changed_by(op.state, operation, op.migration_context), done, together=False)


def validate(table: str, *names: str) -> None:
    """Looks whether the rows that exist obey constraints that were added without looking; others go on working.

    Args:
        table: The table.
        names: The constraints.
    """
    op = _current()
    table_of(op.state, table)
    texts = [f"ALTER TABLE {_quoted(table)} VALIDATE CONSTRAINT {_quoted(name)}" for name in names]
    op.change(table, op.state, texts)


def set_not_null(table: str, column: str) -> None:
    """Makes a column NOT NULL without keeping anybody out while the rows are looked at; needs `atomic = False`.

    Args:
        table: The table.
        column: The column, in which no row may have NULL any more.
    """
    op = _current()
    column_of(table_of(op.state, table), column)
    after = changed_by(op.state, ops.AlterColumnOp(table, column, modify_nullable=False), op.migration_context)
    done: list[str] = []
    if _is_postgresql(op, "set_not_null"):
        head, check = f"ALTER TABLE {_quoted(table)}", _quoted(f"datalayer_{column}_not_null")
        done = [
            f"{head} DROP CONSTRAINT IF EXISTS {check}",
            f"{head} ADD CONSTRAINT {check} CHECK ({_quoted(column)} IS NOT NULL) NOT VALID",
            f"{head} VALIDATE CONSTRAINT {check}",
            f"{head} ALTER COLUMN {_quoted(column)} SET NOT NULL",  # believes the constraint, and looks at no row
            f"{head} DROP CONSTRAINT {check}",
        ]
    op.change(table, after, done, together=False)


def create_extension(name: str) -> None:
    """Makes an extension of PostgreSQL where it is missing; the role needs the right to. SQLite has none.

    Args:
        name: The extension, such as `pg_trgm`.
    """
    op = _current()
    if isinstance(op, Live) and not op.is_sqlite:
        op.sql(*statements(f"CREATE EXTENSION IF NOT EXISTS {_quoted(name)}", "postgresql", "online"))


def drop_extension(name: str) -> None:
    """Drops an extension of PostgreSQL, which nothing may use any more. SQLite has none.

    Args:
        name: The extension.
    """
    op = _current()
    if isinstance(op, Live) and not op.is_sqlite:
        op.sql(*statements(f"DROP EXTENSION IF EXISTS {_quoted(name)}", "postgresql", "online"))


def rename_index(table: str, old: str, new: str) -> None:
    """Gives an index another name; PostgreSQL copies nothing.

    Args:
        table: The table.
        old: Its name.
        new: Its name afterwards.
    """
    op = _current()
    text = f"ALTER INDEX {_quoted(old)} RENAME TO {_quoted(new)}"
    op.change(table, index_renamed(op.state, table, old, new), [text])


def rename_constraints(table: str, names: Mapping[str, str]) -> None:
    """Gives constraints other names; PostgreSQL copies nothing.

    Args:
        table: The table.
        names: Old names to new ones.
    """
    op = _current()
    head = f"ALTER TABLE {_quoted(table)} RENAME CONSTRAINT"
    texts = [f"{head} {_quoted(old)} TO {_quoted(new)}" for old, new in names.items()]
    op.change(table, constraints_renamed(op.state, table, names), texts)


def _add(table: str, operation: ops.AddConstraintOp, text: str) -> None:
    op = _current()
    after: State = changed_by(op.state, operation, op.migration_context)
    op.change(table, after, [f"ALTER TABLE {_quoted(table)} {text}"])


def _current() -> Recording:
    found = running()
    if not isinstance(found, Recording):
        raise MigrationError("the operations of datalayer.migrations.online work inside a migration only")
    return found


def _refuse_misplaced(signature: str, **lists: object) -> None:
    """Refuses a text where a list belongs, as in the order of Alembic's own operations: its letters are no columns."""
    for name, given in lists.items():
        if isinstance(given, str):
            call = signature.partition("(")[0]
            raise MigrationError(f"online.{call}() takes a list of columns as {name}, not {given!r}: {signature}")


def _is_postgresql(op: Recording, what: str) -> bool:
    """Whether PostgreSQL is asked, and not from inside a transaction."""
    if not isinstance(op, Live) or op.is_sqlite:
        return False
    if op.is_atomic and not op.outside.is_now:
        raise MigrationError(
            f"online.{what} works outside a transaction only: write atomic = False at the top of the file"
        )
    return True


def _put_off(initially: Initially | None) -> str:
    return "" if initially is None else f" DEFERRABLE INITIALLY {initially}"


def _quoted(name: str) -> str:
    return str(DIALECTS["postgresql"].identifier_preparer.quote(name))
