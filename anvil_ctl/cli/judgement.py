"""route, profile: what the router would do, and whom it trusts with what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, cast

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.options import AsJson, DryRun


def register(app: typer.Typer) -> None:
    app.command()(route)
    profile = typer.Typer(no_args_is_help=True, help="What each tier is trusted with.")
    profile.command("show")(show)
    profile.command("set")(set_verdict)
    app.add_typer(profile, name="profile")


def route(
    text: Annotated[str, typer.Argument(help="What would be asked.")],
    model: Annotated[str, typer.Option("--model", help="Preset, tier or served name.")] = "chat",
    as_json: AsJson = False,
) -> None:
    """Who would answer a text, and why nobody else. Nothing is generated."""
    from anvil_ctl import decision
    from anvil_ctl import site as sites
    from anvil_ctl.paths import Home

    said = decision.decide(sites.load(Home.from_environ()), text, model)
    if as_json:
        console.say_json(said)
    else:
        _tell(said)
    if "error" in said:
        raise typer.Exit(1)


def _tell(said: dict[str, object]) -> None:
    notes = cast(dict[str, object], said["notes"])
    console.say(f"class of work: {notes['work_class'] or '-'}")
    for part in str(said["reason"]).split("; "):
        console.say(f"because: {part}")
    candidates = said.get("candidates")
    if isinstance(candidates, list):
        console.say_table(
            ("tier", "model", "verdict", "handling"),
            [tuple(str(each[key]) for key in ("tier", "model", "verdict", "handling"))
             for each in candidates],
        )  # fmt: skip
    else:
        console.say(f"nobody may answer: HTTP {said['status']}")


def show(
    tier: Annotated[str | None, typer.Argument(help="One tier only.")] = None,
    as_json: AsJson = False,
) -> None:
    """What each tier of the live mode is trusted with, and what made it stale."""
    from anvil_ctl import site as sites
    from anvil_ctl.lifecycle.observe import router_admin
    from anvil_ctl.paths import Home

    said = dict(router_admin(sites.load(Home.from_environ())).profile())
    rows = said["rows"] = _rows(said, tier)
    if as_json:
        console.say_json(said)
        return
    console.say(f"mode: {said['mode']}  source: {said['source']}")
    heads = ("tier", "class of work", "verdict", "score", "samples", "from", "stale")
    console.say_table(heads, [_line(row) for row in rows])
    for row in rows:
        for why in cast(list[str], row["why"]):
            console.say(f"{row['tier']} {row['work_class']}: stale because {why}")


def _rows(said: Mapping[str, object], tier: str | None) -> list[dict[str, object]]:
    """The rows of one tier, or all; UsageError for a tier that the live mode has not."""
    from anvil_ctl.errors import UsageError

    rows = cast(list[dict[str, object]], said["rows"])
    found = [row for row in rows if tier in {None, row["tier"]}]
    if not found:
        known = ", ".join(sorted({str(row["tier"]) for row in rows}))
        raise UsageError(f"the live mode has no tier {tier!r}; it has: {known}")
    return found


def _line(row: dict[str, object]) -> tuple[str, ...]:
    score, samples = row.get("score"), row.get("samples")
    return (
        str(row["tier"]),
        str(row["work_class"]),
        str(row["verdict"]),
        "-" if score is None else f"{score:.2f}",
        "-" if samples is None else str(samples),
        str(row["origin"]),
        "yes" if row["stale"] else "no",
    )


def set_verdict(
    tier: Annotated[str, typer.Argument(help="The tier's id.")],
    work_class: Annotated[str, typer.Argument(help="The class of work, as `profile show` has it.")],
    verdict: Annotated[
        Literal["allow", "allow-with-verify", "deny"], typer.Argument(help="What it may do.")
    ],
    dry_run: DryRun = False,
) -> None:
    """Say what a tier of the live mode may do with a class of work; it is kept."""
    from anvil_ctl import site as sites
    from anvil_ctl.errors import UsageError
    from anvil_ctl.lifecycle.observe import router_admin
    from anvil_ctl.paths import Home

    router = router_admin(sites.load(Home.from_environ()))
    if dry_run:
        now = {row["work_class"]: row["verdict"] for row in _rows(router.profile(), tier)}
        if work_class not in now:
            raise UsageError(
                f"no class of work {work_class!r}; there are: {', '.join(map(str, now))}"
            )
        console.say(f"{tier} {work_class}: {now[work_class]} now, would be {verdict}")
        return
    router.grade(tier, work_class, verdict)
    console.note(f"{tier} {work_class}: {verdict}, until the tier changes")
