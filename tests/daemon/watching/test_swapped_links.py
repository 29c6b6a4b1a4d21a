"""Somebody who may write to a watched folder puts links in it, under a daemon that runs."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_lvr1.client import Client
from edge_lvr1.errors import DaemonError
from edge_lvr1.store.db import Archive
from tests.daemon.processes import Daemon, ended_jobs, until
from tests.media_files import steady, video

RACES, TRIES = 4, 8


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, settle_s=0.1)
    yield made
    made.kill()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Footage that lies outside of the watched folder."""
    (tmp_path / "outside").mkdir()
    return video(tmp_path / "outside" / "yard.mp4", steady(50), first_number=500)


def put(source: Path, target: Path) -> None:
    """Put a link in a place at once, as a rename does."""
    beside = target.with_name(f".{target.name}.part")
    beside.symlink_to(source)
    beside.replace(target)


def clip(client: Client, recording: int, out: Path) -> bytes:
    client.clip(recording, 0.0, 1.0, out)
    return out.read_bytes()


def test_clip_of_a_file_that_became_a_link_out_is_not_given(
    daemon: Daemon, secret: Path, tmp_path: Path
) -> None:
    (daemon.watched / "gate").mkdir()
    own = video(daemon.watched / "gate" / "yard.mp4", steady(50))
    with daemon.running(fake=True, ingest={"rescan_s": 600.0}) as client:
        (recording,) = ended_jobs(client, 1)["yard.mp4"]["recordings"]
        before = clip(client, recording, tmp_path / "before.mp4")

        own.with_name(".kept").hardlink_to(own)  # so that the path is never empty
        put(secret, own)
        with pytest.raises(DaemonError, match="has become a link out of its folder"):
            clip(client, recording, tmp_path / "clip.mp4")

        own.unlink()
        own.parent.rename(daemon.watched / "moved")
        own.parent.symlink_to(secret.parent)
        # A walk may have found meanwhile that nothing of what it knew lies there.
        with pytest.raises(DaemonError, match=r"become a link out|is gone since"):
            clip(client, recording, tmp_path / "clip.mp4")

        own.parent.unlink()
        (daemon.watched / "moved").rename(own.parent)
        put(own.with_name(".kept"), own)
        after = clip(client, recording, tmp_path / "clip.mp4")

    assert after == before


@contextmanager
def swapping(place: Path, own: Path, secret: Path) -> Iterator[list[int]]:
    """A path that is a file and a link out by turns, hundreds of times a second."""
    ended, turns = threading.Event(), [0]
    place.hardlink_to(own)

    def swap() -> None:
        beside = place.with_name(f".{place.name}.part")
        while not ended.is_set():
            put(secret, place)
            beside.hardlink_to(own)
            beside.replace(place)
            turns[0] += 1
            ended.wait(0.0005)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield turns
    finally:
        ended.set()
        thread.join()


def test_file_that_is_swapped_for_a_link_all_the_time_is_never_read_outside(
    daemon: Daemon, secret: Path
) -> None:
    kept = video(daemon.folder / "kept.mp4", steady(50))
    times = (kept.stat().st_atime_ns, kept.stat().st_mtime_ns)
    # Of the same size and age, so that nothing but its place tells the two apart.
    size = max(kept.stat().st_size, secret.stat().st_size)
    for path in (kept, secret):
        os.truncate(path, size)
        os.utime(path, ns=times)
    turns = 0
    with daemon.running(fake=True, settle_s=0.1) as client:
        for number in range(RACES):
            place = daemon.watched / f"{number}.mp4"
            with swapping(place, kept, secret) as made:
                for _ in range(TRIES):
                    client.ingest(place)
                    until(lambda: not _busy(client), "the end of a job")
            turns += made[0]
    with Archive(daemon.data / "archive.db").open() as archive:
        known = {row["sha256"] for row in archive.rows("SELECT sha256 FROM files")}
        whys = {row["reason"] for row in archive.rows("SELECT reason FROM jobs")}

    print(f"\nswapped {turns} times: {len(known)} contents, {whys}")
    assert turns > 100
    assert known <= {hashlib.sha256(kept.read_bytes()).hexdigest()}


def _busy(client: Client) -> bool:
    return any(job["state"] in ("queued", "leased") for job in client.jobs())
