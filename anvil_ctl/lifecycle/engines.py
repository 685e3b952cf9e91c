"""Proof that an engine serves what it should: ready, the exact name, one real token."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from anvil_ctl.errors import AnvilError

_POLL_S = 0.25


class EngineError(AnvilError):
    """An engine did not become ready, or it serves something else."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine, or the multiplexer in front of it, answers the host."""

    tier: str
    url: str
    served_name: str
    dialect: str
    token: str | None = None


def wait_ready(
    endpoint: Endpoint,
    health_path: str,
    models_path: str,
    timeout_s: float,
    died: Callable[[], str | None],
) -> None:
    """Wait until the engine is healthy and lists its exact served name.

    `died` returns the container's last words once it has stopped, else None. EngineError at the
    container's death, at a wrong name, and after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    with _client(endpoint) as client:
        while not _healthy(client, health_path):
            words = died()
            if words is not None:
                raise EngineError(
                    f"{endpoint.tier}: the engine stopped while it loaded: {words}",
                    hint=f"anvil-ctl logs {endpoint.tier}",
                )
            if time.monotonic() > deadline:
                raise EngineError(
                    f"{endpoint.tier}: not ready after {timeout_s:.0f} s",
                    hint=f"anvil-ctl logs {endpoint.tier}",
                )
            time.sleep(_POLL_S)
        names = _names(client, models_path)
    if endpoint.served_name not in names:
        raise EngineError(
            f"{endpoint.tier}: serves {', '.join(names) or 'no model'}, not {endpoint.served_name}",
            hint="anvil-ctl doctor",
        )


def answering(endpoint: Endpoint, health_path: str) -> bool:
    """Whether an engine says now that it can answer."""
    with _client(endpoint) as client:
        return _healthy(client, health_path)


def canary(endpoint: Endpoint, timeout_s: float) -> None:
    """Have one token generated; EngineError if what comes back is no answer."""
    anthropic = endpoint.dialect == "anthropic"
    path = "/v1/messages" if anthropic else "/v1/chat/completions"
    body = {
        "model": endpoint.served_name,
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "Say yes."}],
    }
    try:
        with _client(endpoint) as client:
            answer = client.post(path, json=body, timeout=timeout_s)
    except httpx.HTTPError as error:
        raise EngineError(
            f"{endpoint.tier}: no answer to one token ({type(error).__name__})",
            hint=f"anvil-ctl logs {endpoint.tier}",
        ) from error
    key = "content" if anthropic else "choices"
    if answer.status_code != 200 or not _list_at(answer, key):
        raise EngineError(
            f"{endpoint.tier}: one token was answered with {answer.status_code} "
            f"{answer.text[:200]}",
            hint=f"anvil-ctl logs {endpoint.tier}",
        )


def _client(endpoint: Endpoint) -> httpx.Client:
    headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    return httpx.Client(base_url=endpoint.url, headers=headers, trust_env=False, timeout=5)


def _healthy(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx.HTTPError:
        return False


def _names(client: httpx.Client, path: str) -> list[str]:
    try:
        found = _list_at(client.get(path), "data")
    except httpx.HTTPError:
        return []
    return [str(each.get("id")) for each in found if isinstance(each, dict)]


def _list_at(answer: httpx.Response, key: str) -> list[object]:
    try:
        found = answer.json()[key]
    except (ValueError, KeyError, TypeError):
        return []
    return found if isinstance(found, list) else []
