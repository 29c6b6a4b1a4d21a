"""Plots as PNG, drawn with Pillow: accuracy against rounds, and how captions are spent.

One chart is a plain function from values to a picture; nothing here asks or scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from edge_lvr1.errors import DatasetError
from edge_lvr1.evaluate.score import Scored, Summary

WIDTH_PX, HEIGHT_PX = 1200, 750
_LEFT, _TOP, _RIGHT, _BOTTOM = 110, 110, 40, 90
_INK, _FAINT, _PAPER = "#222222", "#d9d9d9", "#ffffff"
# Okabe and Ito's colours: told apart by people who see few.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_TEXT_PX, _TITLE_PX = 20, 26
_TICKS = 6

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Line:
    """A named line of a chart."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows, from 0 to `most_x` and from 0 to `most_y`."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    most_x: float
    most_y: float
    bars: Sequence[tuple[float, float]] = ()


def draw_plots(
    folder: Path,
    agent: str,
    scored: Sequence[Scored],
    baselines: Mapping[str, Summary],
    max_rounds: int,
) -> list[Path]:
    """Write the plots of a measurement into a folder, which is made. Raises DatasetError."""
    charts = {
        "accuracy-by-rounds.png": accuracy_chart(agent, scored, baselines, max_rounds),
        "captions-opened.png": opened_chart(agent, scored),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, chart in charts.items():
            draw(chart).save(folder / name)
    except OSError as error:
        raise DatasetError(f"the plots cannot be written into {folder}: {error}") from error
    return [folder / name for name in charts]


def accuracy_chart(
    agent: str, scored: Sequence[Scored], baselines: Mapping[str, Summary], max_rounds: int
) -> Chart:
    """The share of all questions that were answered, and answered rightly, by each round.

    A question counts from the round of its answer on, so the lines tell what a smaller
    budget of the same run would have given, had the agent not known of it.
    """
    known = [one for one in scored if one.correct is not None]
    rounds = range(max_rounds + 1)
    end = float(max_rounds + 1)

    def share(kept: Sequence[Scored]) -> list[tuple[float, float]]:
        """Steps: what was reached in a round stays until the next one."""
        spent = [one.rounds or 0 for one in kept]
        by_round = [sum(one <= r for one in spent) / max(1, len(known)) for r in rounds]
        return [(x, y) for r, y in zip(rounds, by_round, strict=True) for x in (r, r + 1)]

    lines = [
        Line(f"{agent}: right", share([one for one in known if one.correct])),
        Line(f"{agent}: answered", share([one for one in known if one.verdict == "answered"])),
    ]
    for name, summary in baselines.items():
        accuracy = summary.figures.get("accuracy")
        if accuracy is not None:
            told = name.replace("_", " ")
            flat = [(0.0, accuracy.mean), (end, accuracy.mean)]
            lines.append(Line(f"{told}: right, all leaves read", flat, dashed=True))
    title = f"Accuracy against rounds, {len(known)} questions"
    return Chart(title, "rounds", "share of questions", lines, end, 1.0)


def opened_chart(agent: str, scored: Sequence[Scored]) -> Chart:
    """How many questions were ended with so many captions opened."""
    counts: dict[int, int] = {}
    for one in scored:
        opened = one.captions_opened or 0
        counts[opened] = counts.get(opened, 0) + 1
    bars = [(float(opened), float(number)) for opened, number in sorted(counts.items())]
    most = max(counts, default=0) + 1
    highest = max(counts.values(), default=1)
    title = f"Captions opened by {agent}, {len(scored)} questions"
    return Chart(title, "captions opened", "questions", (), most, _round_up(highest), bars)


def draw(chart: Chart) -> Image.Image:
    """A chart as a picture of WIDTH_PX by HEIGHT_PX, RGB."""
    picture = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), _PAPER)
    pen = ImageDraw.Draw(picture)
    text, title = ImageFont.load_default(_TEXT_PX), ImageFont.load_default(_TITLE_PX)
    pen.text((_LEFT, 24), chart.title, fill=_INK, font=title)
    _grid(pen, chart, text)
    bar_px = max(2.0, (WIDTH_PX - _LEFT - _RIGHT) / max(1.0, chart.most_x) * 0.35)
    for x, y in chart.bars:
        (left, top), (_, bottom) = _at(chart, x, y), _at(chart, x, 0)
        pen.rectangle((left - bar_px, top, left + bar_px, bottom), fill=_COLOURS[0])
    for number, line in enumerate(chart.lines):
        colour = _COLOURS[number % len(_COLOURS)]
        _line(pen, [_at(chart, x, y) for x, y in line.points], colour, dashed=line.dashed)
        _legend(pen, number, line, colour, text)
    return picture


def _grid(pen: ImageDraw.ImageDraw, chart: Chart, font: Font) -> None:
    for y in _ticks(chart.most_y):
        left, height = _at(chart, 0, y)
        pen.line((left, height, WIDTH_PX - _RIGHT, height), fill=_FAINT)
        pen.text((left - 12, height), f"{y:g}", fill=_INK, font=font, anchor="rm")
    for x in _ticks(chart.most_x, whole=True):
        left, foot = _at(chart, x, 0)
        pen.line((left, foot, left, foot + 6), fill=_INK)
        pen.text((left, foot + 12), f"{x:g}", fill=_INK, font=font, anchor="mt")
    corner = _at(chart, 0, 0)
    pen.line((*_at(chart, 0, chart.most_y), *corner, *_at(chart, chart.most_x, 0)), fill=_INK)
    middle = (_LEFT + WIDTH_PX - _RIGHT) / 2
    pen.text((middle, HEIGHT_PX - 24), chart.x, fill=_INK, font=font, anchor="mb")
    pen.text((_LEFT, _TOP - 10), chart.y, fill=_INK, font=font, anchor="lb")


def _legend(pen: ImageDraw.ImageDraw, number: int, line: Line, colour: str, font: Font) -> None:
    y = _TOP + 18 + number * (_TEXT_PX + 10)
    _line(pen, [(_LEFT + 24, y), (_LEFT + 72, y)], colour, dashed=line.dashed)
    left, top, right, bottom = pen.textbbox((_LEFT + 84, y), line.name, font=font, anchor="lm")
    pen.rectangle((left - 2, top - 2, right + 2, bottom + 2), fill=_PAPER)
    pen.text((_LEFT + 84, y), line.name, fill=_INK, font=font, anchor="lm")


def _line(
    pen: ImageDraw.ImageDraw,
    points: Sequence[tuple[float, float]],
    colour: str,
    *,
    dashed: bool,
) -> None:
    if not dashed:
        pen.line(list(points), fill=colour, width=4, joint="curve")
        return
    for (x0, y0), (x1, y1) in pairwise(points):
        pieces = max(1, int(math.hypot(x1 - x0, y1 - y0) / 10))
        for piece in range(0, pieces, 2):
            a, b = piece / pieces, min(1.0, (piece + 1) / pieces)
            begin = (x0 + (x1 - x0) * a, y0 + (y1 - y0) * a)
            end = (x0 + (x1 - x0) * b, y0 + (y1 - y0) * b)
            pen.line((*begin, *end), fill=colour, width=4)


def _at(chart: Chart, x: float, y: float) -> tuple[float, float]:
    """Where a point of a chart stands, in pixels."""
    wide, high = WIDTH_PX - _LEFT - _RIGHT, HEIGHT_PX - _TOP - _BOTTOM
    return _LEFT + x / max(chart.most_x, 1e-9) * wide, _TOP + (1 - y / chart.most_y) * high


def _ticks(most: float, *, whole: bool = False) -> list[float]:
    step = _nice(most / _TICKS)
    step = max(1.0, step) if whole else step
    return [number * step for number in range(int(most / step + 1e-9) + 1)]


def _nice(step: float) -> float:
    """The least of 1, 2, 5, 10, … (times a power of ten) that is at least a step."""
    power = 10.0 ** math.floor(math.log10(max(step, 1e-9)))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def _round_up(value: float) -> float:
    step = _nice(value / _TICKS)
    return math.ceil(value / step) * step
