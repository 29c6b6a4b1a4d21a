"""What a machine is made of, as far as the daemon cares: GPU, board, clock, who may read what.

Reads /proc, /sys and modes of files; starts nothing and opens nothing for writing. Each
function takes the root of what it reads, so that a folder can stand for a machine.
"""

from __future__ import annotations

import ctypes
import grp
import importlib.util
import os
import pwd
import re
import stat
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
_STA_UNSYNC, _STATUS_AT, _TIMEX_BYTES = 0x40, 40, 256  # struct timex of adjtimex(2), 64 bits
_TIME_ERROR = 5
_TEGRA = re.compile(r"R(\d+) \(release\), REVISION: ([0-9.]+)")
# L4T releases and the JetPack that they came with: developer.nvidia.com/embedded/jetpack-archive
_JETPACK = {"35": "5", "36": "6", "38": "7"}


@dataclass(frozen=True, slots=True)
class Gpus:
    """NVIDIA GPUs: their names, the driver's version, device files that we may not open."""

    names: tuple[str, ...]
    driver: str
    closed: tuple[str, ...]


def gpus(root: Path = ROOT) -> Gpus:
    """The GPUs that the driver tells of in /proc."""
    names = []
    for file in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
        told = re.search(r"^Model:\s*(.+)$", _text(file), re.M)
        names.append(told[1].strip() if told else "a GPU of no name")
    version = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", _text(root / "proc/driver/nvidia/version"))
    devices = [*root.glob("dev/nvidia[0-9]*"), *root.glob("dev/nvidiactl")]
    devices += [*root.glob("dev/nvidia-uvm"), *root.glob("dev/nvmap"), *root.glob("dev/nvgpu")]
    closed = [
        str(one) for one in devices if not one.is_dir() and not os.access(one, os.R_OK | os.W_OK)
    ]
    return Gpus(tuple(names), version[1] if version else "", tuple(sorted(closed)))


def jetson(root: Path = ROOT) -> str | None:
    """The Jetson board and its JetPack; None on other machines."""
    release = _TEGRA.search(_text(root / "etc/nv_tegra_release"))
    if release is None:
        return None
    model = _text(root / "proc/device-tree/model").strip("\0\n ") or "a Jetson"
    jetpack = _JETPACK.get(release[1])
    told = f", JetPack {jetpack}" if jetpack else ""
    return f"{model}, L4T {release[1]}.{release[2]}{told}"


def tensorrt(root: Path = ROOT) -> str | None:
    """The version of TensorRT's libraries, from their names; None where there are none."""
    folders = ("usr/lib/*", "usr/local/lib", "usr/local/tensorrt*/lib", "opt/tensorrt*/lib")
    found = [file for folder in folders for file in root.glob(f"{folder}/libnvinfer.so.*")]
    spec = importlib.util.find_spec("tensorrt_libs") if root == ROOT else None
    for place in (spec.submodule_search_locations or ()) if spec else ():
        found += Path(place).glob("libnvinfer.so.*")
    versions = [file.name.removeprefix("libnvinfer.so.") for file in found]
    return max(versions, key=lambda text: text.count("."), default=None)


def clock_is_synchronised() -> bool | None:
    """Whether the kernel's clock is kept by NTP or the like; None where it does not tell."""
    if ctypes.sizeof(ctypes.c_long) != 8:
        return None
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes 0: only read
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    if state < 0:
        return None
    status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], "little")
    return state != _TIME_ERROR and not status & _STA_UNSYNC


@dataclass(frozen=True, slots=True)
class Person:
    """A user with all groups."""

    name: str
    uid: int
    gids: frozenset[int]


def person(name: str) -> Person | None:
    """A user of this machine; None where there is none of that name."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Person(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)))


def group_has_us(name: str) -> bool | None:
    """Whether we are in a group, in this session; None where there is no such group."""
    try:
        gid = grp.getgrnam(name).gr_gid
    except KeyError:
        return None
    return os.geteuid() == 0 or gid in (os.getegid(), *os.getgroups())


def obstacle(folder: Path, who: Person) -> Path | None:
    """The first folder on the way down that a user may not pass or, at the end, not list.

    Goes by owner, group and mode; what an ACL adds is counted with the group (its mask), so
    that it errs on the side of "may". Raises OSError where we cannot look.
    """
    for one in (*reversed(folder.parents), folder):
        wanted = 0o5 if one == folder else 0o1
        if not _may(one.stat(), who, wanted):
            return one
    return None


def _may(found: os.stat_result, who: Person, wanted: int) -> bool:
    mode = stat.S_IMODE(found.st_mode)
    if who.uid == 0:
        return True
    if found.st_uid == who.uid:
        return mode >> 6 & wanted == wanted
    if found.st_gid in who.gids:
        return mode >> 3 & wanted == wanted
    return mode & wanted == wanted


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
