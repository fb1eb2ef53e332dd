"""`sample`: a part of a table that chance decides."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from datalayer._query.query import Query
from datalayer._query.source import NO_EXTRA, NO_SAMPLE, Sample
from datalayer.errors import NotSupported, QueryError, choices_text, nearest
from datalayer.models.bound import backend_of

_METHODS: Final = ("bernoulli", "system")


def sampled(query: Query, alias: str, percent: object, method: str, seed: object) -> Query:
    """The query over a sample of its table.

    Raises:
        QueryError: A number or a method that there is not, or rows that are not those of the table itself.
        NotSupported: The database has no samples.
    """
    if query.limit is not None or query.offset is not None:
        raise QueryError("sample() of a sliced query; call sample() first, then slice")
    if query.extra is not None and (query.extra.source is not None or query.extra.ctes):
        raise QueryError("sample() is of a table, and these are rows of another query; take the sample inside of it")
    if method not in _METHODS:
        raise QueryError(
            f"sample(method={method!r}): the choices are {choices_text(_METHODS)}{nearest(method, _METHODS)}"
        )
    share = _number(percent)
    if share is None or not 0 <= share <= 100:
        raise QueryError(f"sample({percent!r}): how much is a number of percent, from 0 to 100")
    number = None if seed is None else _number(seed)
    if seed is not None and number is None:
        raise QueryError(f"sample(seed={seed!r}): a seed is a number")
    if backend_of(alias) == "sqlite":
        raise NotSupported(NO_SAMPLE)
    found = Sample(method.upper(), format(share, "f"), None if number is None else f"({number:f})")
    return query.replaced(extra=(query.extra or NO_EXTRA).replaced(sample=found))


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return number if number.is_finite() and abs(number) < 10**30 else None
