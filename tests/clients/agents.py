"""Claude Code and Codex as their users run them: set up by our recipes, without a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from anvil_ctl.clients import local, recipe
from anvil_ctl.clients.facts import Facts
from anvil_ctl.paths import bundle
from tests.unit.router.doubles import TOKEN

_LONGEST_S = 60
# Whatever an agent would send past the router goes nowhere, at once.
_NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Agent:
    """A program from a wheel. `package` is on PyPI; `settings` is where its recipe is written."""

    name: str
    package: str
    program: str
    settings: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]

    @property
    def label(self) -> str:
        """The package and its version."""
        return f"{self.package} {version(self.package)}"


CLAUDE_CODE = Agent(
    "claude-code",
    "claude-agent-sdk",
    "claude_agent_sdk/_bundled/claude",
    ".claude/settings.json",
    ("--print", "--output-format", "json", "--permission-mode", "bypassPermissions"),
    # Root may switch permissions off only where it says that this is a sandbox.
    {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "IS_SANDBOX": "1"},
)
CODEX = Agent(
    "codex",
    "openai-codex-cli-bin",
    "codex_cli_bin/bin/codex",
    ".codex/config.toml",
    ("exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
    {},
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent runs: a home of its own with its settings in it, and a project."""

    home: Path
    project: Path

    def commit(self) -> None:
        """Make the project a git repository with all that is in it."""
        by = ("-c", "user.name=a", "-c", "user.email=a@localhost")
        for command in (["init"], ["add", "."], [*by, "commit", "--message", "first"]):
            subprocess.run(["git", *command], cwd=self.project, check=True, capture_output=True)

    def write(self, name: str, text: str) -> None:
        """A file of the project."""
        (self.project / name).write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        """A file of the project."""
        return (self.project / name).read_text(encoding="utf-8")


def connect(agent: Agent, place: Place, url: str, *, window: int = 131072) -> None:
    """What `anvil-ctl connect AGENT --write` does, for a router of the tests."""
    facts = Facts(url, "chat", {"chat": window}, TOKEN, shlex.join(["echo", TOKEN]))
    settings = recipe.read(bundle() / "templates", agent.name, facts).settings
    assert settings is not None
    local.write(settings, place.home / agent.settings)


@contextlib.asynccontextmanager
async def running(
    agent: Agent, place: Place, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The agent at work in its project; it and what it started end with the block."""
    try:
        program = distribution(agent.package).locate_file(agent.program)
    except PackageNotFoundError as error:
        raise AssertionError(f"{agent.name} is not here. next: scripts/setup test") from error
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(place.home),
        "HTTPS_PROXY": _NOWHERE,
        "HTTP_PROXY": _NOWHERE,
        "NO_PROXY": "127.0.0.1",
        **agent.environ,
    }
    process = await asyncio.create_subprocess_exec(
        str(program),
        *agent.arguments,
        *arguments,
        cwd=place.project,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill(process)
        await process.wait()


def kill(process: asyncio.subprocess.Process) -> None:
    """The agent and its children, without a chance to say anything."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Said:
    """An agent's last words, and what it was told of its prompts: tokens, and those from a cache."""

    text: str
    given: int
    cached: int


async def ask(agent: Agent, place: Place, prompt: str, *arguments: str) -> Said:
    """Let it work to its end. The test fails with its output if it ends with an error."""
    async with running(agent, place, *arguments, prompt) as process:
        out, err = await asyncio.wait_for(process.communicate(), _LONGEST_S)
    said = f"{agent.name}: {process.returncode}\n{out.decode()}{err.decode()}"
    assert process.returncode == 0, said
    lines = [json.loads(line) for line in out.decode().splitlines() if line.startswith("{")]
    if agent is CLAUDE_CODE:
        [result] = lines
        assert not result["is_error"], said
        usage = result["usage"]
        cached = usage["cache_read_input_tokens"]
        return Said(result["result"], usage["input_tokens"] + cached, cached)
    messages = [line["item"] for line in lines if line.get("type") == "item.completed"]
    texts = [str(each["text"]) for each in messages if each["type"] == "agent_message"]
    assert texts, said
    usage = lines[-1]["usage"]
    return Said(texts[-1], usage["input_tokens"], usage["cached_input_tokens"])
