"""A PgBouncer that is not told of: a server on loopback that answers a connect as PgBouncer 1.18 was seen to do."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Iterator

import pytest

from datalayer._links.postgresql import aconnect_postgresql, connect_postgresql
from datalayer.errors import ConnectionFailed
from tests.worlds import World

ENCRYPTION = (80877103, 80877104)  # what a client asks for before it says who it is: TLS, GSSAPI


class Refusing(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while True:
            (length,) = struct.unpack("!i", self.request.recv(4))
            said = self.request.recv(length - 4)
            if struct.unpack("!i", said[:4])[0] not in ENCRYPTION:
                break
            self.request.sendall(b"N")
        assert b"options\0" in said
        fields = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
        self.request.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)


@pytest.fixture
def url() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"postgresql://me@127.0.0.1:{server.server_address[1]}/shop"
        server.shutdown()
        thread.join()


def test_pooler_that_was_not_told_of_is_named_with_the_setting_for_it(url: str, world: World) -> None:
    with pytest.raises(ConnectionFailed, match="transaction_pooling = true") as caught:
        world.run(lambda: connect_postgresql(url, alias="shop"), lambda: aconnect_postgresql(url, alias="shop"))
    assert caught.value.is_fatal
    assert "'shop'" in str(caught.value)
