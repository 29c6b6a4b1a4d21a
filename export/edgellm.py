"""`export tensorrt` of agent and captioner: TensorRT Edge-LLM, a tool in its own environment.

On any machine it writes ONNX with its own plugin operators, for the builder on the device.
On the target it builds engines too. Quantizing needs a GPU. The ONNX export has been run;
quantizing and building are written against the tool's own command lines and have not been.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from edge_lvr1 import prompts
from edge_lvr1.bundle import Manifest, write_bundle
from edge_lvr1.errors import BundleError
from edge_lvr1.export import checkpoint as checkpoints
from edge_lvr1.export.agent import merge_adapter, sampling_defaults
from edge_lvr1.export.chat import find_chat, template
from edge_lvr1.export.checkpoint import Checkpoint
from edge_lvr1.export.manifest import memory_estimate_mb, versions
from edge_lvr1.export.tool_env import Tool, ToolEnv, cache_dir, run, tool_env
from edge_lvr1.models.onnx.chat import APPEND_ONLY
from edge_lvr1.models.onnx.device import EDGELLM_CAPABILITIES, Found, find_device

log = logging.getLogger(__name__)

EDGELLM = Tool(
    "tensorrt-edgellm",
    (
        "tensorrt-edgellm[export]==0.11.0",
        "torch==2.13.0",
        # The visual part's; its extra for them would bring torchvision, and another torch.
        "nvidia-modelopt==0.45.0",
        "requests",
        "datasets",
        "peft",
    ),
    disk_mb=4000,
)
RUNTIME = "tensorrt-edgellm"
ROLES = {
    "Qwen3ForCausalLM": ("agent", "qwen3"),
    "Qwen3VLForConditionalGeneration": ("captioner", "qwen3_vl"),
    "Qwen2_5_VLForConditionalGeneration": ("captioner", "qwen2_5_vl"),
}
QUANTIZATIONS = ("int4_awq", "fp8", "nvfp4", "int8_sq")
LLM, VISUAL, CHECKPOINT, ENGINES = "llm", "visual", "checkpoint", "engines"

_TEMPLATE = "chat_template.jinja"
_HALF_BYTES = 2
_ALONG = (".json", ".txt", ".jinja", ".model")

Report: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EdgeLlmOptions:
    """What to export, how and where.

    `build` makes engines, on the machine that shall run them. `keep_checkpoint` puts the
    float16 checkpoint into the bundle as well: `tensorrt-edgellm-serve` starts from that.
    """

    model: str
    out: Path
    quantize: str | None = None
    build: bool = False
    keep_checkpoint: bool = False
    adapter: Path | None = None
    system_prompt: Path | None = None
    max_input_tokens: int = 8192
    context_tokens: int = 16384
    revision: str | None = None
    download: bool = False
    overwrite: bool = False
    cache: Path = field(default_factory=cache_dir)
    found: Found | None = None  # what this machine has; looked up where not given


def export_edgellm(options: EdgeLlmOptions, on_progress: Report = log.info) -> Path:
    """Write the bundle and return its place. Raises BundleError, ModelError."""
    found = options.found or find_device()
    check_able(options, found)
    if options.out.exists() and not options.overwrite:
        raise BundleError(f"{options.out} exists: choose another place, or say to overwrite it")
    folder = checkpoints.find(options.model, revision=options.revision, download=options.download)
    checkpoint = checkpoints.read(folder, checkpoints.label(options.model))
    checkpoints.check_architecture(checkpoint, tuple(ROLES), "a TensorRT Edge-LLM bundle")
    if options.adapter is not None and ROLES[checkpoint.architecture][0] != "agent":
        raise BundleError("only an agent's adapter can be merged: give the captioner merged")
    half = checkpoint.parameters * _HALF_BYTES
    checkpoints.check_room(
        checkpoints.room_at(options.out),
        disk_bytes=3 * half,
        memory_bytes=2 * half,
        out=options.out,
    )
    system = _system_prompt(options)
    env = tool_env(EDGELLM, options.cache, on_progress)

    def fill(out: Path) -> Manifest:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".edgellm.") as temporary:
            work = _Work(options, checkpoint, env, found, out, Path(temporary), on_progress)
            return _fill(work, system)

    return write_bundle(options.out, fill, overwrite=options.overwrite).path


def check_able(options: EdgeLlmOptions, found: Found) -> None:
    """Refuse what this machine cannot do, saying what is missing and what can be done here."""
    if options.quantize is not None and options.quantize not in QUANTIZATIONS:
        raise BundleError(
            f"TensorRT Edge-LLM knows no quantization {options.quantize!r}: "
            f"choose one of {', '.join(QUANTIZATIONS)}"
        )
    if options.quantize is not None and not found.gpu:
        raise BundleError(
            f"quantizing to {options.quantize} calibrates on an NVIDIA GPU, and none answers "
            f"here: run it on a machine with one; without quantization the export works here"
        )
    if not options.build:
        return
    missing = list(found.missing())
    if found.gpu and found.compute_capability not in EDGELLM_CAPABILITIES:
        missing.append(
            f"TensorRT Edge-LLM has no runtime for compute capability {found.compute_capability}"
        )
    if missing:
        raise BundleError(
            f"engines cannot be built here: {'; '.join(missing)}. Without building, the export "
            f"to ONNX works here; build on the device that shall run them"
        )


@dataclass(frozen=True, slots=True)
class _Work:
    options: EdgeLlmOptions
    checkpoint: Checkpoint
    env: ToolEnv
    found: Found
    out: Path
    temporary: Path
    on_progress: Report


def _fill(work: _Work, system: str) -> Manifest:
    started_s = time.monotonic()
    options, out = work.options, work.out
    role, family = ROLES[work.checkpoint.architecture]
    staged = work.temporary / CHECKPOINT
    notes = stage(work.checkpoint, staged, options.adapter, work.temporary, work.on_progress)
    if options.quantize:
        staged = _quantize(work, staged)
    if options.build or options.keep_checkpoint:
        staged = staged.rename(out / CHECKPOINT)
    extra: dict[str, Any] = {"form": "engines" if options.build else "onnx", "notes": list(notes)}
    if options.build:
        _build(work, staged)
        device = work.found.device()
        assert device is not None
        extra |= {"device": device.as_extra(), "place": str(options.out.absolute())}
    else:
        _export(work, staged, role)
    extra["next"] = _next_steps(options)
    work.on_progress(f"exported in {time.monotonic() - started_s:.0f} s")
    return Manifest(
        role=role,
        family=family,
        runtime=RUNTIME,
        source=work.checkpoint.source,
        revision=work.checkpoint.revision,
        precision=options.quantize or "fp16",
        target=RUNTIME,
        context_tokens=options.context_tokens,
        chat=APPEND_ONLY if role == "agent" else "checkpoint",
        prompts={"system": system} if role == "agent" else {},
        sampling=sampling_defaults(work.checkpoint.generation),
        tools=("get_caption", "video_qa") if role == "agent" else (),
        versions={**versions(), RUNTIME: work.env.versions.get(RUNTIME, "")},
        memory_estimate_mb=memory_estimate_mb(out),
        extra=extra,
    )


def stage(
    checkpoint: Checkpoint,
    staged: Path,
    adapter: Path | None,
    temporary: Path,
    on_progress: Report = log.info,
) -> tuple[str, ...]:
    """Write the checkpoint as the tool takes it: float16, with a chat template of its own file.

    An agent's template becomes append-only. Returns what the user should know.
    """
    source = checkpoint.path
    if adapter is not None:
        on_progress("merging the adapter")
        source = temporary / "merged"
        merge_adapter(checkpoint.path, adapter, source)
    on_progress("writing the weights in float16")
    staged.mkdir()
    for file in sorted(source.iterdir()):
        if file.is_file() and file.suffix in _ALONG and "index" not in file.name:
            shutil.copyfile(file, staged / file.name)
    _write_half(source, staged)
    _say_half(staged / checkpoints.CONFIG)
    return _put_template(checkpoint, source, staged)


def _write_half(source: Path, staged: Path) -> None:
    """Copy the shards, floating point numbers as float16. Raises BundleError on overflow."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    weight_map: dict[str, str] = {}
    for file in sorted(source.glob("*.safetensors")):
        tensors = {}
        with safe_open(file, framework="pt") as shard:
            for name in shard.keys():  # noqa: SIM118 (not a dict)
                tensor = shard.get_tensor(name)
                if tensor.is_floating_point() and tensor.dtype != torch.float16:
                    tensor = tensor.to(torch.float16)
                    if not bool(torch.isfinite(tensor).all()):
                        raise BundleError(
                            f"{name} holds numbers beyond float16, which TensorRT Edge-LLM "
                            f"computes in: this checkpoint cannot be exported to it"
                        )
                tensors[name] = tensor
        save_file(tensors, staged / file.name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file.name)
    if len(set(weight_map.values())) > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        (staged / checkpoints.INDEX).write_text(json.dumps(index, indent=1), "utf-8")


def _say_half(file: Path) -> None:
    """The configuration with float16 as the type of its weights, in all of its parts."""

    def change(part: dict[str, Any]) -> None:
        for key in ("torch_dtype", "dtype"):
            if key in part:
                part[key] = "float16"
        for value in part.values():
            if isinstance(value, dict):
                change(value)

    config = json.loads(file.read_text("utf-8"))
    config.setdefault("dtype", "float16")
    change(config)
    config["torch_dtype"] = "float16"
    file.write_text(json.dumps(config, indent=1), "utf-8")


def _put_template(checkpoint: Checkpoint, source: Path, staged: Path) -> tuple[str, ...]:
    from transformers import AutoTokenizer

    role, _ = ROLES[checkpoint.architecture]
    tokenizer = AutoTokenizer.from_pretrained(source)
    if role == "agent":
        chat = find_chat(tokenizer)
        (staged / _TEMPLATE).write_text(template(chat.chat), "utf-8")
        return chat.notes
    held = _template_of(source) or tokenizer.chat_template
    if not isinstance(held, str):
        raise BundleError(
            f"{checkpoint.source} has no chat template: put the one that it was trained with "
            f"beside its tokenizer as {_TEMPLATE}"
        )
    (staged / _TEMPLATE).write_text(held, "utf-8")
    return ()


def _template_of(source: Path) -> str | None:
    """The template of a processor, which a tokenizer does not know of."""
    if (source / _TEMPLATE).is_file():
        return (source / _TEMPLATE).read_text("utf-8")
    file = source / "chat_template.json"
    held = json.loads(file.read_text("utf-8")).get("chat_template") if file.is_file() else None
    return held if isinstance(held, str) else None


def _export(work: _Work, staged: Path, role: str) -> None:
    work.on_progress("TensorRT Edge-LLM writes ONNX")
    command = work.env.command("tensorrt-edgellm-export")
    run([command, staged, work.out], log.debug, {"HF_HUB_OFFLINE": "1"})
    for part in (LLM, VISUAL) if role == "captioner" else (LLM,):
        if not (work.out / part / "model.onnx").is_file():
            raise BundleError(
                f"TensorRT Edge-LLM wrote no {part}/model.onnx for {work.checkpoint.source}"
            )


def _quantize(work: _Work, staged: Path) -> Path:
    """Quantize on this machine's GPU. Written against the tool's command line, not run."""
    work.on_progress(f"TensorRT Edge-LLM quantizes to {work.options.quantize}")
    out = work.temporary / "quantized"
    command = work.env.command("tensorrt-edgellm-quantize")
    asked = ["--model_dir", str(staged), "--output_dir", str(out)]
    run([command, "llm", *asked, "--quantization", str(work.options.quantize)], log.debug)
    shutil.copyfile(staged / _TEMPLATE, out / _TEMPLATE)
    return out


def _build(work: _Work, staged: Path) -> None:
    """Build engines on the target. Written against the tool's command line, not run.

    The engines' configurations name the checkpoint whose weights they load, by its place:
    what was built in a temporary folder is told its final one.
    """
    work.on_progress("TensorRT Edge-LLM builds engines for this device")
    engines = work.out / ENGINES
    command = work.env.command("tensorrt-edgellm-build")
    asked = ["--model-dir", str(staged), "--engine-dir", str(engines)]
    sizes = ["--max-input-len", str(work.options.max_input_tokens)]
    sizes += ["--max-kv-cache-capacity", str(work.options.context_tokens)]
    run([command, *asked, *sizes], log.debug)
    for file in engines.rglob("*.json"):
        text = file.read_text("utf-8")
        file.write_text(text.replace(str(work.out), str(work.options.out.absolute())), "utf-8")


def _next_steps(options: EdgeLlmOptions) -> list[str]:
    """What to do on the device, in its own commands; paths are relative to the bundle."""
    steps = []
    if not options.build:
        steps.append("build engines from llm/ and visual/ with Edge-LLM's llm_build, visual_build")
    if options.build or options.keep_checkpoint:
        steps.append(
            f"tensorrt-edgellm-serve {CHECKPOINT} --host 127.0.0.1 --port 8000 "
            f"--max-input-len {options.max_input_tokens} "
            f"--max-kv-cache-capacity {options.context_tokens} --enable-context-reuse"
        )
    return steps


def _system_prompt(options: EdgeLlmOptions) -> str:
    if options.system_prompt is None:
        return prompts.SYSTEM
    try:
        return options.system_prompt.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(
            f"the system prompt {options.system_prompt} cannot be read: {error}"
        ) from error
