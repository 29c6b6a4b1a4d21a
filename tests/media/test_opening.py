"""Files in watched folders are opened where they lie, whatever links are put in meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import MediaError
from edge_lvr1.media import opening
from edge_lvr1.media.children import Children
from edge_lvr1.media.opening import Within
from edge_lvr1.media.text_tracks import Sidecars, words_of
from tests.media_files import video

CUES = "1\n00:00:00,000 --> 00:00:01,000\n{}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A watched folder with a file in a folder, beside a secret of the same name."""
    for name in ("root", "rooted"):
        (tmp_path / name / "yard").mkdir(parents=True)
        (tmp_path / name / "yard" / "a.mp4").write_bytes(name.encode())
    return tmp_path / "root"


def secret(root: Path) -> Path:
    return root.parent / "rooted" / "yard" / "a.mp4"


def file_for_link(root: Path) -> None:
    (root / "yard" / "a.mp4").unlink()
    (root / "yard" / "a.mp4").symlink_to(secret(root))


def folder_for_link(root: Path) -> None:
    (root / "yard").rename(root / "was")
    (root / "yard").symlink_to(secret(root).parent)


@pytest.mark.parametrize("swap", [file_for_link, folder_for_link])
def test_link_put_in_between_the_check_and_the_opening_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], None]
) -> None:
    opens, checked = Within([root]), opening._beneath

    def swapped(home: Path, real: Path, path: Path) -> int:
        swap(root)
        assert path.read_bytes() == b"rooted"
        return checked(home, real, path)

    monkeypatch.setattr(opening, "_beneath", swapped)

    with pytest.raises(MediaError, match="has become a link out of its folder"):
        opens(root / "yard" / "a.mp4")


@pytest.mark.parametrize("swap", [file_for_link, folder_for_link])
def test_link_that_leads_out_is_not_followed(root: Path, swap: Callable[[Path], None]) -> None:
    swap(root)

    with pytest.raises(MediaError, match="has become a link out of its folder"):
        Within([root])(root / "yard" / "a.mp4")


@pytest.mark.parametrize("target", ["yard/a.mp4", "../root/yard/a.mp4", "{root}/yard/a.mp4"])
def test_link_that_stays_inside_is_followed(root: Path, target: str) -> None:
    (root / "link.mp4").symlink_to(target.format(root=root))
    (root / "folder").symlink_to("yard")

    with Within([root])(root / "link.mp4") as file, Within([root])(root / "folder/a.mp4") as other:
        assert file.read() == other.read() == b"root"


def test_folder_within_a_folder_cannot_be_moved_away(root: Path) -> None:
    inner = root / "yard"
    opens = Within([inner, root])
    folder_for_link(root)

    with pytest.raises(MediaError, match="has become a link"):
        opens(inner / "a.mp4")


def test_what_lies_outside_is_opened_as_it_is_named(root: Path) -> None:
    (root.parent / "rooted" / "link").symlink_to(root / "yard" / "a.mp4")

    with Within([root])(root.parent / "rooted" / "link") as file:
        assert file.read() == b"root"


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_descriptor_is_left_over(root: Path) -> None:
    opens = Within([root])
    before = descriptors()
    opens(root / "yard" / "a.mp4").close()
    file_for_link(root)
    for name in ("yard/a.mp4", "yard/none.mp4", "none/a.mp4"):
        with pytest.raises((MediaError, OSError)):
            opens(root / name)

    assert descriptors() == before


def test_decoding_children_follow_no_link_out(tmp_path: Path) -> None:
    watched, outside = tmp_path / "watched", tmp_path / "outside"
    watched.mkdir()
    outside.mkdir()
    video(outside / "a.mp4")
    video(watched / "b.mp4")
    (watched / "a.mp4").symlink_to(outside / "a.mp4")
    (watched / "c.mp4").symlink_to("b.mp4")
    part = Part(str(watched / "a.mp4"), 0.0, 4.0, 0, 0, "")
    asked: list[Callable[[Children], object]] = [
        lambda children: children.probe(watched / "a.mp4"),
        lambda children: list(children.survey([part], 2.0)),
        lambda children: list(children.shown([part], Span(0.0, 1.0), 80)),
        lambda children: children.cut([part], Span(0.0, 1.0), tmp_path / "clip.mp4"),
        lambda children: children.cut([part], Span(0.0, 1.0), tmp_path / "clip.mp4", exact=True),
    ]

    with Children(timeout_s=30.0, roots=[watched]) as children:
        for one in asked:
            with pytest.raises(MediaError, match="has become a link out of its folder"):
                one(children)
        assert children.texts(watched / "a.mp4") == ()
        inside, beyond = children.probe(watched / "c.mp4"), children.probe(outside / "a.mp4")

    assert inside.duration_s == beyond.duration_s == 4.0
    assert not (tmp_path / "clip.mp4").exists()


def test_subtitles_that_became_a_link_are_not_read(tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    (tmp_path / "secret.srt").write_text(CUES.format("a secret"))
    (watched / "a.srt").write_text(CUES.format("hello"))
    sidecars = Sidecars(Within([watched]))
    (before,) = words_of(watched / "a.mp4", sidecars, lambda path: ())

    def swapped(path: Path) -> tuple[Path, ...]:
        (watched / "a.srt").unlink()
        (watched / "a.srt").symlink_to(tmp_path / "secret.srt")
        return (watched / "a.srt",)

    sidecars.of = swapped  # type: ignore[method-assign]

    assert before.text == "hello"
    assert words_of(watched / "a.mp4", sidecars, lambda path: ()) == ()
