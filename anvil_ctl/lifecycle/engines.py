"""Proof that an engine serves what it should: ready, the exact name, one real token."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from anvil_ctl import loopback
from anvil_ctl.doctor.survey import EngineSeen
from anvil_ctl.errors import AnvilError
from anvil_ctl.signatures import Diagnosis

_POLL_S = 0.1
# A container is looked at, and its log, far less often than its port: that starts a process.
_LOOK_S = 1.0


class EngineError(AnvilError):
    """An engine did not become ready, or it serves something else."""


@dataclass(frozen=True, slots=True)
class LastWords:
    """What a container wrote before it ended, on one line, and what that means, where known."""

    said: str
    diagnosis: Diagnosis | None = None

    def __str__(self) -> str:
        return f"{self.diagnosis}; {self.said}" if self.diagnosis else self.said

    def hint(self, tier: str) -> str:
        return self.diagnosis.signature.fix if self.diagnosis else f"anvil-ctl logs {tier}"


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
    *,
    runs: Callable[[], bool],
    last_words: Callable[[], LastWords],
    waiting: Callable[[float], None] = lambda _seconds: None,
) -> None:
    """Wait until the engine is healthy and lists its exact served name.

    `runs` says whether its container still does; `waiting` is told now and then for how long it
    has been waited, and may raise. EngineError at the container's death, at a wrong name, and
    after `timeout_s`.
    """
    began = look_at = time.monotonic()
    deadline = began + timeout_s
    with _client(endpoint) as client:
        while _status(client, health_path) != 200:
            now = time.monotonic()
            looks = now >= look_at
            if looks:
                look_at = now + _LOOK_S
                waiting(now - began)
            if looks and not runs():
                words = last_words()
                raise EngineError(
                    f"{endpoint.tier}: the engine stopped while it loaded: {words}",
                    hint=words.hint(endpoint.tier),
                )
            if time.monotonic() > deadline:
                words = last_words()
                raise EngineError(
                    f"{endpoint.tier}: not ready after {timeout_s:.0f} s: {words}",
                    hint=words.hint(endpoint.tier),
                )
            time.sleep(_POLL_S)
        names = [str(each.get("id")) for each in _models(client, models_path)]
    if endpoint.served_name not in names:
        raise EngineError(
            f"{endpoint.tier}: serves {', '.join(names) or 'no model'}, not {endpoint.served_name}",
            hint="anvil-ctl doctor",
        )


def answering(endpoint: Endpoint, health_path: str) -> bool:
    """Whether an engine says now that it can answer."""
    with _client(endpoint) as client:
        return _status(client, health_path) == 200


def look(endpoint: Endpoint, health_path: str, models_path: str) -> EngineSeen:
    """Ask an engine what it serves; never raises."""
    with _client(endpoint) as client:
        status = _status(client, health_path)
        if status != 200:
            return EngineSeen(status)
        models = _models(client, models_path)
    windows = [each.get("max_model_len") for each in models]
    known = [each for each in windows if isinstance(each, int)]
    names = tuple(str(each.get("id")) for each in models)
    return EngineSeen(status, names, min(known, default=None))


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
    return loopback.client(base_url=endpoint.url, headers=headers, timeout=5)


def _status(client: httpx.Client, path: str) -> int | None:
    """The HTTP status of a path; None where nothing answers."""
    try:
        return client.get(path).status_code
    except httpx.HTTPError:
        return None


def _models(client: httpx.Client, path: str) -> list[dict[str, object]]:
    try:
        found = _list_at(client.get(path), "data")
    except httpx.HTTPError:
        return []
    return [each for each in found if isinstance(each, dict)]


def _list_at(answer: httpx.Response, key: str) -> list[object]:
    try:
        found = answer.json()[key]
    except (ValueError, KeyError, TypeError):
        return []
    return found if isinstance(found, list) else []
