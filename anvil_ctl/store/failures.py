"""What the store's container gave as the reason of a failure, as the error that users see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anvil_ctl.errors import AnvilError, BusyError, GateError, UsageError


def explained(kind: str, text: str, request: Mapping[str, Any], token: bool) -> AnvilError:
    """The error for one kind of failure; `token` is whether there was one to show."""
    again = f"anvil-ctl pull {request.get('repo') or request.get('source') or 'REPO'}"
    match kind:
        case "gated":
            return _gated(text, again, token)
        case "no-repo":
            said = f"there is no {text}, or it is private"
            return UsageError(said, hint=f"check the name; for a private one: HF_TOKEN=... {again}")
        case "no-revision":
            return UsageError(text, hint=f"{again} takes what main is now")
        case "busy":
            return BusyError(text, hint=f"{again} --wait")
        case "space":
            return AnvilError(
                text, hint=f"free space (docker system df), then {again} goes on where it stopped"
            )
        case "damaged":
            return AnvilError(
                text, hint=f"{again} --verify, and if it says so again, ask who gave it"
            )
        case "stopped":
            return AnvilError(text, hint=f"{again} goes on where it stopped")
        case "network":
            return AnvilError(
                text, hint=f"check the network, then {again} goes on where it stopped"
            )
        case _:
            return AnvilError(text, hint=f"anvil-ctl doctor; then {again} goes on where it stopped")


def _gated(page: str, again: str, token: bool) -> AnvilError:
    if token:
        said = f"{page} is gated, and the account of this token has not accepted its terms"
        return GateError(said, hint=f"accept them at {page}, then: {again}")
    said = f"{page} is gated, and there is no token to show that its terms were accepted"
    return GateError(said, hint=f"accept them at {page}, then: HF_TOKEN=... {again}")
