"""The hub's Xet side: what a file consists of (the CAS), and the xorbs that hold its chunks.

As the protocol has it: a file is a row of terms, each a run of chunks in some xorb, and a xorb holds
chunks of other files too, in an order of its own. Hashes are names here: no client can check them,
as chunks travel without theirs.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import urlsplit

from tests.hub.handler import Handler, Piece, asked_range
from tests.hub.repository import Entry

# What the hub's route gives, and the CAS wants to see.
TOKEN = "xet_good"
# Of every size that publishers' chunkers make: 8 to 128 KiB, around 64.
_SIZES = tuple(kib << 10 for kib in (64, 48, 128, 8, 96, 56))
_STRANGER = bytes(1 << 16)


@dataclass(frozen=True)
class Chunk:
    """`size` bytes of the file from `at` on; of another file where `at` is negative."""

    at: int
    size: int

    def packed(self, entry: Entry) -> Piece:
        """With its header: version, length as stored, no compression, length as it was."""
        length = self.size.to_bytes(3, "little")
        data = _STRANGER if self.at < 0 else entry.read(self.at, self.at + self.size)
        return Piece(self.at, data, b"\0" + length + b"\0" + length)


@dataclass(frozen=True)
class Xorb:
    """Chunks in a row, under a name."""

    name: str
    chunks: tuple[Chunk, ...]

    @cached_property
    def offsets(self) -> list[int]:
        """Where each chunk begins, and where the last one ends."""
        return list(itertools.accumulate((8 + each.size for each in self.chunks), initial=0))

    def described(self, first: int, last: int, start: str, end: str) -> dict[str, dict[str, int]]:
        """A run of chunks, by its numbers and by its bytes, of which the last belongs to it."""
        where = {"start": self.offsets[first], "end": self.offsets[last] - 1}
        return {start: {"start": first, "end": last}, end: where}


@dataclass(frozen=True)
class Term:
    """The chunks `first` to `last`, without that one, of a xorb: `size` bytes of the file at `at`."""

    xorb: Xorb
    first: int
    last: int
    at: int
    size: int

    def within(self, start: int, end: int) -> Term:
        """Those of its chunks that hold bytes of the file from `start` to `end`."""
        inside = [
            (number, each)
            for number, each in enumerate(self.xorb.chunks[self.first : self.last], self.first)
            if each.at < end and each.at + each.size > start
        ]
        return _term(self.xorb, inside[0][0], tuple(each for _number, each in inside))


@dataclass(frozen=True)
class Stored:
    """A file as Xet has it."""

    entry: Entry

    @cached_property
    def name(self) -> str:
        return hashlib.sha256(f"xet {self.entry.sha256}".encode()).hexdigest()

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """Two neighbours share a xorb, the later before the earlier, after chunks of other files."""
        chunks = list(_cut(self.entry.size))
        # Several terms of a small file too; of a large one, xorbs of nearly 64 MiB, as publishers'.
        run = max(4, min(480, len(chunks) // 16))
        runs = [tuple(chunks[at : at + run]) for at in range(0, len(chunks), run)]
        found = []
        for number in range(0, len(runs), 2):
            early, late = runs[number], (runs[number + 1 : number + 2] or [()])[0]
            stranger = Chunk(-1, len(_STRANGER))
            name = hashlib.sha256(f"{self.name} {number}".encode()).hexdigest()
            xorb = Xorb(name, (stranger, *late, stranger, *early))
            found.append(_term(xorb, 2 + len(late), early))
            if late:
                found.append(_term(xorb, 1, late))
        return tuple(found)

    @cached_property
    def xorbs(self) -> dict[str, Xorb]:
        return {each.xorb.name: each.xorb for each in self.terms}

    def reconstruction(self, start: int, end: int, version: str, url: str) -> dict[str, object]:
        """What the bytes from `start` to `end` are made of, in the words of the API's version."""
        terms = [
            each.within(start, end)
            for each in self.terms
            if each.at < end and each.at + each.size > start
        ]
        places: dict[str, list[dict[str, object]]] = {}
        for each in sorted(terms, key=lambda term: term.first):
            where = f"{url}/xorbs/{each.xorb.name}?signature=1"
            if version == "v1":
                said = each.xorb.described(each.first, each.last, "range", "url_range")
                places.setdefault(each.xorb.name, []).append({"url": where, **said})
            else:
                said = each.xorb.described(each.first, each.last, "chunks", "bytes")
                places.setdefault(each.xorb.name, []).append({"url": where, "ranges": [said]})
        return {
            "offset_into_first_range": start - terms[0].at,
            "terms": [
                {
                    "hash": each.xorb.name,
                    "unpacked_length": each.size,
                    "range": {"start": each.first, "end": each.last},
                }
                for each in terms
            ],
            "fetch_info" if version == "v1" else "xorbs": places,
        }


@lru_cache(maxsize=256)
def stored(entry: Entry) -> Stored:
    """One for each entry: what it consists of is worked out once."""
    return Stored(entry)


def _cut(size: int) -> Iterator[Chunk]:
    at = 0
    for wanted in itertools.cycle(_SIZES):
        if at >= size:
            return
        yield Chunk(at, min(wanted, size - at))
        at += wanted


def _term(xorb: Xorb, first: int, chunks: tuple[Chunk, ...]) -> Term:
    size = sum(each.size for each in chunks)
    return Term(xorb, first, first + len(chunks), chunks[0].at, size)


class Cas(Handler):
    """The CAS, where tokens count, and beside it the xorbs, where signed addresses do."""

    _ASKED = re.compile(r"/(v1|v2)/reconstructions/([0-9a-f]{64})")

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        path = urlsplit(self.path).path
        asked = self._ASKED.fullmatch(path)
        if asked:
            return self._reconstruction(asked[1], asked[2])
        if path.startswith("/xorbs/"):
            return self._xorb(path.removeprefix("/xorbs/"))
        return self.reply(404)

    def _reconstruction(self, version: str, name: str) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.reply(401)
        found = self.hub.of_xet(name)
        if version not in self.hub.cas_versions or found is None:
            return self.reply(404)
        if self.refused(found.entry.path, "cas"):
            return None
        start, end = asked_range(self.headers, found.entry.size) or (0, found.entry.size)
        if start >= found.entry.size:
            return self.reply(416)
        self.hub.reconstructions.append(found.entry.path)
        end = min(end, found.entry.size)
        return self.json(found.reconstruction(start, end, version, self.hub.cas_url))

    def _xorb(self, name: str) -> None:
        """The range of a xorb that a term named, and only such: others were not signed for."""
        if "Authorization" in self.headers:
            return self.reply(400, b"only one way to authenticate is allowed")
        found = self.hub.of_xorb(name)
        if found is None:
            return self.reply(404)
        entry, xorb = found
        start, end = asked_range(self.headers, xorb.offsets[-1]) or (0, 0)
        if start not in xorb.offsets or end not in xorb.offsets or start >= end:
            return self.reply(416)
        first, last = bisect_right(xorb.offsets, start) - 1, xorb.offsets.index(end)
        chunks = xorb.chunks[first:last]
        if any(self.refused(entry.path, "xorb", each.at, each.at + each.size) for each in chunks):
            return None
        total = xorb.offsets[-1]
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{total}"}
        self.reply(206, headers=headers | {"Content-Length": str(end - start)})
        return self.pour(entry.path, (each.packed(entry) for each in chunks), "xorb")
