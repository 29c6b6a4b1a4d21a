"""Captions by their meaning: vectors in files beside the database, and the nearest of them.

A vector is stored as int8, each scaled by its own largest component, so that cosines are those
of its direction. New ones stand in SQLite; a background worker seals blocks of them into two
files of numpy's own format: the vectors, int8 [n, dim], and their signs, uint64 [dim / 64, n].
A search counts differing signs over all vectors (48 bytes each for 384 dimensions, about 8 ms
a million), and takes exact cosines of the `RERANKED` closest: all of a scope that has no more.

A file is written and synced before SQLite names it, and never changed: what no row names does
not count and is swept. A block whose file is lost has its vectors made again. This module
knows no embedder, only vectors and the name of their maker.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.errors import StoreError, StoreFull
from edge_lvr1.store.codes import cosine, differing, encode, least, signs
from edge_lvr1.store.db import Archive
from edge_lvr1.store.fusion import Ranked, best, nothing
from edge_lvr1.store.opening import FULL
from edge_lvr1.store.postings import SHIFT, SIZE
from edge_lvr1.store.selection import Selection

logger = logging.getLogger(__name__)

OPEN = 4096
"""Vectors that may wait in SQLite to be sealed."""
RERANKED = 16_384
"""In 4,000 vectors of MiniLM, the nearest is among the closest 1.6 % by sign for 98 of 100 queries;
of a million vectors this many are 1.6 %, and a million holds nearer ones."""

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A caption that has no vector yet."""

    node: int
    text: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many captions have vectors, and how many wait for theirs."""

    made: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Meaning:
    """Vectors, and what makes one of a query that can be compared with them."""

    vectors: Vectors
    embed: Embed


@dataclass(frozen=True, slots=True)
class _Block:
    """A sealed block: which of its nodes have vectors, uint16 [n], and these, mapped."""

    inside: NDArray[np.uint16]
    vectors: NDArray[np.int8]
    signs: NDArray[np.uint64]


class Vectors:
    """The vectors of an archive; `folder` is theirs alone, and one thread writes at a time."""

    def __init__(self, archive: Archive, folder: Path, reranked: int = RERANKED) -> None:
        self._archive = archive
        self._folder = folder
        self._reranked = reranked
        self._lock = threading.Lock()
        self._mapped: dict[str, _Block] = {}

    def exact(self) -> Vectors:
        """The same vectors, all of them compared: slower, and never wrong."""
        return Vectors(self._archive, self._folder, reranked=2**62)

    def serve(self, made_by: str, dim: int) -> bool:
        """From now on vectors are this maker's; False where they have been so far.

        Another's are dropped, and all captions wait for new ones; those that have lost their
        file wait as well. `made_by` tells embedders with different vectors apart.
        """
        with self._archive.transaction() as db:
            found = db.execute("SELECT made_by, dim FROM vector_maker").fetchone()
            changed = bool(found != (made_by, dim))
            if changed:
                for table in ("vector_maker", *_TABLES, "vectors_wanted"):
                    db.execute(f"DELETE FROM {table}")
                db.execute("INSERT INTO vector_maker VALUES (1, ?, ?)", [made_by, dim])
                db.execute("INSERT INTO vectors_wanted SELECT node FROM captions")
            for block, name in db.execute("SELECT block, file FROM vector_blocks").fetchall():
                if not self._whole(name):
                    logger.warning("the vectors of block %d are lost; they are made again", block)
                    db.execute("DELETE FROM vector_blocks WHERE block = ?", [block])
                    db.execute(_WANT_BLOCK, [block * SIZE, (block + 1) * SIZE])
        self.sweep()
        return changed

    def coverage(self) -> Coverage:
        """How far the making of vectors is."""
        row = self._archive.row(
            "SELECT (SELECT count(*) FROM vectors_wanted) AS wanted, "
            "(SELECT count(*) FROM vectors_open) - (SELECT count(*) FROM vectors_gone) + "
            "(SELECT coalesce(sum(length(nodes) / 2), 0) FROM vector_blocks) AS made"
        )
        return Coverage(row["made"], row["wanted"]) if row else Coverage(0, 0)

    def wanted(self, most: int) -> list[Wanted]:
        """Captions without a vector, the newest first."""
        rows = self._archive.rows(
            "SELECT w.node, c.text FROM vectors_wanted w CROSS JOIN captions c ON c.node = w.node "
            "ORDER BY w.node DESC LIMIT ?",
            [most],
        )
        return [Wanted(row["node"], row["text"]) for row in rows]

    def put(self, captions: Sequence[Wanted], vectors: NDArray[np.float32]) -> None:
        """Store the vectors, float32 [n, dim], of captions; of those only that are still so."""
        codes = encode(vectors)
        with self._archive.transaction() as db:
            for caption, code in zip(captions, codes, strict=True):
                same = db.execute(
                    "SELECT 1 FROM captions c CROSS JOIN vectors_wanted w ON w.node = c.node "
                    "WHERE c.node = ? AND c.text = ?",
                    [caption.node, caption.text],
                ).fetchone()
                if same:
                    row = [caption.node, code.tobytes()]
                    db.execute("INSERT OR REPLACE INTO vectors_open VALUES (?, ?)", row)
                    db.execute("DELETE FROM vectors_wanted WHERE node = ?", [caption.node])

    def due(self, most_open: int = OPEN) -> int | None:
        """The block to seal next; None where none is worth it.

        That is where most has changed, once too much is open; else one that is hollow.
        """
        rows = self._archive.rows(
            "SELECT node >> ? AS block, count(*) AS n FROM ("
            "SELECT node FROM vectors_open UNION ALL SELECT node FROM vectors_gone"
            ") GROUP BY 1 ORDER BY n DESC, 1",
            [SHIFT],
        )
        if sum(row["n"] for row in rows) > most_open:
            return int(rows[0]["block"])
        return self.hollow()

    def hollow(self) -> int | None:
        """A block of which more than half is gone, so that its file should be written anew."""
        row = self._archive.row(
            "SELECT b.block FROM (SELECT node >> ? AS block, count(*) AS gone FROM vectors_gone "
            "GROUP BY 1) g CROSS JOIN vector_blocks b ON b.block = g.block "
            "WHERE g.gone * 4 > length(b.nodes)",  # two bytes a node
            [SHIFT],
        )
        return int(row["block"]) if row else None

    def seal(self, block: int) -> bool:
        """Write a block's vectors as they are now; False where they changed meanwhile.

        Raises StoreError where the folder cannot be written.
        """
        self.sweep()
        with self._archive.reading():
            before = self._state(block)
            inside, vectors = self._live(block)
        name = f"{block:06d}-{uuid.uuid4().hex[:12]}" if len(inside) else None
        if name is not None:
            self._write(name, vectors)
        ends = (block * SIZE, (block + 1) * SIZE)
        with self._archive.transaction() as db:
            if self._state(block) != before:
                return False
            db.execute("DELETE FROM vectors_open WHERE node >= ? AND node < ?", ends)
            db.execute("DELETE FROM vectors_gone WHERE node >= ? AND node < ?", ends)
            db.execute("DELETE FROM vector_blocks WHERE block = ?", [block])
            if name is not None:
                row = [block, name, inside.astype("<u2").tobytes()]
                db.execute("INSERT INTO vector_blocks VALUES (?, ?, ?)", row)
        logger.debug("sealed the vectors of block %d: %d captions", block, len(inside))
        return True

    def sweep(self) -> None:
        """Remove the files that nothing names: of blocks sealed anew, of a write cut short."""
        rows = self._archive.rows("SELECT file FROM vector_blocks")
        named = {f"{row['file']}{kind}" for row in rows for kind in _KINDS}
        with self._lock:
            for name in [name for name in self._mapped if f"{name}{_KINDS[0]}" not in named]:
                del self._mapped[name]
        for path in self._folder.glob("*.npy*"):
            if path.name not in named:
                path.unlink(missing_ok=True)

    def nearest(self, query: NDArray[np.float32], selection: Selection, limit: int) -> Ranked:
        """The captions whose vectors point most the way of float32 [dim]; scores are cosines.

        Call it in `archive.reading()`. Raises StoreError for a vector of another length.
        """
        row = self._archive.row("SELECT dim FROM vector_maker")
        length = float(np.linalg.norm(query))
        if row is None or selection.empty or not length:
            return nothing()
        if query.shape != (row["dim"],):
            raise StoreError(f"the vectors have {row['dim']} numbers, the query {query.shape}")
        unit = query / length
        nodes, cosines = self._open(selection, unit)
        places, blocks = self._close(unit, selection)
        for block, rows in _by_block(places):
            found = blocks[block]
            nodes.append(found[0] * SIZE + found[1].inside[rows].astype(np.int64))
            cosines.append(cosine(found[1].vectors[rows], unit))
        told = np.concatenate([*nodes, np.empty(0, np.int64)])
        return best(told, np.concatenate([*cosines, np.empty(0)]), limit)

    def _open(
        self, selection: Selection, unit: NDArray[np.float32]
    ) -> tuple[list[NDArray[np.int64]], list[NDArray[np.float64]]]:
        rows = self._archive.connect().execute("SELECT node, vector FROM vectors_open").fetchall()
        if not rows:
            return [], []
        nodes = np.array([row[0] for row in rows], np.int64)
        codes = np.frombuffer(b"".join(row[1] for row in rows), np.int8).reshape(len(rows), -1)
        held = selection.holds(nodes)
        return [nodes[held]], [cosine(codes[held], unit)]

    def _close(
        self, unit: NDArray[np.float32], selection: Selection
    ) -> tuple[NDArray[np.int64], list[tuple[int, _Block]]]:
        """The blocks in a selection, and the places (block index * SIZE + row) closest by sign."""
        first, end = selection.ends
        rows = self._archive.rows(
            "SELECT block, file FROM vector_blocks b WHERE block BETWEEN ? AND ? ORDER BY block",
            [first >> SHIFT, (end - 1) >> SHIFT],
        )
        blocks = [(row["block"], self._block(row["block"], row["file"])) for row in rows]
        found = [(block, mapped) for block, mapped in blocks if mapped is not None]
        mask = self._mask([block for block, _ in found], selection)
        asked = signs(unit[None])[:, 0]
        apart, places = [], []
        for index, (_, mapped) in enumerate(found):
            base = index * SIZE
            far = differing(mapped.signs, asked)
            rows_in = np.arange(len(far), dtype=np.int64)
            if mask is not None:
                held = mask[base + mapped.inside.astype(np.int64)]
                far, rows_in = far[held], rows_in[held]
            apart.append(far)
            places.append(base + rows_in)
        if not found:
            return np.empty(0, np.int64), []
        return np.concatenate(places)[least(np.concatenate(apart), self._reranked)], found

    def _mask(self, blocks: Sequence[int], selection: Selection) -> NDArray[np.bool_] | None:
        """Which places of blocks laid end to end count: in the selection and not gone."""
        shown = np.array(blocks, np.int64)
        mask = selection.mask(shown, SIZE)
        gone = np.array(
            [row["node"] for row in self._archive.rows("SELECT node FROM vectors_gone")], np.int64
        )
        if not len(gone):
            return mask
        mask = np.ones(len(shown) * SIZE, np.bool_) if mask is None else mask
        at = np.searchsorted(shown, gone >> SHIFT)
        here = np.append(shown, -1)[at] == gone >> SHIFT
        mask[at[here] * SIZE + gone[here] % SIZE] = False
        return mask

    def _block(self, block: int, name: str) -> _Block | None:
        with self._lock:
            mapped = self._mapped.get(name)
        if mapped is None:
            row = self._archive.row("SELECT nodes FROM vector_blocks WHERE file = ?", [name])
            try:
                vectors, sign_bits = (np.load(p, mmap_mode="r") for p in self._paths(name))
            except (OSError, ValueError) as error:
                logger.warning("the vectors of block %d cannot be read: %s", block, error)
                return None
            inside = np.frombuffer(row["nodes"] if row else b"", "<u2")
            mapped = _Block(inside, vectors, sign_bits)
            with self._lock:
                self._mapped[name] = mapped
        return mapped

    def _state(self, block: int) -> list[list[dict[str, object]]]:
        """What a block's sealing depends on."""
        ends = [block * SIZE, (block + 1) * SIZE]
        return [
            self._archive.rows("SELECT file FROM vector_blocks WHERE block = ?", [block]),
            self._archive.rows("SELECT node FROM vectors_gone WHERE node >= ? AND node < ?", ends),
            self._archive.rows("SELECT node FROM vectors_open WHERE node >= ? AND node < ?", ends),
        ]

    def _live(self, block: int) -> tuple[NDArray[np.uint16], NDArray[np.int8]]:
        """All vectors of a block, sealed and open, in order of their nodes."""
        file, gone, _ = self._state(block)
        ends = [block * SIZE, (block + 1) * SIZE]
        rows = self._archive.rows(
            "SELECT node, vector FROM vectors_open WHERE node >= ? AND node < ?", ends
        )
        kept = {row["node"] % SIZE: np.frombuffer(row["vector"], np.int8) for row in rows}
        sealed = self._block(block, str(file[0]["file"])) if file else None
        if sealed is not None:
            lost = {int(str(row["node"])) % SIZE for row in gone}
            for index, node in enumerate(sealed.inside.tolist()):
                if node not in lost:
                    kept.setdefault(node, sealed.vectors[index])
        nodes = sorted(kept)
        vectors = np.stack([kept[node] for node in nodes]) if nodes else np.empty((0, 0), np.int8)
        return np.array(nodes, np.uint16), vectors

    def _paths(self, name: str) -> list[Path]:
        return [self._folder / f"{name}{kind}" for kind in _KINDS]

    def _whole(self, name: str) -> bool:
        try:
            return all(np.load(path, mmap_mode="r").size for path in self._paths(name))
        except (OSError, ValueError):
            return False

    def _write(self, name: str, vectors: NDArray[np.int8]) -> None:
        """Both files of a block, on the disk before this returns."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            of_vectors, of_signs = self._paths(name)
            _save(of_vectors, vectors)
            _save(of_signs, signs(vectors))
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            for path in self._paths(name):  # what is left of them keeps the disk full
                with suppress(OSError):
                    path.unlink()
            raise (StoreFull if error.errno in FULL else StoreError)(
                f"the vectors cannot be written into {self._folder}: {error.strerror}; free some "
                "space or check its rights"
            ) from error


_KINDS = (".vectors.npy", ".signs.npy")
_TABLES = ("vector_blocks", "vectors_open", "vectors_gone")
_WANT_BLOCK = (
    "INSERT OR IGNORE INTO vectors_wanted SELECT c.node FROM captions c "
    "WHERE c.node >= ? AND c.node < ? "
    "AND NOT EXISTS (SELECT 1 FROM vectors_open o WHERE o.node = c.node)"
)


def _save(path: Path, content: NDArray[np.int8] | NDArray[np.uint64]) -> None:
    with path.open("wb") as file:
        np.save(file, content)
        file.flush()
        os.fsync(file.fileno())


def _by_block(places: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
    """Ascending places as rows of each block."""
    blocks, starts = np.unique(places >> SHIFT, return_index=True)
    ends = [*starts[1:].tolist(), len(places)]
    return [
        (block, places[start:end] % SIZE)
        for block, start, end in zip(blocks.tolist(), starts.tolist(), ends, strict=False)
    ]
