"""A measurement whole: from settings and a file of questions to figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from edge_lvr1.bundle import MANIFEST
from edge_lvr1.config import Settings
from edge_lvr1.errors import DatasetError, NotFoundError, SettingsError
from edge_lvr1.evaluate.archive_trees import ArchiveTrees
from edge_lvr1.evaluate.asking import Configuration
from edge_lvr1.evaluate.captions import CaptionFiles
from edge_lvr1.evaluate.datasets import read_items
from edge_lvr1.evaluate.flat import Bm25Matcher, EmbeddingMatcher, Matcher, flat_readings
from edge_lvr1.evaluate.items import Item
from edge_lvr1.evaluate.plots import draw_plots
from edge_lvr1.evaluate.results import Result, open_results
from edge_lvr1.evaluate.run import Asking, run
from edge_lvr1.evaluate.score import Summary, score, summarize
from edge_lvr1.evaluate.trees import TreeSource
from edge_lvr1.models.base import Agent, Captioner, Embedder
from edge_lvr1.models.load import load_agent, load_captioner, load_embedder
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
    asking = _asking(settings, wanted)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(settings, wanted.captions))
        file = stack.enter_context(open_results(wanted.results)) if wanted.results else None
        items, remarks = _with_trees(items, source, wanted)
        progress.begin(len(items))
        results = run(items, source, asking, file, wanted.workers, progress.done)
        scored = [score(item, result) for item, result in zip(items, results, strict=True)]
        embedder = load_embedder(settings)
        baselines = _baselines(items, source, wanted, embedder)
    if wanted.plots:
        agent, rounds = settings.models.agent, settings.questions.max_rounds
        drawn = draw_plots(wanted.plots, agent, scored, baselines, rounds)
        remarks += [f"drew {path}" for path in drawn]
    about = {
        "dataset": wanted.dataset,
        "agent": settings.models.agent,
        "max_rounds": settings.questions.max_rounds,
        "max_seconds": settings.questions.max_seconds,
        "hints": settings.questions.hints,
        "embedder": embedder.name if embedder else None,
    }
    return Measured(summarize(scored), baselines, about, tuple(remarks))


@contextmanager
def open_source(settings: Settings, captions: Path | None) -> Iterator[TreeSource]:
    """Where trees come from: a folder of caption files, or the archive.

    Raises DatasetError where there is neither, StoreError for an archive that cannot be read.
    """
    if captions is not None:
        if not captions.is_dir():
            raise DatasetError(f"there is no folder {captions}; check --captions")
        yield CaptionFiles(captions)
        return
    with open_archive(settings) as archive:
        yield ArchiveTrees(Trees(archive), partial(_captioner, settings))


@contextmanager
def open_archive(settings: Settings) -> Iterator[Archive]:
    """The archive of the settings, which must be there. Raises NotFoundError, StoreError."""
    if not settings.database_path.is_file():
        raise NotFoundError(
            f"there is no archive at {settings.database_path}; check --data, or give a folder "
            "of caption files with --captions"
        )
    with Archive(settings.database_path).open() as archive:
        yield archive


def _captioner(settings: Settings) -> Captioner:
    return load_captioner(settings, Residency(settings.models.memory_limit_mb))


def make_agent(settings: Settings) -> Agent:
    """The agent of the settings, whose weights are loaded at first use."""
    return load_agent(settings, Residency(settings.models.memory_limit_mb))


def _asking(settings: Settings, wanted: Wanted) -> Asking:
    if wanted.workers > 1 and settings.models.agent == "onnx":
        raise SettingsError("an agent with weights is asked by one process only: --workers 1")
    return Asking(
        open_source=partial(open_source, settings, wanted.captions),
        make_agent=partial(make_agent, settings),
        configuration=Configuration(
            agent=_agent_facts(settings),
            max_rounds=settings.questions.max_rounds,
            max_seconds=settings.questions.max_seconds,
            hints=settings.questions.hints,
            dry_rounds=settings.questions.dry_rounds,
            carry=settings.questions.carry,
        ),
        make_embedder=partial(load_embedder, settings),
    )


def _agent_facts(settings: Settings) -> dict[str, Any]:
    """What of the settings changes the replies of the agent they name."""
    models, server = settings.models, settings.server
    facts: dict[str, Any] = {"backend": models.agent, "legal_moves": models.legal_moves}
    facts["embedder"] = _manifest(models.embedder_bundle)
    if models.agent == "server":
        facts |= {"url": server.url, "model": server.agent_model}
    if models.agent == "onnx":
        facts |= {
            "bundle": _manifest(models.agent_bundle),
            "provider": models.provider,
            "context_tokens": models.context_tokens,
            "seed": models.seed,
        }
    return facts


def _manifest(bundle: Path | None) -> str:
    """A bundle's manifest, which holds the hashes of its files; "" where there is none."""
    path = bundle / MANIFEST if bundle else None
    return path.read_text("utf-8") if path and path.is_file() else ""


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


def _baselines(
    items: Sequence[Item], source: TreeSource, wanted: Wanted, embedder: Embedder | None
) -> dict[str, Summary]:
    if not wanted.baselines:
        return {}
    matchers: list[Matcher] = [Bm25Matcher()]
    if embedder is not None:
        matchers.append(EmbeddingMatcher(embedder))
    return {
        name: summarize(scored)
        for matcher in matchers
        for name, scored in flat_readings(items, source, matcher).items()
    }
