"""The search benchmark on a small archive: what it measures is there, and is the same again."""

from __future__ import annotations

from pathlib import Path

from edge_lvr1.bench_search import (
    DIM,
    SearchBenchOptions,
    WordSums,
    bench_search,
    fill,
    nearest,
    questions,
    scopes,
    written,
)
from edge_lvr1.domain import Scope
from edge_lvr1.store.db import Archive
from edge_lvr1.store.search import search


def test_every_kind_of_search_is_timed_in_every_scope(tmp_path: Path) -> None:
    told: list[str] = []

    found = bench_search(SearchBenchOptions(1500, queries=4, folder=tmp_path), told.append)

    kinds = {(timing.kind, timing.scope) for timing in found.timings}
    assert kinds == {(k, s) for k in ("words", "vectors", "both") for s in scopes()}
    assert all(0 < timing.median_ms <= timing.p95_ms for timing in found.timings)
    assert found.recall == 1.0
    assert found.read_gb_s > 0
    assert told
    assert list(tmp_path.iterdir()) == []


def test_archive_holds_as_many_captions_as_were_asked_for(tmp_path: Path) -> None:
    options = SearchBenchOptions(captions=700)
    with Archive(tmp_path / "archive.db").open() as archive:
        meaning = fill(archive, tmp_path / "vectors", options, lambda line: None)

        row = archive.row("SELECT count(*) AS n FROM captions")
        assert row == {"n": 700}
        assert meaning.vectors.coverage().made == 700
        scope = Scope(cameras=("camera 2",))
        assert {hit.camera for hit in search(archive, "figure", scope)} == {"camera 2"}
        assert len(nearest(archive, meaning, "a red figure", scope, 5)) == 5


def test_captions_and_questions_follow_from_the_seed() -> None:
    assert list(written(50, 7)) == list(written(50, 7)) != list(written(50, 8))
    assert questions(9, 7) == questions(9, 7)


def test_texts_with_the_same_words_have_the_same_vector() -> None:
    embedder = WordSums(0)

    one, other, empty = embedder.embed(["red car", "car, red!", "12"])

    assert one.shape == (DIM,)
    assert abs(one - other).max() < 1e-5
    assert empty.any()
