"""What a pull is about to do, before a byte moves: the choice, its size, and whether it fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anvil_ctl.weights.choice import Choice, gigabytes
from anvil_ctl.weights.listing import Listing, missing, total

# What stays free beside the model: filling a disk must not be what a pull does last.
HEADROOM_BYTES = 5 * 10**9
# From here on, an anonymous transfer takes so much longer that a token is worth a word.
_WORTH_A_TOKEN = 5 * 10**9


@dataclass(frozen=True, slots=True)
class PullPlan:
    """One repository's files for one volume. Sizes are bytes, the rate bytes a second."""

    listing: Listing
    choice: Choice
    volume: str
    why: str = ""
    headroom: int = HEADROOM_BYTES
    rate: float | None = None
    anonymous: bool = False

    @property
    def to_move(self) -> int:
        return missing(self.choice.files)

    @property
    def lacking(self) -> int:
        """Bytes by which the volume's file system is too small; 0 where it is not."""
        free = self.listing.free
        return (
            0 if free is None or not self.to_move else max(self.to_move + self.headroom - free, 0)
        )

    def __str__(self) -> str:
        rows = [*self._head(), *self._files(), *self._space(), *self._skipped()]
        width = max(len(name) for name, _text in rows)
        title = f"{self.listing.repo} @ {self.listing.commit[:12]}"
        lines = [f"  {name:<{width}}  {text}" for name, text in rows]
        return "\n".join([f"{title} ({self.why})" if self.why else title, *lines])

    def _head(self) -> list[tuple[str, str]]:
        gate = ", gated" if self.listing.gated else ""
        return [("licence", f"{self.listing.license or 'not said'}{gate}")]

    def _files(self) -> list[tuple[str, str]]:
        files, weights = self.choice.files, self.choice.weights
        rest = len(files) - len(weights)
        rows = [("take", f"{len(files)} files, {gigabytes(total(files))}")]
        rows += [(" weights", f"{each.path}  {gigabytes(each.size)}") for each in weights]
        rows += [(" others", f"{rest} files: configuration, tokenizer and what goes with them")]
        return rows if rest else rows[:-1]

    def _space(self) -> list[tuple[str, str]]:
        there = total(self.choice.files) - sum(each.missing for each in self.choice.files)
        rows = [("there", f"{gigabytes(there)} of it")] if there else []
        took = f", about {duration(self.to_move / self.rate)}" if self.rate and self.to_move else ""
        rows += [("to move", f"{gigabytes(self.to_move)}{took}")]
        if self.listing.free is not None:
            rows += [("free", f"{gigabytes(self.listing.free)} in the volume {self.volume}")]
        if self.anonymous and self.to_move > _WORTH_A_TOKEN:
            rows += [("token", "none: hubs give anonymous transfers a fraction of the rate")]
        return rows

    def _skipped(self) -> list[tuple[str, str]]:
        return [
            ("skip", f"{each.what}  {gigabytes(each.size)}  {each.reason}")
            for each in self.choice.skipped
        ]

    def as_dict(self) -> dict[str, Any]:
        """For programs. Sizes are bytes."""
        return {
            "repo": self.listing.repo,
            "revision": self.listing.commit,
            "license": self.listing.license,
            "gated": self.listing.gated,
            "volume": self.volume,
            "size": total(self.choice.files),
            "to_move": self.to_move,
            "free": self.listing.free,
            "lacking": self.lacking,
            "files": [each.as_dict() for each in self.choice.files],
            "skipped": [
                {"what": each.what, "reason": each.reason, "size": each.size}
                for each in self.choice.skipped
            ],
        }


def duration(seconds: float) -> str:
    """A length of time as people say it: 40 s, 12 min, 3 h 20 min."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
