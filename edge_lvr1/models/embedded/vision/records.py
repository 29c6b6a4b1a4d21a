"""A finished track, judged: is it a subject at all, of which kind, and what is told of it.

A record is plain JSON types, in seconds and shares of the picture, small enough that two
busy hours of them fit beside the captions.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from edge_lvr1.models.embedded.vision import colours
from edge_lvr1.models.embedded.vision.track import Track
from edge_lvr1.models.embedded.wording import Kind

MOST_KEPT = 10_000
"""Subjects of a recording that are kept at all: about 6 MB of notes."""

MOST_DETAILED = 2_000
"""Of these, the first are kept with their whole way."""

_PATH_KEPT = 40
_EDGE_SHARE = 0.02
_STILL_S = 2.0
_THROUGH = 0.6  # correlation of edges: light and shadow reach 0.9, things about 0
_LEAP = 0.6  # own lengths
_EARLY_S = 0.25  # in view from the recording's first frames on


def judge(
    track: Track, width: int, height: int, *, rests: bool = False, stays: bool = False
) -> dict[str, Any] | None:
    """The record of a track; None where it was no subject (flicker, shadow, a hole).

    `rests`: it was left lying and became part of the scene. `stays`: the recording ended first.
    """
    kind = kind_of(track, width, height)
    if kind is None:
        return None
    shares = track.whole or track.partly
    naming = {Kind.PERSON: colours.of_person, Kind.VEHICLE: colours.of_vehicle}
    entry, way_out = _sides(track, width, height)
    return {
        "kind": kind.letter,
        "from_s": round(track.first_s, 2),
        "to_s": round(track.last_s, 2),
        "colours": list(naming.get(kind, colours.of_vehicle)(shares)),
        "size": _size(track, height),
        "enters": None if track.first_s <= _EARLY_S else entry,
        "leaves": None if rests or stays else way_out,
        "rests": rests,
        "stays": stays,
        "early": track.first_s <= _EARLY_S,
        "still": [[round(a, 2), round(b, 2)] for a, b in still_spans(track, height)],
        "path": _short_path(track, width, height),
    }


def brief(record: dict[str, Any]) -> dict[str, Any]:
    """A record with no more of its way than both ends, and of its pauses the longest."""
    longest = max(record["still"], key=lambda span: span[1] - span[0], default=None)
    return {
        **record,
        "path": [record["path"][0], record["path"][-1]],
        "still": [longest] if longest else [],
    }


def kind_of(track: Track, width: int, height: int) -> Kind | None:
    """What a track looks like; None while it gives no reason to be called a subject."""
    if track.hits < 3 or track.real_hits < 2:
        return None
    if person_like(track):
        return Kind.PERSON
    if track.through_count and track.through_sum / track.through_count > _THROUGH:
        return None  # the scene itself is seen in it: light or shadow that wanders
    travel, length = _travel(track)
    own = max(track.path[len(track.path) // 2][3:5])
    if travel < max(0.04 * width, 0.25 * own):
        return None
    if _vehicle_like(track, travel, length, own, width, height):
        return Kind.VEHICLE
    return Kind.OTHER


def person_like(track: Track) -> bool:
    """Enough looks while it moved agreed on a person.

    Looks at a standing shape do not count alone: a bottle scores like a person for hours.
    """
    moving = track.moving_votes
    stood = track.votes >= 12 and track.votes >= 0.7 * track.looks
    return moving >= (3 if stood else 4) and moving >= 0.25 * track.moving_looks


def _vehicle_like(
    track: Track, travel: float, length: float, own: float, width: int, height: int
) -> bool:
    """Large, of one solid unchanging shape, and going one way for longer than itself."""
    if track.area < 0.004 * width * height or track.solid_count == 0:
        return False
    solid = track.solid_sum / track.solid_count
    rigid = track.rigid_sum / track.rigid_count if track.rigid_count else 0.0
    entry, way_out = _sides(track, width, height)
    if track.clear_hits < 2 and (entry == way_out or not (entry and way_out)):
        return False  # it reaches in and is drawn back: an arm, not a passer-by
    if _leaps(track) > _LEAP * own:
        return False  # the track went over to something else
    steady = travel > 0.6 * length and travel > min(0.8 * own, 0.5 * max(width, height))
    return steady and solid > 0.8 and rigid > 0.72


def _travel(track: Track) -> tuple[float, float]:
    """Greatest distance from the start, and the length of the way there, in pixels."""
    points = [(point[1], point[2]) for point in track.path]
    x0, y0 = points[0]
    far = max(range(len(points)), key=lambda i: math.hypot(points[i][0] - x0, points[i][1] - y0))
    travel = math.hypot(points[far][0] - x0, points[far][1] - y0)
    steps = pairwise(points[: far + 1])
    return travel, max(1.0, sum(math.hypot(b[0] - a[0], b[1] - a[1]) for a, b in steps))


def _leaps(track: Track) -> float:
    """The longest step between two sightings that followed each other at once, in pixels."""
    steps = ((_apart(two, one), two[0] - one[0]) for one, two in pairwise(track.path))
    return max((step for step, since_s in steps if since_s < 0.5), default=0.0)


def _size(track: Track, height: int) -> str:
    tall = sorted(max(point[3], point[4]) for point in track.path)
    share = tall[int(0.7 * (len(tall) - 1))] / height
    return "small" if share < 0.25 else "medium" if share < 0.6 else "large"


def still_spans(track: Track, height: int) -> list[tuple[float, float]]:
    """The times, of two seconds and more, in which a track kept its place."""
    spans: list[tuple[float, float]] = []
    path, start = track.path, 0
    sizes = sorted(min(point[3], point[4]) for point in path)
    reach = max(0.015 * height, 0.22 * sizes[len(sizes) // 2])
    while start < len(path):
        end = start
        while end + 1 < len(path) and _apart(path[end + 1], path[start]) <= reach:
            end += 1
        if path[end][0] - path[start][0] >= _STILL_S:
            if spans and path[start][0] - spans[-1][1] < 1.0:
                spans[-1] = (spans[-1][0], path[end][0])
            else:
                spans.append((path[start][0], path[end][0]))
        start = max(end, start + 1)  # the next anchor is where this one's reach ended
    return spans


def _apart(one: list[float], other: list[float]) -> float:
    return math.hypot(one[1] - other[1], one[2] - other[2])


def _sides(track: Track, width: int, height: int) -> tuple[str | None, str | None]:
    first, last = track.path[0], track.path[-1]
    begin = [p for p in track.path if p[0] <= first[0] + 2.5]
    # Once it is half out of the picture, the middle of what is still seen says little.
    tall = sorted(p[4] for p in track.path)[len(track.path) // 2]
    finish = [p for p in track.path if p[0] >= last[0] - 4.0 and p[4] > 0.7 * tall]
    if len(finish) < 3:
        finish = [p for p in track.path if p[0] >= last[0] - 2.5]
    came = [t for t in track.touched if t[0] <= first[0] + 0.7]
    went = [t for t in track.touched if t[0] >= last[0] - 1.0]
    inward = (begin[-1][1] - first[1], begin[-1][2] - first[2])
    outward = (finish[-1][1] - finish[0][1], finish[-1][2] - finish[0][2])
    return _side(came, inward, (width, height)), _side(
        went, (-outward[0], -outward[1]), (width, height)
    )


def _side(
    touched: list[list[float]], inward: tuple[float, float], size: tuple[int, int]
) -> str | None:
    """The side of the picture that was touched and that the movement points away from."""
    if not touched:
        return None
    along = {
        "left": inward[0] / size[0],
        "right": -inward[0] / size[0],
        "top": inward[1] / size[1],
        "bottom": -inward[1] / size[1],
    }
    share = {
        side: sum(entry[index + 1] for entry in touched) / len(touched)
        for index, side in enumerate(("left", "right", "top", "bottom"))
    }
    sides = [side for side in along if share[side] > 0.3]
    return max(sides, key=lambda side: along[side] + 0.05 * share[side]) if sides else None


def _short_path(track: Track, width: int, height: int) -> list[list[float]]:
    step = max(1, -(-len(track.path) // _PATH_KEPT))
    kept = [*track.path[:-1:step], track.path[-1]]
    return [[round(p[0], 2), round(p[1] / width, 3), round(p[2] / height, 3)] for p in kept]
