"""Numbers for Prometheus, counted in the database when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from edge_lvr1.daemon.context import Context


class ArchiveMetrics(Collector):
    """Queues, recordings, captions, and how questions ended."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The numbers as they are now."""
        context = self._context
        progress = context.trees.all_progress().values()
        yield _one("edge_lvr1_recordings", "Recordings", len(progress))
        yield _one(
            "edge_lvr1_recordings_complete",
            "Recordings whose every node has a caption",
            sum(one.complete for one in progress),
        )
        yield _one("edge_lvr1_captions", "Captions", sum(one.captioned for one in progress))
        yield _one("edge_lvr1_captions_wanted", "Nodes", sum(one.total for one in progress))
        yield _one("edge_lvr1_files_settling", "Files not whole yet", context.offers.pending())
        jobs = {state.value: count for state, count in context.jobs.counts().items()}
        yield _many("edge_lvr1_ingest_jobs", "Ingest jobs", "state", jobs)
        yield _one("edge_lvr1_questions_queued", "Questions waiting", context.questions.queued())
        verdicts = {one.value: count for one, count in context.questions.verdicts().items()}
        yield _many("edge_lvr1_questions_answered", "Questions ended", "verdict", verdicts)


def _one(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=value)


def _many(name: str, help_text: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
