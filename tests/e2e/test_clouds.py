"""A cloud on the real stack: asked for listed work alone, with its key, which is nowhere else."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.e2e.cloud import SAID, Cloud, serving
from tests.e2e.stack import Stack, containers, docker
from tests.e2e.test_judgement import ask, asker, change, newest, until

KEY = "NIMBUS_API_KEY"


def logs(container: str) -> str:
    """What a container has written, both streams."""
    return subprocess.run(
        ["docker", "logs", container],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def cloud(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder, router = tmp_path_factory.mktemp("cloud"), f"{stack.project}-router-1"
    with serving(folder, router) as found:
        yield found


@pytest.fixture(scope="module")
def keyless(stack: Stack, cloud: Cloud) -> Iterator[Stack]:
    """Agentic with a cloud for planning, whose key nobody has set yet."""
    files = [stack.home / name for name in ("anvil.toml", ".env")]
    before = [each.read_text(encoding="utf-8") for each in files]
    (stack.home / "authority.pem").write_text(cloud.authority, encoding="ascii")

    def add(definition: dict[str, Any]) -> None:
        for mode in definition["modes"].values():
            local = mode["presets"]["chat"]
            mode["presets"] |= {"planning": [*local, "nimbus"], "chat": [*local, "nimbus"]}
        definition.setdefault("router", {}).update(
            metered_cloud=["planning"], ca_file="authority.pem"
        )
        definition["clouds"] = [
            {"id": "nimbus", "base_url": cloud.url, "model": "nimbus-large-1", "key_env": KEY,
             "context_limit": 200_000, "cost_in": 3.0, "cost_out": 15.0}
        ]  # fmt: skip

    change(stack, add)
    stack.run("up", "--mode", "agentic")
    yield stack
    for path, text in zip(files, before, strict=True):
        path.write_text(text, encoding="utf-8")
    stack.run("up", "--mode", "agentic")


@pytest.fixture(scope="module")
def key(keyless: Stack) -> str:
    """The key, written into .env; `up` gives it to the router, whatever the shell has."""
    value = secrets.token_hex(20)
    with (keyless.home / ".env").open("a", encoding="utf-8") as file:
        file.write(f"{KEY}='{value}'\n")
    told = {**keyless.extra, KEY: "a-key-of-the-shell"}
    shown = replace(keyless, extra=told).run("up", "--mode", "agentic").stdout
    print(shown)
    return value


@pytest.fixture
def client(keyless: Stack, key: str) -> Iterator[httpx.Client]:
    assert key
    with asker(keyless) as found:
        yield found


def test_without_its_key_a_cloud_is_left_out_and_told_what_to_type(
    keyless: Stack, cloud: Cloud
) -> None:
    shown, checks = keyless.run("status").stdout, keyless.json("doctor")["checks"]
    (check,) = [each for each in checks if each["id"] == "D46" and KEY in each["observed"]]
    with asker(keyless) as found:
        refused, plain = ask(found, "planning"), ask(found, "chat")

    print(shown, check, refused.text, sep="\n")
    assert f"no key: {KEY} is not set in {keyless.home / '.env'}" in shown
    assert check["status"] == "warn"
    assert {each["status"] for each in checks if each["id"] in ("D21", "D24")} == {"ok"}
    assert check["remedy"].startswith(f"have a line {KEY}='...' in {keyless.home / '.env'}")
    assert refused.status_code == 503
    assert (plain.status_code, plain.headers["x-anvil-tier"]) == (200, "starter")
    assert f"tier nimbus is skipped: {KEY} is unset or empty" in logs(f"{keyless.project}-router-1")
    assert cloud.asked == []


def test_listed_work_goes_to_the_cloud_with_its_key_and_its_own_model_name(
    keyless: Stack, key: str, client: httpx.Client, cloud: Cloud
) -> None:
    # `up` has proved every preset by now, and nobody paid for that.
    assert cloud.asked == []
    for stream in (False, True):
        cloud.asked.clear()
        answer = ask(client, "planning", "Plan the migration.", stream=stream)

        assert answer.status_code == 200, answer.text
        assert answer.headers["x-anvil-tier"] == "nimbus"
        assert SAID in answer.text
        (asked,) = cloud.asked
        assert asked.path == "/v1/chat/completions"
        assert (asked.authorization, asked.body["model"]) == (f"Bearer {key}", "nimbus-large-1")
        record = newest(client)
        assert (record["tier"], record["handling"]) == ("nimbus", "raw")
        assert record["cost_usd"] == pytest.approx((3 * 7 + 15 * 3) / 1e6)
        print(record)
    shown = keyless.run("status").stdout
    (row,) = keyless.json("status")["clouds"]
    assert (row["id"], row["state"]) == ("nimbus", "ready")
    assert "clouds may be asked for: planning" in shown
    statuses = [each["status"] for each in keyless.json("doctor")["checks"]
                if each["id"] == "D46" and KEY in each["observed"]]  # fmt: skip
    assert statuses == []


def test_other_work_never_reaches_it_nor_who_asks_for_no_cloud(
    keyless: Stack, client: httpx.Client, cloud: Cloud
) -> None:
    cloud.asked.clear()
    local = ask(client, "chat")
    pinned = ask(client, "nimbus", "Say hello.")
    body = {"model": "planning", "messages": [{"role": "user", "content": "Plan it."}]}
    asked_not_to = client.post("chat/completions", json=body, headers={"x-anvil-no-cloud": "1"})
    keyless.run("route", "Plan it.", "--model", "planning")
    keyless.run("switch", "flexibility")
    keyless.run("switch", "agentic")

    assert (local.status_code, local.headers["x-anvil-tier"]) == (200, "starter")
    assert (pinned.status_code, asked_not_to.status_code) == (503, 503)
    assert cloud.asked == []


def test_the_key_is_in_the_routers_environment_and_nowhere_else(
    keyless: Stack, key: str, client: httpx.Client
) -> None:
    name = f"{keyless.project}-router-1"
    log = "/var/lib/anvil/decisions.jsonl"
    ask(client, "planning", "Plan the end of it.")

    def written() -> str:
        return docker("exec", name, "cat", log)

    until(lambda: '"nimbus"' in written())
    said = {each: logs(each) for each in containers(keyless.project)}
    said |= {"decisions": written(), "records": client.get("decisions?limit=50").text}
    for path in keyless.home.rglob("*"):
        if path.is_file() and path.name != ".env":
            said[str(path)] = path.read_text(encoding="utf-8", errors="replace")
    said |= {
        "config": keyless.run("config", "show").stdout,
        "status": json.dumps(keyless.json("status")),
    }

    assert [where for where, text in said.items() if key in text] == []
    assert any(where.endswith("router.toml") and KEY in text for where, text in said.items())
    holders = [each for each in containers(keyless.project) if key in docker("inspect", each)]
    assert holders == [name]


def test_the_router_trusts_the_public_authorities_besides_its_own(keyless: Stack, key: str) -> None:
    assert key
    count = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"

    found = int(docker("exec", f"{keyless.project}-router-1", "python3", "-c", count))

    print(f"{found} public authorities")
    assert found > 50
