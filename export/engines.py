"""TensorRT engines of a bundle's standard-ops graphs: vision encoder and embedder.

Two routes to the same end. `tensorrt` builds engines with TensorRT's own Python API, named by
graph, precision and device. `onnxruntime` has onnxruntime's TensorRT provider fill its engine
cache. Neither has been run: both are written against the documented APIs of TensorRT 10 and
onnxruntime 1.31, and kept small. What they decide without TensorRT is tested.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from edge_lvr1.bundle import Bundle, Manifest, hash_file, load, write_bundle
from edge_lvr1.errors import BundleError
from edge_lvr1.models.onnx import vl_facts
from edge_lvr1.models.onnx.device import Device, Found, engine_name, find_device
from edge_lvr1.models.onnx.embedder import GRAPH, EmbedderFacts

log = logging.getLogger(__name__)

ROUTES = ("tensorrt", "onnxruntime")
FOLDER = "engines"
MAX_SLICES, USUAL_SLICES = 32, 8
MAX_TEXTS, USUAL_TEXTS = 32, 1
_USUAL_TOKENS = 64
_WORKSPACE_BYTES = 2 << 30
_TIMING_CACHE = "timing.cache"

Foreign: TypeAlias = Any
Report: TypeAlias = Callable[[str], None]
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """Shapes of one input that an engine is built for: smallest, usual, largest."""

    smallest: Shape
    usual: Shape
    largest: Shape


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph to build an engine of: its file, the key it is known by, its inputs' shapes."""

    file: Path
    key: str
    profiles: Mapping[str, Profile]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Which bundle becomes engines, where, and by which route."""

    bundle: Path
    out: Path
    route: str = "tensorrt"
    fp16: bool = True
    overwrite: bool = False
    found: Found | None = None  # what this machine has; looked up where not given


def export_engines(options: EngineOptions, on_progress: Report = log.info) -> Path:
    """Write a bundle with engines for this device beside its graphs. Raises BundleError."""
    if options.route not in ROUTES:
        raise BundleError(f"there is no route {options.route!r}: choose {' or '.join(ROUTES)}")
    source = load(options.bundle)
    check_bundle(source)
    device = check_able(options, source)

    def fill(out: Path) -> Manifest:
        shutil.copytree(source.path, out, dirs_exist_ok=True)
        (out / FOLDER).mkdir()
        built = []
        for graph in graphs(source, out / FOLDER):
            on_progress(f"building an engine of {graph.file.name} for {device.gpu} (minutes)")
            build = build_engine if options.route == "tensorrt" else fill_engine_cache
            built.append(build(graph, out / FOLDER, device, options.fp16))
            if graph.file.parent == out / FOLDER:
                graph.file.unlink()  # the graph of one frame size; the whole one stays
        engines = {"route": options.route, "device": device.as_extra(), "built": built}
        return replace(
            source.manifest,
            target="tensorrt",
            precision="fp16" if options.fp16 else source.manifest.precision,
            extra={**source.manifest.extra, "engines": engines},
            verification=None,  # that was of the graphs
        )

    return write_bundle(options.out, fill, overwrite=options.overwrite).path


def check_bundle(bundle: Bundle) -> None:
    """Refuse a bundle whose graphs TensorRT cannot take."""
    if bundle.role == "agent" or bundle.runtime != "onnxruntime":
        raise BundleError(
            f"{bundle.path} holds a {bundle.role} for {bundle.runtime}: engines are built of "
            f"captioners (their vision encoder) and embedders for onnxruntime; export the "
            f"checkpoint of an agent to TensorRT instead"
        )
    if bundle.role == "embedder" and bundle.manifest.precision != "fp32":
        raise BundleError(
            f"{bundle.path} was quantized for CPUs: export the embedder in fp32 for TensorRT"
        )


def check_able(options: EngineOptions, bundle: Bundle) -> Device:
    """This machine's device. Raises BundleError with what is missing, and what works here."""
    found = options.found or find_device()
    missing = list(found.missing())
    if options.route == "onnxruntime" and "TensorrtExecutionProvider" not in _providers():
        missing.append("onnxruntime has no TensorRT provider (install the extra 'gpu')")
    device = found.device()
    if missing or device is None:
        raise BundleError(
            f"engines cannot be built here: {'; '.join(missing)}. {bundle.path} runs on this "
            f"machine's CPU as it is; copy it to the device and build there"
        )
    return device


def graphs(bundle: Bundle, folder: Path) -> Iterator[Graph]:
    """The graphs of a bundle that become engines; those of one frame size go into `folder`."""
    if bundle.role == "embedder":
        file = bundle.path / GRAPH
        yield Graph(file, hash_file(file), embedder_profiles(bundle))
        return
    from edge_lvr1.export.vision import bake

    onnx: Foreign = importlib.import_module("onnx")
    facts = vl_facts.facts_of(bundle)
    data = bundle.path / f"{vl_facts.VISION}.data"
    if data.is_file():
        shutil.copyfile(data, folder / data.name)  # the graph names its weights beside it
    for height, width in bundle.manifest.frame_sizes:
        with np.load(bundle.path / vl_facts.constants_file(height, width)) as held:
            constants = dict(held)
        model = onnx.load(bundle.path / vl_facts.VISION, load_external_data=False)
        file = folder / f"vision-{height}x{width}.onnx"
        onnx.save(bake(model, constants), file)
        size = (height // facts.patch_px) * (width // facts.patch_px)
        values = 3 * facts.frames_per_slice * facts.patch_px**2
        weights = bundle.manifest.files.get(data.name, "")
        key = hashlib.sha256(f"{hash_file(file)}{weights}".encode()).hexdigest()
        yield Graph(file, key, vision_profiles(size, values))
    (folder / data.name).unlink(missing_ok=True)


def embedder_profiles(bundle: Bundle) -> dict[str, Profile]:
    """From one word to a full batch of the longest texts."""
    longest = EmbedderFacts.of(bundle.manifest.extra).max_tokens
    profile = Profile((1, 1), (USUAL_TEXTS, min(_USUAL_TOKENS, longest)), (MAX_TEXTS, longest))
    return dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), profile)


def vision_profiles(patches: int, values: int) -> dict[str, Profile]:
    """Any number of slices T of [T, patches, values] up to the largest."""
    shapes = [(slices, patches, values) for slices in (1, USUAL_SLICES, MAX_SLICES)]
    return {vl_facts.PATCHES: Profile(*shapes)}


def provider_options(graph: Graph, cache: Path, device: Device, *, fp16: bool) -> dict[str, str]:
    """Options of onnxruntime's TensorRT provider, as it documents them."""

    def shapes(pick: Callable[[Profile], Shape]) -> str:
        return ",".join(
            f"{name}:{'x'.join(map(str, pick(profile)))}"
            for name, profile in graph.profiles.items()
        )

    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_engine_cache_prefix": f"{graph.key[:12]}-{device.key()}",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
        "trt_fp16_enable": "1" if fp16 else "0",
        "trt_max_workspace_size": str(_WORKSPACE_BYTES),
        "trt_profile_min_shapes": shapes(lambda profile: profile.smallest),
        "trt_profile_opt_shapes": shapes(lambda profile: profile.usual),
        "trt_profile_max_shapes": shapes(lambda profile: profile.largest),
    }


def build_engine(graph: Graph, folder: Path, device: Device, fp16: bool) -> dict[str, Any]:
    """Build one engine with TensorRT's Python API. Unrun: there was no TensorRT to run it on."""
    trt: Foreign = importlib.import_module("tensorrt")
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph.file)):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise BundleError(f"TensorRT cannot read {graph.file.name}: {errors[:400]}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    if fp16:
        config.set_flag(trt.BuilderFlag.FP16)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        name = network.get_input(index).name
        wanted = graph.profiles.get(name)
        if wanted is not None:
            profile.set_shape(name, wanted.smallest, wanted.usual, wanted.largest)
    config.add_optimization_profile(profile)
    timing = folder / _TIMING_CACHE
    cache = config.create_timing_cache(timing.read_bytes() if timing.is_file() else b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BundleError(f"TensorRT built no engine of {graph.file.name}: see its log above")
    timing.write_bytes(memoryview(config.get_timing_cache().serialize()))
    file = folder / engine_name(graph.key, "fp16" if fp16 else "fp32", device)
    file.write_bytes(memoryview(plan))
    return {"file": f"{FOLDER}/{file.name}", "graph": graph.file.name}


def fill_engine_cache(graph: Graph, folder: Path, device: Device, fp16: bool) -> dict[str, Any]:
    """Have onnxruntime build its engine into the cache. Unrun: there was no TensorRT."""
    ort: Foreign = importlib.import_module("onnxruntime")
    options = provider_options(graph, folder, device, fp16=fp16)
    session = ort.InferenceSession(
        str(graph.file), providers=[("TensorrtExecutionProvider", options), "CUDAExecutionProvider"]
    )
    if session.get_providers()[0] != "TensorrtExecutionProvider":
        raise BundleError(
            f"onnxruntime put {graph.file.name} on {session.get_providers()[0]}: check the "
            f"driver and TensorRT's libraries"
        )
    kinds = {"tensor(int64)": np.int64, "tensor(float)": np.float32}
    given = {
        entry.name: np.ones(graph.profiles[entry.name].usual, kinds[entry.type])
        for entry in session.get_inputs()
    }
    session.run(None, given)
    return {"file": FOLDER, "graph": graph.file.name, "provider_options": options}


def _providers() -> list[str]:
    try:
        ort: Foreign = importlib.import_module("onnxruntime")
    except ImportError:
        return []
    found: list[str] = ort.get_available_providers()
    return found
