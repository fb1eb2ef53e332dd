"""`select_for_update`: what it locks, and where it may be asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datalayer._query.lock import Lock
from datalayer._query.query import Query
from datalayer.databases import current
from datalayer.errors import (
    FieldError,
    QueryError,
    TransactionError,
    choices_text,
    nearest,
)


def lock_of(query: Query, of: Iterable[Any], *, nowait: bool, skip_locked: bool, no_key: bool) -> Lock:
    """The lock that `select_for_update` asks for.

    Raises:
        QueryError: `nowait` together with `skip_locked`.
        FieldError: `of` names what does not come along.
    """
    if nowait and skip_locked:
        raise QueryError(
            "select_for_update(nowait=True, skip_locked=True): a locked row is an error or is left out, so keep one"
        )
    # Whom no checker told gives one name.
    if isinstance(of, str) or not isinstance(of, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise QueryError(f"select_for_update(of={of!r}) takes a tuple of names: of=({of!r},)")
    choices = {"self": (), **{"__".join(path): path for path in query.joined}}
    paths: list[tuple[str, ...]] = []
    for item in of:
        name = item if isinstance(item, str) else "__".join(getattr(item, "path", ("?",)))
        if name not in choices:
            raise FieldError(
                f"select_for_update(of=...) names {name!r}, which is not in this query; the choices are "
                f"{choices_text(choices)}{nearest(name, choices)}; relations come along by select_related()",
                name=name,
                choices=choices,
            )
        paths.append(choices[name])
    return Lock(no_key, tuple(paths), "nowait" if nowait else "skip locked" if skip_locked else "wait")


def check_transaction(query: Query, alias: str) -> None:
    """Makes sure that a lock outlives the statement that takes it.

    Of SQLite, too: a transaction that may write has locked the whole database as it began, and every row with it.

    Raises:
        TransactionError: There is no transaction, or one that only reads.
    """
    transaction = current.transaction(alias)
    if transaction is None:
        raise TransactionError(
            f"select_for_update() of {query.table.model} outside of atomic(): the lock would end with the statement; "
            f"put the query and what it protects into one 'with atomic({alias!r}):'"
        )
    if transaction.read_only:
        raise TransactionError(
            f"select_for_update() of {query.table.model} in atomic(read_only=True), which locks nothing; leave out the "
            "one or the other"
        )
