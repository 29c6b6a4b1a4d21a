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
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from edge_lvr1.domain import Scope, StartSource
from edge_lvr1.store.db import Archive
from edge_lvr1.store.postings import SIZE, due, seal
from edge_lvr1.store.search import search
from edge_lvr1.store.selection import select
from edge_lvr1.store.vectors import Meaning, Vectors
from edge_lvr1.tree.plan import plan_tree

log = logging.getLogger(__name__)

_BEGIN = datetime(2026, 3, 1, tzinfo=timezone.utc)
_RECORDING_S = 7200.0  # 584 nodes
_CAMERAS = 8
_WORDS = 30_000
DIM = 384  # of MiniLM, and of most small embedders


@dataclass(frozen=True, slots=True)
class SearchBenchOptions:
    """How much to make and to ask; `folder` is where the archive is made for the while.

    A million captions take about 1.5 GB of disk, and some minutes.
    """

    captions: int = 1_000_000
    queries: int = 40
    limit: int = 20
    seed: int = 0
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds that one kind of search takes: of the clock, and of one CPU."""

    kind: str
    scope: str
    median_ms: float
    p95_ms: float
    cpu_median_ms: float


@dataclass(frozen=True, slots=True)
class SearchBench:
    """Figures of one run.

    `recall` is the share of the `limit` truly nearest vectors that are found. `read_signs_ms`
    and `read_vectors_ms` are what reading all signs and all vectors once takes at the speed
    `read_gb_s` of one thread: no scan of them can be faster. `distance` is how many times
    longer the search of everything by meaning takes than the first.
    """

    captions: int
    made_s: float
    timings: tuple[Timing, ...]
    recall: float
    read_gb_s: float
    read_signs_ms: float
    read_vectors_ms: float
    distance: float


def bench_search(
    options: SearchBenchOptions | None = None, on_progress: Callable[[str], None] = log.info
) -> SearchBench:
    """Make the archive and measure. Raises StoreError where the disk is too small."""
    options = options or SearchBenchOptions()
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        Archive(Path(folder) / "archive.db").open() as archive,
    ):
        begun = time.perf_counter()
        meaning = fill(archive, Path(folder) / "vectors", options, on_progress)
        return measure(archive, meaning, options, time.perf_counter() - begun, on_progress)


def measure(
    archive: Archive,
    meaning: Meaning,
    options: SearchBenchOptions,
    made_s: float,
    on_progress: Callable[[str], None],
) -> SearchBench:
    """Ask an archive that was filled here."""
    timings = tuple(_timings(archive, meaning, options, on_progress))
    sealed = sum(
        row["n"] for row in archive.rows("SELECT length(nodes) / 2 AS n FROM vector_blocks b")
    )
    speed = _read_bytes_s()
    by_meaning = next(timing for timing in timings if timing.kind == "vectors")
    signs_ms = sealed * DIM / 8 / speed * 1000
    return SearchBench(
        captions=options.captions,
        made_s=made_s,
        timings=timings,
        recall=_recall(archive, meaning, options),
        read_gb_s=speed / 1e9,
        read_signs_ms=signs_ms,
        read_vectors_ms=sealed * DIM / speed * 1000,
        distance=by_meaning.median_ms / signs_ms if signs_ms else 0.0,
    )


def fill(
    archive: Archive,
    vectors_folder: Path,
    options: SearchBenchOptions,
    on_progress: Callable[[str], None],
) -> Meaning:
    """Recordings of two hours, in turn on each camera, with all captions and vectors."""
    texts = written(options.captions, options.seed)
    nodes = plan_tree(_RECORDING_S).nodes
    meaning = Meaning(Vectors(archive, vectors_folder), WordSums(options.seed).embed)
    meaning.vectors.serve("word sums", DIM)
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
        _index(archive, meaning)
        if added - told >= options.captions // 10:
            told = added
            on_progress(f"{added} captions stored")
    return meaning


def _index(archive: Archive, meaning: Meaning) -> None:
    """As the daemon's worker does, in larger batches."""
    while (block := due(archive)) is not None:
        seal(archive, block)
    while batch := meaning.vectors.wanted(2048):
        meaning.vectors.put(batch, meaning.embed([caption.text for caption in batch]))
    while (block := meaning.vectors.due()) is not None:
        meaning.vectors.seal(block)


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


class WordSums:
    """An embedder of no intelligence: a direction for each word, and their weighted sum.

    Words of the captions' own phrases weigh little, as they tell little.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rows: dict[str, int] = {}
        self._table = np.empty((0, DIM), np.float32)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors, float32 [texts, DIM]."""
        cut = [_WORD.findall(text.lower()) or ["nothing"] for text in texts]
        for word in dict.fromkeys(word for words in cut for word in words):
            self._rows.setdefault(word, len(self._rows))
        self._grow()
        rows = np.array([self._rows[word] for words in cut for word in words])
        ends = np.cumsum([0, *(len(words) for words in cut)])
        ones = np.ones(len(rows), np.float32)
        return np.asarray(
            csr_array((ones, rows, ends), (len(texts), len(self._table))) @ self._table, np.float32
        )

    def _grow(self) -> None:
        new = list(self._rows)[len(self._table) :]
        made = [np.random.default_rng([self._seed, crc32(word.encode())]) for word in new]
        weights = [0.3 if word in _PHRASES else 1.0 for word in new]
        rows = [
            dice.standard_normal(DIM, np.float32) * weight
            for dice, weight in zip(made, weights, strict=True)
        ]
        if rows:
            self._table = np.concatenate((self._table, np.stack(rows)))


_WORD = re.compile(r"[a-z-]+")
_PHRASES = frozenset(
    "the image showcases a in an of near and to from with is view enters moves leaves s p "  # noqa: SIM905
    "background features suggests setting above below".split()
)


def _timings(
    archive: Archive,
    meaning: Meaning,
    options: SearchBenchOptions,
    on_progress: Callable[[str], None],
) -> Iterator[Timing]:
    asked = questions(options.queries, options.seed)
    for where, scope in scopes().items():
        words = partial(search, archive, scope=scope, limit=options.limit)
        both = partial(search, archive, scope=scope, limit=options.limit, meaning=meaning)
        vectors = partial(nearest, archive, meaning, scope=scope, limit=options.limit)
        yield _timed("words", where, asked, words)
        yield _timed("vectors", where, asked, vectors)
        yield _timed("both", where, asked, both)
        on_progress(f"asked {where}")


def nearest(archive: Archive, meaning: Meaning, text: str, scope: Scope, limit: int) -> list[int]:
    """The nodes whose vectors are nearest, as search looks for them."""
    vector = meaning.embed([text])[0]
    with archive.reading():
        found = meaning.vectors.nearest(vector, select(archive, scope), limit)
    return [int(node) for node in found.nodes]


def _timed(kind: str, where: str, asked: Sequence[str], ask: Callable[[str], object]) -> Timing:
    taken, cpu = [], []
    for question in asked:
        ask(question)
        begun, begun_cpu = time.perf_counter(), time.thread_time()
        ask(question)
        taken.append((time.perf_counter() - begun) * 1000)
        cpu.append((time.thread_time() - begun_cpu) * 1000)
    return Timing(kind, where, median(taken), float(np.percentile(taken, 95)), median(cpu))


def _recall(archive: Archive, meaning: Meaning, options: SearchBenchOptions) -> float:
    """Against comparing every vector, of both kinds of captions alike."""
    all_of_them = Meaning(meaning.vectors.exact(), meaning.embed)
    shares = []
    for question in questions(min(options.queries, 12), options.seed):
        found = nearest(archive, meaning, question, Scope(), options.limit)
        wanted = nearest(archive, all_of_them, question, Scope(), options.limit)
        shares.append(len(set(found) & set(wanted)) / max(1, len(wanted)))
    return sum(shares) / len(shares)


def _read_bytes_s() -> float:
    """How fast one thread reads memory that is in no cache."""
    many = np.ones(1 << 26, np.uint64)
    best = min(_seconds(many.max) for _ in range(5))
    return many.nbytes / best


def _seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun
