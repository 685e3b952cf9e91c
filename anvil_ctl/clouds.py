"""Clouds as the router's file has them, and how their keys reach its container. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from anvil_ctl.config.cloud import Cloud
from anvil_ctl.config.model import Router
from anvil_ctl.errors import ConfigError

# Where the router's container has the certificates of `ca_file`.
CA_INSIDE = "/etc/anvil/control/ca.pem"


def router_tier(cloud: Cloud) -> dict[str, object]:
    """A cloud as a tier of the router: its key by the variable's name."""
    said: dict[str, object | None] = {
        "id": cloud.id,
        "base_url": cloud.base_url,
        "dialect": cloud.dialect,
        "context_limit": cloud.context_limit,
        "privacy": "cloud",
        "tool_support": cloud.tool_support,
        "vision": cloud.vision,
        "auth_env": cloud.key_env,
        "model": cloud.model,
        "timeout": cloud.answer_timeout_s,
        "max_output_tokens": cloud.max_output_tokens,
        "max_tokens_field": cloud.max_tokens_field,
        "cost_input_per_mtok": cloud.cost_in,
        "cost_output_per_mtok": cloud.cost_out,
        "max_concurrency": cloud.max_concurrency,
        "max_queue": cloud.max_queue,
        "extra_body": cloud.extra_body or None,
        "extra_body_defaults": cloud.extra_body_defaults or None,
    }
    return {key: value for key, value in said.items() if value is not None}


def router_keys(router: Router) -> dict[str, object]:
    """What the router's own table says of clouds; nothing where the definition does not."""
    metered = [str(work) for work in router.metered_cloud]
    return {
        **({"metered_cloud": metered} if metered else {}),
        **({"ca_file": CA_INSIDE} if router.ca_file else {}),
    }


def compose_keys(names: Sequence[str]) -> str | None:
    """What is laid over compose/control.yaml so that the router gets these variables, and no
    other container any; None where there are none. Compose puts the values in, from .env."""
    if not names:
        return None
    # One that is not set is empty: then the router leaves out the clouds that want it.
    lines = "".join(f"      {name}: ${{{name}:-}}\n" for name in names)
    return (
        "# Rendered by anvil-ctl from anvil.toml: the keys of clouds, by the names of variables.\n"
        f"services:\n  router:\n    environment:\n{lines}"
    )


def authorities(text: str, file: str) -> str:
    """The text of a `ca_file`; ConfigError where it has no certificate, or a private key."""
    if "PRIVATE KEY" in text or "BEGIN CERTIFICATE" not in text:
        found = "a private key" if "PRIVATE KEY" in text else "no certificate"
        raise ConfigError(
            f"router.ca_file: {file} has {found} in it",
            hint="name a PEM file with certificates of authorities, and nothing else",
        )
    return text
