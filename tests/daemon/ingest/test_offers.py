"""Files on their way into the queue, where the store does not take them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_lvr1.daemon.ingest.offers import Offers
from edge_lvr1.daemon.watching.settling import Settling
from edge_lvr1.errors import StoreError
from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import IngestQueue, Job


class Failing(IngestQueue):
    """Takes so many files, and then none until it is told to."""

    def __init__(self, archive: Archive, takes: int) -> None:
        super().__init__(archive, lambda: 1000.0)
        self.takes = takes

    def offer(
        self, path: str, size: int, mtime_ns: int, again: bool = False, priority: int = 0
    ) -> Job | None:
        if self.takes == 0:
            raise StoreError("the database cannot grow: the disk is full")
        self.takes -= 1
        return super().offer(path, size, mtime_ns, again, priority)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "archive.db").open() as opened:
        yield opened


def test_files_that_cannot_be_stored_are_offered_again_when_they_stood_still(
    tmp_path: Path, archive: Archive
) -> None:
    now_s = [0.0]
    jobs = Failing(archive, takes=1)
    root = tmp_path / "watched"
    root.mkdir()
    offers = Offers(Settling(5.0, lambda: now_s[0], [root], jobs.known), jobs, lambda: None)
    paths = [root / f"{name}.mp4" for name in "abc"]
    for path in paths:
        path.touch()
    offers.saw([str(path) for path in paths])
    now_s[0] = 5.0
    with pytest.raises(StoreError, match="the disk is full"):
        offers.settle(root)
    waiting = offers.settling(root)

    jobs.takes = 10
    now_s[0] = 10.0
    left = offers.settle(root)

    assert (waiting, left) == (2, False)
    assert sorted(job.path for job in jobs.jobs()) == [str(path) for path in paths]
