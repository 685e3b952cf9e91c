"""A definition with a cloud in it, for tests: the cpu site, and what is said besides."""

from __future__ import annotations

from anvil_ctl.config import Config
from tests.unit.definitions import cpu_text, parse

CLOUD = """
[[clouds]]
id = "sonnet"
base_url = "https://api.example.com"
dialect = "anthropic"
model = "big-1"
key_env = "SONNET_KEY"
context_limit = 200000
tool_support = true
cost_in = 3
cost_out = 15
"""


def cloudy_text(
    metered: str = '"planning"', cloud: str = CLOUD, planning: str = '"starter", "sonnet"'
) -> str:
    """`planning` in both modes has the starter and the cloud, unless it is said otherwise."""
    text = cpu_text()
    other = planning.replace("starter", "quick")
    for mode, pool in (("agentic", planning), ("flexibility", other)):
        head = f"[modes.{mode}.presets]\n"
        assert text.count(head) == 1
        text = text.replace(head, f"{head}planning = [{pool}]\n")
    assert text.count("[router]\n") == 1
    text = text.replace("[router]\n", f"[router]\nmetered_cloud = [{metered}]\n")
    return f"{text}\n{cloud}"


def cloudy(
    metered: str = '"planning"', cloud: str = CLOUD, planning: str = '"starter", "sonnet"'
) -> Config:
    return parse(cloudy_text(metered, cloud, planning))
