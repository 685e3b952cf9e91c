"""Leases: the right to use a swap-managed model, for as long as a connection stays open."""

from __future__ import annotations

import msgspec

from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.endpoint import Endpoint
from anvil_ctl.upstream.failure import Failure, UpstreamError, failed, retry_after
from anvil_ctl.upstream.response import Deadlines, Response

_MAX_LINE = 64 << 10


class _Line(msgspec.Struct):
    """What the multiplexer says of a lease; other keys are for people."""

    state: str
    code: str = ""
    retry_after_s: float | None = None


class Lease:
    """`enter` waits for the model, `leave` gives it back and belongs in every exit.

    Entering raises UpstreamError if the lease is refused or the multiplexer can't be reached;
    being cancelled while waiting leaves the queue.
    """

    def __init__(self, pool: Pool, endpoint: Endpoint, model: str, limits: Deadlines) -> None:
        self._pool = pool
        self._endpoint = endpoint
        self._body = msgspec.json.encode({"model": model})
        self._limits = limits
        self._response: Response | None = None
        self._rest = b""
        self._granted = False

    async def enter(self) -> None:
        """Wait for the grant."""
        response = await self._pool.post(self._endpoint, self._body, self._limits)
        self._response = response
        try:
            await self._await_grant(response)
        except BaseException:
            response.close()
            raise

    def leave(self) -> None:
        """Give the model back."""
        if self._response is not None:
            self._response.close()

    async def _await_grant(self, response: Response) -> None:
        if response.status != 200:
            after = retry_after(response.headers)
            raise UpstreamError(Failure(f"lease_{response.status}", retry_after_s=after))
        await response.pour(self._read)
        if not self._granted:
            raise failed("lease_ended")
        response.keep()

    def _read(self, data: bytes) -> bool:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE:
            raise failed("lease_malformed")
        return any(self._granted_by(line) for line in lines if line.strip())

    def _granted_by(self, raw: bytes) -> bool:
        try:
            line = msgspec.json.decode(raw, type=_Line)
        except msgspec.DecodeError as error:
            raise failed("lease_malformed") from error
        if line.state == "refused":
            after = None if line.retry_after_s is None else max(1, round(line.retry_after_s))
            code = line.code if line.code.isidentifier() else "refused"
            raise UpstreamError(Failure(f"lease_{code}", retry_after_s=after))
        self._granted = line.state == "granted"
        return self._granted
