"""Asks the live router what it would do with a text, and why. Nothing is generated."""

from __future__ import annotations

import httpx

from anvil_ctl.errors import AnvilError
from anvil_ctl.site import Site


def decide(site: Site, text: str, model: str) -> dict[str, object]:
    """The router's answer to POST /v1/route with all notes; `error` is in it if nobody may serve.

    AnvilError if the router does not answer, or answers something else.
    """
    url = f"{site.url(site.config.machine.router_port)}/v1/route"
    body = {"model": model, "explain": True, "messages": [{"role": "user", "content": text}]}
    headers = {"Authorization": f"Bearer {site.router_token()}"}
    try:
        answer = httpx.post(url, json=body, headers=headers, timeout=10, trust_env=False)
    except httpx.HTTPError as error:
        raise AnvilError(
            f"the router does not answer at {url} ({type(error).__name__})",
            hint="anvil-ctl status; anvil-ctl up",
        ) from error
    try:
        said = answer.json()
    except ValueError:
        said = None
    if not isinstance(said, dict) or "notes" not in said:
        raise AnvilError(
            f"the router answered {answer.status_code}: {answer.text[:300]}",
            hint="anvil-ctl logs router",
        )
    return {**said, "status": answer.status_code}
