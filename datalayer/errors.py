"""Every error datalayer raises, in one tree.

    DatalayerError
    ├── ConfigurationError              settings: what is wrong, at which key, from which place
    │   └── SettingsNotConfigured       nothing was configured and no project file was found
    ├── MissingExtra                    an optional dependency is needed (also an ImportError)
    ├── ModelError                      a model class cannot be built as declared (also a TypeError)
    ├── QueryError                      a query is wrong; nothing was sent
    │   ├── FieldError                  an unknown field, relation or lookup name
    │   ├── InvalidValue                a value of the wrong type for its column (also a ValueError)
    │   ├── NotSupported                the bound database lacks the feature
    │   └── SyncInAsyncContext          a blocking call inside a running event loop (also a RuntimeError)
    ├── ObjectDoesNotExist              parent of every Model.DoesNotExist
    ├── MultipleObjectsReturned         parent of every Model.MultipleObjectsReturned
    ├── NotUpdated                      a forced update matched no row
    ├── NotLoaded                       (also an AttributeError)
    │   ├── FieldNotLoaded              a deferred or never set column was read
    │   └── RelationNotLoaded           a relation was read that no query has loaded
    ├── TransactionError                atomic() used wrongly, or a broken transaction used again
    ├── DatabaseError                   what the database said; the driver's error is the __cause__
    │   ├── IntegrityError
    │   │   ├── UniqueViolation
    │   │   ├── ForeignKeyViolation
    │   │   │   └── ProtectedError      a delete stopped by rows that still refer to it
    │   │   ├── NotNullViolation
    │   │   ├── CheckViolation
    │   │   └── ExclusionViolation
    │   ├── DataError                   a value the database cannot hold
    │   ├── ProgrammingError            the SQL itself is refused
    │   │   ├── UndefinedTable
    │   │   └── UndefinedColumn
    │   └── OperationalError            the database cannot do it now
    │       ├── ConnectionFailed        no connection could be made
    │       ├── ConnectionLost          an established connection broke
    │       │   └── TransactionResolutionUnknown   it broke while COMMIT was under way
    │       ├── SerializationFailure
    │       ├── DeadlockDetected
    │       ├── LockTimeout
    │       ├── StatementTimeout
    │       ├── ReadOnlyTransaction
    │       └── DiskFull
    ├── PoolError
    │   ├── PoolTimeout                 (also a TimeoutError)
    │   ├── PoolUnavailable
    │   ├── PoolClosed
    │   ├── TooManyWaiting
    │   ├── PoolOverloaded
    │   ├── PoolDeadlock
    │   ├── PoolFull
    │   ├── ConnectionBroken
    │   ├── WrongEventLoop              (also a RuntimeError)
    │   ├── PoolConfigError             (also a ValueError)
    │   └── LeaseError
    │       ├── LeaseReleased
    │       ├── ForeignLease            (also a ValueError)
    │       └── DoubleRelease
    ├── CommandError                    a command cannot do what it was asked (exit code 1)
    ├── LoadError                       a line of a file of rows cannot be loaded
    └── MigrationError
        └── UnansweredQuestion          a question only a person can answer, and no terminal (exit code 3)

This module knows nothing of the rest of datalayer but `late`, so that every layer may import it.
Messages are one sentence without a full stop: what was asked, what is wrong, the choices, the fix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from datalayer.late import difflib


class DatalayerError(Exception):
    """Parent of every error datalayer raises on purpose."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """The "did you mean" part of an error message.

    Args:
        name: What was asked for.
        choices: Every name that would have been right.

    Returns:
        `"; did you mean 'x'?"` when something is near, and an empty string otherwise.
    """
    if not isinstance(cast("object", name), str):  # what was asked for may be anything
        return ""
    found = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def choices_text(choices: Iterable[str]) -> str:
    """The choices of an error message, sorted and joined by commas; `(none)` for no choice at all."""
    return ", ".join(sorted(choices)) or "(none)"


# -- settings -----------------------------------------------------------------------------------


class ConfigurationError(DatalayerError):
    """A setting is unknown, mistyped or unset.

    Attributes:
        key: The dotted key, such as `databases.default.url`; None when no key can be named.
        origin: Where the value came from, such as `datalayer.toml:5`; None when it came from nowhere.
    """

    def __init__(self, message: str, *, key: str | None = None, origin: str | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.origin = origin


class SettingsNotConfigured(ConfigurationError):
    """Settings were needed and neither a project file nor `configure()` gave any."""


class MissingExtra(DatalayerError, ImportError):
    """An optional dependency is needed: the message names the extra to install."""


# -- models and queries: refused before anything is sent ----------------------------------------


class ModelError(DatalayerError, TypeError):
    """A model class cannot be built as it is declared."""


class QueryError(DatalayerError):
    """A query is wrong; it was refused when it was built and nothing was sent."""


class FieldError(QueryError):
    """A field, relation or lookup name that does not exist.

    Attributes:
        name: What was asked for.
        choices: The names that exist at that place, sorted.
    """

    def __init__(self, message: str, *, name: str | None = None, choices: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.choices = tuple(sorted(choices))


class InvalidValue(QueryError, ValueError):
    """A value of the wrong type, or out of range, for the column it meets."""


class NotSupported(QueryError):
    """The database that would run the query lacks the feature."""


class SyncInAsyncContext(QueryError, RuntimeError):
    """A blocking call was made inside a running event loop; the message names the `a` twin."""


class ObjectDoesNotExist(DatalayerError):
    """No row matched; each model has its own subclass, `Model.DoesNotExist`."""


class MultipleObjectsReturned(DatalayerError):
    """More than one row matched `get()`; each model has its own subclass."""


class NotUpdated(DatalayerError):
    """`save()` of an existing row matched no row: it is gone from the database."""


class NotLoaded(DatalayerError, AttributeError):
    """Something was read that no query has loaded."""


class FieldNotLoaded(NotLoaded):
    """A column was read that was deferred, or that is not set before the first save."""


class RelationNotLoaded(NotLoaded):
    """A relation was read that no query has loaded; the message names the way to load it."""


class TransactionError(DatalayerError):
    """`atomic()` was used wrongly, or a transaction that is already broken was used again."""


# -- what the database said ---------------------------------------------------------------------


class DatabaseError(DatalayerError):
    """An error of the database; the driver's own error is the `__cause__`.

    Attributes:
        alias: The alias of the database, when known.
        model: The name of the model whose statement failed, when known.
        table: The table the database named, when it did.
        columns: The columns the database or our metadata named.
        constraint: The constraint the database or our metadata named.
        values: The offending values by column, where the database or our metadata can tell.
        sqlstate: The five character code of PostgreSQL, when there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        alias: str | None = None,
        model: str | None = None,
        table: str | None = None,
        columns: Sequence[str] = (),
        constraint: str | None = None,
        values: Mapping[str, object] | None = None,
        sqlstate: str | None = None,
    ) -> None:
        super().__init__(message)
        self.alias = alias
        self.model = model
        self.table = table
        self.columns = tuple(columns)
        self.constraint = constraint
        self.values: Mapping[str, object] = dict(values or {})
        self.sqlstate = sqlstate


class IntegrityError(DatabaseError):
    """A constraint of the database was violated."""


class UniqueViolation(IntegrityError):
    """Another row has the same value where values must differ."""


class ForeignKeyViolation(IntegrityError):
    """A row refers to one that does not exist, or one that is referred to would go away."""


class ProtectedError(ForeignKeyViolation):
    """A delete was stopped by rows that still refer to the deleted ones.

    Attributes:
        protected_objects: The rows in the way, at most 100 of each foreign key.
    """

    protected_objects: tuple[object, ...] = ()


class NotNullViolation(IntegrityError):
    """NULL in a column that must have a value."""


class CheckViolation(IntegrityError):
    """A CHECK constraint refused the row."""


class ExclusionViolation(IntegrityError):
    """An exclusion constraint of PostgreSQL refused the row."""


class DataError(DatabaseError):
    """A value the database cannot hold: out of range, too long, of no valid form."""


class ProgrammingError(DatabaseError):
    """The database refused the SQL itself."""


class UndefinedTable(ProgrammingError):
    """The table does not exist; often a migration was not applied."""


class UndefinedColumn(ProgrammingError):
    """The column does not exist; often a migration was not applied."""


class OperationalError(DatabaseError):
    """The database cannot do it at this moment."""


class ConnectionFailed(OperationalError):
    """No connection could be made: the server is down, the password or the file name is wrong.

    Attributes:
        is_fatal: True when trying again cannot help (wrong password, unknown database).
    """

    is_fatal: bool = False


class ConnectionLost(OperationalError):
    """An established connection broke while it was used.

    A transaction it was in is rolled back by the database. A statement outside of one may have been done or not.
    """


class TransactionResolutionUnknown(ConnectionLost):
    """The connection broke while COMMIT was under way: the database may have committed, or rolled back.

    Nobody on this side can tell; look whether the rows are there before the work is done again. The name is that of
    SQLSTATE 08007 (PostgreSQL's manual, appendix A).
    """


class SerializationFailure(OperationalError):
    """A concurrent transaction was in the way; running the transaction again is the cure."""


class DeadlockDetected(OperationalError):
    """Two transactions waited for each other, and this one was chosen to fail."""


class LockTimeout(OperationalError):
    """A lock was not to be had in time (on SQLite: the database is locked)."""


class StatementTimeout(OperationalError):
    """The statement took longer than it may, or was cancelled."""


class ReadOnlyTransaction(OperationalError):
    """A write in a read-only transaction, on a standby server or to a read-only file.

    Attributes:
        is_failover: True when the server itself takes no writes, whatever the transaction: it became a standby.
    """

    is_failover: bool = False


class DiskFull(OperationalError):
    """The database has no room left on its disk."""


# -- pools --------------------------------------------------------------------------------------


class PoolError(DatalayerError):
    """Parent of everything a pool refuses."""


class PoolTimeout(PoolError, TimeoutError):
    """No connection could be had in time.

    Attributes:
        reason: `exhausted`, `connecting`, `unavailable`, `paused` or `validating`.
        waited: How long the caller waited, in seconds.
        stats: The pool's statistics at that moment.
        holders: Who holds the connections, one line each.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "exhausted",
        waited: float = 0.0,
        stats: object = None,
        holders: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.waited = waited
        self.stats = stats
        self.holders = tuple(holders)


class PoolUnavailable(PoolError):
    """The database behind the pool cannot be reached and the pool was told to fail fast."""


class PoolClosed(PoolError):
    """The pool is not open: never opened, being closed, or closed."""


class TooManyWaiting(PoolError):
    """The queue has reached `max_waiting`."""


class PoolOverloaded(PoolError):
    """The queue was too slow for too long and the newest caller was turned away."""


class PoolDeadlock(PoolError):
    """Every connection is held by somebody who waits for another one of the same pool."""


class PoolFull(PoolError):
    """`add()` found no room; the connection stays with the caller, in `.connection`."""

    def __init__(self, message: str, connection: object = None) -> None:
        super().__init__(message)
        self.connection = connection


class ConnectionBroken(PoolError):
    """`add()` was given a broken connection; it stays with the caller, in `.connection`."""

    def __init__(self, message: str, connection: object = None) -> None:
        super().__init__(message)
        self.connection = connection


class WrongEventLoop(PoolError, RuntimeError):
    """An asyncio pool was used from a loop that it does not belong to."""


class PoolConfigError(PoolError, ValueError):
    """A value of the pool's configuration is out of its range; the message names field and range."""


class LeaseError(PoolError):
    """Parent of everything that can be done wrong with a lease."""


class LeaseReleased(LeaseError):
    """A lease was used after it was given back."""


class ForeignLease(LeaseError, ValueError):
    """A lease or connection of another pool was given back to this one."""


class DoubleRelease(LeaseError):
    """A lease was given back twice."""


# -- migrations ---------------------------------------------------------------------------------


class MigrationError(DatalayerError):
    """A migration cannot be found, made or applied."""


class UnansweredQuestion(MigrationError):
    """A question only a person can answer came up where nobody can be asked."""


# -- data ---------------------------------------------------------------------------------------


class CommandError(DatalayerError):
    """A command cannot do what it was asked; one of the project's own raises it for one line on stderr, exit code 1."""


class LoadError(DatalayerError):
    """A line of a file of rows cannot be loaded; nothing of the file was.

    Attributes:
        line: Its number, from 1.
        model: The name of its model, when known.
        field: The name of the field that is wrong, when it is one.
    """

    def __init__(self, message: str, *, line: int, model: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.model = model
        self.field = field
