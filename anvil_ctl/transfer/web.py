"""One file from an address on the web, by the standard library: resumed, with bounded retries."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException

from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.transfer.stream import Growing
from anvil_ctl.transfer.wire import Send, note

# In a row without a byte more.
_ATTEMPTS = 6
_BLOCK = 1 << 18
_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Page:
    """A file at `url`; `stall_s` without a byte ends an attempt, and `stop` all of them."""

    url: str
    stall_s: float
    send: Send
    stop: threading.Event

    def size(self) -> int:
        """Bytes of the whole file, 0 where the server does not say; Problem where none answers."""
        asked = urllib.request.Request(self.url, method="HEAD")  # noqa: S310 - the caller checked it
        try:
            with urllib.request.urlopen(asked, timeout=self.stall_s) as answer:  # noqa: S310
                return int(answer.headers.get("Content-Length") or 0)
        except (OSError, ValueError) as error:
            raise Problem(Kind.NETWORK, f"{self.url} cannot be read: {error}") from error

    def bring(self, into: Growing) -> None:
        """Append what `into` lacks; what came before a Problem stays for the next time."""
        failures = 0
        while True:
            before = into.size
            try:
                why = self._attempt(into)
            except urllib.error.HTTPError as error:
                if error.code == 416:
                    # The part is whole: there is nothing after it.
                    return
                raise Problem(Kind.NETWORK, f"{self.url} answered {error.code}") from error
            except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException) as error:
                why = str(error) or type(error).__name__
            if not why:
                return
            failures = 1 if into.size > before else failures + 1
            where = f"{self.url} broke off at {into.size} bytes: {why}"
            if failures >= _ATTEMPTS:
                raise Problem(Kind.NETWORK, where)
            self.send(note(f"{where}; again ({failures} of {_ATTEMPTS})"))
            if self.stop.wait(_PAUSE_S):
                raise Problem(Kind.STOPPED, where)

    def _attempt(self, into: Growing) -> str:
        """Read on from where the part ends; why that was not all, "" where it was."""
        headers = {"Range": f"bytes={into.size}-"} if into.size else {}
        asked = urllib.request.Request(self.url, headers=headers)  # noqa: S310 - as above
        with urllib.request.urlopen(asked, timeout=self.stall_s) as answer:  # noqa: S310
            if into.size and answer.status != 206:
                into.restart()
            length = answer.headers.get("Content-Length")
            whole = into.size + int(length) if length else None
            while block := answer.read1(_BLOCK):
                into.write(block)
        return "" if whole in {None, into.size} else "it ended before its end"
