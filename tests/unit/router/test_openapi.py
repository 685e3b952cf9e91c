"""The description of the router's API says what the router does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from anvil_ctl.paths import PACKAGE
from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN
from tests.unit.router.one_engine import HELLO, OPENAI_TEXT, OPENAI_WHOLE, by_stream

FILE = PACKAGE.parent / "docs" / "reference" / "openapi.yaml"
DESCRIBED: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
VECTORS = {"object": "list", "data": [], "model": "m"}

# A right request for each operation.
ASKED: dict[str, dict[str, object]] = {
    "createChatCompletion": {"model": "chat", "messages": HELLO},
    "createResponse": {"model": "chat", "input": "hello"},
    "createMessage": {"model": "chat", "messages": HELLO, "max_tokens": 5},
    "countTokens": {"model": "chat", "messages": HELLO},
    "createCompletion": {"model": "one", "prompt": "x"},
    "createEmbedding": {"model": "one", "input": "x"},
    "rerank": {"model": "one", "query": "x", "documents": []},
    "decide": {"model": "chat", "messages": HELLO, "explain": True},
}
# And wrong ones, which the schema of the request must not allow either.
WRONG: list[tuple[str, dict[str, object]]] = [
    ("createChatCompletion", {"messages": []}),
    ("createChatCompletion", {"messages": HELLO, "model": 5}),
    ("createChatCompletion", {"messages": [{"role": "robot", "content": ""}]}),
    ("createChatCompletion", {"messages": HELLO, "temperature": 2.5}),
    ("createChatCompletion", {"messages": HELLO, "stop": [1]}),
    ("createMessage", {"messages": HELLO}),
    ("createMessage", {"messages": [{"role": "user", "content": None}], "max_tokens": 1}),
    ("createMessage", {"messages": HELLO, "max_tokens": 0}),
    ("countTokens", {"messages": HELLO, "system": 3}),
    ("createResponse", {"input": ""}),
    ("createResponse", {"input": "x", "store": True}),
    ("createResponse", {"input": "x", "tools": [{"type": "computer_use_preview"}]}),
    ("createResponse", {"input": [{"role": "user"}], "text": {"format": {"type": "xml"}}}),
    ("createEmbedding", {"input": "x"}),
    ("createEmbedding", {"model": " "}),
    ("rerank", {"model": "one", "stream": "yes"}),
    ("decide", {"model": []}),
]
OPERATIONS = [
    pytest.param(path, method, operation, id=operation["operationId"])
    for path, methods in DESCRIBED["paths"].items()
    for method, operation in methods.items()
]


def check(value: object, schema: dict[str, Any]) -> None:
    """Raise unless the value is as the schema of the description says."""
    root = {"components": DESCRIBED["components"], **schema}
    jsonschema.Draft202012Validator(root).validate(value)


def schema_of(operation: dict[str, Any]) -> dict[str, Any]:
    """The schema of an operation's request."""
    found = operation["requestBody"]["content"]["application/json"]["schema"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return tmp_path / "router.toml"


async def answer(text: Path, path: str, method: str, body: object) -> httpx.Response:
    script = doubles.answers(VECTORS) if "embed" in path or "rerank" in path else None
    script = script or by_stream(OPENAI_TEXT, OPENAI_WHOLE)
    async with doubles.double(script) as engine:
        tier = doubles.tier("one", engine.url, passthrough=["completions", "embeddings", "rerank"])
        config = doubles.config(tier, presets='chat = ["one"]')
        async with (
            doubles.router(text, config) as running,
            httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN}) as client,
        ):
            return await client.request(method, path.replace("{id}", "chat"), json=body)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
async def test_each_right_request_is_answered_as_described(
    text: Path, path: str, method: str, operation: dict[str, Any]
) -> None:
    body = ASKED.get(operation["operationId"])
    if method == "post":
        check(body, schema_of(operation))
    got = await answer(text, path, method, body)

    assert got.status_code == 200
    kinds = operation["responses"]["200"]["content"]
    kind = got.headers["content-type"].partition(";")[0]
    assert kind in kinds
    if kind == "application/json":
        check(got.json(), kinds[kind]["schema"])
    for name, header in operation["responses"]["200"].get("headers", {}).items():
        if name in got.headers:
            check(got.headers[name], header["schema"])
    told = {name for name in got.headers if name.startswith("x-anvil")}
    assert told <= set(operation["responses"]["200"].get("headers", {}))


@pytest.mark.parametrize(("name", "body"), WRONG)
async def test_each_wrong_request_is_refused_as_described(
    text: Path, name: str, body: dict[str, object]
) -> None:
    path, method, operation = next(
        (path, method, operation)
        for path, methods in DESCRIBED["paths"].items()
        for method, operation in methods.items()
        if operation["operationId"] == name
    )
    with pytest.raises(jsonschema.ValidationError):
        check(body, schema_of(operation))
    got = await answer(text, path, method, body)

    assert got.status_code == 400
    (_, component) = operation["responses"]["default"]["$ref"].rsplit("/", 1)
    error = DESCRIBED["components"]["responses"][component]
    check(got.json(), error["content"]["application/json"]["schema"])


async def test_each_path_of_the_router_is_described_and_no_other(text: Path) -> None:
    async with doubles.router(
        text, doubles.config(doubles.tier("one", "http://127.0.0.1:9"))
    ) as it:
        served = {(route.path, route.method) for route in it.router.routes()}

    described = {
        (re.sub(r"\{\w+\}", "*", path), method.upper())
        for path, methods in DESCRIBED["paths"].items()
        for method in methods
    }
    assert served == described
