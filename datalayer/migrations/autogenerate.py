"""Finds what changed between two states and writes it as lines of a migration file.

Nothing is guessed: a rename is one only where it was said, and a value for existing rows is taken only from an
answer or from the column's own default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from datalayer._compile import types
from datalayer._compile.tables import in_order, literal_sql
from datalayer._compile.types import written
from datalayer.errors import MigrationError, UnansweredQuestion, choices_text, nearest
from datalayer.migrations import enums
from datalayer.migrations.answers import answer_sql
from datalayer.migrations.casts import is_known
from datalayer.migrations.questions import Questions
from datalayer.migrations.state import (
    Column,
    ForeignKey,
    Index,
    State,
    Table,
    Text2,
    constraints_of,
    rename_column,
    rename_constraints,
    rename_index,
    rename_table,
    to_metadata,
)

INDENT = "    "


@dataclass
class Changes:
    """What a migration does.

    Attributes:
        lines: The lines of its function, without indentation.
        summaries: What happens, in words, one thing each.
        topics: Short names such as `book_price`, for the file's name.
        small_topics: Names to take where there are no others: tables whose constraints or indexes changed.
        drops: Columns and tables whose values go, `table` or `table.column`.
    """

    lines: list[str] = field(default_factory=list[str])
    summaries: list[str] = field(default_factory=list[str])
    topics: list[str] = field(default_factory=list[str])
    small_topics: list[str] = field(default_factory=list[str])
    drops: list[str] = field(default_factory=list[str])

    def add(self, line: str | Iterable[str], summary: str | None = None, topic: str | None = None) -> None:
        """Takes lines, and what they do in words."""
        self.lines.extend([line] if isinstance(line, str) else line)
        if summary is not None:
            self.summaries.append(summary)
        if topic is not None and topic not in self.topics:
            self.topics.append(topic)

    def add_small(self, line: str | Iterable[str], summary: str, table: str) -> None:
        """Takes lines about a constraint, an index or a comment."""
        self.add(line, summary)
        if table not in self.small_topics:
            self.small_topics.append(table)


# -- how things are written -------------------------------------------------------------------------


def q(value: str | list[str] | None) -> str:
    """A text or a list of them as Python source, in double quotes."""
    if isinstance(value, list):
        return f"[{', '.join(q(one) for one in value)}]"
    text = repr(value)
    return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text


def _sql(text: Text2) -> str:
    if text[0] == text[1]:
        return f"types.sql({q(text[0])})"
    return f"types.sql(sqlite={q(text[0])}, postgresql={q(text[1])})"


def _type(column: Column) -> str:
    return written(column.type)


def column_text(column: Column, primary_key: tuple[str, ...] = ()) -> str:
    """A column as a migration file says it."""
    parts = [q(column.name), _type(column)]
    if column.identity:
        parts.append("sa.Identity()")
    elif column.name in primary_key and column.type_text[0] == "INTEGER":
        parts.append("autoincrement=False")
    if column.computed is not None:
        parts.append(f"sa.Computed({_sql(column.computed)}, persisted=True)")
    if column.default is not None:
        parts.append(f"server_default={_sql(column.default)}")
    parts.append(f"nullable={column.nullable}")
    if column.comment:
        parts.append(f"comment={q(column.comment)}")
    return f"sa.Column({', '.join(parts)})"


def _key_text(name: str, key: ForeignKey) -> str:
    remote = [f"{key.target}.{column}" for column in key.remote]
    tail = "" if key.on_delete is None else f", ondelete={q(key.on_delete)}"
    return f"sa.ForeignKeyConstraint({q(list(key.columns))}, {q(remote)}, name={q(name)}{tail})"


def _create_table(table: Table, without: set[str]) -> list[str]:
    lines = ["op.create_table(", f"{INDENT}{q(table.name)},"]
    lines += [f"{INDENT}{column_text(column, table.primary_key)}," for column in table.columns.values()]
    if table.primary_key:
        columns = ", ".join(q(column) for column in table.primary_key)
        lines.append(f"{INDENT}sa.PrimaryKeyConstraint({columns}, name={q(table.primary_key_name)}),")
    for name, unique in table.uniques.items():
        columns = ", ".join(q(column) for column in unique.columns)
        tail = "" if unique.nulls_distinct else ", postgresql_nulls_not_distinct=True"
        lines.append(f"{INDENT}sa.UniqueConstraint({columns}, name={q(name)}{tail}),")
    lines += [f"{INDENT}sa.CheckConstraint({_sql(text)}, name={q(name)})," for name, text in table.checks.items()]
    lines += [f"{INDENT}{_key_text(n, key)}," for n, key in table.foreign_keys.items() if n not in without]
    if table.is_numbered:
        lines.append(f"{INDENT}sqlite_autoincrement=True,")
    if table.comment:
        lines.append(f"{INDENT}comment={q(table.comment)},")
    lines.append(")")
    return lines


def created(table: Table) -> list[str]:
    """The lines that make a table and its indexes."""
    return [
        *_create_table(table, set()),
        *(_create_index(table.name, name, index) for name, index in table.indexes.items()),
    ]


def _create_index(table: str, name: str, index: Index) -> str:
    parts = ", ".join(
        f"{'types.sql' if ':' in part else 'sa.text'}({q(part)})" if is_expression else q(part)
        for part, is_expression in zip(index.parts, index.expressions, strict=True)
    )
    tail = ", unique=True" if index.unique else ""
    if index.where is not None:
        tail += f", sqlite_where={_sql(index.where)}, postgresql_where={_sql(index.where)}"
    if index.method:
        tail += f", postgresql_using={q(index.method)}"
    if index.include:
        tail += f", postgresql_include={q(list(index.include))}"
    return f"op.create_index({q(name)}, {q(table)}, [{parts}]{tail})"


# -- values for rows that exist ---------------------------------------------------------------------

_ZEROS: dict[type, Any] = {
    types.Boolean: False,
    types.SmallInteger: 0,
    types.Integer: 0,
    types.BigInteger: 0,
    types.Float: 0,
    types.Decimal: 0,
    types.Duration: 0,
    types.String: "",
    types.Text: "",
    types.Json: "null",
    types.Uuid: "00000000-0000-0000-0000-000000000000",
    types.Date: "1970-01-01",
    types.Time: "00:00:00.000000",
    types.Inet: "0.0.0.0",
}


def _zero(column: Column) -> Text2:
    if isinstance(column.type, types.DateTime | types.NaiveDateTime):
        aware = isinstance(column.type, types.DateTime)
        return "'1970-01-01 00:00:00.000000'", "'1970-01-01 00:00:00" + ("+00'" if aware else "'")
    if isinstance(column.type, types.Bytes):
        return "X''", "''"
    if isinstance(column.type, types.Duration):
        return "0", "'0 seconds'"
    found = literal_sql(_ZEROS.get(type(column.type), ""))
    return found.sqlite, found.postgresql


class Answers:
    """What to give rows that exist when a column must not be NULL.

    Args:
        defaults: Answers by `table.column`.
        own: What the models themselves give a new instance, by `table.column`, as SQL.
        questions: Who is asked where nothing was said.
        takes_zero: Use an empty value of the type where nothing was said; for the way back, where nobody is asked.
    """

    def __init__(
        self,
        defaults: Mapping[str, str],
        *,
        own: Mapping[str, Text2] | None = None,
        questions: Questions | None = None,
        takes_zero: bool = False,
    ) -> None:
        self.defaults = dict(defaults)
        self.own = own or {}
        self.questions = questions
        self.takes_zero = takes_zero
        self.used: set[str] = set()

    def value(self, table: str, column: Column, reason: str) -> Text2:
        """What existing rows get in a column, or UnansweredQuestion."""
        key = f"{table}.{column.name}"
        if key in self.defaults:
            self.used.add(key)
            return answer_sql(column, self.defaults[key])
        if key in self.own:
            return self.own[key]
        if self.takes_zero:
            return _zero(column)
        if self.questions is not None:
            answer = self.questions.value(key, reason, lambda text: answer_sql(column, text))
            return answer_sql(column, answer)
        raise UnansweredQuestion(
            f"column {key!r} {reason} and has no default, so rows that exist need a value; "
            f"give one with --default {key}=VALUE, or make the column nullable"
        )


# -- what changed -----------------------------------------------------------------------------------


def difference(old: State, new: State, *, renames: Mapping[str, str], answers: Answers) -> Changes:
    """The operations that lead from one state to another.

    Args:
        old: Where it starts.
        new: Where it shall end.
        renames: Old names to new ones: tables, or columns as `table.column` (the table by its new name).
        answers: Values for the rows that exist.

    Raises:
        UnansweredQuestion: A column must not be NULL and nothing says what existing rows get.
        MigrationError: A rename that does not fit, or a change that has no operation.
    """
    changes = Changes()
    old = _rename(old, new, renames, changes)
    old = _same_under_other_names(old, new, changes)
    moves = enums.moves(old, new, renames)
    both = [name for name in new if name in old]
    for name in both:
        for index, value in old[name].indexes.items():
            if new[name].indexes.get(index) != value:
                changes.add_small(f"op.drop_index({q(index)}, table_name={q(name)})", f"drop index {index}", name)
    moved = _moved_keys(old, new)
    before, after = _need_passes(old, new, moved)
    for name in both if before else ():
        changes.add(_batch(name, _dropped_keys(old[name], new[name], moved, changes)))
    _new_tables(old, new, changes)
    for name in both:
        dropped = [] if before else _dropped_keys(old[name], new[name], moved, changes)
        made = [] if after else _made_keys(old[name], new[name], moved, changes)
        before_it = _move_values(old[name], new[name], moves.get(name, {}), changes)
        _alter_table(before_it, new[name], changes, answers, dropped, made)
    for name in both if after else ():
        changes.add(_batch(name, _made_keys(old[name], new[name], moved, changes)))
    for name in both:
        for index, value in new[name].indexes.items():
            if old[name].indexes.get(index) != value:
                changes.add_small(_create_index(name, index, value), f"create index {index}", name)
    _gone_tables(old, new, changes)
    return changes


def _rename(old: State, new: State, renames: Mapping[str, str], changes: Changes) -> State:
    for before, after in sorted(renames.items(), key=lambda pair: "." in pair[0]):
        if before.count(".") > 1:
            continue  # a value of an enum: see below
        table, dot, column = before.partition(".")
        if not dot:
            if before not in old or after not in new or after in old:
                raise MigrationError(
                    f"cannot rename table {before!r} to {after!r}: the migrations have "
                    f"{choices_text(old)}; the models have {choices_text(new)}{nearest(before, old)}"
                )
            old = rename_table(old, before, after)
            changes.add(f"op.rename_table({q(before)}, {q(after)})", f"rename table {before} to {after}", after)
            continue
        table = renames.get(table, table)
        target = after.rpartition(".")[2]
        known = old[table].columns if table in old else {}
        wanted = new[table].columns if table in new else {}
        if column not in known or target not in wanted or target in known:
            raise MigrationError(
                f"cannot rename column {before!r} to {target!r}: the migrations have {choices_text(known)}; "
                f"the models have {choices_text(wanted)}{nearest(column, known)}"
            )
        old = rename_column(old, table, column, target)
        line = f"op.alter_column({q(table)}, {q(column)}, new_column_name={q(target)})"
        changes.add(line, f"rename column {table}.{column} to {target}", f"{table}_{target}")
    return old


def _same_under_other_names(old: State, new: State, changes: Changes) -> State:
    """Constraints and indexes that only have another name, as when their table or column was renamed, are kept."""
    for name in [name for name in new if name in old]:
        pairs = _pairs_of_same(constraints_of(old[name]), constraints_of(new[name]))
        if pairs:
            old = rename_constraints(old, name, pairs)
            texts = [f"{INDENT}{q(before)}: {q(after)}," for before, after in pairs.items()]
            one = f"online.rename_constraints({q(name)}, {{{texts[0].strip().rstrip(',')}}})"
            many = [f"online.rename_constraints({q(name)}, {{", *texts, "})"]
            summary = ", ".join(f"{before} to {after}" for before, after in pairs.items())
            changes.add_small(one if len(pairs) == 1 else many, f"rename {summary}", name)
        for before, after in _pairs_of_same(old[name].indexes, new[name].indexes).items():
            old = rename_index(old, name, before, after)
            line = f"online.rename_index({q(name)}, {q(before)}, {q(after)})"
            changes.add_small(line, f"rename {before} to {after}", name)
    return old


def _pairs_of_same(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, str]:
    gone = [name for name in old if name not in new]
    come = [name for name in new if name not in old]
    pairs: dict[str, str] = {}
    for name in gone:
        there = [other for other in come if new[other] == old[name]]
        if len(there) == 1 and sum(old[other] == old[name] for other in gone) == 1:
            pairs[name] = there[0]
    return pairs


def _moved_keys(old: State, new: State) -> set[tuple[str, str]]:
    """The foreign keys, by table and name, that cannot stay while the tables change.

    A key goes when it is another one afterwards, when one of its columns changes its type, or when what makes the
    target's columns unique changes.
    """
    moved: set[tuple[str, str]] = set()
    for table in old.values():
        if table.name not in new:
            continue
        for name, key in table.foreign_keys.items():
            target = old.get(key.target)
            pairs = [(table, column) for column in key.columns]
            pairs += [(target, column) for column in key.remote] if target else []
            changed = new[table.name].foreign_keys.get(name) != key
            retyped = any(_retyped(new, one, column) for one, column in pairs)
            rests = target is not None and target.name in new
            if changed or retyped or (target and rests and _unique_ways(target) - _unique_ways(new[target.name])):
                moved.add((table.name, name))
    return moved


def _retyped(new: State, table: Table, column: str) -> bool:
    after = new[table.name].columns.get(column) if table.name in new else None
    return after is not None and after.type_text != table.columns[column].type_text


def _unique_ways(table: Table) -> set[tuple[str, object]]:
    ways: set[tuple[str, object]] = {(name, one.columns) for name, one in table.uniques.items()}
    ways |= {(name, one.parts) for name, one in table.indexes.items() if one.unique}
    return ways | {(table.primary_key_name, table.primary_key)}


def _need_passes(old: State, new: State, moved: set[tuple[str, str]]) -> tuple[bool, bool]:
    """Whether foreign keys must go before everything else, and come after it, in steps of their own.

    That costs SQLite a second copy of the table, so it is done only where two tables depend on it.
    """
    changed = {name for name in old if old[name] != new.get(name)}
    before = any(key.target in changed - {table} for table, name in moved for key in [old[table].foreign_keys[name]])
    after = any(
        key.target in changed - {table.name} and key.target in old
        for table in new.values()
        if table.name in old
        for name, key in table.foreign_keys.items()
        if (table.name, name) in moved or name not in old[table.name].foreign_keys
    )
    return before, after


def _batch(table: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    return [f"with op.batch_alter_table({q(table)}) as batch:", *(INDENT + line for line in lines)]


def _new_tables(old: State, new: State, changes: Changes) -> None:
    fresh = {name: table for name, table in new.items() if name not in old}
    late: list[str] = []
    for made, keys in in_order(to_metadata(new)):
        if made is None or made.name not in fresh:
            continue
        table = fresh[made.name]
        inline = {str(key.name) for key in keys}
        circular = {name for name in table.foreign_keys if name not in inline}
        summary = f"create table {table.name}"
        changes.add(_create_table(table, circular), summary, table.name)
        for name, index in table.indexes.items():
            changes.add(_create_index(table.name, name, index))
        lines = [_make_key(name, table.foreign_keys[name]) for name in sorted(circular)]
        late += _batch(table.name, lines)
    changes.add(late)


def _gone_tables(old: State, new: State, changes: Changes) -> None:
    gone = {name: table for name, table in old.items() if name not in new}
    drops: list[str] = []
    for table, keys in reversed(in_order(to_metadata(gone_closed(gone)))):
        if table is None or table.name not in gone:
            continue
        inline = {str(key.name) for key in keys}
        circular = sorted(set(gone[table.name].foreign_keys) - inline)
        changes.add(_batch(table.name, [f'batch.drop_constraint({q(n)}, type_="foreignkey")' for n in circular]))
        drops.append(f"op.drop_table({q(table.name)})")
        changes.add([], f"drop table {table.name} and its rows", table.name)
        changes.drops.append(table.name)
    changes.add(drops)


def gone_closed(tables: State) -> State:
    """The tables with only those foreign keys that stay among them."""
    return {
        name: replace(
            table, foreign_keys={key: value for key, value in table.foreign_keys.items() if value.target in tables}
        )
        for name, table in tables.items()
    }


def _make_key(name: str, key: ForeignKey) -> str:
    tail = "" if key.on_delete is None else f", ondelete={q(key.on_delete)}"
    return f"batch.create_foreign_key({q(name)}, {q(key.target)}, {q(list(key.columns))}, {q(list(key.remote))}{tail})"


def _dropped_keys(old: Table, new: Table, moved: set[tuple[str, str]], changes: Changes) -> list[str]:
    lines: list[str] = []
    for name, key in old.foreign_keys.items():
        if (old.name, name) in moved:
            lines.append(f'batch.drop_constraint({q(name)}, type_="foreignkey")')
            if new.foreign_keys.get(name) != key:
                changes.add_small([], f"drop foreign key {name}", old.name)
    return lines


def _made_keys(old: Table, new: Table, moved: set[tuple[str, str]], changes: Changes) -> list[str]:
    lines: list[str] = []
    for name, key in new.foreign_keys.items():
        if (old.name, name) in moved or name not in old.foreign_keys:
            lines.append(_make_key(name, key))
            if old.foreign_keys.get(name) != key:
                changes.add_small([], f"create foreign key {name}", new.name)
    return lines


def _alter_table(
    old: Table, new: Table, changes: Changes, answers: Answers, dropped_keys: list[str], made_keys: list[str]
) -> None:
    lines = [*dropped_keys]
    fills: list[str] = []
    fills_afterwards: list[str] = []
    afterwards: list[str] = []
    lines += _dropped_constraints(old, new, changes)
    for name in old.columns:
        if name not in new.columns:
            lines.append(f"batch.drop_column({q(name)})")
            changes.add([], f"drop column {new.name}.{name} and its values", f"{new.name}_{name}")
            changes.drops.append(f"{new.name}.{name}")
    for name, column in new.columns.items():
        if name not in old.columns:
            line, later = _add_column(new, column, answers)
            lines.append(line)
            afterwards += later
            changes.add([], f"add column {new.name}.{name}", f"{new.name}_{name}")
        elif old.columns[name] != column:
            before, line, after = _alter_column(new, old.columns[name], column, answers)
            fills += before
            lines.append(line)
            fills_afterwards += after[:1]
            afterwards += after[1:]
            changes.add([], f"change column {new.name}.{name}", f"{new.name}_{name}")
    lines += _made_constraints(old, new, changes)
    lines += made_keys
    changes.add(fills)
    changes.add(_batch(new.name, lines))
    changes.add(fills_afterwards)
    changes.add(_batch(new.name, afterwards))
    if old.comment != new.comment:
        line = f"op.create_table_comment({q(new.name)}, {q(new.comment)})"
        changes.add(
            line if new.comment else f"op.drop_table_comment({q(new.name)})", f"comment on {new.name}", new.name
        )


def _move_values(
    old: Table, new: Table, moves: Mapping[str, Mapping[enums.Value, enums.Value]], changes: Changes
) -> Table:
    """Gives the rows the new values of an enum, between the old CHECK and the new one; the table as it is then."""
    lines: list[str] = []
    fills: list[str] = []
    checks, columns = dict(old.checks), dict(old.columns)
    for name, values in moves.items():
        check = enums.check_of(old, name)
        if check is not None:
            lines.append(f'batch.drop_constraint({q(check)}, type_="check")')
            del checks[check]
        column, wanted = old.columns[name], new.columns[name]
        if (getattr(wanted.type, "length", None) or 0) > (getattr(column.type, "length", None) or 0):
            lines.append(f"batch.alter_column({q(name)}, existing_type={_type(column)}, type_={_type(wanted)})")
            columns[name] = replace(column, type=wanted.type, type_text=wanted.type_text)
        fills += [f"op.execute({_sql((text, text))})" for text in enums.updates(new.name, name, values)]
        words = ", ".join(f"{before} to {after}" for before, after in values.items())
        changes.add([], f"change values of {new.name}.{name}: {words}", f"{new.name}_{name}")
    changes.add(_batch(new.name, lines))
    changes.add(fills)
    return replace(old, checks=checks, columns=columns)


def _dropped_constraints(old: Table, new: Table, changes: Changes) -> list[str]:
    lines: list[str] = []
    for name, text in old.checks.items():
        if new.checks.get(name) != text:
            lines.append(f'batch.drop_constraint({q(name)}, type_="check")')
            changes.add_small([], f"drop check {name}", old.name)
    for name, unique in old.uniques.items():
        if new.uniques.get(name) != unique:
            lines.append(f'batch.drop_constraint({q(name)}, type_="unique")')
            changes.add_small([], f"drop unique constraint {name}", old.name)
    if _key_changed(old, new) and old.primary_key:
        lines.append(f'batch.drop_constraint({q(old.primary_key_name)}, type_="primary")')
    return lines


def _key_changed(old: Table, new: Table) -> bool:
    return (old.primary_key, old.primary_key_name) != (new.primary_key, new.primary_key_name)


def _made_constraints(old: Table, new: Table, changes: Changes) -> list[str]:
    lines: list[str] = []
    if _key_changed(old, new) and new.primary_key:
        lines.append(f"batch.create_primary_key({q(new.primary_key_name)}, {q(list(new.primary_key))})")
        changes.add_small([], f"change the primary key of {new.name}", new.name)
    for name, unique in new.uniques.items():
        if old.uniques.get(name) != unique:
            tail = "" if unique.nulls_distinct else ", postgresql_nulls_not_distinct=True"
            lines.append(f"batch.create_unique_constraint({q(name)}, {q(list(unique.columns))}{tail})")
            changes.add_small([], f"create unique constraint {name}", new.name)
    for name, text in new.checks.items():
        if old.checks.get(name) != text:
            lines.append(f"batch.create_check_constraint({q(name)}, {_sql(text)})")
            changes.add_small([], f"create check {name}", new.name)
    return lines


def _add_column(table: Table, column: Column, answers: Answers) -> tuple[str, list[str]]:
    """The line that adds it, and those that take a one-off default away again."""
    given = column.nullable or column.default is not None or column.identity or column.computed is not None
    if given:
        return f"batch.add_column({column_text(column, table.primary_key)})", []
    value = answers.value(table.name, column, "is new, must not be NULL")
    once = replace(column, default=value)
    later = f"batch.alter_column({q(column.name)}, existing_type={_type(column)}, server_default=None)"
    return f"batch.add_column({column_text(once, table.primary_key)})", [later]


def _alter_column(table: Table, old: Column, new: Column, answers: Answers) -> tuple[list[str], str, list[str]]:
    """The statements that fill the rows first, the line that changes the column, and what comes after it.

    A value fits the new type only, so where the type changes too, rows are filled after that and NOT NULL comes last.
    """
    if old.identity != new.identity or old.computed != new.computed:
        what = "numbered by the database" if old.identity != new.identity else "a generated column"
        raise MigrationError(
            f"whether column {table.name}.{new.name} is {what} cannot be changed in place; "
            "make a new column, move the values in a migration of your own, and drop the old one"
        )
    fills: list[str] = []
    last: list[str] = []
    parts = [q(new.name), f"existing_type={_type(old)}"]
    if old.type_text != new.type_text:
        if not is_known(old.type, new.type):
            raise MigrationError(
                f"the values of column {table.name}.{new.name} cannot become {_type(new)}: {_type(old)} has no obvious "
                "way there; make a new column, move the values in a migration of your own, and drop the old one"
            )
        parts.append(f"type_={_type(new)}")
    if old.nullable != new.nullable:
        if not new.nullable and new.name not in table.primary_key:
            default = new.default or answers.value(table.name, new, "was nullable, must not be NULL any more")
            statement = "UPDATE {0} SET {1} = {2} WHERE {1} IS NULL"
            pair = [statement.format(f'"{table.name}"', f'"{new.name}"', text) for text in default]
            fills.append(f"op.execute({_sql((pair[0], pair[1]))})")
        if fills and old.type_text != new.type_text:
            last = [*fills, f"batch.alter_column({q(new.name)}, existing_type={_type(new)}, nullable=False)"]
            fills = []
        else:
            parts.append(f"nullable={new.nullable}")
    if old.default != new.default:
        parts.append(f"server_default={'None' if new.default is None else _sql(new.default)}")
    if old.comment != new.comment:
        parts.append(f"comment={q(new.comment)}")
    return fills, f"batch.alter_column({', '.join(parts)})", last
