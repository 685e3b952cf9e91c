"""Flexibility mode: two models share the one role, brought in on demand."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.request

import openai
import pytest

from tests.e2e.stack import Stack, containers, docker

QUICK, LONG = "smollm2-135m-quick", "smollm2-135m-long"


def ask(client: openai.OpenAI, model: str) -> str:
    answer = client.chat.completions.with_raw_response.create(
        model=model, max_tokens=8, messages=[{"role": "user", "content": "Say hello."}]
    )
    assert answer.parse().choices[0].message.content
    return answer.headers["x-anvil-tier"]


def running(stack: Stack) -> list[str]:
    found = containers(stack.project, "label=dev.anvil.mode=flexibility", "status=running")
    return [name.removeprefix(f"{stack.project}-flexibility-") for name in found]


def test_each_model_is_brought_in_when_it_is_asked_for(
    flexibility: Stack, openai_client: openai.OpenAI
) -> None:
    for model, tier in ((QUICK, "quick"), (LONG, "long"), (QUICK, "quick")):
        assert ask(openai_client, model) == tier
        assert running(flexibility) == [f"{tier}-1"]
        resident = {each["id"]: each["resident"] for each in flexibility.json("status")["tiers"]}
        assert resident == {"quick": tier == "quick", "long": tier == "long"}


def test_presets_reach_their_tier(flexibility: Stack, openai_client: openai.OpenAI) -> None:
    assert ask(openai_client, "long-context") == "long"
    assert ask(openai_client, "chat") == "quick"


def test_a_stream_that_runs_is_not_cut_by_a_request_for_the_other_model(
    flexibility: Stack, openai_client: openai.OpenAI
) -> None:
    ask(openai_client, QUICK)
    stream = openai_client.chat.completions.create(
        model=QUICK,
        max_tokens=80,
        stream=True,
        messages=[{"role": "user", "content": "Write a long story about a mountain."}],
    )
    chunks = iter(stream)
    next(chunks)
    tiers: list[str] = []
    other = threading.Thread(target=lambda: tiers.append(ask(openai_client, LONG)))
    other.start()

    reasons = [each.choices[0].finish_reason for each in chunks if each.choices]
    other.join(timeout=60)

    assert reasons[-1] in ("stop", "length")
    assert tiers == ["long"]
    assert running(flexibility) == ["long-1"]


def test_the_multiplexer_answers_clients_that_skip_the_router(flexibility: Stack) -> None:
    token = flexibility.connection()["OPENAI_API_KEY"]
    url = f"http://127.0.0.1:{flexibility.port + 2}/v1"
    with openai.OpenAI(base_url=url, api_key=token, max_retries=0) as client:
        assert {model.id for model in client.models.list()} == {QUICK, LONG}
        answer = client.chat.completions.create(
            model=LONG, max_tokens=8, messages=[{"role": "user", "content": "Say hello."}]
        )

    assert answer.choices[0].message.content
    assert running(flexibility) == ["long-1"]


def stands(stack: Stack) -> str:
    """The shared role's state, or nothing while the multiplexer is away."""
    url = f"http://127.0.0.1:{stack.port + 2}/healthz"
    with contextlib.suppress(OSError), urllib.request.urlopen(url) as answer:
        (role,) = json.load(answer)["roles"].values()
        return str(role["state"])
    return ""


@pytest.mark.parametrize("state", ["ready", "draining", "stopping", "loading"])
def test_a_multiplexer_that_is_killed_comes_back_and_strands_no_engine(
    flexibility: Stack, openai_client: openai.OpenAI, state: str
) -> None:
    multiplexer = f"{flexibility.project}-multiplexer-1"
    ask(openai_client, QUICK)

    def asks(model: str, tokens: int, begun: threading.Event) -> None:
        with contextlib.suppress(openai.OpenAIError):
            for _ in openai_client.chat.completions.create(
                model=model,
                max_tokens=tokens,
                messages=[{"role": "user", "content": "Write a long story about a mountain."}],
                stream=True,
            ):
                begun.set()

    begun = threading.Event()
    clients = []
    if state == "draining":
        clients.append(threading.Thread(target=asks, args=(QUICK, 200, begun)))
        clients[0].start()
        assert begun.wait(60)
    if state != "ready":
        clients.append(threading.Thread(target=asks, args=(LONG, 8, threading.Event())))
        clients[-1].start()
    until = time.monotonic() + 60
    while (found := stands(flexibility)) != state:
        assert time.monotonic() < until, found

    docker("kill", multiplexer)
    ran = running(flexibility)
    docker("start", multiplexer)
    while not (found := stands(flexibility)):
        assert time.monotonic() < until + 60
    print(f"{state}: {ran} ran when it was killed; it came back as {found}")
    for each in clients:
        each.join(timeout=120)

    for model, tier in ((LONG, "long"), (QUICK, "quick"), (LONG, "long")):
        assert ask(openai_client, model) == tier
        assert running(flexibility) == [f"{tier}-1"]
