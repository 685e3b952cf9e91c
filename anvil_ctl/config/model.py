"""The schema of anvil.toml: one definition from which everything else is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from anvil_ctl.config import cloud as clouds_of
from anvil_ctl.config.cloud import Cloud
from anvil_ctl.config.tier import EnvName, HostName, Name, Port, RuleError, Table, Tier
from anvil_ctl.router.judgement.work import Work

Mode = Literal["agentic", "flexibility"]
Platform = Literal["linux", "wsl2"]
WorkClass = Annotated[Work, BeforeValidator(clouds_of.work_class)]
MODES: tuple[Mode, ...] = ("agentic", "flexibility")

CONTROL_SERVICES = frozenset({"router", "multiplexer", "guard"})


class Role(Table):
    """A place where one engine runs at a time: a GPU by its UUID, or the processor."""

    device: Literal["cpu", "nvidia"]
    gpu_uuid: str | None = Field(default=None, pattern=r"^GPU-[0-9a-fA-F-]{36}$")
    # MiB of the whole card, and what a tier must leave free: desktop, contexts, fragmentation.
    memory_mib: int | None = Field(default=None, gt=0)
    reserve_mib: int = Field(default=0, ge=0)
    # As nvidia-smi prints compute_cap; engines choose their kernels by it.
    compute_capability: str | None = Field(default=None, pattern=r"^\d{1,2}\.\d$")
    display: bool = False

    @model_validator(mode="after")
    def _a_gpu_is_named_by_uuid(self) -> Self:
        if (self.device == "nvidia") != (self.gpu_uuid is not None):
            msg = 'gpu_uuid goes with device = "nvidia", and only with it (see: nvidia-smi -L)'
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _the_reserve_is_part_of_a_card(self) -> Self:
        if self.device == "cpu" and (self.memory_mib or self.reserve_mib or self.display):
            msg = 'memory_mib, reserve_mib and display go with device = "nvidia"'
            raise ValueError(msg)
        if self.reserve_mib and (self.memory_mib is None or self.reserve_mib >= self.memory_mib):
            msg = f"reserve_mib is {self.reserve_mib}: memory_mib must be set, and be more"
            raise ValueError(msg)
        return self


class Machine(Table):
    """What is particular to this machine."""

    project: HostName = "anvil"
    platform: Platform = "linux"
    # A plan for another machine: everything can be looked at here, and nothing started.
    plan_only: bool = False
    publish: str = "127.0.0.1"
    router_port: Port = 8000
    router_admin_port: Port = 8001
    multiplexer_port: Port = 8002
    multiplexer_admin_port: Port = 8003
    models_volume: Name = "fakoli-models"
    # Host RAM that engines may have, in MiB; under WSL2 that of the virtual machine.
    ram_mib: int | None = Field(default=None, gt=0)
    roles: dict[HostName, Role] = Field(min_length=1)

    @field_validator("models_volume", mode="before")
    @classmethod
    def _weights_are_in_a_named_volume(cls, value: object) -> object:
        if isinstance(value, str) and "/" in value:
            msg = (
                "a folder, and weights are in a named volume only: loads from a folder are 20 to "
                "100 times slower under WSL2; give a plain name: anvil-ctl pull then brings "
                "weights in"
            )
            raise RuleError("S01", msg, 'set models_volume = "fakoli-models"')
        return value

    @model_validator(mode="after")
    def _each_role_has_its_own_card(self) -> Self:
        holders: dict[str, str] = {}
        for name, role in self.roles.items():
            if role.gpu_uuid is None:
                continue
            other = holders.setdefault(role.gpu_uuid.lower(), name)
            if other != name:
                msg = (
                    f"roles {other!r} and {name!r} have the same gpu_uuid {role.gpu_uuid}: both "
                    "engines would land on one card (see: nvidia-smi -L)"
                )
                raise RuleError(
                    "K03", msg, f"set another gpu_uuid for role {name} (see: nvidia-smi -L)"
                )
        return self

    def control_ports(self) -> tuple[int, ...]:
        return (
            self.router_port,
            self.router_admin_port,
            self.multiplexer_port,
            self.multiplexer_admin_port,
        )


class Fallback(Table):
    """How far the router goes for one request, and when it leaves a tier alone for a while.

    What is left out is the router's own default: see docs/reference/anvil-toml.md.
    """

    max_attempts: int | None = Field(default=None, gt=0)
    max_total_tokens: int | None = Field(default=None, ge=0)
    deadline_s: float | None = Field(default=None, gt=0)
    verifier_timeout_s: float | None = Field(default=None, gt=0)
    max_buffer_bytes: int | None = Field(default=None, gt=0)
    circuit_threshold: int | None = Field(default=None, gt=0)
    circuit_cooldown_s: float | None = Field(default=None, gt=0)

    def as_router(self) -> dict[str, object]:
        """What is said, by the names of the router's file, where times are seconds without a word
        of it."""
        said = self.model_dump(exclude_none=True)
        return {key.removesuffix("_s"): value for key, value in said.items()}


class Router(Table):
    """What the router does besides serving tiers."""

    mapping_version: str = Field(default="1", min_length=1)
    token_env: EnvName = "ANVIL_ROUTER_TOKEN"  # noqa: S105 - the name, never the value
    # How long a swap waits for running answers before it cuts them; 0 = at once.
    drain_timeout_s: float = Field(default=30, ge=0)
    # Bounds of the data plane; without them the router's own defaults hold.
    max_concurrency: int | None = Field(default=None, gt=0)
    max_body_bytes: int | None = Field(default=None, gt=0)
    request_read_timeout_s: float | None = Field(default=None, gt=0)
    idle_timeout_s: float | None = Field(default=None, gt=0)
    expose_decision_headers: bool = True
    # What a client gets when no tier that may answer does: a gateway before us fails over on it.
    exhaustion_status: int = Field(default=503, ge=400, le=599)
    # A tier asked for by its name and denied the work: an error, or its class's other tiers.
    pin_denied: Literal["error", "redirect"] = "error"
    # Whether a preset may be answered by its second tier, and an unknown name by any.
    substitution: bool = True
    # Whether answers of a tier that is allowed the work are looked at too, if only briefly.
    verify_local_min: bool = True
    # Whether an answer that was sent on as it came is checked once it is out, for the record.
    verify_raw: Literal["off", "post"] = "off"
    # Whether a stream's client gets its 200 and signs of life before any tier has answered.
    early_commit_pings: bool = False
    # Whether each decision is a line of words in the router's log, besides its record.
    audit_lines: bool = False
    # The model's name in answers: the one that the client asked for, or the one that served.
    response_model: Literal["requested", "served"] = "requested"
    # Whether cloud tiers get the fields that tell of the person and the session.
    forward_session_fields: bool = False
    # The classes of work that may cost money: for all others no cloud is asked.
    metered_cloud: list[WorkClass] = Field(default_factory=list)
    # Certificates to trust beside the public ones, as PEM: a file beside anvil.toml.
    ca_file: str | None = Field(default=None, min_length=1)
    fallback: Fallback = Fallback()

    def unusual(self) -> dict[str, object]:
        """Switches that few turn, by the names of the router's file: only those that are turned."""
        names = {"verify_raw", "early_commit_pings"}
        said = self.model_dump(include=names, exclude_defaults=True)
        return {**said, "log": {"audit": True}} if self.audit_lines else said


class Policy(Table):
    """How a mode chooses among its tiers and what it does with their answers.

    What is left out is the mode's own default: see docs/reference/anvil-toml.md.
    """

    ordering: Literal["cost", "quality", "single"] | None = None
    verify: Literal["cascade", "off"] | None = None
    residency: bool | None = None
    stickiness: bool | None = None

    def of(self, mode: Mode) -> dict[str, object]:
        """The whole policy of a mode."""
        said = {key: value for key, value in self.model_dump().items() if value is not None}
        return {**_POLICIES[mode], **said}


# Long tool loops: the cheapest tier first, its answers checked, the next one where they fail.
# Single questions: the best tier, and its words as they come.
_POLICIES: dict[Mode, dict[str, object]] = {
    "agentic": {"ordering": "cost", "verify": "cascade", "residency": True, "stickiness": True},
    "flexibility": {
        "ordering": "quality",
        "verify": "off",
        "residency": False,
        "stickiness": False,
    },
}


class ModeDefinition(Table):
    """The closed set of tiers and presets that one mode runs."""

    description: str = ""
    presets: dict[Name, list[Name]] = Field(min_length=1)
    policy: Policy = Policy()
    # All that are written down; `enabled` has those that exist for everything but the schema.
    tiers: list[Tier] = Field(min_length=1)

    @property
    def enabled(self) -> list[Tier]:
        """The tiers that this mode runs."""
        return [tier for tier in self.tiers if tier.enabled]

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for what in ("id", "served_name", "port"):
            _unique(what, [str(getattr(tier, what)) for tier in self.tiers])
        known = {tier.id for tier in self.tiers}
        for reserved in CONTROL_SERVICES & known:
            msg = f"tier id {reserved!r} is the name of a control service: choose another"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _some_tier_runs(self) -> Self:
        if not self.enabled:
            raise ValueError("no tier is enabled: a mode runs one at least")
        return self

    @model_validator(mode="after")
    def _one_tier_holds_a_role(self) -> Self:
        for role in {tier.role for tier in self.enabled}:
            members = [tier for tier in self.enabled if tier.role == role]
            held = [tier.id for tier in members if not tier.swap]
            if len(members) > 1 and held:
                names = ", ".join(tier.id for tier in members)
                msg = f"{names} share role {role!r}: set swap = true on {held[0]!r} too"
                raise ValueError(msg)
        return self


def _unique(what: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            msg = f"two tiers have {what} {value!r}"
            raise RuleError("D28", msg, f"give one of them another {what}")


class Config(Table):
    """All of anvil.toml."""

    version: Literal[1]
    active_mode: Mode = "agentic"
    machine: Machine
    router: Router = Router()
    # Paid services elsewhere. A preset of any mode may list one beside its tiers.
    clouds: list[Cloud] = Field(default_factory=list)
    modes: dict[Mode, ModeDefinition]

    @model_validator(mode="after")
    def _clouds_have_ids_of_their_own(self) -> Self:
        tiers = [(mode, each.tiers) for mode, each in self.modes.items()]
        if wrong := clouds_of.wrong_id(self.clouds, tiers):
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _presets_name_what_can_answer(self) -> Self:
        ids, metered = self.cloud_ids, self.router.metered_cloud
        for mode, definition in self.modes.items():
            for preset, pool in definition.presets.items():
                wrong = clouds_of.wrong_preset(preset, pool, definition.tiers, ids)
                wrong = wrong or clouds_of.unanswerable(preset, pool, ids, metered)
                if wrong:
                    raise ValueError(f"modes.{mode}: {wrong}")
        return self

    @model_validator(mode="after")
    def _tiers_fit_the_machine(self) -> Self:
        control = self.machine.control_ports()
        for mode, definition in self.modes.items():
            for tier in definition.tiers:
                where = f"modes.{mode}: tier {tier.id!r}"
                role = self.machine.roles.get(tier.role)
                if role is None:
                    known = ", ".join(sorted(self.machine.roles))
                    msg = f"{where} has role {tier.role!r}; roles: {known}"
                    raise ValueError(msg)
                if tier.port in control:
                    msg = (
                        f"{where} has port {tier.port}, which [machine] gives to a control service"
                    )
                    raise RuleError("D28", msg, "give the tier another port")
                _fits(where, tier, role)
        return self

    @model_validator(mode="after")
    def _modes_have_the_same_presets(self) -> Self:
        names = {mode: frozenset(each.presets) for mode, each in self.modes.items()}
        if len(set(names.values())) > 1:
            # A client that asks for a preset must not meet a 404 because the mode changed.
            odd = ", ".join(
                sorted(frozenset.union(*names.values()) - frozenset.intersection(*names.values()))
            )
            msg = f"every mode must have the same presets; not in all: {odd}"
            raise RuleError("D29", msg, "add them to the other mode")
        return self

    @property
    def cloud_ids(self) -> frozenset[str]:
        return frozenset(each.id for each in self.clouds)

    @property
    def cloud_keys(self) -> tuple[str, ...]:
        """The names of the variables that hold the clouds' keys."""
        return tuple(sorted({each.key_env for each in self.clouds}))

    def idle_clouds(self, mode: Mode) -> list[str]:
        """The presets of a mode that list a cloud in vain, each in words."""
        presets = self.modes[mode].presets
        return list(clouds_of.idle(presets, self.cloud_ids, self.router.metered_cloud))

    def project_of(self, mode: Mode) -> str:
        """The Compose project that holds the engines of `mode`."""
        return f"{self.machine.project}-{mode}"

    def swap_tiers(self) -> Iterator[tuple[Mode, Tier]]:
        """Every tier that the multiplexer starts and stops, in every mode."""
        for mode, definition in self.modes.items():
            for tier in definition.enabled:
                if tier.swap:
                    yield mode, tier


def _fits(where: str, tier: Tier, role: Role) -> None:
    """A budget says what share of which card; ValueError where its two forms disagree.

    Whether all budgets fit is the ledger's to say, which has every number in one table.
    """
    if tier.vram_mib is None and tier.memory_fraction is None:
        return
    if role.memory_mib is None:
        msg = (
            f"{where} has a memory budget, and role {tier.role!r} has no memory_mib (see: "
            "nvidia-smi --query-gpu=uuid,memory.total --format=csv)"
        )
        raise ValueError(msg)
    by_fraction = ceil((tier.memory_fraction or 0) * role.memory_mib)
    if tier.vram_mib is not None and by_fraction > tier.vram_mib:
        msg = (
            f"{where}: memory_fraction {tier.memory_fraction} of {role.memory_mib} MiB is "
            f"{by_fraction} MiB, over its vram_mib {tier.vram_mib}"
        )
        raise ValueError(msg)
