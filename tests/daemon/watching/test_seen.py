"""Paths that a walk saw, kept by their hashes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.daemon.watching.seen import SeenPaths


@given(seen=st.sets(st.text()), others=st.sets(st.text()))
def test_what_was_added_is_in_it_and_nothing_else(seen: set[str], others: set[str]) -> None:
    paths = SeenPaths()
    for path in seen:
        paths.add(path)

    assert len(paths) == len(seen)
    assert all(path in paths for path in seen)
    assert [path for path in others if path in paths] == [path for path in others if path in seen]


def test_paths_may_be_added_after_it_was_asked() -> None:
    paths = SeenPaths()
    for path in ("b", "a"):
        paths.add(path)
    before = "c" in paths
    paths.add("c")

    assert (before, "c" in paths, "a" in paths) == (False, True, True)
