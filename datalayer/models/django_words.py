"""Options that Django calls otherwise, or that are none here: what says the same, for who writes them out of habit."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Final, ParamSpec, TypeVar

from datalayer.errors import ModelError, choices_text, nearest

P = ParamSpec("P")
T = TypeVar("T")

_LEAVE: Final = "nothing here makes forms, so leave it away"
_NO_FORMS: Final = {
    **dict.fromkeys(("blank", "editable", "error_messages", "limit_choices_to", "verbose_name"), _LEAVE),
    "verbose_name_plural": _LEAVE,
    **dict.fromkeys(("unique_for_date", "unique_for_month", "unique_for_year"), "use a UniqueConstraint"),
}
_COLUMN: Final = {
    "db_column": "call it column=",
    "db_index": "call it index=",
    "db_comment": "call it comment=",
    "db_collation": "call it collation=",
}
_ONE_BY_ONE: Final = 'name them one by one: {owner}("author", "title")'

FIELD: Final = {
    **_NO_FORMS,
    **_COLUMN,
    "null": "annotate it Mapped[... | None]",
    "primary_key": "write PrimaryKey() instead of Field()",
    "choices": "annotate it with an Enum or a Literal",
    "validators": "use pydantic's: ge=, pattern=, Annotated[..., AfterValidator(...)] or @field_validator",
    "help_text": "call it description=",
    "verbose_name": "call it title=",
    "regex": "call it pattern=",
}
RELATION: Final = {
    **_NO_FORMS,
    **_COLUMN,
    "db_collation": "the key has that of the field it refers to; say collation= there",
    "to": "the target stands in the annotation: author: {owner}[Author] = {owner}()",
    "null": "annotate it {owner}[... | None]; default=None lets it be left out",
    "unique": "write OneToOne",
    "related_query_name": "queries use the related_name as well",
    "help_text": "say it in a comment=",
    "parent_link": "a model has no parent with a table",
}
UNIQUE: Final = {"fields": _ONE_BY_ONE, "expressions": _ONE_BY_ONE}
INDEX: Final = {**UNIQUE, "db_tablespace": "a migration in SQL can move it"}
CHECK: Final = {
    "check": "call it condition=, or give it first: CheckConstraint(Q(price__gt=0), name=...)",
    "no condition": "say what holds for every row: CheckConstraint(Q(price__gt=0), name=...)",
    "no name": 'say what the database calls it, in its errors too: CheckConstraint(..., name="price_is_positive")',
}
EXCLUSION: Final = {
    "expressions": 'give fields with their operators one by one: ExclusionConstraint(("room", "="), ("nights", "&&"))',
    "index_type": "call it method=",
}
META: Final = {
    **_NO_FORMS,
    "db_table": "call it table",
    "db_table_comment": "call it comment",
    "app_label": "there are no apps; what tables are called is said by table",
    "unique_together": 'use constraints = (UniqueConstraint("a", "b"),)',
    "index_together": 'use indexes = (Index("a", "b"),)',
    "order_with_respect_to": "declare a field for the place, and name it in ordering",
    "permissions": "nothing here knows users",
    "default_permissions": "nothing here knows users",
    "swappable": "name another model where one refers to it",
    "select_on_save": "save() inserts what is new and updates what is not",
    "db_tablespace": "a migration in SQL can move the table",
    "required_db_vendor": "what a backend lacks is refused when a query or a table is made",
    "required_db_features": "what a backend lacks is refused when a query or a table is made",
}


def hint(words: Mapping[str, str], name: str, owner: str) -> str:
    """What to write instead of an option, to end a message with; empty where nothing is known."""
    return f"; {words[name].format(owner=owner)}" if name in words else ""


def taught(owner: str, words: Mapping[str, str]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes a function tell of an option that it does not have what to write instead.

    Args:
        owner: What users call it; empty for an `__init__` that subclasses share.
        words: What to write instead of an option, by its name.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        code = function.__code__
        known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        most = None if code.co_flags & inspect.CO_VARARGS else code.co_argcount
        first = code.co_argcount - len(function.__defaults__ or ())
        optional = function.__kwdefaults__ or {}
        needed = [name for place, name in enumerate(known) if place < first or place >= code.co_argcount]
        needed = [name for name in needed if name not in optional]

        @functools.wraps(function)
        def call(*args: P.args, **named: P.kwargs) -> T:
            unknown = next((name for name in named if name not in known), None)
            if unknown is not None or (most is not None and len(args) > most):
                raise _refused(owner or type(args[0]).__name__, words, known, unknown)
            for name in needed:
                if name not in named and name not in known[: min(len(args), code.co_argcount)]:
                    cure = hint(words, f"no {name}", owner) or f"; write {name}=..."
                    raise ModelError(f"{owner or type(args[0]).__name__} needs {name}{cure}")
            return function(*args, **named)

        return call

    return decorate


def _refused(owner: str, words: Mapping[str, str], known: tuple[str, ...], unknown: str | None) -> ModelError:
    choices = [name for name in known if name != "self"]
    if unknown is None:
        return ModelError(f"{owner} takes keywords only{hint(words, 'to', owner) or f', such as {choices[0]}='}")
    cure = hint(words, unknown, owner) or f"; the choices are {choices_text(choices)}{nearest(unknown, choices)}"
    return ModelError(f"{owner} has no option {unknown!r}{cure}")
