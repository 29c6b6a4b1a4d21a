"""What doctor says of a machine: a folder stands for one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_lvr1 import doctor, machine
from edge_lvr1.config import Models, Settings
from edge_lvr1.doctor import Finding, examine
from edge_lvr1.machine import Person, gpus, jetson, obstacle, tensorrt


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def found(settings: Settings) -> dict[str, Finding]:
    return {one.name: one for one in examine(settings)}


def test_gpus_are_those_of_the_driver(tmp_path: Path) -> None:
    write(
        tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0/information",
        "Model: \t\t NVIDIA RTX 4000\nIRQ: 1\n",
    )
    write(
        tmp_path / "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06  Wed\nGCC version: 12\n",
    )

    assert gpus(tmp_path) == machine.Gpus(("NVIDIA RTX 4000",), "570.124.06", ())
    assert gpus(tmp_path / "none") == machine.Gpus((), "", ())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open any device file")
def test_device_that_is_closed_to_us_is_named(tmp_path: Path) -> None:
    write(tmp_path / "dev/nvidia0", "")
    (tmp_path / "dev/nvidia0").chmod(0)

    assert gpus(tmp_path).closed == (str(tmp_path / "dev/nvidia0"),)


def test_jetson_says_board_and_jetpack(tmp_path: Path) -> None:
    write(
        tmp_path / "etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic"
    )
    write(tmp_path / "proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")

    assert jetson(tmp_path) == "NVIDIA Jetson AGX Orin Developer Kit, L4T 36.4.3, JetPack 6"
    assert jetson(tmp_path / "none") is None


def test_tensorrt_is_known_by_its_library(tmp_path: Path) -> None:
    for name in ("libnvinfer.so.10", "libnvinfer.so.10.13.0"):
        write(tmp_path / "usr/lib/x86_64-linux-gnu" / name, "")

    assert tensorrt(tmp_path) == "10.13.0"
    assert tensorrt(tmp_path / "none") is None


def test_kernel_tells_whether_the_clock_is_kept() -> None:
    assert machine.clock_is_synchronised() in (True, False, None)


def test_way_to_a_folder_is_gone_step_by_step(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    for folder in (tmp_path / "a", inner):
        folder.chmod(0o755)
    above = [one for one in tmp_path.parents if one.stat().st_mode & 0o001 == 0] + [tmp_path]
    for folder in above:
        if folder.stat().st_mode & 0o001 == 0 and folder.stat().st_uid != os.geteuid():
            pytest.skip(f"{folder} is closed to others and is not ours")
    before = {folder: folder.stat().st_mode for folder in above}
    stranger = Person("stranger", 4_000_001, frozenset({4_000_002}))
    try:
        for folder in above:
            folder.chmod(before[folder] | 0o011)
        open_way = obstacle(inner, stranger)
        inner.chmod(0o711)
        unlisted = obstacle(inner, stranger)
        (tmp_path / "a").chmod(0o700)
        closed = obstacle(inner, stranger)
    finally:
        (tmp_path / "a").chmod(0o755)
        for folder, mode in before.items():
            folder.chmod(mode & 0o7777)

    assert (open_way, unlisted, closed) == (None, inner, tmp_path / "a")
    assert obstacle(inner, Person("root", 0, frozenset())) is None


def test_owner_and_group_go_by_their_own_bits(tmp_path: Path) -> None:
    def may(mode: int, who: Person) -> bool:
        tmp_path.chmod(mode)
        return machine._may(tmp_path.stat(), who, 0o5)

    now = tmp_path.stat()
    owner = Person("owner", now.st_uid or 1, frozenset())
    member = Person("member", 4_000_001, frozenset({now.st_gid}))
    try:
        assert may(0o750, member)
        assert not may(0o705, member)  # the group's bits count, and not the others'
        assert now.st_uid == 0 or not may(0o075, owner)
    finally:
        tmp_path.chmod(0o700)


def test_gpu_that_is_set_and_not_there_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: machine.Gpus((), "", ()))
    monkeypatch.setattr(machine, "jetson", lambda: None)

    without = found(Settings(data=tmp_path))["GPU"]
    wanted = found(Settings(data=tmp_path, models=Models(provider="cuda")))["GPU"]

    assert without.ok
    assert not wanted.ok
    assert "--gpu" in wanted.advice


def test_low_limits_of_events_come_with_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("watches", 100), ("instances", 128)):
        write(tmp_path / f"max_user_{name}", f"{value}\n")
    write(tmp_path / "max_queued_events", "16384\n")
    monkeypatch.setattr(doctor, "_INOTIFY", tmp_path)

    events = found(Settings(data=tmp_path))["file events"]

    assert not events.ok
    assert "sysctl -w fs.inotify.max_user_watches=8192," in events.advice


def test_every_finding_that_is_bad_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, watch=(tmp_path / "gone",), socket=Path("/" + "x" * 200))

    bad = [one for one in examine(settings) if not one.ok]

    assert {one.name for one in bad} >= {"socket", "watched folder"}
    assert all(one.advice for one in bad)


def test_doctor_writes_nothing(tmp_path: Path) -> None:
    found(Settings(data=tmp_path / "data", watch=(tmp_path,)))

    assert list(tmp_path.iterdir()) == []
