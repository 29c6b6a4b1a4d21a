"""The agent's legal moves as one regular expression, and how a server is told to keep to it.

Any reply that matches is a legal move for `navigator.actions.parse_reply`. There is no
standard way to ask for this; each server has a field of its own, and says so in its OpenAPI
description.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

from edge_lvr1.models.base import Moves
from edge_lvr1.prompts import NOT_FOUND

Constraint: TypeAlias = Literal[
    "structured_outputs", "guided_regex", "guided_decoding", "regex", "response_format"
]
CONSTRAINTS: tuple[Constraint, ...] = get_args(Constraint)

_REQUEST: Mapping[Constraint, Callable[[str], dict[str, Any]]] = {
    "structured_outputs": lambda pattern: {"structured_outputs": {"regex": pattern}},  # vLLM
    "guided_regex": lambda pattern: {"guided_regex": pattern},  # vLLM before 0.12
    "guided_decoding": lambda pattern: {"guided_decoding": {"regex": pattern}},  # Edge-LLM
    "regex": lambda pattern: {"regex": pattern},  # SGLang
    "response_format": lambda pattern: {  # TensorRT-LLM
        "response_format": {"type": "regex", "regex": pattern}
    },
}

THOUGHT_CHARS = 1200
QUERY_CHARS = 200
ANSWER_CHARS = 400


def legal_regex(moves: Moves) -> str:
    """A regular expression that matches whole replies, each of them a legal move.

    Written with what every engine knows: no anchors, look-around or classes by name. The
    thought may be missing, since some servers take it out before they constrain.
    """
    acts = [f"<answer>{_answer(moves.letters)}</answer>"]
    if not moves.must_answer:
        acts.append(f"<tool>({_calls(moves)})</tool>")
    return f"(<think>[^<]{{1,{THOUGHT_CHARS}}}</think>\n)?({'|'.join(acts)})"


def constrain(constraint: Constraint, pattern: str) -> dict[str, Any]:
    """The field of a request body that asks for replies that match."""
    return _REQUEST[constraint](pattern)


def constraint_of(schema: Mapping[str, Any]) -> Constraint | None:
    """How the server behind an OpenAPI description takes regular expressions; None: not at all."""
    known = _request_fields(schema)
    for name in CONSTRAINTS[:-1]:
        if name in known:
            return name
    format_field = known.get("response_format")
    if format_field is not None and '"regex"' in _json_of(format_field, schema):
        return "response_format"
    return None


def _calls(moves: Moves) -> str:
    index = "|".join(map(str, range(1, moves.width + 1)))
    query = rf'[^"<>\s][^"<>\n]{{0,{QUERY_CHARS - 1}}}'
    calls = [rf"get_caption\(\(({index}),({index})(,({index}))?\)\)"]
    leaves = [re.escape(str(node)) for node in sorted(moves.opened) if len(node.path) == 3]
    looks = [name for name in ("video_qa", "count_objects") if name in moves.tools]
    if leaves and looks:
        calls.append(rf'({"|".join(looks)})\(({"|".join(leaves)}), "{query}"\)')
    if "search_captions" in moves.tools:
        calls.append(rf'search_captions\("{query}"\)')
    if "list_recordings" in moves.tools:
        calls.append(rf'list_recordings\(("{query}")?\)')
    return "|".join(calls)


def _answer(letters: str) -> str:
    if not letters:
        return rf"[^<\s][^<]{{0,{ANSWER_CHARS - 1}}}"
    more = rf"(: [^<\s][^<]{{0,{ANSWER_CHARS - 1}}})?"
    return f"(({'|'.join(letters)}){more}|{NOT_FOUND}{more})"


def _request_fields(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a chat request, by name."""
    paths = schema.get("paths")
    for path, methods in paths.items() if isinstance(paths, dict) else ():
        if str(path).endswith("/chat/completions"):
            body = _dig(methods, "post", "requestBody", "content", "application/json", "schema")
            fields = _dig(_resolve(body, schema), "properties")
            return fields if isinstance(fields, dict) else {}
    return {}


def _json_of(field: object, schema: Mapping[str, Any], depth: int = 6) -> str:
    """A field's description as text, with what it refers to."""
    if depth == 0:
        return ""
    field = _resolve(field, schema)
    if isinstance(field, dict):
        return " ".join(_json_of(value, schema, depth - 1) for value in field.values())
    if isinstance(field, list):
        return " ".join(_json_of(value, schema, depth) for value in field)
    return f'"{field}"'


def _resolve(field: object, schema: Mapping[str, Any]) -> object:
    reference = _dig(field, "$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        return _dig(schema, *reference[2:].split("/"))
    return field


def _dig(data: object, *keys: str) -> object:
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data
