"""`edge-lvr1 bench`: measurements that compare within one run. Parse, call one thing, print."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from edge_lvr1 import config, display
from edge_lvr1.told import told

app = typer.Typer(help="Measure, comparing within one run.", no_args_is_help=True)
out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


@app.command()
@told
def agent(
    rounds: Annotated[int, typer.Option(help="Rounds of the conversation.", min=2)] = 10,
    target: Annotated[str, typer.Option(help="Where it runs: cpu or cuda.")] = "cpu",
    shape: Annotated[str, typer.Option(help="qwen3-0.6b or qwen3-8b.")] = "qwen3-0.6b",
    fp16: Annotated[bool, typer.Option(help="Also in fp16, which needs cuda.")] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Where 5 GB of disk are; 45 GB for qwen3-8b.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Cache reuse and int4, on a random model of a Qwen3's shape (needs extra `export`)."""
    from edge_lvr1.bench_agent import SHAPES, BenchOptions, bench_agent

    if shape not in SHAPES:
        raise typer.BadParameter(f"known are {', '.join(SHAPES)}", param_hint="--shape")
    options = BenchOptions(SHAPES[shape], target, rounds=rounds, folder=folder)
    if target == "cuda":
        options = dataclasses.replace(options, decode_tokens=128)
    if fp16:
        options = dataclasses.replace(options, precisions=("int4", "fp16"))
    found = bench_agent(options, _say)
    figures = {
        **dataclasses.asdict(found),
        "fewer_tokens_read": found.fewer_tokens_read,
        "less_time": found.less_time,
        "int4_speedup": found.int4_speedup,
    }
    _show(figures, as_json)


@app.command()
@told
def ingest(
    path: Annotated[Path, typer.Argument(help="A video file, or a folder of some.")],
    gate_off: Annotated[
        bool, typer.Option(help="Also take it in with the gate off, which takes longer.")
    ] = True,
    once_per_node: Annotated[
        bool, typer.Option(help="Also open the file once for each node, which takes longer.")
    ] = True,
    config_file: Annotated[Path | None, typer.Option("--config", help="Settings (TOML).")] = None,
    as_json: AsJson = False,
) -> None:
    """What taking footage in costs, part by part, against decoding it once."""
    from edge_lvr1.bench_ingest import bench_ingest

    settings = config.load({}, config_file)
    found = bench_ingest(path, settings, _say, gate_off=gate_off, once_per_node=once_per_node)
    _show(found.figures, as_json)


@app.command()
@told
def search(
    captions: Annotated[int, typer.Option(help="Captions in the archive.", min=1000)] = 1_000_000,
    queries: Annotated[int, typer.Option(help="Questions asked of it.", min=1)] = 40,
    folder: Annotated[Path | None, typer.Option(help="Where 2 GB of disk are.")] = None,
    as_json: AsJson = False,
) -> None:
    """Search by words, by meaning and by both, in an archive that is made for it."""
    from edge_lvr1.bench_search import SearchBenchOptions, bench_search

    options = SearchBenchOptions(captions=captions, queries=queries, folder=folder)
    found = dataclasses.asdict(bench_search(options, _say))
    if as_json:
        _show(found, as_json)
        return
    timings = found.pop("timings")
    rows = [
        (one["kind"], one["scope"], *(f"{one[name]:.1f}" for name in _TIMES)) for one in timings
    ]
    heads = ("search", "scope", "median ms", "95 % within ms", "CPU ms (median)")
    out.print(display.table(heads, rows))
    _show(found, as_json)


_TIMES = ("median_ms", "p95_ms", "cpu_median_ms")


def _say(line: str) -> None:
    err.print(display.plain(line))


def _show(figures: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    rows = [(name.replace("_", " "), _figure(value)) for name, value in figures.items()]
    out.print(display.table(("figure", "value"), rows))


def _figure(value: Any) -> str:  # noqa: ANN401 (any figure)
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
