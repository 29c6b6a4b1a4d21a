"""Finding a checkpoint and looking it over before any work begins.

A folder or a hub id becomes a `Checkpoint`: its architecture, its shards and their sizes, all
read from headers without loading a weight. What would fail after an hour fails here at once,
with figures: a shard that is missing or cut short, an architecture that is not supported,
a disk or a memory that is too small.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_lvr1.errors import BundleError

CONFIG, INDEX, SINGLE = "config.json", "model.safetensors.index.json", "model.safetensors"
WEIGHT_BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "int4": 0.6}
"""Bytes a weight takes when exported; int4 with its scales."""

_HEADER_BYTES_MOST = 100 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model folder that was looked over: what it is and which files hold its weights."""

    path: Path
    source: str
    revision: str
    architecture: str
    config: Mapping[str, Any]
    generation: Mapping[str, Any]
    shards: tuple[str, ...]
    tensors: frozenset[str]
    parameters: int
    weight_bytes: int

    @property
    def tied(self) -> bool:
        """Whether the output layer shares the embeddings."""
        return bool(self.config.get("tie_word_embeddings", False))


@dataclass(frozen=True, slots=True)
class Room:
    """What a machine has left: bytes of disk where an export goes, bytes of memory."""

    disk_bytes: int
    memory_bytes: int


def find(model: str, *, revision: str | None = None, download: bool = False) -> Path:
    """The folder of a model: a local folder, or a hub id in the local cache.

    Only with `download` is the network used. Raises BundleError where there is no such model.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or model.count("/") > 1 or model.startswith((".", "~", "/")):
        raise BundleError(f"{model} is not a folder with a model: name the checkpoint's folder")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(model, revision=revision, local_files_only=not download)
    except LocalEntryNotFoundError:
        raise BundleError(
            f"there is no folder {model}, and no model of that name in the local cache: name a "
            f"folder, or allow the download"
        ) from None
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise BundleError(f"the model {model} cannot be fetched: {error}") from error
    return Path(found)


def label(model: str) -> str:
    """What a manifest calls a model: a hub id, or a folder's name without its place."""
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() else model


def read(path: Path, source: str | None = None) -> Checkpoint:
    """Look a model folder over. Raises BundleError that says what is missing or broken."""
    config = _json(path / CONFIG)
    architectures = config.get("architectures") or [None]
    if not isinstance(architectures, list) or not isinstance(architectures[0], str):
        raise BundleError(
            f"{path / CONFIG} names no architecture: add it, for example "
            f'"architectures": ["Qwen3ForCausalLM"]'
        )
    shards = _shards(path)
    headers = {name: _header(path / name) for name in shards}
    tensors = {name: entry for header in headers.values() for name, entry in header.items()}
    _check_index(path, headers)
    generation = path / "generation_config.json"
    return Checkpoint(
        path=path,
        source=source or path.name,
        revision=_revision(path, shards),
        architecture=architectures[0],
        config=config,
        generation=_json(generation) if generation.is_file() else {},
        shards=shards,
        tensors=frozenset(tensors),
        parameters=sum(math.prod(entry["shape"]) for entry in tensors.values()),
        weight_bytes=sum(_tensor_bytes(entry) for entry in tensors.values()),
    )


def check_architecture(checkpoint: Checkpoint, supported: Sequence[str], what: str) -> None:
    """Refuse an architecture that is not supported, naming it and what is."""
    if checkpoint.architecture not in supported:
        raise BundleError(
            f"{checkpoint.source} is a {checkpoint.architecture}, which cannot be exported as "
            f"{what}: supported are {', '.join(supported)}"
        )


def room_at(out: Path) -> Room:
    """What this machine has left for an export to that place."""
    there = out.absolute()
    while not there.exists():
        there = there.parent
    return Room(shutil.disk_usage(there).free, _available_memory())


def check_room(room: Room, *, disk_bytes: int, memory_bytes: int, out: Path) -> None:
    """Refuse to begin what cannot end. Raises BundleError with the figures."""
    if room.disk_bytes < disk_bytes:
        raise BundleError(
            f"not enough disk for {out}: about {_gib(disk_bytes)} are needed and "
            f"{_gib(room.disk_bytes)} are free; make room or choose another place"
        )
    if room.memory_bytes < memory_bytes:
        raise BundleError(
            f"not enough memory for this export: about {_gib(memory_bytes)} are needed and "
            f"{_gib(room.memory_bytes)} are free; close other programs or use a larger machine"
        )


def _gib(count: int) -> str:
    return f"{count / _GIB:.1f} GiB"


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{file.parent} is not a checkpoint: it holds no {file.name}") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{file} cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise BundleError(f"{file} does not hold an object: fetch the checkpoint again")
    return data


def _shards(path: Path) -> tuple[str, ...]:
    """Names of the weight files, all of them there."""
    if (path / INDEX).is_file():
        placed = _json(path / INDEX).get("weight_map")
        names = sorted(set(placed.values())) if isinstance(placed, dict) else []
    elif (path / SINGLE).is_file():
        names = [SINGLE]
    else:
        names = []
    if not names:
        raise BundleError(
            f"{path} holds no weights: neither {SINGLE} nor {INDEX} with its shards is there"
        )
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        raise BundleError(
            f"{path} lacks {len(missing)} of {len(names)} shards, first {missing[0]}: fetch the "
            f"checkpoint again"
        )
    return tuple(names)


def _header(file: Path) -> dict[str, Any]:
    """The tensors of a safetensors file, by name, after checking that the file is whole."""
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else _HEADER_BYTES_MOST
        text = stream.read(length) if length < _HEADER_BYTES_MOST else b""
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BundleError(f"{file} is not a safetensors file: fetch the checkpoint again") from None
    whole = 8 + length + end
    if file.stat().st_size < whole:
        raise BundleError(
            f"{file} is cut short ({file.stat().st_size} of {whole} bytes): fetch it again"
        )
    return dict(header)


def _check_index(path: Path, headers: Mapping[str, Mapping[str, Any]]) -> None:
    if not (path / INDEX).is_file():
        return
    for tensor, shard in _json(path / INDEX)["weight_map"].items():
        if tensor not in headers[shard]:
            raise BundleError(f"{path / shard} lacks the tensor {tensor}: fetch it again")


def _tensor_bytes(entry: Mapping[str, Any]) -> int:
    begin, end = entry["data_offsets"]
    return int(end) - int(begin)


def _revision(path: Path, shards: Sequence[str]) -> str:
    """The hub's commit where the folder is one of its snapshots; else a print of the headers."""
    if path.parent.name == "snapshots":
        return path.name
    digest = hashlib.sha256((path / CONFIG).read_bytes())
    for name in shards:
        with (path / name).open("rb") as stream:
            digest.update(stream.read(1 << 16))
        digest.update(str((path / name).stat().st_size).encode())
    return f"local-{digest.hexdigest()[:16]}"


def _available_memory() -> int:
    """Bytes that can be had without swapping, within the limit of a container if there is one."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file():
        most = limit.read_text("ascii").strip()
        if most.isdigit():
            free = min(free, max(0, int(most) - int(used.read_text("ascii"))))
    return free
