"""What `class Meta` may hold besides plain values: constraints and indexes."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from datalayer._query import condition as nodes
from datalayer._schema.field import DatabaseDefault
from datalayer._schema.table import NO_WORDS, Initially, Violation
from datalayer.errors import ModelError, choices_text, nearest
from datalayer.late import dataclass
from datalayer.models.django_words import CHECK, EXCLUSION, INDEX, UNIQUE, taught

if TYPE_CHECKING:
    from datalayer.models.column import Condition
    from datalayer.models.expressions import F, Q

    Given: TypeAlias = "str | Mapping[str, str] | Q | F | Condition[Any] | Callable[[], Condition[Any] | Q]"
    """A condition: SQL, a `Q`, a typed condition, or a function of no arguments that gives one of these two."""

BACKENDS = ("sqlite", "postgresql")


def is_node(given: object) -> bool:
    """Whether a condition is no SQL yet, and must wait for the table of its model."""
    return isinstance(given, nodes.Condition) or hasattr(given, "resolved") or callable(given)


def _check_condition(given: object, place: str) -> None:
    """Refuses what is no condition.

    Raises:
        ModelError: It is neither SQL nor a condition, or SQL for a backend that there is not.
    """
    if given is None or is_node(given):
        return
    texts: Mapping[str, object] = cast("Any", given) if isinstance(given, Mapping) else {"sqlite": given}
    unknown = next((name for name in texts if name not in BACKENDS), None)
    if unknown is not None:
        raise ModelError(
            f"{place} has SQL for {unknown!r}; the backends are {choices_text(BACKENDS)}{nearest(unknown, BACKENDS)}"
        )
    wrong = next((text for text in texts.values() if not isinstance(text, str) or not text.strip()), None)
    if wrong is not None or not texts:
        raise ModelError(
            f"{place} is a condition, such as Q(stock__gte=0), lambda: Book.stock >= 0 or the SQL '\"stock\" >= 0', "
            f"and {given!r} is none"
        )


def _violation(message: object, code: object, place: str) -> Violation:
    for option, value in (("violation_error_message", message), ("violation_error_code", code)):
        if value is not None and (not isinstance(value, str) or not value):
            raise ModelError(f"{place} has {option}={value!r}; give a text")
    return Violation(cast("str | None", message), cast("str | None", code)) if message or code else NO_WORDS


def _listed(given: Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _check_opclasses(fields: Sequence[object], opclasses: Sequence[str], place: str) -> None:
    """Refuses a constraint or an index of nothing, and operator classes that cannot be told which field they are of.

    Raises:
        ModelError: There are no fields, or the number of operator classes is not theirs.
    """
    if not fields:
        raise ModelError(f'{place} needs the fields it is about: {place}("title", "author")')
    wrong: Any = next((field for field in fields if not isinstance(field, str | DatabaseDefault)), None)
    if isinstance(wrong, list | tuple):
        given = ", ".join([repr(name) for name in cast("list[object]", wrong)])
        raise ModelError(f"{place} was given {wrong!r}; name its fields one by one: {place}({given})")
    if wrong is not None:
        raise ModelError(
            f"{place} was given {wrong!r}; it takes names of fields, and expressions as SQL with a name: "
            f"{place}(Sql('lower(\"title\")'), name=...)"
        )
    if opclasses and len(opclasses) != len(fields):
        raise ModelError(
            f"{place} has {len(opclasses)} opclasses for {len(fields)} fields; give one for each, and an empty text "
            "where the usual one will do"
        )


class Deferrable(enum.Enum):
    """That the check of a constraint can be put off to the end of the transaction, and whether it is.

    `SET CONSTRAINTS` changes it within a transaction on PostgreSQL
    (https://www.postgresql.org/docs/current/sql-set-constraints.html).
    """

    DEFERRED = "DEFERRED"
    """At the end of the transaction."""
    IMMEDIATE = "IMMEDIATE"
    """After each statement, unless the transaction says otherwise."""


def initially(deferrable: object, place: str) -> Initially | None:
    """When a constraint is checked, as the database is told.

    Raises:
        ModelError: It is no `Deferrable`.
    """
    if deferrable is None:
        return None
    if not isinstance(deferrable, Deferrable):
        raise ModelError(f"{place} is {deferrable!r}; the choices are Deferrable.DEFERRED and Deferrable.IMMEDIATE")
    return "DEFERRED" if deferrable is Deferrable.DEFERRED else "IMMEDIATE"


@dataclass(frozen=True, slots=True, init=False)
class UniqueConstraint:
    """Rows differ in at least one of the named fields; one of a single field takes the place of its `unique=True`.

    Args:
        fields: Names of fields or forward relations; or expressions as `Sql('lower("email")')`, which need a name.
        name: Its name in the database; made from table and columns where it is not given.
        condition: Limits it to some rows (a partial unique index); written as that of a `CheckConstraint`.
        nulls_distinct: Whether two NULLs count as different, as the standard says.
        deferrable: Whether rows may be alike until the end of the transaction; SQLite checks each row at once all the
            same.
        include: Names of fields whose values come along, so that PostgreSQL need not look into the table.
        opclasses: The operator classes of PostgreSQL, one for each field.
        violation_error_message: What `validate_constraints()` says of a row that is in the way.
        violation_error_code: The type of that error.

    Raises:
        ModelError: The condition is none; the operator classes are not as many as the fields; `deferrable` with
            what PostgreSQL can only say as an index, which is never deferrable.
    """

    fields: tuple[str | DatabaseDefault, ...]
    name: str | None
    condition: Given | None
    nulls_distinct: bool
    deferrable: Deferrable | None
    include: tuple[str, ...]
    opclasses: tuple[str, ...]
    violation: Violation

    @taught("UniqueConstraint", UNIQUE)
    def __init__(
        self,
        *fields: str | DatabaseDefault,
        name: str | None = None,
        condition: Given | None = None,
        nulls_distinct: bool = True,
        deferrable: Deferrable | None = None,
        include: Sequence[str] = (),
        opclasses: Sequence[str] = (),
        violation_error_message: str | None = None,
        violation_error_code: str | None = None,
    ) -> None:
        _check_condition(condition, "UniqueConstraint(condition=...)")
        _check_opclasses(fields, _listed(opclasses), "UniqueConstraint")
        initially(deferrable, "UniqueConstraint(deferrable=...)")
        others = ["condition"] if condition is not None else []
        others += [option for option, value in (("include", include), ("opclasses", opclasses)) if value]
        others += ["an expression"] if any(not isinstance(field, str) for field in fields) else []
        if deferrable is not None and others:
            raise ModelError(
                f"UniqueConstraint has deferrable= and {others[0]}, which only an index can have, and an index is "
                "never deferrable; leave one of them away"
            )
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "nulls_distinct", nulls_distinct)
        object.__setattr__(self, "deferrable", deferrable)
        object.__setattr__(self, "include", _listed(include))
        object.__setattr__(self, "opclasses", _listed(opclasses))
        violation = _violation(violation_error_message, violation_error_code, "UniqueConstraint")
        object.__setattr__(self, "violation", violation)


@dataclass(frozen=True, slots=True, init=False)
class CheckConstraint:
    """A condition that is false for no row; as in SQL, one that is NULL is met.

    Args:
        condition: `Q(price__gt=0)`; `lambda: Book.price > 0`, typed; or SQL, the same everywhere or keyed by backend
            name, with columns as `"quoted names"`.
        name: Its name in the database.
        violation_error_message: What `validate_constraints()` says of a row that does not meet it.
        violation_error_code: The type of that error.

    Raises:
        ModelError: The condition is none.
    """

    condition: Given
    name: str
    violation: Violation

    @taught("CheckConstraint", CHECK)
    def __init__(
        self,
        condition: Given,
        *,
        name: str,
        violation_error_message: str | None = None,
        violation_error_code: str | None = None,
    ) -> None:
        place = f"CheckConstraint(name={name!r})"
        _check_condition("" if condition is None else condition, place)  # pyright: ignore[reportUnnecessaryComparison] - who does not check types
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "violation", _violation(violation_error_message, violation_error_code, place))


@dataclass(frozen=True, slots=True, init=False)
class ExclusionConstraint:
    """No two rows for which all operators hold: `ExclusionConstraint(("room", "&&"), ("nights", "&&"))`.

    PostgreSQL only; tables of it cannot be made on SQLite.

    Args:
        pairs: Names of fields or forward relations, each with the operator between two rows, such as `&&` or `=`.
        name: Its name in the database; made from table and columns where it is not given.
        condition: Limits it to some rows; written as that of a `CheckConstraint`.
        method: The index method behind it.
        violation_error_message: What `validate_constraints()` says of a row that is in the way.
        violation_error_code: The type of that error.
    """

    pairs: tuple[tuple[str, str], ...]
    name: str | None
    condition: Given | None
    method: str
    violation: Violation

    @taught("ExclusionConstraint", EXCLUSION)
    def __init__(
        self,
        *pairs: tuple[str, str],
        name: str | None = None,
        condition: Given | None = None,
        method: str = "gist",
        violation_error_message: str | None = None,
        violation_error_code: str | None = None,
    ) -> None:
        _check_condition(condition, "ExclusionConstraint(condition=...)")
        given: tuple[object, ...] = pairs
        wrong = next((pair for pair in given if not _is_pair(pair)), None)
        if wrong is not None or not pairs:
            raise ModelError(
                f'ExclusionConstraint takes fields with their operators, such as ("nights", "&&"), not {wrong!r}'
            )
        object.__setattr__(self, "pairs", pairs)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "method", method)
        violation = _violation(violation_error_message, violation_error_code, "ExclusionConstraint")
        object.__setattr__(self, "violation", violation)


def _is_pair(given: object) -> bool:
    pair = cast("tuple[object, ...]", given) if isinstance(given, tuple) else ()
    return (
        len(pair) == 2
        and all(isinstance(part, str) for part in pair)
        and re.fullmatch(r"[-+*/<>=~!@#%^&|`?]+", str(pair[1])) is not None
    )


@dataclass(frozen=True, slots=True, init=False)
class Index:
    """An index over one or more fields.

    Args:
        fields: Names of fields or forward relations, `-name` for descending; or expressions as `Sql('lower("name")')`.
        name: Its name in the database; made from table and columns where it is not given, needed for an expression.
        condition: Limits it to some rows; written as that of a `CheckConstraint`.
        method: The index method of PostgreSQL, such as `gin`.
        include: Names of fields whose values come along, so that PostgreSQL need not look into the table.
        unique: Whether what it holds may come only once; of plain fields a `UniqueConstraint` says more.
        opclasses: The operator classes of PostgreSQL, such as `gin_trgm_ops`, one for each field.

    Raises:
        ModelError: The condition is none; the operator classes are not as many as the fields.
    """

    fields: tuple[str | DatabaseDefault, ...]
    name: str | None
    condition: Given | None
    method: str | None
    include: tuple[str, ...]
    unique: bool
    opclasses: tuple[str, ...]

    @taught("Index", INDEX)
    def __init__(
        self,
        *fields: str | DatabaseDefault,
        name: str | None = None,
        condition: Given | None = None,
        method: str | None = None,
        include: Sequence[str] = (),
        unique: bool = False,
        opclasses: Sequence[str] = (),
    ) -> None:
        _check_condition(condition, "Index(condition=...)")
        _check_opclasses(fields, _listed(opclasses), "Index")
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "include", _listed(include))
        object.__setattr__(self, "unique", unique)
        object.__setattr__(self, "opclasses", _listed(opclasses))
