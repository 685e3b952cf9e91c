"""What is noted of a decision, and what an answer's headers say of it."""

from __future__ import annotations

import functools
import logging
import time

from anvil_ctl.router.config import Config, Tier
from anvil_ctl.router.dialects.delta import Usage
from anvil_ctl.router.dialects.recode import Counts
from anvil_ctl.router.judgement.intent import Intent
from anvil_ctl.router.judgement.judge import Judged, substitution
from anvil_ctl.router.judgement.plan import Handling
from anvil_ctl.router.judgement.policy import Candidate, Decision, Drop
from anvil_ctl.router.refusal import Exhaustion, Refusal
from anvil_ctl.serving.exchange import Exchange, header_lines
from anvil_ctl.serving.logs import milliseconds

log = logging.getLogger(__name__)

# A tier without a model shows the caller's word for it, which may be of any length.
_LONGEST = 256
_64_BITS = (1 << 64) - 1


def judged_words(  # noqa: PLR0917 - by position, as `Exchange.note` calls it
    dialect: str,
    config: Config,
    intent: Intent,
    decision: Decision,
    stream: bool,
    session: int | None,
) -> dict[str, object]:
    """Who may answer a request, and why nobody else. `session` is a salted hash."""
    words: dict[str, object] = {
        "dialect": dialect,
        "stream": stream,
        "source": intent.source,
        "preset": intent.preset,
        "work_class": decision.work,
        "candidates": [each.tier.id for each in decision.candidates],
        "mapping_version": config.mapping_version,
    }
    if config.mode:
        words["mode"] = config.mode
    if session is not None:
        words["session"] = f"{session & _64_BITS:016x}"
    if decision.drops:
        words["dropped"] = dict(decision.drops)
    if decision.deferred:
        words["deferred"] = list(decision.deferred)
    if decision.ambiguous:
        words["ambiguous"] = True
    if decision.gate != "on":
        words["gate"] = decision.gate
    return words


def decided(
    exchange: Exchange,
    config: Config,
    judged: Judged,
    candidate: Candidate,
    handling: Handling,
    *,
    model: str,
    tried: tuple[str, ...],
) -> None:
    """Note who serves `model`, and tell the client in headers if it gets to see them.

    The decision's id is the request's, so that header, log line and record are found by one word.
    """
    first_s = time.monotonic() - exchange.started_at
    stands_in = substitution(judged, len(tried))
    exchange.note(_decided_words, candidate, handling, tried, stands_in, first_s)
    if not config.decision_headers:
        return
    lines = _lines(
        candidate.tier.id,
        model[:_LONGEST],
        config.mode,
        judged.intent.source,
        judged.intent.preset or "",
        judged.decision.work or "",
        candidate.verdict,
        stands_in or "",
        tried,
        config.mapping_version,
    )
    exchange.add_lines(b"x-anvil-decision-id: %b\r\n%b" % (exchange.request_id.encode(), lines))


def _decided_words(
    candidate: Candidate,
    handling: Handling,
    tried: tuple[str, ...],
    stands_in: str | None,
    first_s: float,
) -> dict[str, object]:
    tier = candidate.tier
    words: dict[str, object] = {
        "tier": tier.id,
        "privacy": "local" if tier.local else "cloud",
        "served_model": tier.model,
        "verdict": candidate.verdict,
        "handling": handling,
        "fell_back": len(tried) > 1,
        "tried": ">".join(tried),
        "first_byte_ms": milliseconds(first_s),
    }
    if stands_in is not None:
        words["substitution"] = stands_in
    return words


def exhausted(exchange: Exchange, refusal: Refusal, decision: Decision) -> None:
    """Note that nobody served, and tell the operator where to look."""
    why = refusal.exhaustion
    if why is None:
        return
    exchange.fields["exhaustion"] = why
    fields = {"request_id": exchange.request_id, "work_class": decision.work}
    if why is Exhaustion.EXHAUSTED:
        said = "every tier that may answer is set up, and none did: see GET /v1/decisions"
        log.warning(said, extra={"fields": fields})
    elif Drop.UNBOUND in decision.drops.values():
        tiers = [tier for tier, drop in decision.drops.items() if drop is Drop.UNBOUND]
        said = "no tier may be asked; without their credential (auth_env) are: %s"
        log.warning(said, ", ".join(tiers), extra={"fields": fields})


def timed(exchange: Exchange, asked: float, sent: float) -> float:
    """Note what the last attempt took: `asked` for its turn, `sent`, and over now (monotonic).

    Returns the seconds that the engine took.
    """
    took_s = time.monotonic() - sent
    exchange.note(_timed_words, sent - asked, took_s)
    return took_s


def _timed_words(queue_s: float, took_s: float) -> dict[str, object]:
    return {"queue_ms": milliseconds(queue_s), "upstream_ms": milliseconds(took_s)}


def counted_words(counts: Counts, estimated: Usage, tier: Tier) -> dict[str, object]:
    """What the engine counted; what it did not is what was `estimated`, where that could be."""
    counted = counts()
    usage = estimated.updated(counted)
    known = counted.input is not None and counted.output is not None
    words: dict[str, object] = {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "usage_source": "upstream" if known else "estimated",
    }
    if usage.cached is not None:
        words["cached_tokens"] = usage.cached
    cost = cost_usd(tier, usage.input, usage.output)
    if cost:
        words["cost_usd"] = round(cost, 8)
    return words


def cost_usd(tier: Tier, tokens_in: int | None, tokens_out: int | None) -> float:
    """What an answer costs in US dollars; 0 where nobody set a price."""
    priced = (tier.cost_input or 0.0) * (tokens_in or 0) + (tier.cost_output or 0.0) * (
        tokens_out or 0
    )
    return priced / 1e6


@functools.lru_cache(maxsize=256)
def _lines(  # noqa: PLR0917 - by position, because names would double a hit's cost
    tier: str,
    model: str,
    mode: str,
    source: str,
    preset: str,
    work_class: str,
    verdict: str,
    substitution: str,
    tried: tuple[str, ...],
    version: str,
) -> bytes:
    """The headers that say what was decided: the same few again and again."""
    headers = (
        ("x-anvil-tier", tier),
        ("x-anvil-model", model),
        ("x-anvil-mode", mode),
        ("x-anvil-source", source),
        ("x-anvil-intent", preset),
        ("x-anvil-work-class", work_class),
        ("x-anvil-verdict", verdict),
        ("x-anvil-substitution", substitution),
        ("x-anvil-fell-back", "true" if len(tried) > 1 else "false"),
        ("x-anvil-tiers-tried", ",".join(tried)),
        ("x-anvil-mapping-version", version),
    )
    return header_lines(tuple((name, _ascii(value)) for name, value in headers if value))


def _ascii(value: str) -> str:
    value = value[:_LONGEST]
    if value.isascii() and value.isprintable():
        return value
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in value)
