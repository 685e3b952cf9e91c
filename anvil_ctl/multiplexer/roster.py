"""Which roles there are, and what of them goes on when others take their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from anvil_ctl.multiplexer.model import Model
from anvil_ctl.multiplexer.role import Bounds, Role, State


def by_role(models: Iterable[Model]) -> dict[str, dict[str, Model]]:
    """The models of each role, by name."""
    grouped: dict[str, dict[str, Model]] = {}
    for model in models:
        grouped.setdefault(model.role, {})[model.name] = model
    return grouped


def goes_on(
    roles: Mapping[str, Role], old: Mapping[str, Model], models: Sequence[Model]
) -> frozenset[str]:
    """The roles whose holder is still among the models, unchanged in container and role."""
    rows = {model.name: model for model in models}
    return frozenset(
        role.name
        for role in roles.values()
        if role.holder is not None and _same(old[role.holder], rows.get(role.holder))
    )


def next_look(roles: Iterable[Role], bounds: Bounds) -> float | None:
    """When time alone changes something at the earliest; None if it does not."""
    times: list[float] = []
    for role in roles:
        if role.state is State.DRAINING:
            times.append(role.drain_by)
        if role.state is State.READY and role.due is not None:
            times.append(role.due)
        if role.waiters:
            times.append(role.waiters[0].since + bounds.max_wait_s)
    return min(times, default=None)


def _same(old: Model, new: Model | None) -> bool:
    return new is not None and (old.container, old.role) == (new.container, new.role)
