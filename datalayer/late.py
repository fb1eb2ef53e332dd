"""What is made when it is first asked for, since making it all would be a good part of what a start costs.

`dataclass` is the standard library's, which writes and compiles six functions for a class. Here it does so when the
first object is made, or when somebody looks at one of them; most programs never meet half of our classes. `asyncio` and
others are the modules of that name, imported when something of them is first used: a blocking program needs no asyncio.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final


class LateModule(ModuleType):
    """A module that is imported when something of it is first used.

    From then on it is a plain module with all that the real one has, and as fast: who replaces a name in the real one
    does not replace it here.
    """

    def __getattr__(self, name: str) -> Any:
        real = import_module(self.__name__)
        self.__dict__.update(real.__dict__)
        self.__class__ = ModuleType  # type: ignore[assignment]  # a module may become one of another class
        return getattr(real, name)


if TYPE_CHECKING:
    import asyncio
    import concurrent.futures as futures
    import difflib
    import tomllib
    from dataclasses import dataclass
else:
    asyncio = LateModule("asyncio")
    difflib = LateModule("difflib")
    futures = LateModule("concurrent.futures")
    tomllib = LateModule("tomllib")

    def dataclass(**options: Any) -> Callable[[type], type]:
        """As that of `dataclasses`, and always with slots, so that the class need not be another one later."""
        return lambda source: _Unwritten(source, options).made


__all__ = ["LateModule", "asyncio", "dataclass", "difflib", "futures", "tomllib"]

_WRITING: Final = RLock()


class _Unwritten:
    """A dataclass without its functions, beside the class as it was declared, which they are written from."""

    __slots__ = ("made", "options", "source")

    def __init__(self, source: type, options: dict[str, Any]) -> None:
        self.options = options
        self.source: type | None = source
        fields = tuple(inspect.get_annotations(source))
        body = {name: value for name, value in source.__dict__.items() if name not in fields}
        body |= {name: _Function(name, self) for name in _lacking(body, **options)}
        body["__slots__"] = fields
        for name in ("__dict__", "__weakref__"):
            body.pop(name, None)
        self.made: Any = type(source)(source.__name__, source.__bases__, body)
        self.made.__qualname__ = source.__qualname__

    def written(self) -> Any:
        """The class, with all that the standard library gives it."""
        with _WRITING:
            if self.source is not None:
                write: Any = dataclasses.dataclass(**self.options)
                here = dict(self.made.__dict__)
                for name, value in write(self.source).__dict__.items():
                    if name not in here or type(here[name]) is _Function:
                        setattr(self.made, name, value)
                self.source = None
        return self.made


class _Function:
    """Stands where a function of a dataclass will be, and has it written when it is looked up."""

    __slots__ = ("name", "unwritten")

    def __init__(self, name: str, unwritten: _Unwritten) -> None:
        self.name = name
        self.unwritten = unwritten

    def __get__(self, instance: object, owner: type) -> Any:
        found = self.unwritten.written().__dict__[self.name]
        return found.__get__(instance, owner) if hasattr(found, "__get__") else found


def _lacking(
    body: dict[str, Any],
    slots: bool,
    init: bool = True,
    repr: bool = True,
    eq: bool = True,
    frozen: bool = False,
    kw_only: bool = False,
) -> Iterator[str]:
    """What a class of these options is given beside what it has itself."""
    yield "__dataclass_fields__"
    wanted = {"__init__": init, "__repr__": repr, "__eq__": eq}
    wanted |= dict.fromkeys(("__setattr__", "__delattr__", "__getstate__", "__setstate__"), frozen)
    yield from (name for name, is_wanted in wanted.items() if is_wanted and name not in body)
    if eq and frozen and body.get("__hash__") is None:
        yield "__hash__"
