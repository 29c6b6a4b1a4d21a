"""Which paths somebody who is not an admin may have taken in."""

from __future__ import annotations

import grp
from dataclasses import replace
from pathlib import Path

import pytest

from edge_lvr1.config import Access, Ingest, Settings
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.daemon.http.confined import confined
from edge_lvr1.daemon.http.peer import Peer
from edge_lvr1.errors import NotFoundError, QuestionError
from tests.daemon.asgi import Http

TAKING = grp.getgrall()[1]
PEER = Peer(1, 54321, 54321, frozenset({TAKING.gr_gid}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A watched folder with a file, beside a secret."""
    (tmp_path / "root" / "inner").mkdir(parents=True)
    (tmp_path / "root" / "yard.mp4").write_bytes(b"x")
    (tmp_path / "rooted").mkdir()
    (tmp_path / "rooted" / "secret.mp4").write_bytes(b"x")
    return tmp_path / "root"


@pytest.fixture
def taking(context: Context, settings: Settings, root: Path) -> Http:
    """A client that may ingest and no more."""
    given = {
        "access": Access(ingest=(TAKING.gr_name,)),
        "watch": (root / "inner",),
        "ingest": Ingest(roots=(root,)),
    }
    changed = replace(context, settings=settings.model_copy(update=given))
    return Http(create_app(changed), peer=PEER)


def test_file_in_a_root_is_taken_in(taking: Http, root: Path) -> None:
    told = taking.post("/v1/ingest", json={"path": str(root / "yard.mp4")})

    assert told.status_code == 202
    assert [one["path"] for one in told.json()["taken"]] == [str(root / "yard.mp4")]


def test_answer_does_not_tell_whether_a_file_outside_exists(taking: Http, root: Path) -> None:
    (root / "link.mp4").symlink_to(root.parent / "rooted" / "secret.mp4")
    (root / "dangling.mp4").symlink_to(root.parent / "rooted" / "none.mp4")
    (root / "out").symlink_to(root.parent / "rooted")
    (root / "loop").symlink_to(root / "loop")
    outside = [
        root.parent / "rooted" / "secret.mp4",
        root.parent / "rooted" / "none.mp4",
        root.parent / "rooted",
        root.parent,
        root / ".." / "rooted" / "secret.mp4",
        root / "inner" / ".." / ".." / "rooted" / "secret.mp4",
        root / "link.mp4",
        root / "dangling.mp4",
        root / "out" / "secret.mp4",
        root / "out" / "none.mp4",
        Path("/etc/shadow"),
        Path("/proc/self/root/etc/passwd"),
        Path("/"),
    ]

    for path in outside:
        told = taking.post("/v1/ingest", json={"path": str(path)})
        assert told.status_code == 404, path
        assert told.json()["error"] == (
            f"there is no file or folder at {path} in a watched folder or in ingest.roots; "
            "others may only be taken in by an admin"
        )


@pytest.mark.parametrize("path", ["", "yard.mp4", "./x", "~/x", "file:///x", "/a\0b", "\0"])
def test_what_is_no_absolute_path_is_said(taking: Http, path: str) -> None:
    assert taking.post("/v1/ingest", json={"path": path}).status_code == 422


@pytest.mark.parametrize("path", ["/" + "x" * 5000, "/x\ud800", "/" + "a/" * 3000, "//", "/../.."])
def test_odd_paths_are_not_there(root: Path, path: str) -> None:
    with pytest.raises(NotFoundError):
        confined(path, [root])


def test_admin_may_name_any_path(context: Context, root: Path) -> None:
    secret = root.parent / "rooted" / "secret.mp4"

    assert Http(create_app(context)).post("/v1/ingest", json={"path": str(secret)}).is_success


def test_path_is_used_without_its_links(root: Path) -> None:
    (root / "link.mp4").symlink_to(root / "yard.mp4")

    assert confined(str(root / "link.mp4"), [root]) == str(root.resolve() / "yard.mp4")
    with pytest.raises(QuestionError):
        confined("link.mp4", [root])
