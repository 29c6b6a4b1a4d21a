"""The index worker: what it does in which order, and what search says meanwhile."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.daemon.ingest.indexing import FOLDER, IndexWork, left_over, meaning_of
from edge_lvr1.daemon.turnstile import Stopped
from edge_lvr1.domain import Recording
from edge_lvr1.errors import ModelError
from edge_lvr1.store import postings, vectors
from tests.daemon.asgi import Http


class HashedWords:
    """Words have directions of their own, and words of one meaning the same."""

    dim = 64

    def __init__(self, name: str = "hashed words") -> None:
        self.name = name
        self.asked: list[list[str]] = []
        self.broken = False

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.broken:
            raise ModelError("the embedder has no memory")
        self.asked.append(list(texts))
        told = np.zeros((len(texts), self.dim), np.float32)
        for vector, text in zip(told, texts, strict=True):
            for word in text.replace("truck", "lorry").split():
                vector += np.random.default_rng(zlib.crc32(word.encode())).normal(size=self.dim)
        return told


def worker(context: Context, embedder: HashedWords | None) -> tuple[IndexWork, Context]:
    meaning = meaning_of(context.archive, context.settings.data, embedder)
    return IndexWork(context.archive, context.turnstile, meaning), replace(context, meaning=meaning)


def found(context: Context, query: str) -> list[str]:
    answer = Http(create_app(context)).get("/v1/search", params={"q": query, "limit": 3})
    return [hit["caption"] for hit in answer.json()["hits"]]


def test_captions_are_found_by_meaning_once_they_are_embedded(
    context: Context, recording: Recording
) -> None:
    work, context = worker(context, HashedWords())
    assert recording.id
    assert found(context, "truck") == []

    while work():
        continue

    assert "lorry" in found(context, "truck")[0]


def test_without_an_embedder_words_are_sealed_and_nothing_else(
    context: Context, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, context = worker(context, None)
    before = found(context, "lorry")
    assert recording.id
    assert not work()
    monkeypatch.setattr(postings.due, "__defaults__", (3,))

    assert work()
    assert not work()

    assert context.archive.rows("SELECT block, captions FROM word_blocks") == [
        {"block": 0, "captions": 14}
    ]
    assert found(context, "lorry") == before != []


def test_vectors_are_sealed_when_enough_are_open(
    context: Context, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, context = worker(context, HashedWords())
    assert recording.id
    monkeypatch.setattr(vectors.Vectors.due, "__defaults__", (3,))

    while work():
        continue

    assert len(list((context.settings.data / "vectors").glob("*.vectors.npy"))) == 1
    assert "lorry" in found(context, "truck")[0]


def test_embedding_goes_on_where_a_daemon_ended(
    context: Context, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_lvr1.daemon.ingest.indexing._BATCH", 5)
    assert recording.id
    first, later = HashedWords(), HashedWords()
    work, context = worker(context, first)
    assert work()

    work, context = worker(context, later)
    while work():
        continue

    asked = [text for texts in (*first.asked, *later.asked) for text in texts]
    assert len(asked) == len(set(asked)) == 14


def test_another_embedder_makes_all_vectors_again_while_words_are_found(
    context: Context, recording: Recording
) -> None:
    work, context = worker(context, HashedWords())
    while work():
        continue
    assert recording.id

    work, context = worker(context, HashedWords("another"))

    assert found(context, "lorry") != []
    assert found(context, "truck") == []
    while work():
        continue
    assert "lorry" in found(context, "truck")[0]


def test_embedder_that_fails_leaves_search_by_words(
    context: Context,
    recording: Recording,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rested = []
    monkeypatch.setattr(type(context.turnstile), "rest", lambda _, seconds: rested.append(seconds))
    embedder = HashedWords()
    work, context = worker(context, embedder)
    embedder.broken = True
    assert recording.id

    with caplog.at_level(logging.ERROR):
        assert work()

    assert "no memory" in caplog.text
    assert rested == [60.0]
    assert found(context, "lorry") != []


def test_worker_ends_when_the_daemon_stops(context: Context, recording: Recording) -> None:
    work, context = worker(context, HashedWords())
    context.turnstile.stop()

    with pytest.raises(Stopped):
        work()

    assert recording.id


def test_hit_names_its_picture(http: Http, recording: Recording) -> None:
    (hit, *_) = http.get("/v1/search", params={"q": "lorry"}).json()["hits"]

    assert hit["camera"] == recording.camera
    assert hit["starts_at"].startswith("2026-03-14T09:30:")
    picture = http.get(hit["thumbnail"])
    assert picture.status_code == 200
    assert picture.headers["content-type"].startswith("image/")


def test_vectors_of_an_embedder_that_is_configured_no_more_do_not_stay_for_ever(
    context: Context, recording: Recording
) -> None:
    work, context = worker(context, HashedWords())
    while work():
        pass
    assert context.meaning is not None
    assert context.meaning.vectors.seal(0)
    with context.archive.transaction() as db:
        db.execute("DELETE FROM recordings WHERE id = ?", [recording.id])
    left = left_over(context.archive, context.settings.data)
    files = list((context.settings.data / FOLDER).iterdir())

    while IndexWork(context.archive, context.turnstile, None, left)():
        pass
    left_over(context.archive, context.settings.data)

    assert len(files) == 2
    assert list((context.settings.data / FOLDER).iterdir()) == []
