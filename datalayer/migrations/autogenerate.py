"""Finds what changed between two states and writes it as lines of a migration file.

Nothing is guessed: a rename is one only where it was said, and a value for existing rows is taken only from an
answer or from the column's own default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from datalayer._compile.tables import in_order
from datalayer.errors import MigrationError, choices_text, nearest
from datalayer.migrations import enums
from datalayer.migrations.casts import is_known
from datalayer.migrations.describing import to_metadata
from datalayer.migrations.filling import Answers
from datalayer.migrations.lines import (
    INDENT,
    Changes,
    batch,
    column_text,
    create_index,
    create_table,
    exclusion_options,
    make_key,
    q,
    sql_source,
    type_source,
    unique_options,
)
from datalayer.migrations.moved_keys import dropped_keys, early_keys, made_keys, moved_keys, need_passes
from datalayer.migrations.state import (
    Column,
    State,
    Table,
    constraints_of,
    rename_column,
    rename_constraints,
    rename_index,
    rename_table,
)


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
    moved = moved_keys(old, new)
    before, after = need_passes(old, new, moved)
    for name in both if before else ():
        changes.add(batch(name, dropped_keys(old[name], new[name], moved, changes)))
    old = _without_early_keys(old, new, changes)
    for name in both:
        for index, value in old[name].indexes.items():
            if new[name].indexes.get(index) != value:
                changes.add_small(f"op.drop_index({q(index)}, table_name={q(name)})", f"drop index {index}", name)
    last = _new_tables(old, new, changes)
    for name in both:
        dropped = [] if before else dropped_keys(old[name], new[name], moved, changes)
        made = [] if after else made_keys(old[name], new[name], moved, changes)
        before_it = _move_values(old[name], new[name], moves.get(name, {}), changes)
        _alter_table(before_it, new[name], changes, answers, dropped, made)
    for name in both if after else ():
        changes.add(batch(name, made_keys(old[name], new[name], moved, changes)))
    for name in both:
        for index, value in new[name].indexes.items():
            if old[name].indexes.get(index) != value:
                changes.add_small(create_index(name, index, value), f"create index {index}", name)
    changes.add(last)
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
            texts = [f"{q(before)}: {q(after)}" for before, after in pairs.items()]
            one = f"online.rename_constraints({q(name)}, {{{texts[0]}}})"
            each = [f"{INDENT * 2}{text}," for text in texts]
            many = ["online.rename_constraints(", f"{INDENT}{q(name)},", f"{INDENT}{{", *each, f"{INDENT}}},", ")"]
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


def _without_early_keys(old: State, new: State, changes: Changes) -> State:
    """Takes away the foreign keys of tables that go which would keep their targets from changing; the state then."""
    for table, key in sorted(early_keys(new, old)):
        changes.add(batch(table, [f'batch.drop_constraint({q(key)}, type_="foreignkey")']))
        keys = {name: value for name, value in old[table].foreign_keys.items() if name != key}
        old = {**old, table: replace(old[table], foreign_keys=keys)}
    return old


def _new_tables(old: State, new: State, changes: Changes) -> list[str]:
    """Makes the new tables; the lines that make foreign keys to what comes into other tables later."""
    fresh = {name: table for name, table in new.items() if name not in old}
    early = early_keys(old, new)
    late: list[str] = []
    last: list[str] = []
    for made, keys in in_order(to_metadata(new)):
        if made is None or made.name not in fresh:
            continue
        table = fresh[made.name]
        inline = {str(key.name) for key in keys}
        waiting = {name for name in table.foreign_keys if (table.name, name) in early}
        circular = {name for name in table.foreign_keys if name not in inline} - waiting
        summary = f"create table {table.name}"
        changes.add(create_table(table, circular | waiting), summary, table.name)
        for name, index in table.indexes.items():
            changes.add(create_index(table.name, name, index))
        lines = [make_key(name, table.foreign_keys[name]) for name in sorted(circular)]
        late += batch(table.name, lines)
        last += batch(table.name, [make_key(name, table.foreign_keys[name]) for name in sorted(waiting)])
    changes.add(late)
    return last


def _gone_tables(old: State, new: State, changes: Changes) -> None:
    gone = {name: table for name, table in old.items() if name not in new}
    drops: list[str] = []
    for table, keys in reversed(in_order(to_metadata(gone_closed(gone)))):
        if table is None or table.name not in gone:
            continue
        inline = {str(key.name) for key in keys}
        table_keys = gone[table.name].foreign_keys
        circular = sorted({n for n, key in table_keys.items() if key.target in gone} - inline)
        changes.add(batch(table.name, [f'batch.drop_constraint({q(n)}, type_="foreignkey")' for n in circular]))
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
            gone = [other for other in old.columns if other not in new.columns]
            line, later = _add_column(new, column, answers, gone)
            lines.append(line)
            afterwards += later
            changes.add([], f"add column {new.name}.{name}", f"{new.name}_{name}")
        elif old.columns[name] != column:
            before, line, after = _alter_column(old, new, column, answers)
            fills += before
            lines.append(line)
            fills_afterwards += after[:1]
            afterwards += after[1:]
            changes.add([], f"change column {new.name}.{name}", f"{new.name}_{name}")
    lines += _made_constraints(old, new, changes)
    lines += made_keys
    changes.add(fills)
    changes.add(batch(new.name, lines))
    changes.add(fills_afterwards)
    changes.add(batch(new.name, afterwards))
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
            lines.append(
                f"batch.alter_column({q(name)}, existing_type={type_source(column)}, type_={type_source(wanted)})"
            )
            columns[name] = replace(column, type=wanted.type, type_text=wanted.type_text)
        fills += [f"op.execute({sql_source((text, text))})" for text in enums.updates(new.name, name, values)]
        words = ", ".join(f"{before} to {after}" for before, after in values.items())
        changes.add([], f"change values of {new.name}.{name}: {words}", f"{new.name}_{name}")
    changes.add(batch(new.name, lines))
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
    for name, one in old.exclusions.items():
        if new.exclusions.get(name) != one:
            lines.append(f"batch.drop_constraint({q(name)})")
            changes.add_small([], f"drop exclusion constraint {name}", old.name)
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
            columns = q(list(unique.columns))
            lines.append(f"batch.create_unique_constraint({q(name)}, {columns}{unique_options(unique)})")
            changes.add_small([], f"create unique constraint {name}", new.name)
    for name, one in new.exclusions.items():
        if old.exclusions.get(name) != one:
            pairs = ", ".join(f"(sa.column({q(column)}), {q(sign)})" for column, sign in one.pairs)
            lines.append(f"batch.create_exclude_constraint({q(name)}, {pairs}{exclusion_options(one)})")
            changes.add_small([], f"create exclusion constraint {name}", new.name)
    for name, text in new.checks.items():
        if old.checks.get(name) != text:
            lines.append(f"batch.create_check_constraint({q(name)}, {sql_source(text)})")
            changes.add_small([], f"create check {name}", new.name)
    return lines


def _add_column(table: Table, column: Column, answers: Answers, gone: Sequence[str]) -> tuple[str, list[str]]:
    """The line that adds it, and those that take a one-off default away again; `gone` are names it may have had."""
    given = column.nullable or column.default is not None or column.identity or column.computed is not None
    if given:
        return f"batch.add_column({column_text(column, table.primary_key)})", []
    value = answers.value(table.name, column, "is new, must not be NULL", gone)
    once = replace(column, default=value)
    later = f"batch.alter_column({q(column.name)}, existing_type={type_source(column)}, server_default=None)"
    return f"batch.add_column({column_text(once, table.primary_key)})", [later]


def _alter_column(before: Table, table: Table, new: Column, answers: Answers) -> tuple[list[str], str, list[str]]:
    """The statements that fill the rows first, the line that changes the column, and what comes after it.

    A value fits the new type and the new CHECKs only, so where the type changes too, or a CHECK of the column goes,
    rows are filled after that and NOT NULL comes last.
    """
    old = before.columns[new.name]
    loses_check = any(
        f'"{new.name}"' in "".join(text) for name, text in before.checks.items() if table.checks.get(name) != text
    )
    if old.identity != new.identity or old.computed != new.computed:
        what = "numbered by the database" if old.identity != new.identity else "a generated column"
        raise MigrationError(
            f"whether column {table.name}.{new.name} is {what} cannot be changed in place; "
            "make a new column, move the values in a migration of your own, and drop the old one"
        )
    fills: list[str] = []
    last: list[str] = []
    parts = [q(new.name), f"existing_type={type_source(old)}"]
    if old.type_text != new.type_text:
        if not is_known(old.type, new.type):
            raise MigrationError(
                f"the values of column {table.name}.{new.name} cannot become {type_source(new)}: {type_source(old)} "
                "has no obvious way there; make a new column, move the values in a migration of your own, and drop the "
                "old one"
            )
        parts.append(f"type_={type_source(new)}")
    if old.nullable != new.nullable:
        if not new.nullable and new.name not in table.primary_key:
            default = new.default or answers.value(table.name, new, "was nullable, must not be NULL any more")
            statement = "UPDATE {0} SET {1} = {2} WHERE {1} IS NULL"
            pair = [statement.format(f'"{table.name}"', f'"{new.name}"', text) for text in default]
            fills.append(f"op.execute({sql_source((pair[0], pair[1]))})")
        if fills and (loses_check or old.type_text != new.type_text):
            last = [*fills, f"batch.alter_column({q(new.name)}, existing_type={type_source(new)}, nullable=False)"]
            fills = []
        else:
            parts.append(f"nullable={new.nullable}")
    if old.default != new.default:
        parts.append(f"server_default={'None' if new.default is None else sql_source(new.default)}")
    if old.comment != new.comment:
        parts.append(f"comment={q(new.comment)}")
    return fills, f"batch.alter_column({', '.join(parts)})", last
