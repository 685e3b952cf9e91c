"""One stack for the whole run: brought up from nothing, torn down at the end."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.e2e.sdks import for_anthropic, for_openai
from tests.e2e.stack import Stack, new_stack, remove


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Live in agentic mode when it is handed out for the first time."""
    found = new_stack(tmp_path_factory.mktemp("stack"))
    try:
        found.run("init", "--site", "cpu", *found.names)
        found.run("images", "build")
        found.run("pull", "starter")
        found.run("up", "--mode", "agentic")
        yield found
    finally:
        remove(found)


@pytest.fixture
def agentic(stack: Stack) -> Stack:
    """The stack with agentic live, whatever the test before left."""
    if stack.json("status")["mode"] != "agentic":
        stack.run("switch", "agentic")
    return stack


@pytest.fixture
def flexibility(stack: Stack) -> Stack:
    """The stack with flexibility live."""
    if stack.json("status")["mode"] != "flexibility":
        stack.run("switch", "flexibility")
    return stack


@pytest.fixture
def openai_client(stack: Stack) -> Iterator[openai.OpenAI]:
    with for_openai(stack.connection()) as client:
        yield client


@pytest.fixture
def anthropic_client(stack: Stack) -> Iterator[anthropic.Anthropic]:
    with for_anthropic(stack.connection()) as client:
        yield client
