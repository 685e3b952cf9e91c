"""The container that alone writes into the volume, and what is said to it and by it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from anvil_ctl import proc
from anvil_ctl.docker_errors import failure
from anvil_ctl.store.failures import explained

Tell = Callable[[Mapping[str, Any]], None]
TOKEN = "HF_TOKEN"  # noqa: S105 - the name, never the value
_CA_INSIDE = "/etc/anvil-ca.pem"
_CA_NAMES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# Where distributions keep what the host trusts, a network's own authority among it.
_CA_HOST = "/etc/ssl/certs/ca-certificates.crt"
# What a shell on the host would reach a hub with. Passed on by name: some hold passwords.
PASSED = (
    *("HF_ENDPOINT", "HF_HUB_DISABLE_XET", "HF_XET_HIGH_PERFORMANCE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)


class Store(Protocol):
    """Whoever does the work in the volume."""

    def ask(
        self, verb: str, request: Mapping[str, Any], tell: Tell, inbox: Path | None = None
    ) -> Any:
        """The verb's value; `tell` gets what is said on the way.

        `inbox` is a folder or a file of this host that it may read. AnvilError where it fails.
        """
        ...


def run_argv(
    image: str,
    volume: str,
    name: str,
    *,
    variables: Sequence[str] = (),
    ca: Path | None = None,
    inbox: Path | None = None,
) -> list[str]:
    """The `docker run` that does one verb's work.

    It has the host's network, so that proxies and mirrors on loopback are where a shell finds them.
    """
    mounts = [f"type=volume,source={volume},target=/store"]
    if inbox:
        mounts.append(f"type=bind,source={inbox},target=/inbox,readonly")
    if ca:
        mounts.append(f"type=bind,source={ca},target={_CA_INSIDE},readonly")
        variables = [*variables, f"SSL_CERT_FILE={_CA_INSIDE}"]
    return [
        *("docker", "run", "--rm", "--interactive", "--pull=never", f"--name={name}"),
        *("--network=host", "--read-only", "--tmpfs=/tmp", "--user=0:0"),
        # Root that may do no more than write files which belong to others.
        *("--cap-drop=ALL", "--cap-add=DAC_OVERRIDE", "--cap-add=FOWNER"),
        *("--security-opt=no-new-privileges", f"--label=dev.anvil.store={volume}"),
        *(f"--mount={each}" for each in mounts),
        *(f"--env={each}" for each in variables),
        *(image, "python3", "-m", "anvil_ctl.transfer"),
    ]


@dataclass(frozen=True, slots=True)
class Box:
    """A one-off container of the store image. `token` is what opens gated repositories."""

    image: str
    volume: str
    token: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def ask(
        self, verb: str, request: Mapping[str, Any], tell: Tell, inbox: Path | None = None
    ) -> Any:
        """See Store. A Ctrl-C ends the container, which leaves what it has for the next time."""
        variables = [name for name in PASSED if self.environ.get(name)]
        environ = dict(self.environ)
        environ.pop(TOKEN, None)
        if self.token:
            variables.append(TOKEN)
            environ[TOKEN] = self.token
        name = f"anvil-store-{secrets.token_hex(4)}"
        argv = run_argv(
            self.image,
            self.volume,
            name,
            variables=variables,
            ca=_authorities(self.environ),
            inbox=inbox,
        )
        noise: list[str] = []
        line = json.dumps({"verb": verb, **request})
        with proc.conversing(argv, line, environ) as lines:
            for said in lines:
                message = _message(said)
                if message is None:
                    noise.append(said.rstrip())
                elif message["say"] == "result":
                    return message["value"]
                elif message["say"] == "failed":
                    raise explained(message["kind"], message["text"], request, bool(self.token))
                else:
                    tell(message)
        raise failure("\n".join(noise[-5:]))


def _message(said: str) -> dict[str, Any] | None:
    try:
        found = json.loads(said)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "say" in found else None


def _authorities(environ: Mapping[str, str]) -> Path | None:
    """The certificates that this host trusts hubs and proxies by."""
    named = [environ[name] for name in _CA_NAMES if environ.get(name)]
    found = (Path(each) for each in [*named, _CA_HOST])
    return next((each.resolve() for each in found if each.is_file()), None)
