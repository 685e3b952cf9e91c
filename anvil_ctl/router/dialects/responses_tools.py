"""The tools of a Responses request, as the functions that a chat engine knows, and back again."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from anvil_ctl.router.dialects.blocks import copy_present, objects, string
from anvil_ctl.router.dialects.call import JSON, BadRequestError

# Tools that run on OpenAI's servers and that agents offer without being asked to. No engine here
# has them, and the agents work without: so they are left out. Any other one is refused.
_LEFT_OUT = frozenset({
    "web_search", "web_search_2025_08_26", "web_search_preview",
    "web_search_preview_2025_03_11", "image_generation", "tool_search",
})  # fmt: skip
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_MAX_NAME = 64
_INPUT: JSON = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The tool's whole input, verbatim."}},
    "required": ["input"],
    "additionalProperties": False,
}


class Kind(StrEnum):
    """The kinds of tool whose calls the caller runs itself."""

    FUNCTION = "function"
    CUSTOM = "custom"


class Tool(msgspec.Struct, frozen=True):
    """What the caller calls a tool that the engine knows as a function of another name."""

    kind: Kind
    name: str
    namespace: str | None = None


class Toolbox:
    """The tools of one request. `functions` is what the engine is offered."""

    __slots__ = ("_by_function", "functions", "kept")

    def __init__(self, tools: object) -> None:
        """Raises BadRequestError for a tool that can't be offered."""
        self._by_function: dict[str, Tool] = {}
        self.functions: list[JSON] = []
        # As the caller wrote them, without those that were left out.
        self.kept: list[JSON] = []
        for number, tool in enumerate(tools if isinstance(tools, list) else ()):
            if not isinstance(tool, dict):
                raise BadRequestError(f"tools.{number}: must be an object")
            kind = string(tool.get("type"))
            if kind in _LEFT_OUT:
                continue
            self.kept.append(tool)
            if kind == "namespace":
                for inner in objects(tool.get("tools")):
                    self._add(inner, string(tool.get("name")) or None, f"tools.{number}.tools")
            else:
                self._add(tool, None, f"tools.{number}")

    def tool(self, function: str) -> Tool:
        """What the caller knows a function of the engine as."""
        return self._by_function.get(function) or Tool(Kind.FUNCTION, function)

    def called(self, item: JSON) -> str:
        """What the engine knows the tool as that an item of the caller names."""
        return _function_name(string(item.get("name")), string(item.get("namespace")) or None)

    def choice(self, choice: object) -> object:
        """A chat `tool_choice`; None where the engine decides anyway."""
        if choice is None or choice in ("auto", "none", "required"):
            return choice
        if not isinstance(choice, dict):
            raise BadRequestError("tool_choice: must be auto, none, required or an object")
        kind = string(choice.get("type"))
        if kind in ("function", "custom"):
            return {"type": "function", "function": {"name": self.called(choice)}}
        if kind == "allowed_tools":
            return self._allow(choice)
        raise BadRequestError(
            f"tool_choice: no engine of this router has the tool {kind!r}",
            kind="unsupported_parameter",
        )

    def _allow(self, choice: JSON) -> str:
        """Offer only these tools: chat engines know no list of what may be called."""
        names = {self.called(tool) for tool in objects(choice.get("tools"))}
        self.functions = [tool for tool in self.functions if _name_of(tool) in names]
        return "required" if choice.get("mode") == "required" else "auto"

    def _add(self, tool: JSON, namespace: str | None, where: str) -> None:
        kind = string(tool.get("type"))
        name = string(tool.get("name"))
        if kind not in tuple(Kind):
            raise BadRequestError(
                f"{where}: tools of type {kind!r} are not supported", kind="unsupported_parameter"
            )
        if not name:
            raise BadRequestError(f"{where}.name: must be a non-empty string")
        function = _function_name(name, namespace)
        self._by_function[function] = Tool(Kind(kind), name, namespace)
        self.functions.append({"type": "function", "function": _function(tool, kind, function)})


def _function_name(name: str, namespace: str | None) -> str:
    if namespace is None:
        return name
    return _NOT_IN_NAMES.sub("_", f"{namespace}__{name}")[-_MAX_NAME:]


def _function(tool: JSON, kind: str, name: str) -> JSON:
    function: JSON = {"name": name}
    if kind == Kind.CUSTOM:
        text = string(tool.get("description"))
        shape = tool.get("format")
        if isinstance(shape, dict) and shape.get("type") == "grammar":
            syntax, grammar = string(shape.get("syntax")), string(shape.get("definition"))
            text = f"{text}\n\nThe input must match this {syntax} grammar:\n{grammar}".strip()
        if text:
            function["description"] = text
        function["parameters"] = _INPUT
        return function
    copy_present(tool, function, "description", "strict")
    function["parameters"] = tool.get("parameters") or {"type": "object", "properties": {}}
    return function


def _name_of(tool: JSON) -> object:
    function = tool.get("function")
    return function.get("name") if isinstance(function, dict) else None
