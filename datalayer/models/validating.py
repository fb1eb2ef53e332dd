"""The plan of `validate_constraints()`: which constraints an instance would not meet, asked before it is saved.

It is for messages beside the fields of a form: between the answer and the save somebody may write the same, and then
the database says so, with `UniqueViolation` and its like.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from datalayer._compile.compiler import Compiler
from datalayer._plans.plan import Plan
from datalayer._schema.table import CheckSpec, ExclusionSpec, TableSpec, UniqueSpec
from datalayer.models.saving import take_keys
from datalayer.models.state import origin_of

_CODES = {CheckSpec: "check", UniqueSpec: "unique", ExclusionSpec: "exclusion"}


def validate(compiler: Compiler, instance: Any, alias: str, *, only_unique: bool = False) -> Plan[None]:
    """Asks the database in one statement which constraints the values of the instance would break.

    Constraints on fields that have no value yet, or that the database computes, are not looked at.

    Raises:
        ValidationError: There are such; one error for each constraint.
    """
    take_keys(instance, alias)
    table: TableSpec = instance.__class__.table
    given = instance.__dict__
    known = tuple([name for name, field in table.fields.items() if name in given and field.generated is None])
    own = origin_of(instance) is not None and set(table.primary_key) <= set(known)
    rules = _rules(table, compiler.backend, own, only_unique)
    asked = [
        (rule, fields)
        for rule in rules
        if set(fields := _fields(table, rule)) <= set(known) and not _is_free(rule, given)
    ]
    if not asked:
        return
    prepared = compiler.row_rules(table, known, tuple([rule for rule, _ in asked]), own)
    reply = yield prepared.command([given[name] for name in known])
    (row,) = reply.rows
    wrong = [_told(table, rule, fields, given) for (rule, fields), broken in zip(asked, row, strict=True) if broken]
    if wrong:
        raise ValidationError.from_exception_data(table.model, wrong)


def _rules(
    table: TableSpec, backend: str, own: bool, only_unique: bool
) -> list[CheckSpec | UniqueSpec | ExclusionSpec]:
    keys = [] if own else [UniqueSpec("the primary key", table.primary_key)]
    if only_unique:
        return [*keys, *table.unique]
    return [*table.checks, *keys, *table.unique, *(table.exclusions if backend == "postgresql" else ())]


def _fields(table: TableSpec, rule: CheckSpec | UniqueSpec | ExclusionSpec) -> tuple[str, ...]:
    """The fields a rule is about."""
    if isinstance(rule, CheckSpec):
        return rule.fields or table.named_in(rule.sql)
    found = [name for name in rule.fields if not name.startswith("(")]
    texts = [name for name in rule.fields if name.startswith("(")]
    for text in (*texts, *([] if rule.condition is None else [rule.condition])):
        found += table.named_in(text)
    return tuple(dict.fromkeys(found))


def _is_free(rule: CheckSpec | UniqueSpec | ExclusionSpec, given: dict[str, Any]) -> bool:
    """Whether a NULL makes a row differ from all others."""
    return isinstance(rule, UniqueSpec) and rule.nulls_distinct and any(given.get(n, 0) is None for n in rule.fields)


def _told(
    table: TableSpec, rule: CheckSpec | UniqueSpec | ExclusionSpec, fields: tuple[str, ...], given: dict[str, Any]
) -> InitErrorDetails:
    names = ", ".join(fields)
    if isinstance(rule, CheckSpec):
        message = f"{table.model} breaks the constraint {rule.name!r}"
    elif isinstance(rule, UniqueSpec):
        message = f"another {table.model} has the same {names}"
    else:
        message = f"another {table.model} excludes this one, by the constraint {rule.name!r} on {names}"
    said = {"message": rule.violation.message or message}
    code = rule.violation.code or _CODES[type(rule)]
    kind = cast("Any", PydanticCustomError)(code, "{message}", said)  # a code that is no literal
    return {"type": kind, "loc": fields, "input": tuple([given[name] for name in fields])}


__all__ = ["validate"]
