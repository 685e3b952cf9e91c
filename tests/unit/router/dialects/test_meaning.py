"""Conversations mean the same after a translation, and after one there and back."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anvil_ctl.router.dialects.blocks import objects, text_of
from anvil_ctl.router.dialects.call import JSON
from tests.unit.router.dialects.sending import ANTHROPIC, OPENAI, sent

# What is compared: a system text, and turns of one role each with what is in them, in order.
Meaning = tuple[str, list[tuple[str, list[tuple[object, ...]]]]]


class Turns:
    """Puts a meaning together. Turns of one role that follow each other are one turn, and texts of
    the user's one text: dialects differ in how they may be cut, and in the line breaks between."""

    def __init__(self) -> None:
        self.turns: list[tuple[str, list[tuple[object, ...]]]] = []

    def add(self, role: str, *atoms: tuple[object, ...]) -> None:
        said = [atom for atom in atoms if atom != ("text", "")]
        if said and (not self.turns or self.turns[-1][0] != role):
            self.turns.append((role, []))
        if said:
            self.turns[-1][1].extend(said)

    def meaning(self, system: str) -> Meaning:
        kept = [(role, self._atoms(role, atoms)) for role, atoms in self.turns]
        if kept and kept[-1][0] == "assistant":
            # The service takes no white space at the end of an answer's beginning.
            atoms = [(*a[:-1], str(a[-1]).rstrip()) if a[0] == "text" else a for a in kept[-1][1]]
            kept[-1] = ("assistant", atoms)
        return lines(system), kept

    def _atoms(self, role: str, atoms: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
        """The model's words before its calls; results before what the user says."""
        texts = [str(atom[1]) for atom in atoms if atom[0] == "text"]
        if role == "assistant":
            text = "".join(texts)
            calls = [atom for atom in atoms if atom[0] == "call"]
            return [*([("text", text)] if text else []), *calls]
        joined: list[tuple[object, ...]] = [atom for atom in atoms if atom[0] == "result"]
        for atom in atoms:
            if atom[0] == "image":
                joined.append(atom)
            elif atom[0] == "text":
                if joined and joined[-1][0] == "text":
                    joined[-1] = ("text", lines(f"{joined[-1][1]}\n{atom[1]}"))
                else:
                    joined.append(("text", lines(str(atom[1]))))
        return joined


def lines(text: str) -> str:
    return re.sub(r"\n+", "\n", text).strip("\n")


def result(call_id: object, text: str, failed: bool) -> tuple[object, ...]:
    """OpenAI's dialect has words alone to say that a tool failed, and that an image follows."""
    text = lines(re.sub(r"\n?\[image below\]$", "", text))
    marked = text.startswith("Error:")
    return "result", call_id, text.removeprefix("Error:").strip(), failed or marked


def of_openai(raw: JSON) -> Meaning:
    turns, system = Turns(), []
    for message in objects(raw["messages"]):
        content: Any = message.get("content")
        match message["role"]:
            case "system":
                system.append(text_of(content, "\n"))
            case "tool":
                turns.add("user", result(message["tool_call_id"], text_of(content, "\n"), False))
            case "assistant":
                turns.add("assistant", ("text", text_of(content)))
                for call in objects(message.get("tool_calls")):
                    function: Any = call["function"]
                    given = json.loads(function["arguments"] or "{}")
                    turns.add("assistant", ("call", call["id"], function["name"], given))
            case _:
                parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
                turns.add("user", *map(of_part, parts))
    return turns.meaning("\n".join(system))


def of_part(part: Any) -> tuple[object, ...]:
    if part["type"] == "text":
        return "text", part["text"]
    return "image", part["image_url"]["url"]


def of_anthropic(raw: JSON) -> Meaning:
    turns = Turns()
    for message in objects(raw["messages"]):
        content: Any = message["content"]
        role = str(message["role"])
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        turns.add(role, *(atom for block in blocks for atom in of_block(block)))
    return turns.meaning(text_of(raw.get("system"), "\n"))


def of_block(block: Any) -> list[tuple[object, ...]]:
    match block["type"]:
        case "text":
            return [("text", block["text"])]
        case "image":
            source = block["source"]
            inline = f"data:{source.get('media_type')};base64,{source.get('data')}"
            return [("image", source.get("url") or inline)]
        case "tool_use":
            return [("call", block["id"], block["name"], block["input"])]
    inner = block.get("content")
    told = result(block["tool_use_id"], text_of(inner, "\n"), block.get("is_error") is True)
    shown = [atom for each in objects(inner) if each["type"] == "image" for atom in of_block(each)]
    return [told, *shown]


# conversations

TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"),
    min_size=1,
    max_size=8,
).filter(lambda text: text.strip() and not text.startswith("Error:"))
NAMES = st.from_regex(r"\A[a-zA-Z0-9_-]{1,8}\Z")
# Few, so that a later turn has them again, as engines that count from 0 in each answer do.
IDS = st.sampled_from(["call_0", "call_1", "toolu_0", "f:0"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
ARGUMENTS = st.dictionaries(TEXTS | st.just(""), VALUES, max_size=3)
DATA = st.sampled_from(["AA==", "iVBORw0KGgo=", "aGk/+w=="])
MEDIA = st.sampled_from(["image/png", "image/jpeg", "image/svg+xml"])
LINKS = st.sampled_from(["https://x/y.png", "https://x/y?data:a;b,c"])


def chosen(draw: st.DrawFn, *ways: st.SearchStrategy[Any]) -> Any:
    return draw(st.one_of(*ways))


def text_block(draw: st.DrawFn) -> JSON:
    return {"type": "text", "text": draw(TEXTS)}


@st.composite
def openai_parts(draw: st.DrawFn) -> JSON:
    if draw(st.booleans()):
        return text_block(draw)
    url = chosen(draw, LINKS, st.builds("data:{};base64,{}".format, MEDIA, DATA))
    return {"type": "image_url", "image_url": {"url": url}}


@st.composite
def anthropic_parts(draw: st.DrawFn) -> JSON:
    if draw(st.booleans()):
        return text_block(draw)
    inline = st.fixed_dictionaries({"type": st.just("base64"), "media_type": MEDIA, "data": DATA})
    linked = st.fixed_dictionaries({"type": st.just("url"), "url": LINKS})
    return {"type": "image", "source": chosen(draw, inline, linked)}


@st.composite
def openai_requests(draw: st.DrawFn) -> JSON:
    """Systems first, then turns; each call has its result before anything else is said."""
    texts = TEXTS | st.lists(st.builds(lambda t: {"type": "text", "text": t}, TEXTS), max_size=2)
    messages: list[JSON] = [
        {"role": "system", "content": draw(TEXTS)} for _ in range(draw(st.integers(0, 2)))
    ]
    for number in range(draw(st.integers(1, 4))):
        if number == 0 or draw(st.booleans()):
            content = chosen(draw, TEXTS, st.lists(openai_parts(), min_size=1, max_size=3))
            messages.append({"role": "user", "content": content})
            continue
        ids = draw(st.lists(IDS, max_size=3, unique=True))
        said: JSON = {"role": "assistant", "content": chosen(draw, texts, st.none())}
        if ids:
            said["tool_calls"] = [
                {"id": each, "type": "function", "function": {
                    "name": draw(NAMES), "arguments": json.dumps(draw(ARGUMENTS))}}
                for each in ids
            ]  # fmt: skip
        results: list[JSON] = [
            {"role": "tool", "tool_call_id": each,
             "content": draw(st.sampled_from(["", "Error: "])) + draw(TEXTS | st.just(""))}
            for each in draw(st.permutations(ids))
        ]  # fmt: skip
        messages += [said, *results]
    return {"messages": messages}


@st.composite
def anthropic_requests(draw: st.DrawFn) -> JSON:
    """The same in the other dialect, where results are blocks and may hold images."""
    messages: list[JSON] = []
    for _ in range(draw(st.integers(1, 4))):
        parts = draw(st.lists(anthropic_parts(), min_size=1, max_size=3))
        messages.append({"role": "user", "content": chosen(draw, TEXTS, st.just(parts))})
        if draw(st.booleans()):
            continue
        ids = draw(st.lists(IDS, max_size=3, unique=True))
        said = [text_block(draw) for _ in range(draw(st.integers(0 if ids else 1, 2)))]
        calls = [
            {"type": "tool_use", "id": each, "name": draw(NAMES), "input": draw(ARGUMENTS)}
            for each in ids
        ]
        messages.append({"role": "assistant", "content": [*said, *calls]})
        results = [
            {"type": "tool_result", "tool_use_id": each, "is_error": draw(st.booleans()),
             "content": chosen(draw, TEXTS | st.just(""), st.lists(anthropic_parts(), max_size=2))}
            for each in draw(st.permutations(ids))
        ]  # fmt: skip
        if results:
            after = draw(st.lists(anthropic_parts(), max_size=2))
            messages.append({"role": "user", "content": [*results, *after]})
    raw: JSON = {"messages": messages, "max_tokens": 9}
    if draw(st.booleans()):
        blocks = st.lists(st.builds(lambda t: {"type": "text", "text": t}, TEXTS), max_size=2)
        raw["system"] = chosen(draw, TEXTS, blocks)
    return raw


@pytest.mark.parametrize("local", [True, False])
@settings(deadline=None)
@given(raw=openai_requests())
def test_an_openai_conversation_means_the_same_there_and_back(raw: JSON, local: bool) -> None:
    there = sent(raw, OPENAI, ANTHROPIC, local=local)
    back = sent(there, ANTHROPIC, OPENAI, local=local)

    assert of_anthropic(there) == of_openai(raw)
    assert of_openai(back) == of_openai(raw)


@pytest.mark.parametrize("local", [True, False])
@settings(deadline=None)
@given(raw=anthropic_requests())
def test_an_anthropic_conversation_means_the_same_there_and_back(raw: JSON, local: bool) -> None:
    there = sent(raw, ANTHROPIC, OPENAI, local=local)
    back = sent(there, OPENAI, ANTHROPIC, local=local)

    assert of_openai(there) == of_anthropic(raw)
    assert of_anthropic(back) == of_anthropic(raw)
