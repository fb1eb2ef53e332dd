"""Addresses and networks on SQLite, where they are text: the order that PostgreSQL gives them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache

from datalayer._links.documents import with_place


@lru_cache(maxsize=4096)
def inet_place(text: str | None) -> bytes | None:
    """Bytes that sort as PostgreSQL sorts addresses and networks.

    The fourth version comes first; then the bits of the network decide, the shorter one before those inside of it, then
    the address. What is neither comes last.
    """
    if text is None:
        return None
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        return b"\xff" + text.encode() + b"\0"
    bits = f"{int(found):0{found.max_prefixlen}b}"
    return b"%d%s\0%s" % (found.version, bits[: found.network.prefixlen].encode(), bits.encode())


NETWORKS: list[tuple[str, int, Callable[..., object]]] = [
    ("inet_place", 1, inet_place),
    ("inet_with_place", 1, with_place(inet_place)),
]
"""As `SCALARS`."""
