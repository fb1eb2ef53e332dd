"""Plans of `create`, `get_or_create` and `update_or_create`, safe against somebody doing the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from datalayer._compile.compiler import Compiler
from datalayer._plans import read, transaction, upsert
from datalayer._plans.plan import Plan
from datalayer._plans.write import writing
from datalayer._query.lock import Lock
from datalayer._query.query import Query
from datalayer.errors import InvalidValue
from datalayer.late import dataclass
from datalayer.models import saving
from datalayer.models.expressions import is_expression
from datalayer.models.hooks import opened

T = TypeVar("T")


@dataclass(slots=True)
class Upsert:
    """What `get_or_create` and `update_or_create` work on.

    Attributes:
        query: Finds the row that matches.
        load: Makes an instance of it.
        model: The class.
        alias: The database.
        values: What the row is looked up by and made of.
        defaults: What `update_or_create` writes, and `get_or_create` makes the row of besides.
        create_defaults: What `update_or_create` makes the row of instead of `defaults`.
    """

    query: Query
    load: Any
    model: Any
    alias: str
    values: dict[str, Any]
    defaults: dict[str, Any]
    create_defaults: dict[str, Any] | None = None

    def new(self) -> Any:
        """The instance to create; callable defaults are called.

        Raises:
            InvalidValue: One is an expression, for which there is no row yet.
        """
        defaults = called(self.defaults if self.create_defaults is None else self.create_defaults)
        for name, value in defaults.items():
            if is_expression(value):
                raise InvalidValue(
                    f"update_or_create(defaults) has {name}={value!r}, which is worked out from the row, and there is "
                    f"none yet; say what a new {self.model.__name__} has: create_defaults={{{name!r}: ...}}"
                )
        return self.model(**{**self.values, **defaults})

    def read(self, compiler: Compiler, *, is_locking: bool = False) -> Plan[Any]:
        """The row that matches, or None; locked where the backend locks rows."""
        query = self.query
        if is_locking and compiler.backend == "postgresql":
            query = query.replaced(lock=Lock())
        found = yield from read.one(compiler, query, self.load)
        if len(found) > 1:
            raise self.model.MultipleObjectsReturned(f"more than one {self.model.__name__} matches")
        return found[0] if found else None


def called(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults with the callable ones called."""
    return {name: value() if callable(value) else value for name, value in defaults.items()}


@writing
def create(compiler: Compiler, instance: T, alias: str) -> Plan[T]:
    """Saves a new instance and gives it back."""
    yield from saving.save(compiler, instance, alias, True)
    return instance


@writing
def get_or_create(compiler: Compiler, asked: Upsert, depth: int) -> Plan[tuple[Any, bool]]:
    """Reads, or writes, or reads what somebody else wrote meanwhile."""
    depth += yield from opened(asked.model)
    return (
        yield from upsert.get_or_create(
            compiler,
            lambda: asked.read(compiler),
            lambda: create(compiler, asked.new(), asked.alias),
            depth=depth,
        )
    )


@writing
def update_or_create(compiler: Compiler, asked: Upsert, depth: int) -> Plan[tuple[Any, bool]]:
    """Writes the defaults to the row that matches, or makes one; the row is locked from the read to the write."""
    depth += yield from opened(asked.model)

    def steps() -> Plan[tuple[Any, bool]]:
        found, is_new = yield from upsert.get_or_create(
            compiler,
            lambda: asked.read(compiler, is_locking=True),
            lambda: create(compiler, asked.new(), asked.alias),
            depth=depth + 1,
        )
        if not is_new:
            for name, value in called(asked.defaults).items():
                setattr(found, name, value)
            yield from saving.save(compiler, found, asked.alias)
        return found, is_new

    return (yield from transaction.nested(compiler.backend, steps, depth=depth))
