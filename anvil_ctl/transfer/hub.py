"""The one door to a model hub: huggingface_hub underneath, plain records and Problems above."""

from __future__ import annotations

import os
from typing import cast
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import HfFileMetadata
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import get_session, hf_raise_for_status
from huggingface_hub.utils._xet import XetFileData, refresh_xet_connection_info

from anvil_ctl.transfer.explain import Passing, explained
from anvil_ctl.transfer.stream import Growing
from anvil_ctl.transfer.xet import Broken, Xet
from anvil_ctl.weights.listing import File, Listing


class Hub:
    """One hub: HF_ENDPOINT, or the public one. `stall_s` without a byte ends an attempt."""

    def __init__(self, token: str | None, stall_s: float = 30) -> None:
        # False, as None would let the library look for tokens by itself.
        self._token: str | bool = token or False
        self._api = HfApi(token=self._token, endpoint=_endpoint())
        self._stall_s = stall_s
        self._xet = Xet(stall_s)

    def listing(self, repo: str, revision: str) -> Listing:
        """The repository at the commit that `revision` is now; Problem where it may not be read."""
        with explained(_page(repo), self._stall_s):
            found = self._api.model_info(repo, revision=revision)
            commit = str(found.sha)
            if found.gated:
                self._api.auth_check(repo)
            tree = self._api.list_repo_tree(repo, recursive=True, revision=commit)
            files = [_file(each) for each in tree if isinstance(each, RepoFile)]
        tags = tuple(found.tags or ())
        named = next((tag[8:] for tag in tags if tag.startswith("license:")), None)
        return Listing(
            repo=repo,
            commit=commit,
            files=tuple(sorted(files, key=lambda each: each.path)),
            license=named,
            gated=bool(found.gated),
            tags=tags,
        )

    def metadata(self, repo: str, commit: str, path: str) -> HfFileMetadata:
        """Where a file's content is now: addresses are signed, and good for an hour."""
        url = hf_hub_url(repo, path, revision=commit, endpoint=_endpoint())
        with explained(_page(repo), self._stall_s):
            return get_hf_file_metadata(url, token=self._token, endpoint=_endpoint())

    def http(self, repo: str, where: HfFileMetadata, into: Growing, size: int) -> None:
        """Append the bytes that `into` lacks of a file; Passing where they stopped coming."""
        headers = self._headers(where.location)
        if into.size:
            headers["Range"] = f"bytes={into.size}-"
        with (
            explained(_page(repo), self._stall_s),
            get_session().stream(
                "GET", where.location, headers=headers, timeout=self._stall_s
            ) as answer,
        ):
            hf_raise_for_status(answer)
            if into.size and answer.status_code != 206:
                into.restart()
            # As they come, and not in blocks: a connection that breaks loses nothing.
            for piece in answer.iter_raw():
                into.write(piece)
        if into.size != size:
            raise Passing(f"the hub ended at {into.size} bytes")

    def xet(self, _repo: str, where: HfFileMetadata, into: Growing, size: int) -> None:
        """Append the bytes that `into` lacks of a file by Xet; xet.Broken where it gives none."""
        what = cast(XetFileData, where.xet_file_data)
        headers = build_hf_headers(token=self._token)
        try:
            by = refresh_xet_connection_info(file_data=what, headers=headers)
        except HfHubHTTPError as error:
            # Whether the file itself may be read, plain HTTP will say.
            text = f"asked for a token for Xet, the hub answered {error.response.status_code}"
            raise Broken(text, final=True) from error
        except (httpx2.TransportError, ValueError) as error:
            raise Broken(f"the hub gave no token for Xet: {error}") from error
        self._xet.stream(what, size, by, headers, into)

    def _headers(self, location: str) -> dict[str, str]:
        headers = build_hf_headers(token=self._token)
        headers["Accept-Encoding"] = "identity"
        # The token is for the hub: content hosts take signed addresses, and refuse both at once.
        if urlsplit(location).netloc != urlsplit(_endpoint()).netloc:
            headers.pop("authorization", None)
        return headers


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def _page(repo: str) -> str:
    return f"{_endpoint()}/{repo}"


def _file(found: RepoFile) -> File:
    if found.lfs is not None:
        return File(found.path, found.lfs.size, found.lfs.sha256)
    return File(found.path, found.size, found.blob_id)
