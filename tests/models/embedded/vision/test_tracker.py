from __future__ import annotations

import numpy as np
import pytest

from edge_lvr1.models.embedded.vision.blobs import Blob, Box
from edge_lvr1.models.embedded.vision.tracker import LOST_S, Tracker

RED, BLUE = 1, 2
STEP_S = 0.2


def blob(x: float, y: float = 100.0, width: int = 20, height: int = 50, colour: int = RED) -> Blob:
    mask = np.ones((height, width), bool)
    colours = np.zeros(64, np.float32)
    colours[colour] = 1.0
    box = Box(x, y, x + width, y + height)
    codes = np.full(width * height, colour, np.uint8)
    return Blob(box, width * height, mask, mask, 0.6, 0.5, 0.0, codes, colours)


def run(frames: list[list[Blob]]) -> Tracker:
    tracker = Tracker(320, 180)
    for index, found in enumerate(frames):
        tracker.update(found, index * STEP_S)
    return tracker


def test_a_walker_is_one_track() -> None:
    tracker = run([[blob(10 + 6 * n)] for n in range(20)])

    (track,) = tracker.tracks
    assert track.hits == 20
    assert track.vx == pytest.approx(30.0, rel=0.1)


def test_two_far_apart_are_two_tracks() -> None:
    tracker = run([[blob(10 + 4 * n), blob(250 - 4 * n, colour=BLUE)] for n in range(10)])

    assert sorted(track.id for track in tracker.tracks) == [1, 2]


def test_a_short_gap_does_not_break_a_track() -> None:
    frames = [[blob(10 + 6 * n)] if n not in (8, 9, 10) else [] for n in range(20)]

    assert [track.id for track in run(frames).tracks] == [1]


def test_what_stays_away_is_let_go() -> None:
    tracker = run([[blob(50)]] * 5)

    gone = tracker.update([], 4 * STEP_S + LOST_S + 0.1)

    assert [track.id for track in gone] == [1]
    assert tracker.tracks == []


def test_a_head_and_legs_seen_apart_are_one_subject() -> None:
    whole = [[blob(50 + 3 * n)] for n in range(6)]
    apart = [[blob(50 + 3 * n, 100, 20, 18), blob(50 + 3 * n, 126, 20, 24)] for n in range(6, 12)]

    tracker = run(whole + apart)

    assert [track.id for track in tracker.tracks] == [1]
    assert tracker.tracks[0].box.height == 50


def test_two_who_meet_in_one_blob_come_out_as_themselves() -> None:
    """Red goes right, blue goes left; for a while one blob holds both."""
    frames = []
    for n in range(40):
        red, blue = 40 + 4 * n, 200 - 4 * n
        if abs(red - blue) < 22:
            left, right = min(red, blue), max(red, blue)
            frames.append([blob(left, width=right - left + 20)])
        else:
            frames.append([blob(red), blob(blue, colour=BLUE)])

    tracker = run(frames)

    assert len(tracker.tracks) == 2
    first, second = sorted(tracker.tracks, key=lambda track: track.id)
    assert first.x > second.x
    assert first.colours.argmax() == RED
    assert second.colours.argmax() == BLUE


def test_who_was_hidden_comes_out_as_himself_seconds_later() -> None:
    """Blue walks on behind red, who stands, and comes out at the other side 3 s later."""
    red = 150
    frames = [[blob(red), blob(40 + 8 * n, colour=BLUE)] for n in range(12)]
    frames += [[blob(red)]] * 15
    frames += [[blob(red), blob(176 + 8 * n, colour=BLUE)] for n in range(8)]

    tracker = run(frames)

    assert sorted(track.id for track in tracker.tracks) == [1, 2]
    assert [t.colours.argmax() for t in sorted(tracker.tracks, key=lambda t: t.x)] == [RED, BLUE]


def test_somebody_else_who_comes_out_is_somebody_else() -> None:
    green = 3
    frames = [[blob(150), blob(40 + 8 * n, colour=BLUE)] for n in range(12)]
    frames += [[blob(150)]] * 15
    frames += [[blob(150), blob(176 + 8 * n, colour=green)] for n in range(8)]

    assert 3 in [track.id for track in run(frames).tracks]


def test_head_and_legs_that_are_never_seen_as_one_are_one_walker() -> None:
    """His jacket looks like the wall behind it all the way."""
    frames = [[blob(20 + 8 * n, 60, 14, 14), blob(17 + 8 * n, 100, 22, 40)] for n in range(14)]

    (track,) = run(frames).tracks

    assert (track.box.y0, track.box.y1) == (60, 140)


def test_vehicles_in_a_row_stay_apart() -> None:
    frames = [
        [blob(100 + n, 150 - 6 * n, 24, 16), blob(100 + n, 174 - 6 * n, 24, 22)] for n in range(14)
    ]

    assert len(run(frames).tracks) == 2


def test_a_long_stay_costs_few_path_points() -> None:
    tracker = run([[blob(50)]] * 3000)

    assert len(tracker.tracks[0].path) <= 241
