"""The captioner's memory of a recording as JSON, and what of it falls into a span.

Notes are a dict: `format`, `until_s` (watched so far), `done`, `records` of finished
subjects, `events`, `full_s` (from when on subjects were too many to be kept), and `watch`,
which holds what the watcher needs to go on (background as PNG, open tracks). Once done,
`watch` keeps only the background, for later looks.
"""

from __future__ import annotations

import base64
import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import Span
from edge_lvr1.errors import ModelError
from edge_lvr1.models.embedded.vision.background import Background
from edge_lvr1.models.embedded.vision.blobs import Box
from edge_lvr1.models.embedded.vision.scene import LightWatch
from edge_lvr1.models.embedded.vision.track import Track
from edge_lvr1.models.embedded.vision.tracker import Tracker
from edge_lvr1.models.embedded.vision.watch import Watcher
from edge_lvr1.models.embedded.wording import FULL, SceneEvent

FORMAT = 2
_FLICKER_SCALE = 4.0
_PASSING = {"mask", "figure", "stride", "shape"}  # of the last frame: not kept between windows


def dump(watcher: Watcher, until_s: float, *, done: bool) -> dict[str, Any]:
    """Notes of a watcher that has seen everything before `until_s`."""
    state: dict[str, Any] = {"background": _dump_background(watcher.background)}
    if not done:
        tracker, light = watcher.tracker, watcher.light
        state |= {
            "tracks": [_dump_track(track) for track in tracker.tracks],
            "next_id": tracker.next_id,
            "light": {each.name: getattr(light, each.name) for each in fields(light)},
            "covered": watcher.covered,
            "seen_s": watcher.seen_s,
            "fruitless": watcher.fruitless,
            "passing": watcher.passing,
        }
    return {
        "format": FORMAT,
        "until_s": until_s,
        "done": done,
        "records": watcher.records,
        "events": watcher.events,
        "full_s": watcher.full_s,
        "watch": state,
    }


def load(notes: Mapping[str, Any]) -> Watcher:
    """The watcher that goes on from notes. Raises ModelError where they are not of this format."""
    check(notes)
    state = notes["watch"]
    background = load_background(notes)
    height, width = background.flicker.shape
    light = dict(state["light"])
    light["recent"] = [list(entry) for entry in light["recent"]]
    return Watcher(
        background=background,
        tracker=Tracker(
            width, height, [_load_track(each) for each in state["tracks"]], state["next_id"]
        ),
        light=LightWatch(**light),
        records=[dict(record) for record in notes["records"]],
        events=[list(event) for event in notes["events"]],
        covered=state["covered"],
        seen_s=state["seen_s"],
        fruitless=state["fruitless"],
        passing=state["passing"],
        full_s=notes["full_s"],
    )


def check(notes: Mapping[str, Any]) -> None:
    """Raise ModelError unless the notes are of this format."""
    if notes.get("format") != FORMAT:
        raise ModelError(
            "the notes of this recording were written by another captioner or version; "
            "ingest the recording again"
        )


def covers(notes: Mapping[str, Any] | None, span: Span) -> bool:
    """Whether the notes tell all of a span."""
    return notes is not None and (bool(notes["done"]) or span.end_s <= notes["until_s"])


def load_background(notes: Mapping[str, Any]) -> Background:
    """The empty scene as it was when the notes were written."""
    state = notes["watch"]["background"]
    picture = _read_png(state["picture"], cv2.IMREAD_COLOR)
    flicker = _read_png(state["flicker"], cv2.IMREAD_GRAYSCALE)
    return Background(picture.astype(np.float32), flicker.astype(np.float32) / _FLICKER_SCALE)


def pieces(notes: Mapping[str, Any], span: Span) -> list[dict[str, Any]]:
    """What of each subject falls into a span, in order of first sight.

    A piece is JSON: label, kind, times clipped to the span, places at both ends in shares
    of the picture, and what of entry, exit and standing still falls inside.
    """
    numbers: dict[str, int] = {}
    found = []
    for record in sorted(notes["records"], key=lambda r: (r["from_s"], r["to_s"])):
        numbers[record["kind"]] = numbers.get(record["kind"], 0) + 1
        if record["from_s"] < span.end_s and record["to_s"] > span.start_s:
            label = f"{record['kind']}{numbers[record['kind']]}"
            found.append(_clip(record, label, span))
    return found


def events(notes: Mapping[str, Any], span: Span) -> list[SceneEvent]:
    """The events of the whole picture in a span, in order of time."""
    inside = [SceneEvent(float(t), str(what)) for t, what in notes["events"] if span.contains(t)]
    full_s = notes["full_s"]
    if full_s is not None and full_s < span.end_s:
        inside.append(SceneEvent(max(span.start_s, float(full_s)), FULL))
    return sorted(inside, key=lambda event: event.time_s)


def join(parts: Iterable[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The pieces of adjoining spans, in order of time, as pieces of the whole span."""
    whole: dict[str, dict[str, Any]] = {}
    for part in parts:
        for piece in part:
            label = str(piece["label"])
            whole[label] = _join(whole[label], piece) if label in whole else dict(piece)
    return list(whole.values())


def _join(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    still = [list(span) for span in earlier["still"]]
    for start, end in later["still"]:
        if still and start <= still[-1][1]:
            still[-1][1] = end
        else:
            still.append([start, end])
    ends = {key: later[key] for key in ("to_s", "after", "leaves", "rests", "end")}
    return {**earlier, **ends, "still": still}


def _clip(record: Mapping[str, Any], label: str, span: Span) -> dict[str, Any]:
    start, end = max(record["from_s"], span.start_s), min(record["to_s"], span.end_s)
    before = record["from_s"] < span.start_s or record["early"]
    after = record["to_s"] > span.end_s or record["stays"]
    still = [[max(a, start), min(b, end)] for a, b in record["still"] if a < end and b > start]
    return {
        "label": label,
        "from_s": start,
        "to_s": end,
        "colours": list(record["colours"]),
        "size": record["size"],
        "before": before,
        "after": after,
        "enters": None if before else record["enters"],
        "leaves": None if after else record["leaves"],
        "rests": bool(record["rests"]) and not after,
        "begin": place(record["path"], start),
        "end": place(record["path"], end),
        "still": still,
    }


def place(path: Sequence[Sequence[float]], time_s: float) -> list[float]:
    """Where a subject was at a time: [x, y] in shares of the picture, between path points."""
    after = bisect.bisect_left([point[0] for point in path], time_s)
    if after == 0 or after == len(path):
        point = path[min(after, len(path) - 1)]
        return [point[1], point[2]]
    one, two = path[after - 1], path[after]
    part = (time_s - one[0]) / (two[0] - one[0])
    return [one[1] + part * (two[1] - one[1]), one[2] + part * (two[2] - one[2])]


def _dump_background(background: Background) -> dict[str, str]:
    picture = np.clip(np.round(background.picture), 0, 255).astype(np.uint8)
    flicker = np.clip(np.round(background.flicker * _FLICKER_SCALE), 0, 255).astype(np.uint8)
    return {"picture": _write_png(picture), "flicker": _write_png(flicker)}


def _write_png(image: NDArray[np.uint8]) -> str:
    written, data = cv2.imencode(".png", image)
    if not written:
        raise ModelError("the background picture could not be written; the frames have no area")
    return base64.b64encode(data.tobytes()).decode("ascii")


def _read_png(text: str, mode: int) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), mode)
    if image is None:
        raise ModelError("the notes of this recording are damaged; ingest the recording again")
    return np.asarray(image, np.uint8)


def _dump_track(track: Track) -> dict[str, Any]:
    plain = {f.name: getattr(track, f.name) for f in fields(track) if f.name not in _PASSING}
    box = track.box
    plain["box"] = [float(v) for v in (box.x0, box.y0, box.x1, box.y1)]
    plain["colours"] = [round(float(share), 4) for share in track.colours]
    return plain


def _load_track(plain: Mapping[str, Any]) -> Track:
    own = dict(plain)
    own["box"] = Box(*own["box"])
    own["colours"] = np.array(own["colours"], np.float32)
    for name in ("path", "touched", "tall"):
        own[name] = [list(entry) for entry in own[name]]
    for name in ("whole", "partly"):
        own[name] = dict(own[name])
    return Track(**own)
