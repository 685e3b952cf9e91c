"""What nearly every verb opens first. Imports wait until then, so that `--help` is instant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anvil_ctl.docker import Docker
    from anvil_ctl.site import Site


def installation() -> tuple[Site, Docker]:
    """The installation in `$ANVIL_HOME`, and the engine that it runs on."""
    from anvil_ctl import site
    from anvil_ctl.docker import Docker
    from anvil_ctl.paths import Home

    return site.load(Home.from_environ()), Docker()
