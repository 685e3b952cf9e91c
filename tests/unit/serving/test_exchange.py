"""What is noted of a request, and who writes to whom."""

from __future__ import annotations

from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.message import Request
from tests.unit.serving.test_access import NoWire

ASK = Request("POST", "/v1/chat/completions", "", {})


def exchange() -> Exchange:
    return Exchange(NoWire(), ASK, "id", close=False, started_at=0.0)


def test_notes_are_put_in_words_when_they_are_read_in_their_order_and_once() -> None:
    put: list[str] = []

    def words(name: str, value: object) -> dict[str, object]:
        put.append(name)
        return {name: value}

    made = exchange()
    made.note(words, "a", 1)
    made.note(words, "b", 2)
    assert put == []

    made.fields["b"] = 3
    made.note(words, "a", 4)

    assert made.fields == made.fields == {"a": 4, "b": 3}
    assert put == ["a", "b", "a"]


def test_what_is_written_to_a_client_that_has_left_goes_nowhere() -> None:
    made = exchange()
    made.left()
    made.start(200, ())
    made.write(b"a word")

    assert made.started
