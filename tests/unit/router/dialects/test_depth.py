"""How deeply a body may be nested, before anything walks it recursively."""

from __future__ import annotations

import pytest

from anvil_ctl.router.dialects import call as calls
from anvil_ctl.router.dialects.call import BadRequestError, Dialect

# A large body's depth is found in another way than a small one's.
PADDINGS = (0, 200_000)


def body(depth: int, padding: int) -> bytes:
    """`depth` counts the body itself."""
    metadata = '{"a":' * (depth - 1) + "1" + "}" * (depth - 1)
    messages = '[{"role":"user","content":"' + "x" * padding + '"}]'
    return f'{{"model":"chat","messages":{messages},"metadata":{metadata}}}'.encode()


@pytest.mark.parametrize("padding", PADDINGS)
def test_a_body_may_be_nested_128_deep(padding: int) -> None:
    assert calls.parse(Dialect.OPENAI, body(128, padding)).model == "chat"


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("depth", [129, 500, 100_000])
def test_deeper_it_is_the_callers_fault(depth: int, padding: int) -> None:
    with pytest.raises(BadRequestError, match=r"nested too deeply|not valid JSON"):
        calls.parse(Dialect.OPENAI, body(depth, padding))


@pytest.mark.parametrize("padding", PADDINGS)
def test_many_containers_beside_each_other_are_not_deep(padding: int) -> None:
    many = b'{"model":"chat","messages":[{"role":"user","content":"%b"}],"stop":[],"x":[%b{}]}' % (
        b"x" * padding,
        b"{}," * 5000,
    )

    assert calls.parse(Dialect.OPENAI, many).model == "chat"
