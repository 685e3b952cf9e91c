"""The router's configuration: one TOML file, read into records that never change."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

import msgspec

from anvil_ctl.errors import ConfigError
from anvil_ctl.router import table
from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.dialects.upstream_body import BOUNDS
from anvil_ctl.router.judgement import settings
from anvil_ctl.router.judgement.settings import Judgement
from anvil_ctl.router.judgement.work import of_preset
from anvil_ctl.router.table import Table
from anvil_ctl.upstream.endpoint import is_http_url


def _keys(line: str) -> frozenset[str]:
    return frozenset(line.split())


_SERVER_KEYS = _keys(
    "auth_env host port max_body_bytes max_concurrency idle_timeout request_read_timeout backlog "
    "metrics expose_decision_headers"
)
_ROUTER_KEYS = _keys(
    "mapping_version tiers presets metered_cloud exhaustion_status cost_sync relay_timeout mode "
    "verify_local_min verify_raw early_commit_pings profile_path response_model "
    "forward_session_fields multiplexer fallback residency policy calibration log stickiness "
    "pin_denied substitution state_path probe_interval ca_file"
)
_TIER_KEYS = _keys(
    "id base_url dialect context_limit privacy tool_support auth_env model extra_body "
    "extra_body_defaults engine quantization params timeout max_concurrency max_queue swap_group "
    "cost_input_per_mtok cost_output_per_mtok vision structured_output connect_timeout "
    "first_byte_timeout idle_timeout total_timeout tokenizer max_output_tokens max_tokens_field "
    "count_tokens passthrough"
)
# Switches of the format that this version does not act on. Whoever sets one must know.
_IDLE_ROUTER_KEYS = _keys("cost_sync calibration")
# Endpoints whose requests are sent on as they are, by the last part of their path.
PASSTHROUGH = frozenset({"completions", "embeddings", "rerank"})
_STRUCTURED = table.one_of("none", "json_object", "json_schema")
_REQUIRED = ("id", "base_url", "dialect", "context_limit", "privacy", "tool_support", "auth_env")


class Counting(StrEnum):
    """How an engine is asked how many tokens a request has."""

    # Anthropic's own endpoint, /v1/messages/count_tokens.
    MESSAGES = "messages"
    # vLLM's /tokenize of a whole chat.
    TOKENIZE = "tokenize"
    # llama.cpp's /apply-template, and then its /tokenize of the text.
    TEMPLATE = "template"


class Metrics(StrEnum):
    """Who may read the metrics."""

    OFF = "off"
    AUTH = "auth"
    OPEN = "open"


class Tier(msgspec.Struct, frozen=True):
    """One upstream. Times are in seconds; `model` None forwards the caller's name."""

    id: str
    base_url: str
    dialect: Dialect
    context_limit: int
    local: bool
    tool_support: bool
    auth_env: str
    model: str | None = None
    engine: str | None = None
    swap_group: str | None = None
    extra_body: dict[str, object] | None = None
    extra_body_defaults: dict[str, object] | None = None
    max_concurrency: int | None = None
    max_queue: int = 64
    max_output_tokens: int | None = None
    max_tokens_field: str | None = None
    vision: bool = False
    structured: str | None = None
    quantization: str | None = None
    params: dict[str, object] | None = None
    cost_input: float | None = None
    cost_output: float | None = None
    count_tokens: Counting | None = None
    passthrough: frozenset[str] = frozenset()
    connect_s: float = 5.0
    first_byte_s: float = 20.0
    idle_s: float = 20.0
    total_s: float | None = None


class Multiplexer(msgspec.Struct, frozen=True):
    """Where leases come from, and how long one may take (seconds)."""

    url: str
    token_env: str
    timeout_s: float


class Config(msgspec.Struct, frozen=True):
    """A whole configuration. `hash` is the SHA-256 of the file's bytes, in hex."""

    hash: str
    mapping_version: str
    tiers: tuple[Tier, ...]
    presets: MappingProxyType[str, tuple[str, ...]]
    metered_cloud: frozenset[str]
    exhaustion_status: int
    echo_model: bool
    session_fields: bool
    mode: str
    auth_env: str | None
    host: str | None
    port: int | None
    max_body: int | None
    max_concurrency: int | None
    idle_s: float | None
    read_s: float | None
    backlog: int | None
    decision_headers: bool
    metrics: Metrics
    multiplexer: Multiplexer | None
    judgement: Judgement = Judgement()
    ca_file: str | None = None
    file: str = ""
    warnings: tuple[str, ...] = ()

    def tier(self, tier_id: str) -> Tier:
        """The tier of that id; ConfigError if there is none."""
        for tier in self.tiers:
            if tier.id == tier_id:
                return tier
        raise ConfigError(f"no tier has the id {tier_id!r}")


def load(path: Path) -> Config:
    """Read and check the file. Needs no secret. Raises ConfigError."""
    path = path.expanduser()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", hint="give the file with --config"
        ) from error
    return parse(data, str(path))


def parse(data: bytes, file: str) -> Config:
    """Check a file's bytes; `file` is its name in messages. Raises ConfigError."""
    try:
        top = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}", hint=f"correct {file}") from error
    if "router" not in top:
        raise ConfigError(f"{file}: there is no [router] table", hint="add [router]")
    server = Table(file, "[server]", top.get("server", {}))
    router = Table(file, "[router]", top["router"])
    router.require("mapping_version", "tiers")
    relay_s = router.get("relay_timeout", table.seconds, 20.0)
    if server.has("trusted_proxy"):
        raise server.error("trusted_proxy", "left out: nothing here depends on a caller's address")
    warnings = server.unknown(_SERVER_KEYS) + router.unknown(_ROUTER_KEYS)
    warnings += router.idle(_IDLE_ROUTER_KEYS)
    tiers = _tiers(router, relay_s, warnings)
    status = router.get("exhaustion_status", table.whole, 503)
    if not 400 <= status <= 599:
        raise router.error("exhaustion_status", "an HTTP error status, 400 to 599")
    router.get("cost_sync", table.flag, False)
    metered = frozenset(router.get("metered_cloud", table.texts, ()))
    presets = _presets(router, tiers)
    warnings += _idle_clouds(file, presets, tiers, metered)
    return Config(
        hash=hashlib.sha256(data).hexdigest(),
        mapping_version=router.must("mapping_version", table.text),
        tiers=tiers,
        presets=presets,
        metered_cloud=metered,
        exhaustion_status=status,
        echo_model=router.get("response_model", table.one_of("requested", "served"), "requested")
        == "requested",
        session_fields=router.get("forward_session_fields", table.flag, False),
        mode=router.get("mode", table.text, ""),
        auth_env=server.get("auth_env", table.env_name, None),
        host=server.get("host", table.text, None),
        port=server.get("port", table.whole, None),
        max_body=server.get("max_body_bytes", table.whole, None),
        max_concurrency=server.get("max_concurrency", table.whole, None),
        idle_s=server.get("idle_timeout", table.seconds, None),
        read_s=server.get("request_read_timeout", table.seconds, None),
        metrics=Metrics(server.get("metrics", table.one_of(*Metrics), "auth")),
        backlog=server.get("backlog", table.whole, None),
        decision_headers=server.get("expose_decision_headers", table.flag, True),
        multiplexer=_multiplexer(router, tiers),
        judgement=settings.read(router, warnings),
        ca_file=router.get("ca_file", table.text, None),
        file=file,
        warnings=tuple(warnings),
    )


def _tiers(router: Table, relay_s: float, warnings: list[str]) -> tuple[Tier, ...]:
    def check(value: object) -> list[object]:
        if not isinstance(value, list) or not value:
            raise ValueError("a non-empty list of tables, written [[router.tiers]]")
        return value

    tiers: list[Tier] = []
    for number, values in enumerate(router.must("tiers", check)):
        tier = _tier(_named(router.file, number, values), relay_s, warnings)
        if any(tier.id == other.id for other in tiers):
            raise ConfigError(
                f"{router.file}: duplicate tier id {tier.id!r}", hint="give each tier its own id"
            )
        tiers.append(tier)
    return tuple(tiers)


def _named(file: str, number: int, values: object) -> Table:
    tier_id = values.get("id") if isinstance(values, dict) else None
    where = f"tier {tier_id!r}" if tier_id else f"[[router.tiers]] number {number + 1}"
    return Table(file, where, values)


def _url(value: object) -> str:
    if not isinstance(value, str) or not is_http_url(value):
        raise ValueError(
            "an http:// or https:// URL without user, query or fragment (other schemes could read "
            "local files or reach services that the caller must not reach)"
        )
    return value


def _tier(values: Table, relay_s: float, warnings: list[str]) -> Tier:
    values.require(*_REQUIRED)
    warnings += values.unknown(_TIER_KEYS)
    local = values.must("privacy", table.one_of("local", "cloud")) == "local"
    wait_s = values.get("timeout", table.seconds, relay_s if local else 120.0)
    tier = Tier(
        id=values.must("id", table.text),
        base_url=values.must("base_url", _url),
        dialect=Dialect(values.must("dialect", table.one_of("openai", "anthropic"))),
        context_limit=values.must("context_limit", table.whole),
        local=local,
        tool_support=values.must("tool_support", table.flag),
        auth_env=values.must("auth_env", table.env_name),
        model=values.get("model", table.text, None),
        engine=values.get("engine", table.text, None),
        swap_group=values.get("swap_group", table.text, None),
        extra_body=values.get("extra_body", table.mapping, None),
        extra_body_defaults=values.get("extra_body_defaults", table.mapping, None),
        max_concurrency=values.get("max_concurrency", table.whole, None),
        max_queue=values.get("max_queue", table.count, 64),
        max_output_tokens=values.get("max_output_tokens", table.whole, None),
        max_tokens_field=values.get("max_tokens_field", table.one_of(*BOUNDS), None),
        count_tokens=_counting(values),
        passthrough=frozenset(values.get("passthrough", _endpoints, ())),
        vision=values.get("vision", table.flag, False),
        structured=values.get("structured_output", _STRUCTURED, None),
        quantization=values.get("quantization", table.text, None),
        params=values.get("params", table.mapping, None),
        cost_input=values.get("cost_input_per_mtok", table.amount, None),
        cost_output=values.get("cost_output_per_mtok", table.amount, None),
        connect_s=values.get("connect_timeout", table.seconds, 5.0 if local else 15.0),
        first_byte_s=values.get("first_byte_timeout", table.seconds, wait_s),
        idle_s=values.get("idle_timeout", table.seconds, wait_s),
        total_s=values.get("total_timeout", table.seconds, None),
    )
    if tier.model is None and tier.local:
        warnings.append(f"{values.file}: {values.where} has no model: callers' names are forwarded")
    return tier


def _counting(values: Table) -> Counting | None:
    if values.has("count_tokens"):
        return Counting(values.must("count_tokens", table.one_of(*Counting)))
    return Counting.MESSAGES if values.must("dialect", table.text) == "anthropic" else None


def _endpoints(value: object) -> tuple[str, ...]:
    names = table.texts(value)
    if not PASSTHROUGH.issuperset(names):
        raise ValueError(f"a list of {', '.join(sorted(PASSTHROUGH))}")
    return names


def _presets(router: Table, tiers: tuple[Tier, ...]) -> MappingProxyType[str, tuple[str, ...]]:
    known = {tier.id for tier in tiers}
    presets: dict[str, tuple[str, ...]] = {}
    values = Table(router.file, "[router.presets]", router.get("presets", table.mapping, {}))
    for name in router.get("presets", table.mapping, {}):
        pool = values.must(name, table.texts)
        unknown = [tier_id for tier_id in pool if tier_id not in known]
        if unknown or not pool:
            raise values.error(name, f"a non-empty list of tier ids, from {sorted(known)}")
        if name.strip().lower() in {other.strip().lower() for other in presets}:
            raise values.error(name, "under a name that differs by more than its case")
        presets[name] = pool
    return MappingProxyType(presets)


def _idle_clouds(
    file: str,
    presets: Mapping[str, tuple[str, ...]],
    tiers: tuple[Tier, ...],
    metered: frozenset[str],
) -> list[str]:
    """What to say of presets that list a cloud tier in vain."""
    clouds = {tier.id for tier in tiers if not tier.local}
    return [
        f"{file}: [router.presets]: {preset} lists {tier_id}, which costs money, and metered_cloud "
        f"does not list {of_preset(preset) or 'its class: it has none'}"
        for preset, pool in presets.items()
        for tier_id in pool
        if tier_id in clouds and of_preset(preset) not in metered
    ]


def _multiplexer(router: Table, tiers: tuple[Tier, ...]) -> Multiplexer | None:
    swapped = next((tier for tier in tiers if tier.swap_group is not None), None)
    if not router.has("multiplexer"):
        if swapped is not None:
            raise ConfigError(
                f"{router.file}: tier {swapped.id!r} has swap_group = {swapped.swap_group!r}, but "
                "nothing says where leases come from",
                hint="add [router.multiplexer] with url and token_env",
            )
        return None
    values = Table(router.file, "[router.multiplexer]", router.must("multiplexer", table.mapping))
    values.require("url")
    if swapped is not None and swapped.model is None:
        raise ConfigError(
            f"{router.file}: tier {swapped.id!r} has a swap_group but no model to ask a lease for",
            hint="add model = ... to the tier",
        )
    return Multiplexer(
        values.must("url", _url),
        values.get("token_env", table.env_name, "ANVIL_ROUTER_TOKEN"),
        values.get("timeout", table.seconds, 900.0),
    )
