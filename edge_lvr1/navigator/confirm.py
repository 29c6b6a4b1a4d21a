"""An answer's evidence put to a second look: does the clip show it?

The look is the captioner's `video_qa`, whatever backend that is. What it says is read with
care: a plain yes or no counts, and of other words only that what was asked about is named,
or that nothing is seen. All else is unclear.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from edge_lvr1 import prompts
from edge_lvr1.domain import Confirmation, Level, NodeId
from edge_lvr1.errors import Cancelled, EdgeLvr1Error
from edge_lvr1.navigator.evidence import cited_or_opened
from edge_lvr1.navigator.walk import Walk
from edge_lvr1.navigator.words import mentioned, telling

log = logging.getLogger(__name__)

MOST_LOOKS = 3
_YES = re.compile(r"\W*(?:yes|yeah|correct|it does|it is|this clip shows|the clip shows)\b", re.I)
_NO = re.compile(
    r"\W*(?:no\W*$|no,|no\.|not\b|nope|it does not|it is not|this clip does not|"
    r"the clip does not|this clip doesn't|the clip doesn't)",
    re.I,
)
_NOTHING = re.compile(
    r"\b(?:no|none|nothing|nobody|not|neither|cannot|can't|doesn't|isn't|without)\b", re.I
)
_CANNOT = re.compile(r"\b(?:cannot|can't|unable|unclear|hard to|not sure|unsure)\b", re.I)
_SENTENCE = re.compile(r"[^.!?;\n]+(?:\.(?=\d)[^.!?;\n]+)*")
_IDS = re.compile(r"\(\s*\d+\s*(?:,\s*\d+\s*){0,2}\)")


def confirm(walk: Walk, answer: str) -> tuple[Confirmation, list[tuple[NodeId, str]]]:
    """What looks at the evidence of an answer come to, and what each said."""
    claim = " ".join(_IDS.sub("", answer).split())
    query = prompts.confirm_query(walk.asked, claim)
    words = telling(walk.asked)
    said, judged = [], []
    for leaf in leaves_of(walk, answer):
        try:
            text = walk.view.video_qa(leaf, query)
        except Cancelled:
            raise
        except EdgeLvr1Error as error:
            log.warning("recording %d: no look at %s: %s", walk.view.recording.id, leaf, error)
            judged.append(Confirmation.UNCLEAR)
            continue
        said.append((leaf, text))
        judged.append(judge(text, words))
    return _all_in_all(judged), said


def leaves_of(walk: Walk, answer: str) -> list[NodeId]:
    """The leaves of an answer's evidence, a few: those below a wider node where it names one."""
    nodes = cited_or_opened(walk, answer)
    leaves = [node for node in nodes if node.level is Level.LOW]
    for wide in (node for node in nodes if node.level is not Level.LOW):
        below = [n.id for n in walk.view.plan.at(Level.LOW) if _is_below(n.id, wide)]
        opened = [node for node in below if node in walk.seen]
        leaves += opened or below[:: max(1, len(below) // MOST_LOOKS)]
    return list(dict.fromkeys(leaves))[:MOST_LOOKS]


def judge(said: str, words: Sequence[str]) -> Confirmation:
    """What one look's words say of things that are named by `words`."""
    if _YES.match(said):
        return Confirmation.CONFIRMED
    if _NO.match(said):
        return Confirmation.NOT_CONFIRMED
    sentences = _SENTENCE.findall(said)
    affirmed = [mentioned(words, one) for one in sentences if not _NOTHING.search(one)]
    # In one sentence: a red bag and a black car are no red car.
    if words and list(words) in affirmed:
        return Confirmation.CONFIRMED
    denied = [one for one in sentences if _NOTHING.search(one) and not _CANNOT.search(one)]
    if denied and not any(affirmed):
        return Confirmation.NOT_CONFIRMED
    return Confirmation.UNCLEAR


def _is_below(leaf: NodeId, wide: NodeId) -> bool:
    return leaf.path[: len(wide.path)] == wide.path


def _all_in_all(judged: Sequence[Confirmation]) -> Confirmation:
    if Confirmation.CONFIRMED in judged:
        return Confirmation.CONFIRMED
    if judged and set(judged) == {Confirmation.NOT_CONFIRMED}:
        return Confirmation.NOT_CONFIRMED
    return Confirmation.UNCLEAR
