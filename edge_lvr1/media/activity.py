"""From the samples of a survey to when something happens in a recording. Pure.

Each block of the picture has a threshold of its own, from how it behaves when it is quiet:
median and MAD, both told from the lower half of its values, which minutes of activity do not
reach. A burnt-in clock or a tree in the wind so raises the threshold where it is, and nowhere
else. A change of light or of the scene is a switch, not activity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.config import Ingest
from edge_lvr1.domain import Activity, Span, Switch
from edge_lvr1.media.measure import BLOCKS, GREY_STEP, Sample

Array: TypeAlias = NDArray[np.float32]
Bools: TypeAlias = NDArray[np.bool_]

FLOOR = 1.5
"""Grey levels above its median that no block is active below: what codecs do to a still scene
(their pulse from keyframe to keyframe, blocks that are now and then coded anew) stays under 1."""

RISE = 3.0
"""A window of minutes may raise a block's threshold so far above that of the whole recording,
as rain and wind do; what stands out more is not noise, however long it lasts."""

TOGETHER = np.array([1.0, 1.3, 2.0], np.float32)
"""How far the third, the second and the first block must be above their thresholds: of hundreds
of blocks noise takes one beyond four sigma every few minutes, and hardly ever three at once."""

UNSEEN_S = 10.0
"""Where no frame decoded for longer than this, nobody can say that nothing happened."""

_LEAST_QUIET = 1.0  # grey levels
_SPATIAL = 4.0
_FEW = 0.05
_MOST_LOOKS = 2000
# Of a normal distribution, the MAD is 0.6745 sigma, the quartile lies as far below the
# median, and the MAD of its lower half is 0.3990 sigma.
_WHOLE_MAD = 0.6745 / 0.3990

UNSETTLED = 2.0
"""Where the light has just changed a block must be so much above its threshold: a codec takes
some frames to draw everything anew."""

SWITCH_STEP = 0.12
"""Share by which the light must change within SWITCH_S to be called switched."""
SWITCH_S = 4.5
_SAME_SWITCH_S = 10.0
_SMALL = 0.05  # share of the blocks: no subject of this size turns the exposure of a camera
_WHOLE = 0.5  # share of the blocks: the picture as a whole has changed


def activity_of(samples: Sequence[Sample], duration_s: float, settings: Ingest) -> Activity:
    """When something happens in a recording, from a survey's samples in order of time."""
    if not samples:
        return Activity((), (), (Span(0.0, duration_s),))
    times_s = np.array([sample.time_s for sample in samples])
    share = _over_threshold(samples, times_s, duration_s, settings)
    switched, lit, switches = _switches(samples, times_s, share)
    share[switched] = 0.0
    share[lit] /= UNSETTLED
    scores = np.max(np.sort(share, axis=1)[:, -len(TOGETHER) :] / TOGETHER, axis=1)
    return Activity(
        tuple(float(time_s) for time_s in times_s),
        tuple(round(float(score), 3) for score in scores),
        _spans(times_s, scores >= 1, duration_s, settings.gate_pad_s),
        switches,
    )


def _over_threshold(
    samples: Sequence[Sample], times_s: NDArray[np.float64], duration_s: float, settings: Ingest
) -> Array:
    """How far each block of each look is above what is quiet there: 1 is the threshold.

    Of shape (looks, 2 * BLOCKS): motion, then presence.
    """
    raw = np.frombuffer(b"".join(sample.blocks for sample in samples), np.uint8)
    seen = raw.reshape(len(samples), 2 * BLOCKS).astype(np.float32) * np.float32(GREY_STEP)
    overall = _quiet(seen[:: math.ceil(len(seen) / _MOST_LOOKS)])
    if duration_s < settings.gate_window_s:
        overall = _of_short(overall)
    step_s = settings.gate_window_s / 2
    centres_s = np.arange(step_s / 2, max(duration_s, step_s), step_s)
    medians, mads = np.empty((2, len(centres_s), 2 * BLOCKS), np.float32)
    for index, centre_s in enumerate(centres_s):
        first, end = np.searchsorted(times_s, [centre_s - step_s, centre_s + step_s])
        window = _quiet(seen[first:end]) if end - first > 1 else overall
        medians[index] = np.minimum(window[0], RISE * overall[0])
        mads[index] = np.minimum(window[1], RISE * overall[1])
    share = np.empty_like(seen)
    for column in range(2 * BLOCKS):
        median = np.interp(times_s, centres_s, medians[:, column])
        above = np.maximum(
            settings.gate_mad * np.interp(times_s, centres_s, mads[:, column]), FLOOR
        )
        share[:, column] = (seen[:, column] - median) / above
    return share


def _quiet(seen: Array) -> tuple[Array, Array]:
    """Median and MAD of each column when it is quiet, from its lower half alone."""
    lower = np.sort(seen, axis=0)[: max(1, len(seen) // 2)]
    quartile = np.median(lower, axis=0)
    own = np.median(np.abs(lower - quartile), axis=0) * _WHOLE_MAD
    median = quartile + own
    # Of some hundred looks a block's own MAD is a tenth off; all blocks together know better
    # how much noise of a level spreads.
    usual = np.median(own / np.maximum(median, GREY_STEP))
    return np.asarray(median, np.float32), np.asarray(np.maximum(own, usual * median), np.float32)


def _of_short(quiet: tuple[Array, Array]) -> tuple[Array, Array]:
    """A subject may fill a short recording: blocks are then held to what others are like.

    Unless they are few: a clock or a flag that never rests.
    """
    kept = []
    for values in quiet:
        held = values.copy()
        for half in (held[:BLOCKS], held[BLOCKS:]):
            most = max(_SPATIAL * float(np.median(half)), _LEAST_QUIET)
            most = min(most, _SPATIAL * _LEAST_QUIET)
            if np.mean(half > most) > _FEW:
                np.minimum(half, most, out=half)
        kept.append(held)
    return kept[0], kept[1]


def _switches(
    samples: Sequence[Sample], times_s: NDArray[np.float64], share: Array
) -> tuple[Bools, Bools, tuple[Switch, ...]]:
    """Which looks show a new picture as a whole, which are at a change of light, and the switches.

    A light that changes while somebody is there is told of him: his coat does that too.
    """
    light = np.log(np.maximum([sample.light for sample in samples], 1.0))
    cut = np.array([sample.cut for sample in samples])
    step = np.abs(np.diff(light, prepend=light[0]))
    before = np.searchsorted(times_s, times_s - SWITCH_S)
    above = share >= UNSETTLED
    few = np.maximum(above[:, :BLOCKS].mean(axis=1), above[:, BLOCKS:].mean(axis=1))
    calm = few < _SMALL
    whole = np.array([sample.changed > _WHOLE for sample in samples])
    stirs = np.concatenate([[0], np.cumsum(~calm & ~whole)])
    alone = calm[before] & (stirs[1:] == stirs[before])
    lit = (np.abs(light - light[before]) >= math.log(1 + SWITCH_STEP)) & alone & ~cut
    switched = cut | (lit & whole)
    found: list[Switch] = []
    for index in np.flatnonzero(cut | lit):
        kind = "cut" if cut[index] else "light"
        first = max(int(before[index]), 1)
        sharpest = index if cut[index] else first + int(np.argmax(step[first : index + 1]))
        time_s = float(times_s[sharpest])
        if found and found[-1].kind == kind and time_s - found[-1].time_s < _SAME_SWITCH_S:
            continue
        found.append(Switch(time_s, kind))
    return switched, lit, tuple(found)


def _spans(
    times_s: NDArray[np.float64], active: Bools, duration_s: float, pad_s: float
) -> tuple[Span, ...]:
    """Active looks as spans: padded, and reaching to the looks before and after."""
    edges_s = [0.0, *times_s.tolist(), duration_s]
    found: list[Span] = []
    for index, is_active in enumerate(active, 1):
        gap_s = edges_s[index] - edges_s[index - 1]
        if gap_s > UNSEEN_S:
            found.append(Span(edges_s[index - 1], edges_s[index]))
        if is_active:
            start_s = min(edges_s[index] - pad_s, edges_s[index - 1])
            found.append(Span(start_s, max(edges_s[index] + pad_s, edges_s[index + 1])))
    if duration_s - edges_s[-2] > UNSEEN_S:
        found.append(Span(edges_s[-2], duration_s))
    return _merged(found, duration_s)


def _merged(spans: Sequence[Span], duration_s: float) -> tuple[Span, ...]:
    merged: list[Span] = []
    for span in sorted(spans):
        start_s, end_s = max(0.0, span.start_s), min(duration_s, span.end_s)
        if merged and start_s <= merged[-1].end_s:
            merged[-1] = Span(merged[-1].start_s, max(merged[-1].end_s, end_s))
        elif start_s < end_s:
            merged.append(Span(start_s, end_s))
    return tuple(merged)
