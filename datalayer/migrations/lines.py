"""Tables, columns and constraints as the lines of a migration file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from datalayer._compile.tables import index_part
from datalayer._compile.types import written
from datalayer._schema.table import Initially
from datalayer.migrations.state import Column, Exclusion, ForeignKey, Index, Table, Text2, Unique

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


def q(value: str | list[str] | None) -> str:
    """A text or a list of them as Python source, in double quotes."""
    if isinstance(value, list):
        return f"[{', '.join(q(one) for one in value)}]"
    text = repr(value)
    if value is None or text[0] == '"' or value.count('"') > value.count("'"):
        return text
    inner = text[1:-1].replace("\\'", "'").replace('"', '\\"')
    return f'"{inner}"'


def sql_source(text: Text2) -> str:
    """SQL text as Python source."""
    if text[0] == text[1]:
        return f"types.sql({q(text[0])})"
    return f"types.sql(sqlite={q(text[0])}, postgresql={q(text[1])})"


def type_source(column: Column) -> str:
    """The type of a column as Python source."""
    return written(column.type)


def column_text(column: Column, primary_key: tuple[str, ...] = ()) -> str:
    """A column as a migration file says it."""
    parts = [q(column.name), type_source(column)]
    if column.identity:
        parts.append("sa.Identity()")
    elif column.name in primary_key and column.type_text[0] == "INTEGER":
        parts.append("autoincrement=False")
    if column.computed is not None:
        parts.append(f"sa.Computed({sql_source(column.computed)}, persisted=True)")
    if column.default is not None:
        parts.append(f"server_default={sql_source(column.default)}")
    parts.append(f"nullable={column.nullable}")
    if column.comment:
        parts.append(f"comment={q(column.comment)}")
    return f"sa.Column({', '.join(parts)})"


def _key_text(name: str, key: ForeignKey) -> str:
    remote = [f"{key.target}.{column}" for column in key.remote]
    return f"sa.ForeignKeyConstraint({q(list(key.columns))}, {q(remote)}, name={q(name)}{_key_options(key)})"


def _key_options(key: ForeignKey) -> str:
    """What a foreign key says besides its columns and its name."""
    return ("" if key.on_delete is None else f", ondelete={q(key.on_delete)}") + _deferral(key.initially)


def _deferral(initially: Initially | None) -> str:
    return "" if initially is None else f", deferrable=True, initially={q(initially)}"


def unique_options(unique: Unique) -> str:
    """What a unique constraint says besides its columns and its name."""
    return ("" if unique.nulls_distinct else ", postgresql_nulls_not_distinct=True") + _deferral(unique.initially)


def exclusion_options(one: Exclusion) -> str:
    """What an exclusion constraint says besides its columns and its name."""
    return f", using={q(one.method)}" + ("" if one.where is None else f", where={sql_source(one.where)}")


def create_table(table: Table, without: set[str]) -> list[str]:
    """The lines that make a table, `without` some of its foreign keys."""
    lines = ["op.create_table(", f"{INDENT}{q(table.name)},"]
    lines += [f"{INDENT}{column_text(column, table.primary_key)}," for column in table.columns.values()]
    if table.primary_key:
        columns = ", ".join(q(column) for column in table.primary_key)
        lines.append(f"{INDENT}sa.PrimaryKeyConstraint({columns}, name={q(table.primary_key_name)}),")
    for name, unique in table.uniques.items():
        columns = ", ".join(q(column) for column in unique.columns)
        lines.append(f"{INDENT}sa.UniqueConstraint({columns}, name={q(name)}{unique_options(unique)}),")
    lines += [f"{INDENT}sa.CheckConstraint({sql_source(text)}, name={q(name)})," for name, text in table.checks.items()]
    for name, one in table.exclusions.items():
        pairs = ", ".join(f"({q(column)}, {q(sign)})" for column, sign in one.pairs)
        lines.append(f"{INDENT}types.Exclusion({pairs}, name={q(name)}{exclusion_options(one)}),")
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
        *create_table(table, set()),
        *(create_index(table.name, name, index) for name, index in table.indexes.items()),
    ]


def create_index(table: str, name: str, index: Index) -> str:
    """The line that makes an index."""
    parts = ", ".join(_part(part, opclass) if is_sql else q(part) for part, is_sql, opclass in index.pieces)
    tail = ", unique=True" if index.unique else ""
    if not index.nulls_distinct:
        tail += ", postgresql_nulls_not_distinct=True"
    if index.where is not None:
        tail += f", sqlite_where={sql_source(index.where)}, postgresql_where={sql_source(index.where)}"
    if index.method:
        tail += f", postgresql_using={q(index.method)}"
    if index.include:
        tail += f", postgresql_include={q(list(index.include))}"
    operators = [
        f"{q(part)}: {q(opclass)}" for part, is_expression, opclass in index.pieces if opclass and not is_expression
    ]
    if operators:
        tail += f", postgresql_ops={{{', '.join(operators)}}}"
    return f"op.create_index({q(name)}, {q(table)}, [{parts}]{tail})"


def _part(text: str, opclass: str) -> str:
    """A part of an index that is no name."""
    if opclass:
        made = index_part(text, opclass)
        return sql_source((made.sqlite, made.postgresql))
    return f"{'types.sql' if ':' in text else 'sa.text'}({q(text)})"


def batch(table: str, lines: list[str]) -> list[str]:
    """Lines about one table, together: SQLite copies its rows once."""
    if not lines:
        return []
    return [f"with op.batch_alter_table({q(table)}) as batch:", *(INDENT + line for line in lines)]


def make_key(name: str, key: ForeignKey) -> str:
    """The line of a batch that makes a foreign key."""
    columns = f"{q(list(key.columns))}, {q(list(key.remote))}"
    return f"batch.create_foreign_key({q(name)}, {q(key.target)}, {columns}{_key_options(key)})"
