from __future__ import annotations

from dataclasses import replace

import pytest

from anvil_ctl.multiplexer.proof import Proof, differs

BEFORE = Proof(said="2, 3, 5", served="a", first_s=0.4, token_s=0.02, accepted=2.5)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (replace(BEFORE, served="b"), "it answers as 'b', and was 'a'"),
        (replace(BEFORE, said="!!!"), "it says '!!!', and said '2, 3, 5' to the same question"),
        (replace(BEFORE, first_s=0.9), "its first token takes 0.900 s, and took 0.400 s"),
        (replace(BEFORE, token_s=0.4), "a token takes 0.400 s, and took 0.020 s"),
        (replace(BEFORE, accepted=1.0), "1.0 drafted tokens are accepted, and 2.5 were"),
        (replace(BEFORE, accepted=None), "None drafted tokens are accepted, and 2.5 were"),
    ],
)
def test_what_changed_while_it_slept_is_named(after: Proof, said: str) -> None:
    assert differs(BEFORE, after) == said


@pytest.mark.parametrize(
    "after",
    [BEFORE, replace(BEFORE, first_s=0.8, token_s=0.03, accepted=2.4), replace(BEFORE, first_s=0)],
)
def test_what_changes_from_one_answer_to_the_next_is_no_difference(after: Proof) -> None:
    assert differs(BEFORE, after) is None
