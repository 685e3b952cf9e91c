"""The official clients, told the way of an installation by what `connect env` prints."""

from __future__ import annotations

from collections.abc import Mapping

import anthropic
import openai


def for_openai(env: Mapping[str, str], retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=env["OPENAI_BASE_URL"], api_key=env["OPENAI_API_KEY"], max_retries=retries
    )


def for_anthropic(env: Mapping[str, str], retries: int = 0) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=env["ANTHROPIC_BASE_URL"],
        auth_token=env["ANTHROPIC_AUTH_TOKEN"],
        api_key=None,
        max_retries=retries,
    )
