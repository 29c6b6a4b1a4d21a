"""Which file system a folder lies on, and whether its kernel tells of every change.

inotify tells of what goes through this kernel. On NFS, SMB, 9p, most of FUSE and all cluster
file systems another machine may write, and nothing is told: such folders are polled. The list
below is of those that tell everything, so that a file system nobody thought of is polled: that
costs a walk now and then, and misses nothing. overlay counts as telling: what is written
through it is told, and nobody should write to its layers beneath; the rescan finds that too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_lvr1.daemon.watching.candidates import below

MOUNTINFO = Path("/proc/self/mountinfo")
# fuseblk: a disk of this machine (ntfs-3g); everything else of FUSE is fuse or fuse.NAME.
_LOCAL = """
bcachefs btrfs ecryptfs erofs exfat ext2 ext3 ext4 f2fs fuseblk hfs hfsplus iso9660 jfs msdos
nilfs2 ntfs ntfs3 overlay ramfs reiserfs rootfs squashfs tmpfs ubifs udf vfat xfs zfs
"""
_TELLS_ALL = frozenset(_LOCAL.split())
_ESCAPED = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system: where, of which type, and what (a device, `server:/export`)."""

    point: str
    kind: str
    source: str

    def __str__(self) -> str:
        return f"{self.kind} {self.source} at {self.point}"


def mounts() -> tuple[Mount, ...]:
    """What is mounted now; empty where the kernel does not say."""
    try:
        return parsed(MOUNTINFO.read_bytes())
    except OSError:
        return ()


def parsed(text: bytes) -> tuple[Mount, ...]:
    """The mounts of a /proc/PID/mountinfo, in its order (proc_pid_mountinfo(5))."""
    found = []
    for line in text.splitlines():
        fields, _, more = line.partition(b" - ")
        before, after = fields.split(b" "), more.split(b" ")
        if len(before) >= 5 and len(after) >= 2:
            found.append(Mount(_text(before[4]), _text(after[0]), _text(after[1])))
    return tuple(found)


def mount_of(path: str, among: Iterable[Mount]) -> Mount | None:
    """The mount that a path lies on: the longest point, and of several there the topmost."""
    best: Mount | None = None
    for one in among:
        covers = path == one.point or path.startswith(below(one.point))
        if covers and (best is None or len(one.point) >= len(best.point)):
            best = one
    return best


def concerning(root: Path, among: Iterable[Mount]) -> tuple[Mount, ...]:
    """The mounts that files below a root can lie on: the root's own, and those inside."""
    listed = tuple(among)
    own = mount_of(str(root), listed)
    inside = {one.point: one for one in listed if one.point.startswith(below(root))}
    return ((own,) if own else ()) + tuple(inside.values())


def tells_all(mount: Mount | None) -> bool:
    """Whether file system events tell of everything that happens on a mount."""
    return mount is not None and mount.kind in _TELLS_ALL


def _text(field: bytes) -> str:
    return os.fsdecode(_ESCAPED.sub(lambda octal: bytes([int(octal[1], 8)]), field))
