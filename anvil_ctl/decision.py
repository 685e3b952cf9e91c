"""Asks the live router what it would do with a text, and what it has done with others."""

from __future__ import annotations

from typing import Any

import httpx

from anvil_ctl import loopback
from anvil_ctl.errors import AnvilError
from anvil_ctl.site import Site


def decide(site: Site, text: str, model: str) -> dict[str, object]:
    """The router's answer to POST /v1/route with all notes; `error` is in it if nobody may serve.

    AnvilError if the router does not answer, or answers something else.
    """
    body = {"model": model, "explain": True, "messages": [{"role": "user", "content": text}]}
    answer, said = _asked(site, "POST", "route", json=body)
    if "notes" not in said:
        raise _strange(answer)
    return {**said, "status": answer.status_code}


def recent(site: Site, limit: int) -> list[dict[str, object]]:
    """The records of the last decisions, the newest first. AnvilError as above."""
    answer, said = _asked(site, "GET", "decisions", params={"limit": limit})
    records = said.get("data")
    if not isinstance(records, list):
        raise _strange(answer)
    return records


def _asked(
    site: Site, method: str, path: str, **said: Any
) -> tuple[httpx.Response, dict[str, object]]:
    """The answer, and the object in it."""
    url = f"{site.url(site.config.machine.router_port)}/v1/{path}"
    headers = {"Authorization": f"Bearer {site.router_token()}"}
    try:
        with loopback.client(timeout=10) as client:
            answer = client.request(method, url, headers=headers, **said)
    except httpx.HTTPError as error:
        raise AnvilError(
            f"the router does not answer at {url} ({type(error).__name__})",
            hint="anvil-ctl status; anvil-ctl up",
        ) from error
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _strange(answer)
    return answer, found


def _strange(answer: httpx.Response) -> AnvilError:
    return AnvilError(
        f"the router answered {answer.status_code}: {answer.text[:300]}",
        hint="anvil-ctl logs router",
    )
