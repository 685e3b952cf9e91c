"""HTTP to our own containers, which are published on this machine alone."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

# It trusts nobody, as there is no TLS to them. Reading the public authorities, which httpx does
# for each client otherwise, takes 10 to 25 ms, and a switch has dozens of clients.
_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(**said: Any) -> httpx.Client:
    """An httpx.Client that asks no proxy; the environment's are for the world outside."""
    return httpx.Client(trust_env=False, verify=_NOBODY, **said)
