"""Pools over servers that are no databases: SMTP with smtplib, and a line protocol on asyncio streams; on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from datalayer.errors import PoolTimeout
from datalayer.pooling import AsyncPool, Pool, PoolConfig
from datalayer.pooling.testing import check_stats


class SmtpHandler(socketserver.StreamRequestHandler):
    server: SmtpServer

    def handle(self) -> None:
        self.server.sessions.append(self.connection)
        self.say("220 ready")
        for line in self.rfile:
            word = line.split()[0].upper() if line.strip() else b""
            self.server.heard.append(word.decode())
            if word == b"DATA":
                self.say("354 go on")
                body = b""
                while not body.endswith(b"\r\n.\r\n"):
                    body += self.rfile.readline()
                self.server.mails.append(body)
            if word == b"QUIT":
                self.say("221 bye")
                return
            self.say("250 ok")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class SmtpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SmtpHandler)
        self.heard: list[str] = []
        self.mails: list[bytes] = []
        self.sessions: list[socket.socket] = []

    def drop_all(self) -> None:
        """Ends every session, as a restart does."""
        for session in self.sessions:
            with contextlib.suppress(OSError):
                session.shutdown(socket.SHUT_RDWR)
        self.sessions.clear()


class SmtpConnector:
    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="here", timeout=10)

    def close(self, conn: smtplib.SMTP) -> None:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            conn.quit()
        conn.close()

    def ping(self, conn: smtplib.SMTP) -> None:
        conn.noop()

    def is_broken(self, conn: smtplib.SMTP) -> bool:
        return conn.sock is None

    def reset(self, conn: smtplib.SMTP) -> None:
        conn.rset()

    def is_disconnect(self, exc: BaseException) -> bool:
        return isinstance(exc, smtplib.SMTPServerDisconnected | ConnectionError)

    def is_fatal(self, exc: BaseException) -> bool:
        return isinstance(exc, smtplib.SMTPAuthenticationError)


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_sessions_are_shared_by_threads_and_reset_between_them(smtp: SmtpServer) -> None:
    with Pool(SmtpConnector(smtp.server_address[1]), PoolConfig(max_size=2)) as pool:

        def work(number: int) -> None:
            with pool.acquire() as session:
                session.sendmail("me@here", [f"you{number}@there"], f"mail {number}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = pool.stats()
        check_stats(stats)
        assert stats.connections_opened <= 2
        assert stats.returns == 12
    assert len(smtp.mails) == 12
    assert smtp.heard.count("RSET") == 12
    assert smtp.heard.count("QUIT") == stats.connections_opened


def test_restart_of_the_server_is_noticed_once(smtp: SmtpServer) -> None:
    with Pool(SmtpConnector(smtp.server_address[1])) as pool:
        for lease in [pool.acquire() for _ in range(3)]:
            lease.release()
        smtp.drop_all()
        with pool.acquire() as session:
            assert session.noop()[0] == 250
        stats = pool.stats()
        assert (stats.closed_invalid, stats.closed_stale, stats.ping_failures) == (1, 2, 1)


def test_session_that_broke_in_use_is_thrown_away(smtp: SmtpServer) -> None:
    with Pool(SmtpConnector(smtp.server_address[1])) as pool:
        lease = pool.acquire()
        smtp.drop_all()
        with pytest.raises(smtplib.SMTPServerDisconnected):
            lease.conn.sendmail("me@here", ["you@there"], "lost")
        lease.release()
        assert pool.stats().closed_broken == 1
        with pool.acquire() as session:
            session.sendmail("me@here", ["you@there"], "sent again")
    assert len(smtp.mails) == 1


def test_no_server_is_told_with_the_error_of_the_socket() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        pool = Pool(SmtpConnector(unused.getsockname()[1]), PoolConfig(connection_timeout=0.2), name="mail")
        with pool, pytest.raises(PoolTimeout, match=r"'mail'.*ConnectionRefusedError") as caught:
            pool.acquire()
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


class Line:
    """A session of the line protocol: what is sent comes back in capitals."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, text: str) -> str:
        self.writer.write(f"{text}\n".encode())
        answer = await self.reader.readline()
        if not answer:
            raise ConnectionResetError("the server hung up")
        return answer.decode().strip()


class LineConnector:
    def __init__(self, port: int) -> None:
        self.port = port

    async def connect(self) -> Line:
        return Line(*await asyncio.open_connection("127.0.0.1", self.port))

    async def close(self, conn: Line) -> None:
        conn.writer.close()
        with contextlib.suppress(OSError):
            await conn.writer.wait_closed()

    async def ping(self, conn: Line) -> None:
        await conn.ask("ping")

    def is_broken(self, conn: Line) -> bool:
        return conn.writer.is_closing() or conn.reader.at_eof()

    def reset(self, conn: Line) -> None:
        """There is nothing to clean, and so nothing to await."""

    def is_disconnect(self, exc: BaseException) -> bool:
        return isinstance(exc, ConnectionError)

    def is_fatal(self, exc: BaseException) -> bool:
        return False

    def terminate(self, conn: Line) -> None:
        conn.writer.transport.abort()


class LineServer:
    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self.is_silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while line := await reader.readline():
            if not self.is_silent:
                writer.write(line.upper())
        writer.close()

    async def run(self, work: Any) -> None:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        async with server:
            await work(server.sockets[0].getsockname()[1])
            for writer in self.writers:
                writer.close()


def test_sessions_are_shared_by_tasks() -> None:
    async def work(port: int) -> None:
        async with AsyncPool(LineConnector(port), PoolConfig(max_size=3)) as pool:

            async def ask(number: int) -> str:
                async with pool.acquire() as line:
                    return await line.ask(f"hello {number}")

            answers = await asyncio.gather(*(ask(number) for number in range(50)))
            assert answers == [f"HELLO {number}" for number in range(50)]
            check_stats(pool.stats())
            assert pool.stats().connections_opened == 3

    asyncio.run(LineServer().run(work))


def test_server_that_hangs_up_is_noticed_once_by_tasks() -> None:
    server = LineServer()

    async def work(port: int) -> None:
        async with AsyncPool(LineConnector(port)) as pool:
            for lease in [await pool.acquire() for _ in range(3)]:
                await lease.release()
            for writer in server.writers:
                writer.close()
                await writer.wait_closed()
            async with pool.acquire() as line:
                assert await line.ask("still there?") == "STILL THERE?"
            assert pool.stats().ping_failures == 1
            assert pool.stats().closed == 3

    asyncio.run(server.run(work))


def test_task_that_is_cancelled_in_the_middle_of_an_answer_leaves_no_session_behind() -> None:
    """Half an answer is still on its way: the next borrower would read it."""
    server = LineServer()

    async def work(port: int) -> None:
        async with AsyncPool(LineConnector(port), PoolConfig(max_size=1)) as pool:
            server.is_silent = True

            async def ask() -> None:
                lease = await pool.acquire()
                try:
                    await lease.conn.ask("what?")
                except BaseException:
                    lease.discard("an answer is still on its way")
                    raise
                await lease.release()

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ask(), 0.05)
            server.is_silent = False
            async with pool.acquire() as line:
                assert await line.ask("mine") == "MINE"
            assert pool.stats().closed_discarded == 1

    asyncio.run(server.run(work))
