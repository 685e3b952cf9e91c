"""That the definition, what is rendered from it and what runs say the same."""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterator

from anvil_ctl.config import MODES
from anvil_ctl.doctor.check import Check, looking
from anvil_ctl.doctor.checks.verdicts import of_rules
from anvil_ctl.doctor.finding import Finding, Status, fail, info, ok, warn
from anvil_ctl.doctor.survey import CannotTellError, Look, Survey, Unknown, need
from anvil_ctl.errors import AnvilError, ConfigError
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.service import LABEL

# The check that shows a refusal of the schema, by the rule that decided it.
SHOWN_BY = {
    "A08": "D23",
    "C11": "D42",
    "D28": "D28",
    "D29": "D29",
    "K01": "D14",
    "K03": "D11",
    "S01": "D54",
    "S06": "D58",
}

_MADE_IN = "com.docker.compose.project.working_dir"


def refusal(survey: Survey) -> AnvilError | None:
    """Why the definition cannot be read or rendered; None where it can be."""
    if isinstance(survey.definition, ConfigError):
        return survey.definition
    return survey.of_mode.wrong


def shown_by(error: AnvilError) -> str:
    """The check that a refusal is shown under, and under no other one."""
    return SHOWN_BY.get(getattr(error, "rule", ""), "D20")


def refused(error: AnvilError) -> Finding:
    remedy = error.hint or "edit anvil.toml, then: anvil-ctl render"
    return fail(error.message, "a definition that renders", remedy, getattr(error, "rule", ""))


def _renders(survey: Survey) -> Iterator[Finding]:
    if refusal(survey) is not None:
        raise CannotTellError(Unknown("the definition is refused"))
    files = survey.rendered.files
    if files is None:
        raise CannotTellError(Unknown("not rendered: what refuses it is said by other checks"))
    yield ok(f"{survey.mode} renders ({files.hash})")
    said = need(survey.refused)
    if said:
        yield fail(said, "files that Compose accepts", "anvil-ctl render --check")
    else:
        yield ok(f"Compose accepts {files.project}")


def _files(survey: Survey) -> ModeFiles:
    files = survey.rendered.files
    if files is None:
        raise CannotTellError(Unknown("the mode is not rendered: it is refused"))
    return files


def _current(survey: Survey) -> Iterator[Finding]:
    files, installed = _files(survey), survey.home.installed
    texts = {"compose.yaml": files.compose}
    if _installed_mode(survey) == survey.mode:
        texts |= {"router.toml": files.router, "registry.json": files.registry}
    if installed.get("compose.yaml") is None:
        yield info(f"{survey.mode} has not been rendered yet")
        return
    stale = [name for name, text in texts.items() if installed.get(name) != text]
    if not stale:
        yield ok("the rendered files are as the definition says")
        return
    live = _installed_mode(survey) == survey.mode
    verb = f"anvil-ctl up --mode {survey.mode}" if live else "anvil-ctl render"
    said = f"{', '.join(stale)} of {survey.mode}: not as the definition says"
    yield warn(said, "files that follow from the definition", f"anvil-ctl render --diff; {verb}")


def _installed_mode(survey: Survey) -> str | None:
    """The mode whose router config is installed."""
    found = _router_config(survey)
    mode = found.get("mode") if found else None
    return None if mode is None else str(mode)


def _router_config(survey: Survey) -> dict[str, object] | None:
    text = survey.home.installed.get("router.toml")
    if text is None:
        return None
    try:
        found = tomllib.loads(text).get("router")
    except tomllib.TOMLDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _names(survey: Survey) -> Iterator[Finding]:
    for tier in survey.rendered.tiers:
        found = need(survey.engines).get(tier.id)
        if found is None or found.status != 200:
            continue
        if tier.served_name in found.names:
            yield ok(f"tier {tier.id} serves {tier.served_name}")
        else:
            names = ", ".join(found.names) or "no model"
            yield fail(
                f"tier {tier.id} serves {names}",
                f"{tier.served_name}, which the router asks for",
                f"anvil-ctl up --mode {survey.mode}",
            )


def _windows(survey: Survey) -> Iterator[Finding]:
    for tier in survey.rendered.tiers:
        limit = tier.context_limit or tier.window
        yield ok(f"tier {tier.id}: the router lets {limit} tokens through, of {tier.window}")
    for tier in survey.rendered.tiers:
        found = need(survey.engines).get(tier.id)
        limit = tier.context_limit or tier.window
        if found is not None and found.window is not None and found.window < limit:
            yield fail(
                f"tier {tier.id}: the engine takes {found.window} tokens, the router lets {limit}",
                "no more than the engine takes",
                f"set context_limit = {found.window}, then: anvil-ctl up --mode {survey.mode}",
                "A08",
            )


def _addresses(survey: Survey) -> Iterator[Finding]:
    config = _router_config(survey)
    if config is None or _installed_mode(survey) != survey.mode:
        return
    engines = survey.site.renderer.engines
    right = {
        tier.id: f"http://{tier.id}:{engines[tier.engine].file.port}"
        for tier in survey.rendered.tiers
    }
    right |= {cloud.id: cloud.base_url for cloud in survey.site.config.clouds}
    rows = config.get("tiers")
    wrong = []
    for row in rows if isinstance(rows, list) else []:
        if row.get("base_url") != right.get(str(row.get("id"))):
            wrong.append(f"{row.get('id')} at {row.get('base_url')}")
    if wrong:
        expected = f"services of {survey.mode} at their engines' ports, and clouds as defined"
        again = f"anvil-ctl up --mode {survey.mode}"
        yield fail(f"the router's config has {', '.join(wrong)}", expected, again)
    else:
        yield ok(f"the router's config names the services of {survey.mode}")


def _parsers(survey: Survey) -> Iterator[Finding]:
    yield from of_rules(survey, "D25")


def _thinking(survey: Survey) -> Iterator[Finding]:
    yield from of_rules(survey, "D26")


def _localhost(survey: Survey) -> Iterator[Finding]:
    yield from of_rules(survey, "D27")


def _once(survey: Survey) -> Iterator[Finding]:
    config = survey.site.config
    ports = [*config.machine.control_ports()]
    ports += [tier.port for tier in survey.rendered.tiers]
    twice = sorted(port for port, count in Counter(ports).items() if count > 1)
    for port in twice:
        yield fail(f"port {port} is given twice", "a port for each", "edit anvil.toml")
    project, ours = f"{LABEL}.project", survey.site.project
    names = {service.container for service in survey.rendered.services.values()}
    for each in need(survey.containers):
        if each.name in names and each.labels.get(project) != ours:
            owner = each.labels.get(_MADE_IN, "someone else")
            yield fail(
                f"container {each.name} belongs to {owner}",
                "a name that only this installation uses",
                f"docker rm --force {each.name}, or set machine.project",
            )
            twice.append(0)
    folder = f"{survey.site.home.rendered}/"
    for each in survey.ours:
        made_in = each.labels.get(_MADE_IN, "")
        if f"{LABEL}.tier" in each.labels and made_in and not made_in.startswith(folder):
            said = f"{each.name} was made by the installation whose files are in {made_in}"
            remedy = "set another machine.project here, or use that installation"
            yield fail(said, "containers of this installation", remedy)
            twice.append(0)
    if not twice:
        yield ok("each name and port is given once")


def _presets(survey: Survey) -> Iterator[Finding]:
    names = {mode: set(each.presets) for mode, each in survey.site.config.modes.items()}
    yield ok(f"{len(names)} modes have the presets {', '.join(sorted(next(iter(names.values()))))}")


def _modes(survey: Survey) -> Iterator[Finding]:
    seen = [mode for mode in MODES if _containers_of(survey, mode)]
    requested, source = survey.requested
    recorded, installed = survey.home.journal.recorded, _installed_mode(survey)
    if len(seen) > 1:
        said = f"containers of {' and '.join(seen)} are there at once"
        yield fail(said, "one mode", "anvil-ctl recover")
        return
    live = seen[0] if seen else None
    if live is None:
        shown = f"; {requested} is asked for by {source}"
        yield info(f"no mode is live{shown}", "", f"anvil-ctl up --mode {requested}")
        return
    if installed is not None and installed != live:
        said = f"the router's config is of {installed}, the containers are of {live}"
        yield fail(said, "one mode", f"anvil-ctl up --mode {live}")
    elif requested != live:
        said = f"{live} is live, and {requested} is asked for by {source}"
        yield warn(said, "one mode", f"anvil-ctl switch {requested}, or: {_ask_for(live, source)}")
    elif recorded not in (None, live):
        said = f"{live} is live, and the last command left {recorded}"
        yield warn(said, "one mode", f"anvil-ctl up --mode {live}")
    else:
        yield ok(f"{live} is live, asked for by {source}")


def _ask_for(mode: str, source: str) -> str:
    if source == "ANVIL_MODE":
        return "unset ANVIL_MODE"
    return f"anvil-ctl config set active_mode {mode}"


def _containers_of(survey: Survey, mode: str) -> list[str]:
    label = f"{LABEL}.mode"
    return [each.name for each in survey.ours if each.labels.get(label) == mode]


def _router_reads(survey: Survey) -> Iterator[Finding]:
    running = [each for each in survey.ours if each.labels.get(f"{LABEL}.control") == "router"]
    if not running:
        return
    text = survey.home.installed.get("router.toml")
    if not text:
        again = f"anvil-ctl up --mode {survey.mode}"
        yield fail("the router's config is not installed", "the mode's", again)
        return
    said = need(survey.router).said
    if said is None:
        raise CannotTellError(Unknown("the router does not answer", "anvil-ctl logs router"))
    mode = str(said.get("mode"))
    again = f"anvil-ctl up --mode {mode}"
    if said.get("config_hash") != hashlib.sha256(text.encode()).hexdigest():
        yield fail("the router runs another config than the installed one", "that one", again)
    elif mode != _installed_mode(survey):
        yield fail(f"the router reports mode {mode}", f"{_installed_mode(survey)}", again)
    else:
        yield ok(f"the router runs the installed config of {mode}")


_ENDPOINTS = looking(Look.CONTAINERS, Look.ENDPOINTS)

CHECKS = (
    Check("D20", "the mode renders", Status.FAIL, _renders, looking(Look.COMPOSE), gates=True),
    Check("D21", "rendered files follow from the definition", Status.WARN, _current),
    Check("D22", "engines serve the router's names", Status.FAIL, _names, _ENDPOINTS),
    Check("D23", "windows agree", Status.FAIL, _windows, _ENDPOINTS),
    Check("D24", "the router's addresses are the mode's", Status.FAIL, _addresses),
    Check("D25", "parsers fit the models", Status.FAIL, _parsers, gates=True),
    Check("D26", "thinking is under control", Status.FAIL, _thinking, gates=True),
    Check("D27", "no address is localhost", Status.FAIL, _localhost, gates=True),
    Check(
        "D28",
        "names and ports are given once",
        Status.FAIL,
        _once,
        looking(Look.CONTAINERS),
        gates=True,
    ),
    Check("D29", "modes have the same presets", Status.FAIL, _presets),
    Check("D30", "one mode is meant and live", Status.FAIL, _modes, looking(Look.CONTAINERS)),
    Check("D31", "the router runs its config", Status.FAIL, _router_reads, _ENDPOINTS),
)
