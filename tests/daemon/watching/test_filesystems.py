"""What is mounted where, and which file systems tell of every change."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_lvr1.daemon.watching.filesystems import (
    Mount,
    concerning,
    mount_of,
    mounts,
    parsed,
    tells_all,
)

ROOT = Mount("/", "ext4", "/dev/sda1")
SHARE = Mount("/srv/cam era", "nfs4", "nas:/cam")
INNER = Mount("/srv/cam era/usb", "vfat", "/dev/sdb1")
INFO = (
    b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    b"90 22 0:50 / /srv/cam\\040era rw - nfs4 nas:/cam rw,vers=4.2\n"
    b"91 90 8:17 / /srv/cam\\040era/usb rw shared:9 master:3 - vfat /dev/sdb1 rw\n"
    b"cut short"
)


def test_mounts_are_read_with_their_escapes_and_optional_fields() -> None:
    assert parsed(INFO) == (ROOT, SHARE, INNER)


def test_path_lies_on_the_longest_mount_and_on_the_topmost_of_several() -> None:
    over = Mount("/srv/cam era", "autofs", "auto")

    assert mount_of("/srv/cam era/a.mp4", parsed(INFO)) == SHARE
    assert mount_of("/srv/cam era", parsed(INFO)) == SHARE
    assert mount_of("/srv/cam era2/a.mp4", parsed(INFO)) == ROOT
    assert mount_of("/srv/cam era/a", (*parsed(INFO), over)) == over
    assert mount_of("/srv", ()) is None


def test_mounts_of_a_folder_are_its_own_and_those_inside() -> None:
    assert concerning(Path("/srv/cam era"), parsed(INFO)) == (SHARE, INNER)
    assert concerning(Path("/home"), parsed(INFO)) == (ROOT,)


@pytest.mark.parametrize(
    ("kind", "tells"),
    [
        *((kind, True) for kind in ("ext4", "xfs", "btrfs", "tmpfs", "vfat", "overlay", "fuseblk")),
        *(
            (kind, False)
            for kind in ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "virtiofs")
        ),
        *((kind, False) for kind in ("ceph", "autofs", "never-heard-of")),
    ],
)
def test_only_file_systems_of_this_machine_tell_of_everything(kind: str, tells: bool) -> None:
    assert tells_all(Mount("/", kind, "x")) is tells


def test_this_machine_says_what_a_folder_lies_on(tmp_path: Path) -> None:
    assert mount_of(str(tmp_path), mounts()) is not None
