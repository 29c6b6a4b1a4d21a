"""What a measurement says: an object for programs, tables for people. Prints nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edge_lvr1.evaluate.score import Figure, Summary
from edge_lvr1.untrusted import visible

_TITLES = {
    "accuracy": "accuracy",
    "hit_rate": "best evidence in the clue",
    "evidence_f1": "F1 of the evidence",
    "location_f1": "F1 of what was opened",
    "coverage": "coverage of the clue",
    "precision": "precision of what was opened",
    "location_reward": "location reward",
    "rounds": "rounds",
    "captions_opened": "captions opened",
    "invalid_steps": "invalid steps",
    "repeat_ratio": "repeated calls",
    "seconds": "seconds",
}
_DIGITS = 6


def to_json(
    summary: Summary, baselines: Mapping[str, Summary], about: Mapping[str, Any]
) -> dict[str, Any]:
    """The object of `eval --json`: means by name, and their intervals beside them."""
    return {
        **about,
        **_summary(summary),
        "baselines": {name: _summary(one) for name, one in baselines.items()},
    }


def tables(summary: Summary, baselines: Mapping[str, Summary], agent: str) -> RenderableType:
    """The same as tables: figures by reader, verdicts, and accuracy by type."""
    columns = {agent: summary, **baselines}
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("a question, on average")
    for name in columns:
        drawn.add_column(Text(visible(name.replace("_", " "))), justify="right")
    for name, title in _TITLES.items():
        figures = [one.figures.get(name) for one in columns.values()]
        if any(figures):
            drawn.add_row(title, *map(_cell, figures))
    counted = f"{summary.questions} questions about {summary.videos} videos"
    ended = ", ".join(
        f"{count} {verdict.replace('_', ' ')}"
        for verdict, count in summary.verdicts.items()
        if count
    )
    lines: list[RenderableType] = [Text(counted, style="bold"), drawn, Text(f"ended: {ended}")]
    if summary.by_type:
        lines += [Text(), _types(columns)]
    return Group(*lines)


def _summary(summary: Summary) -> dict[str, Any]:
    figures = summary.figures
    return {
        "questions": summary.questions,
        "videos": summary.videos,
        **{name: _rounded(figure.mean if figure else None) for name, figure in figures.items()},
        "intervals": {
            name: [_rounded(figure.interval.low), _rounded(figure.interval.high)]
            for name, figure in figures.items()
            if figure and figure.interval
        },
        "verdicts": dict(summary.verdicts),
        "by_type": {
            kind: {name: _rounded(value) for name, value in found.items()}
            for kind, found in summary.by_type.items()
        },
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _cell(figure: Figure | None) -> Text:
    if figure is None:
        return Text("-", style="dim")
    told = Text(_number(figure.mean), style="bold")
    if figure.interval:
        bounds = f"{_number(figure.interval.low)}-{_number(figure.interval.high)}"
        told.append(f"  {bounds}", style="dim")
    return told


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"


def _types(columns: Mapping[str, Summary]) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("accuracy by type")
    drawn.add_column("questions", justify="right")
    for name in columns:
        drawn.add_column(Text(visible(name.replace("_", " "))), justify="right")
    first = next(iter(columns.values()))
    for kind, found in first.by_type.items():
        row: Sequence[Text] = [
            Text(f"{one.by_type[kind]['accuracy']:.3f}" if kind in one.by_type else "-")
            for one in columns.values()
        ]
        drawn.add_row(Text(visible(kind)), f"{found['questions']:.0f}", *row)
    return drawn
