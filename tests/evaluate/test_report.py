"""What a measurement says: the object, the tables, the plots."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from edge_lvr1.errors import DatasetError
from edge_lvr1.evaluate import plots
from edge_lvr1.evaluate.captions import CaptionFiles
from edge_lvr1.evaluate.flat import Bm25Matcher, flat_readings
from edge_lvr1.evaluate.plots import Chart, Line, accuracy_chart, draw, draw_plots, opened_chart
from edge_lvr1.evaluate.report import tables, to_json
from edge_lvr1.evaluate.score import Scored, Summary, summarize
from tests.evaluate.made import item, write_captions


def scored() -> list[Scored]:
    return [
        Scored(
            item=item(number, f"v{number % 3}", kind="why"),
            verdict="answered" if number % 4 else "gave_up",
            correct=bool(number % 4) and bool(number % 2),
            hit=number % 2 == 0,
            location_f1=0.25,
            rounds=1 + number % 5,
            captions_opened=number % 5,
            invalid_steps=0,
            seconds=0.1,
        )
        for number in range(12)
    ]


@pytest.fixture
def flat(tmp_path: Path) -> Summary:
    source = CaptionFiles(write_captions(tmp_path / "c", "v0", "v1", "v2"))
    items = [one.item for one in scored()]
    return summarize(flat_readings(items, source, Bm25Matcher())["flat_bm25"])


def test_object_has_what_programs_read(flat: Summary) -> None:
    told = to_json(summarize(scored()), {"flat_bm25": flat}, {"agent": "embedded"})

    wanted = (
        "questions accuracy hit_rate location_f1 coverage precision captions_opened rounds "
        "invalid_steps seconds verdicts"
    )
    assert set(wanted.split()) <= told.keys()
    assert (told["agent"], told["questions"], told["videos"]) == ("embedded", 12, 3)
    assert told["accuracy"] == 0.5
    assert told["intervals"]["accuracy"][0] <= 0.5 <= told["intervals"]["accuracy"][1]
    assert told["coverage"] is None
    assert told["verdicts"]["gave_up"] == 3
    assert told["baselines"]["flat_bm25"]["captions_opened"] == 8
    assert told["baselines"]["flat_bm25"]["rounds"] is None
    json.dumps(told, allow_nan=False)


def test_tables_show_each_reader_beside_the_other(flat: Summary) -> None:
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as shown:
        console.print(tables(summarize(scored()), {"flat_bm25": flat}, "[b]embedded"))

    text = shown.get()
    assert "12 questions about 3 videos" in text
    assert "[b]embedded" in text
    assert "flat bm25" in text
    assert "captions opened" in text
    assert "ended: 9 answered, 3 gave up" in text
    assert "why" in text


def test_accuracy_chart_counts_by_the_round_of_the_answer(flat: Summary) -> None:
    chart = accuracy_chart("embedded", scored(), {"flat_bm25": flat}, 5)

    right = dict(chart.lines[0].points)
    assert right[0] == 0.0
    assert right[6] == 0.5
    ends = [(one.rounds or 0) <= 2 and bool(one.correct) for one in scored()]
    assert max(y for x, y in chart.lines[0].points if x == 2.0) == sum(ends) / 12
    assert chart.lines[2].dashed
    assert chart.lines[2].points[0][1] == chart.lines[2].points[1][1]


def test_plots_are_written_as_pictures(tmp_path: Path, flat: Summary) -> None:
    paths = draw_plots(tmp_path / "new" / "plots", "embedded", scored(), {"flat": flat}, 5)

    assert [path.name for path in paths] == ["accuracy-by-rounds.png", "captions-opened.png"]
    for path in paths:
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("PNG", (plots.WIDTH_PX, plots.HEIGHT_PX))


def test_line_stands_where_its_values_are() -> None:
    chart = Chart("t", "x", "y", [Line("one", [(0, 0.5), (10, 0.5)])], 10, 1.0)
    pixels = np.asarray(draw(chart)).astype(int)

    blue = (pixels[..., 2] - pixels[..., 0] > 120).sum(axis=1)
    middle = (110 + plots.HEIGHT_PX - 90) // 2
    assert blue[middle] > 1000
    assert blue[middle + 20] == 0


def test_chart_of_nothing_can_be_drawn() -> None:
    assert draw(opened_chart("embedded", [])).size == (plots.WIDTH_PX, plots.HEIGHT_PX)
    assert draw(accuracy_chart("embedded", [], {}, 10)).size == (plots.WIDTH_PX, plots.HEIGHT_PX)


def test_place_that_takes_no_plots_is_said(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("", "utf-8")
    with pytest.raises(DatasetError, match="the plots cannot be written"):
        draw_plots(taken, "embedded", scored(), {}, 5)
