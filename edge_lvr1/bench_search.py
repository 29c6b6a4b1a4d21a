"""What search costs in a large archive, beside what the machine's memory could give at best.

The archive is made on the spot, from a seed: captions as the embedded captioner writes them,
which say the same few words all the time, and captions as vision-language models write
them, with words as frequent as Zipf's law has them. Vectors are made of the captions' words,
so that like captions lie near each other; a real embedder's cost for a query is not in the
figures. Every query is asked once before it is timed.
"""

from __future__ import annotations

import logging
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edge_lvr1.domain import Scope, StartSource
from edge_lvr1.store.db import Archive
from edge_lvr1.store.postings import SIZE, due, seal
from edge_lvr1.store.search import search
from edge_lvr1.tree.plan import plan_tree

log = logging.getLogger(__name__)

_BEGIN = datetime(2026, 3, 1, tzinfo=timezone.utc)
_RECORDING_S = 7200.0  # 584 nodes
_CAMERAS = 8
_WORDS = 30_000


@dataclass(frozen=True, slots=True)
class SearchBenchOptions:
    """How much to make and to ask; `folder` is where the archive is made for the while."""

    captions: int = 1_000_000
    queries: int = 40
    limit: int = 20
    seed: int = 0
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds that one kind of search takes."""

    kind: str
    scope: str
    median_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class SearchBench:
    """Figures of one run."""

    captions: int
    made_s: float
    timings: tuple[Timing, ...]


def bench_search(
    options: SearchBenchOptions | None = None, on_progress: Callable[[str], None] = log.info
) -> SearchBench:
    """Make the archive and measure."""
    options = options or SearchBenchOptions()
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        Archive(Path(folder) / "archive.db").open() as archive,
    ):
        begun = time.perf_counter()
        fill(archive, options, on_progress)
        made_s = time.perf_counter() - begun
        timings = tuple(_timings(archive, options, on_progress))
    return SearchBench(options.captions, made_s, timings)


def fill(archive: Archive, options: SearchBenchOptions, on_progress: Callable[[str], None]) -> None:
    """Recordings of two hours, one after the other on each camera, with all their captions."""
    texts = written(options.captions, options.seed)
    nodes = plan_tree(_RECORDING_S).nodes
    added = told = 0
    while added < options.captions:
        number = added // len(nodes)
        with archive.transaction() as db:
            recording = _add_recording(db.conn, number, len(nodes))
            first = db.execute("SELECT coalesce(max(id), 0) + 1 FROM nodes").fetchone()[0]
            db.conn.executemany(
                "INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (first + i, recording, *_hml(node.id.path), node.span.start_s, node.span.end_s)
                    for i, node in enumerate(nodes)
                ],
            )
            rows = list(zip(range(first, first + len(nodes)), texts, strict=False))
            db.conn.executemany(_CAPTION, rows)
        added += len(rows)
        while (block := due(archive)) is not None:
            seal(archive, block)
        if added - told >= options.captions // 10:
            told = added
            on_progress(f"{added} captions stored")


def _add_recording(connection: Any, number: int, nodes: int) -> int:  # noqa: ANN401 (sqlite3)
    camera, turn = number % _CAMERAS, number // _CAMERAS
    start = _BEGIN + timedelta(seconds=turn * _RECORDING_S)
    row = [
        f"made {number}",
        f"camera {camera + 1}",
        start.isoformat(),
        start.timestamp(),
        start.timestamp() + _RECORDING_S,
        StartSource.CONTAINER.value,
        _RECORDING_S,
        nodes,
        nodes,
    ]
    return int(connection.execute(_RECORDING, row).lastrowid)


def _hml(path: tuple[int, ...]) -> tuple[int, ...]:
    return (*path, *(0,) * (3 - len(path)))


_RECORDING = (
    "INSERT INTO recordings(content, camera, starts_at, starts_epoch_s, ends_epoch_s, "
    "start_source, duration_s, width, split, captioner, nodes, captioned, high_captioned) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, 8, 'uniform', 'made', ?, ?, 8)"
)
_CAPTION = (
    "INSERT INTO captions(node, text, written_by, version, prompt, seconds, frames, tokens) "
    "VALUES (?, ?, 'made', '1', '', 0, 0, 0)"
)

_KINDS = ("person-like figure", "person-like figure", "vehicle-like shape", "moving shape")
_SIDES = ("left", "right", "top", "bottom")
_COLOURS = tuple("red white black blue grey green yellow brown orange dark light silver".split())  # noqa: SIM905
_PEOPLE = tuple("man woman child boy girl person cyclist guard worker couple group".split())  # noqa: SIM905
_PLACES = tuple(
    "yard street garden kitchen hallway gate office shop entrance room park warehouse lobby "  # noqa: SIM905
    "platform corridor staircase field beach pool garage".split()
)
_DOING = (
    "walking",
    "standing",
    "running",
    "sitting",
    "talking",
    "carrying a bag",
    "pushing a cart",
    "opening the door",
    "looking at a phone",
    "waiting",
    "riding a bicycle",
    "parking a car",
)


def written(count: int, seed: int) -> Iterator[str]:
    """So many captions, half of either kind; the same for the same seed."""
    dice = random.Random(seed)
    rare = _vocabulary(dice)
    # Zipf: the n-th commonest word stands 1/n as often as the commonest.
    weights = np.cumsum(1 / np.arange(1, len(rare) + 1))
    for start in range(0, count, SIZE):
        drawn = np.random.default_rng([seed, start]).random((SIZE, 6)) * weights[-1]
        words = np.searchsorted(weights, drawn).tolist()
        for index in range(min(SIZE, count - start)):
            tracked = dice.random() < 0.5
            yield _tracked(dice) if tracked else _seen(dice, [rare[w] for w in words[index]])


def _tracked(dice: random.Random) -> str:
    if dice.random() < 0.3:
        return "No motion seen."
    subjects = dice.choice((1, 1, 2, 3))
    return " ".join(_subject(dice) for _ in range(subjects))


def _subject(dice: random.Random) -> str:
    label = f"{dice.choice(_KINDS).capitalize()} P{dice.randint(1, 60)}"
    colours = f"({dice.choice(_COLOURS)} above, {dice.choice(_COLOURS)} below)"
    times = f"from {dice.random() * 7200:.1f} s to {dice.random() * 7200:.1f} s"
    ways = f"enters from the {dice.choice(_SIDES)}, moves, leaves to the {dice.choice(_SIDES)}"
    return f"{label} {colours} is in view {times}: {ways}."


def _seen(dice: random.Random, rare: Sequence[str]) -> str:
    return (
        f"The image showcases a {dice.choice(_PEOPLE)} in a {dice.choice(_COLOURS)} {rare[0]} "
        f"{dice.choice(_DOING)} in the {dice.choice(_PLACES)}, near a {rare[1]} and a "
        f"{dice.choice(_COLOURS)} {rare[2]}. The background features a {rare[3]}, "
        f"and the {rare[4]} suggests a {rare[5]} setting."
    )


def _vocabulary(dice: random.Random) -> list[str]:
    starts, vowels, ends = "bdfgklmnprstvz", "aeiou", "bdklmnrtx"
    words = dict.fromkeys(
        "".join(dice.choice(starts) + dice.choice(vowels) for _ in range(dice.choice((2, 3))))
        + dice.choice(ends)
        for _ in range(2 * _WORDS)
    )
    return list(words)[:_WORDS]


def questions(count: int, seed: int) -> list[str]:
    """Queries as people ask them: of the commonest words, of rare ones, and of both."""
    dice = random.Random(seed + 1)
    rare = _vocabulary(random.Random(seed))
    made = [
        lambda: f"{dice.choice(_COLOURS)} person-like figure enters from the {dice.choice(_SIDES)}",
        lambda: (
            f"was there a {dice.choice(_COLOURS)} vehicle leaving to the {dice.choice(_SIDES)}?"
        ),
        lambda: (
            f"{dice.choice(_PEOPLE)} near a {dice.choice(rare[:1000])} "
            f"in the {dice.choice(_PLACES)}"
        ),
        lambda: f"{dice.choice(rare[:50])} {dice.choice(rare)}",
    ]
    return [made[index % len(made)]() for index in range(count)]


def scopes() -> dict[str, Scope]:
    """The whole archive, one camera of eight, and two cameras for a day and a half."""
    day = _BEGIN + timedelta(days=1)
    return {
        "everything": Scope(),
        "a camera": Scope(cameras=("camera 3",)),
        "two cameras, 36 h": Scope(
            cameras=("camera 1", "camera 2"), since=day, until=day + timedelta(hours=36)
        ),
    }


def _timings(
    archive: Archive, options: SearchBenchOptions, on_progress: Callable[[str], None]
) -> Iterator[Timing]:
    asked = questions(options.queries, options.seed)
    for where, scope in scopes().items():
        words = partial(search, archive, scope=scope, limit=options.limit)
        yield _timed("words", where, asked, words)
        on_progress(f"asked {where}")


def _timed(kind: str, where: str, asked: Sequence[str], ask: Callable[[str], object]) -> Timing:
    taken = []
    for question in asked:
        ask(question)
        begun = time.perf_counter()
        ask(question)
        taken.append((time.perf_counter() - begun) * 1000)
    return Timing(kind, where, median(taken), float(np.percentile(taken, 95)))
