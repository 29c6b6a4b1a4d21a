"""One question, from the recordings in its scope to an answer. Knows no queue and no thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from edge_lvr1.daemon.views import StoredTree
from edge_lvr1.domain import Answer, Question, Recording, Scope, Step, Verdict
from edge_lvr1.media.decoder import Decoder
from edge_lvr1.models.base import Agent
from edge_lvr1.navigator.loop import navigate
from edge_lvr1.navigator.scope import rank
from edge_lvr1.prompts import NOT_FOUND
from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import IngestQueue, JobState
from edge_lvr1.store.search import search
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.build import Builder

_HITS = 50  # enough captions to tell the recordings apart
_NAMED_FILES = 5


@dataclass(frozen=True, slots=True)
class Answering:
    """What answering needs. `clock` runs like time.monotonic."""

    archive: Archive
    trees: Trees
    jobs: IngestQueue
    builder: Builder
    agent: Agent
    decoder: Decoder
    clock: Callable[[], float]

    def answer(
        self,
        question: Question,
        on_step: Callable[[Step], None],
        cancelled: Callable[[], bool],
    ) -> Answer:
        """Ask the recordings that can be asked; those that cannot are named in `searched`."""
        hits = search(self.archive, _words(question), question.scope, limit=_HITS)
        recordings = rank(question, self.trees.recordings(question.scope), hits)
        ready = [one for one in recordings if self.trees.progress(one.id).queryable]
        skipped = [self._skipped(one) for one in recordings if one not in ready]
        skipped += self._waiting_files(question.scope)
        if not ready:
            return self._nothing_to_ask(question, skipped)
        views = [StoredTree(one, self.builder, self.decoder) for one in ready]
        answer = navigate(question, views, self.agent, self.clock, on_step, cancelled)
        return replace(answer, searched=(*answer.searched, *skipped))

    def _skipped(self, recording: Recording) -> str:
        progress = self.trees.progress(recording.id)
        if not progress.total:
            return (
                f"{recording.camera}, recording {recording.id}: not searched, still growing or "
                "waiting to be captioned"
            )
        return (
            f"{recording.camera}, recording {recording.id}: not searched, still being captioned "
            f"({progress.captioned} of {progress.total} captions)"
        )

    def _waiting_files(self, scope: Scope) -> list[str]:
        """The files that may hold more footage of this scope, where it names no recording."""
        if scope.recording is not None:
            return []
        named, total = list[str](), 0
        for state in (JobState.LEASED, JobState.QUEUED):
            found = self.jobs.page(state, None, _NAMED_FILES - len(named), 0)
            named += [PurePath(job.path).name for job in found]
            total += self.jobs.total(state)
        told = [f"{name}: not searched, not taken in yet" for name in named]
        if more := total - len(named):
            told.append(f"{more} more files: not searched, not taken in yet")
        return told

    def _nothing_to_ask(self, question: Question, skipped: Sequence[str]) -> Answer:
        if skipped:
            why = "the footage in question is still being taken in; ask again later"
        elif self.trees.recordings():
            why = "no recording lies in the times and cameras asked about"
        else:
            why = "the archive is empty; drop footage into a watched folder first"
        return Answer(
            verdict=Verdict.NOT_FOUND,
            text=f"{NOT_FOUND}: {why}.",
            agent=self.agent.name,
            captioner=self.builder.captioner.name,
            searched=tuple(skipped),
        )


def _words(question: Question) -> str:
    return " ".join((question.text, *question.options))
