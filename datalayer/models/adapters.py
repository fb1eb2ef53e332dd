"""Types of the application's own as columns: kept as a type the database knows, turned into theirs and back."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from pydantic import AnyUrl, Field, TypeAdapter
from pydantic_core import core_schema

from datalayer.errors import ModelError

T = TypeVar("T")


class Adapter(NamedTuple):
    """How values of a type are kept.

    Attributes:
        python: The type.
        like: The annotation of what is kept.
        dump: Turns a value into what is kept.
        load: Turns what is kept into a value.
    """

    python: type
    like: Any
    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]


_URL: Final = Annotated[str, Field(json_schema_extra={"format": "uri"})]
_adapters: dict[type, Adapter] = {}


def register_type(python: type[T], *, like: Any, dump: Callable[[T], Any], load: Callable[[Any], T]) -> None:
    """Makes a type one that columns can have: `register_type(Money, like=Decimal, dump=..., load=...)`.

    A field of it may be assigned a value of the type, or one of the kept type, as JSON brings it; it dumps to JSON as
    what is kept. Register it before the models that use it.

    Args:
        python: The class.
        like: What it is kept as: any annotation a field may have, `Annotated[str, Field(max_length=20)]` for example.
        dump: Turns a value into what is kept.
        load: Turns what is kept into a value.

    Raises:
        ModelError: It is not a class, or is registered already.
    """
    if not isinstance(python, type):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"register_type() takes a class, not {python!r}")
    if python in _adapters:
        raise ModelError(f"{python.__name__} is registered already, as {_adapters[python].like!r}")
    _adapters[python] = Adapter(python, like, dump, load)


@contextmanager
def isolated() -> Generator[None]:
    """Forgets at the end what is registered inside; for tests."""
    before = dict(_adapters)
    try:
        yield
    finally:
        _adapters.clear()
        _adapters.update(before)


def adapter_of(core: object) -> Adapter | None:
    """How values of an annotation are kept, where somebody has said so."""
    if not isinstance(core, type):
        return None
    found = _adapters.get(core)
    if found is None and issubclass(core, AnyUrl):
        found = _adapters[core] = Adapter(core, _URL, str, core)
    return found


def _dumped(adapter: Adapter) -> Callable[[Any, Any], Any]:
    def run(value: Any, info: Any) -> Any:
        return adapter.dump(value) if info.mode == "json" else value

    return run


class AdaptedSchema:
    """Metadata that tells pydantic how to validate and dump a registered type."""

    def __init__(self, adapter: Adapter, *, nullable: bool) -> None:
        self.adapter = adapter
        self.nullable = nullable

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """A value of the type as it is, everything else by way of the kept type."""
        adapter = self.adapter
        kept = handler.generate_schema(adapter.like)

        def check(value: Any, validate: Callable[[Any], Any]) -> Any:
            return value if isinstance(value, adapter.python) else adapter.load(validate(value))

        # In Python a dump keeps the value itself; the schema inside would take it for a value of the kept type.
        dumped = core_schema.plain_serializer_function_ser_schema(_dumped(adapter), info_arg=True)
        schema = core_schema.no_info_wrap_validator_function(check, kept, serialization=dumped)
        return core_schema.nullable_schema(schema) if self.nullable else schema

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        """That of the kept type."""
        kept: dict[str, Any] = TypeAdapter(self.adapter.like).json_schema()
        return {"anyOf": [kept, {"type": "null"}]} if self.nullable else kept

    def __repr__(self) -> str:
        return f"AdaptedSchema({self.adapter.python.__name__})"
