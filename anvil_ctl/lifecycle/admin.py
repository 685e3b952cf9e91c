"""The admin verbs of the router and of the multiplexer, as their callers on the host see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from anvil_ctl.errors import AnvilError

Status = Mapping[str, object]


class AdminError(AnvilError):
    """A control process refused an admin verb, or did not answer."""


@dataclass(frozen=True, slots=True)
class Admin:
    """One control process, by name and admin URL. Times are in seconds."""

    name: str
    url: str
    token: str

    def status(self) -> Status | None:
        """Its status, or None while it does not answer."""
        try:
            return self._call("GET", "status", None, 5)
        except AdminError:
            return None

    def hold(self, reason: str, max_s: float) -> None:
        self._call("POST", "hold", {"reason": reason, "max_s": max_s}, 5)

    def drain(self, timeout_s: float) -> int:
        """Wait for running requests to end; how many still run when the time is up."""
        said = self._call("POST", "drain", {"timeout_s": timeout_s}, timeout_s + 10)
        return int(str(said.get("in_flight", 0)))

    def reload(self) -> Status:
        return self._call("POST", "reload", {}, 30)

    def profile(self) -> Status:
        """Router only: what each tier is trusted with."""
        return self._call("GET", "profile", None, 10)

    def grade(self, tier: str, work_class: str, verdict: str) -> Status:
        """Router only: set what a tier is trusted with; it is written down at once."""
        said = {"tier": tier, "work_class": work_class, "verdict": verdict}
        return self._call("POST", "profile", said, 10)

    def release(self) -> None:
        self._call("POST", "release", {}, 5)

    def stop_all(self, timeout_s: float) -> None:
        """Multiplexer only: stop what it started. AdminError if any of it would not stop."""
        failed = self._call("POST", "stop-all", {}, timeout_s).get("failed")
        if isinstance(failed, dict) and failed:
            causes = "; ".join(f"{name}: {cause}" for name, cause in failed.items())
            raise AdminError(f"not stopped: {causes}", hint=f"anvil-ctl logs {self.name}")

    def _call(
        self, method: str, verb: str, body: Mapping[str, object] | None, timeout_s: float
    ) -> Status:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            # Loopback only, so proxies from the environment must not be asked.
            with httpx.Client(trust_env=False, timeout=timeout_s) as client:
                answer = client.request(
                    method, f"{self.url}/admin/{verb}", headers=headers, json=body
                )
        except httpx.HTTPError as error:
            raise AdminError(
                f"the {self.name} does not answer at {self.url} ({type(error).__name__})",
                hint="anvil-ctl logs " + self.name,
            ) from error
        if answer.status_code != 200:
            raise AdminError(
                f"the {self.name} refused {verb}: {answer.status_code} {_message(answer)}",
                hint="anvil-ctl logs " + self.name,
            )
        said = answer.json()
        return said if isinstance(said, dict) else {}


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
