"""A file is whole when it stood still: decided on a fake clock, over real files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.daemon.watching.settling import Settling, WholeFile


class Clock:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settling(clock: Clock) -> Settling:
    return Settling(5.0, clock)


def write(path: Path, content: bytes, mtime_ns: int = 1_000) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def names(files: list[WholeFile]) -> list[str]:
    return [Path(file.path).name for file in files]


def test_file_is_handed_out_once_when_it_stood_still(
    tmp_path: Path, settling: Settling, clock: Clock
) -> None:
    path = write(tmp_path / "a.mp4", b"abc", mtime_ns=5_000)
    settling.saw([str(path)])

    early = settling.take_whole()
    clock.now_s += 5.0
    whole = settling.take_whole()
    clock.now_s += 100.0
    again = settling.take_whole()

    assert (early, again) == ([], [])
    assert whole == [WholeFile(str(path), 3, 5_000)]
    assert settling.pending() == 0


@pytest.mark.parametrize(
    ("content", "mtime_ns"), [(b"abcdef", 1_000), (b"xyz", 2_000)], ids=["grew", "was rewritten"]
)
def test_change_starts_the_wait_anew(
    tmp_path: Path, settling: Settling, clock: Clock, content: bytes, mtime_ns: int
) -> None:
    path = write(tmp_path / "a.mp4", b"abc")
    settling.saw([str(path)])
    clock.now_s += 4.9
    write(path, content, mtime_ns)
    settling.take_whole()

    clock.now_s += 4.9
    early = settling.take_whole()
    clock.now_s += 0.1
    whole = settling.take_whole()

    assert early == []
    assert names(whole) == ["a.mp4"]


def test_event_storm_does_not_put_off_a_file_that_stands_still(
    tmp_path: Path, settling: Settling, clock: Clock
) -> None:
    path = write(tmp_path / "a.mp4", b"abc")

    for _ in range(20):
        settling.saw([str(path)])
        clock.now_s += 0.25

    assert names(settling.take_whole()) == ["a.mp4"]


def test_empty_file_that_is_being_written_is_not_handed_out_before_it_settles(
    tmp_path: Path, settling: Settling, clock: Clock
) -> None:
    path = write(tmp_path / "a.mp4", b"")
    settling.saw([str(path)])
    clock.now_s += 3.0

    assert settling.take_whole() == []
    assert settling.pending() == 1


def test_vanished_file_is_forgotten_and_followed_again_when_it_returns(
    tmp_path: Path, settling: Settling, clock: Clock
) -> None:
    path = write(tmp_path / "a.mp4", b"abc")
    settling.saw([str(path)])
    path.unlink()
    clock.now_s += 5.0
    gone = settling.take_whole()
    forgotten = settling.pending()

    write(path, b"abc")
    settling.saw([str(path)])
    clock.now_s += 5.0

    assert (gone, forgotten) == ([], 0)
    assert names(settling.take_whole()) == ["a.mp4"]


def test_file_that_is_known_is_followed_only_when_it_changes(tmp_path: Path, clock: Clock) -> None:
    path = write(tmp_path / "a.mp4", b"abc", mtime_ns=5_000)
    settling = Settling(5.0, clock, (), lambda paths: dict.fromkeys(paths, (3, 5000)))

    followed = settling.saw([str(path)])
    unchanged = settling.pending()
    write(path, b"other")

    assert (followed, unchanged) == (set(), 0)
    assert settling.saw([str(path)]) == {None}
    assert settling.pending() == 1


def test_folder_is_no_file(tmp_path: Path, settling: Settling) -> None:
    settling.saw([str(tmp_path)])

    assert settling.pending() == 0


def test_mount_that_stutters_is_no_deletion(
    tmp_path: Path, settling: Settling, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.mp4", b"abc")
    settling.saw([str(path)])
    with monkeypatch.context() as broken:

        def stutter(path: str) -> os.stat_result:
            raise OSError(5, "Input/output error")

        broken.setattr(os, "stat", stutter)
        clock.now_s += 5.0
        during = settling.take_whole()
        settling.saw([str(path)])

    clock.now_s += 5.0

    assert during == []
    assert names(settling.take_whole()) == ["a.mp4"]


@given(
    steps=st.lists(
        st.tuples(st.floats(0.0, 8.0), st.sampled_from(["saw", "write", "look", "unlink"])),
        max_size=40,
    )
)
def test_what_is_handed_out_stood_still_for_the_time_asked(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, str]]
) -> None:
    clock = Clock()
    settling = Settling(5.0, clock)
    path = tmp_path_factory.mktemp("settling") / "a.mp4"
    changed_s, version = clock.now_s, 0

    for wait_s, step in steps:
        clock.now_s += wait_s
        if step == "write":
            version += 1
            write(path, b"x" * version, mtime_ns=version)
            changed_s = clock.now_s
        elif step == "unlink":
            path.unlink(missing_ok=True)
        elif step == "saw":
            settling.saw([str(path)])
        else:
            for file in settling.take_whole():
                assert clock.now_s - changed_s >= 5.0 - 1e-9
                assert file.size_bytes == version


def test_writer_that_appends_slowly_is_waited_for_to_its_last_byte(
    tmp_path: Path, settling: Settling, clock: Clock
) -> None:
    path = write(tmp_path / "a.mp4", b"")
    settling.saw([str(path)])
    for size in range(1, 10):
        clock.now_s += 4.0
        write(path, b"x" * size, mtime_ns=size)
        assert settling.take_whole() == []
    clock.now_s += 5.0

    (whole,) = settling.take_whole()

    assert whole.size_bytes == 9


def test_file_allocated_at_its_full_size_is_waited_for_by_its_mtime(
    tmp_path: Path, settling: Settling, clock: Clock
) -> None:
    path = tmp_path / "a.mp4"
    with path.open("wb") as file:
        file.truncate(10_000)
    settling.saw([str(path)])
    for second in range(1, 10):
        clock.now_s += 4.0
        with path.open("r+b") as file:
            file.write(b"x" * 1000 * second)
        os.utime(path, ns=(second, second))
        assert settling.take_whole() == []
    clock.now_s += 5.0

    assert names(settling.take_whole()) == ["a.mp4"]


def test_file_that_takes_the_place_of_another_is_handed_out_anew(
    tmp_path: Path, settling: Settling, clock: Clock
) -> None:
    path = write(tmp_path / "a.mp4", b"abc")
    settling.saw([str(path)])
    clock.now_s += 5.0
    settling.take_whole()

    write(tmp_path / "a.mp4.part", b"other", mtime_ns=7).rename(path)
    settling.saw([str(path)])
    clock.now_s += 5.0

    assert [file.size_bytes for file in settling.take_whole()] == [5]


def test_roots_settle_apart(tmp_path: Path, clock: Clock) -> None:
    roots = [tmp_path / "a", tmp_path / "a" / "inner", tmp_path / "b"]
    for root in roots:
        root.mkdir()
    settling = Settling(5.0, clock, roots)
    for folder in (*roots, tmp_path):
        settling.saw([str(write(folder / f"{folder.name}.mp4", b"x"))])
    clock.now_s += 5.0

    whole = [names(settling.take_whole(root)) for root in (*roots, None)]

    assert whole == [["a.mp4"], ["inner.mp4"], ["b.mp4"], [f"{tmp_path.name}.mp4"]]


def test_file_that_hangs_in_one_root_does_not_hold_up_another(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, alive = tmp_path / "dead", tmp_path / "alive"
    for root in (dead, alive):
        root.mkdir()
    settling = Settling(0.0, clock, [dead, alive])
    for root in (dead, alive):
        settling.saw([str(write(root / "a.mp4", b"x"))])
    hung, goes_on = threading.Event(), threading.Event()
    stat = os.stat

    def hang(path: str) -> os.stat_result:
        if path == str(dead / "a.mp4"):
            hung.set()
            assert goes_on.wait(30)
        return stat(path)

    monkeypatch.setattr(os, "stat", hang)
    thread = threading.Thread(target=settling.take_whole, args=[dead])
    thread.start()
    try:
        assert hung.wait(30)

        assert names(settling.take_whole(alive)) == ["a.mp4"]
    finally:
        goes_on.set()
        thread.join()
