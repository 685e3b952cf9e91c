"""What the command line can ask for: each verb takes its request, a mapping, and gives a value.

The hub's client is imported by what needs it: the other verbs answer half a second sooner.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anvil_ctl.transfer.layout import manifests
from anvil_ctl.transfer.shelf import clean, remove, shelf
from anvil_ctl.transfer.take import Take, Taking
from anvil_ctl.transfer.verify import verify
from anvil_ctl.transfer.wire import Send

# The only name that the token has in here, whatever it is called outside.
TOKEN = "HF_TOKEN"  # noqa: S105 - the name, never the value


@dataclass(frozen=True, slots=True)
class Place:
    """The volume's root, and what of the host may be read."""

    root: Path = Path("/store")
    inbox: Path = Path("/inbox")


Verb = Callable[[Place, dict[str, Any], Send, threading.Event], Any]


def _list(place: Place, request: dict[str, Any], _send: Send, _stop: threading.Event) -> Any:
    from anvil_ctl.transfer.hub import Hub
    from anvil_ctl.transfer.pull import survey

    hub = Hub(os.environ.get(TOKEN))
    return survey(place.root, hub, request["repo"], request["revision"]).as_dict()


def _pull(place: Place, request: dict[str, Any], send: Send, stop: threading.Event) -> Any:
    from anvil_ctl.transfer.hub import Hub
    from anvil_ctl.transfer.pull import Pull, order

    asked = order(request)
    hub = Hub(os.environ.get(TOKEN), asked.stall_s)
    return Pull(place.root, hub, asked, send, stop).run()


def _there(place: Place, request: dict[str, Any], send: Send, stop: threading.Event) -> Any:
    return Take(place.root, Taking(**request), send, stop).there()


def _take(place: Place, request: dict[str, Any], send: Send, stop: threading.Event) -> Any:
    return Take(place.root, Taking(**request), send, stop, place.inbox).run()


def _verify(place: Place, request: dict[str, Any], send: Send, stop: threading.Event) -> Any:
    wanted = request["paths"]
    found = [each for each in manifests(place.root) if not wanted or each.path in wanted]
    return verify(place.root, found, send, stop, quick=request["quick"])


def _shelf(place: Place, _request: dict[str, Any], _send: Send, _stop: threading.Event) -> Any:
    return shelf(place.root)


def _remove(place: Place, request: dict[str, Any], _send: Send, _stop: threading.Event) -> Any:
    return remove(place.root, request["path"], dry_run=request["dry_run"])


def _clean(place: Place, request: dict[str, Any], _send: Send, _stop: threading.Event) -> Any:
    return clean(place.root, dry_run=request["dry_run"])


VERBS: Mapping[str, Verb] = {
    "list": _list,
    "pull": _pull,
    "there": _there,
    "take": _take,
    "verify": _verify,
    "shelf": _shelf,
    "remove": _remove,
    "clean": _clean,
}
