"""The settings in force: read once for the process, replaced for a while by `override`, never read at import.

The process-wide state is set under a lock; a ContextVar holds nothing but an override, so that what the start of a
server configures is seen by every request and thread.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn, cast

from datalayer.conf import loader, options, show
from datalayer.conf.loader import Source
from datalayer.conf.options import Settings
from datalayer.conf.problems import Entries, Entry
from datalayer.errors import ConfigurationError, SettingsNotConfigured


class _State:
    """What the process has read and what code has set."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_reading = False
        self.clear()

    def clear(self) -> None:
        self.source: Source | None = None
        self.code: Entries = {}
        self.settings: Settings | None = None
        self.is_used = False

    def build(self, code: Entries) -> Settings:
        """Reads what is not read yet and layers code over it; called with the lock held."""
        if self.is_reading:
            raise ConfigurationError(
                "the settings are asked for while they are being read; "
                "the module named by the key 'settings' must not use them when it is imported"
            )
        self.is_reading = True
        try:
            if self.source is None:
                self.source = loader.read()
            return loader.build(self.source, code)
        except BaseException:
            if self.settings is None:
                self.source = None  # a mistake may be mended before the next try
            raise
        finally:
            self.is_reading = False


_state = _State()
_override: ContextVar[tuple[Settings, Entries] | None] = ContextVar("datalayer_settings_override", default=None)


def get() -> Settings:
    """The settings in force; the first call reads them.

    Raises:
        SettingsNotConfigured: There are none.
        ConfigurationError: Something in them is wrong.
    """
    overridden = _override.get()
    if overridden is not None:
        return overridden[0]
    found = _state.settings
    if found is None or not _state.is_used:
        with _state.lock:
            found = _state.settings
            if found is None:
                found = _state.settings = _state.build(_state.code)
            _state.is_used = True
    return found


def configure(**values: Any) -> None:
    """Sets settings from code, above every file and variable; enough on its own in a script or a notebook.

    Calls before the first use add up. Afterwards the settings are frozen, and only the same values may be given again.

    Args:
        values: Top-level keys, `databases={"default": "sqlite:///:memory:"}` for one; a text for a database is its URL.

    Raises:
        ConfigurationError: A key or value is wrong, or the settings are in use and would change.
    """
    with _state.lock:
        code = loader.merge(_state.code, _entries(values, "configure()"))
        built = _state.build(code)
        if _state.is_used and built != _state.settings:
            raise ConfigurationError(
                "the settings are in use and cannot change; call configure() before anything uses them, "
                "or change them for a while with datalayer.override(...)",
                origin="configure()",
            )
        _state.code, _state.settings = code, built


@contextmanager
def override(**values: Any) -> Generator[Settings, None, None]:
    """Other settings inside the block, for this task or thread; may be nested.

    Args:
        values: As for `configure`; keys that are not given keep the value they have.

    Raises:
        ConfigurationError: A key or value is wrong.
    """
    outer = _override.get()
    with _state.lock:
        code = loader.merge(outer[1] if outer else _state.code, _entries(values, "override()"))
        built = _state.build(code)
    _override.set((built, code))
    try:
        yield built
    finally:
        # Not reset(token): the end of an asynchronous fixture may run in another context than its start.
        _override.set(outer)


def reset() -> None:
    """Forgets everything that was read or configured; for tests."""
    with _state.lock:
        _state.clear()
        _override.set(None)


def is_configured() -> bool:
    """True when there are settings to use; a mistake in them is still raised.

    Raises:
        ConfigurationError: There are settings and something in them is wrong.
    """
    try:
        get()
    except SettingsNotConfigured:
        return False
    return True


def effective() -> list[tuple[str, str, str]]:
    """Every setting in force as `(key, value as text, origin)`; secrets are stars."""
    return show.shown(get())


def _entries(values: dict[str, Any], origin: str) -> Entries:
    chosen = values.get("settings")
    if isinstance(chosen, type):
        values = {**values, "settings": f"{chosen.__module__}:{chosen.__qualname__}"}
    return {key: Entry(value, origin) for key, value in loader.flatten(values)}


class _CurrentSettings:
    """Stands for the settings in force; every attribute is read from them at the moment it is asked for."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # questions of copy, inspect and the like must not read the settings
            raise AttributeError(name)
        return getattr(get(), name)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise TypeError(
            "settings are frozen; use datalayer.configure(...) first or datalayer.override(...) for a while"
        )

    def __dir__(self) -> list[str]:
        return [*type(get()).model_fields, "origin", "current"]

    def __repr__(self) -> str:
        found = _state.settings if _override.get() is None else get()
        return "<settings, not read yet>" if found is None else repr(found)


options.provider.get = get
settings: Settings = cast("Settings", _CurrentSettings())
"""The settings in force, read on first use."""
