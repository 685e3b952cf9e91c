"""What llhttp finds in the bytes of one connection, answer by answer."""

from __future__ import annotations

from collections.abc import Callable

import httptools


class Incoming:
    """The answer that is arriving: `headed` once `status` and `headers` (lower-case names) are in,
    `over` once all of it is; `pieces` are what has come of its body and nobody has taken yet.

    A parser is made once for each connection: that takes longer than what it does for an answer.
    """

    __slots__ = (
        "_parser", "feed", "headed", "headers", "keep", "on_body", "over", "pieces", "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        # httptools calls this for each piece of the body; a method of ours would only do the same.
        self.on_body = self.pieces.append
        self._parser = httptools.HttpResponseParser(self)
        # Takes bytes; raises HttpParserError or HttpParserUpgrade where they are no answer.
        self.feed: Callable[[bytes], object] = self._parser.feed_data
        self.begin()

    def begin(self) -> None:
        """Another answer is to come."""
        self.pieces.clear()
        self.headers: dict[str, str] = {}
        self.status = 0
        self.headed = self.over = False
        # Whether the connection may carry another one afterwards.
        self.keep = False

    # httptools' side

    def on_message_begin(self) -> None:
        if self.over:
            raise httptools.HttpParserError("a second answer: none of it is read")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.headed:
            return  # a trailer: nobody looks at it, and there may be any number
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.headed = self.status >= 200

    def on_message_complete(self) -> None:
        if self.headed:
            self.over = True
            self.keep = self._parser.should_keep_alive()
        else:
            self.headers.clear()  # 100 Continue and its like: the answer is still to come
