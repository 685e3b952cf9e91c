"""Whether fenced code is code: Python that parses, JSON that is JSON."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Sequence

from anvil_ctl.router.verify.fences import Fence
from anvil_ctl.router.verify.strict import is_json, is_json_lines
from anvil_ctl.router.verify.view import LONGEST, Result, View

NAME = "CodeParses"
_DOUBTFUL = 0.7
_PYTHON = frozenset({"python", "python3", "py"})
# The parser takes 1.5 us a character, in an f-string's braces ten times that. What goes beyond
# this many characters of code in one answer is not judged, so that no answer can hold us up.
_BUDGET = 16_000
_BRACE = 10
_FLAGS = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

# Beginnings of lines that are Python to somebody, if not to its parser.
_FOREIGN = re.compile(
    r"^[ \t]*+(?:>>>|\.\.\.|%|!|\?|#[ \t]*+\.\.\.|elif\b|else\b|except\b|finally\b|case\b)",
    re.MULTILINE,
)
_PYTHON_2 = re.compile(
    r"Missing parentheses in call|multiple exception types must be|leading zeros in decimal"
    r"|invalid decimal literal|invalid hexadecimal literal"
)
_PARTIAL = re.compile(
    r"unexpected indent|unindent does not match|expected an indented block"
    r"|unterminated triple-quoted string"
)
_COMMENT = re.compile(r"^[ \t]*+(?://|/\*|#)|[,\[{][ \t]*+(?://|/\*)", re.MULTILINE)


def code_parses(view: View) -> Result:
    """Fails on a block without an end, on Python that can't be parsed and JSON that is none."""
    if len(view.text) > LONGEST:
        return Result(NAME, reason="too long to look at")
    # What Python only warns of is no error. Said once, not for each of some thousand blocks.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = _scores(view.fences)
    if not scores:
        return Result(NAME)
    broken = scores.count(0.0)
    score = round(sum(scores) / len(scores), 4)
    reason = f"{broken} of {len(scores)} blocks are broken" if broken else ""
    return Result(NAME, broken == 0, score, reason)


def _scores(fences: Sequence[Fence]) -> list[float]:
    budget = _BUDGET
    scores: list[float] = []
    for fence in fences:
        if not fence.closed:
            # After a string that was left open, this fence may have stood in it.
            bare = not fence.tag and (not fence.body.strip() or _DOUBTFUL in scores)
            scores.append(_DOUBTFUL if bare else 0.0)
            continue
        if fence.tag in _PYTHON:
            budget -= len(fence.body) + _BRACE * fence.body.count("{")
            scores.append(_python(fence.body) if budget >= 0 else 1.0)
        elif fence.tag == "json":
            scores.append(_json(fence))
    return scores


def _python(body: str) -> float:
    """1 where it parses, 0 where it is broken, between where something may explain it."""
    code = textwrap.dedent(body)
    wrapped = f"if 1:\n{code}" if code[:1] in (" ", "\t") else code
    error = _error(wrapped)
    if error is None:
        return 1.0
    explained = (
        _FOREIGN.search(code)
        or "\u2026" in code
        or "..." in code
        or _PYTHON_2.search(error)
        or _PARTIAL.search(error)
    )
    return _DOUBTFUL if explained else 0.0


def _error(code: str) -> str | None:
    """What the parser finds wrong; None where it finds nothing or gives up."""
    try:
        compile(code, "answer", "exec", _FLAGS, dont_inherit=True)
    except SyntaxError as error:
        return error.msg
    except (ValueError, MemoryError, RecursionError, OverflowError):
        return None
    return None


def _json(fence: Fence) -> float:
    body = fence.body.strip()
    if not body or is_json(body):
        return 1.0
    if "..." in body or "\u2026" in body or _COMMENT.search(body):
        return _DOUBTFUL
    return 1.0 if "\n" in body and is_json_lines(body) else 0.0
