"""The queues of the daemon: files to take in, recordings to caption, questions to answer."""

from __future__ import annotations

from edge_lvr1.store.builds import Build, BuildQueue, BuildState
from edge_lvr1.store.ingest import IngestQueue, Job, JobState
from edge_lvr1.store.questions import Asked, QuestionQueue, QuestionRecord, QuestionState, Room

__all__ = [
    "Asked",
    "Build",
    "BuildQueue",
    "BuildState",
    "IngestQueue",
    "Job",
    "JobState",
    "QuestionQueue",
    "QuestionRecord",
    "QuestionState",
    "Room",
]
