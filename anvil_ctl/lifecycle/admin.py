"""The admin verbs of the router and of the multiplexer, as their callers on the host see them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import httpx

from anvil_ctl import loopback
from anvil_ctl.errors import AnvilError

Status = Mapping[str, object]


# A control process that Docker starts again is back within a few seconds.
_PATIENCE_S = 20.0
_AGAIN_S = 0.25
_NO_CLOUD = {"x-anvil-no-cloud": "1"}


class AdminError(AnvilError):
    """A control process refused an admin verb, or did not answer."""


class SilentError(AdminError):
    """It did not answer at all."""


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

    def hold(self, reason: str, max_s: float, expected_s: float | None = None) -> None:
        """Let new requests wait; `expected_s` is told to those that may not."""
        said = {"reason": reason, "max_s": max_s, "expected_s": expected_s}
        self._surely("hold", said, 5)

    def drain(self, timeout_s: float) -> int:
        """Wait for running requests to end; how many still run when the time is up."""
        said = self._surely("drain", {"timeout_s": timeout_s}, timeout_s + 10)
        return int(str(said.get("in_flight", 0)))

    def sever(self) -> int:
        """Router only: cut the answers that run, and none of those that wait; how many."""
        return int(str(self._surely("sever", {}, 10).get("severed", 0)))

    def check(self, config: str) -> None:
        """Router only: AdminError if its loader does not accept a configuration's text."""
        self._call("POST", "check", config, 10)

    def route(self, preset: str, *, paid: bool) -> str | None:
        """Router only: the tier that a preset's request would be sent to first, or None where the
        configuration lets nobody answer it. Not `paid`: among those that cost nothing."""
        headers = {} if paid else _NO_CLOUD
        said = _object(self._ask("POST", "route", {"model": preset}, 10, headers))
        if "tier" not in said:
            raise AdminError(
                f"the router does not say who answers preset {preset}",
                hint="anvil-ctl logs router",
            )
        return None if said["tier"] is None else str(said["tier"])

    def prove(self, preset: str, timeout_s: float) -> httpx.Headers:
        """Router only: one token by a preset, whether held or not; the answer's headers.

        Whatever fails, no cloud is asked in its place: nobody pays for a proof.
        """
        ask = {
            "model": preset,
            "max_tokens": 1,
            "messages": [{"role": "user", "content": "Say yes."}],
        }
        answer = self._ask("POST", "prove", ask, timeout_s, _NO_CLOUD)
        choices = _object(answer).get("choices")
        if not isinstance(choices, list) or not choices:
            raise AdminError(
                f"preset {preset}: one token was answered with {answer.text[:200]}",
                hint="anvil-ctl logs router",
            )
        return answer.headers

    def reload(self) -> Status:
        return self._surely("reload", {}, 30)

    def profile(self) -> Status:
        """Router only: what each tier is trusted with."""
        return self._call("GET", "profile", None, 10)

    def grade(self, tier: str, work_class: str, verdict: str) -> Status:
        """Router only: set what a tier is trusted with; it is written down at once."""
        said = {"tier": tier, "work_class": work_class, "verdict": verdict}
        return self._call("POST", "profile", said, 10)

    def decisions(self) -> bytes:
        """Router only: what it decided, as lines of JSON, the oldest first."""
        return self._ask("GET", "decisions", None, 60).content

    def release(self) -> None:
        self._surely("release", {}, 5)

    def stop_all(self, timeout_s: float) -> None:
        """Multiplexer only: stop what it started. AdminError if any of it would not stop."""
        failed = self._call("POST", "stop-all", {}, timeout_s).get("failed")
        if isinstance(failed, dict) and failed:
            causes = "; ".join(f"{name}: {cause}" for name, cause in failed.items())
            raise AdminError(f"not stopped: {causes}", hint=f"anvil-ctl logs {self.name}")

    def _surely(self, verb: str, body: Mapping[str, object], timeout_s: float) -> Status:
        """A verb that may be said twice, said until it is heard: Docker may be restarting us."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._call("POST", verb, body, timeout_s)
            except SilentError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_S)

    def _call(
        self, method: str, verb: str, body: Mapping[str, object] | str | None, timeout_s: float
    ) -> Status:
        return _object(self._ask(method, verb, body, timeout_s))

    def _ask(
        self,
        method: str,
        verb: str,
        body: Mapping[str, object] | str | None,
        timeout_s: float,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **more}
        said = {"content": body} if isinstance(body, str) else {"json": body}
        try:
            with loopback.client(timeout=timeout_s) as client:
                answer = client.request(method, f"{self.url}/admin/{verb}", headers=headers, **said)
        except httpx.HTTPError as error:
            raise SilentError(
                f"the {self.name} does not answer at {self.url} ({type(error).__name__})",
                hint="anvil-ctl logs " + self.name,
            ) from error
        if answer.status_code != 200:
            raise AdminError(
                f"the {self.name} refused {verb}: {answer.status_code} {_message(answer)}",
                hint="anvil-ctl logs " + self.name,
            )
        return answer


def _object(answer: httpx.Response) -> Status:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
