"""`loaddata`: lines of JSON as rows, all of them or none."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from pydantic import ValidationError

from datalayer._plans import bulk, transaction
from datalayer._plans.plan import Plan
from datalayer._plans.write import writing
from datalayer._schema.table import TableSpec
from datalayer.data.dumping import CHUNK
from datalayer.data.lines import announced, beginning, row_adapter, written_fields
from datalayer.data.natural import looked_up
from datalayer.data.order import find, labels, late_fields
from datalayer.databases.atomic import atomic
from datalayer.databases.database import databases
from datalayer.errors import DatabaseError, DatalayerError, LoadError, QueryError, choices_text, nearest
from datalayer.models.checks import why

if TYPE_CHECKING:
    from datalayer._compile.compiler import Compiler

_GZIP = b"\x1f\x8b"
_SPACE = " \t\r\n"
SAVEPOINT = "datalayer_load"


@dataclass(slots=True)
class _Batch:
    """Lines in a row that set the same fields of the same table."""

    table: TableSpec
    fields: tuple[str, ...]
    lines: list[int] = field(default_factory=list[int])
    rows: list[dict[str, object]] = field(default_factory=list[dict[str, object]])


def load(file: BinaryIO, *, using: str = "default", on_rows: Callable[[str, int, int], None] | None = None) -> int:
    """Writes the rows of a file that `dump` has made, all of them or none; gives their number.

    The values are written as they are: no hooks, no `auto_now`. Keys that the database numbers go on after those of
    the file. The file is read several times and never held in memory.

    Args:
        file: Where from; one that can be read again, compressed by gzip or not. A file that is one list of JSON, as
            people write it by hand, is held in memory.
        using: The alias of the database.
        on_rows: Told a word, how many rows are written, and how many there are.

    Raises:
        LoadError: A line is not a row, or the database refuses it; with its number, model and field.
    """
    with atomic(using):
        return databases[using].run(_load, _unpacked(file), on_rows, databases[using].depth)


async def aload(
    file: BinaryIO, *, using: str = "default", on_rows: Callable[[str, int, int], None] | None = None
) -> int:
    """The awaiting twin of `load`; what is read from the file blocks."""
    async with atomic(using):
        return await databases[using].arun(_load, _unpacked(file), on_rows, databases[using].depth)


@writing
def _load(compiler: Compiler, file: BinaryIO, on_rows: Callable[[str, int, int], None] | None, depth: int) -> Plan[int]:
    total = _counted(file)
    known = labels()
    late = late_fields(known.values())
    done = 0
    for batch in _batches(file, known):
        yield from _insert(compiler, batch, set(late.get(batch.table.name, ())), depth)
        done += len(batch.rows)
        if on_rows is not None:
            on_rows("rows", done, total)
    if late:
        for batch in _batches(file, known, set(late)):
            yield from _complete(compiler, batch, late[batch.table.name], depth)
    return done


def _counted(file: BinaryIO) -> int:
    """The number of rows.

    Raises:
        LoadError: The first line says another one.
    """
    said: int | None = None
    found = 0
    for number, line in _numbered(file):
        if number == 1 and (said := announced(line)) is not None:
            continue
        found += bool(line.strip())
    if said is not None and said != found:
        raise LoadError(
            f"the first line says {said} rows and {found} follow: the file was cut or changed; dump it again, or "
            "delete its first line to load what is there",
            line=1,
        )
    return found


def _unpacked(file: BinaryIO) -> BinaryIO:
    """The file, or what is in it where it is compressed."""
    file.seek(0)
    is_packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    return cast("BinaryIO", gzip.GzipFile(fileobj=file)) if is_packed else file


def _numbered(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The rows of the file and the numbers of their lines, without the mark that some editors put before the first one.

    Raises:
        LoadError: It is no file of lines, or was cut where it is compressed.
    """
    try:
        file.seek(0)
        for number, line in enumerate(file, 1):
            if number == 1:
                line = _first(line)
                if line.lstrip().startswith(b"["):
                    yield from _elements(line + file.read())
                    return
            yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LoadError(f"the compressed file was cut or changed: {error}; copy or dump it again", line=1) from error


def _first(line: bytes) -> bytes:
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise LoadError("the file is UTF-16, and dumpdata writes UTF-8: convert it, or dump it again", line=1)
    return line.removeprefix(codecs.BOM_UTF8)


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The rows of a list, each with the number of the line it begins in.

    Raises:
        LoadError: It is no list of JSON.
    """
    try:
        text = content.decode()
        decoder, line, seen = json.JSONDecoder(), 1, 0
        place = _after_space(text, text.index("[") + 1)
        is_more = not text.startswith("]", place)
        while is_more:
            line, seen = line + text.count("\n", seen, place), place
            _, end = decoder.raw_decode(text, place)
            yield line, text[place:end].replace("\n", " ").encode()
            place = _after_space(text, end)
            is_more = text.startswith(",", place)
            place = _after_space(text, place + 1) if is_more else place
        if not text.startswith("]", place):
            raise json.JSONDecodeError("expecting ',' or the ']' that ends the list", text, place)
        place = _after_space(text, place + 1)
        if place != len(text):
            raise json.JSONDecodeError("there is more after the end of the list", text, place)
    except UnicodeDecodeError as error:
        raise LoadError(f"the file is not UTF-8, as dumpdata writes it: {error}", line=1) from None
    except json.JSONDecodeError as error:
        raise LoadError(f"line {error.lineno} is no JSON: {error}", line=error.lineno) from None


def _after_space(text: str, place: int) -> int:
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place


def _batches(file: BinaryIO, known: dict[str, TableSpec], only: set[str] | None = None) -> Iterator[_Batch]:
    """The rows of the file, or of some tables, in pieces that fit one statement."""
    batch: _Batch | None = None
    begin, table = b"\n", None  # no line begins so
    for number, line in _numbered(file):
        values: dict[str, object] | None = None
        if table is not None and line.startswith(begin):
            if only is not None and table.name not in only:
                continue
            values = _read_at_once(line, len(begin), table)
        if values is None:
            if not line.strip() or (number == 1 and announced(line) is not None):
                continue
            label, table, values = _read(number, line, known, only)
            begin = beginning(label)
            if values is None:
                continue
        assert table is not None
        fields = tuple([name for name in table.fields if name in values])
        if batch is None or batch.table is not table or batch.fields != fields or len(batch.rows) == CHUNK:
            if batch is not None:
                yield batch
            batch = _Batch(table, fields)
        batch.lines.append(number)
        batch.rows.append(values)
    if batch is not None:
        yield batch


def _read_at_once(line: bytes, begin: int, table: TableSpec) -> dict[str, object] | None:
    """The fields of a line as `dump` writes it, of the table of the line before; None where a closer look is needed."""
    line = line.rstrip()
    if not line.endswith(b"}"):
        return None
    try:
        return row_adapter(table).validate_json(line[begin:-1])
    except ValidationError:
        return None


def _read(
    number: int, line: bytes, known: dict[str, TableSpec], only: set[str] | None
) -> tuple[str, TableSpec, dict[str, object] | None]:
    """The model and table of a line and the values of its fields; None for them where the table is not wanted."""
    try:
        found: object = json.loads(line.decode())
    except UnicodeDecodeError as error:
        what = f"line {number} is not UTF-8, as dumpdata writes it: byte {error.start + 1} is {line[error.start]:#04x}"
        raise LoadError(what, line=number) from None
    except ValueError as error:
        raise LoadError(f"line {number} is no JSON: {error}", line=number) from None
    whole = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    name = whole.get("model")
    if whole.keys() != {"model", "fields"} or not isinstance(name, str):
        raise LoadError(
            f'line {number} is no row: it must be {{"model": "NAME", "fields": {{...}}}}, as dumpdata writes it',
            line=number,
        )
    try:
        table = find(name, known)
    except QueryError as error:
        raise LoadError(f"line {number}: {error}", line=number) from None
    if only is not None and table.name not in only:
        return name, table, None
    try:
        return name, table, row_adapter(table).validate_json(json.dumps(whole["fields"]))
    except ValidationError as error:
        _refuse(number, table, error)


def _refuse(number: int, table: TableSpec, error: ValidationError) -> NoReturn:
    """Raises what is wrong with the fields of a line."""
    found = error.errors(include_url=False, include_context=False)
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])  # misspelt, so missing too
    name = str(first["loc"][0]) if first["loc"] else None
    where = f"line {number}: {table.model}.{name}" if name else f"line {number}: the fields of {table.model}"
    fields = written_fields(table)
    if first["type"] == "extra_forbidden" and name in table.fields:
        text = f"{where} is computed by the database and cannot be loaded; take it out"
    elif first["type"] == "extra_forbidden":
        text = f"{where} does not exist; the fields are {choices_text(fields)}{nearest(str(name), fields)}"
    elif first["type"] == "missing":
        text = f"{where} has no value and can never be NULL"
    else:
        text = f"{where} cannot be {first['input']!r}{why(error)}"
    raise LoadError(text, line=number, model=table.model, field=name) from None


def _insert(compiler: Compiler, batch: _Batch, late: set[str], depth: int) -> Plan[None]:
    """Writes the rows, those fields NULL that may refer to rows still to come."""
    early = [name for name in batch.fields if name not in late]
    yield from looked_up(compiler, batch.table, batch.rows, batch.lines, early)
    rows = [tuple([None if name in late else values[name] for name in batch.fields]) for values in batch.rows]

    def write(some: list[tuple[object, ...]]) -> Plan[object]:
        return bulk.create(compiler, batch.table, batch.fields, some, depth=depth + 1)

    yield from _write(compiler, batch, rows, batch.lines, write, depth)


def _complete(compiler: Compiler, batch: _Batch, late: tuple[str, ...], depth: int) -> Plan[None]:
    """Writes the fields that were left NULL."""
    fields = tuple([name for name in late if name in batch.fields])
    yield from looked_up(compiler, batch.table, batch.rows, batch.lines, fields)
    key = batch.table.primary_key
    rows: list[tuple[object, ...]] = []
    lines: list[int] = []
    for number, values in zip(batch.lines, batch.rows, strict=True):
        if any(values[name] is not None for name in fields):
            if any(name not in values for name in key):
                text = (
                    f"line {number}: {batch.table.model} refers to rows that come later, so it needs {', '.join(key)}"
                )
                raise LoadError(text, line=number, model=batch.table.model, field=key[0])
            rows.append(tuple([values[name] for name in (*fields, *key)]))
            lines.append(number)

    def write(some: list[tuple[object, ...]]) -> Plan[object]:
        return bulk.update(compiler, batch.table, fields, some, depth=depth + 1)

    yield from _write(compiler, batch, rows, lines, write, depth)


def _write(
    compiler: Compiler,
    batch: _Batch,
    rows: list[tuple[object, ...]],
    lines: list[int],
    write: Callable[[list[tuple[object, ...]]], Plan[object]],
    depth: int,
) -> Plan[None]:
    """Writes rows at once, and one by one where the database refuses them: it does not say which it was.

    Raises:
        LoadError: The database refuses a row.
    """
    if not rows:
        return
    try:
        yield from transaction.nested(compiler.backend, lambda: write(rows), depth=depth, name=SAVEPOINT)
    except DatalayerError as error:
        for number, row in zip(lines, rows, strict=True):
            try:
                yield from transaction.nested(compiler.backend, partial(write, [row]), depth=depth, name=SAVEPOINT)
            except DatalayerError as refused:
                columns = refused.columns if isinstance(refused, DatabaseError) else ()
                by_column = batch.table.by_column
                names = [by_column[column].name for column in columns if column in by_column]
                raise LoadError(
                    f"line {number}: {batch.table.model}{'.' + names[0] if len(names) == 1 else ''}: {refused}",
                    line=number,
                    model=batch.table.model,
                    field=names[0] if names else None,
                ) from refused
        raise LoadError(f"lines {lines[0]} to {lines[-1]}: {error}", line=lines[0], model=batch.table.model) from error
