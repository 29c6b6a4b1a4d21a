"""One question, from the recordings in its scope to an answer. Knows no queue and no thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import PurePath

from edge_lvr1.config import Questions
from edge_lvr1.daemon.questions.views import StoredIndex, StoredTree
from edge_lvr1.domain import Answer, Question, Recording, Scope, Step, TimeSpan, Verdict
from edge_lvr1.media.decoder import Decoder
from edge_lvr1.models.base import Agent, Cancel, Embedder, Finder
from edge_lvr1.navigator.clipped import ClippedTree, cuts
from edge_lvr1.navigator.evidence import BY_CAPTIONS, named_recordings
from edge_lvr1.navigator.loop import Rules, TreeView, navigate
from edge_lvr1.navigator.merge import Kind, kind_of
from edge_lvr1.navigator.scope import Reading, gaps, read
from edge_lvr1.navigator.words import telling, widened
from edge_lvr1.prompts import NOT_FOUND
from edge_lvr1.store.db import Archive
from edge_lvr1.store.overview import Outline, Overview
from edge_lvr1.store.queues import IngestQueue, JobState
from edge_lvr1.store.search import Hit, search
from edge_lvr1.store.trees import Trees
from edge_lvr1.store.vectors import Meaning
from edge_lvr1.tree.build import Builder

_HITS = 2000  # of all recordings together
_OWN_HITS, _MOST_ALONE = 5, 100  # of each of so many recordings that had none among these
_NAMED_FILES, _NAMED_RECORDINGS = 5, 5
_NAMED_GAPS = 10


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
    settings: Questions = field(default_factory=Questions)
    meaning: Meaning | None = None
    embedder: Embedder | None = None

    def answer(
        self,
        question: Question,
        on_step: Callable[[Step], None],
        cancelled: Callable[[], bool],
    ) -> Answer:
        """Ask the recordings that can be asked; those that cannot are named in `searched`."""
        ready, unready = list[Recording](), list[Outline]()
        for one in Overview(self.archive).outlines(question.scope):
            if one.progress.queryable:
                ready.append(one.recording)
            else:
                unready.append(one)
        skipped = [*_skipped(unready), *self._waiting_files(question.scope)]
        missing = self._gaps(question, [*ready, *(one.recording for one in unready)])
        if not ready:
            return self._nothing_to_ask(question, (*skipped, *missing), bool(skipped))
        reading = read(question, ready, self._hits(question, ready))
        among_others = question.scope.recording is None and self.trees.count() > 1
        answer = self._navigate(question, reading, on_step, cancelled, among_others=among_others)
        searched = (*answer.searched, *skipped)
        if answer.verdict is not Verdict.ANSWERED or kind_of(question) is not Kind.OTHER:
            by_captions = named_recordings(reading.by_captions, BY_CAPTIONS)
            searched = (*answer.searched, *by_captions, *skipped, *missing)
        return replace(answer, searched=searched)

    def _navigate(
        self,
        question: Question,
        reading: Reading,
        on_step: Callable[[Step], None],
        cancelled: Callable[[], bool],
        *,
        among_others: bool,
    ) -> Answer:
        views = {
            one.id: self._view(one, question.scope, cancelled)
            for one in (*reading.first, *reading.then)
        }

        def finder(recording: Recording) -> Finder:
            return StoredIndex(recording, self.trees, question.scope, self.embedder)

        rules = Rules(finder, self.settings.hints, self.settings.dry_rounds, self.settings.carry)
        return navigate(
            question,
            [views[one.id] for one in reading.first],
            self.agent,
            self.clock,
            on_step,
            cancelled,
            rules=rules,
            also=[views[one.id] for one in reading.then],
            among_others=among_others,
        )

    def _view(self, recording: Recording, scope: Scope, cancelled: Cancel) -> TreeView:
        view = StoredTree(recording, self.builder, self.decoder, cancelled)
        return ClippedTree(view, scope) if cuts(scope, recording) else view

    def _hits(self, question: Question, ready: Sequence[Recording]) -> list[Hit]:
        """Captions that fit the question, best first, of every recording that has any."""
        about = question.about or question.text
        text = widened(telling(" ".join((about, *question.options)))) or about
        hits = search(self.archive, text, question.scope, _HITS, self.meaning)
        if len(hits) == _HITS:
            found = {hit.recording for hit in hits}
            for one in [one for one in ready if one.id not in found][:_MOST_ALONE]:
                scope = replace(question.scope, recording=one.id)
                hits += search(self.archive, text, scope, _OWN_HITS)
        scope = question.scope
        return [hit for hit in hits if scope.overlaps(hit.starts_at, _end(hit))]

    def _gaps(self, question: Question, recordings: Sequence[Recording]) -> list[str]:
        """Where the cameras asked about have no footage in the times asked about."""
        scope = question.scope
        if scope.recording is not None or scope.since is None:
            return []
        until = min(scope.until or question.asked_at, question.asked_at)
        times = [
            TimeSpan(one.since, min(one.until, until))
            for one in scope.times or (TimeSpan(scope.since, until),)
            if one.since < until
        ]
        cameras = scope.cameras or tuple(Overview(self.archive).cameras())
        found = gaps(recordings, cameras, times)
        zone = scope.since.tzinfo
        told = [
            f"{gap.camera}: no footage from {_told(gap.since.astimezone(zone))} "
            f"to {_told(gap.until.astimezone(zone))}"
            for gap in found[:_NAMED_GAPS]
        ]
        if more := len(found) - len(told):
            told.append(f"{more} more spans without footage")
        return told

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

    def _nothing_to_ask(self, question: Question, told: Sequence[str], waiting: bool) -> Answer:
        if waiting:
            why = "the footage in question is still being taken in; ask again later"
        elif self.trees.count():
            why = "no recording lies in the times and cameras asked about"
            why += f"; {question.read_as}" if question.read_as else ""
        else:
            why = "the archive is empty; drop footage into a watched folder first"
        return Answer(
            verdict=Verdict.NOT_FOUND,
            text=f"{NOT_FOUND}: {why}.",
            agent=self.agent.name,
            captioner=self.builder.captioner.name,
            searched=tuple(told),
        )


def _skipped(unready: Sequence[Outline]) -> list[str]:
    """A line for each of a few recordings that cannot be asked yet, and one for all the others."""
    told = [_unready(one) for one in unready[:_NAMED_RECORDINGS]]
    if more := len(unready) - len(told):
        noun = "recording" if more == 1 else "recordings"
        told.append(f"{more} more {noun}: not searched, waiting to be captioned")
    return told


def _unready(one: Outline) -> str:
    name = f"{one.recording.camera}, recording {one.recording.id}"
    captioned, total = one.progress.captioned, one.progress.total
    if not total:
        return f"{name}: not searched, still growing or waiting to be captioned"
    return f"{name}: not searched, still being captioned ({captioned} of {total} captions)"


def _end(hit: Hit) -> datetime:
    return hit.starts_at + timedelta(seconds=hit.span.duration_s)


def _told(moment: datetime) -> str:
    return moment.isoformat(" ", "minutes")
