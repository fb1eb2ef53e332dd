"""A proxy between a test and its server that can refuse, freeze and drop: faults on demand, without sleeping.

It listens on 127.0.0.1 and forwards bytes to a TCP address or a Unix socket. One thread serves all connections.
"""

from __future__ import annotations

import contextlib
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

_CHUNK = 65536


class Proxy:
    """A running proxy; a context manager.

    Attributes:
        port: Where it listens on 127.0.0.1.
        accepted: How many connections it has accepted and forwarded.
    """

    def __init__(self, target: str | tuple[str, int]) -> None:
        self._target = target
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self._peers: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._chunk: int | None = None
        self._doomed = 0
        self._is_frozen = False
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._orders: queue.SimpleQueue[tuple[Callable[[], None], threading.Event]] = queue.SimpleQueue()
        self._is_running = True
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="tcp-proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def url(self, server_url: str) -> str:
        """The URL of the server with this proxy in between."""
        parts = urlsplit(server_url)
        user = f"{parts.username}{f':{parts.password}' if parts.password else ''}@" if parts.username else ""
        query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key not in ("host", "port")])
        return urlunsplit((parts.scheme, f"{user}127.0.0.1:{self.port}", parts.path, query, ""))

    @property
    def connections(self) -> int:
        """How many connections are open through it."""
        return len(self._peers) // 2

    def refuse(self) -> None:
        """New connections are refused, as by a server that is down; those that exist go on."""
        self._order(self._stop_listening)

    def accept(self) -> None:
        """New connections are accepted again, on the same port."""
        self._order(self._start_listening)

    def refuse_next(self, count: int) -> None:
        """So many connections are closed as soon as they are made."""
        self._order(lambda: self._set_doomed(count))

    def freeze(self) -> None:
        """Nothing is forwarded any more, as in a network that lost its route; new connections hang."""
        self._order(lambda: self._set_frozen(True))

    def thaw(self) -> None:
        """Forwards again, what was held back first."""
        self._order(lambda: self._set_frozen(False))

    def drop(self) -> None:
        """Resets every connection that exists; new ones are welcome."""
        self._order(self._drop)

    def half_close(self) -> None:
        """The server's side of every connection is shut, as by a server that died politely; clients may still send."""
        self._order(self._half_close)

    def slow_down(self, chunk: int | None) -> None:
        """Forwards so many bytes at a time only, each after a millisecond; None for as fast as it can."""
        self._order(lambda: self._set_chunk(chunk))

    def retarget(self, server_url: str) -> None:
        """New connections go to another server, as after a failover; those that exist stay where they are."""
        target = _address(server_url)
        self._order(lambda: self._set_target(target))

    def close(self) -> None:
        """Ends the proxy and everything that goes through it."""
        if self._is_running:
            self._order(self._finish)
            self._thread.join()
            self._wake_writer.close()

    def _order(self, action: Callable[[], None]) -> None:
        done = threading.Event()
        self._orders.put((action, done))
        self._wake_writer.send(b"!")
        done.wait()

    # -- on the thread ---------------------------------------------------------------------------

    def _serve(self) -> None:
        while self._is_running:
            for key, _ in self._selector.select():
                ready: Any = key.fileobj
                if ready is self._wake_reader:
                    self._wake_reader.recv(_CHUNK)
                    self._obey()
                elif ready is self._listener:
                    self._accept_one()
                elif ready in self._peers and not self._is_frozen:
                    self._forward(ready)

    def _obey(self) -> None:
        while not self._orders.empty():
            action, done = self._orders.get()
            try:
                action()
            finally:
                done.set()

    def _accept_one(self) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            if self._doomed:
                self._doomed -= 1
                client.close()
                return
            try:
                server = self._connect()
            except OSError:
                client.close()
                return
            self.accepted += 1
            self._clients.add(client)
            for one, other in ((client, server), (server, client)):
                self._peers[one] = other
                if not self._is_frozen:
                    self._selector.register(one, selectors.EVENT_READ)

    def _connect(self) -> socket.socket:
        if isinstance(self._target, str):
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._target)
            except OSError:
                server.close()
                raise
            return server
        return socket.create_connection(self._target)

    def _forward(self, source: socket.socket) -> None:
        try:
            data = source.recv(self._chunk or _CHUNK)
            if data:
                if self._chunk is not None:
                    time.sleep(0.001)
                self._peers[source].sendall(data)
                return
        except OSError:
            pass
        self._disconnect(source, reset=False)

    def _disconnect(self, one: socket.socket, *, reset: bool) -> None:
        other = self._peers.pop(one)
        self._peers.pop(other)
        for end in (one, other):
            self._clients.discard(end)
            with contextlib.suppress(KeyError):
                self._selector.unregister(end)
            if reset and end.family == socket.AF_INET:
                # Lingering for no time at all makes the kernel send RST, not FIN.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            end.close()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _start_listening(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _set_frozen(self, is_frozen: bool) -> None:
        if is_frozen == self._is_frozen:
            return
        self._is_frozen = is_frozen
        for end in self._peers:
            if is_frozen:
                self._selector.unregister(end)
            else:
                self._selector.register(end, selectors.EVENT_READ)

    def _drop(self) -> None:
        while self._peers:
            self._disconnect(next(iter(self._peers)), reset=True)

    def _half_close(self) -> None:
        for end in list(self._peers):
            if end.family == socket.AF_INET and end in self._clients:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_WR)

    def _set_doomed(self, count: int) -> None:
        self._doomed = count

    def _set_chunk(self, chunk: int | None) -> None:
        self._chunk = chunk

    def _set_target(self, target: str | tuple[str, int]) -> None:
        self._target = target

    def _finish(self) -> None:
        self._is_running = False
        self._drop()
        self._stop_listening()
        self._selector.close()
        self._wake_reader.close()


def proxy_to(server_url: str) -> Proxy:
    """A proxy to the server of a PostgreSQL URL, be it on TCP or on a Unix socket."""
    return Proxy(_address(server_url))


def _address(server_url: str) -> str | tuple[str, int]:
    parts = urlsplit(server_url)
    query = parse_qs(parts.query)
    host = parts.hostname or query.get("host", ["127.0.0.1"])[0]
    port = parts.port or int(query.get("port", ["5432"])[0])
    host = unquote(host)
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
