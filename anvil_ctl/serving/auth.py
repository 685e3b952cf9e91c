"""Who may call: a bearer token or an x-api-key, compared in constant time."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping

from anvil_ctl.errors import ConfigError


def token_from_env(name: str) -> str:
    """The secret that the variable `name` holds, trimmed; an unset or empty one is an error."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise ConfigError(
            f"the environment variable {name} is unset or empty",
            hint=f"export {name}=<token>, or remove the key that names it",
        )
    return value


class Auth:
    """Compares a request's credential with the one token. `Auth(None)` lets everyone in."""

    __slots__ = ("_token",)

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    def __repr__(self) -> str:
        return f"Auth({'off' if self._token is None else 'on'})"

    @property
    def on(self) -> bool:
        """Whether a token is asked for at all."""
        return self._token is not None

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether these headers (lower-case names, latin-1 text) carry the token."""
        if self._token is None:
            return True
        # A header's bytes arrive as latin-1 text; a UTF-8 token compares as the bytes it was.
        return hmac.compare_digest(_credential(headers).encode("latin-1", "replace"), self._token)


def _credential(headers: Mapping[str, str]) -> str:
    """The token offered. An Authorization header that isn't Bearer hides any x-api-key."""
    authorization = headers.get("authorization")
    if authorization is None:
        return headers.get("x-api-key", "").strip()
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
