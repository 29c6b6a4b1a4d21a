"""`export agent`: a fine-tuned Qwen3 checkpoint becomes a bundle for onnxruntime-genai.

An adapter is merged first, then onnxruntime-genai's model builder writes the graph. What the
agent needs besides (the rendering of conversations, the system prompt, generation defaults)
goes into the manifest. Whether the result still is the same model, `export verify` tells.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from edge_lvr1 import prompts
from edge_lvr1.bundle import Manifest, write_bundle
from edge_lvr1.errors import BundleError
from edge_lvr1.export import checkpoint as checkpoints
from edge_lvr1.export.chat import find_chat, template
from edge_lvr1.export.checkpoint import Checkpoint
from edge_lvr1.export.manifest import memory_estimate_mb, versions
from edge_lvr1.models.base import MORE_TOOLS
from edge_lvr1.models.onnx.chat import APPEND_ONLY

log = logging.getLogger(__name__)

FAMILIES = {"Qwen3ForCausalLM": "qwen3"}
RUNTIME = "onnxruntime-genai"
TARGETS = {"cpu": "cpu", "cuda": "cuda", "tensorrt-rtx": "NvTensorRtRtx"}
"""Our names of the targets, and the model builder's."""

PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "cpu": ("fp32", "int4"),
    "cuda": ("fp16", "bf16", "int4"),
    "tensorrt-rtx": ("fp16", "bf16", "int4"),
}
"""What onnxruntime has kernels for, by target: grouped attention on CUDA has none in fp32, and
for want of it the builder writes a graph that cannot be loaded."""

TOOLS = ("get_caption", "video_qa")
"""What LongVideo-R1 knows; a checkpoint that was trained on more is exported with these too."""

DEFAULT_CONTEXT_TOKENS = 16384
_CACHE_BYTES = {"cpu": 4}  # a cached number on the CPU is float32; elsewhere 2 bytes
_SPARE_BYTES = 256 << 20

Report: TypeAlias = Callable[[str], None]
"""Takes one line of progress, or something that the user should know."""

Build: TypeAlias = Callable[[Path, Path, str, str, Path, Report], None]
"""(model folder, out folder, precision, target, folder for temporary files, progress)."""


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """What to export, how and where. `context_tokens` of 0 takes the default or less.

    `more_tools` are what the checkpoint was trained on beyond LongVideo-R1's two.
    """

    model: str
    out: Path
    precision: str = "int4"
    target: str = "cpu"
    adapter: Path | None = None
    system_prompt: Path | None = None
    context_tokens: int = 0
    revision: str | None = None
    download: bool = False
    overwrite: bool = False
    more_tools: tuple[str, ...] = ()
    room: checkpoints.Room | None = field(default=None)


def export_agent(
    options: AgentOptions, on_progress: Report = log.info, build: Build | None = None
) -> Path:
    """Write the bundle and return its place. Raises BundleError.

    `build` runs the model builder: as a process of its own by default, so that its memory is
    free again when it ends, and an interrupt ends it.
    """
    _check_options(options)
    folder = checkpoints.find(options.model, revision=options.revision, download=options.download)
    checkpoint = checkpoints.read(folder, checkpoints.label(options.model))
    _check_checkpoint(checkpoint)
    _check_room(options, checkpoint)
    system = _read_system_prompt(options.system_prompt)

    def fill(out: Path) -> Manifest:
        with tempfile.TemporaryDirectory(
            prefix=f".{options.out.name}.", suffix=".partial", dir=out.parent
        ) as temporary:
            return _fill(options, checkpoint, system, out, Path(temporary), on_progress, build)

    return write_bundle(options.out, fill, overwrite=options.overwrite).path


def build_in_child(
    model: Path, out: Path, precision: str, target: str, temporary: Path, on_progress: Report
) -> None:
    """Run onnxruntime-genai's model builder as a process of its own. Raises BundleError."""
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    command += ["-i", str(model), "-o", str(out), "-p", precision, "-e", TARGETS[target]]
    command += ["-c", str(temporary), "--extra_options", "hf_token=false"]
    last = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last = line.strip() or last
                if line.startswith("Reading "):
                    on_progress(line.strip())
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise BundleError(f"the model builder failed ({process.returncode}): {last[-400:]}")


def _fill(
    options: AgentOptions,
    checkpoint: Checkpoint,
    system: str | None,
    out: Path,
    temporary: Path,
    on_progress: Report,
    build: Build | None,
) -> Manifest:
    from transformers import AutoTokenizer

    model = checkpoint.path
    if options.adapter is not None:
        on_progress(f"merging the adapter {options.adapter.name}")
        model = temporary / "merged"
        merge_adapter(checkpoint.path, options.adapter, model)
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    found = find_chat(tokenizer)
    for note in found.notes:
        on_progress(note)
    on_progress(f"building {options.precision} for {options.target}")
    (build or build_in_child)(
        model, out, options.precision, options.target, temporary / "build", on_progress
    )
    _plain_think_tags(out / "tokenizer.json")
    (out / "chat_template.jinja").write_text(template(found.chat), "utf-8")
    context = _context_tokens(options, checkpoint)
    return Manifest(
        role="agent",
        family=FAMILIES[checkpoint.architecture],
        runtime=RUNTIME,
        source=checkpoint.source,
        revision=checkpoint.revision,
        precision=options.precision,
        target=options.target,
        context_tokens=context,
        chat=APPEND_ONLY,
        prompts={"system": prompts.SYSTEM if system is None else system},
        sampling=sampling_defaults(checkpoint.generation),
        tools=(*TOOLS, *sorted(set(options.more_tools) - set(TOOLS))),
        versions=versions(),
        memory_estimate_mb=memory_estimate_mb(
            out, cache_bytes(checkpoint.config, options.target, context)
        ),
        extra={
            "chat": found.chat.to_extra(),
            "adapter": options.adapter.name if options.adapter else None,
            "parameters": checkpoint.parameters,
            "vocabulary": checkpoint.config.get("vocab_size"),
            "notes": list(found.notes),
        },
    )


def merge_adapter(model: Path, adapter: Path, out: Path) -> None:
    """Merge a LoRA adapter into its model and write the whole. Raises BundleError."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    if not (adapter / "adapter_config.json").is_file():
        raise BundleError(f"{adapter} is not an adapter: it holds no adapter_config.json")
    base = AutoModelForCausalLM.from_pretrained(model, dtype="auto", local_files_only=True)
    try:
        merged = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        raise BundleError(f"the adapter {adapter} does not fit {model}: {error}") from error
    merged.save_pretrained(out)
    for file in model.iterdir():
        if file.is_file() and not (out / file.name).exists() and _goes_along(file.name):
            shutil.copyfile(file, out / file.name)


def sampling_defaults(generation: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's generation defaults, as the agent takes them; greedy where it has none."""
    names = ("do_sample", "temperature", "top_p", "top_k", "repetition_penalty")
    return {
        **{name: generation[name] for name in names if generation.get(name) is not None},
        "seed": 0,
    }


def cache_bytes(config: Mapping[str, Any], target: str, context_tokens: int) -> int:
    """Bytes of the key-value cache of one conversation as long as the context."""
    heads = int(config["num_attention_heads"])
    head_dim = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
    per_token = 2 * int(config["num_hidden_layers"]) * head_dim
    per_token *= int(config.get("num_key_value_heads") or heads)
    return per_token * _CACHE_BYTES.get(target, 2) * context_tokens


def _check_options(options: AgentOptions) -> None:
    if strange := sorted(set(options.more_tools) - MORE_TOOLS - set(TOOLS)):
        raise BundleError(
            f"there is no tool {strange[0]!r}; known: {', '.join(sorted(MORE_TOOLS))}"
        )
    if options.target not in TARGETS:
        raise BundleError(f"there is no target {options.target!r}; known: {', '.join(TARGETS)}")
    allowed = PRECISIONS[options.target]
    if options.precision not in allowed:
        raise BundleError(
            f"{options.precision} cannot be run on {options.target}: choose one of "
            f"{', '.join(allowed)}"
        )
    if options.adapter is not None and not options.adapter.is_dir():
        raise BundleError(f"there is no adapter folder {options.adapter}")


def _check_checkpoint(checkpoint: Checkpoint) -> None:
    checkpoints.check_architecture(checkpoint, tuple(FAMILIES), "an agent")
    if not checkpoint.tied and "lm_head.weight" not in checkpoint.tensors:
        raise BundleError(
            f"{checkpoint.source} has no lm_head.weight and does not tie its embeddings: set "
            f"tie_word_embeddings in its config.json, or fetch the checkpoint again"
        )
    if not any((checkpoint.path / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise BundleError(f"{checkpoint.source} has no tokenizer: put tokenizer.json beside it")


def _check_room(options: AgentOptions, checkpoint: Checkpoint) -> None:
    """Disk: the bundle twice (the builder's temporary copy), and the merged model.

    Memory: the weights as loaded and once more while the graph is written.
    """
    exported = int(checkpoint.parameters * checkpoints.WEIGHT_BYTES[options.precision])
    merged = checkpoint.weight_bytes if options.adapter else 0
    checkpoints.check_room(
        options.room or checkpoints.room_at(options.out),
        disk_bytes=2 * exported + merged + _SPARE_BYTES,
        memory_bytes=checkpoint.weight_bytes
        + max(checkpoint.weight_bytes, exported)
        + _SPARE_BYTES,
        out=options.out,
    )


def _context_tokens(options: AgentOptions, checkpoint: Checkpoint) -> int:
    longest = int(checkpoint.config.get("max_position_embeddings", DEFAULT_CONTEXT_TOKENS))
    return min(options.context_tokens or DEFAULT_CONTEXT_TOKENS, longest)


def _read_system_prompt(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"the system prompt {file} cannot be read: {error}") from error
    if not text:
        raise BundleError(f"the system prompt {file} is empty")
    return text


def _plain_think_tags(file: Path) -> None:
    """Make the tags of the protocol ordinary text where a tokenizer calls them special.

    Special tokens are left out of decoded text and of grammars, and the tags are part of both.
    """
    if not file.is_file():
        return
    tokenizer = json.loads(file.read_text("utf-8"))
    changed = False
    for token in tokenizer.get("added_tokens", ()):
        tag = token["content"].strip("</>")
        if tag in ("think", "tool", "answer") and token["special"]:
            token["special"], changed = False, True
    if changed:
        file.write_text(json.dumps(tokenizer, ensure_ascii=False), "utf-8")


def _goes_along(name: str) -> bool:
    """Whether a file of a checkpoint belongs to its tokenizer or its generation."""
    return not name.endswith((".safetensors", ".bin", ".index.json", ".md")) and "/" not in name
