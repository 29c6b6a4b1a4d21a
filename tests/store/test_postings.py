from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from edge_lvr1.domain import Scope
from edge_lvr1.store import postings
from edge_lvr1.store.db import Archive
from edge_lvr1.store.postings import SIZE, due, rank, seal
from edge_lvr1.store.schema import migrations
from edge_lvr1.store.search import search, words
from edge_lvr1.store.selection import Selection, select
from edge_lvr1.store.tokens import tokens
from edge_lvr1.store.trees import Trees
from tests.store.footage import NOON, add, caption

SAID = ["red", "car", "person", "walks", "left", "the", "yard", "dog", "running", "ran", "no"]
EVERYTHING = Selection()


def fill(archive: Archive, texts: Sequence[str], apart: int = 1) -> list[int]:
    """Captions over recordings of 14 nodes, whose numbers begin `apart` from each other."""
    trees, nodes = Trees(archive), list[int]()
    waiting = list(texts)
    for turn in range(-(-len(texts) // 14)):
        with archive.transaction() as db:  # node numbers go on after the highest
            db.execute(
                "INSERT INTO nodes SELECT max(id) + ?, recording, 9, 9, 9, 0, 0 FROM nodes "
                "HAVING max(id)",
                [apart],
            )
        start = NOON + timedelta(hours=turn)
        recording = add(trees, f"{turn} {len(texts)}", f"camera {turn % 2}", start)
        for node in trees.plan(recording.id).nodes:
            if waiting:
                trees.put_caption(recording.id, caption(node, waiting.pop(0)))
        with archive.transaction() as db:
            db.execute("DELETE FROM nodes WHERE h = 9")
        rows = archive.rows("SELECT id FROM nodes WHERE recording = ?", [recording.id])
        nodes += [row["id"] for row in rows]
    return nodes[: len(texts)]


def by_fts5(archive: Archive, query: Sequence[str], limit: int) -> list[tuple[int, float]]:
    """What FTS5 itself ranks best, with all captions in one index."""
    memory = sqlite3.connect(":memory:")
    memory.execute("CREATE VIRTUAL TABLE f USING fts5(text, tokenize='porter unicode61')")
    rows = archive.rows("SELECT node, text FROM captions")
    memory.executemany("INSERT INTO f(rowid, text) VALUES (:node, :text)", rows)
    asked = " OR ".join(f'"{word}"' for word in query)
    sql = "SELECT rowid, -rank FROM f WHERE f MATCH ? ORDER BY rank, rowid LIMIT ?"
    found = memory.execute(sql, [asked, limit]).fetchall()
    memory.close()
    return found


def ranked(
    archive: Archive, query: Sequence[str], limit: int = 20, selection: Selection = EVERYTHING
) -> list[tuple[int, float]]:
    stems = tokens(" ".join(query))
    with archive.reading():
        found = rank(archive, stems, selection, limit)
    return list(zip(found.nodes.tolist(), found.scores.tolist(), strict=True))


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(
        st.lists(st.sampled_from([*SAID, "dog's", "0.5"]), max_size=9).map(" ".join), max_size=60
    ),
    query=st.lists(st.sampled_from(SAID), min_size=1, max_size=5, unique_by=lambda w: tokens(w)[0]),
    sealed=st.sets(st.integers(0, 4)),
    limit=st.integers(1, 30),
)
def test_ranking_is_that_of_fts5_whatever_is_sealed(
    texts: list[str], query: list[str], sealed: set[int], limit: int
) -> None:
    with Archive(Path(":memory:")).open() as archive:
        fill(archive, texts, apart=SIZE - 5)
        for block in sealed:
            assert seal(archive, block)

        found, wanted = ranked(archive, query, limit), by_fts5(archive, query, limit)

    assert [score for _, score in found] == pytest.approx([score for _, score in wanted])
    told = dict(wanted)
    # Sums in another order differ in their last digits, so that equal captions may be swapped.
    assert all(score == pytest.approx(told.get(node, score)) for node, score in found)


def test_equal_captions_stand_in_order_of_their_numbers(archive: Archive) -> None:
    nodes = fill(archive, ["a red car"] * 20 + ["a dog"] * 30, apart=SIZE - 5)
    seal(archive, 0)

    assert [node for node, _ in ranked(archive, ["red"], 7)] == nodes[:7]


def test_caption_that_changes_after_sealing_is_found_as_it_is_now(archive: Archive) -> None:
    first, second, *_ = fill(archive, ["a red car", "a red dog", "a man", "a man", "a man"])
    seal(archive, 0)

    with archive.transaction() as db:
        db.execute("UPDATE captions SET text = 'a blue bus' WHERE node = ?", [first])

    assert [node for node, _ in ranked(archive, ["red"])] == [second]
    assert [node for node, _ in ranked(archive, ["bus"])] == [first]
    seal(archive, 0)
    assert ranked(archive, ["bus"]) == by_fts5(archive, ["bus"], 20)
    assert archive.rows("SELECT * FROM words_gone") == []


def test_caption_that_goes_after_sealing_is_not_found(archive: Archive) -> None:
    first, second, *_ = fill(archive, ["a red car", "a red dog", "a man", "a man", "a man"])
    seal(archive, 0)

    with archive.transaction() as db:
        db.execute("DELETE FROM captions WHERE node = ?", [first])

    assert [node for node, _ in ranked(archive, ["red"])] == [second]
    with archive.transaction() as db:
        db.execute("INSERT INTO captions_fts(captions_fts) VALUES ('integrity-check')")


def test_number_that_is_used_again_brings_only_the_new_caption(
    archive: Archive, trees: Trees
) -> None:
    fill(archive, ["a red car"])
    seal(archive, 0)
    with archive.transaction() as db:
        db.execute("DELETE FROM recordings")

    again = add(trees, "other")
    trees.put_caption(again.id, caption(trees.plan(again.id).nodes[0], "a dog"))

    assert search(archive, "red") == []
    assert [hit.recording for hit in search(archive, "dog")] == [again.id]


def test_block_of_which_nothing_is_left_takes_no_room(archive: Archive) -> None:
    fill(archive, ["a red car"])
    seal(archive, 0)
    with archive.transaction() as db:
        db.execute("DELETE FROM recordings")

    seal(archive, 0)

    for table in ("word_blocks", "word_postings", "words_gone"):
        assert archive.rows(f"SELECT * FROM {table}") == []


def test_sealing_waits_until_enough_is_open_and_takes_the_fullest_block(
    archive: Archive,
) -> None:
    fill(archive, ["a red car"] * 40, apart=SIZE - 20)

    assert due(archive, most_open=40) is None
    block = due(archive, most_open=39)
    assert block is not None
    seal(archive, block)
    assert due(archive, most_open=39) is None


def test_block_of_which_more_than_half_is_gone_is_sealed_anew(archive: Archive) -> None:
    nodes = fill(archive, ["A person walks."] * 10)
    seal(archive, 0)
    with archive.transaction() as db:
        db.execute("DELETE FROM captions WHERE node <= ?", [nodes[4]])
    half = due(archive)
    with archive.transaction() as db:
        db.execute("DELETE FROM captions WHERE node = ?", [nodes[5]])

    assert half is None
    assert due(archive) == 0
    assert seal(archive, 0)
    assert due(archive) is None
    assert archive.rows("SELECT captions FROM word_blocks") == [{"captions": 4}]
    assert archive.rows("SELECT * FROM words_gone") == []


def test_captions_that_change_while_they_are_sealed_are_sealed_later(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = fill(archive, ["a red car"])

    def meanwhile(texts: Sequence[str]) -> object:
        with archive.transaction() as db:
            db.execute("UPDATE captions SET text = 'a bus' WHERE node = ?", [first])
        return postings_of(texts)

    postings_of = postings.lengths
    monkeypatch.setattr(postings, "lengths", meanwhile)
    assert not seal(archive, 0)
    monkeypatch.undo()

    assert ranked(archive, ["red"]) == []
    assert [node for node, _ in ranked(archive, ["bus"])] == [first]


def test_word_that_stands_more_often_than_a_byte_counts_is_found(archive: Archive) -> None:
    nodes = fill(archive, ["dog " * 300, "dog", "a man", "a man", "a man"])
    seal(archive, 0)

    assert [node for node, _ in ranked(archive, ["dog"])] == nodes[:2]


def test_scope_holds_in_sealed_blocks(archive: Archive) -> None:
    fill(archive, ["a red car"] * 42 + ["a dog"] * 70, apart=SIZE // 2)
    before = {}
    scopes = [
        Scope(cameras=("camera 1",)),
        Scope(recording=2),
        Scope(since=NOON + timedelta(seconds=6), until=NOON + timedelta(hours=1, seconds=3)),
        Scope(cameras=("camera 0",), since=NOON + timedelta(hours=2, seconds=9)),
    ]
    for scope in scopes:
        before[scope] = search(archive, "red", scope, 100)
        assert 0 < len(before[scope]) < 42

    for block in range(4):
        seal(archive, block)

    assert {scope: search(archive, "red", scope, 100) for scope in scopes} == before


@given(
    ranges=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=6),
    blocks=st.sets(st.integers(0, 9)),
)
def test_mask_of_blocks_says_what_the_selection_holds(
    ranges: list[tuple[int, int]], blocks: set[int]
) -> None:
    held = {node for start, long in ranges for node in range(start, start + long)}
    selection = Selection(_ranges(held))
    shown = np.array(sorted(blocks), np.int64)

    mask = selection.mask(shown, 7)

    places = [int(block) * 7 + inside for block in shown for inside in range(7)]
    assert mask is not None
    assert mask.tolist() == [place in held for place in places]
    assert selection.holds(np.arange(70)).tolist() == [node in held for node in range(70)]


def _ranges(held: set[int]) -> np.ndarray:
    starts = sorted(node for node in held if node - 1 not in held)
    ends = sorted(node + 1 for node in held if node + 1 not in held)
    return np.array(list(zip(starts, ends, strict=True)), np.int64).reshape(-1, 2)


def test_selection_of_nothing_is_empty(archive: Archive) -> None:
    fill(archive, ["a red car"])

    assert select(archive, Scope(cameras=("nowhere",))).empty
    assert not select(archive, Scope()).empty


def test_tokens_are_stems_without_accents() -> None:
    assert tokens(" ".join(words("Cafés walking, walked; DOGS"))) == ["cafe", "walk", "dog"]


def test_search_sees_one_state_while_blocks_are_sealed(archive: Archive) -> None:
    fill(archive, ["a red car", "a dog", "a man", "a man", "a man"])
    before = ranked(archive, ["red", "dog"])
    assert len(before) == 2

    with archive.reading():
        archive.rows("SELECT count(*) FROM word_blocks b")  # the state is that of the first read
        other = threading.Thread(target=lambda: seal(archive, 0))
        other.start()
        other.join()
        meanwhile = ranked(archive, ["red", "dog"])

    assert archive.rows("SELECT block FROM word_blocks") == [{"block": 0}]
    assert meanwhile == before == ranked(archive, ["red", "dog"])


def test_captions_of_an_older_archive_are_found_and_sealed(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    older = Database(path)
    migrations.apply(older, stop_before="m004_search_over_a_million")
    older.execute(
        "INSERT INTO recordings(content, camera, starts_at, starts_epoch_s, ends_epoch_s, "
        "start_source, duration_s, width, split, captioner, nodes) "
        "VALUES ('a', 'gate', '2026-03-01T12:00:00+00:00', 0, 9, 'mtime', 9, 1, 'uniform', '', 3)"
    )
    for node, path_of in enumerate([(1, 0, 0), (1, 1, 0), (1, 1, 1)], 1):
        older.execute("INSERT INTO nodes VALUES (?, 1, ?, ?, ?, 0, 9)", [node, *path_of])
        older.execute(
            "INSERT INTO captions(node, text, written_by, version, prompt, seconds, frames, tokens)"
            " VALUES (?, ?, '', '', '', 0, 0, 0)",
            [node, ["a red car", "a dog", "a man"][node - 1]],
        )
    older.conn.commit()
    older.close()

    with Archive(path).open() as archive:
        assert [hit.caption for hit in search(archive, "dog")] == ["a dog"]
        block = due(archive, most_open=0)
        assert block == 0
        assert seal(archive, block)
        assert [hit.caption for hit in search(archive, "dog")] == ["a dog"]
        with archive.transaction() as db:
            db.execute("DELETE FROM recordings")
        assert search(archive, "dog") == []
