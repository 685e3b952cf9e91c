"""That each cloud can be asked: its key, and the work that it may cost money for."""

from __future__ import annotations

from collections.abc import Iterator

from anvil_ctl.doctor.check import Check, looking
from anvil_ctl.doctor.finding import Finding, Status, ok, warn
from anvil_ctl.doctor.survey import Control, Look, Survey


def _clouds(survey: Survey) -> Iterator[Finding]:
    config, again = survey.site.config, f"anvil-ctl up --mode {survey.mode}"
    if not config.clouds:
        return
    keyless, where = survey.site.keyless(), survey.home.secrets
    for each in config.clouds:
        if (why := keyless.get(each.id)) is not None:
            said = f"cloud {each.id}: {why}, so the router leaves it out"
            yield warn(
                said, "its key", f"have a line {each.key_env}='...' in {where}, then: {again}"
            )
    without = [each for each in _without(survey) if each not in keyless]
    if without:
        said = f"the router that runs has no key of {', '.join(without)}, and {where} has"
        yield warn(said, "a router with all keys", again)
    for text in config.idle_clouds(survey.mode) if config.router.metered_cloud else ():
        remedy = "list its class in metered_cloud, or take the cloud out of the preset"
        yield warn(f"{survey.mode}: {text}", "clouds that can be asked", remedy)
    classes = ", ".join(config.router.metered_cloud)
    if not classes:
        said = "metered_cloud is empty: no cloud is ever asked"
        remedy = f"anvil-ctl config set router.metered_cloud '[\"planning\"]', then: {again}"
        yield warn(said, "the classes of work that may cost money", remedy)
    elif ready := [each.id for each in config.clouds if each.id not in {*keyless, *without}]:
        yield ok(f"{', '.join(ready)}: a key each, for {classes}")


def _without(survey: Survey) -> list[str]:
    """The clouds that the router which runs cannot ask; none where that is not known."""
    said = survey.router.said if isinstance(survey.router, Control) else None
    rows = said.get("tiers") if said else None
    if not isinstance(rows, list):
        return []
    known = {str(row.get("id")) for row in rows}
    return [each.id for each in survey.site.config.clouds if each.id not in known]


CHECKS = (
    Check(
        "D46",
        "clouds can be asked",
        Status.WARN,
        _clouds,
        looking(Look.CONTAINERS, Look.ENDPOINTS),
    ),
)
