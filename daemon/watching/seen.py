"""Which paths a walk saw, in eight bytes each: as a set of texts, a million take 150 MB."""

from __future__ import annotations

from array import array
from bisect import bisect_left

import numpy as np


class SeenPaths:
    """Paths by their hashes: first all are added, then it is asked.

    Two of a million paths have the same hash in one start of the program out of ten million;
    a file that went is then taken to be there until the next start.
    """

    def __init__(self) -> None:
        self._hashes = array("q")
        self._sorted = False

    def add(self, path: str) -> None:
        """A path, once."""
        self._hashes.append(hash(path))
        self._sorted = False

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, path: object) -> bool:
        if self._hashes and not self._sorted:
            np.frombuffer(self._hashes, np.int64).sort()
            self._sorted = True
        wanted = hash(path)
        at = bisect_left(self._hashes, wanted)
        return at < len(self._hashes) and self._hashes[at] == wanted
