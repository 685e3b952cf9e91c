"""What is provably broken fails; everything else passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.router.dialects.answer import Answer, ToolCall
from anvil_ctl.router.dialects.call import Call, Dialect
from anvil_ctl.router.dialects.delta import Finish, Text, Thinking, ToolArguments, ToolStart, Usage
from anvil_ctl.router.verify import chain
from anvil_ctl.router.verify.chain import FULL, MINIMAL, Outcome, verify
from anvil_ctl.router.verify.code import code_parses
from anvil_ctl.router.verify.diff import diff_well_formed
from anvil_ctl.router.verify.fences import scan
from anvil_ctl.router.verify.view import Asked, Result, View, asked, view


def failed(text: str, **more: object) -> str | None:
    return verify(View(text, **more)).failed  # type: ignore[arg-type]


# Is there an answer, and is it whole?


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_nothing_is_no_answer(text: str) -> None:
    assert failed(text) == "NonEmptyContent"


def test_a_tool_call_alone_is_an_answer_and_reasoning_alone_is_none() -> None:
    assert failed("", calls=(ToolCall("1", "f", "{}"),)) is None

    answer = Answer()
    answer.extend([Thinking("hm " * 50), Finish("stop")])
    assert verify(view(answer, Asked()), MINIMAL).failed == "NonEmptyContent"


@pytest.mark.parametrize("reason", ["length", " LENGTH ", "max_tokens", "model_length"])
def test_a_cut_answer_fails_unless_the_caller_set_the_limit(reason: str) -> None:
    assert failed("x", finish=reason) == "NotTruncated"
    assert failed("x", finish=reason, asked=Asked(cap=1)) is None
    assert failed("x", finish=reason, asked=Asked(cap=0)) is None


@pytest.mark.parametrize("reason", [None, "", "stop", "end_turn", "tool_calls", "strange"])
def test_other_ends_are_no_cut(reason: str | None) -> None:
    assert failed("x", finish=reason) is None


@pytest.mark.parametrize(
    ("cap", "made", "fails"),
    [(1000, 1000, False), (1000, 980, False), (1000, 979, True), (10, 2, False), (1, 1, False),
     (4096, 1024, True), (4096, None, False)],
)  # fmt: skip
def test_a_cut_well_before_the_callers_limit_is_the_tiers_own(
    cap: int, made: int | None, fails: bool
) -> None:
    got = failed("x", finish="max_tokens", output_tokens=made, asked=Asked(cap=cap))

    assert got == ("NotTruncated" if fails else None)


# Tool calls


@pytest.mark.parametrize(
    "arguments", ["{", "{'a': 1}", '{"a": NaN}', '{"a": 1e999}', "x", '{"a": 1} {"b": 2}']
)
def test_arguments_that_are_no_json_fail(arguments: str) -> None:
    assert failed("", calls=(ToolCall("1", "f", arguments),)) == "ToolCallJSONValid"


@pytest.mark.parametrize(
    "arguments", ["", " ", "{}", '{"a": [1, 2]}', '{"a": "\\ud800"}', '{"n": ' + "1" * 5000 + "}"]
)
def test_arguments_that_are_json_or_absent_pass(arguments: str) -> None:
    assert failed("", calls=(ToolCall("1", "f", arguments),)) is None


def test_calls_are_held_to_what_was_declared() -> None:
    declared = Asked(tools={"f": ("city",), "g": ()})

    def of(name: str, arguments: str) -> str | None:
        return failed("", calls=(ToolCall("1", name, arguments),), asked=declared)

    assert of("f", '{"city": "Oslo", "more": 1}') is None
    assert of("g", "") is None
    assert of("f", '{"town": "Oslo"}') == "ToolCallJSONValid"
    assert of("f", "") == "ToolCallJSONValid"
    assert of("f", "[]") == "ToolCallJSONValid"
    assert of("h", "{}") == "ToolCallJSONValid"


def test_bottomless_nesting_is_no_json() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert failed("", calls=(ToolCall("1", "f", deep),)) == "ToolCallJSONValid"


# Code

PYTHON_THAT_IS_FINE = {
    "plain": "x = 1",
    "empty": "",
    "indented": "    x = 1\n    y = 2",
    "dedents": "    x = 1\ny = 2",
    "await": "await f()",
    "async-for": "async for x in y: pass",
    "return": "return 1",
    "doctest": ">>> 1 + 1\n2",
    "python-2": "print 'hello'",
    "python-2-exec": "exec 'x = 1'",
    "python-2-except": "try:\n    f()\nexcept A, e:\n    pass",
    "python-2-octal": "os.chmod(x, 0755)",
    "elided": "def f():\n    ...existing code...\n    return 1",
    "elided-unicode": "def f():\n    \u2026",
    "comment-only-body": "def f():\n    # the same as before",
    "magic": "%matplotlib inline\nx = 1",
    "shell": "!pip install x",
    "branch": "elif x:\n    pass",
    "fence-in-string": 'x = """\n```\n"""',
    "walrus": "if (n := 3) > 2: pass",
    "match": "match x:\n    case 1: pass",
    "warning": "x is 1",
    "deep": "-" * 50_000 + "1",
}


@pytest.mark.parametrize("code", PYTHON_THAT_IS_FINE.values(), ids=PYTHON_THAT_IS_FINE.keys())
@pytest.mark.parametrize("prefix", ["", "> ", "   "], ids=["open", "quoted", "indented"])
def test_python_that_somebody_could_mean_passes(code: str, prefix: str) -> None:
    if prefix and "```" in code:
        return
    text = "\n".join(prefix + line for line in ["```python", *code.split("\n"), "```"])

    assert failed(f"Look:\n\n{text}\nThat's it.") is None


@pytest.mark.parametrize(
    "code",
    ["def f(:\n    pass", "x = = 1", "import", "for x in y\n    pass", "x = [1, 2", "return return",
     "class A\n    pass", "f(a b)", "x = 'unclosed"],
)  # fmt: skip
@pytest.mark.parametrize("tag", ["python", "py", "Python3"])
def test_python_that_cannot_be_parsed_fails(code: str, tag: str) -> None:
    assert failed(f"```{tag}\n{code}\n```") == "CodeParses"


@pytest.mark.parametrize(
    "body", ['{"a": 1}', '{"a": 1, // why\n "b": 2}', '{"a": 1, ...}', '{"a": 1}\n{"a": 2}', "",
             '# note\n{"a": 1}', '[\n  /* x */\n  1\n]'],
)  # fmt: skip
def test_json_and_what_people_call_json_passes(body: str) -> None:
    assert failed(f"```json\n{body}\n```") is None


@pytest.mark.parametrize(
    "body", ["{'a': 1}", '{"a": 1,}', '{"a": 1', "NaN", "{a: 1}", '{"a": 1e999}']
)
def test_json_that_is_none_fails(body: str) -> None:
    assert failed(f"```json\n{body}\n```") == "CodeParses"


def test_other_languages_are_not_judged() -> None:
    assert failed("```rust\nfn (\n```\n```\n{ [ \n```") is None


@pytest.mark.parametrize(
    "text", ["```python\nx = 1", "Here:\n\n```\nx", "~~~\nx", "a\n````\n```\nx"]
)
def test_a_block_without_an_end_fails(text: str) -> None:
    assert failed(text) == "CodeParses"


@pytest.mark.parametrize(
    "text",
    ["Use ``` to open a block.", "```x```", "```python x = 1```", "~~~\nx\n~~~", "~~~\n```\n~~~",
     "````\n```python\nx = = 1\n```\n````",
     # A block in a block with fences of one length: who can say which end is whose?
     "```markdown\n# T\n```bash\nls\n```\nmore\n```\nThat's it.",
     "1. First:\n   ```python\n   x = 1\n   ```\n2. Then:\n   ```json\n   {}\n   ```",
     "- ```python\n  x = 1\n  ```"],
)  # fmt: skip
def test_fences_that_are_fine_pass(text: str) -> None:
    assert failed(text) is None


def test_a_longer_fence_needs_as_long_an_end() -> None:
    (fence,) = scan("````md\n```\nx\n```\n````")

    assert fence.closed
    assert fence.body == "```\nx\n```"


@given(st.text(alphabet="`~> \n-1.abx", max_size=80))
def test_blocks_are_in_order_and_lie_in_the_text(text: str) -> None:
    at = 0
    for fence in scan(text):
        assert at <= fence.start <= fence.end <= len(text)
        at = fence.end


@given(st.text(max_size=200))
def test_scores_are_from_0_to_1_and_no_text_raises(text: str) -> None:
    outcome = verify(View(text, finish="stop"))

    assert 0 <= outcome.score <= 1
    assert outcome.failed is None or "raised" not in outcome.failed


# Diffs

GOOD_DIFF = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"


@pytest.mark.parametrize(
    "text",
    [
        f"```diff\n{GOOD_DIFF}```",
        GOOD_DIFF,
        f"```diff\n{GOOD_DIFF}{GOOD_DIFF}```",
        "```diff\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\nprose\n```",
        "```diff\n@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n```",
        "```diff\n@@ -1,9 +1,9 @@\n a\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n```",
        "```diff\n@@ -1,3 +1,2 @@\n a\n--- option\n+x\n```",
        "--- and +++ are not a diff\n+++ really",
        "```diff\n- old\n+ new\n```",
    ],
)
def test_a_diff_that_could_be_applied_or_is_talk_passes(text: str) -> None:
    assert failed(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "```diff\n@@ -1,3 +1,3 @@\n a\nb\n-c\n+d\n```",
        "@@ -1,3 +1,3 @@\n a\nThat's the change.",
        "```diff\n@@ -1,4 +1,4 @@\n a\n@@ -9,1 +9,1 @@\n-a\n+b\n```",
    ],
)
def test_a_hunk_with_a_line_that_belongs_in_none_fails(text: str) -> None:
    assert failed(text) == "DiffWellFormed"


def test_a_diff_without_headers_fails_where_a_patch_was_asked_for() -> None:
    text = "```diff\n- old\n+ new\n```"
    assert diff_well_formed(View(text)).score < 1
    assert failed(text, asked=Asked(patch=True)) == "DiffWellFormed"


# Formats


def test_promised_json_is_the_whole_text_or_its_only_block() -> None:
    promised = Asked(json=True)

    for text in ('{"a": 1}', ' {"a": 1}\n', '```json\n{"a": 1}\n```', '```\n{"a": 1}\n```\n'):
        assert failed(text, asked=promised) is None
    for text in ("Sure!", 'Sure: {"a": 1}', '```json\n{"a": 1}\n```\nDone.', '{"a": 1,}'):
        assert failed(text, asked=promised) == "FormatWellFormed"


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ('{"name": "x", "age": 3, "tags": ["a"], "kind": "cat"}', True),
        ('{"name": "x", "age": 3.0}', True),
        ('{"name": "x", "age": null, "unknown": {}}', True),
        ('{"age": 3}', False),
        ('{"name": 1}', False),
        ('{"name": "x", "age": true}', False),
        ('{"name": "x", "age": 3.5}', False),
        ('{"name": "x", "tags": [1]}', False),
        ('{"name": "x", "kind": "bird"}', False),
        ('{"name": "x", "version": 2}', False),
        ("[]", False),
    ],
)
def test_promised_schemas_are_held_to_as_far_as_they_are_understood(value: str, fits: bool) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "pattern": "not looked at"},
            "age": {"type": ["integer", "null"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "kind": {"enum": ["cat", "dog"]},
            "version": {"const": 1},
        },
    }
    got = failed(value, asked=Asked(json=True, schema=schema))

    assert got == (None if fits else "FormatWellFormed")


@pytest.mark.parametrize(
    "text", ["I can't help with that.", "  I\u2019m sorry, but I can\u2019t do it", "I am unable to go on",
             "As an AI language model, I", "I cannot assist with"],
)  # fmt: skip
def test_a_refusal_passes_with_a_low_score(text: str) -> None:
    assert verify(View(text)) == Outcome(None, 0.2)
    assert verify(View(f"He said: {text}")).score == 1.0


# The chain


def test_no_list_of_checks_means_all_of_them() -> None:
    assert verify(View("```python\nx = = 1\n```"), ()).failed == "CodeParses"
    assert verify(View("```python\nx = = 1\n```"), MINIMAL).passed
    assert len(FULL) == 7


def test_a_check_that_breaks_has_failed() -> None:
    def broken(_view: View) -> Result:
        raise KeyError("secret text")

    outcome = chain.verify(View("x"), [broken])

    assert outcome.failed == "broken raised"


def test_what_was_asked_is_read_from_either_dialect() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"required": ["a"]}}}
    body: dict[str, object] = {
        "max_completion_tokens": 5,
        "tools": [tool],
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
    }
    found = asked(Call(Dialect.OPENAI, "m", False, False, body), "as a unified diff, please")
    assert found == Asked(5, {"f": ("a",)}, True, {"type": "object"}, True)

    other: dict[str, object] = {
        "max_tokens": 7,
        "tools": [{"name": "g", "input_schema": {}}],
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "array"}}},
    }
    found = asked(Call(Dialect.ANTHROPIC, "m", False, False, other), "hello")
    assert found == Asked(7, {"g": ()}, True, {"type": "array"}, False)


def test_an_answer_is_seen_as_it_was_collected() -> None:
    answer = Answer()
    answer.extend([Text("a"), ToolStart(0, "1", "f"), ToolArguments(0, "{}"), Finish("length")])
    answer.extend([Usage(1, 2)])
    seen = view(answer, Asked(cap=3))

    assert (seen.text, seen.finish, seen.output_tokens) == ("a", "length", 2)
    assert seen.calls == (ToolCall("1", "f", "{}"),)
    assert code_parses(seen).passed
