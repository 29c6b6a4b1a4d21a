"""A data folder whose disk turns read-only under a daemon, as ext4 locks one after an error."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemon.processes import until
from tests.reliability.asking import ACCEPTED
from tests.reliability.daemons import Nursery, Place
from tests.reliability.invariants import Ledger, broken
from tests.reliability.load import Drops, wait_until_idle

QUESTION = {"question": "Is a moving shape seen?"}
ENDED_WITHIN_S = 300.0


def faults(place: Place) -> dict[str, str]:
    return {fault["key"]: fault["sentence"] for fault in place.talk.status()["faults"]}


def ask(place: Place, key: str, ledger: Ledger) -> tuple[int, str]:
    """Ask once: the status, and what was said of it. A key that is refused is not to be found."""
    status, told = place.talk.request("POST", "/v1/questions", QUESTION, key)
    if status in ACCEPTED:
        ledger.keys.add(key)
        ledger.questions.add(str(told["id"]))
    return status, str(told.get("error", ""))


def lock_again_and_again(place: Place, made: Path, rounds: int, files: int) -> None:
    """Files land and questions are asked while the disk is locked and unlocked, so many times."""
    dice, ledger, refused = random.Random("locked"), Ledger(), 0
    drops = Drops(place.watched, made, ledger, "locked")
    switch = place.folder / "locked"
    # One that is due while the disk is locked fails, and says so until it is tried again.
    place.settings = {"keep": {"backup_every_h": None}}
    place.start(counted=False, sealing=False, locked_by=str(switch))
    assert place.serves(), place.log
    for number in range(rounds):
        for _ in range(files):
            drops.drop()
        status, said = ask(place, f"before {number}", ledger)
        assert status in ACCEPTED, said
        time.sleep(dice.uniform(0.0, 1.0))
        switch.touch()
        until(lambda: "disk.readonly" in faults(place), "the fault")
        for _ in range(files // 2):
            drops.drop()
        status, said = ask(place, f"locked {number}", ledger)
        assert status in (503, 507), said
        assert "can only be read" in said
        assert place.talk.request("GET", "/v1/recordings")[0] == 200
        refused += 1
        time.sleep(dice.uniform(0.5, 2.0))
        switch.unlink()
        until(lambda: not faults(place), "the end of all faults")
    wait_until_idle(place.talk, ENDED_WITHIN_S)
    status_told = place.talk.status()
    assert place.stop() == 0, place.log[-3000:]

    told = f"{status_told['jobs']}, {status_told['recordings']} recordings, {refused} refused"
    print(f"\nlocked {rounds} times: {told}")
    assert broken(place.data, ledger) == []
    assert "Traceback" not in place.log


def test_disk_that_is_read_only_for_a_while_costs_nothing_accepted(
    nurse: Nursery, tmp_path: Path
) -> None:
    place = Place(tmp_path, nurse)
    try:
        lock_again_and_again(place, tmp_path / "made", 1, 6)
    finally:
        place.kill()


@pytest.mark.reliability
@pytest.mark.timeout(1800)
def test_disk_that_is_read_only_20_times_costs_nothing_accepted(
    nurse: Nursery, tmp_path: Path
) -> None:
    place = Place(tmp_path, nurse)
    try:
        lock_again_and_again(place, tmp_path / "made", 20, 12)
    finally:
        place.kill()


class Ext4:
    """A small ext4 of its own, which the kernel can be told to lock."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / "disk"
        self._image = folder / "image"
        self.place.mkdir()
        with self._image.open("wb") as file:
            file.truncate(64 << 20)
        run("mkfs.ext4", "-q", "-F", str(self._image))

    def mount(self) -> None:
        run("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.place))

    def lock(self) -> None:
        """Have it meet an error."""
        source = run("findmnt", "-n", "-o", "SOURCE", str(self.place)).strip()
        Path(f"/sys/fs/ext4/{Path(source).name}/trigger_fs_error").write_text("1")

    def mend(self) -> None:
        """What an administrator does: unmount, check, mount."""
        run("umount", str(self.place))
        subprocess.run(["fsck.ext4", "-p", "-f", str(self._image)], check=False, timeout=60)
        self.mount()


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


@contextmanager
def ext4(folder: Path) -> Iterator[Ext4]:
    """Such a disk, mounted; skips the test where none can be."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    try:
        disk = Ext4(folder)
        disk.mount()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no ext4 of its own can be mounted here: {error}")
    try:
        yield disk
    finally:
        run("umount", "-l", str(disk.place))


def test_disk_that_the_kernel_locks_after_an_error_loses_nothing(
    nurse: Nursery, tmp_path: Path
) -> None:
    with ext4(tmp_path) as disk:
        ledger = Ledger()
        place = Place(tmp_path, nurse, data_folder=disk.place / "data")
        drops = Drops(place.watched, tmp_path / "made", ledger, "ext4")
        try:
            place.start(counted=False, sealing=False)
            assert place.serves(), place.log
            for _ in range(4):
                drops.drop()
            assert ask(place, "before", ledger)[0] in ACCEPTED
            disk.lock()
            until(lambda: "disk.readonly" in faults(place), "the fault")
            status, said = ask(place, "locked", ledger)
            sentence = faults(place)["disk.readonly"]
            place.stop()

            disk.mend()
            place.start(counted=False, sealing=False)
            assert place.serves(), place.log
            wait_until_idle(place.talk, ENDED_WITHIN_S)
            assert place.stop() == 0, place.log[-3000:]
        finally:
            place.kill()

        assert (status, "can only be read" in said) == (503, True)
        assert "can only be read" in sentence
        assert broken(place.data, ledger) == []
        assert "Traceback" not in place.log
