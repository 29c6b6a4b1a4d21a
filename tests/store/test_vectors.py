from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_lvr1.domain import Scope
from edge_lvr1.errors import ModelError, StoreError, StoreFull
from edge_lvr1.store.codes import cosine, encode, least, signs
from edge_lvr1.store.db import Archive
from edge_lvr1.store.fusion import fuse
from edge_lvr1.store.postings import SIZE
from edge_lvr1.store.search import search
from edge_lvr1.store.selection import Selection, select
from edge_lvr1.store.trees import Trees
from edge_lvr1.store.vectors import Meaning, Vectors
from tests.small_disk import fill as fill_disk
from tests.small_disk import small_disk
from tests.store.footage import add, caption
from tests.store.test_postings import fill

DIM = 96
EVERYTHING = Selection()
LIKE = {"automobile": "car", "crimson": "red", "puppy": "dog"}


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Words have directions of their own, and words of one meaning the same."""
    told = np.zeros((len(texts), DIM), np.float32)
    for vector, text in zip(told, texts, strict=True):
        for word in text.split():
            seed = zlib.crc32(LIKE.get(word, word).encode())
            vector += np.random.default_rng(seed).normal(size=DIM)
    return told


@pytest.fixture
def vectors(archive: Archive, tmp_path: Path) -> Vectors:
    made = Vectors(archive, tmp_path / "vectors")
    made.serve("hashes", DIM)
    return made


def make_all(vectors: Vectors) -> None:
    while batch := vectors.wanted(50):
        vectors.put(batch, embed([one.text for one in batch]))


def nearest(
    archive: Archive, vectors: Vectors, text: str, limit: int = 5, selection: Selection = EVERYTHING
) -> list[int]:
    with archive.reading():
        found = vectors.nearest(embed([text])[0], selection, limit)
    return found.nodes.tolist()


TEXTS = [f"{a} {b}" for a in ("red", "blue", "old", "big", "wet") for b in ("car", "dog", "man")]


def test_nearest_is_the_caption_of_like_meaning(archive: Archive, vectors: Vectors) -> None:
    nodes = fill(archive, TEXTS)
    make_all(vectors)

    assert nearest(archive, vectors, "crimson automobile", 1) == nodes[:1]
    assert nearest(archive, vectors, "wet puppy", 1) == [nodes[TEXTS.index("wet dog")]]


def test_sealing_changes_no_answer(archive: Archive, vectors: Vectors) -> None:
    fill(archive, TEXTS * 4, apart=SIZE - 20)
    make_all(vectors)
    before = [nearest(archive, vectors, text, 30) for text in TEXTS]

    for block in range(5):
        assert vectors.seal(block)

    assert archive.rows("SELECT * FROM vectors_open") == []
    assert [nearest(archive, vectors, text, 30) for text in TEXTS] == before


def test_sealed_vectors_are_in_the_files_that_are_named(
    archive: Archive, vectors: Vectors, tmp_path: Path
) -> None:
    fill(archive, TEXTS)
    make_all(vectors)
    vectors.seal(0)

    (stored,) = (tmp_path / "vectors").glob("*.vectors.npy")

    told = np.load(stored)
    assert (told.shape, told.dtype) == ((len(TEXTS), DIM), np.int8)
    assert len(list((tmp_path / "vectors").iterdir())) == 2


def test_scope_holds_whether_sealed_or_open(archive: Archive, vectors: Vectors) -> None:
    fill(archive, TEXTS * 4, apart=SIZE // 2)
    make_all(vectors)
    vectors.seal(0)
    scope = Scope(cameras=("camera 1",))

    found = nearest(archive, vectors, "red car", 100, select(archive, scope))

    cameras = {hit.camera for hit in search(archive, "car dog man", scope, 100)}
    assert cameras == {"camera 1"}
    held = select(archive, scope).holds(np.array(found))
    assert 0 < len(found) < len(TEXTS) * 4
    assert held.all()
    assert nearest(archive, vectors, "red", 9, select(archive, Scope(cameras=("none",)))) == []


def test_few_are_compared_exactly_when_many_are_far(archive: Archive, tmp_path: Path) -> None:
    vectors = Vectors(archive, tmp_path / "vectors", reranked=6)
    vectors.serve("hashes", DIM)
    nodes = fill(archive, TEXTS)
    make_all(vectors)
    vectors.seal(0)

    assert nearest(archive, vectors, "wet dog", 1) == [nodes[TEXTS.index("wet dog")]]
    assert len(nearest(archive, vectors, "wet dog", 100)) == 6


def test_caption_that_changes_gets_a_vector_again(archive: Archive, vectors: Vectors) -> None:
    first, *_ = fill(archive, TEXTS)
    make_all(vectors)
    vectors.seal(0)

    with archive.transaction() as db:
        db.execute("UPDATE captions SET text = 'green boat' WHERE node = ?", [first])

    assert first not in nearest(archive, vectors, "red car", 100)
    assert [one.node for one in vectors.wanted(9)] == [first]
    make_all(vectors)
    assert nearest(archive, vectors, "green boat", 1) == [first]
    vectors.seal(0)
    assert nearest(archive, vectors, "green boat", 1) == [first]
    assert archive.rows("SELECT * FROM vectors_gone") == []
    assert vectors.coverage().made == len(TEXTS)


def test_recording_that_goes_takes_its_vectors_with_it(
    archive: Archive, vectors: Vectors, trees: Trees, tmp_path: Path
) -> None:
    fill(archive, TEXTS)
    make_all(vectors)
    vectors.seal(0)
    with archive.transaction() as db:
        db.execute("DELETE FROM recordings")
    assert nearest(archive, vectors, "red car") == []

    again = add(trees, "other")
    trees.put_caption(again.id, caption(trees.plan(again.id).nodes[0], "boat"))
    assert nearest(archive, vectors, "red car") == []

    vectors.seal(0)
    vectors.sweep()
    assert list((tmp_path / "vectors").iterdir()) == []
    assert (vectors.coverage().made, vectors.coverage().wanted) == (0, 1)


def test_block_of_which_more_than_half_is_gone_is_written_anew(
    archive: Archive, vectors: Vectors, tmp_path: Path
) -> None:
    nodes = fill(archive, ["red car"] * 10)
    make_all(vectors)
    vectors.seal(0)
    with archive.transaction() as db:
        db.execute("DELETE FROM captions WHERE node <= ?", [nodes[4]])
    half = vectors.due()
    with archive.transaction() as db:
        db.execute("DELETE FROM captions WHERE node = ?", [nodes[5]])

    assert half is None
    assert vectors.due() == vectors.hollow() == 0
    assert vectors.seal(0)
    vectors.sweep()
    assert vectors.due() is None
    assert vectors.coverage().made == 4
    assert len(list((tmp_path / "vectors").iterdir())) == 2
    assert archive.rows("SELECT * FROM vectors_gone") == []


def test_vector_of_a_text_that_changed_meanwhile_is_not_stored(
    archive: Archive, vectors: Vectors
) -> None:
    first, *_ = fill(archive, ["red car"])
    batch = vectors.wanted(9)
    with archive.transaction() as db:
        db.execute("UPDATE captions SET text = 'boat' WHERE node = ?", [first])

    vectors.put(batch, embed([one.text for one in batch]))

    assert nearest(archive, vectors, "red car") == []
    assert [one.text for one in vectors.wanted(9)] == ["boat"]


def test_another_embedder_has_all_vectors_made_again(archive: Archive, vectors: Vectors) -> None:
    fill(archive, TEXTS)
    make_all(vectors)
    vectors.seal(0)

    assert not vectors.serve("hashes", DIM)
    assert vectors.coverage().wanted == 0
    assert vectors.serve("other", DIM * 2)

    assert vectors.coverage().wanted == len(TEXTS)
    with archive.reading():
        assert vectors.nearest(np.ones(DIM * 2, np.float32), EVERYTHING, 5).nodes.tolist() == []


def test_lost_file_is_made_again(
    archive: Archive, vectors: Vectors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(archive, TEXTS)
    make_all(vectors)
    vectors.seal(0)
    for path in (tmp_path / "vectors").glob("*.signs.npy"):
        path.write_bytes(path.read_bytes()[:200])
    again = Vectors(archive, tmp_path / "vectors")

    with caplog.at_level(logging.WARNING):
        assert nearest(archive, again, "red car") == []
    again.serve("hashes", DIM)

    assert "cannot be read" in caplog.text
    assert vectors.coverage().wanted == len(TEXTS)


def test_files_of_a_write_that_was_cut_short_are_swept(
    vectors: Vectors, archive: Archive, tmp_path: Path
) -> None:
    fill(archive, TEXTS)
    make_all(vectors)
    vectors.seal(0)
    left = tmp_path / "vectors" / "000000-0123456789ab.vectors.npy"
    left.write_bytes(b"half")

    vectors.serve("hashes", DIM)

    assert not left.exists()
    assert len(list((tmp_path / "vectors").iterdir())) == 2


def test_vectors_that_change_while_they_are_sealed_are_sealed_later(
    archive: Archive, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = fill(archive, TEXTS)
    make_all(vectors)
    write = Vectors._write

    def meanwhile(self: Vectors, name: str, content: NDArray[np.int8]) -> None:
        write(self, name, content)
        with archive.transaction() as db:
            db.execute("DELETE FROM captions WHERE node = ?", [first])

    monkeypatch.setattr(Vectors, "_write", meanwhile)
    assert not vectors.seal(0)
    monkeypatch.undo()

    assert vectors.seal(0)
    assert first not in nearest(archive, vectors, "red car", 100)


def test_folder_that_cannot_be_written_is_told(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    vectors = Vectors(archive, tmp_path / "file")
    vectors.serve("hashes", DIM)
    fill(archive, TEXTS)
    make_all(vectors)

    with pytest.raises(StoreError, match="cannot be written"):
        vectors.seal(0)

    assert len(nearest(archive, vectors, "red car")) == 5


def test_full_disk_keeps_no_half_written_vectors(archive: Archive, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        vectors = Vectors(archive, disk / "vectors")
        vectors.serve("hashes", DIM)
        fill(archive, TEXTS)
        make_all(vectors)
        (disk / "vectors").mkdir(exist_ok=True)
        ballast = fill_disk(disk)

        with pytest.raises(StoreFull, match="cannot be written"):
            vectors.seal(0)
        left = list((disk / "vectors").iterdir())
        ballast.unlink()

        assert left == []
        assert vectors.seal(0)


def test_query_of_another_length_is_told(archive: Archive, vectors: Vectors) -> None:
    fill(archive, TEXTS)

    with archive.reading(), pytest.raises(StoreError, match="96 numbers"):
        vectors.nearest(np.ones(4, np.float32), EVERYTHING, 5)


def test_no_captions_wait_where_no_embedder_ever_was(archive: Archive) -> None:
    fill(archive, TEXTS)

    assert archive.rows("SELECT * FROM vectors_wanted") == []


def test_search_finds_by_meaning_what_words_miss(archive: Archive, vectors: Vectors) -> None:
    nodes = fill(archive, TEXTS)
    make_all(vectors)
    assert search(archive, "crimson automobile") == []

    found = search(archive, "crimson automobile", limit=3, meaning=Meaning(vectors, embed))

    assert found[0].caption == "red car"
    assert len(found) == 3
    both = search(archive, "wet dog", limit=1, meaning=Meaning(vectors, embed))
    assert both[0].node.path is not None
    assert both[0].caption == "wet dog"
    assert nodes


def test_search_goes_by_words_where_the_embedder_fails(archive: Archive, vectors: Vectors) -> None:
    fill(archive, [*TEXTS, "boat"])

    def broken(texts: Sequence[str]) -> NDArray[np.float32]:
        raise ModelError("no memory")

    found = search(archive, "boat", meaning=Meaning(vectors, broken))

    assert [hit.caption for hit in found] == ["boat"]


def test_fusion_puts_first_what_both_rank_high() -> None:
    fused = fuse(([1, 2, 3], [4, 2, 1]))

    assert fused.nodes.tolist() == [1, 2, 4, 3]
    assert fused.scores[0] == pytest.approx(1 / 61 + 1 / 63)
    assert fuse(([], [])).nodes.tolist() == []


@given(st.lists(st.lists(st.integers(0, 9), unique=True, max_size=8), max_size=4))
def test_fusion_holds_each_thing_once_and_knows_no_order_of_rankings(
    rankings: list[list[int]],
) -> None:
    fused = fuse(rankings)

    assert sorted(fused.nodes.tolist()) == sorted({one for ranking in rankings for one in ranking})
    assert fuse(rankings[::-1]).scores == pytest.approx(fused.scores)


def test_int8_keeps_directions() -> None:
    told = np.random.default_rng(0).normal(size=(200, 384)).astype(np.float32)
    told[7] = 0
    unit = told[3] / np.linalg.norm(told[3])

    found = cosine(encode(told), unit)

    exact = told @ unit / np.maximum(np.linalg.norm(told, axis=1), 1e-9)
    assert np.abs(found - exact).max() < 0.003
    assert found[7] == 0


@pytest.mark.parametrize("dim", [1, 64, 70, 384])
def test_signs_are_packed_whatever_the_length(dim: int) -> None:
    told = np.random.default_rng(0).normal(size=(5, dim)).astype(np.float32)

    packed = signs(told)

    assert packed.shape == (-(-dim // 64), 5)
    assert np.bitwise_count(packed).sum(0).tolist() == (told > 0).sum(1).tolist()


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 12))
def test_least_values_are_found(values: list[int], most: int) -> None:
    found = least(np.array(values, np.uint16), most)

    assert sorted(values[i] for i in found) == sorted(values)[:most]
    assert found.tolist() == sorted(found.tolist())
