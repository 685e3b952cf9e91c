"""The schema of a cloud: a paid model elsewhere that the router may ask, for listed work alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from anvil_ctl.config.nearest import advice
from anvil_ctl.config.tier import TOKEN, EnvName, HostName, Table, Tier
from anvil_ctl.router.judgement.work import Work, of_preset
from anvil_ctl.upstream.endpoint import is_http_url

_CLASSES = ", ".join(Work)
_AWS_KEY = re.compile(r"(AKIA|ASIA)[A-Z0-9]{16}")
# What opens this installation, or a hub, is no cloud's business.
_OURS = re.compile(r"ANVIL_.*|HF_TOKEN")
# Docker Desktop's name for the machine itself, which no wire leads to.
_DESKTOP = "host.docker.internal"


class Cloud(Table):
    """One model of a service elsewhere. Windows are tokens, times seconds, costs per million
    tokens."""

    id: HostName
    base_url: str
    dialect: Literal["openai", "anthropic"] = "openai"
    # What the service calls the model.
    model: str = Field(min_length=1)
    # Name of the variable in .env that holds the key; the key itself is nowhere else.
    key_env: EnvName
    context_limit: int = Field(gt=0)
    # Anthropic's API wants a bound for every answer: the one where the caller sets none.
    max_output_tokens: int | None = Field(default=None, gt=0)
    tool_support: bool = False
    vision: bool = False
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    extra_body: dict[str, object] = Field(default_factory=dict)
    extra_body_defaults: dict[str, object] = Field(default_factory=dict)
    cost_in: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    cost_out: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_concurrency: int | None = Field(default=None, gt=0)
    max_queue: int | None = Field(default=None, ge=0)
    # Until the first byte of an answer, and between two.
    answer_timeout_s: float = Field(default=120, gt=0, allow_inf_nan=False)

    @field_validator("base_url")
    @classmethod
    def _the_key_travels_in_private(cls, value: str) -> str:
        if not is_http_url(value):
            raise ValueError("must be an https:// URL, without user, query or fragment")
        parts = urlsplit(value)
        host = (parts.hostname or "").lower()
        if _is_loopback(host):
            msg = (
                f"{host} is the router's own container: name this machine by its address in "
                "Docker's network, such as 172.17.0.1"
            )
            raise ValueError(msg)
        if parts.scheme.lower() == "http" and not _is_near(host):
            raise ValueError("http:// would send the key in clear through the net: use https://")
        return value

    @field_validator("key_env")
    @classmethod
    def _the_variable_is_the_clouds_own(cls, value: str) -> str:
        if _AWS_KEY.fullmatch(value):
            # It is not repeated: what stands here by mistake is the key.
            raise ValueError("wants the name of a variable in .env, not the key")
        if _OURS.fullmatch(value):
            msg = f"{value} opens something else, and would be sent to the cloud: use another name"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _no_value_is_a_token(self) -> Self:
        """What is found is not repeated in the error."""
        for name in ("base_url", "model", "extra_body", "extra_body_defaults"):
            if TOKEN.search(str(getattr(self, name))):
                msg = f"{name} holds what looks like a token: those belong in .env alone"
                raise ValueError(msg)
        return self


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _is_near(host: str) -> bool:
    """Whether it is this machine, or an address that only this network leads to."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == _DESKTOP


def work_class(value: object) -> object:
    """A class of work as `metered_cloud` lists it; ValueError names the nearest right one."""
    if not isinstance(value, str) or value not in set(Work):
        near = advice(str(value), map(str, Work))
        raise ValueError(f"{value!r} is no class of work{near}; classes: {_CLASSES}")
    return value


def wrong_id(clouds: Sequence[Cloud], tiers: Iterable[tuple[str, Sequence[Tier]]]) -> str:
    """Why the clouds' ids do not fit; "" where they do. `tiers` are each mode's."""
    ids = [each.id for each in clouds]
    for each in ids:
        if ids.count(each) > 1:
            return f"clouds: two of them have id {each!r}"
        for mode, members in tiers:
            if each in {name for tier in members for name in (tier.id, tier.served_name)}:
                return f"clouds: {each!r} is a tier of {mode} too: give the cloud another id"
    return ""


def wrong_preset(
    preset: str, ids: Sequence[str], tiers: Sequence[Tier], clouds: Collection[str]
) -> str:
    """Why a preset of a mode does not fit its tiers and the clouds; "" where it does."""
    running = {tier.id for tier in tiers if tier.enabled}
    off = {tier.id for tier in tiers} - running
    for each in ids:
        if each in off:
            return f"preset {preset!r} names tier {each!r}, which has enabled = false"
        if each not in running and each not in clouds:
            here = f"tiers here: {', '.join(sorted(running))}"
            besides = f"; clouds: {', '.join(sorted(clouds))}" if clouds else ""
            return f"preset {preset!r} names tier {each!r}; {here}{besides}"
    return ""


def answers(preset: str, metered: Collection[Work]) -> bool:
    """Whether any cloud may answer a preset."""
    return of_preset(preset) in metered


def unanswerable(
    preset: str, ids: Sequence[str], clouds: Collection[str], metered: Collection[Work]
) -> str:
    """Why nobody may ever answer a preset; "" where somebody may."""
    if ids and set(ids) <= set(clouds) and not answers(preset, metered):
        return f"preset {preset!r} lists clouds alone, and {_why(preset)}: nobody could answer it"
    return ""


def idle(
    presets: Mapping[str, Sequence[str]], clouds: Collection[str], metered: Collection[Work]
) -> Iterator[str]:
    """The clouds of presets that never get a request of those presets, each with the reason."""
    for preset, ids in presets.items():
        named = [each for each in ids if each in clouds]
        if named and not answers(preset, metered):
            yield f"preset {preset!r} never gets to {', '.join(named)}: {_why(preset)}"


def _why(preset: str) -> str:
    work = of_preset(preset)
    if work is None:
        return "a preset of your own has no class of work, and metered_cloud goes by class"
    return f"metered_cloud does not list {str(work)!r}"
