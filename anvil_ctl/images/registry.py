"""What a registry says of an image, asked by the Docker daemon: nothing is downloaded.

The daemon has the network's proxies, certificates and insecure registries; docker-py adds what
`docker login` has stored.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Protocol

from docker import from_env
from docker.errors import APIError, DockerException

from anvil_ctl.docker_errors import failure
from anvil_ctl.errors import AnvilError
from anvil_ctl.images.engine import registry_of

_TIMEOUT_S = 60
_DENIED = (401, 403)


class Registry(Protocol):
    """Where published images come from."""

    def digest(self, reference: str) -> str: ...


@dataclass(frozen=True, slots=True)
class DaemonRegistry:
    """Every registry, through the daemon at `endpoint` (unix://, tcp://, ssh://)."""

    endpoint: str

    def digest(self, reference: str) -> str:
        """The digest that a tag means now; AnvilError that says why there is none to be had."""
        try:
            environment = {**os.environ, "DOCKER_HOST": self.endpoint}
            with contextlib.closing(from_env(timeout=_TIMEOUT_S, environment=environment)) as found:
                answer = found.api.inspect_distribution(reference)
        except APIError as error:
            raise _refused(reference, error) from error
        except (DockerException, OSError) as error:
            raise failure(str(error)) from error
        return str(answer["Descriptor"]["digest"])


def _refused(reference: str, error: APIError) -> AnvilError:
    said = str(error.explanation or error).strip().splitlines()[-1]
    status = error.response.status_code if error.response is not None else 0
    registry = registry_of(reference) or "docker.io"
    if status in _DENIED or "denied" in said or "unauthorized" in said:
        hint = f"docker login {registry}"
    elif "manifest unknown" in said or "not found" in said:
        hint = f"see which tags {registry} has, and the README of the engine that names this one"
    else:
        hint = f"try again once this machine reaches {registry}"
    return AnvilError(f"no digest for {reference}: {registry}: {said}", hint=hint)
