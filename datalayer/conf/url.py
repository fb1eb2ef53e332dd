"""Database URLs: one text that says which database, parsed once and never shown with its password.

This file knows no driver and no settings. A URL that cannot be read raises `ConfigurationError`, whose message never
repeats the part of the text that may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, cast
from urllib.parse import quote, unquote

from pydantic import GetCoreSchemaHandler, PlainSerializer, PlainValidator, SecretStr, ValidationInfo

from datalayer.errors import ConfigurationError, nearest
from datalayer.late import dataclass

Backend = Literal["sqlite", "postgresql"]

MEMORY = ":memory:"
HIDDEN = "***"

_BACKENDS: dict[str, Backend] = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "postgresql+psycopg": "postgresql",
}
_SECRET_OPTIONS = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "passfile", "scram_client_key", "scram_server_key"}
)
_LIBPQ_OPTIONS = frozenset(
    "application_name channel_binding client_encoding connect_timeout dbname "  # noqa: SIM905 - fifty lines as a list
    "fallback_application_name gssdelegation gssencmode gsslib host hostaddr keepalives keepalives_count "
    "keepalives_idle keepalives_interval krbsrvname load_balance_hosts max_protocol_version min_protocol_version "
    "oauth_client_id oauth_client_secret oauth_issuer oauth_scope options passfile password port replication "
    "require_auth requirepeer scram_client_key scram_server_key service ssl_max_protocol_version "
    "ssl_min_protocol_version sslcert sslcertmode sslcompression sslcrl sslcrldir sslkey sslkeylogfile sslmode "
    "sslnegotiation sslpassword sslrootcert sslsni target_session_attrs tcp_user_timeout user".split()
)
"""What libpq 18 reads; a test compares it with the libpq that psycopg brings."""
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NO_FILE = "a sqlite URL names a file: sqlite:///db.sqlite3 (relative), sqlite:////srv/db.sqlite3 or sqlite:///:memory:"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where a database is and how to log in; printing it never shows a password.

    Attributes:
        backend: `sqlite` or `postgresql`.
        host: The server, several of them joined by commas, or None; a folder when it starts with `/` (Unix socket).
        port: The port, or None for the default one.
        user: The role to log in as, or None.
        password: The password, wrapped so that it cannot be printed by accident, or None.
        database: The name of the database; for SQLite the absolute path of the file, or `:memory:`.
        options: What stands after the question mark, such as `sslmode`.
    """

    backend: Backend
    database: str
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: SecretStr | None = None
    options: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    @classmethod
    def parse(cls, text: str, *, root: Path | None = None) -> DatabaseUrl:
        """The parts of a URL such as `sqlite:///db.sqlite3` or `postgresql://user:password@host:5432/name?sslmode=require`.

        Args:
            text: The URL; reserved characters in user, password and name are percent-encoded.
            root: The folder a relative SQLite file is in; the working directory when left out.

        Raises:
            ConfigurationError: The scheme is unknown or the text is no URL of that scheme.
        """
        scheme, separator, rest = text.strip().partition("://")
        if not separator:
            raise ConfigurationError(
                "not a database URL: it starts with sqlite:/// or postgresql://" if text.strip() else "the URL is empty"
            )
        backend = _BACKENDS.get(scheme.lower())
        if backend is None:
            hint = nearest(scheme.lower(), _BACKENDS)
            raise ConfigurationError(f"unknown database scheme {scheme!r}; choose from sqlite, postgresql{hint}")
        place, _, query = rest.partition("?")
        if "#" in place + query:
            raise ConfigurationError("a '#' in a database URL is written %23")
        options = _options(query)
        if backend == "sqlite":
            if options:
                raise ConfigurationError(
                    "a sqlite URL has no options after the '?'; a '?' in the file name is written %3F"
                )
            return cls(backend, _sqlite_file(place, root))
        return _postgresql(place, _known(options))

    @property
    def scheme(self) -> str:
        """The scheme of the rendered URL: the name of the backend."""
        return self.backend

    @property
    def is_memory(self) -> bool:
        """True for a SQLite database that lives in memory only."""
        return self.backend == "sqlite" and self.database == MEMORY

    @property
    def has_no_file(self) -> bool:
        """Whether it is a SQLite database that is not there yet, of which connecting would make an empty file."""
        return self.backend == "sqlite" and not self.is_memory and not Path(self.database).exists()

    def without_file(self, alias: str) -> str:
        """What to say, and what to do, where `has_no_file` is true."""
        return (
            f"database {alias!r} has no tables: there is no file {self.database!r}; run datalayer migrate, or name "
            "another file in its url"
        )

    def with_password(self, password: str) -> DatabaseUrl:
        """The same address with another password."""
        return replace(self, password=SecretStr(password))

    def render(self, *, hide_password: bool = False) -> str:
        """The URL as text that libpq and `DatabaseUrl.parse` read back as this same URL.

        Args:
            hide_password: Put stars where a password would stand.
        """
        options = "&".join(
            f"{_quote(name)}={HIDDEN if hide_password and name in _SECRET_OPTIONS else _quote(value, safe='/:,')}"
            for name, value in self.options.items()
        )
        tail = f"?{options}" if options else ""
        if self.backend == "sqlite":
            return f"sqlite:///{quote(self.database, safe='/:')}{tail}"
        return f"postgresql://{self._login(hide_password)}{self._place()}/{_quote(self.database)}{tail}"

    def _login(self, hide_password: bool) -> str:
        if self.user is None and self.password is None:
            return ""
        secret = ""
        if self.password is not None:
            secret = ":" + (HIDDEN if hide_password else _quote(self.password.get_secret_value()))
        return f"{_quote(self.user or '')}{secret}@"

    def _place(self) -> str:
        hosts = [] if self.host is None else [_render_host(host) for host in self.host.split(",")]
        port = "" if self.port is None else f":{self.port}"
        return ",".join(f"{host}{port}" for host in hosts or [""])

    def __str__(self) -> str:
        return self.render(hide_password=True)

    def __repr__(self) -> str:
        return f"DatabaseUrl({str(self)!r})"

    def __reduce__(self) -> tuple[Callable[[str], DatabaseUrl], tuple[str]]:
        return DatabaseUrl.parse, (self.render(),)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Lets pydantic fields take the URL as text; dumped as JSON it hides the password."""
        return handler.generate_schema(
            Annotated[
                Any,
                PlainValidator(_validate, json_schema_input_type=str),
                PlainSerializer(str, return_type=str, when_used="json"),
            ]
        )


def project_root(info: ValidationInfo) -> Path | None:
    """The folder of the settings file, when the loader is the one that validates."""
    context: Any = info.context
    return cast("dict[str, Any]", context).get("root") if isinstance(context, dict) else None


def _validate(value: object, info: ValidationInfo) -> DatabaseUrl:
    if isinstance(value, DatabaseUrl):
        return value
    if not isinstance(value, str):
        raise ValueError('must be a database URL in quotes, such as "sqlite:///db.sqlite3"')
    try:
        return DatabaseUrl.parse(value, root=project_root(info))
    except ConfigurationError as error:
        reason = str(error)
    raise ValueError(reason)


def _sqlite_file(place: str, root: Path | None) -> str:
    if not place.startswith("/") or place == "/":
        raise ConfigurationError(_NO_FILE)
    path = _unquote(place[1:], "file name")
    if path == MEMORY:
        return MEMORY
    if "\0" in path or path.endswith("/"):
        raise ConfigurationError(_NO_FILE)
    return str((root or Path.cwd()).absolute() / path)


def _postgresql(place: str, options: dict[str, str]) -> DatabaseUrl:
    server, _, name = place.partition("/")
    if "@" in name or "/" in name:
        # Either a stray slash, or an unescaped slash in the password: the text must not be repeated.
        raise ConfigurationError(
            "reserved characters in user, password or name are percent-encoded: / is %2F, @ is %40"
        )
    login, _, hosts = server.rpartition("@")
    user, colon, password = login.partition(":")
    host, port = _hosts(hosts, options)
    secret = _once("password", _unquote(password, "password") if colon else None, options)
    return DatabaseUrl(
        "postgresql",
        _once("dbname", _unquote(name, "database name") or None, options) or "",
        _once("host", host, options),
        port,
        _once("user", _unquote(user, "user") or None, options),
        None if secret is None else SecretStr(secret),
        options,
    )


def _once(name: str, value: str | None, options: dict[str, str]) -> str | None:
    """A part that may stand in the URL itself or, as libpq allows, among the options; then it moves out of them."""
    if name not in options:
        return value
    if value is not None:
        raise ConfigurationError(f"{name} is given twice, in the URL and as an option after the '?'")
    return options.pop(name) or None


def _hosts(text: str, options: dict[str, str]) -> tuple[str | None, int | None]:
    hosts: list[str] = []
    ports: list[str] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::(\d*))?", part)
        if found is None or (found[2] and not 0 < int(found[2]) < 65536):
            raise ConfigurationError("the server is host or host:port with a port from 1 to 65535")
        hosts.append(_unquote(found[1], "host").strip("[]"))
        ports.append(found[2] or "")
    if len(set(ports)) > 1:
        options["port"] = ",".join(ports)  # libpq reads one port for each host from this option
        return ",".join(hosts), None
    return ",".join(hosts) or None, int(ports[0]) if ports[0] else None


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigurationError("options after the '?' are written name=value, joined by '&'")
        name = _unquote(name, "option")
        if name in options:
            raise ConfigurationError(f"option {name!r} is given twice")
        options[name] = _unquote(value, f"option {name!r}")
    return options


def _known(options: dict[str, str]) -> dict[str, str]:
    """The options, none of which libpq would refuse when the first connection is made."""
    if options.get("ssl") == "true":  # libpq takes it for what Java means by it
        options = {"sslmode": "require", **{name: value for name, value in options.items() if name != "ssl"}}
    for name in options:
        if name not in _LIBPQ_OPTIONS:
            hint = nearest(name, _LIBPQ_OPTIONS)
            raise ConfigurationError(
                f"a postgresql URL has no option {name!r}"
                + (hint or "; libpq's options stand there, and those of the pool in the settings")
            )
    return options


def _render_host(host: str) -> str:
    return f"[{host}]" if ":" in host else _quote(host)


def _quote(text: str, safe: str = "") -> str:
    return quote(text, safe=safe)


def _unquote(text: str, what: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise ConfigurationError(f"a '%' in the {what} of a database URL is written %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        broken = True
    if broken:
        raise ConfigurationError(f"the percent-encoded bytes in the {what} are not UTF-8")
    return text
