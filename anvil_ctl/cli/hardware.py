"""hardware: what this machine has, and which site that is."""

from __future__ import annotations

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.opened import answering
from anvil_ctl.cli.options import AsJson


def register(app: typer.Typer) -> None:
    app.command()(hardware)


def hardware(as_json: AsJson = False) -> None:
    """This machine's cards and what is around them, and the site that init would choose."""
    from dataclasses import asdict

    from anvil_ctl.hardware import read_cards, read_host
    from anvil_ctl.init import choose_site, read_sites
    from anvil_ctl.paths import bundle

    cards, host = read_cards(), read_host(answering().info)
    name, why = None, str(cards)
    if cards.known:
        site, why = choose_site(read_sites(bundle() / "templates"), cards)
        name = site.name
    if as_json:
        chosen = {"name": name, "why": why}
        console.say_json({"host": asdict(host), "cards": asdict(cards), "site": chosen})
        return
    console.say(f"host: {host}")
    for each in cards.found:
        console.say(
            f"card {each.index}: {each}, {each.used_mib} MiB in use, compute capability "
            f"{each.compute_capability}, driver {each.driver}"
        )
    console.say(f"site: {name or 'unknown'} ({why})")
