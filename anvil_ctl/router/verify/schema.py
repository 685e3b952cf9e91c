"""A part of JSON Schema: enough to prove that a value can't be what was asked for.

Keywords that are not known here allow everything, and so does what lies deeper than three levels.
"""

from __future__ import annotations

from anvil_ctl.router.dialects.call import JSON

_DEPTH = 3
_MOST_ITEMS = 20
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def fits(value: object, schema: JSON, depth: int = _DEPTH) -> bool:
    """False if the schema certainly does not allow the value."""
    if "$ref" in schema:
        return True
    if not _is_type(value, schema.get("type")):
        return False
    if "const" in schema and not _same(value, schema["const"]):
        return False
    among = schema.get("enum")
    if isinstance(among, list) and not any(_same(value, each) for each in among):
        return False
    if isinstance(value, dict):
        return _object_fits(value, schema, depth)
    items = schema.get("items")
    if isinstance(value, list) and isinstance(items, dict) and depth > 0:
        return all(fits(each, items, depth - 1) for each in value[:_MOST_ITEMS])
    return True


def _object_fits(value: JSON, schema: JSON, depth: int) -> bool:
    required = schema.get("required")
    if isinstance(required, list) and any(isinstance(k, str) and k not in value for k in required):
        return False
    properties = schema.get("properties")
    if not isinstance(properties, dict) or depth <= 0:
        return True
    return all(
        fits(value[name], inner, depth - 1)
        for name, inner in properties.items()
        if name in value and isinstance(inner, dict)
    )


def _is_type(value: object, wanted: object) -> bool:
    names = wanted if isinstance(wanted, list) else [wanted]
    known = [name for name in names if isinstance(name, str) and name in _TYPES]
    return not known or len(known) < len(names) or any(_is(value, name) for name in known)


def _is(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


def _same(left: object, right: object) -> bool:
    """Equal as JSON: 1 is 1.0 and is not true."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right
