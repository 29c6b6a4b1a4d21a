"""A measurement whole: from settings and a file of questions to figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from edge_lvr1.config import Settings
from edge_lvr1.errors import DatasetError, SettingsError
from edge_lvr1.evaluate.archive_trees import ArchiveTrees
from edge_lvr1.evaluate.asking import Configuration
from edge_lvr1.evaluate.captions import CaptionFiles
from edge_lvr1.evaluate.datasets import read_items
from edge_lvr1.evaluate.flat import Bm25Matcher, flat_scores
from edge_lvr1.evaluate.items import Item
from edge_lvr1.evaluate.results import Result, open_results
from edge_lvr1.evaluate.run import Asking, run
from edge_lvr1.evaluate.score import Summary, score, summarize
from edge_lvr1.evaluate.trees import TreeSource
from edge_lvr1.models.base import Agent, Captioner
from edge_lvr1.models.load import load_agent, load_captioner
from edge_lvr1.models.residency import Residency
from edge_lvr1.store.db import Archive
from edge_lvr1.store.trees import Trees

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be measured."""

    dataset: str
    questions: Path
    captions: Path | None = None
    limit: int | None = None
    captioned_only: bool = False
    results: Path | None = None
    plots: Path | None = None
    baselines: bool = False
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures, what they are of, and what is to be known of them."""

    summary: Summary
    baselines: Mapping[str, Summary]
    about: Mapping[str, Any]
    remarks: tuple[str, ...]


class Progress(Protocol):
    """Who is told how far a measurement is."""

    def begin(self, total: int) -> None:
        """So many questions are to be asked."""
        ...

    def done(self, result: Result) -> None:
        """One more has its result."""
        ...


def measure(settings: Settings, wanted: Wanted, progress: Progress) -> Measured:
    """Ask, score and sum up. Raises EdgeLvr1Error; Ctrl-C keeps the results so far."""
    items = read_items(wanted.dataset, wanted.questions)[: wanted.limit]
    source = make_source(settings, wanted.captions)
    items, remarks = _with_trees(items, source, wanted)
    asking = _asking(settings, wanted)
    progress.begin(len(items))
    if wanted.results is None:
        results = run(items, asking, None, wanted.workers, progress.done)
    else:
        with open_results(wanted.results) as file:
            results = run(items, asking, file, wanted.workers, progress.done)
    scored = [score(item, result) for item, result in zip(items, results, strict=True)]
    return Measured(
        summary=summarize(scored),
        baselines=_baselines(items, source, wanted),
        about={
            "dataset": wanted.dataset,
            "agent": settings.models.agent,
            "max_rounds": settings.questions.max_rounds,
            "max_seconds": settings.questions.max_seconds,
        },
        remarks=tuple(remarks),
    )


def make_source(settings: Settings, captions: Path | None) -> TreeSource:
    """Where trees come from: a folder of caption files, or the archive.

    Raises DatasetError where there is neither.
    """
    if captions is not None:
        if not captions.is_dir():
            raise DatasetError(f"there is no folder {captions}; check --captions")
        return CaptionFiles(captions)
    if not settings.database_path.is_file():
        raise DatasetError(
            f"there is no archive at {settings.database_path}: give --data, or a folder of "
            "caption files with --captions"
        )
    return ArchiveTrees(Trees(Archive(settings.database_path)), partial(_captioner, settings))


def _captioner(settings: Settings) -> Captioner:
    return load_captioner(settings, Residency(settings.models.memory_limit_mb))


def make_agent(settings: Settings) -> Agent:
    """The agent of the settings, whose weights are loaded at first use."""
    return load_agent(settings, Residency(settings.models.memory_limit_mb))


def _asking(settings: Settings, wanted: Wanted) -> Asking:
    if wanted.workers > 1 and settings.models.agent == "onnx":
        raise SettingsError("an agent with weights is asked by one process only: --workers 1")
    return Asking(
        make_source=partial(make_source, settings, wanted.captions),
        make_agent=partial(make_agent, settings),
        configuration=Configuration(
            agent=_agent_facts(settings),
            max_rounds=settings.questions.max_rounds,
            max_seconds=settings.questions.max_seconds,
        ),
    )


def _agent_facts(settings: Settings) -> dict[str, Any]:
    """What of the settings changes the replies of the agent they name."""
    models, server = settings.models, settings.server
    facts: dict[str, Any] = {"backend": models.agent, "legal_moves": models.legal_moves}
    if models.agent == "server":
        facts |= {"url": server.url, "model": server.agent_model}
    if models.agent == "onnx" and models.agent_bundle is not None:
        manifest = models.agent_bundle / "manifest.json"
        facts |= {
            "bundle": manifest.read_text("utf-8") if manifest.is_file() else "",
            "provider": models.provider,
            "context_tokens": models.context_tokens,
            "seed": models.seed,
        }
    return facts


def _with_trees(
    items: Sequence[Item], source: TreeSource, wanted: Wanted
) -> tuple[list[Item], list[str]]:
    """The questions to ask, and what is to be said of those about videos without a tree."""
    bare = [video for video in dict.fromkeys(one.video for one in items) if not source.of(video)]
    kept = [item for item in items if item.video not in set(bare)]
    if not kept:
        where = wanted.captions or "the archive"
        raise DatasetError(
            f"{where} has no captions of any video that the questions are about, "
            f"such as {', '.join(bare[:_NAMED])}"
        )
    if not bare:
        return list(items), []
    told = f"{len(items) - len(kept)} questions are about videos without captions ({_some(bare)})"
    if wanted.captioned_only:
        return kept, [f"{told}: left out"]
    return list(items), [f"{told}: they count as wrong; --captioned-only leaves them out"]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _baselines(items: Sequence[Item], source: TreeSource, wanted: Wanted) -> dict[str, Summary]:
    if not wanted.baselines:
        return {}
    matchers = [Bm25Matcher()]
    return {one.name: summarize(list(flat_scores(items, source, one))) for one in matchers}
