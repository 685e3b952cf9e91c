"""Whether any of a request reached the other side, as far as TCP can tell."""

from __future__ import annotations

import socket
import struct

# Where Linux's struct tcp_info (linux/tcp.h) has tcpi_bytes_acked; it counts the SYN as one.
_OFFSET = 120
_BYTES_ACKED = struct.Struct("Q")


class Acknowledged:
    """The bytes of one connection that its peer's kernel has acknowledged.

    A peer that closes says in the same segment how much it has received. So if nothing of a
    request had been acknowledged when the end came, no program can have read any of it.
    """

    __slots__ = ("_before", "_sock", "_written")

    def __init__(self, sock: socket.socket | None = None) -> None:
        self._sock = sock
        self._written = 1
        self._before: int | None = None

    def expect(self, size: int, *, plain: bool) -> None:
        """A request of `size` bytes is about to be written; `plain`: as it is, without TLS."""
        # Asking the kernel costs 2 us for each request; counting costs nothing.
        self._before = self._written if plain else self._count()
        self._written += size

    def nothing_new(self) -> bool:
        """Whether none of the last request has arrived; False where nobody knows."""
        now = self._count()
        return now is not None and self._before is not None and now <= self._before

    def _count(self) -> int | None:
        if self._sock is None or not hasattr(socket, "TCP_INFO"):
            return None
        try:
            size = _OFFSET + _BYTES_ACKED.size
            info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
        except OSError:
            return None
        if len(info) < size:
            return None
        return int(_BYTES_ACKED.unpack_from(info, _OFFSET)[0])
