"""A file by Xet, the hub's own storage of deduplicated chunks, as a stream in the file's order.

The library's other way, which writes the file itself, cannot go on within a file, and to end one
transfer ends all of the process. What came of a stream is the file's beginning: it is hashed while
it comes, and resumed at its byte, by Xet or by plain HTTP.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
from hf_xet import XetConfig, XetFileInfo, XetSession
from huggingface_hub import constants
from huggingface_hub.utils._http import get_session
from huggingface_hub.utils._xet import XetConnectionInfo, XetFileData

from anvil_ctl.transfer.explain import Passing
from anvil_ctl.transfer.stream import Growing

# How much of what is on its way may be in memory, of all files together, and how much of a file is
# asked for at once: what comes first of that is given out when all of a term of it is there.
_BUFFER, _AT_ONCE, _AHEAD_S = 64_000_000, 8_000_000, 5
# How often somebody who waits looks whether it is to end.
_LOOK_EVERY_S = 0.2
_ANSWERED = re.compile(r"\((\d{3}) ([^)]*)\)")
_ADDRESS = re.compile(r"https?://[^\s)]+")
# What the library raises of storage, network and tokens; anything else is a fault of the program's.
_ITS_OWN = (OSError, RuntimeError, ValueError)
# Answers that may be others in a moment; of those below 500, all others stay as they are.
_PASSING = frozenset({408, 425, 429})


class Broken(Passing):
    """Xet has not given what was asked for; `final` is whether it will not do so later either."""

    def __init__(self, text: str, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


class Xet:
    """One process's connections to the storage; `stall_s` without a byte ends one of them."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._lock = threading.Lock()
        self._session: Any = None

    def stream(
        self,
        what: XetFileData,
        size: int,
        by: XetConnectionInfo,
        headers: dict[str, str],
        into: Growing,
    ) -> None:
        """Append the bytes that `into` lacks of a file; Broken where they stopped coming."""
        # The token of the hub is for the hub: the storage has one of its own.
        bare = {key: value for key, value in headers.items() if key.lower() != "authorization"}
        try:
            group = self._opened().new_download_stream_group(
                endpoint=by.endpoint,
                token=by.access_token,
                token_expiry_unix_secs=by.expiration_unix_epoch,
                token_refresh_url=what.refresh_route,
                token_refresh_headers=headers,
                custom_headers=bare,
            )
            stream = group.download_stream(XetFileInfo(what.file_hash, size), start=into.size)
        except _ITS_OWN as error:
            raise self._broken(error, by) or Broken(str(error)) from error
        reading, since = _Reading(stream), time.monotonic()
        try:
            for piece in reading.pieces(into):
                into.write(piece)
                del piece
                since = time.monotonic()
        finally:
            reading.end()
            with suppress(*_ITS_OWN):  # of one that is over already
                group.abort()
        if reading.error is not None and not isinstance(reading.error, _ITS_OWN):
            raise reading.error
        if into.size != size:
            stalled = time.monotonic() - since >= self._stall_s
            found = self._broken(reading.error, by, stalled=stalled)
            raise found or self._asked(what, by, into.size) from reading.error

    def _broken(
        self, error: BaseException | None, by: XetConnectionInfo, *, stalled: bool = False
    ) -> Broken | None:
        """The library's chain of causes in few words, None where it does not come to the point."""
        text, host = str(error or ""), urlsplit(by.endpoint).netloc
        address = _ADDRESS.search(text)
        if address:
            # Of xorbs, which are elsewhere; the host alone, as such addresses are signed.
            host = urlsplit(address[0]).netloc
        answered = _ANSWERED.search(text)
        if answered:
            return _refused(host, int(answered[1]), answered[2])
        if stalled:
            return Broken(f"no byte came by Xet for {self._stall_s:g} s")
        if "error sending request" in text:
            return Broken(f"{host} does not answer")
        return None

    def _asked(self, what: XetFileData, by: XetConnectionInfo, at: int) -> Broken:
        """The storage's own word: a stream that cannot begin sometimes ends without a reason."""
        headers = {"Authorization": f"Bearer {by.access_token}", "Range": f"bytes={at}-{at}"}
        url = f"{by.endpoint}/v1/reconstructions/{what.file_hash}"
        host = urlsplit(by.endpoint).netloc
        try:
            answer = get_session().get(url, headers=headers, timeout=self._stall_s)
        except httpx2.TransportError:
            return Broken(f"{host} does not answer")
        if answer.status_code >= 400:
            return _refused(host, answer.status_code, answer.reason_phrase)
        return Broken("Xet broke off and does not say why")

    def _opened(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = XetSession(XetConfig().with_config(_settings(self._stall_s)))
            return self._session


class _Reading:
    """A thread that waits for the stream: the library cannot be interrupted where it waits.

    It takes a piece when one is wanted, so that no more than that one is in memory twice. Who wants
    them can end at any time, and leaves the thread to itself.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._wanted = threading.Semaphore(0)
        self._come: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._over = False
        self.error: BaseException | None = None

    def pieces(self, into: Growing) -> Iterator[bytes]:
        """What comes; `into` is asked in between whether it is still wanted."""
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            self._wanted.release()
            piece = self._next(into)
            if piece is None:
                return
            yield piece
            del piece

    def end(self) -> None:
        """Nothing more is wanted."""
        self._over = True
        self._wanted.release()

    def _next(self, into: Growing) -> bytes | None:
        while True:
            try:
                return self._come.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                into.write(b"")

    def _read(self) -> None:
        while True:
            self._wanted.acquire()
            if self._over:
                return
            try:
                self._come.put(next(self._stream, None))
            except BaseException as error:  # noqa: BLE001 - a panic in Rust is none of Exception
                # It is raised where the stream is waited for, which must not wait for ever.
                self.error = error
                self._come.put(None)
                return


def _settings(stall_s: float) -> dict[str, Any]:
    """What this program wants otherwise than the library."""
    stall = timedelta(seconds=stall_s)
    found: dict[str, Any] = {
        "telemetry.enabled": False,
        "client.connect_timeout": stall,
        "client.read_timeout": stall,
        # Its own five attempts, minutes apart, would not be seen; ours are told, and go on by HTTP.
        "client.retry_max_attempts": 1,
        "client.retry_base_delay": timedelta(seconds=min(1.0, stall_s)),
        "client.retry_max_duration": timedelta(seconds=min(3.0, stall_s)),
    }
    if not constants.HF_XET_HIGH_PERFORMANCE:
        found |= {
            "reconstruction.min_reconstruction_fetch_size": _AT_ONCE,
            "reconstruction.max_reconstruction_fetch_size": _AT_ONCE,
            "reconstruction.download_buffer_size": _BUFFER,
            "reconstruction.download_buffer_perfile_size": 0,
            "reconstruction.download_buffer_limit": _BUFFER,
            # What a file is made of, asked for some seconds ahead and not for all of it at once.
            "reconstruction.min_prefetch_buffer": 4 * _AT_ONCE,
            "reconstruction.target_block_completion_time": timedelta(seconds=_AHEAD_S),
        }
    return found


def _refused(host: str, status: int, said: str) -> Broken:
    final = status < 500 and status not in _PASSING
    return Broken(f"{host} answered {status} {said}", final=final)
