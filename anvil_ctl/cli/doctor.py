"""doctor: every check, and what to do about what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anvil_ctl.doctor.check import Check
    from anvil_ctl.doctor.looking import Wanted
    from anvil_ctl.doctor.report import Report
    from anvil_ctl.doctor.survey import Survey
    from anvil_ctl.paths import Home


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    mode: Annotated[
        str | None, typer.Option("--mode", help="The mode to check for; else the live one.")
    ] = None,
    as_json: AsJson = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Look at what costs: cards, caches, one token of each.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Do what is safe about it, and say so before.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 for warnings as well.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="This check alone, by id. Repeatable.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no engine, router or multiplexer.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what is right, too, one by one.")
    ] = False,
) -> None:
    """Check everything that a mode needs; with --fix, mend what is safe to mend."""
    from anvil_ctl.doctor.looking import Wanted
    from anvil_ctl.doctor.report import choose, looks
    from anvil_ctl.doctor.survey import Look
    from anvil_ctl.lifecycle.endpoints import journal
    from anvil_ctl.paths import Home

    home = Home.from_environ()
    checks = choose(only or [])
    wanted = Wanted(
        looks=looks(checks) | ({Look.DEEP} if deep else frozenset()),
        mode=mode,
        offline=offline,
        journal=journal(home.journal),
    )
    survey, report = _look(home, wanted, checks, strict=strict)
    if fix and _fix(home, survey, report):
        survey, report = _look(home, wanted, checks, strict=strict)
    if as_json:
        console.say_json(report.as_json(survey.mode))
    else:
        for line in report.lines(every=every):
            console.say(line)
        console.say(f"{survey.mode}: {report.summary()}")
    if not report.good:
        raise typer.Exit(1)


def _look(
    home: Home, wanted: Wanted, checks: Sequence[Check], *, strict: bool
) -> tuple[Survey, Report]:
    import os

    from anvil_ctl.doctor.gather import gather
    from anvil_ctl.doctor.report import Report, examine
    from anvil_ctl.lifecycle.endpoints import SiteEndpoints

    survey = gather(home, os.environ, wanted, SiteEndpoints)
    return survey, Report(examine(survey, checks), strict)


def _fix(home: Home, survey: Survey, report: Report) -> bool:
    """Do what may be done; whether there was anything."""
    from anvil_ctl.doctor.fix import fixes

    found = list(fixes(survey, report.findings, home))
    for each in found:
        console.note(f"fix {each.check}: {each.says}")
        each.act()
    return bool(found)
