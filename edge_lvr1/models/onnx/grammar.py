"""The agent's legal moves as a grammar that decoding is held to.

Written in the Lark form that llguidance reads. Whatever a model writes within it is read as
a legal move by the navigator: node numbers within the tree's width, captions of medium and
low nodes only, a look only at a leaf that was opened, none but the tools that the agent
knows, only an answer where one is due, and an answer that begins with an option's letter
where there are options. Free text holds no "<", so that no tag can stand in it.
"""

from __future__ import annotations

from edge_lvr1.domain import Level
from edge_lvr1.models.base import Moves
from edge_lvr1.prompts import NOT_FOUND

KIND = "lark_grammar"
"""What onnxruntime-genai calls this form of grammar."""

_LOOKS = ("video_qa", "count_objects")
THINK, END_THINK = "<think>", "</think>"
ENDS = ("</tool>", "</answer>")
"""A reply is over when one of these is written."""

# Blank to Python, to Rust or to neither: text must begin with something that can be seen.
_BLANK = r"\s\x00-\x20\x7f-\xa0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"


def reply_grammar(moves: Moves, text_chars: int) -> str:
    """A whole reply: a thought, then one move. Texts in the move are at most that long.

    The thought has no bound of its own here: the session closes it when its tokens are spent,
    and goes on with `move_grammar`.
    """
    return "\n".join(
        [
            f'start: "{THINK}" THOUGHT "{END_THINK}" GAP move',
            r"THOUGHT: /[^<]+/",
            r"GAP: /\n{0,2}/",
            *_move_rules(moves, text_chars),
        ]
    )


def move_grammar(moves: Moves, text_chars: int) -> str:
    """One move, for when the thought is written."""
    return "\n".join(["start: move", *_move_rules(moves, text_chars)])


def _move_rules(moves: Moves, text_chars: int) -> list[str]:
    answer = [
        'answer: "<answer>" ANSWER "</answer>"',
        f"ANSWER: {_answer(moves.letters, text_chars)}",
    ]
    if moves.must_answer:
        return ["move: answer", *answer]
    query = f'QUERY: /[^<"\\\\{_BLANK}][^<"\\\\\\r\\n]{{0,{text_chars}}}/'
    leaves = sorted(
        node for node in moves.opened if node.level is Level.LOW and node.fits(moves.width)
    )
    calls = {"caption": 'caption: "get_caption((" ID "," ID ("," ID)? "))"'}
    looks = [f'"{name}("' for name in _LOOKS if name in moves.tools]
    if leaves and looks:
        calls["look"] = f'look: ({" | ".join(looks)}) LEAF ", \\"" QUERY "\\")"'
    if "search_captions" in moves.tools:
        calls["search"] = 'search: "search_captions(\\"" QUERY "\\")"'
    if "list_recordings" in moves.tools:
        calls["list"] = 'list: "list_recordings(" ("\\"" QUERY "\\"")? ")"'
    return [
        "move: tool | answer",
        f'tool: "<tool>" ({" | ".join(calls)}) "</tool>"',
        *calls.values(),
        "ID: " + " | ".join(f'"{number}"' for number in range(1, moves.width + 1)),
        *(["LEAF: " + " | ".join(f'"{leaf}"' for leaf in leaves)] if "look" in calls else ()),
        *([query] if len(calls) > 1 else ()),
        *answer,
    ]


def _answer(letters: str, text_chars: int) -> str:
    """Free text; or with options a letter or "not found", and more after a mark."""
    text = rf"[^<{_BLANK}][^<]{{0,{text_chars}}}"
    if not letters:
        return f"/{text}/"
    return rf"/([{letters}]|{NOT_FOUND})([.:] {text})?/"
