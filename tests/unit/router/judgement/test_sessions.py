"""Which conversation a request belongs to, and who answered in it."""

from __future__ import annotations

from anvil_ctl.router.judgement.reading import read
from anvil_ctl.router.judgement.sessions import Sessions
from anvil_ctl.router.judgement.sessions import session_of as told_apart_by


def session_of(raw: dict[str, object], hint: str | None = None) -> int:
    return told_apart_by(raw, read(raw).beginning, hint)


def test_a_conversation_is_known_by_what_the_caller_says_first_of_all() -> None:
    raw: dict[str, object] = {"prompt_cache_key": "k", "user": "u", "messages": []}

    assert session_of(raw, "s") == session_of({}, "s")
    assert session_of({**raw, "metadata": {"user_id": "m"}}) == session_of({}, "m")
    assert session_of(raw) == session_of({}, "k")
    assert session_of({"user": "u"}) == session_of({}, "u")


def test_else_by_how_it_began() -> None:
    first: dict[str, object] = {"role": "user", "content": "hello"}
    system: dict[str, object] = {"role": "system", "content": "be brief"}
    reply: dict[str, object] = {"role": "assistant", "content": "hi"}
    more: dict[str, object] = {"role": "user", "content": "and now?"}

    def of(*messages: dict[str, object]) -> int:
        return session_of({"messages": list(messages)})

    assert of(system, first) == of(system, first, reply, more)
    assert of(first) != of(system, first)
    assert of(first) != of(more)


def test_long_beginnings_are_told_apart_by_their_start_and_their_length() -> None:
    def of(content: str) -> int:
        return session_of({"messages": [{"role": "user", "content": content}]})

    long = "x" * 100_000
    assert of(long) == of("".join("x" for _ in range(100_000)))
    assert of(long) != of(f"{long}x")
    assert of(long) != of(f"y{long[1:]}")


def test_who_answered_is_remembered_for_a_while() -> None:
    sessions = Sessions(ttl=600)
    sessions.served(1, "a", 0)
    sessions.served(1, "b", 10)

    assert sessions.former(1, 609) == "b"
    assert sessions.former(1, 610) is None
    assert sessions.former(2, 10) is None


def test_the_longest_unused_conversation_is_forgotten_first() -> None:
    sessions = Sessions(most=2)
    for session in (1, 2, 1, 3):
        sessions.served(session, "a", 0)

    assert [sessions.former(each, 1) for each in (1, 2, 3)] == ["a", None, "a"]
