"""The moment from which an answer is one tier's: what is noted of it, and what its headers say."""

from __future__ import annotations

import functools
import time

from anvil_ctl.router.config import Config
from anvil_ctl.router.route import Choice
from anvil_ctl.serving.exchange import Exchange

_LONGEST = 256

Headers = tuple[tuple[str, str], ...]


def decided(
    exchange: Exchange,
    config: Config,
    choice: Choice,
    *,
    tier: str,
    model: str,
    tried: tuple[str, ...],
) -> Headers:
    """Note that `tier` serves `model`; returns the headers for the client, if it gets to see them.

    The decision's id is the request's, so that header, log line and record are found by one word.
    """
    first = time.monotonic() - exchange.started_at
    exchange.fields.update(
        tier=tier,
        fell_back=len(tried) > 1,
        tried=">".join(tried),
        first_byte_ms=round(first * 1000, 1),
    )
    if not config.decision_headers:
        return ()
    exchange.add("x-anvil-decision-id", exchange.request_id)
    return _headers(
        tier,
        model,
        config.mode,
        choice.source,
        choice.preset or "",
        choice.work_class or "",
        tried,
        config.mapping_version,
    )


@functools.lru_cache(maxsize=256)
def _headers(  # noqa: PLR0917 - by position, because names would double a hit's cost
    tier: str,
    model: str,
    mode: str,
    source: str,
    preset: str,
    work_class: str,
    tried: tuple[str, ...],
    version: str,
) -> Headers:
    """The headers that say what was decided: the same few again and again."""
    headers = (
        ("x-anvil-tier", tier),
        ("x-anvil-model", model),
        ("x-anvil-mode", mode),
        ("x-anvil-source", source),
        ("x-anvil-intent", preset),
        ("x-anvil-work-class", work_class),
        ("x-anvil-fell-back", "true" if len(tried) > 1 else "false"),
        ("x-anvil-tiers-tried", ",".join(tried)),
        ("x-anvil-mapping-version", version),
    )
    return tuple((name, _ascii(value)) for name, value in headers if value)


def _ascii(value: str) -> str:
    # A tier without a model shows the caller's word for it, which may be long.
    value = value[:_LONGEST]
    if value.isascii() and value.isprintable():
        return value
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in value)
