"""Hooks: methods of a model that are called before and after its rows are saved and deleted.

They are marked by decorators, as pydantic's validators are: a model may have several, each with a name that says what
it does; those of abstract parents come along; nobody can forget `super()`; and every way to save a row one by one
calls them, where an overridden `save()` would be passed by. A hook and the write it belongs to are one transaction.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar, cast

from datalayer._plans.plan import Call, Command, Plan, calling
from datalayer.errors import ModelError
from datalayer.late import dataclass

Hook: TypeAlias = (
    Callable[[Any], None]
    | Callable[[Any], Awaitable[None]]
    | Callable[[Any, "Change"], None]
    | Callable[[Any, "Change"], Awaitable[None]]
)
"""A method without arguments, or with what is changed; plain, or an `async def`, which only awaiting calls can run."""

H = TypeVar("H", bound=Hook)

_MARK: Final = "__datalayer_hook__"


@dataclass(frozen=True, slots=True)
class Change:
    """What a hook is told about the write it belongs to.

    Attributes:
        is_new: Whether the row is inserted.
        fields: What is written, by field; empty for a delete. Before a save it is what is known to be written so far.
        using: The alias of the database.
    """

    is_new: bool
    fields: tuple[str, ...]
    using: str


def _marked(kind: str, hook: Any) -> Any:
    if not inspect.isfunction(hook) or inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        raise ModelError(f"@{kind} marks a method, a def or an async def, not {hook!r}")
    setattr(hook, _MARK, (*getattr(hook, _MARK, ()), kind))
    return hook


def before_save(hook: H) -> H:
    """Marks a method that is called before a row is inserted or updated; what it changes is written along.

    An error of it stops the save. Bulk operations and `update()` do not call it.
    """
    return cast("H", _marked("before_save", hook))


def after_save(hook: H) -> H:
    """Marks a method that is called after a row was inserted or updated, in the same transaction.

    An error of it undoes the save. A save that had nothing to write does not call it, and neither do bulk operations.
    """
    return cast("H", _marked("after_save", hook))


def before_delete(hook: H) -> H:
    """Marks a method that is called before a row is deleted, by `delete()` or by a cascade; an error stops that."""
    return cast("H", _marked("before_delete", hook))


def after_delete(hook: H) -> H:
    """Marks a method that is called after a row was deleted, in the same transaction; an error of it undoes that."""
    return cast("H", _marked("after_delete", hook))


@dataclass(frozen=True, slots=True)
class Marked:
    """A hook of a model: its name there, its function, and whether it takes a `Change`."""

    name: str
    function: Callable[..., object]
    takes_change: bool

    @property
    def is_async(self) -> bool:
        """Whether it can only be awaited."""
        return inspect.iscoroutinefunction(self.function)

    def call(self, instance: Any, change: Change) -> Command:
        """What a plan yields to have it called."""
        arguments = (instance, change) if self.takes_change else (instance,)
        return calling(Call(partial(self.function, *arguments)))


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of a model, parents' first."""

    model: str
    before_save: tuple[Marked, ...] = ()
    after_save: tuple[Marked, ...] = ()
    before_delete: tuple[Marked, ...] = ()
    after_delete: tuple[Marked, ...] = ()

    @property
    def saves(self) -> tuple[Marked, ...]:
        """Those of saving."""
        return self.before_save + self.after_save

    @property
    def deletes(self) -> tuple[Marked, ...]:
        """Those of deleting."""
        return self.before_delete + self.after_delete

    def beginning(self, hooks: tuple[Marked, ...]) -> Command:
        """The first thing a plan that calls some of them yields."""
        awaiting = next((f"{self.model}.{hook.name}" for hook in hooks if hook.is_async), None)
        return calling(Call(None, awaiting))


WITH_DELETES: Final[set[str]] = set()
"""The models that have hooks of deleting, or take part when rows they refer to are deleted; while there are none, no
delete looks for any."""


def collected(cls: Any) -> Hooks | None:
    """The hooks of a new class; None where it has none.

    Raises:
        ModelError: One takes too many arguments.
    """
    found: dict[str, Any] = {}
    mro: tuple[type, ...] = cls.__mro__
    for base in reversed(mro):
        for name, value in list(vars(base).items()):
            if name in found or (inspect.isfunction(value) and hasattr(value, _MARK)):
                found[name] = value  # the same name in a subclass takes its place
    kinds: dict[str, list[Marked]] = {}
    for name, function in found.items():
        for kind in getattr(function, _MARK, ()):
            taken = len(inspect.signature(function).parameters) - 1
            if taken not in (0, 1):
                raise ModelError(f"{cls.__name__}.{name} is a hook and takes self, and the Change if it wants it")
            kinds.setdefault(kind, []).append(Marked(name, function, taken == 1))
    if not kinds:
        return None
    if "before_delete" in kinds or "after_delete" in kinds:
        WITH_DELETES.add(cls.__name__)
    return Hooks(cls.__name__, **{kind: tuple(hooks) for kind, hooks in kinds.items()})


def hooks_of(model: Any) -> Hooks | None:
    """The hooks of a model."""
    found: Hooks | None = model.__datalayer_hooks__
    return found


def opened(model: Any) -> Plan[int]:
    """Begins a plan that will save new rows of a model; gives how many transactions its hooks have opened: 1 or 0."""
    hooks = hooks_of(model)
    if hooks is None or not hooks.saves:
        return 0
    yield hooks.beginning(hooks.saves)
    return 1
