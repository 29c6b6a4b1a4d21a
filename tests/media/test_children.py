from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_lvr1.config import Ingest
from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import Cancelled, MediaError
from edge_lvr1.media.children import Children, decoder_of
from edge_lvr1.media.decoder import HERE
from edge_lvr1.media.frames import Footage
from edge_lvr1.media.probe import probe
from tests import media_files

BAD = (str(Path(__file__).with_name("bad_child.py")),)
SIZE = {"height": 96, "width": 160}


@pytest.fixture
def children() -> Iterator[Children]:
    with Children(timeout_s=30.0) as made:
        yield made


@pytest.fixture
def bad() -> Iterator[Children]:
    with Children(memory_mb=256, timeout_s=20.0, program=BAD) as made:
        yield made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return media_files.video(tmp_path / "a.mp4", media_files.steady(500))


def footage(path: Path, children: Children) -> Footage:
    return Footage([Part(str(path), 0.0, 20.0, 0, 0, "")], children)


def pids(children: Children) -> set[int]:
    return set(children._living)


def gone(pid: int) -> bool:
    """Whether a process is gone, within a few seconds."""
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s:
        try:
            state = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":  # dead; whoever inherited it is yet to bury it
            return True
        time.sleep(0.01)
    return False


def test_nothing_is_started_before_it_is_needed_and_one_child_serves_many(
    children: Children, path: Path
) -> None:
    assert pids(children) == set()

    children.probe(path)
    first = pids(children)
    for _ in range(3):
        list(footage(path, children).at([1.0]))

    assert len(first) == 1
    assert pids(children) == first


def test_a_child_that_is_killed_costs_one_request(children: Children, path: Path) -> None:
    frames = footage(path, children).shown(Span(0.0, 20.0))
    next(frames)
    (pid,) = pids(children)

    os.kill(pid, signal.SIGKILL)

    with pytest.raises(MediaError, match=r"a\.mp4 was killed, as happens when memory runs out"):
        list(frames)
    assert children.probe(path) == probe(path)
    assert pid not in pids(children)


def test_an_idle_child_that_died_costs_nothing(children: Children, path: Path) -> None:
    children.probe(path)
    (pid,) = pids(children)
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)

    assert children.probe(path) == probe(path)


def test_a_child_that_hangs_is_ended_and_the_file_is_named(path: Path) -> None:
    with Children(timeout_s=0.6) as children:
        frames = footage(path, children).shown(Span(0.0, 20.0))
        next(frames)
        (pid,) = pids(children)
        os.kill(pid, signal.SIGSTOP)

        with pytest.raises(MediaError, match=r"a\.mp4 gave nothing for 1 s and was ended"):
            list(frames)

        assert gone(pid)


def test_time_is_taken_only_while_somebody_waits(path: Path) -> None:
    with Children(timeout_s=1.5) as children:
        frames = footage(path, children).shown(Span(0.0, 20.0), 80)
        next(frames)
        time.sleep(2.0)  # of the child's own clock there is no other

        assert len(list(frames)) == 499


def test_a_stream_that_is_dropped_lets_the_child_live(children: Children, path: Path) -> None:
    children.probe(path)
    before = pids(children)
    frames = footage(path, children).shown(Span(0.0, 20.0))
    next(frames)

    started_s = time.monotonic()
    frames.close()

    assert time.monotonic() - started_s < 0.5
    assert pids(children) == before


def test_a_child_that_does_not_stop_when_told_is_ended(children: Children, path: Path) -> None:
    frames = footage(path, children).shown(Span(0.0, 20.0))
    next(frames)
    (pid,) = pids(children)
    os.kill(pid, signal.SIGSTOP)

    frames.close()

    assert gone(pid)
    assert pids(children) == set()
    assert children.probe(path) == probe(path)


def test_several_threads_share_the_children(path: Path) -> None:
    def look(number: int) -> list[int]:
        frames = footage(path, children).every(0.5, Span(number, number + 8.0), 80)
        return media_files.numbers(frame.image for frame in frames)

    with Children(timeout_s=60.0, most=2) as children, ThreadPoolExecutor(6) as threads:
        found = list(threads.map(look, range(6)))

        assert len(pids(children)) <= 2
    for number, numbers in enumerate(found):
        first = number * 25
        assert numbers == [int(first + 12.5 * n) for n in range(16)]


def test_more_streams_than_children_are_refused_and_not_waited_for_for_ever(path: Path) -> None:
    with Children(timeout_s=0.3, most=1) as children:
        one = footage(path, children).shown(Span(0.0, 20.0))
        next(one)

        with pytest.raises(MediaError, match="all decoders are busy"):
            children.probe(path)

        one.close()
        assert children.probe(path).duration_s == pytest.approx(20.0)


def test_a_child_outlives_the_thread_that_asked_first(children: Children, path: Path) -> None:
    thread = threading.Thread(target=children.probe, args=(path,))
    thread.start()
    thread.join()
    before = pids(children)

    children.probe(path)

    assert pids(children) == before


def test_closing_ends_all_children_and_what_they_do(path: Path) -> None:
    children = Children(timeout_s=30.0)
    frames = footage(path, children).shown(Span(0.0, 20.0))
    next(frames)
    children.probe(path)
    running = pids(children)

    children.close()

    assert len(running) == 2
    with pytest.raises(MediaError, match="broken off"):
        list(frames)
    assert all(gone(pid) for pid in running)
    with pytest.raises(MediaError, match="closed"):
        children.probe(path)


DAEMON = """
import sys, time
from pathlib import Path
from edge_lvr1.media.children import Children
children = Children()
children.probe(Path(sys.argv[1]))
print(*children._living, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("busy", [False, True])
def test_children_end_with_a_daemon_that_is_killed(path: Path, busy: bool) -> None:
    root = Path(__file__).resolve().parents[2]
    daemon = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    with daemon:
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        if busy:  # hears nothing of a socket that closes
            os.kill(pid, signal.SIGSTOP)

        daemon.kill()

        assert gone(pid)


def test_too_little_memory_is_said(tmp_path: Path) -> None:
    path = media_files.video(
        tmp_path / "a.avi",
        media_files.steady(2),
        codec="mjpeg",
        size_px=(7000, 7000),
        pix_fmt="yuvj420p",
        options={"threads": "1"},
    )

    with (
        Children(memory_mb=256) as children,
        pytest.raises(MediaError, match=r"a\.avi needs more memory .*decoder_memory_mb"),
    ):
        list(footage(path, children).at([0.0]))

    assert HERE.probe(path).width_px == 7000


def test_what_a_child_logs_is_logged(
    children: Children, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = media_files.truncated_mkv(tmp_path / "a.mkv")

    with caplog.at_level("INFO", "edge_lvr1.media.process"):
        children.probe(path)

    assert "its pictures end at" in caplog.text


def test_a_child_gives_up_what_it_does_not_need(
    bad: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_KEY", "hush")

    with pytest.raises(MediaError) as told:
        bad.probe(Path("state.mp4"))

    state = json.loads(str(told.value))
    assert state["interfaces"] in ([], ["lo"])
    assert state["no_new_privs"]
    assert state["capabilities"] & ~0b110 == 0
    assert state["nice"] >= 5
    assert state["oom"] >= 500
    assert state["core"] == [0, 0]
    assert state["files"] <= 64
    assert state["data"] == 256 * 2**20
    assert state["written"] <= 16 * 2**30
    assert state["secret"] is None
    assert state["stdin"] == "/dev/null"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("crash", r"crash\.mp4 crashed its decoder \(SIGSEGV\)"),
        ("exit", r"exit\.mp4 crashed its decoder \(exit status 3\)"),
        ("fill", r"needs more memory to decode than ingest\.decoder_memory_mb allows \(256\)"),
        ("shrink", "refused"),
        ("raw", "makes no sense"),
        ("long", "makes no sense"),
        ("deep", "makes no sense"),
        ("says []", "makes no sense"),
        ('says {"is": "tea"}', "makes no sense"),
        ('says {"is": "item"}', "makes no sense"),
        ('says {"is": "item", "container": 7}', "makes no sense"),
        ('says {"is": "item", "at": -1, "size": 5, "upto": 5}', "makes no sense"),
        ('says {"is": "item", "inline": 1e99}', "makes no sense"),
        ('says {"is": "error", "kind": "media"}', "makes no sense"),
        ('says {"is": "log", "level": "high", "text": ""}', "makes no sense"),
        ('says {"is": "end"}', "said nothing"),
    ],
)
def test_a_bad_child_costs_one_request_with_a_reason(bad: Children, name: str, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        bad.probe(Path(f"{name}.mp4"))

    with pytest.raises(MediaError, match="no_new_privs"):
        bad.probe(Path("state.mp4"))


@pytest.mark.parametrize("how", ["hang", "endless", "chatter"])
def test_a_child_that_comes_to_no_end_is_ended(how: str) -> None:
    with (
        Children(timeout_s=1.0, program=BAD) as children,
        pytest.raises(MediaError, match=rf"{how}\.mp4 gave nothing for 1 s"),
    ):
        children.probe(Path(f"{how}.mp4"))


def test_a_child_that_reads_on_is_waited_for() -> None:
    with (
        Children(timeout_s=1.0, program=BAD) as children,
        pytest.raises(MediaError, match="read to the end"),
    ):
        children.probe(Path("slow.mp4"))


@pytest.mark.parametrize(
    "lie",
    [
        {**SIZE, "at": 0, "size": 5, "upto": 5},
        {**SIZE, "at": 2**23 - 10, "size": 3 * 96 * 160, "upto": 5},
        {**SIZE, "inline": 0},
        {**SIZE, "width": 10**9, "at": 0, "size": 3, "upto": 3},
        {"height": 0, "width": 0, "at": 0, "size": 0, "upto": 0},
        {"height": True, "width": 1, "at": 0, "size": 3, "upto": 3},
        SIZE,
        {},
    ],
)
def test_a_picture_that_is_none_is_not_taken(bad: Children, lie: dict[str, object]) -> None:
    name = "says " + json.dumps({"is": "item", **lie})

    with pytest.raises(MediaError, match="makes no sense"):
        list(footage(Path(name + ".mp4"), bad).at([1.0]))


def test_fewer_frames_than_asked_for_are_noticed(bad: Children) -> None:
    with pytest.raises(MediaError, match="too few frames"):
        list(footage(Path('says {"is": "end"}.mp4'), bad).at([1.0]))


def test_last_words_of_a_crash_are_logged(bad: Children, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(MediaError):
        bad.probe(Path("exit.mp4"))

    assert "a last word" in caplog.text


def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text("raise RuntimeError('no such library')\n")

    with (
        Children(program=(str(script),)) as children,
        pytest.raises(MediaError, match="did not start: RuntimeError: no such library"),
    ):
        children.probe(Path("a.mp4"))


def test_what_a_child_could_not_give_up_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = tmp_path / "child.py"
    text = Path(BAD[0]).read_text("utf-8")
    script.write_text(text.replace('"missing": []', '"missing": ["leave the network"]'))

    with Children(timeout_s=20.0, program=(str(script),)) as children:
        for _ in range(2):
            with pytest.raises(MediaError):
                children.probe(Path("crash.mp4"))

    assert caplog.text.count("could not leave the network") == 1


def test_settings_choose_the_decoder() -> None:
    assert decoder_of(Ingest(decoder="here")) is HERE
    chosen = decoder_of(Ingest(decoder_memory_mb=300))
    assert isinstance(chosen, Children)
    chosen.close()


def test_a_child_that_hangs_over_what_nobody_wants_is_ended_within_a_second(bad: Children) -> None:
    began_s = time.monotonic()
    bound = bad.until(lambda: time.monotonic() > began_s + 0.3)

    with pytest.raises(Cancelled, match=r"hang\.mp4 is not wanted any more"):
        bound.probe(Path("hang.mp4"))

    assert time.monotonic() - began_s < 2.5  # a child's start included
    with pytest.raises(MediaError, match="no_new_privs"):
        bad.probe(Path("state.mp4"))
