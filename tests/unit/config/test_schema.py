from __future__ import annotations

import json

from anvil_ctl.config.model import Config, ModeDefinition
from anvil_ctl.config.nearest import advice
from anvil_ctl.config.schema import holds, json_schema, names
from anvil_ctl.config.tier import Tier


def test_a_key_is_followed_through_tables_names_and_lists() -> None:
    assert holds(Config, ("modes", "agentic", "tiers", "starter")) is Tier
    assert holds(Config, ("machine", "roles", "any", "gpu_uuid")) is str
    assert holds(Config, ("machine", "router_port", "x")) is None
    assert holds(Config, ("nothing",)) is None


def test_a_table_has_names_and_a_value_has_none() -> None:
    assert "tiers" in names(ModeDefinition)
    assert names(int) == []


def test_advice_is_the_nearest_name_or_nothing() -> None:
    assert advice("slot", ["slots", "port"]) == "; did you mean 'slots'?"
    assert advice("zzz", ["slots"]) == ""


def test_the_json_schema_has_every_reference_that_it_makes() -> None:
    for schema in (json_schema(), json_schema(of_mode_file=True)):
        text = json.dumps(schema)
        made = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}

        definitions = schema["$defs"]
        assert isinstance(definitions, dict)
        assert made <= set(definitions)


def test_a_section_of_the_schema_is_a_definition_or_the_name_of_a_file() -> None:
    definitions = json_schema()["$defs"]
    assert isinstance(definitions, dict)
    section = definitions["ModeDefinition"]

    assert {"file", "tiers", "presets"} <= set(section["properties"])
    assert section["anyOf"] == [{"required": ["presets", "tiers"]}, {"required": ["file"]}]
