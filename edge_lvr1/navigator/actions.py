"""What an agent's reply means: text in, thought and action out.

Reading is total. A model writes whatever it writes; anything that is not a legal move
becomes `Invalid` with a sentence that tells the model what to do instead, and nothing here
raises. Which recording the move is about, and whether the tree has such a node, this module
does not know: it checks against `Moves` only.
"""

from __future__ import annotations

import re

from edge_lvr1.domain import (
    Action,
    CountObjects,
    FinalAnswer,
    GetCaption,
    Invalid,
    Level,
    ListRecordings,
    NodeId,
    SearchCaptions,
    VideoQa,
)
from edge_lvr1.models.base import MORE_TOOLS, TWO_TOOLS, Moves
from edge_lvr1.prompts import NOT_FOUND

_TAG = re.compile(r"<\s*(?P<close>/?)\s*(?P<name>think|tool|answer|information)\s*>", re.I)
_CALL = re.compile(rf"(?P<name>{'|'.join(sorted(TWO_TOOLS | MORE_TOOLS))})\s*\(", re.I)
_IDS_IN_BRACKETS = re.compile(
    r"\s*(?:\w+\s*=\s*)?[(\[]\s*(?P<ids>[0-9]+(?:\s*,\s*[0-9]+)*)\s*,?\s*[)\]]"
)
_IDS_BARE = re.compile(r"\s*(?:\w+\s*=\s*)?(?P<ids>[0-9]+(?:\s*,\s*[0-9]+){0,2})(?=\s*[,)\]]|\s*$)")
_QUERY_NAME = re.compile(r"\s*,?\s*(?:(?:query|question|words|camera|what)\s*=\s*)?", re.I)
# Straight and typographic, as models write them: double, single, guillemets, low
_OPENING_QUOTES = "\"'\u201c\u2018\u00ab\u201e`\u201d\u2019"
_CLOSING_QUOTES = "\"'\u201d\u2019\u00bb\u201c`\u2018"
_QUOTED_CALL = re.compile(rf"[{_OPENING_QUOTES}](?P<query>.*)[{_CLOSING_QUOTES}]\s*\)", re.S)
_MOST_DIGITS = 6  # longer numbers name no node, and need not be converted

_OPTION = re.compile(
    r"[\s\"'\u201c\u2018*_#]*(?:(?:the\s+)?(?:correct\s+|best\s+|right\s+|final\s+|my\s+)?"
    r"(?P<word>answer|option|choice)(?:\s+is|\s*:)?\s*(?:option\s+)?)?"
    r"(?P<open>[(\[\"'*]*)(?P<letter>[A-Za-z])(?P<close>[)\]\"'*]*)"
    r"(?P<after>\s*[.:,;)\u2013\u2014-](?=\s|$)|\s*$|\s*\n|\s+(?=\()|\s+|(?=[.:]))",
    re.I,
)

HOW_TO_REPLY = (
    "Think inside <think>...</think>, then write one <tool>...</tool> or one <answer>...</answer>."
)


def parse_reply(reply: str, moves: Moves) -> tuple[str, Action]:
    """The thought and the action of a reply; never raises, whatever the text."""
    thought, rest, closed = _split_thought(reply)
    if not closed:
        return thought, Invalid(f"Your <think> was not closed with </think>. {HOW_TO_REPLY}")
    found = _first_block(rest)
    if found is None:
        return thought, Invalid(f"There was no call and no answer after </think>. {HOW_TO_REPLY}")
    name, content = found
    if name == "answer":
        return thought, _read_answer(content, moves)
    if moves.must_answer:
        return thought, Invalid("This is the last round: reply with <answer>...</answer> only.")
    return thought, _read_call(content, moves)


def is_not_found(text: str) -> bool:
    """Whether an answer says that the footage does not show what was asked."""
    return re.match(rf"\W*{NOT_FOUND}\b", text, re.I) is not None


def option_of(text: str, letters: str) -> tuple[str, str] | None:
    """The option that an answer begins with and the words after it; None where it names none.

    An answer that begins with a word that is a letter ("A red car") names no option.
    """
    match = _OPTION.match(text)
    if match is None or match["letter"].upper() not in letters:
        return None
    if not (match["open"] or match["close"]) and _runs_on(match, text):
        article = match["letter"] in "AI" and not match["word"]
        if article or match["letter"].islower():
            return None
    return match["letter"].upper(), text[match.end() :].strip()


def _runs_on(match: re.Match[str], text: str) -> bool:
    """Whether only a space parts the letter from words on its line, as in "A red car"."""
    parted_by_space = match["after"].isspace() and "\n" not in match["after"]
    return parted_by_space and match.end() < len(text) and text[match.end()] != "("


def _split_thought(reply: str) -> tuple[str, str, bool]:
    """Thought, what stands outside it, and whether the thought was closed.

    A template may have opened <think> before the reply began, so a closing tag alone ends
    the thought. What stands in later thoughts is no call either.
    """
    tags = [match for match in _TAG.finditer(reply) if match["name"].lower() == "think"]
    first_close = next((tag for tag in tags if tag["close"]), None)
    first_open = next((tag for tag in tags if not tag["close"]), None)
    if first_close is None:
        if first_open is None:
            return "", reply, True
        return reply[first_open.end() :].strip(), reply[: first_open.start()], False
    begin = first_open.end() if first_open and first_open.end() <= first_close.start() else 0
    thought = reply[begin : first_close.start()].strip()
    outside, at, inside = [], first_close.end(), False
    for tag in tags:
        if tag.start() < first_close.end():
            continue
        if not tag["close"] and not inside:
            outside.append(reply[at : tag.start()])
            inside = True
        elif tag["close"] and inside:
            at, inside = tag.end(), False
    if not inside:
        outside.append(reply[at:])
    return thought, "\n".join(outside), True


def _first_block(text: str) -> tuple[str, str] | None:
    """Name and content of the first <tool> or <answer>, up to the next tag or the end."""
    tags = list(_TAG.finditer(text))
    for index, tag in enumerate(tags):
        name = tag["name"].lower()
        if name in ("tool", "answer") and not tag["close"]:
            end = tags[index + 1].start() if index + 1 < len(tags) else len(text)
            return name, text[tag.end() : end].strip()
    return None


def _read_answer(content: str, moves: Moves) -> Action:
    if not content:
        return Invalid("The answer was empty: write what you found between the <answer> tags.")
    if not moves.letters or is_not_found(content):
        return FinalAnswer(content)
    option = option_of(content, moves.letters)
    if option is None:
        return Invalid(
            f"Begin the answer with the letter of one option ({', '.join(moves.letters)}), "
            f'or with "{NOT_FOUND}" if the video does not show it.'
        )
    letter, words = option
    return FinalAnswer(f"{letter}: {words}" if words else letter)


def _read_call(content: str, moves: Moves) -> Action:
    call = next((c for c in _CALL.finditer(content) if c["name"].lower() in moves.tools), None)
    if call is None:
        return Invalid(_not_understood(moves.tools))
    name, arguments = call["name"].lower(), content[call.end() :]
    if name == "search_captions":
        words = _read_query(arguments)
        return SearchCaptions(words) if words else Invalid(f"Write {_FORMS[name]}.")
    if name == "list_recordings":
        return ListRecordings(_read_query(arguments))
    ids = _IDS_IN_BRACKETS.match(arguments) or _IDS_BARE.match(arguments)
    node = _node(ids["ids"]) if ids else None
    if ids is None or node is None or not node.fits(moves.width):
        return Invalid(_no_such_node(ids["ids"] if ids else None, moves.width))
    if name == "get_caption":
        return _get_caption(node)
    return _look(name, node, _read_query(arguments[ids.end() :]), moves)


_FORMS = {
    "get_caption": "get_caption((h,m)), get_caption((h,m,l))",
    "video_qa": 'video_qa((h,m,l), "query")',
    "search_captions": 'search_captions("words")',
    "list_recordings": "list_recordings()",
    "count_objects": 'count_objects((h,m,l), "person")',
}


def _not_understood(tools: frozenset[str]) -> str:
    forms = [form for name, form in _FORMS.items() if name in tools]
    return f"The tool call was not understood: write {', '.join(forms[:-1])} or {forms[-1]}."


def _node(ids: str) -> NodeId | None:
    numbers = [number.strip() for number in ids.split(",")]
    if len(numbers) > 3 or any(len(number) > _MOST_DIGITS for number in numbers):
        return None
    try:
        return NodeId(tuple(map(int, numbers)))
    except ValueError:
        return None


def _no_such_node(ids: str | None, width: int) -> str:
    if ids is None:
        return (
            "The call names no node: write the node as numbers in brackets, like "
            "get_caption((1,2)) or get_caption((1,2,1))."
        )
    return (
        f"There is no node ({ids[:40]}): a node is (h,m) or (h,m,l), each number from 1 to {width}."
    )


def _get_caption(node: NodeId) -> Action:
    if node.level is Level.HIGH:
        return Invalid(
            f"The caption of {node} is high-level and was given with the question: "
            f"open one below it, like get_caption({node.child(1)})."
        )
    return GetCaption(node)


def _look(name: str, node: NodeId, query: str, moves: Moves) -> Action:
    """A look at a leaf: video_qa with its query, or count_objects with what is counted."""
    if node.level is not Level.LOW:
        return Invalid(
            f"{name} looks at low-level nodes only, and {node} is not one: "
            f"open a low-level caption below it first."
        )
    if node not in moves.opened:
        return Invalid(f"Open the caption of {node} first with get_caption({node}).")
    if not query:
        what = "your query" if name == "video_qa" else "person"
        return Invalid(f'The query was empty: write {name}({node}, "{what}").')
    return VideoQa(node, query) if name == "video_qa" else CountObjects(node, query)


def _read_query(rest: str) -> str:
    """The query of a call, quoted in any manner or not at all."""
    named = _QUERY_NAME.match(rest)
    rest = rest[named.end() if named else 0 :].strip()
    quoted = _QUOTED_CALL.match(rest)
    if quoted:
        return quoted["query"].strip()
    if rest.endswith(")") and rest.count(")") > rest.count("("):
        rest = rest[:-1].rstrip()
    if len(rest) > 1 and rest[0] in _OPENING_QUOTES and rest[-1] in _CLOSING_QUOTES:
        rest = rest[1:-1]
    return rest.strip().strip('"\u201c\u201d\u201e\u00ab\u00bb').strip()
