"""One call at one tier: asked, answered or failed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import msgspec

from anvil_ctl.router.bound import BoundTier
from anvil_ctl.router.config import Config
from anvil_ctl.router.deadline import Deadline
from anvil_ctl.router.decided import counted_words, decided, timed
from anvil_ctl.router.dialects import passthrough, recode
from anvil_ctl.router.dialects.answer import Answer, Stamp
from anvil_ctl.router.dialects.call import BadRequestError, Call, Dialect
from anvil_ctl.router.dialects.delta import Delta, Usage
from anvil_ctl.router.dialects.passthrough import Passthrough
from anvil_ctl.router.dialects.recode import Collect, Counts, Recoder, Translate
from anvil_ctl.router.dialects.to_anthropic import ANSWER
from anvil_ctl.router.dialects.upstream_body import answers_by_tool, build
from anvil_ctl.router.hindsight import Keeping, Recall, look, recall_whole
from anvil_ctl.router.judgement.judge import Judged
from anvil_ctl.router.judgement.plan import Handling, handling
from anvil_ctl.router.judgement.policy import Candidate
from anvil_ctl.router.relay import STREAM, Relay
from anvil_ctl.router.verify import view
from anvil_ctl.router.verify.chain import FULL, MINIMAL
from anvil_ctl.router.window import Examiner, Window
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.endpoint import fits_header
from anvil_ctl.upstream.failure import UpstreamError, classify, failed
from anvil_ctl.upstream.response import Response

_MAX_ANSWER = 32 << 20
_MAX_ERROR = 64 << 10
# Of a caller's betas, those that change a message; the others open services of the caller's own.
_BETAS = (
    "advanced-tool-use-",
    "claude-code-",
    "effort-",
    "extended-cache-ttl-",
    "mid-conversation-",
    "structured-outputs-",
    "thinking-",
    "interleaved-thinking-",
    "fine-grained-tool-streaming-",
    "prompt-caching-",
    "context-management-",
    "context-1m-",
    "output-128k-",
    "token-efficient-tools-",
)


class Attempt:
    """Sends the call to the tier and answers the exchange with what comes back."""

    def __init__(
        self,
        call: Call,
        judged: Judged,
        candidate: Candidate,
        bound: BoundTier,
        exchange: Exchange,
        *,
        config: Config,
        tried: Sequence[str],
        until: Deadline,
        betas: str = "",
    ) -> None:
        self._call = call
        self._judged = judged
        self._candidate = candidate
        self._bound = bound
        self._exchange = exchange
        self._config = config
        self._tried = tuple(tried)
        self._until = until
        self._betas = betas
        self._handling = handling(config, judged.decision, candidate)
        self._later = config.judgement.verify_raw and self._handling is Handling.RAW
        self._recall: Recall | None = None
        self._broken_off = False

    @property
    def _most(self) -> int:
        """The most bytes of an answer that are collected."""
        raw = self._handling is Handling.RAW
        return _MAX_ANSWER if raw else self._config.judgement.fallback.max_buffer

    def _stamp(self) -> Stamp:
        asked, served = self._call.model, self._bound.tier.model
        shown = asked if self._config.echo_model and asked else served or asked
        return Stamp(os.urandom(12).hex(), int(time.time()), shown)

    async def run(self, pool: Pool) -> float | None:
        """Answer; the seconds that the engine took, None if it broke off in the middle of it.

        Raises UpstreamError if the tier failed, UnsoundError if its answer did, and
        BadRequestError if it can't be asked that; nothing was sent to the client then.
        """
        if self._handling is not Handling.RAW and self._call.raw.get("n") not in (None, 1):
            raise BadRequestError("n: only one choice can be checked here")
        same = self._call.dialect is self._bound.tier.dialect
        # A translated answer is asked for as a stream in any case: so silence can be noticed.
        stream = self._call.stream or not same
        body = build(self._call, self._bound.target, stream=stream)
        limits = self._bound.streamed if stream else self._bound.buffered
        asked = time.monotonic()
        lease = None if self._bound.entered() else await self._bound.enter(self._until)
        sent = time.monotonic()
        try:
            headers = self._request_headers()
            response = await pool.post(
                self._bound.endpoint, body, self._until.within(limits), headers=headers
            )
            try:
                await self._answer(response, same=same)
            finally:
                response.close()
        finally:
            self._bound.leave(lease)
            took_s = timed(self._exchange, asked, sent)
        return None if self._broken_off else took_s

    async def _answer(self, response: Response, *, same: bool) -> None:
        if response.status != 200:
            await refused(response)
        streamed = "text/event-stream" in response.headers.get("content-type", "").lower()
        if not streamed:
            body = await response.read(self._most)
            await self._whole(body, same=same)
        elif self._call.stream and self._handling is not Handling.RAW:
            await self._checked(response, self._recoder(same=same))
        elif self._call.stream:
            await self._relay(response, self._recoder(same=same))
        else:
            await self._collect(response)

    async def _relay(self, response: Response, recoder: Recoder) -> None:
        """A stream that is sent on as it comes; kept beside that only to be checked later."""
        keeping = None
        if self._later:
            recoder = keeping = Keeping(recoder, most=self._config.judgement.fallback.max_buffer)
        relay = Relay(self._exchange, recoder, self._call.dialect, self._commit, response)
        try:
            self._broken_off = not await relay.run()
        finally:
            self._count(recoder.counts())
        if keeping is not None:
            self._recall = keeping.recall(self._bound.tier.dialect, self._answer_tool())

    @property
    def looks_back(self) -> bool:
        """Whether an answer was sent on as it came and is to be checked now."""
        return self._later and not self._broken_off

    async def look_back(self) -> None:
        """Check that answer."""
        asked = view.asked(self._call, self._judged.reading.ask)
        limit_s = self._config.judgement.fallback.verifier_s
        await look(self._exchange, self._recall, asked, limit_s=limit_s)

    def _recoder(self, *, same: bool) -> Recoder:
        call = self._call
        if not same:
            writer = recode.writer(call, self._stamp())
            return Translate(self._bound.tier.dialect, writer, answer=self._answer_tool())
        return Passthrough(call.dialect, model=self._echoed(), include_usage=call.include_usage)

    def _answer_tool(self) -> str | None:
        """The tool whose input is the answer, where the engine can be held to a format so only."""
        return ANSWER if answers_by_tool(self._call, self._bound.target) else None

    def _echoed(self) -> bytes | None:
        """The name that the caller asked for, as JSON, where it gets to see that one."""
        named = self._config.echo_model and self._call.model
        return msgspec.json.encode(self._call.model) if named else None

    async def _checked(self, response: Response, recoder: Recoder) -> None:
        """A stream that is sent only when it is whole and has been looked at."""
        collect = Collect(self._bound.tier.dialect, answer=self._answer_tool())
        window = Window(recoder, collect, most=self._most)
        out = await window.fill(response)
        await self._examine(window.answer)
        self._count_whole(window.answer.usage, window.answer)
        self._commit()
        self._exchange.start(200, STREAM)
        self._exchange.write(out)
        self._exchange.end()

    async def _examine(self, answer: Answer) -> None:
        """Raises UnsoundError where the answer may not be sent."""
        if self._handling is Handling.RAW:
            if self._later:
                self._recall = lambda: answer
            return
        checks = FULL if self._handling is Handling.FULL else MINIMAL
        asked = view.asked(self._call, self._judged.reading.ask)
        examiner = Examiner(asked, checks, limit_s=self._config.judgement.fallback.verifier_s)
        try:
            await examiner.examine(answer)
        finally:
            self._exchange.fields["verify_ms"] = round(examiner.seconds * 1000, 2)

    async def _whole(self, body: bytes, *, same: bool) -> None:
        """An unstreamed answer: checked, and sent on as it is if it speaks the caller's dialect."""
        if same and self._handling is Handling.RAW and not self._call.stream:
            # Nobody looks at it: its counts are all that is read.
            usage = recode.counts(self._call.dialect, body)
            if self._later:
                self._recall = recall_whole(body, self._call.dialect, self._answer_tool())
            self._count(lambda: usage)
            self._reply(passthrough.renamed(body, self._echoed()))
            return
        deltas = recode.reader(self._bound.tier.dialect, answer=self._answer_tool()).whole(body)
        answer = Answer()
        answer.extend(deltas)
        await self._examine(answer)
        if self._call.stream:
            self._replay(deltas, answer)
        elif same:
            self._count_whole(answer.usage, answer)
            self._reply(passthrough.renamed(body, self._echoed()))
        else:
            self._render(answer)

    def _replay(self, deltas: list[Delta], answer: Answer) -> None:
        self._count_whole(answer.usage, answer)
        writer = recode.writer(self._call, self._stamp())
        self._commit()
        self._exchange.start(200, STREAM)
        self._exchange.write(recode.replay(deltas, writer))
        self._exchange.end()

    async def _collect(self, response: Response) -> None:
        collect = Collect(self._bound.tier.dialect, answer=self._answer_tool())

        def feed(data: bytes) -> bool:
            if collect.size + len(data) > self._most:
                raise failed("too_large")
            collect.feed(data)
            return False

        try:
            await response.pour(feed)
        except UpstreamError:
            if not collect.whole:
                raise
        collect.finish()
        await self._examine(collect.answer)
        self._render(collect.answer)

    def _render(self, answer: Answer) -> None:
        """Send an answer that we write ourselves, and say whose counts are in it."""
        usage = answer.usage
        counted = usage.input is not None and usage.output is not None
        if usage.input is None:
            answer.usage = usage.updated(Usage(input=self._judged.reading.total.expected))
        body = recode.render(self._call, answer, self._stamp())
        if self._config.decision_headers:
            self._exchange.add("x-anvil-usage", "upstream" if counted else "estimated")
        self._count_whole(usage, answer)
        self._reply(body)

    def _reply(self, body: bytes) -> None:
        self._commit()
        self._exchange.reply(200, body)

    def _request_headers(self) -> bytes:
        lines = f"x-request-id: {self._exchange.request_id}\r\n"
        if self._betas and self._bound.tier.dialect is Dialect.ANTHROPIC:
            offered = [beta.strip() for beta in self._betas.split(",")]
            known = [b for b in offered if b.startswith(_BETAS) and fits_header(b)]
            if known:
                lines += f"anthropic-beta: {','.join(known)}\r\n"
        return lines.encode("ascii")

    def _commit(self) -> None:
        """This tier serves: note it, and tell the client."""
        decided(
            self._exchange,
            self._config,
            self._judged,
            self._candidate,
            self._handling,
            model=self._bound.tier.model or self._call.model,
            tried=self._tried,
        )

    def _count(self, counts: Counts, made: Usage | None = None) -> None:
        """Note what the engine counted; what it did not is estimated as far as that can be."""
        estimated = Usage(input=self._judged.reading.total.expected)
        if made is not None:
            estimated = estimated.updated(made)
        self._exchange.note(counted_words, counts, estimated, self._bound.tier)

    def _count_whole(self, usage: Usage, answer: Answer) -> None:
        """The same of an answer that we have whole."""
        self._count(lambda: usage, answer.counted())


async def refused(response: Response) -> None:
    """Raise UpstreamError: what an answer other than 200 means."""
    if 200 < response.status < 400:
        raise failed(f"status_{response.status}")
    # Some engines quote the whole request behind what was wrong with it.
    body = await response.beginning(_MAX_ERROR)
    raise UpstreamError(classify(response.status, response.headers, body))
