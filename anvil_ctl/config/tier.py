"""The schema of a tier: a model on an engine in a role, as one mode runs it."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9_.-]{0,61}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
# Tier ids and role names become host names and container names.
HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
# A parser's or a kernel's name, as engines spell them.
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
# What the tokens of the common services look like, wherever one stands.
TOKEN = re.compile(
    r"\b(hf_[A-Za-z0-9]{16}|sk-[\w-]{16}|gh[opsu]_\w{16}|github_pat_\w{16}|glpat-[\w-]{16}|"
    r"nvapi-[\w-]{16}|xox[abps]-\w{8}|AKIA[A-Z0-9]{16}|eyJ[\w-]{16}|Bearer \S{8})"
)
_SECRET = re.compile(r"TOKEN$|SECRET|PASSWORD|API_KEY|CREDENTIAL")
# The renderer sets these from the role: a second value would undo the pin.
PINS = frozenset({"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"})


class RuleError(ValueError):
    """A value that a rule forbids, by its id, and the remedy. Ids: docs/reference/rules.md."""

    def __init__(self, rule: str, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.remedy = remedy


class Table(BaseModel):
    """A table of anvil.toml: no unknown keys, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Parsers(Table):
    """How the engine reads the model's own formats; the names are the engine's."""

    reasoning: Word | None = None
    tool: Word | None = None


class Speculative(Table):
    """Tokens drafted ahead and verified; counts are per step of the model."""

    algorithm: Word
    num_steps: int | None = Field(default=None, gt=0)
    eagle_topk: int | None = Field(default=None, gt=0)
    num_draft_tokens: int = Field(gt=0)

    @model_validator(mode="after")
    def _a_chain_drafts_one_more_than_it_steps(self) -> Self:
        if (self.num_steps is None) != (self.eagle_topk is None):
            raise ValueError("num_steps and eagle_topk go together: give both or neither")
        if self.eagle_topk == 1 and self.num_steps and self.num_draft_tokens != self.num_steps + 1:
            wanted = self.num_steps + 1
            msg = f"with eagle_topk = 1, num_draft_tokens must be num_steps + 1 = {wanted}"
            raise ValueError(msg)
        return self


class Thinking(Table):
    """How much the model thinks when a caller does not say; `forced` overrules callers."""

    type: Literal["enable_thinking", "reasoning_effort"]
    default: bool | Literal["low", "medium", "high"]
    forced: bool = False

    @model_validator(mode="after")
    def _the_default_is_of_its_type(self) -> Self:
        if isinstance(self.default, bool) != (self.type == "enable_thinking"):
            msg = "default is true or false for enable_thinking, low, medium or high for an effort"
            raise ValueError(msg)
        return self

    def body(self) -> dict[str, object]:
        """What a request to the engine carries for it."""
        if self.type == "enable_thinking":
            return {"chat_template_kwargs": {"enable_thinking": self.default}}
        return {"reasoning_effort": self.default}


class Memory(Table):
    """What a model takes, where that is known; what is left out stays unknown. Sizes are MiB."""

    # Of the card: the loaded weights, one token of KV cache, graphs with activations, the drafter.
    weights_mib: int | None = Field(default=None, gt=0)
    kv_bytes_per_token: int | None = Field(default=None, gt=0)
    graphs_mib: int | None = Field(default=None, ge=0)
    draft_mib: int | None = Field(default=None, ge=0)
    # Of the host: how the weights are read, and what stays in RAM while the model runs.
    loader: Literal["mmap", "copy"] = "mmap"
    ram_mib: int | None = Field(default=None, gt=0)


class Status(Table):
    """What is known of a tier: seen to work, not yet seen, or known not to."""

    state: Literal["verified", "experimental", "blocked"]
    reason: str = ""
    # Where that can be read, and the day on which to look again.
    issue: str | None = None
    review_by: date | None = None

    @model_validator(mode="after")
    def _doubt_has_a_reason(self) -> Self:
        if self.state != "verified" and not self.reason.strip():
            msg = f"state {self.state!r} needs a reason: say what is not known, or what fails"
            raise ValueError(msg)
        return self


class Tier(Table):
    """One model as an engine serves it. Windows are tokens, times seconds, memory MiB."""

    id: HostName
    enabled: bool = True
    engine: Name
    image: Name
    role: HostName
    model: str = Field(min_length=1, pattern=r"^[^/:][^:]*$")
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    # What `pull` is given to bring a model that is a path of the volume.
    source: str | None = Field(default=None, min_length=1)
    served_name: Name
    window: int = Field(gt=0)
    # What the router lets through, where that is less than the engine's window.
    context_limit: int | None = Field(default=None, gt=0)
    # Requests served at once.
    slots: int = Field(default=1, gt=0)
    # Requests that the router sends at once, and lets wait for that.
    max_concurrency: int | None = Field(default=None, gt=0)
    max_queue: int | None = Field(default=None, ge=0)
    port: Port
    dialect: Literal["openai", "anthropic"] = "openai"
    tool_support: bool = False
    vision: bool = False
    # Endpoints whose requests the router sends on to it as they are.
    passthrough: list[Literal["completions", "embeddings", "rerank"]] = []
    prompt_cache: bool = True
    quantization: Word | None = None
    kv_cache_dtype: Word | None = None
    parsers: Parsers = Parsers()
    speculative: Speculative | None = None
    thinking: Thinking | None = None
    # OpenAI's name for the bound of an answer that the engine takes; without it the caller's.
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    extra_body: dict[str, object] = {}
    extra_body_defaults: dict[str, object] = {}
    vram_mib: int | None = Field(default=None, gt=0)
    memory_fraction: float | None = Field(default=None, gt=0, lt=1)
    memory: Memory = Memory()
    swap: bool = False
    # Until the first byte of an answer, and between two: a long prefill is silent.
    answer_timeout_s: float = Field(default=300, gt=0)
    start_timeout_s: int = Field(default=600, gt=0)
    first_start_timeout_s: int | None = Field(default=None, gt=0)
    load_estimate_s: float = Field(default=60, gt=0)
    # A way of its engine's to give up the card without exiting; without it, it is stopped.
    parking: Word | None = None
    env: dict[EnvName, str] = {}
    extra_args: list[str] = []
    status: Status | None = None

    @property
    def weights(self) -> str:
        """The weights in the volume: the snapshot of a pinned repository, or `model` itself."""
        if self.revision is None:
            return self.model
        return f"hub/models--{self.model.replace('/', '--')}/snapshots/{self.revision}"

    @property
    def longest_start_s(self) -> int:
        """The first start of an image with a model compiles kernels; later ones find them."""
        return max(self.start_timeout_s, self.first_start_timeout_s or 0)

    def overdue(self, today: date) -> str | None:
        """What to say of a status that was to be looked at again before today."""
        if self.status is None or self.status.review_by is None or self.status.review_by >= today:
            return None
        about = "; ".join(filter(None, (self.status.reason, self.status.issue)))
        return (
            f"tier {self.id}: {self.status.state!r} was to be looked at again by "
            f"{self.status.review_by}: {about or 'no reason given'}"
        )

    @model_validator(mode="after")
    def _a_repository_is_pinned(self) -> Self:
        repository = _REPOSITORY.fullmatch(self.model) is not None
        if self.revision is not None and not repository:
            raise ValueError("revision goes with a model written as ORGANISATION/NAME")
        if repository and self.revision is None and not self.model.endswith(".gguf"):
            msg = (
                f"model {self.model!r} is a repository: pin it with revision = the commit's 40 "
                "hex digits, as the repository's list of files shows them"
            )
            raise RuleError("S06", msg, "set revision")
        return self

    @model_validator(mode="after")
    def _the_router_lets_no_more_through_than_the_engine_takes(self) -> Self:
        if self.context_limit is not None and self.context_limit > self.window:
            msg = (
                f"context_limit {self.context_limit} is over window {self.window}: the engine "
                "would refuse what the router lets through; lower it, or leave it out"
            )
            raise RuleError("A08", msg, f"set context_limit = {self.window} or less")
        return self

    @model_validator(mode="after")
    def _only_what_swaps_is_parked(self) -> Self:
        if self.parking is not None and not self.swap:
            raise ValueError("parking goes with swap = true: nothing else makes it leave the card")
        return self

    @model_validator(mode="after")
    def _thinking_is_said_once(self) -> Self:
        said = self.thinking.body() if self.thinking else {}
        for key in said.keys() & (self.extra_body.keys() | self.extra_body_defaults.keys()):
            raise ValueError(f"{key} is set by thinking: take it out of extra_body")
        return self

    @model_validator(mode="after")
    def _the_environment_holds_no_pin_and_no_secret(self) -> Self:
        for name in self.env:
            if name in PINS:
                raise RuleError("K01", f"env.{name} follows from the role's gpu_uuid: take it out")
            if _SECRET.search(name):
                msg = f"env.{name} looks like a secret: those belong in .env alone"
                raise RuleError("C11", msg, f"take {name} out of env, and put it into .env")
        return self

    @model_validator(mode="after")
    def _no_value_is_a_token(self) -> Self:
        """What is found is not repeated in the error."""
        named = {f"env.{name}": value for name, value in self.env.items()}
        named |= {f"extra_args, number {n}": each for n, each in enumerate(self.extra_args, 1)}
        named |= {"extra_body": str(self.extra_body)}
        named |= {"extra_body_defaults": str(self.extra_body_defaults)}
        for where, value in named.items():
            if TOKEN.search(value):
                raise ValueError(
                    f"{where} holds what looks like a token: those belong in .env alone"
                )
        return self

    @model_validator(mode="after")
    def _what_is_blocked_does_not_run(self) -> Self:
        if self.enabled and self.status and self.status.state == "blocked":
            about = "; ".join(filter(None, (self.status.reason, self.status.issue)))
            raise ValueError(f"blocked ({about}): set enabled = false")
        return self
