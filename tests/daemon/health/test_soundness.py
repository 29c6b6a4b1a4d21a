"""After a bad end the database is looked through, and damage is told, never repaired in passing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edge_lvr1.daemon.health import soundness as module
from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.health.room import DAMAGED
from edge_lvr1.daemon.health.soundness import Soundness
from edge_lvr1.errors import StoreDamaged
from edge_lvr1.store.db import Archive
from tests.store.test_opening import spoil


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Archive(tmp_path / "archive.db").open() as archive:
        return archive.path


def killed(path: Path) -> None:
    """Leave the file as a daemon does that is killed."""
    (path.parent / f"{path.name}.in-use").touch()


def test_file_that_was_closed_well_is_not_looked_through(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    monkeypatch.setattr(module, "damage_of", lambda file, *_: looks.append(file) or "")
    for _ in range(2):
        sound = Soundness(path, Faults())
        sound.check()
        with sound.in_use():
            pass

    assert looks == []
    assert not list(path.parent.glob("*.in-use"))


def test_small_file_is_looked_through_before_it_is_opened(path: Path) -> None:
    killed(path)
    sound = Soundness(path, Faults())

    sound.check()
    with sound.in_use():
        pass

    assert not list(path.parent.glob("*.in-use"))


def test_damage_refuses_the_start_until_a_sound_file_is_there(path: Path) -> None:
    well = path.read_bytes()
    killed(path)
    spoil(path)

    for at_once_bytes in (1 << 20, 0):
        with pytest.raises(StoreDamaged, match="left as it is: bring back a copy"):
            Soundness(path, Faults(), at_once_bytes).check()
    path.write_bytes(well)
    sound = Soundness(path, Faults(), at_once_bytes=0)  # however big: damage was found
    sound.check()
    with sound.in_use():
        pass

    assert not list(path.parent.glob("*.in-use"))


def test_big_file_is_looked_through_behind_the_work_and_damage_is_a_fault(path: Path) -> None:
    killed(path)
    spoil(path)
    faults = Faults()
    sound = Soundness(path, faults, at_once_bytes=0)

    sound.check()
    with sound.in_use():
        sound._thread.join(20.0)

    (fault,) = faults.now()
    assert fault.key == DAMAGED
    assert "bring back a copy with: edge-lvr1 restore" in fault.sentence
    with pytest.raises(StoreDamaged):
        Soundness(path, Faults(), at_once_bytes=0).check()


def test_big_file_that_is_sound_is_no_fault(path: Path) -> None:
    killed(path)
    faults = Faults()
    sound = Soundness(path, faults, at_once_bytes=0)

    sound.check()
    with sound.in_use():
        sound._thread.join(20.0)

    assert faults.now() == ()
    assert not list(path.parent.glob("*.in-use"))


def test_look_that_was_not_finished_is_begun_again_at_the_next_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(path)
    begun = threading.Event()

    def long(file: Path, stopped: object) -> str:
        begun.set()
        assert callable(stopped)
        while not stopped():
            pass
        return ""

    monkeypatch.setattr(module, "damage_of", long)
    sound = Soundness(path, Faults(), at_once_bytes=0)
    sound.check()
    with sound.in_use():
        assert begun.wait(20.0)

    assert list(path.parent.glob("*.in-use"))


def test_worker_that_comes_upon_damage_has_the_next_start_look(path: Path) -> None:
    faults = Faults()
    sound = Soundness(path, faults)
    sound.check()
    with sound.in_use():
        sound.found_damage("page 7 is lost")

    assert [fault.key for fault in faults.now()] == [DAMAGED]
    assert (path.parent / "archive.db.in-use").read_text() == "page 7 is lost"


def test_database_that_could_not_be_closed_counts_as_a_bad_end(path: Path) -> None:
    sound = Soundness(path, Faults())
    sound.check()
    with sound.in_use(lambda: False):
        pass

    assert list(path.parent.glob("*.in-use"))
