"""The embedded agent: retrieval over the tree, no language model, nothing to download.

It reads the same conversation as a language model would and replies in the same tags, with
its reasons in plain words. Question -> what is known -> decision are pure functions of the
messages, so it keeps no state and any conversation can be continued. It understands
questions about what the embedded captioner tells (presence, counts, times, colours,
directions, light); of other captions it only matches words.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_lvr1.domain import FinalAnswer, GetCaption, VideoQa
from edge_lvr1.models.base import AgentSession, Cancel, Finder, Found, Message, Moves, never
from edge_lvr1.models.embedded.retrieval.answers import time_alone
from edge_lvr1.models.embedded.retrieval.asked import Asked
from edge_lvr1.models.embedded.retrieval.dialogue import Dialogue, read_dialogue
from edge_lvr1.models.embedded.retrieval.evidence import found_text_speaks, tracked
from edge_lvr1.models.embedded.retrieval.free import decide_free
from edge_lvr1.models.embedded.retrieval.grid import Grid
from edge_lvr1.models.embedded.retrieval.guided import decide_guided
from edge_lvr1.models.embedded.retrieval.question import understand
from edge_lvr1.models.embedded.retrieval.tracked import Move, decide_tracked
from edge_lvr1.models.embedded.retrieval.weighing import Weights, evenly, weigh
from edge_lvr1.prompts import NOT_FOUND


class EmbeddedAgent:
    """An agent that weighs words and counts, without a language model."""

    name = "embedded"

    def open(self, finder: Finder | None = None) -> AgentSession:
        """Begin a conversation; with an index of its tree, captions are found by that."""
        return _Session(None if finder is None else _Remembering(finder))


class _Session:
    def __init__(self, finder: Finder | None) -> None:
        self._finder = finder

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        """The next reply; takes milliseconds, so the deadline is never in question."""
        return write_reply(decide(messages, moves, self._finder))

    def close(self) -> None:
        """Nothing to free."""


class _Remembering:
    """A finder that looks for the same texts once in a conversation."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._found: dict[tuple[tuple[str, ...], int], list[Found]] = {}

    def find(self, texts: Sequence[str], limit: int) -> list[Found]:
        """What the finder found."""
        asked = (tuple(texts), limit)
        if asked not in self._found:
            self._found[asked] = self._finder.find(texts, limit)
        return self._found[asked]


def decide(messages: Sequence[Message], moves: Moves, finder: Finder | None = None) -> Move:
    """The next move in a conversation. Raises what the finder raises."""
    dialogue = read_dialogue(messages)
    if moves.letters and not dialogue.options:
        unread = FinalAnswer(f"{NOT_FOUND}: the options of the question could not be read.")
        return Move("There are letters, but I see no options.", unread)
    asked = understand(dialogue.question, dialogue.duration_s)
    beyond = (*asked.unknown, *asked.places) if asked.unknown else ()
    spoken = found_text_speaks(dialogue, beyond)  # subtitles: words, and no tracks
    if tracked(dialogue) and not spoken:
        return decide_tracked(dialogue, asked, moves)
    weights = _weights(dialogue, asked, moves, finder) if finder is not None else None
    if weights is None:
        return decide_free(dialogue, asked, moves)
    return decide_guided(dialogue, asked, moves, weights)


def _weights(dialogue: Dialogue, asked: Asked, moves: Moves, finder: Finder) -> Weights | None:
    grid = Grid(dialogue, moves.width)
    question, options = dialogue.question, dialogue.options
    if time_alone(asked) and asked.window is not None and not options:
        return evenly(grid, asked.window)
    return weigh(finder, question, options, grid, asked.window, vague=asked.vague)


def write_reply(move: Move) -> str:
    """A move in the protocol's tags. Words from captions and questions cannot become tags."""
    thought = _no_tags(move.thought)
    action = move.action
    if isinstance(action, GetCaption):
        act = f"<tool>get_caption({action.node})</tool>"
    elif isinstance(action, VideoQa):
        query = _no_tags(action.query).replace('"', "'")
        act = f'<tool>video_qa({action.node}, "{query}")</tool>'
    else:
        act = f"<answer>{_no_tags(action.text)}</answer>"
    return f"<think>{thought}</think>\n{act}"


def _no_tags(text: str) -> str:
    return text.replace("<", "\u2039").replace(">", "\u203a")
