"""Pointing an agent that is lost to captions that an index knows.

An agent repeats itself, breaks the rules, opens one look-alike after the other, or answers
without having read what bears the answer out. What it is told then is drawn from the index
of the tree that it walks, and nothing is decided for it. An index that knows nothing better
gives no hint.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_lvr1 import prompts
from edge_lvr1.domain import Action, GetCaption, Invalid, Level, VideoQa
from edge_lvr1.models.base import Finder, Found
from edge_lvr1.navigator.actions import is_not_found
from edge_lvr1.navigator.evidence import cited
from edge_lvr1.navigator.walk import Walk
from edge_lvr1.navigator.words import mentioned, telling
from edge_lvr1.prompts import option_texts

MOST_HINTS = 4
"""Hints in one conversation; an agent that heeds none of them will not heed a fifth."""
_NAMED = 3
_LEADS = 6
"""What an index finds best: an agent that is on its way to one of these is not lost."""
_LOOKED_FOR = 40
_WORTH = 0.5
"""Of the best score: what an index finds below that is hardly about the question."""
_BROKEN_RULES = 2


@dataclass(slots=True)
class Hints:
    """What one conversation was told, and how long it has brought nothing new.

    Without a finder there are none.
    """

    finder: Finder | None
    dry_rounds: int
    given: int = 0
    dry: int = 0
    broken: int = 0
    asked_back: bool = False
    _found: list[Found] | None = field(default=None)

    def after(self, walk: Walk, action: Action, *, repeated: bool) -> str:
        """The hint after a round that was no answer; "" where none is due."""
        if self.finder is None:
            return ""
        self.broken = self.broken + 1 if isinstance(action, Invalid) else 0
        self.dry = 0 if not repeated and self._is_news(walk, action) else self.dry + 1
        due = repeated or self.broken >= _BROKEN_RULES or self.dry >= self.dry_rounds
        if not due:
            return ""
        return self._give(walk, self._unread(walk))

    def on_answer(self, walk: Walk, answer: str) -> str:
        """The hint that an answer is given back with; "" where it stands. Once at most."""
        if self.finder is None or self.asked_back:
            return ""
        unread = self._unread(walk)
        if is_not_found(answer):
            words = telling(walk.asked)
            unread = [one for one in unread if words and _mentions_all(one, words)]
            hint = self._give(walk, unread, prompts.NOT_ALL_READ)
        elif not walk.opened and not _rests_on_something(walk, answer):
            hint = self._give(walk, unread, prompts.NOTHING_READ)
        else:
            return ""
        self.asked_back = bool(hint)
        return hint

    def _is_news(self, walk: Walk, action: Action) -> bool:
        """Whether a round went where the index says that something is, or on the way there."""
        if not isinstance(action, GetCaption | VideoQa):
            return False
        path = action.node.path
        return any(
            found.node.path[: len(path)] == path or path[: len(found.node.path)] == found.node.path
            for found in self._worth(walk)[:_LEADS]
            if found.node.level is not Level.HIGH
        )

    def _unread(self, walk: Walk) -> list[Found]:
        """What the index finds that the agent has not read, best first, leaves before parents.

        A parent is left out where something below it is named.
        """
        found = [
            one
            for one in self._worth(walk)
            if one.node not in walk.seen and one.node.level is not Level.HIGH
        ]
        below = {one.node.parent for one in found}
        return [one for one in found if one.node not in below]

    def _worth(self, walk: Walk) -> list[Found]:
        if self._found is None:
            assert self.finder is not None
            texts = [walk.asked, *option_texts(walk.question.options)]
            found = self.finder.find(texts, _LOOKED_FOR)
            best = max((one.score for one in found), default=0.0)
            known = (one for one in found if walk.view.plan.node(one.node) is not None)
            self._found = [one for one in known if one.score >= _WORTH * best]
        return self._found

    def _give(self, walk: Walk, unread: list[Found], why: str = "") -> str:
        if not unread or self.given >= MOST_HINTS:
            return ""
        self.given += 1
        self.dry = self.broken = 0
        named = unread[:_NAMED]
        words = telling(" ".join((walk.asked, *option_texts(walk.question.options))))
        captions = " ".join(one.caption or "" for one in named)
        return prompts.hint(mentioned(words, captions), [one.node for one in named], why)


def _rests_on_something(walk: Walk, answer: str) -> bool:
    """Whether an answer or the thought before it names a caption, if only as "(2)"."""
    said = f"{answer} {walk.thought}"
    highs = {str(node) for node in walk.seen if node.level is Level.HIGH}
    return bool(cited(said, walk.seen)) or any(high in said for high in highs)


def _mentions_all(found: Found, words: list[str]) -> bool:
    return mentioned(words, found.caption or "") == words
