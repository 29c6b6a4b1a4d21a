"""One recording's part of a question: what was seen there, and what a call brings back.

A walk keeps the conversation and the captions it has shown. It enforces what `Moves` cannot
say (a node the plan does not have) and points out repeats. Budgets are the loop's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from edge_lvr1 import prompts
from edge_lvr1.domain import (
    Action,
    Caption,
    CountObjects,
    GetCaption,
    Invalid,
    Level,
    ListRecordings,
    NodeId,
    Question,
    Recording,
    SearchCaptions,
    VideoQa,
)
from edge_lvr1.errors import Cancelled, EdgeLvr1Error
from edge_lvr1.models.base import TWO_TOOLS, Finder, Moves
from edge_lvr1.navigator.conversation import (
    Conversation,
    caption_observation,
    information_observation,
    refusal_observation,
)
from edge_lvr1.navigator.view import TreeView

log = logging.getLogger(__name__)

_MOST_FOUND = 8  # nodes that search_captions names
_MOST_LISTED = 20  # recordings that list_recordings names


class Walk:
    """The state of a walk over one recording.

    `finder` and `recordings` (those in scope) serve agents whose `tools` ask for them.
    """

    def __init__(
        self,
        question: Question,
        view: TreeView,
        *,
        tools: frozenset[str] = TWO_TOOLS,
        finder: Finder | None = None,
        recordings: Sequence[Recording] = (),
    ) -> None:
        self.question = question
        self.view = view
        self.tools = tools
        self.finder = finder
        self.recordings = recordings
        self.conversation = Conversation(())
        self.seen: dict[NodeId, Caption] = {}
        self.opened: list[NodeId] = []
        self.looks: set[tuple[NodeId, str]] = set()
        self.lookups: set[Action] = set()
        self.thought = ""

    @property
    def asked(self) -> str:
        """What the agent is asked."""
        return self.question.text

    def begin(self, *, last: bool, learnt: Sequence[str] = ()) -> None:
        """Show the question and the high captions. Raises what the view raises.

        `learnt` is what the agent is told of other recordings.
        """
        highs = [self.view.caption(node.id) for node in self.view.plan.at(Level.HIGH)]
        self.seen.update((caption.node, caption) for caption in highs)
        self.conversation = Conversation.begin(
            self.question,
            self.view.plan.duration_s,
            highs,
            last=last,
            tools=self.tools,
            learnt=learnt,
        )

    def moves(self, *, last: bool) -> Moves:
        """What the agent may do next."""
        return Moves(
            width=self.view.plan.width,
            opened=frozenset(self.opened),
            letters=self.question.letters,
            must_answer=last,
            tools=self.tools,
        )

    def checked(self, action: Action) -> Action:
        """The action, or Invalid where it names a node that this tree does not have."""
        if isinstance(action, GetCaption) and self.view.plan.node(action.node) is None:
            return Invalid(f"This video has no node {action.node}: open another.")
        return action

    def observe(self, action: Action, *, last: bool) -> tuple[str, bool]:
        """What comes back from an action, and whether it was a repeat. Raises Cancelled."""
        if isinstance(action, GetCaption):
            return self._open(action.node, last=last)
        if isinstance(action, VideoQa):
            return self._look(action, last=last)
        if isinstance(action, CountObjects):
            return self._look(VideoQa(action.node, prompts.count_query(action.what)), last=last)
        if isinstance(action, SearchCaptions | ListRecordings):
            return self._look_up(action, last=last)
        if isinstance(action, Invalid):
            return refusal_observation(action.reason, last=last), False
        return "", False

    def take(self, reply: str, thought: str, observation: str) -> None:
        """Put a round into the conversation; nothing comes back from an answer that stands."""
        self.thought = thought or self.thought
        self.conversation = self.conversation.replied(reply)
        if observation:
            self.conversation = self.conversation.told(observation)

    def _open(self, node: NodeId, *, last: bool) -> tuple[str, bool]:
        if node in self.opened:
            return information_observation(prompts.OPENED_BEFORE, last=last), True
        try:
            caption = self.view.caption(node)
        except Cancelled:
            raise
        except EdgeLvr1Error as error:
            log.warning("recording %d: no caption of %s: %s", self.view.recording.id, node, error)
            text = f"The caption of {node} cannot be had: {error}. Open another node, or answer."
            return information_observation(text, last=last), False
        self.opened.append(node)
        self.seen[node] = caption
        return caption_observation(caption, last=last), False

    def _look(self, action: VideoQa, *, last: bool) -> tuple[str, bool]:
        look = (action.node, _plain(action.query))
        if look in self.looks:
            return information_observation(prompts.ASKED_BEFORE, last=last), True
        self.looks.add(look)
        try:
            said = self.view.video_qa(action.node, action.query)
        except Cancelled:
            raise
        except EdgeLvr1Error as error:
            log.warning(
                "recording %d: no look at %s: %s", self.view.recording.id, action.node, error
            )
            said = f"The clip of {action.node} {prompts.NO_LOOK}: {error}. Go on without."
        return information_observation(said, last=last), False

    def _look_up(self, action: SearchCaptions | ListRecordings, *, last: bool) -> tuple[str, bool]:
        repeated = action in self.lookups
        self.lookups.add(action)
        if isinstance(action, SearchCaptions):
            text = self._search(action.words)
        else:
            kept = [r for r in self.recordings if action.camera in ("", r.camera)]
            here = self.view.recording.id
            text = prompts.listed_recordings(kept[:_MOST_LISTED], len(kept), here)
        return information_observation(text, last=last), repeated

    def _search(self, words: str) -> str:
        found = self.finder.find([words], _MOST_FOUND) if self.finder is not None else []
        nodes = [node for one in found if (node := self.view.plan.node(one.node)) is not None]
        return prompts.found_captions(words, [(node.id, node.span) for node in nodes])


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
