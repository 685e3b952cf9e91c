"""The stack in agentic mode, with a real engine and the official clients."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.stack import Stack, containers, docker

QUESTION = "What is the capital of France? Answer in one sentence."


def test_an_openai_client_gets_an_answer(agentic: Stack, openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.with_raw_response.create(
        model="chat", max_tokens=24, temperature=0, messages=[{"role": "user", "content": QUESTION}]
    )

    assert "Paris" in (answer.parse().choices[0].message.content or "")
    assert answer.headers["x-anvil-tier"] == "starter"
    assert answer.headers["x-anvil-mode"] == "agentic"
    usage = answer.parse().usage
    assert usage is not None
    assert usage.completion_tokens > 0


def test_what_answers_is_what_was_pulled_and_checked(
    agentic: Stack, openai_client: openai.OpenAI
) -> None:
    (row,) = agentic.json("models", "ls")["models"]
    (found,) = agentic.json("models", "verify", "starter")
    answer = openai_client.chat.completions.create(
        model="starter", max_tokens=24, messages=[{"role": "user", "content": QUESTION}]
    )

    said = answer.choices[0].message.content
    print(f"{row['path']} of {row['revision']}, {found['size']} bytes checked, says: {said}")
    assert (row["source"], found["broken"]) == ("starter", [])
    assert "agentic/starter" in row["used_by"]
    assert said


def test_an_anthropic_client_gets_an_answer_from_the_same_engine(
    agentic: Stack, anthropic_client: anthropic.Anthropic
) -> None:
    answer = anthropic_client.messages.create(
        model="chat",
        max_tokens=24,
        extra_body={"temperature": 0},
        messages=[{"role": "user", "content": QUESTION}],
    )

    assert answer.content[0].type == "text"
    assert "Paris" in answer.content[0].text
    assert answer.usage.output_tokens > 0
    assert answer.stop_reason in ("end_turn", "max_tokens")


def test_a_responses_client_gets_an_answer_from_the_same_engine(
    agentic: Stack, openai_client: openai.OpenAI
) -> None:
    whole = openai_client.responses.create(
        model="chat", max_output_tokens=24, temperature=0, input=QUESTION
    )
    with openai_client.responses.stream(
        model="chat", max_output_tokens=24, temperature=0, input=QUESTION
    ) as stream:
        streamed = stream.until_done().get_final_response()

    assert "Paris" in whole.output_text
    assert streamed.output_text == whole.output_text
    assert whole.usage is not None
    assert whole.usage.output_tokens > 0


def test_the_engine_counts_tokens_as_it_does_when_it_answers(
    agentic: Stack, anthropic_client: anthropic.Anthropic
) -> None:
    messages: Any = [{"role": "user", "content": f"{QUESTION} \u00e9\u6f22"}]
    counted = anthropic_client.messages.with_raw_response.count_tokens(
        model="chat", system="Be brief.", messages=messages
    )
    answer = anthropic_client.messages.create(
        model="chat", max_tokens=1, system="Be brief.", messages=messages
    )
    cached = answer.usage.cache_read_input_tokens or 0

    assert counted.headers["x-anvil-token-count"] == "exact"
    assert counted.parse().input_tokens == answer.usage.input_tokens + cached


def test_the_second_turn_of_an_agent_is_read_from_the_cache(
    agentic: Stack, anthropic_client: anthropic.Anthropic
) -> None:
    """With the line that Claude Code puts first, and that is another one each time."""
    told = " ".join(f"Rule {number}: be kind." for number in range(60))

    def turn(version: str, *more: Any) -> anthropic.types.Message:
        billing = f"x-anthropic-billing-header: cc_version={version}; cc_entrypoint=cli;"
        return anthropic_client.messages.create(
            model="chat",
            max_tokens=8,
            system=[{"type": "text", "text": billing}, {"type": "text", "text": told}],
            messages=[{"role": "user", "content": QUESTION}, *more],
        )

    first = turn("2.1.1.e8f")
    text = first.content[0].text if first.content[0].type == "text" else ""
    second = turn(
        "2.1.1.54f", {"role": "assistant", "content": text}, {"role": "user", "content": "Why?"}
    )
    first_prompt = first.usage.input_tokens + (first.usage.cache_read_input_tokens or 0)

    cached = second.usage.cache_read_input_tokens or 0
    print(f"llama.cpp, turn 2: {cached} tokens cached; turn 1 had {first_prompt}")
    assert first_prompt > 300
    assert cached >= 0.95 * first_prompt


def test_calls_that_follow_one_another_at_once_are_all_answered(
    agentic: Stack, anthropic_client: anthropic.Anthropic
) -> None:
    """llama.cpp closes the connection of each stream, and a translated call is one."""
    client = anthropic_client.with_options(max_retries=0)
    for _ in range(30):
        answer = client.messages.create(
            model="chat", max_tokens=2, messages=[{"role": "user", "content": QUESTION}]
        )
        assert answer.stop_reason


def test_an_openai_stream_arrives_while_it_is_made(
    agentic: Stack, openai_client: openai.OpenAI
) -> None:
    started = time.monotonic()
    first = None
    text = ""
    for chunk in openai_client.chat.completions.create(
        model="chat",
        max_tokens=200,
        stream=True,
        messages=[{"role": "user", "content": "Write a long story about a river."}],
    ):
        if chunk.choices and chunk.choices[0].delta.content:
            first = first or time.monotonic()
            text += chunk.choices[0].delta.content
    total = time.monotonic() - started

    assert len(text) > 200
    assert first is not None
    # Buffered, the first piece would come with the last.
    assert first - started < total / 2


def test_an_anthropic_stream_is_whole(
    agentic: Stack, anthropic_client: anthropic.Anthropic
) -> None:
    with anthropic_client.messages.stream(
        model="chat",
        max_tokens=40,
        extra_body={"temperature": 0},
        messages=[{"role": "user", "content": QUESTION}],
    ) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()

    assert len(pieces) > 3
    assert final.content[0].type == "text"
    assert "".join(pieces) == final.content[0].text
    assert final.stop_reason is not None


def test_no_token_no_answer(agentic: Stack) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{agentic.port}/v1/models")

    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=5)

    assert raised.value.code == 401
    raised.value.close()


def test_presets_are_the_models(agentic: Stack, openai_client: openai.OpenAI) -> None:
    assert {"chat", "long-context"} <= {model.id for model in openai_client.models.list()}


def test_clients_are_told_the_windows_of_the_live_mode(agentic: Stack) -> None:
    live, any_mode = (agentic.json("connect", "aider", *more) for more in ((), ("--mode", "any")))

    assert (live["mode"], live["context_window"]) == ("agentic", 8192)
    assert (any_mode["mode"], any_mode["context_window"]) == (None, 2048)


def test_status_names_the_mode_and_each_tier(agentic: Stack) -> None:
    found = agentic.json("status")

    assert found["mode"] == "agentic"
    assert found["control"] == {
        "router": "healthy",
        "multiplexer": "healthy",
        "guard": "healthy",
    }
    assert found["tiers"] == [
        {
            "id": "starter",
            "engine": "llamacpp",
            "model": "smollm2-135m",
            "state": "ready",
            "swap_group": None,
            "resident": True,
        }
    ]


def test_up_again_changes_nothing_and_is_quick(agentic: Stack) -> None:
    before = containers(agentic.project)
    started = time.monotonic()

    done = agentic.run("up", "--mode", "agentic")

    assert "nothing to do" in done.stdout
    assert time.monotonic() - started < 15
    assert containers(agentic.project) == before


def test_up_does_not_end_another_mode(agentic: Stack) -> None:
    done = agentic.run("up", "--mode", "flexibility", expect=3)

    assert "anvil-ctl switch flexibility" in done.stderr


@pytest.mark.parametrize("service", ["router", "multiplexer", "guard"])
def test_a_control_container_has_only_what_it_needs(agentic: Stack, service: str) -> None:
    found = inspect(agentic, service)
    host = found["HostConfig"]

    assert found["Config"]["User"] == "65532:65532"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    assert found["State"]["Health"]["Status"] == "healthy"
    has_socket = any("docker.sock" in mount["Source"] for mount in found["Mounts"])
    assert has_socket == (service == "guard")


def test_nothing_is_published_beyond_this_machine(agentic: Stack) -> None:
    for name in containers(agentic.project):
        found = json.loads(docker("inspect", name))[0]
        bindings = found["HostConfig"]["PortBindings"] or {}
        addresses = {each["HostIp"] for ports in bindings.values() for each in ports}
        assert addresses <= {"127.0.0.1"}, name


def test_the_guard_is_reached_by_the_multiplexer_alone(agentic: Stack) -> None:
    networks = {
        service: set(inspect(agentic, service)["NetworkSettings"]["Networks"])
        for service in ("router", "multiplexer", "guard")
    }

    assert networks["guard"] == {f"{agentic.project}-guard"}
    assert networks["guard"] <= networks["multiplexer"]
    assert not networks["guard"] & networks["router"]


def test_the_tokens_are_readable_by_their_owner_alone(agentic: Stack) -> None:
    assert (agentic.home / ".env").stat().st_mode & 0o777 == 0o600


def test_logs_come_from_the_service_that_is_named(agentic: Stack) -> None:
    assert "starter" in agentic.run("logs", "starter", "--tail", "5").stdout
    assert "services: " in agentic.run("logs", "nothing-like-it", expect=2).stderr


def inspect(stack: Stack, service: str) -> dict[str, Any]:
    name = containers(stack.project, f"label=dev.anvil.control={service}")[0]
    found: dict[str, Any] = json.loads(docker("inspect", name))[0]
    return found
