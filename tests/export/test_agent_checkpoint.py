"""Looking a checkpoint over: what would fail after an hour fails at once, and says why."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.errors import BundleError
from edge_lvr1.export.agent import AgentOptions, export_agent
from edge_lvr1.export.checkpoint import Room, check_room, find, label, read, room_at

QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "tie_word_embeddings": True,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 64,
}


def write_shard(file: Path, tensors: Mapping[str, list[int]]) -> None:
    """A safetensors file of float32 zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))


def make(folder: Path, config: Mapping[str, Any] = QWEN3, *, sharded: bool = False) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    if sharded:
        write_shard(folder / "model-1-of-2.safetensors", {"a": [8, 8]})
        write_shard(folder / "model-2-of-2.safetensors", {"b": [4]})
        placed = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
        index = {"metadata": {}, "weight_map": placed}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    else:
        write_shard(folder / "model.safetensors", {"a": [8, 8], "b": [4]})
    return folder


@pytest.mark.parametrize("sharded", [False, True])
def test_weights_are_counted_from_headers(tmp_path: Path, sharded: bool) -> None:
    checkpoint = read(make(tmp_path / "model", sharded=sharded))

    assert checkpoint.architecture == "Qwen3ForCausalLM"
    assert checkpoint.parameters == 68
    assert checkpoint.weight_bytes == 4 * 68
    assert checkpoint.tensors == {"a", "b"}
    assert len(checkpoint.shards) == (2 if sharded else 1)
    assert checkpoint.revision.startswith("local-")


def test_another_checkpoint_has_another_revision(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    assert read(one).revision == read(two).revision

    write_shard(two / "model.safetensors", {"a": [8, 8], "c": [4]})

    assert read(one).revision != read(two).revision


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = make(tmp_path / "model", sharded=True)
    (folder / "model-2-of-2.safetensors").unlink()

    with pytest.raises(BundleError, match=r"lacks 1 of 2 shards, first model-2-of-2"):
        read(folder)


def test_a_shard_that_was_cut_short_is_named_with_its_size(tmp_path: Path) -> None:
    folder = make(tmp_path / "model")
    file = folder / "model.safetensors"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-10])

    with pytest.raises(BundleError, match=rf"cut short \({size - 10} of {size} bytes\)"):
        read(folder)


def test_a_shard_without_a_tensor_of_the_index_is_named(tmp_path: Path) -> None:
    folder = make(tmp_path / "model", sharded=True)
    write_shard(folder / "model-2-of-2.safetensors", {"z": [4]})

    with pytest.raises(BundleError, match="lacks the tensor b"):
        read(folder)


@pytest.mark.parametrize("junk", [b"", b"PK\x03\x04 not weights", b"\x04\0\0\0\0\0\0\0[1]]"])
def test_a_file_that_is_no_safetensors_file_is_said_to_be_none(tmp_path: Path, junk: bytes) -> None:
    folder = make(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(junk)

    with pytest.raises(BundleError, match="not a safetensors file"):
        read(folder)


def test_a_folder_without_weights_or_config_is_no_checkpoint(tmp_path: Path) -> None:
    folder = make(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BundleError, match="holds no weights"):
        read(folder)
    (folder / "config.json").unlink()
    with pytest.raises(BundleError, match=r"holds no config\.json"):
        read(folder)


def test_a_config_without_an_architecture_says_what_to_add(tmp_path: Path) -> None:
    folder = make(tmp_path / "model", {"model_type": "qwen3"})

    with pytest.raises(BundleError, match="architectures"):
        read(folder)


def test_a_model_that_is_not_there_is_not_looked_for_in_the_network(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="needs the extra 'export'")

    with pytest.raises(BundleError, match="not a folder"):
        find(str(tmp_path / "nowhere"))
    with pytest.raises(BundleError, match="allow the download"):
        find("nobody-at-all/no-such-model-here")


def test_a_hub_id_is_found_in_the_local_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub", reason="needs the extra 'export'")
    commit = "0123456789abcdef0123456789abcdef01234567"
    stored = tmp_path / "models--some--agent"
    (stored / "refs").mkdir(parents=True)
    (stored / "refs" / "main").write_text(commit)
    (stored / "snapshots").mkdir()
    make(stored / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    checkpoint = read(find("some/agent"), label("some/agent"))

    assert checkpoint.source == "some/agent"
    assert checkpoint.revision == commit


def test_an_architecture_that_is_not_supported_is_named_with_those_that_are(
    tmp_path: Path,
) -> None:
    folder = make(tmp_path / "model", {**QWEN3, "architectures": ["GPT2LMHeadModel"]})

    with pytest.raises(BundleError, match=r"GPT2LMHeadModel.*Qwen3ForCausalLM"):
        export_agent(AgentOptions(str(folder), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_untied_embeddings_without_an_output_layer_are_refused(tmp_path: Path) -> None:
    """Loading such a checkpoint would go on with an output layer of random numbers."""
    folder = make(tmp_path / "model", {**QWEN3, "tie_word_embeddings": False})

    with pytest.raises(BundleError, match=r"no lm_head\.weight"):
        export_agent(AgentOptions(str(folder), tmp_path / "out"))


def test_too_little_disk_or_memory_is_said_with_figures(tmp_path: Path) -> None:
    folder = make(tmp_path / "model")
    small, plenty = 1 << 20, 1 << 40

    with pytest.raises(BundleError, match=r"not enough disk .* 0\.3 GiB .* 0\.0 GiB are free"):
        export_agent(AgentOptions(str(folder), tmp_path / "out", room=Room(small, plenty)))
    with pytest.raises(BundleError, match=r"not enough memory .* 0\.3 GiB .* 0\.0 GiB are free"):
        export_agent(AgentOptions(str(folder), tmp_path / "out", room=Room(plenty, small)))
    check_room(Room(plenty, plenty), disk_bytes=small, memory_bytes=small, out=tmp_path)


def test_the_room_of_a_place_that_does_not_exist_yet_is_its_disks(tmp_path: Path) -> None:
    room = room_at(tmp_path / "not" / "there" / "yet")

    assert room.disk_bytes > 0
    assert room.memory_bytes > 0


@pytest.mark.parametrize(
    ("precision", "target", "says"),
    [
        ("fp16", "cpu", "fp32, int4"),
        ("int3", "cuda", "fp16, bf16, int4"),
        ("int4", "abacus", "cpu, cuda, tensorrt-rtx"),
    ],
)
def test_what_cannot_be_run_is_not_built(
    tmp_path: Path, precision: str, target: str, says: str
) -> None:
    options = AgentOptions("anything", tmp_path / "out", precision=precision, target=target)

    with pytest.raises(BundleError, match=says):
        export_agent(options)
