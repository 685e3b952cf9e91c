"""What a recipe is filled in with: the address, the models and their windows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anvil_ctl.config import schema
from anvil_ctl.config.model import Config
from anvil_ctl.errors import UsageError

# What clients commonly allow for one answer; of a small window, a quarter.
_LONGEST_ANSWER = 32_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of a definition for a client that asks for `model`. Windows are tokens."""

    url: str
    model: str
    presets: Mapping[str, int]
    token: str
    # Prints the token: for settings files that can name a command instead of holding a secret.
    token_command: str

    @property
    def window(self) -> int:
        return self.presets[self.model]

    @property
    def output(self) -> int:
        """The longest answer, in tokens, that still leaves room for a question."""
        return answer_tokens(self.window)


def answer_tokens(window: int) -> int:
    """The longest answer to let a client ask for, in tokens."""
    return min(_LONGEST_ANSWER, window // 4)


def windows(config: Config) -> dict[str, int]:
    """The window of each preset, in tokens: the smallest that it has in any mode.

    So a conversation that fits before a switch fits after it. Within a mode a preset has the
    window of its largest tier, to which the router moves on where a smaller one is too small.
    """
    found: dict[str, int] = {}
    for definition in config.modes.values():
        sizes = {tier.id: tier.window for tier in definition.tiers}
        for preset, ids in definition.presets.items():
            window = max((sizes[each] for each in ids), default=0)
            found[preset] = min(window, found.get(preset, window))
    return found


def chosen(presets: Mapping[str, int], asked: str | None) -> str:
    """The preset to use: the one asked for, else `chat`, else the first; UsageError if unknown."""
    if asked is None:
        return "chat" if "chat" in presets else next(iter(presets))
    if asked not in presets:
        raise UsageError(
            f"--model: {asked!r} is not a preset{schema.advice(asked, presets)}; "
            f"presets: {', '.join(presets)}",
            hint=f"anvil-ctl connect --model {next(iter(presets))} CLIENT",
        )
    return asked
