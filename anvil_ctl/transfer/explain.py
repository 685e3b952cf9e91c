"""Failures of the hub's client, sorted: what will not change by itself, and what may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)

from anvil_ctl.transfer.problem import Kind, Problem


class Passing(Exception):  # noqa: N818 - it says that another attempt may do better
    """A failure of the network or of the hub that may be gone in a moment."""


# In this order: a gated repository is also one that is not found.
_FINAL = (
    (GatedRepoError, Kind.GATED),
    (RevisionNotFoundError, Kind.NO_REVISION),
    (RepositoryNotFoundError, Kind.NO_REPO),
    (RemoteEntryNotFoundError, Kind.NO_REVISION),
)
# 403 is what a signed address gets that has run out, and 416 a part that is of another file.
_PASSING = frozenset({403, 408, 416, 429})


@contextmanager
def explained(page: str, stall_s: float) -> Iterator[None]:
    """Problem or Passing for what the client raises about the repository at `page`.

    `stall_s` is how long it was told to wait for a byte.
    """
    try:
        yield
    except HfHubHTTPError as error:
        raise _of_answer(error, page) from error
    except httpx2.TimeoutException as error:
        raise Passing(f"no byte came for {stall_s:g} s") from error
    except (httpx2.TransportError, XetDownloadError) as error:
        raise Passing(str(error) or type(error).__name__) from error


def _of_answer(error: HfHubHTTPError, page: str) -> Exception:
    for kind, meaning in _FINAL:
        if isinstance(error, kind):
            return Problem(meaning, page)
    status = error.response.status_code
    if status == 401:
        return Problem(Kind.GATED, page)
    if status in _PASSING or status >= 500:
        return Passing(f"the hub answered {status}")
    return Problem(Kind.NETWORK, f"{page} answered {status}")
