"""How chunks of HTTP/1.1 begin, put together once: nearly all are as short as an event is."""

from __future__ import annotations

LONGEST = 4 << 10
# By the size of what is in it, in bytes.
HEADS = [b"%x\r\n" % size for size in range(LONGEST)]


def _by_length() -> list[bytes]:
    heads = [b"\0"] * LONGEST
    for size, head in enumerate(HEADS[1:], 1):
        length = len(head) + size + 2
        if length < LONGEST:
            heads[length] = head
    return heads


# By the length of the whole chunk; what no chunk begins with where none has that length.
HEADS_BY_LENGTH = _by_length()
