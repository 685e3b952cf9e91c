"""Asks the live stack one question through the router, as any client would."""

from __future__ import annotations

import time
from dataclasses import dataclass

import httpx

from anvil_ctl import loopback
from anvil_ctl.errors import AnvilError
from anvil_ctl.site import Site


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, from which tier, and after how long (seconds)."""

    text: str
    tier: str
    model: str
    mode: str
    seconds: float


def ask(site: Site, question: str, preset: str = "chat", max_tokens: int = 64) -> Answer:
    """One question to a preset; AnvilError with the router's own words if it is not answered."""
    url = f"{site.url(site.config.machine.router_port)}/v1/chat/completions"
    body = {
        "model": preset,
        "max_tokens": max_tokens,
        "temperature": 0,
        "messages": [{"role": "user", "content": question}],
    }
    headers = {"Authorization": f"Bearer {site.router_token()}"}
    began = time.monotonic()
    try:
        with loopback.client(timeout=600) as client:
            answer = client.post(url, json=body, headers=headers)
    except httpx.HTTPError as error:
        raise AnvilError(
            f"the router does not answer at {url} ({type(error).__name__})",
            hint="anvil-ctl status; anvil-ctl up",
        ) from error
    took = time.monotonic() - began
    try:
        text = str(answer.json()["choices"][0]["message"]["content"])
    except (ValueError, KeyError, IndexError, TypeError):
        raise AnvilError(
            f"the router answered {answer.status_code}: {answer.text[:300]}",
            hint="anvil-ctl status; anvil-ctl logs router",
        ) from None
    head = answer.headers
    return Answer(
        text.strip(),
        head.get("x-anvil-tier", "?"),
        head.get("x-anvil-model", "?"),
        head.get("x-anvil-mode", "?"),
        took,
    )
