"""One request sent on to one tier as it is: completions, embeddings, rerank."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from anvil_ctl.router.attempt import refused
from anvil_ctl.router.bound import BoundTier
from anvil_ctl.router.config import Config
from anvil_ctl.router.deadline import Deadline
from anvil_ctl.router.decided import decided, timed
from anvil_ctl.router.dialects import forwarded, passthrough
from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.dialects.forwarded import Forwarded
from anvil_ctl.router.dialects.passthrough import Passthrough
from anvil_ctl.router.dialects.recode import Counts
from anvil_ctl.router.judgement.judge import Judged
from anvil_ctl.router.judgement.plan import Handling
from anvil_ctl.router.judgement.policy import Candidate
from anvil_ctl.router.relay import Relay
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.response import Response

_MAX_ANSWER = 32 << 20


class Forward:
    """Sends the request to the tier's endpoint of the same name, and answers the exchange."""

    def __init__(
        self,
        request: Forwarded,
        judged: Judged,
        candidate: Candidate,
        bound: BoundTier,
        exchange: Exchange,
        *,
        config: Config,
        tried: Sequence[str],
        until: Deadline,
    ) -> None:
        self._request = request
        self._endpoint = bound.passthrough[request.endpoint]
        self._judged = judged
        self._candidate = candidate
        self._bound = bound
        self._exchange = exchange
        self._config = config
        self._tried = tuple(tried)
        self._until = until
        self._model = bound.tier.model or request.model
        self._echoed = msgspec.json.encode(request.model) if config.echo_model else None
        self._broken_off = False

    async def run(self, pool: Pool) -> float | None:
        """Answer; the seconds that the engine took, None if it broke off in the middle of it.

        Raises UpstreamError if the tier failed and nothing was sent to the client.
        """
        body = forwarded.body(self._request, self._model)
        limits = self._bound.streamed if self._request.stream else self._bound.buffered
        asked = time.monotonic()
        lease = None if self._bound.entered() else await self._bound.enter(self._until)
        sent = time.monotonic()
        try:
            line = f"x-request-id: {self._exchange.request_id}\r\n".encode("ascii")
            response = await pool.post(
                self._endpoint, body, self._until.within(limits), headers=line
            )
            try:
                await self._answer(response)
            finally:
                response.close()
        finally:
            self._bound.leave(lease)
            took_s = timed(self._exchange, asked, sent)
        return None if self._broken_off else took_s

    async def _answer(self, response: Response) -> None:
        if response.status != 200:
            await refused(response)
        if "text/event-stream" in response.headers.get("content-type", "").lower():
            recoder = Passthrough(Dialect.OPENAI, model=self._echoed, include_usage=True)
            relay = Relay(self._exchange, recoder, Dialect.OPENAI, self._commit, response)
            try:
                self._broken_off = not await relay.run()
            finally:
                self._exchange.note(_counted_words, recoder.counts())
            return
        body = await response.read(_MAX_ANSWER)
        usage = forwarded.usage(body)
        self._exchange.note(_counted_words, lambda: usage)
        named = self._echoed if b'"model"' in body else None
        self._commit()
        self._exchange.reply(200, passthrough.renamed(body, named))

    def _commit(self) -> None:
        decided(
            self._exchange,
            self._config,
            self._judged,
            self._candidate,
            Handling.RAW,
            model=self._model,
            tried=self._tried,
        )


def _counted_words(counts: Counts) -> dict[str, object]:
    usage = counts()
    return {"input_tokens": usage.input, "output_tokens": usage.output}
