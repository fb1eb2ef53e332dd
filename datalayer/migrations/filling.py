"""What rows that exist get in a column that must not be NULL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datalayer._compile import types
from datalayer._compile.tables import literal_sql
from datalayer.errors import UnansweredQuestion
from datalayer.migrations.answers import answer_sql, takes_now
from datalayer.migrations.questions import Questions
from datalayer.migrations.state import Column, Text2

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
    if isinstance(column.type, types.Array):
        return "'[]'", "'{}'"
    if isinstance(column.type, types.Range):
        return "'empty'", "'empty'"
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

    def value(self, table: str, column: Column, reason: str, gone: Sequence[str] = ()) -> Text2:
        """What existing rows get in a column, or UnansweredQuestion; `gone` are names that it may have had."""
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
        renames = " or ".join(f"--rename {table}.{other}:{column.name}" for other in gone)
        was = f", or say that it is one that is gone with {renames}" if renames else ""
        raise UnansweredQuestion(
            f"column {key!r} {reason} and has no default, so rows that exist need a value; "
            f"give one with --default {key}={'now' if takes_now(column) else 'VALUE'}, or make the column nullable{was}"
        )
