"""`edge-lvr1 eval` and `edge-lvr1 trajectories`: parse, call one function, print.

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edge_lvr1 import config
from edge_lvr1.display import json_text, plain
from edge_lvr1.domain import Verdict
from edge_lvr1.told import told

if TYPE_CHECKING:
    from edge_lvr1.evaluate.results import Result
    from edge_lvr1.evaluate.trajectories import Filter

out = Console()
err = Console(stderr=True)

Config = Annotated[Path | None, typer.Option("--config", help="Settings (TOML).")]
Data = Annotated[Path | None, typer.Option(help="Where the archive is kept.")]


@told
def evaluate(
    dataset: Annotated[
        str,
        typer.Option(
            help="Format: lvbench, video-mme, mlvu, cg-bench, longvideobench or egoschema."
        ),
    ],
    questions: Annotated[Path, typer.Option(help="The dataset's file of questions.")],
    captions: Annotated[
        Path | None, typer.Option(help="Folder of caption files; without it, the archive.")
    ] = None,
    agent: Annotated[str | None, typer.Option(help="embedded, onnx or server.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Most rounds a question.", min=1)] = None,
    seconds: Annotated[float | None, typer.Option(help="Most seconds a question.")] = None,
    hints: Annotated[
        bool | None, typer.Option("--hints/--no-hints", help="Off: the bare agent is measured.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only so many questions.", min=1)] = None,
    captioned_only: Annotated[
        bool, typer.Option(help="Leave out questions about videos without captions.")
    ] = False,
    results: Annotated[
        Path | None, typer.Option(help="Keep results here, and go on from those that are there.")
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Draw plots into this folder.")] = None,
    baselines: Annotated[bool, typer.Option(help="Also measure flat readings.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that ask at once.", min=1)] = 1,
    data: Data = None,
    config_file: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Ask the questions of a public dataset, and measure the answers."""
    from edge_lvr1.evaluate.measure import Wanted, measure
    from edge_lvr1.evaluate.report import tables, to_json

    flags = {
        "data": data.absolute() if data else None,
        "models": {"agent": agent},
        "questions": {"max_rounds": rounds, "max_seconds": seconds, "hints": hints},
    }
    wanted = Wanted(
        dataset=dataset,
        questions=questions,
        captions=captions,
        limit=limit,
        captioned_only=captioned_only,
        results=results,
        plots=plots,
        baselines=baselines,
        workers=workers,
    )
    with _quiet(), _progress() as progress:
        found = measure(config.load(flags, config_file), wanted, progress)
    for line in found.remarks:
        err.print(plain(line, style="yellow"))
    if as_json:
        _print_json(to_json(found.summary, found.baselines, found.about))
    else:
        out.print(tables(found.summary, found.baselines, str(found.about["agent"])))


@contextmanager
def _quiet() -> Iterator[None]:
    """That a clip could not be looked at is said to the agent, and counted, not told here."""
    log = logging.getLogger("edge_lvr1")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


class _Bar:
    """A bar on stderr: how many questions are answered, of how many."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("questions", total=None)

    def begin(self, total: int) -> None:
        """So many questions are to be asked."""
        self._progress.update(self._task, total=total)

    def done(self, result: Result) -> None:
        """One more is answered."""
        self._progress.advance(self._task)


class _progress:  # noqa: N801 (used as a with statement)
    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, TimeRemainingColumn(), console=err, transient=True)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return _Bar(self._progress)

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()


def _print_json(value: Any) -> None:  # noqa: ANN401 (any JSON value)
    sys.stdout.write(json_text(value) + "\n")


trajectories = typer.Typer(help="Conversations as training data.", no_args_is_help=True)


@trajectories.command("export")
@told
def export_trajectories(
    output: Annotated[Path, typer.Option("--output", "-o", help="The JSON file to write.")],
    results: Annotated[
        Path | None, typer.Option(help="Results of `eval`; without it, the archive's questions.")
    ] = None,
    verdict: Annotated[
        list[Verdict] | None,
        typer.Option(help="How a conversation ended; repeat. Default: answered, not_found."),
    ] = None,
    min_reward: Annotated[
        float | None, typer.Option(help="Least reward; what has none is left out.")
    ] = None,
    data: Data = None,
    config_file: Config = None,
) -> None:
    """Write conversations as sharegpt JSON, which LLaMA-Factory trains on."""
    from edge_lvr1.evaluate.trajectories import DATASET_INFO, Filter, from_results, write

    wanted = Filter(min_reward=min_reward)
    if verdict:
        wanted = Filter(frozenset(verdict), min_reward)
    if results is not None:
        from edge_lvr1.evaluate.results import read_results

        written = write(output, from_results(read_results(results)), wanted)
    else:
        flags = {"data": data.absolute() if data else None}
        written = _from_archive(config.load(flags, config_file), output, wanted)
    out.print(plain(f"wrote {written} conversations to {output}"))
    entry = {output.stem: {"file_name": output.name, **DATASET_INFO}}
    out.print(plain(f"for LLaMA-Factory's dataset_info.json: {json.dumps(entry)}"))


def _from_archive(settings: config.Settings, output: Path, wanted: Filter) -> int:
    import time

    from edge_lvr1.evaluate.measure import open_archive
    from edge_lvr1.evaluate.trajectories import from_archive, write
    from edge_lvr1.store.questions import QuestionQueue
    from edge_lvr1.store.trees import Trees

    with open_archive(settings) as archive:
        found = from_archive(QuestionQueue(archive, time.time), Trees(archive))
        return write(output, found, wanted)
