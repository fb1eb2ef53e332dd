"""What plain SQL has made of the tables of models: read from a database, and noted in a migration.

`makemigrations` replays Python files and cannot read SQL. Where SQL has made a table of a model, a database that has
everything applied says what it looks like; a migration notes that without doing anything, and goes on from there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TypeVar

import sqlalchemy as sa

from datalayer._compile import tables as compiled
from datalayer.errors import MigrationError, choices_text
from datalayer.migrations.describing import describe
from datalayer.migrations.drift import meant_and_live
from datalayer.migrations.environment import Environment
from datalayer.migrations.facts import Facts
from datalayer.migrations.history import History
from datalayer.migrations.inspecting import inspected
from datalayer.migrations.lines import INDENT, Changes, created, q
from datalayer.migrations.live import Wanted
from datalayer.migrations.state import State, Table

T = TypeVar("T")
_MAKES = re.compile(
    r"\b(CREATE|ALTER)\s+(?:UNLOGGED\s+)?TABLE\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?:ONLY\s+)?"
    r"""(?:"?\w+"?\s*\.\s*)?["\[`]?(\w+)["\]`]?([^;]*)""",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Known:
    """What a database has that no Python file has made.

    Attributes:
        state: The tables as they really are.
        up: The lines that note it.
        down: The lines that note the way back.
        summaries: What was found, one table each.
    """

    state: State = field(default_factory=dict[str, Table])
    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    summaries: tuple[str, ...] = ()

    def before(self, changes: Changes) -> Changes:
        """Changes that come after what is noted."""
        return self._with(changes, [*_noted(self.up), *changes.lines])

    def after(self, changes: Changes) -> Changes:
        """The way back: what is noted is forgotten last."""
        return self._with(changes, [*changes.lines, *_noted(self.down)])

    def _with(self, changes: Changes, lines: list[str]) -> Changes:
        topics = changes.topics or (["adopted"] if self.up else [])
        return replace(changes, lines=lines, summaries=[*self.summaries, *changes.summaries], topics=topics)


NOTHING = Known()


def _noted(lines: tuple[str, ...]) -> list[str]:
    return ["with separate.state_only():", *(INDENT + line for line in lines)] if lines else []


def known(environment: Environment, old: State, new: State) -> Known:
    """What a database has of the tables of models that the Python files do not know.

    Args:
        environment: The database; everything must be applied there.
        old: The tables by the Python files.
        new: The tables by the models.

    Raises:
        MigrationError: The database lacks a migration.
    """
    applied = environment.known(environment.applied())
    left = environment.steps_to(environment.history.head, applied, out_of_order=True)
    if left:
        names = choices_text(step.name for step in left)
        raise MigrationError(
            f"database {environment.alias!r} lacks {names}; run datalayer migrate before it is adopted"
        )
    meant, live = meant_and_live(environment, old)
    strange = {fact[0] for fact in {*meant, *live} if meant.get(fact) != live.get(fact)}
    there = {fact[0] for fact in live if fact[1] == "table"}
    changed = [name for name in new if name in there and name in strange]
    gone = [name for name in old if name not in there]
    if not changed and not gone:
        return Known(old)
    read = _read(environment, changed)
    wanted, live = meant_and_live(environment, {name: new[name] for name in new if _fits(name, new)})
    state = {name: table for name, table in old.items() if name not in gone}
    up, down, summaries = list[str](), list[str](), list[str]()
    for name in [*changed, *gone]:
        if name in old:
            up.append(f"op.drop_table({q(name)})")
        if name in changed:
            state[name] = _as_meant(read[name], new[name], wanted, live)
            up += created(state[name])
            down.append(f"op.drop_table({q(name)})")
            summaries.append(f"note table {name} as plain SQL has made it")
        else:
            summaries.append(f"note that plain SQL has dropped table {name}")
        if name in old:
            down += created(old[name])
    return Known(state, tuple(up), tuple(down), tuple(summaries))


def _fits(name: str, new: State) -> bool:
    return all(key.target in new for key in new[name].foreign_keys.values())


def _read(environment: Environment, names: list[str]) -> State:
    """Tables as they are, by way of the models that inspectdb writes."""
    from datalayer.models import registry  # noqa: PLC0415 - the models come in only when they are asked for

    name = "datalayer_adopted"
    module = ModuleType(name)
    sys.modules[name] = module
    try:
        with registry.isolated():
            exec(compile(inspected(environment, Wanted(names)), name, "exec"), module.__dict__)
            found = describe(compiled.to_metadata(registry.tables()))
    finally:
        del sys.modules[name]
    lacking = [one for one in names if one not in found]
    if lacking:
        raise MigrationError(
            f"table {lacking[0]!r} cannot be adopted: {_why(inspected(environment, Wanted([lacking[0]])))}"
        )
    if environment.url.backend == "postgresql":
        with environment.connect() as connection:
            look = sa.inspect(connection)
            real = {one: str(look.get_pk_constraint(one)["name"]) for one in names}
        found = {one: replace(table, primary_key_name=real.get(one, "")) for one, table in found.items()}
    return found


def _why(text: str) -> str:
    notes = [line.lstrip("# ") for line in text.splitlines() if line.startswith("# ")]
    return notes[0] if notes else "no model can be made of it"


def _as_meant(table: Table, model: Table, meant: Facts, live: Facts) -> Table:
    """A table as it is, in the words of the model where both mean the same: databases change what they are told."""

    def chosen(kind: str, real: Mapping[str, T], wanted: Mapping[str, T]) -> dict[str, T]:
        facts = {fact[2]: value for fact, value in live.items() if fact[:2] == (table.name, kind)}
        found = {
            name: wanted[name]
            if name in wanted and meant.get((table.name, kind, name)) == facts.get(name)
            else real[name]
            for name in facts
            if name in wanted or name in real
        }
        # What has no name in the database has one by inspectdb.
        return found | {n: one for n, one in real.items() if n not in facts and one not in found.values()}

    columns = chosen("column", table.columns, model.columns)
    comments = {
        name: live.get((table.name, "comment of column", name), column.comment) for name, column in columns.items()
    }
    return replace(
        table,
        columns={name: replace(column, comment=comments[name]) for name, column in columns.items()},
        uniques=chosen("unique constraint", table.uniques, model.uniques),
        checks=chosen("check", table.checks, model.checks),
        exclusions=chosen("exclusion constraint", table.exclusions, model.exclusions),
        foreign_keys=chosen("foreign key", table.foreign_keys, model.foreign_keys),
        indexes=chosen("index", table.indexes, model.indexes),
    )


def refuse_made_by_sql(history: History, old: State, new: State) -> None:
    """Refuses to make again what plain SQL has made.

    Raises:
        MigrationError: A table or column that is in a model and in no Python file, but in an SQL file.
    """
    lacking = {name: set(table.columns) - set(old[name].columns) for name, table in new.items() if name in old}
    for one in history.order if any(name not in old for name in new) or any(lacking.values()) else ():
        for verb, table, rest in _MAKES.findall(one.source) if one.is_sql else ():
            is_table = verb.upper() == "CREATE" and table in new and table not in old
            words: set[str] = set() if is_table else set(re.findall(r"\w+", rest))
            column = next((name for name in sorted(lacking.get(table, ())) if name in words), None)
            if is_table or column is not None:
                what = f"table {table!r}" if is_table else f"column '{table}.{column}'"
                raise MigrationError(
                    f"{what} is made by {one.name}, which is plain SQL and not read here; apply it and run "
                    "datalayer makemigrations --adopt default, which takes the table as it is in that database"
                )


__all__ = ["NOTHING", "Known", "known", "refuse_made_by_sql"]
