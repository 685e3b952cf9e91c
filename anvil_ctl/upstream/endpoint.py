"""Where a request goes: an origin, a path and the headers that never change."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec


class Origin(msgspec.Struct, frozen=True, cache_hash=True):
    """What one pool of connections leads to."""

    host: str
    port: int
    tls: bool = False


class Endpoint(msgspec.Struct, frozen=True):
    """An origin, and the head of a POST to it up to the lines that each request adds.

    `repeatable` says that a request which is answered twice costs nobody anything but time.
    """

    origin: Origin
    head: bytes
    repeatable: bool = False


def endpoint(
    base_url: str,
    path: str,
    headers: tuple[tuple[str, str], ...] = (),
    *,
    repeatable: bool = False,
) -> Endpoint:
    """The endpoint for POSTs to `path` below `base_url`, which may end in `/v1` or not."""
    parts = urlsplit(base_url)
    tls = parts.scheme.lower() == "https"
    host = parts.hostname or ""
    usual = 443 if tls else 80
    port = parts.port or usual
    base = parts.path.rstrip("/").removesuffix("/v1")
    named = f"[{host}]" if ":" in host else host
    # Some services know themselves only by their bare name, as every other client says it.
    named = named if port == usual else f"{named}:{port}"
    lines = [f"POST {base}{path} HTTP/1.1", f"host: {named}", "accept: */*"]
    lines.append("content-type: application/json")
    lines += [f"{name}: {value}" for name, value in headers]
    head = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
    return Endpoint(Origin(host, port, tls), head, repeatable)


def is_http_url(url: str) -> bool:
    """Whether a URL is one that requests can be sent to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    usable = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    # A credential belongs in the environment; the others would be lost without a word.
    usable = usable and not ("@" in parts.netloc or parts.query or parts.fragment)
    return usable and port != 0 and url.isascii() and url.isprintable() and " " not in url


def fits_header(value: str) -> bool:
    """Whether a header can have this value as it is: printable ASCII, on one line."""
    return value.isascii() and value.isprintable()
