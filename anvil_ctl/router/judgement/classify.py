"""What class of work a request is, from its words and shape alone. Pure and the same every time."""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Iterator, Mapping

import msgspec

from anvil_ctl.router.judgement.reading import Reading
from anvil_ctl.router.judgement.work import Work

# Longer system prompts belong to a harness and speak of everything.
_SYSTEM_WORDS = 150
# More than this, in words or what they come to, is long whatever it asks for.
LONG = 4000

# Everything but letters, digits, underscores and bytes beyond ASCII stands between words.
_WORDS = bytes(
    byte + 32 if 0x41 <= byte <= 0x5A
    else byte if byte >= 0x80 or chr(byte).isalnum() or byte == 0x5F
    else 0x20
    for byte in range(256)
)  # fmt: skip
_UNICODE_WORD = re.compile(r"\w+")


class Class(msgspec.Struct, frozen=True):
    """The class, whether it is sure, and the words that said so (in the order of priority)."""

    work: Work
    confident: bool
    keywords: tuple[str, ...] = ()


class Taxonomy:
    """Keywords by class, in order of priority. Keys that begin with `_` are notes."""

    def __init__(self, table: Mapping[str, object]) -> None:
        self._words: dict[str, Work] = {}
        self._phrases: list[tuple[frozenset[str], re.Pattern[str], str, Work]] = []
        for name, keywords in table.items():
            if not name.startswith("_") and isinstance(keywords, list):
                for keyword in keywords:
                    self._add(str(keyword), Work(name))
        self._singles = frozenset(self._words)
        self._rank = {name: rank for rank, name in enumerate(table)}

    def _add(self, keyword: str, work: Work) -> None:
        parts = keyword.split()
        if len(parts) == 1:
            self._words[keyword] = work
            return
        joined = r"[\s\-]++".join(re.escape(part) for part in parts)
        # The beginning of the word is checked apart: a pattern that begins with its letters is
        # searched for five times as fast.
        pattern = re.compile(rf"{joined}(?!\w)")
        self._phrases.append((frozenset(parts), pattern, keyword, work))

    def find(self, text: str) -> list[tuple[str, Work]]:
        """The keywords in the text, most important class first."""
        lowered = text.lower()
        words = _words(lowered)
        found = [(word, self._words[word]) for word in self._singles & words]
        found += self._found_phrases(lowered, words)
        return sorted(found, key=lambda each: (self._rank[each[1]], each[0]))

    def _found_phrases(self, lowered: str, words: frozenset[str]) -> Iterator[tuple[str, Work]]:
        for parts, pattern, keyword, work in self._phrases:
            # Nearly always enough, and far cheaper than looking for each phrase.
            if parts <= words and any(map(_begins_word, pattern.finditer(lowered))):
                yield keyword, work


def shipped() -> Taxonomy:
    """The keywords of keywords.json."""
    data = pkgutil.get_data(__package__, "keywords.json")
    return Taxonomy(json.loads(data or b"{}"))


_TAXONOMY = shipped()


def classify(reading: Reading, taxonomy: Taxonomy = _TAXONOMY) -> Class:
    """The first that holds:

    1. more than 4000 words: long-context;
    2. the request says that it is spoken: chat-fast;
    3. keywords of a class; of several classes the first, and then it isn't sure;
    4. the caller asks for thinking: planning;
    5. tools are offered: bounded-edit;
    6. chat, and that is a guess.

    Keywords come before thinking and tools because harnesses send those with everything.
    """
    if reading.conversation.lower > LONG:
        return Class(Work.LONG, confident=True)
    if reading.voice:
        return Class(Work.CHAT_FAST, confident=True)
    found = taxonomy.find(_haystack(reading))
    if found:
        keywords = tuple(keyword for keyword, _work in found)
        sure = len({work for _keyword, work in found}) == 1
        return Class(found[0][1], confident=sure, keywords=keywords)
    if reading.thinks:
        return Class(Work.PLANNING, confident=True)
    if reading.offers_tools:
        return Class(Work.EDIT, confident=True)
    return Class(Work.CHAT, confident=False)


def _haystack(reading: Reading) -> str:
    short = len(reading.system.split(None, _SYSTEM_WORDS)) <= _SYSTEM_WORDS
    return f"{reading.system}\n{reading.ask}" if short else reading.ask


def _begins_word(found: re.Match[str]) -> bool:
    before = found.string[found.start() - 1 : found.start()]
    return not (before.isalnum() or before == "_")


def _words(lowered: str) -> frozenset[str]:
    if not lowered.isascii():
        return frozenset(_UNICODE_WORD.findall(lowered))
    return frozenset(lowered.encode().translate(_WORDS).decode().split())
