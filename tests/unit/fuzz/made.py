"""Bytes that look right, made by hypothesis: heads, bodies, streams and answers."""

from __future__ import annotations

import json

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

JSON = dict[str, object]

_text = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            "data: [DONE]\n\n",
            "event: error",
            '"model":"served"',
            '{"error":1}',
            "\r\n\r\n",
            "é\u2028",
        ]
    ),
)
_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 10**19), st.floats(allow_nan=False), _text
)
anything: SearchStrategy[object] = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_text, inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip


def _object(**fields: SearchStrategy[object]) -> SearchStrategy[JSON]:
    """An object with some of these fields, most of them as they should be."""
    return st.fixed_dictionaries(
        {}, optional={k: st.one_of(v, v, v, anything) for k, v in fields.items()}
    )


def _dumped(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "replace")


_usage = _object(
    prompt_tokens=st.integers(-1, 99), completion_tokens=st.integers(0, 99),
    input_tokens=st.integers(0, 99), output_tokens=st.integers(0, 99),
    prompt_tokens_details=_object(cached_tokens=st.integers(0, 9)),
    cache_read_input_tokens=st.integers(0, 9),
)  # fmt: skip
_call = _object(
    index=st.integers(0, 2), id=st.sampled_from(["a", "b"]),
    function=_object(name=_text, arguments=st.sampled_from(["", "{", '{"a":', "1}", "{}", "x"])),
)  # fmt: skip
_delta = _object(
    role=st.just("assistant"), content=_text, reasoning_content=_text, refusal=_text,
    tool_calls=st.lists(_call, max_size=2),
)  # fmt: skip
_reason = st.sampled_from(["stop", "length", "tool_calls", "weird"])
_chunk = _object(
    id=_text, model=st.just("served"), usage=_usage,
    choices=st.lists(_object(index=st.integers(0, 1), delta=_delta, finish_reason=_reason), max_size=2),
)  # fmt: skip
_block = _object(
    type=st.sampled_from(["text", "thinking", "tool_use"]), text=_text, thinking=_text,
    signature=_text, id=_text, name=_text, input=st.just({}),
)  # fmt: skip
_event = _object(
    type=st.sampled_from(
        ["message_start", "content_block_start", "content_block_delta", "content_block_stop",
         "message_delta", "message_stop", "ping", "error"]
    ),
    index=st.integers(0, 2), content_block=_block, usage=_usage,
    message=_object(model=st.just("served"), usage=_usage),
    delta=_object(
        type=st.just("text_delta"), text=_text, partial_json=st.sampled_from(["{", "}", "1"]),
        thinking=_text, signature=_text, stop_reason=_reason,
    ),
)  # fmt: skip
_whole_event = st.one_of(
    _chunk.map(_dumped),
    _event.map(_dumped),
    st.sampled_from([b"[DONE]", b'{"error":{"message":"x"}}', b"", b"not json", b"\xff\xfe"]),
    st.just(
        _dumped({"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]})
    ),
    st.just(_dumped({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})),
)
_framed = st.builds(
    lambda name, data, end: name + b"data: " + data.replace(b"\n", b" ") + end,
    st.sampled_from([b"", b"", b"event: x\n", b"event: error\n", b": ping\n\n", b"id: 1\r\n"]),
    _whole_event,
    st.sampled_from([b"\n\n", b"\n\n", b"\r\n\r\n", b"\n", b"\n\n\n"]),
)
streams = st.lists(_framed, max_size=7).map(b"".join)

answers = st.one_of(
    _object(
        model=st.just("served"), usage=_usage,
        choices=st.lists(_object(message=_delta, finish_reason=_reason), max_size=2),
    ),
    _object(
        model=st.just("served"), usage=_usage, content=st.lists(_block, max_size=3),
        stop_reason=_reason, stop_sequence=_text,
    ),
    anything,
).map(_dumped)  # fmt: skip

_part = _object(
    type=st.sampled_from(
        ["text", "image_url", "image", "tool_use", "tool_result", "thinking", "input_text",
         "output_text", "input_image"]
    ),
    text=_text, id=_text, name=_text, input=anything, tool_use_id=st.sampled_from(["a", "b"]),
    content=st.one_of(_text, st.lists(_object(type=st.just("text"), text=_text), max_size=2)),
    is_error=st.booleans(), cache_control=_object(type=st.just("ephemeral")),
    image_url=_object(url=st.sampled_from(["data:image/png;base64,AA==", "http://x/y.png", ""])),
    source=_object(type=st.just("base64"), media_type=st.just("image/png"), data=st.just("AA==")),
)  # fmt: skip
_message = _object(
    role=st.sampled_from(["system", "user", "assistant", "tool", "developer"]),
    content=st.one_of(_text, st.lists(_part, max_size=3), st.none()),
    tool_calls=st.lists(_call, max_size=2), tool_call_id=st.sampled_from(["a", "b"]), name=_text,
)  # fmt: skip
_item = _object(
    type=st.sampled_from(["message", "function_call", "function_call_output", "reasoning"]),
    role=st.sampled_from(["user", "assistant", "system"]), call_id=st.sampled_from(["a", "b"]),
    content=st.one_of(_text, st.lists(_part, max_size=2)), name=_text, arguments=_text, output=_text,
    summary=st.lists(_part, max_size=1),
)  # fmt: skip
_tool = _object(
    type=st.sampled_from(["function", "custom"]), name=_text, description=_text,
    input_schema=anything, parameters=anything,
    function=_object(name=_text, description=_text, parameters=anything, strict=st.booleans()),
)  # fmt: skip
requests = _object(
    model=st.just("chat"), messages=st.lists(_message, min_size=1, max_size=4),
    input=st.one_of(_text, st.lists(_item, max_size=4)), max_tokens=st.integers(0, 9),
    max_output_tokens=st.integers(1, 9), system=st.one_of(_text, st.lists(_part, max_size=2)),
    stream=st.booleans(), tools=st.lists(_tool, max_size=2), instructions=_text,
    tool_choice=st.one_of(
        st.sampled_from(["auto", "none", "required"]), _object(type=st.just("any"), name=_text)
    ),
    temperature=st.floats(0, 1), stop=st.one_of(_text, st.lists(_text, max_size=2)),
    stop_sequences=st.lists(_text, max_size=2), thinking=_object(type=st.just("enabled"), budget_tokens=st.integers(1, 9999)),
    reasoning_effort=_text, reasoning=_object(effort=_text), response_format=_object(type=st.just("json_object")),
    text=_object(format=_object(type=st.just("json_object"))), n=st.integers(1, 2), metadata=anything,
    parallel_tool_calls=st.booleans(), stream_options=_object(include_usage=st.booleans()),
).map(_dumped)  # fmt: skip

_line = st.one_of(
    st.sampled_from(
        [b"Host: a", b"host: b", b"Content-Length: 5", b"content-length:5 ", b"Content-Length: 5, 5",
         b"Content-Length: +5", b"Content-Length : 5", b"Transfer-Encoding: chunked",
         b"Transfer-Encoding : chunked", b"transfer-encoding:\tidentity", b"\tfolded", b" Host: c",
         b"Connection: close", b"Expect: 100-continue", b"X: \x00", b"X: \xff", b"no colon", b": x",
         b"Upgrade: h2c"]
    ),
    st.binary(max_size=12),
)  # fmt: skip
_ending = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n "])
heads = st.builds(
    lambda start, end, lines: start + end + b"".join(line + after for line, after in lines),
    st.builds(
        b"%b %b HTTP/%b".__mod__,
        st.tuples(
            st.sampled_from([b"POST", b"GET", b"HEAD", b"OPTIONS", b"CONNECT", b"post", b"G T"]),
            st.sampled_from(
                [b"/", b"/v1/messages?beta=true", b"*", b"http://a/b", b"/\xff", b"a b"]
            ),
            st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0", b"2.0", b"0.9", b"1.1 "]),
        ),
    ),
    _ending,
    st.lists(st.tuples(_line, _ending), max_size=6),
)

MADE: dict[str, SearchStrategy[bytes]] = {
    "head": heads,
    "request": requests,
    "stream": streams,
    "events": streams,
    "answer": answers,
}
