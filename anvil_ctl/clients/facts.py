"""What a recipe is filled in with: the address, the models and their windows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anvil_ctl.config import modes, nearest
from anvil_ctl.config.cloud import answers
from anvil_ctl.config.model import Config, Mode
from anvil_ctl.errors import UsageError

ANY = "The windows are the smallest in any mode, so a switch never breaks a conversation."
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
    # Which modes' windows they are, for people.
    told: str = ANY
    # The mode whose windows they are; None for the smallest in any.
    mode: Mode | None = None

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


def windows(config: Config, mode: Mode | None = None) -> dict[str, int]:
    """The window of each preset, in tokens: in one mode, or the smallest that it has in any.

    Within a mode a preset has the window of its largest tier, to which the router moves on where a
    smaller one is too small. A cloud counts where it may answer the preset.
    """
    found: dict[str, int] = {}
    for name, definition in config.modes.items():
        if mode not in (None, name):
            continue
        sizes = {tier.id: tier.context_limit or tier.window for tier in definition.tiers}
        elsewhere = {cloud.id: cloud.context_limit for cloud in config.clouds}
        for preset, ids in definition.presets.items():
            known = sizes | (elsewhere if answers(preset, config.router.metered_cloud) else {})
            window = max((known.get(each, 0) for each in ids), default=0)
            found[preset] = min(window, found.get(preset, window))
    return found


def mode_of(asked: str | None, live: str | None) -> Mode | None:
    """The mode to tell windows of: the one asked for, else the live one; None for any.

    UsageError for a word that is neither a mode nor `any`.
    """
    if asked == "any":
        return None
    if asked is not None:
        return modes.known(asked, "--mode")
    return None if live is None else modes.known(live, "the router")


def told(config: Config, model: str, mode: Mode | None, *, live: bool) -> str:
    """A sentence that says which mode the windows are of, and what a switch does to the model's."""
    if mode is None:
        return ANY
    state = "which is live" if live else "as asked for"
    said = f"The windows are those of mode {mode}, {state}"
    here = windows(config, mode)[model]
    elsewhere = {name: windows(config, name)[model] for name in config.modes if name != mode}
    changes = [f"in {name} it is {window}" for name, window in elsewhere.items() if window != here]
    if not changes:
        return f"{said}."
    return f"{said}; {', '.join(changes)}. Ask again after a switch, or take --mode any."


def chosen(presets: Mapping[str, int], asked: str | None) -> str:
    """The preset to use: the one asked for, else `chat`, else the first; UsageError if unknown."""
    if asked is None:
        return "chat" if "chat" in presets else next(iter(presets))
    if asked not in presets:
        raise UsageError(
            f"--model: {asked!r} is not a preset{nearest.advice(asked, presets)}; "
            f"presets: {', '.join(presets)}",
            hint=f"anvil-ctl connect --model {next(iter(presets))} CLIENT",
        )
    return asked
