"""Which nodes a scope holds, as ranges of their numbers.

A tree's nodes are stored at once, so that a recording in scope is one range; only of those
that a scope's `since` or `until` cuts are single nodes chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import Scope
from edge_lvr1.store.db import Archive
from edge_lvr1.store.trees import scope_sql


@dataclass(frozen=True, slots=True)
class Selection:
    """Half-open ranges of node numbers, int64 [n, 2], ascending and apart; None holds all."""

    ranges: NDArray[np.int64] | None = None

    @property
    def empty(self) -> bool:
        """Whether it holds no node."""
        return self.ranges is not None and not len(self.ranges)

    @property
    def ends(self) -> tuple[int, int]:
        """The least half-open range around it."""
        if self.ranges is None:
            return 0, 2**62
        return int(self.ranges[0, 0]), int(self.ranges[-1, 1])

    def holds(self, nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """For each node number whether it is in here."""
        if self.ranges is None:
            return np.ones(len(nodes), np.bool_)
        if not len(self.ranges):
            return np.zeros(len(nodes), np.bool_)
        found = np.searchsorted(self.ranges[:, 0], nodes, side="right") - 1
        inside: NDArray[np.bool_] = (found >= 0) & (nodes < self.ranges[found, 1])
        return inside

    def mask(self, blocks: NDArray[np.int64], size: int) -> NDArray[np.bool_] | None:
        """For blocks of `size` node numbers, end to end: which nodes are in here; None: all."""
        if self.ranges is None:
            return None
        marks = np.zeros(len(blocks) * size + 1, np.int8)
        np.add.at(marks, _place(self.ranges[:, 0], blocks, size), 1)
        np.add.at(marks, _place(self.ranges[:, 1], blocks, size), -1)
        inside: NDArray[np.bool_] = np.cumsum(marks[:-1], dtype=np.int8).view(np.bool_)
        return inside


def select(archive: Archive, scope: Scope) -> Selection:
    """The nodes that a scope holds: by camera and recording, and by their own times."""
    if scope == Scope():
        return Selection()
    where, values = scope_sql(scope)
    since = scope.since.timestamp() if scope.since else -np.inf
    until = scope.until.timestamp() if scope.until else np.inf
    recordings = archive.rows(f"{_RECORDINGS} WHERE {where}", values)
    ranges = []
    for row in recordings:
        if since <= row["starts_epoch_s"] and row["ends_epoch_s"] <= until:
            ranges.append((row["first"], row["first"] + row["nodes"]))
        else:
            ranges += _cut(archive, row, since, until)
    return Selection(_merged(ranges))


# The first node of a tree has the least number: trees are stored in order of node ids.
_RECORDINGS = (
    "SELECT r.id, r.starts_epoch_s, r.ends_epoch_s, r.nodes, n.id AS first "
    "FROM recordings r CROSS JOIN nodes n ON n.recording = r.id AND n.h = 1 AND n.m = 0 "
    "AND n.l = 0"
)


def _cut(
    archive: Archive, recording: dict[str, Any], since: float, until: float
) -> list[tuple[int, int]]:
    start_s = recording["starts_epoch_s"]
    rows = archive.rows(
        "SELECT id FROM nodes WHERE recording = ? AND end_s > ? AND start_s < ?",
        [recording["id"], since - start_s, until - start_s],
    )
    return [(row["id"], row["id"] + 1) for row in rows]


def _merged(ranges: list[tuple[int, int]]) -> NDArray[np.int64]:
    if not ranges:
        return np.empty((0, 2), np.int64)
    found = np.array(sorted(ranges), np.int64)
    apart = np.flatnonzero(found[1:, 0] > found[:-1, 1])
    starts = found[np.concatenate(([0], apart + 1)), 0]
    ends = found[np.concatenate((apart, [len(found) - 1])), 1]
    return np.stack((starts, ends), axis=1)


def _place(nodes: NDArray[np.int64], blocks: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Where a node number stands when only these blocks are laid end to end."""
    block, inside = np.divmod(nodes, size)
    at = np.searchsorted(blocks, block)
    here = np.append(blocks, -1)[at] == block
    return at * size + np.where(here, inside, 0)
