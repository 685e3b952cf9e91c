"""Content as blocks: what both translations of a request need."""

from __future__ import annotations

from anvil_ctl.router.dialects.call import JSON


def objects(value: object) -> list[JSON]:
    """The objects of a list; whatever else is in it is skipped."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(content: object, joint: str = "") -> str:
    """The text of a string or of a list of blocks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [item if isinstance(item, str) else _block_text(item) for item in content]
    return joint.join(part for part in parts if part)


def string(value: object) -> str:
    """A string, or "" for anything else."""
    return value if isinstance(value, str) else ""


def number(value: object) -> float | int | None:
    """A number, or None for anything else."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def copy_present(source: JSON, target: JSON, *keys: str) -> None:
    """Carry over the keys that the caller set."""
    for key in keys:
        if source.get(key) is not None:
            target[key] = source[key]


def _block_text(item: object) -> str:
    if not isinstance(item, dict):
        return ""
    match item.get("type"):
        case "tool_reference":
            return reference_text(item)
        case "document":
            return document_text(item)
        case "search_result":
            return text_of(item.get("content"), "\n")
    return string(item.get("text"))


def document_text(document: JSON) -> str:
    """The text of Anthropic's `document`; where it is none, that there is something unread."""
    source = document.get("source")
    found = source if isinstance(source, dict) else {}
    title = string(document.get("title"))
    text = string(found.get("data")) if found.get("type") == "text" else ""
    text = text or text_of(found.get("content"), "\n")
    if not text:
        kind = string(found.get("media_type")) or "file"
        text = f"[A document that this model cannot read: {kind}]"
    return f"{title}\n{text}" if title else text


def reference_text(reference: JSON) -> str:
    """What Anthropic's `tool_reference` tells the model: the tool itself stands elsewhere."""
    return f"The tool {string(reference.get('tool_name'))} can be called now."
