"""The linter: looks at what a migration would do to tables that are in use, before it does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.ddl.postgresql import CreateExcludeConstraintOp
from alembic.operations import ops
from alembic.operations.ops import MigrateOperation

from datalayer._compile import types
from datalayer.checks import Finding
from datalayer.errors import MigrationError, choices_text, nearest
from datalayer.migrations._alembic import as_op
from datalayer.migrations.describing import sql_text
from datalayer.migrations.history import Migration, in_words
from datalayer.migrations.operations import Recording, recording_context
from datalayer.migrations.rules import RULES
from datalayer.migrations.scripts import PythonMigration, SqlMigration
from datalayer.migrations.state import POSTGRESQL, SQLITE, State
from datalayer.migrations.statements import statements

_VOLATILE = re.compile(
    r"\b(random|gen_random_uuid|uuidv7|uuid_generate_v\d|clock_timestamp|nextval|timeofday)\s*\(", re.I
)
_MANY_TABLES = 3
_BESIDE = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)  # texts and comments


def lint(migration: Migration, before: State, backend: str, models: State | None = None) -> list[Finding]:
    """What is dangerous about a migration.

    Args:
        migration: The migration.
        before: What the tables look like before it.
        backend: The database it is for.
        models: What the models want, to tell what is dropped and still in use; None where they do not matter.

    Raises:
        MigrationError: It allows a rule that does not exist, or cannot be read.
    """
    for code in sorted(migration.allowed - set(RULES)):
        raise MigrationError(
            f"{migration.name} allows {code!r}; the rules are {choices_text(RULES)}{nearest(code, RULES)}"
        )
    found = _Linting(before, backend, migration.is_atomic, models)
    with in_words(migration.name, "checked"):
        if isinstance(migration, PythonMigration):
            with as_op(found):
                migration.function(True)()
        elif isinstance(migration, SqlMigration):
            for one in migration.statements(True, backend):
                found.look_at(one.text, line=one.line)
    found.end()
    shown: dict[tuple[str, str], Finding] = {}
    for code, what in found.found:
        rule = RULES[code]
        if code not in migration.allowed and (backend == "postgresql" or rule.on_sqlite):
            message = f"{migration.name}: {what}: {rule.danger}; {rule.recipe}"
            shown.setdefault((code, what), Finding(code, message, rule.is_error))
    return list(shown.values())


class _Linting(Recording):
    """An `op` that notes what is dangerous, and keeps the state."""

    def __init__(self, before: State, backend: str, is_atomic: bool, models: State | None) -> None:
        super().__init__(recording_context(backend), before)
        self.made: set[str] = set()
        self.backend = backend
        self.has_transaction = is_atomic
        self.models = models
        self.found: list[tuple[str, str]] = []
        self.locked: dict[str, None] = {}
        self.unlooked: dict[str, str] = {}  # constraints that look at no row yet, and the rule for when they do
        self.rows_of: set[str] = set()
        self.replaced: set[str] = set()  # whose rows went into another table that has taken their name

    @property
    def is_atomic(self) -> bool:
        """Whether there is a transaction around the operation that is looked at."""
        return self.has_transaction and not self.outside.is_now

    def note(self, code: str, what: str) -> None:
        self.found.append((code, what))

    def invoke(self, operation: MigrateOperation) -> Any:
        if isinstance(operation, ops.ExecuteSQLOp):
            self._execute(operation)
        else:
            for kind, look in _LOOKS:
                if isinstance(operation, kind):
                    look(self, operation)
        super().invoke(operation)

    def change(self, table: str, after: State, postgresql: Sequence[str], *, together: bool = True) -> None:
        for text in postgresql:
            self.look_at(text)
        super().change(table, after, postgresql, together=together)

    def is_in_use(self, table: str) -> bool:
        """Whether the table was there before this migration, so that others use it; plain SQL may have made it."""
        return table not in self.made

    def lock(self, table: str) -> bool:
        """Notes that a table is locked, and whether that matters to anybody."""
        if not self.is_in_use(table):
            return False
        self.locked[table] = None
        return True

    def gone(self, table: str, column: str | None = None) -> None:
        """Notes that something is dropped."""
        what = f"drop {table}" + (f".{column}" if column else "")
        if not self.lock(table):
            return
        in_models = self.models is not None and table in self.models
        if in_models and (column is None or (self.models is not None and column in self.models[table].columns)):
            self.note("M108", what)
        else:
            self.note("M109", what)

    def _execute(self, operation: ops.ExecuteSQLOp) -> None:
        said = operation.sqltext
        if isinstance(said, sa.SelectBase | sa.UpdateBase):
            if not isinstance(said, sa.SelectBase) and not (isinstance(said, sa.Insert) and said.select is None):
                self.rows_of.add(str(said.table))
            return
        pair = (said, said) if isinstance(said, str) else sql_text(said)
        for one in statements(pair[SQLITE if self.backend == "sqlite" else POSTGRESQL], self.backend, "op.execute"):
            self.look_at(one.text)

    def look_at(self, text: str, line: int | None = None) -> None:
        """Looks at one statement."""
        plain = " ".join(_BESIDE.sub(lambda found: "''" if found[0][0] == "'" else " ", text).split())
        where = f"line {line}, {plain[:50]}" if line else plain[:50]
        for code, table in _of_statement(self, plain):
            if table is None or self.lock(table):
                self.note(code, where)

    def end(self) -> None:
        """What only the whole shows."""
        self.found = [one for one in self.found if one not in {("M109", f"drop {table}") for table in self.replaced}]
        for table in sorted(self.rows_of & set(self.locked)) if self.is_atomic else ():
            self.note("M113", f"rows of {table}")
        if self.is_atomic and len(self.locked) >= _MANY_TABLES:
            self.note("M114", ", ".join(self.locked))


# -- operations ---------------------------------------------------------------------------------------


def _add_column(op: _Linting, operation: ops.AddColumnOp) -> None:
    column = operation.column
    what = f"add {operation.table_name}.{column.name}"
    if not op.lock(operation.table_name):
        return
    if column.foreign_keys:
        op.note("M104", what)
    if column.unique:
        op.note("M106", what)
    if any(isinstance(one, sa.CheckConstraint) for one in column.constraints):
        op.note("M105", what)
    default = column.server_default
    if column.identity is not None or column.computed is not None:
        op.note("M111", what)
    elif default is None:
        if not column.nullable:
            op.note("M101", what)
    elif isinstance(default, sa.DefaultClause) and _VOLATILE.search(sql_text(default.arg)[POSTGRESQL]):
        op.note("M111", what)


def _alter_column(op: _Linting, operation: ops.AlterColumnOp) -> None:
    table, name = operation.table_name, operation.column_name
    column = op.state[table].columns.get(name) if table in op.state else None
    if not op.lock(table) or column is None:
        return
    made = operation.modify_type
    if made is not None:
        kind = made() if isinstance(made, type) else made
        if not is_free(column.type, kind):
            op.note("M102", f"change the type of {table}.{name}")
    if operation.modify_nullable is False and column.nullable:
        op.note("M107", f"{table}.{name} must not be NULL")
    if operation.modify_name is not None:
        op.note("M110", f"rename {table}.{name}")


def is_free(old: sa.types.TypeEngine[Any], new: sa.types.TypeEngine[Any]) -> bool:
    """Whether PostgreSQL changes the type without looking at the rows: longer text, more digits."""
    if isinstance(new, sa.String) and isinstance(old, sa.String):
        if types.collation_of(old) != types.collation_of(new):
            return False  # every index over it is made anew
        return new.length is None or (old.length is not None and old.length <= new.length)
    if isinstance(new, types.Decimal) and isinstance(old, types.Decimal):
        if new.precision is None:
            return True
        same = (old.scale or 0) == (new.scale or 0)
        return old.precision is not None and same and old.precision <= new.precision
    return type(old) is type(new)


def _create_index(op: _Linting, operation: ops.CreateIndexOp) -> None:
    concurrently = operation.kw.get("postgresql_concurrently")
    if op.is_in_use(operation.table_name) and not concurrently:
        op.lock(operation.table_name)
        op.note("M103", f"create {operation.index_name}")
    if concurrently and op.is_atomic:
        op.note("M115", f"create {operation.index_name}")


def _drop_index(op: _Linting, operation: ops.DropIndexOp) -> None:
    table = next((one.name for one in op.state.values() if str(operation.index_name) in one.indexes), "")
    if op.is_in_use(table) and not operation.kw.get("postgresql_concurrently"):
        op.lock(table)
        op.note("M112", f"drop {operation.index_name}")


def _constraint(code: str) -> Callable[[_Linting, Any], None]:
    def look(op: _Linting, operation: Any) -> None:
        table = str(getattr(operation, "source_table", None) or operation.table_name)
        if op.lock(table) and not operation.kw.get("postgresql_not_valid"):
            op.note(code, f"add {operation.constraint_name}")

    return look


def _created(op: _Linting, operation: ops.CreateTableOp) -> None:
    op.made.add(operation.table_name)


def _renamed(op: _Linting, operation: ops.RenameTableOp) -> None:
    if op.lock(operation.table_name):
        op.note("M110", f"rename {operation.table_name}")


_LOOKS: tuple[tuple[type[MigrateOperation], Callable[[_Linting, Any], None]], ...] = (
    (ops.CreateTableOp, _created),
    (ops.RenameTableOp, _renamed),
    (ops.DropTableOp, lambda op, operation: op.gone(operation.table_name)),
    (ops.DropColumnOp, lambda op, operation: op.gone(operation.table_name, operation.column_name)),
    (ops.AddColumnOp, _add_column),
    (ops.AlterColumnOp, _alter_column),
    (ops.CreateIndexOp, _create_index),
    (ops.DropIndexOp, _drop_index),
    (ops.CreateForeignKeyOp, _constraint("M104")),
    (ops.CreateCheckConstraintOp, _constraint("M105")),
    (ops.CreateUniqueConstraintOp, _constraint("M106")),
    (ops.CreatePrimaryKeyOp, _constraint("M117")),
    (CreateExcludeConstraintOp, _constraint("M119")),
)


# -- plain SQL ----------------------------------------------------------------------------------------

_NAME = r'(?:(?:"[^"]+"|\w+)\.)?(?P<table>"[^"]+"|\w+)'
_ALTER = re.compile(rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME} (?P<rest>.*)", re.I | re.S)
_CREATE = re.compile(rf"CREATE (?:UNLOGGED |TEMP(?:ORARY)? )?TABLE (?:IF NOT EXISTS )?{_NAME}", re.I)
_INDEX = re.compile(rf"CREATE (?:UNIQUE )?INDEX (?P<how>CONCURRENTLY )?.*?\bON (?:ONLY )?{_NAME}", re.I)
_DROP_INDEX = re.compile(r"DROP INDEX (?P<how>CONCURRENTLY)?", re.I)
_DROP = re.compile(r"DROP TABLE (?:IF EXISTS )?(?P<names>.*?)(?: CASCADE| RESTRICT)?$", re.I)
_ROWS = re.compile(rf"(?:WITH .*?\) )?(?:(?:UPDATE|DELETE FROM) (?:ONLY )?|INSERT INTO (?=.*\bSELECT\b)){_NAME}", re.I)
_WHOLE = re.compile(
    r"(VACUUM \(?FULL|CLUSTER\b|LOCK\b|REINDEX (?!.*CONCURRENTLY)|REFRESH MATERIALIZED VIEW (?!CONCURRENTLY))", re.I
)
_MOVED = re.compile(r"SET (LOGGED|UNLOGGED|TABLESPACE|ACCESS METHOD)\b|(AT|DE)TACH PARTITION\b", re.I)
_WITHOUT_LOCK = re.compile(r"VALIDATE CONSTRAINT\b|SET \(|ALTER .*\bSET STATISTICS\b|DETACH .*\bCONCURRENTLY$", re.I)
_DOMAIN = re.compile(r"ALTER DOMAIN .*\bADD\b(?!.*NOT VALID$)", re.I)
_AWAY = re.compile(r"TRUNCATE\b|.*\bDROP\b.*(?<!ON DELETE )(?<!ON UPDATE )\bCASCADE$", re.I)
_QUOTED = r'(?:"[^"]+"|\S+)'
_KINDS = {"FOREIGN KEY": "M104", "CHECK": "M105", "UNIQUE": "M106", "PRIMARY KEY": "M117", "EXCLUDE": "M119"}
_CONSTRAINT = r"CONSTRAINT (\"[^\"]+\"|\w+)"
_ADD_COLUMN = re.compile(r"^ADD (?:COLUMN )?(?!CONSTRAINT\b|CHECK\b|UNIQUE\b|PRIMARY\b|FOREIGN\b|EXCLUDE\b)", re.I)


def _of_statement(op: _Linting, text: str) -> Iterator[tuple[str, str | None]]:
    """The rules a statement meets, each with the table it is about; None where no table matters."""
    if found := _CREATE.match(text):
        op.made.add(_bare(found))
    elif found := _INDEX.match(text):
        if not found["how"]:
            yield "M103", _bare(found)
        elif op.is_atomic:
            yield "M115", None
    elif found := _DROP_INDEX.match(text):
        if not found["how"]:
            yield "M112", None
        elif op.is_atomic:
            yield "M115", None
    elif found := _DROP.match(text):
        for name in re.finditer(_NAME, found["names"]):
            op.gone(_bare(name))
    elif found := _ROWS.match(text):
        op.rows_of.add(_bare(found))
    elif found := _ALTER.match(text):
        yield from _of_alter(op, _bare(found), found["rest"])
    elif _WHOLE.match(text):
        yield "M116", None
    elif text.upper().startswith("REINDEX") and op.is_atomic:
        yield "M115", None
    elif _DOMAIN.match(text):
        yield "M105", None
    if _AWAY.match(text):
        yield "M118", None


def _bare(found: re.Match[str]) -> str:
    name = found["table"]
    return name[1:-1] if name.startswith('"') else name


def _of_alter(op: _Linting, table: str, rest: str) -> Iterator[tuple[str, str | None]]:
    if not _WITHOUT_LOCK.match(rest):
        op.lock(table)
    not_valid = re.search(r"NOT VALID$", rest, re.I)
    for part in re.split(r",\s*(?=ADD\b|ALTER\b|DROP\b|RENAME\b)", rest, flags=re.I):
        if _ADD_COLUMN.match(part):
            if re.search(r"\bGENERATED\b|\bSERIAL\b|\bBIGSERIAL\b", part, re.I) or _VOLATILE.search(part):
                yield "M111", table
            elif re.search(r"\bNOT NULL\b", part, re.I) and not re.search(r"\bDEFAULT\b", part, re.I):
                yield "M101", table
            words = (("REFERENCES", "M104"), ("CHECK", "M105"), ("UNIQUE", "M106"))
            for code in [code for word, code in words if re.search(rf"\b{word}\b", part, re.I)]:
                yield code, table
        elif re.match(r"ADD\b", part, re.I) and not re.search(r"USING INDEX", part, re.I):
            code = next((code for word, code in _KINDS.items() if re.search(rf"\b{word}\b", part, re.I)), "M105")
            if not not_valid:
                yield code, table
            elif found := re.search(_CONSTRAINT, part, re.I):
                op.unlooked[found[1].strip('"')] = code
        elif found := re.match(f"VALIDATE {_CONSTRAINT}", part, re.I):
            if op.is_atomic and found[1].strip('"') in op.unlooked:  # the lock of the first lasts until the end
                yield op.unlooked[found[1].strip('"')], table
        elif _MOVED.match(part):
            if not part.upper().endswith(" CONCURRENTLY"):
                yield "M116", table
            elif op.is_atomic:
                yield "M115", table
        elif re.match(rf"ALTER (COLUMN )?{_QUOTED} (SET DATA )?TYPE\b", part, re.I):
            yield "M102", table
        elif re.match(rf"ALTER (COLUMN )?{_QUOTED} SET NOT NULL", part, re.I):
            yield "M107", table
        elif (found := re.match(rf"RENAME TO {_NAME}", part, re.I)) and table in op.made:
            op.made.add(_bare(found))
            op.replaced.add(_bare(found))
        elif re.match(r"RENAME (?!CONSTRAINT)", part, re.I):
            yield "M110", table
        elif found := re.match(r'DROP (?:COLUMN )?(?!CONSTRAINT)(?:IF EXISTS )?("[^"]+"|\w+)', part, re.I):
            op.gone(table, found[1].strip('"'))
