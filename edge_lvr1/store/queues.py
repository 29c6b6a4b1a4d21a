"""The two queues of the daemon: files to take in, and questions to answer."""

from __future__ import annotations

from edge_lvr1.store.ingest import IngestQueue, Job, JobState
from edge_lvr1.store.questions import QuestionQueue, QuestionRecord, QuestionState

__all__ = [
    "IngestQueue",
    "Job",
    "JobState",
    "QuestionQueue",
    "QuestionRecord",
    "QuestionState",
]
