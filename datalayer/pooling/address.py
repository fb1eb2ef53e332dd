"""Where a new connection goes: the url of the settings, or what a function of the project makes of it.

The function is asked at each connect, so that a password may change while a pool is open. What it gives is never shown.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from datalayer.conf import DatabaseSettings, DatabaseUrl
from datalayer.errors import ConnectionFailed, nearest


class Address:
    """The address of one database, asked for anew at each connect.

    Args:
        alias: The name of the database, for messages.
        chosen: Its settings.
    """

    def __init__(self, alias: str, chosen: DatabaseSettings) -> None:
        self._alias = alias
        self._url = chosen.url
        self._path = chosen.url_from

    def now(self) -> DatabaseUrl:
        """Where the next connection goes.

        Raises:
            ConnectionFailed: The function of the settings is not there, failed, or gave something else; `is_fatal`
                when asking it again cannot help.
        """
        if self._path is None:
            return self._url
        function, _ = self._functions(self._path)
        if inspect.iscoroutinefunction(function):
            name = self._path.rpartition(":")[2]
            raise self._failed(
                f"{self._path} is an `async def`, which blocking connections cannot await: make {name} a plain "
                f"function, and the other one a{name} beside it",
                is_fatal=True,
            )
        try:
            return self._checked(function(self._url))
        except ConnectionFailed:
            raise
        except Exception as error:
            raise self._failed(f"{self._path} raised {type(error).__name__}") from error

    async def anow(self) -> DatabaseUrl:
        """The twin of `now`; awaits the function whose name has an `a` in front, where there is one."""
        if self._path is None:
            return self._url
        function, twin = self._functions(self._path)
        try:
            found = (twin or function)(self._url)
            return self._checked(await found if inspect.isawaitable(found) else found)
        except ConnectionFailed:
            raise
        except Exception as error:
            raise self._failed(f"{self._path} raised {type(error).__name__}") from error

    def _functions(self, path: str) -> tuple[Any, Any]:
        """The function of the settings, and its awaiting twin where there is one."""
        module_name, _, name = path.partition(":")
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise self._failed(f"url_from is {path!r}, which cannot be imported: {error}", is_fatal=True) from error
        function = getattr(module, name, None)
        if not callable(function):
            hint = nearest(name, [one for one in dir(module) if not one.startswith("_")])
            raise self._failed(f"url_from is {path!r}, and {module_name} has no function {name!r}{hint}", is_fatal=True)
        twin = getattr(module, f"a{name}", None)
        return function, twin if callable(twin) else None

    def _checked(self, given: object) -> DatabaseUrl:
        if not isinstance(given, DatabaseUrl):  # and it is not repeated: it may be a password
            raise self._failed(
                f"{self._path} gave {type(given).__name__}: give a DatabaseUrl, as url.with_password(...) does",
                is_fatal=True,
            )
        if given.backend != self._url.backend:
            raise self._failed(
                f"{self._path} gave an address of {given.backend}, and the url is one of {self._url.backend}",
                is_fatal=True,
            )
        return given

    def _failed(self, reason: str, *, is_fatal: bool = False) -> ConnectionFailed:
        error = ConnectionFailed(f"cannot connect {self._alias!r} to {self._url}: {reason}", alias=self._alias)
        error.is_fatal = is_fatal
        return error
