"""Whose certificates are trusted: the public ones, and those of a file besides."""

from __future__ import annotations

import ssl
from pathlib import Path


def trusting(authorities: Path) -> ssl.SSLContext:
    """What the system trusts (or SSL_CERT_FILE names), and a PEM file. OSError if that is none."""
    context = ssl.create_default_context()
    context.load_verify_locations(authorities)
    return context
