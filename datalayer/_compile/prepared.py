"""A compiled statement: SQL text, and how the values of a question become the values of a driver."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from datalayer._compile.reading import Form, Read, reader
from datalayer._query.command import Command, Repeated
from datalayer._schema.field import FieldSpec
from datalayer._schema.table import TableSpec
from datalayer.errors import QueryError

Convert: TypeAlias = Callable[[object], object]
"""A value in, a value out. Never called with None: NULL stays NULL on every way."""


_new = Command.__new__


def _each(values: Iterable[object], change: Convert) -> list[object]:
    return [None if value is None else change(value) for value in values]


class Output(NamedTuple):
    """One column of the rows that come back, in row order.

    Attributes:
        name: The field's name, or the name of the annotation or column asked for.
        path: Empty for the query's own table, else the `select_related` path it belongs to.
        field: The field; None for what is computed.
        convert: From the driver's value to ours; None where nothing is to do. Not to be called with None.
    """

    name: str
    path: tuple[str, ...]
    field: FieldSpec | None
    convert: Convert | None


class Twin(NamedTuple):
    """A CTE that a statement has a second time: written once, it is right where both have the same values.

    Attributes:
        name: Its name.
        first, second: Where the values of each begin.
        length: How many there are.
    """

    name: str
    first: int
    second: int
    length: int

    def check(self, values: Sequence[object]) -> None:
        """Refuses values of a statement that differ between the two.

        Raises:
            QueryError: They do.
        """
        first, second = [values[place : place + self.length] for place in (self.first, self.second)]
        if first != second:
            raise QueryError(two_ctes(self.name))


def two_ctes(name: str) -> str:
    """The message about two CTEs of one name."""
    return f"one statement has two CTEs of the name {name!r}; give one of them another name"


class Prepared:
    """Compiled once for a shape, used for all values of that shape.

    Attributes:
        sql: The text, with the backend's placeholders.
        columns: What comes back, in row order; rows may be longer where ORDER BY needed hidden columns.
        table: The table it is about.
        writes: Whether it changes anything.
        is_small: As in `Command`.
        returns_key: As in `Command`.
        returns_rows: Whether the statement gives rows rather than a count.
        written: The columns written by plain values, each with the place of its placeholder; errors tell values by it.
        memo: A free place for the layer above (the generated hydration function).
    """

    __slots__ = (
        "_binds",
        "_columns",
        "_is_plain",
        "_places",
        "_readers",
        "_twins",
        "columns",
        "is_small",
        "memo",
        "returns_key",
        "returns_rows",
        "sql",
        "table",
        "writes",
        "written",
    )

    def __init__(
        self,
        sql: str,
        binds: Iterable[tuple[int, Convert | None]],
        *,
        columns: tuple[Output, ...] = (),
        table: TableSpec | None = None,
        writes: bool = False,
        is_whole: bool = False,
        returns_key: bool = False,
        is_small: bool = False,
        written: tuple[tuple[str, int], ...] = (),
        width: int = 0,
        twins: Sequence[Twin] = (),
    ) -> None:
        """Binds are `(offset in values, converter)` in the order of the placeholders.

        With `is_whole` their offsets cover all values; with `width` they are those of one row, of any number of rows of
        so many columns. Twins are parts of the values that must be equal.
        """
        self.sql = sql
        self.columns = columns
        self.table = table
        self.writes = writes
        self.is_small = is_small
        self.written = written
        self.memo: object = None
        self.returns_key = returns_key
        self.returns_rows = (bool(columns) or not writes) and not returns_key
        self._readers: dict[Form, Read] = {}
        self._binds = tuple(binds)
        self._twins = tuple(twins)
        is_in_order = is_whole and all(offset == place for place, (offset, _) in enumerate(self._binds))
        work = [(place, convert) for place, (_, convert) in enumerate(self._binds) if convert]
        self._is_plain = is_in_order and not work
        self._places = work if is_in_order and not width else None
        self._columns = [(slice(place, None, width), convert) for place, convert in work] if width else None

    def params(self, values: Sequence[object]) -> Sequence[object]:
        """Driver-ready values, in the order of the placeholders.

        Raises:
            QueryError: Two CTEs of one name have other values.
        """
        if self._is_plain:
            return values
        found: list[object] = []
        if self._places is not None:
            found += values
            for place, convert in self._places:
                value = found[place]
                if value is not None:
                    found[place] = convert(value)
            return found
        if self._columns is not None:
            found += values
            for column, change in self._columns:
                found[column] = _each(found[column], change)
            return found
        for twin in self._twins:
            twin.check(values)
        for offset, bound in self._binds:
            value = values[offset]
            found.append(value if bound is None or value is None else bound(value))
        return found

    def command(self, values: Sequence[object]) -> Command:
        """The statement with its values."""
        command = _new(Command)  # a call of the class takes twice the time
        command.sql = self.sql
        command.params = values if self._is_plain else self.params(values)
        command.returns_rows = self.returns_rows
        command.writes = self.writes
        command.returns_key = self.returns_key
        command.is_small = self.is_small
        command.in_chunks = False
        command.table = self.table
        command.written = self.written
        return command

    def repeated(self, rows: Sequence[Sequence[object]]) -> Repeated:
        """The statement for many rows of values, one after the other; a change whose values are those of one row."""
        if self._places:
            columns: list[Sequence[object]] = list(zip(*rows, strict=True))
            for place, convert in self._places:
                columns[place] = _each(columns[place], convert)
            rows = list(zip(*columns, strict=True))
        return Repeated(self.sql, rows, returns_rows=False, writes=True, table=self.table)

    def read(self, rows: list[tuple[object, ...]], form: Form = "tuple") -> list[Any]:
        """Rows of the driver as tuples, dictionaries or first values: converted, hidden columns left out."""
        read = self._readers.get(form)
        if read is None:
            columns = self.columns
            read = reader(form, [column.name for column in columns], [column.convert for column in columns])
            self._readers[form] = read
        return read(rows)

    def read_chunks(self, chunks: Iterable[list[tuple[object, ...]]], form: Form = "tuple") -> list[Any]:
        """`read` of rows in several lists."""
        found: list[Any] = []
        for rows in chunks:
            found += self.read(rows, form)
        return found

    def __repr__(self) -> str:
        return f"<Prepared {self.sql!r}>"
