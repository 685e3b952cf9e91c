"""Has the multiplexer bring in one model, as any client would: by a lease, given back at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

from anvil_ctl import loopback
from anvil_ctl.config import Tier
from anvil_ctl.errors import AnvilError, UsageError
from anvil_ctl.events import Event, Report, State
from anvil_ctl.lifecycle.observe import multiplexer_admin
from anvil_ctl.site import Site

# A waiter hears of its place every two seconds.
_SILENCE = httpx.Timeout(30, connect=5)
# Its word on how long it takes is told anew only when it changes by that much.
_CHANGED_S = 5.0


@dataclass(frozen=True, slots=True)
class Resident:
    """The model that is resident now, after how long, and the phases if there was a swap."""

    model: str
    tier: str
    waited_s: float
    swap: Mapping[str, object] | None


def bring_in(site: Site, name: str, report: Report) -> Resident:
    """Bring in the model of a tier, given by its id or its served name.

    UsageError for one that does not swap; AnvilError with the multiplexer's own words if the model
    does not come.
    """
    tier = _tier(site, name)
    base = site.url(site.config.machine.multiplexer_port)
    headers = {"authorization": f"Bearer {site.router_token()}"}
    began, wall = time.monotonic(), time.time()
    try:
        with (
            loopback.client(timeout=_SILENCE, headers=headers) as client,
            client.stream("POST", f"{base}/v1/lease", json={"model": tier.served_name}) as said,
        ):
            if said.status_code != 200:
                raise _refused(tier, said.status_code, _message(said))
            _await_grant(tier, said.iter_lines(), report)
            waited = time.monotonic() - began
            health = client.get(f"{base}/healthz").json()
    except httpx.HTTPError as error:
        raise AnvilError(
            f"the multiplexer does not answer at {base} ({type(error).__name__})",
            hint="anvil-ctl status; anvil-ctl up --mode flexibility",
        ) from error
    last = health["roles"].get(tier.role, {}).get("last_swap")
    done = last if last and last["to"] == tier.served_name and last["at"] >= wall - 1 else None
    return Resident(tier.served_name, tier.id, waited, done)


def foretold(site: Site, name: str) -> str:
    """What `swap` would do, in one line. UsageError for a tier that does not swap."""
    tier = _tier(site, name)
    admin = multiplexer_admin(site)
    said = admin.status()
    if said is None:
        raise AnvilError(
            f"the multiplexer does not answer at {admin.url}",
            hint="anvil-ctl status; anvil-ctl up --mode flexibility",
        )
    models = {str(each["name"]): each for each in _rows(said["models"])}
    if tier.served_name not in models:
        raise AnvilError(
            f"{tier.served_name} is not of the live mode", hint="anvil-ctl switch flexibility"
        )
    roles = said["roles"]
    resident = roles[tier.role]["resident"] if isinstance(roles, dict) else None
    if resident == tier.served_name:
        return f"{tier.served_name} is resident already: nothing to do"
    load_s = float(str(models[tier.served_name]["load_s"]))
    away = f", once the running answers of {resident} have ended" if resident else ""
    return f"would bring in {tier.served_name} on {tier.role} (about {load_s:.0f} s){away}"


def _rows(value: object) -> list[Mapping[str, object]]:
    return value if isinstance(value, list) else []


def _tier(site: Site, name: str) -> Tier:
    tiers = [tier for _mode, tier in site.config.swap_tiers()]
    found = next((tier for tier in tiers if name in (tier.id, tier.served_name)), None)
    if found is not None:
        return found
    known = ", ".join(dict.fromkeys(tier.id for tier in tiers)) or "none"
    raise UsageError(
        f"swap: {name!r} is no tier that is swapped; there are: {known}",
        hint="set swap = true on tiers that share a role, or switch to their mode",
    )


def _await_grant(tier: Tier, lines: Iterator[str], report: Report) -> None:
    """Read what the lease says until it is granted."""
    told = float("inf")
    for line in lines:
        said = json.loads(line)
        if said["state"] == "granted":
            return
        if said["state"] == "refused":
            raise _refused(tier, int(said["status"]), str(said["message"]))
        estimate = float(said["estimate_s"])
        if abs(estimate - told) >= _CHANGED_S:
            told = estimate
            text = f"{tier.served_name}: place {said['position']}"
            report(Event("swap", text, State.WORKING, estimate_s=estimate))
    raise AnvilError(
        f"the multiplexer ended the wait for {tier.served_name}", hint="anvil-ctl logs multiplexer"
    )


def _refused(tier: Tier, status: int, message: str) -> AnvilError:
    hint = "anvil-ctl status" if status == 404 else f"anvil-ctl logs {tier.id} multiplexer"
    return AnvilError(f"{tier.served_name} was not brought in: {message}", hint=hint)


def _message(answer: httpx.Response) -> str:
    text = answer.read().decode(errors="replace")
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {text[:200]}"
