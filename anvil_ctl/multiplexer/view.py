"""How the multiplexer stands, as the documents that its endpoints give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from anvil_ctl.multiplexer.model import Model
from anvil_ctl.multiplexer.role import Role, State, Swap
from anvil_ctl.multiplexer.scheduler import Scheduler
from anvil_ctl.multiplexer.standing import Verdict

_SWAPPING = frozenset({State.DRAINING, State.STOPPING, State.LOADING})


Verdicts = Mapping[str, Verdict]


def healthz(scheduler: Scheduler, now: float, wall: float, verdicts: Verdicts) -> dict[str, object]:
    """The body of GET /healthz. `wall` is the time of day at `now`, in seconds since 1970.

    `verdicts` are those on models that can sleep, if they were tried. The flat keys are about the
    first role that swaps, or else the first; `roles` has all.
    """
    roles = list(scheduler.roles.values())
    views = {role.name: _role(scheduler, role, now, wall) for role in roles}
    focus = next((role for role in roles if role.state in _SWAPPING), roles[0] if roles else None)
    flat = views[focus.name] if focus is not None else {}
    return {
        "status": "ok",
        "resident": flat.get("resident"),
        "registry": list(scheduler.models),
        "swapping": any(role.state in _SWAPPING for role in roles),
        "swap_target": flat.get("swap_target"),
        "inflight": {name: n for role in roles for name, n in role.in_flight().items()},
        "queued": {name: n for role in roles for name, n in role.queued().items()},
        "drain": flat.get("drain"),
        "resident_age_s": flat.get("resident_age_s"),
        "counters": asdict(scheduler.counters),
        "last_swap": flat.get("last_swap"),
        "roles": views,
        "parking": {
            model.name: _parking(model, verdicts)
            for model in scheduler.models.values()
            if model.park is not None
        },
    }


def status(scheduler: Scheduler, now: float, verdicts: Verdicts) -> dict[str, object]:
    """The multiplexer's own keys of GET /admin/status."""
    return {
        "parking": {
            model.name: _parking(model, verdicts)
            for model in scheduler.models.values()
            if model.park is not None
        },
        "roles": {
            role.name: {
                "resident": role.resident,
                "state": role.state,
                "in_flight": role.in_flight(),
                "queued": role.queued(),
                "last_error": role.last_error,
                "state_s": round(now - role.since, 3),
                "asleep": list(role.parked),
            }
            for role in scheduler.roles.values()
        },
        "models": [
            {
                "name": model.name,
                "tier": model.tier,
                "role": model.role,
                "load_s": round(scheduler.measured[model.name].load_s, 3),
            }
            for model in scheduler.models.values()
        ],
    }


def models(scheduler: Scheduler) -> dict[str, object]:
    """The body of GET /v1/models: every model, loaded or not."""
    return {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": 0, "owned_by": "anvil"}
            for name in scheduler.models
        ],
    }


def _role(scheduler: Scheduler, role: Role, now: float, wall: float) -> dict[str, object]:
    draining, loading = role.state is State.DRAINING, role.state is State.LOADING
    in_state = round(now - role.since, 3)
    limit = scheduler.models[role.holder].drain_timeout_s if draining and role.holder else None
    target = role.swap.target if role.swap is not None else (role.holder if loading else None)
    estimate = scheduler.measured[role.holder].load_s if loading and role.holder else None
    return {
        "resident": role.resident,
        "state": role.state,
        "swap_target": target,
        "inflight": role.in_flight(),
        "queued": role.queued(),
        "drain": {
            "active": draining,
            "waiting_on": len(role.leases) if draining else 0,
            "waited_s": in_state if draining else 0.0,
            "timeout_s": limit,
        },
        "load": {
            "active": loading,
            "elapsed_s": in_state if loading else 0.0,
            "estimate_s": None if estimate is None else round(estimate, 3),
        },
        "resident_age_s": round(now - role.ready_since, 3) if role.resident else None,
        "last_swap": _swap(role.last_swap, wall - now),
        "last_error": role.last_error,
        "makes_way_in_s": None if role.due is None else round(max(0.0, role.due - now), 3),
        "asleep": list(role.parked),
        "let_alone": {
            name: {"cause": each.cause, "for_s": round(each.until - now, 3)}
            for name, each in role.broken.items()
            if each.until > now
        },
    }


def _parking(model: Model, verdicts: Verdicts) -> dict[str, object]:
    verdict = verdicts.get(model.name)
    state = "untried" if verdict is None else "proved" if verdict.proved else "given up"
    way = model.park.name if model.park is not None else None
    return {"way": way, "state": state, "reason": verdict.reason if verdict else ""}


def _swap(swap: Swap | None, offset: float) -> dict[str, object] | None:
    if swap is None:
        return None
    return {
        "from": swap.source,
        "to": swap.target,
        "drain_s": round(swap.drain_s, 3),
        "stop_s": round(swap.stop_s, 3),
        "load_s": round(swap.load_s, 3),
        "left": swap.left,
        "entered": swap.entered,
        "jumped": swap.jumped,
        "severed": swap.severed,
        "result": swap.result,
        "at": round(swap.began + offset, 3),
    }
