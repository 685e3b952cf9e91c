"""What the command line can ask for: each verb takes its request, a mapping, and gives a value."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from anvil_ctl.transfer.hub import Hub
from anvil_ctl.transfer.layout import manifests
from anvil_ctl.transfer.pull import Pull, order, survey
from anvil_ctl.transfer.verify import verify
from anvil_ctl.transfer.wire import Send

# The only name that the token has in here, whatever it is called outside.
TOKEN = "HF_TOKEN"  # noqa: S105 - the name, never the value
Verb = Callable[[Path, dict[str, Any], Send, threading.Event], Any]


def _list(root: Path, request: dict[str, Any], _send: Send, _stop: threading.Event) -> Any:
    hub = Hub(os.environ.get(TOKEN))
    return survey(root, hub, request["repo"], request["revision"]).as_dict()


def _pull(root: Path, request: dict[str, Any], send: Send, stop: threading.Event) -> Any:
    asked = order(request)
    return Pull(root, Hub(os.environ.get(TOKEN), asked.stall_s), asked, send, stop).run()


def _verify(root: Path, request: dict[str, Any], send: Send, stop: threading.Event) -> Any:
    wanted = request["paths"]
    found = [each for each in manifests(root) if not wanted or each.path in wanted]
    return verify(root, found, send, stop, quick=request["quick"])


VERBS: Mapping[str, Verb] = {"list": _list, "pull": _pull, "verify": _verify}
