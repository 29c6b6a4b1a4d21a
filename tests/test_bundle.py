"""Bundles: whole or not there, checked when loaded, refused with what is wrong."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.bundle import (
    MANIFEST,
    Manifest,
    hash_file,
    load,
    read_manifest,
    update_manifest,
    write_bundle,
)
from edge_lvr1.errors import BundleError, ModelError

PLAIN = Manifest(
    role="agent",
    family="qwen3",
    runtime="onnxruntime-genai",
    source="some/checkpoint",
    precision="int4",
    target="cpu",
)
ROOT = Path(__file__).resolve().parent.parent


def fill(folder: Path) -> Manifest:
    (folder / "parts").mkdir()
    (folder / "model.onnx").write_bytes(b"weights")
    (folder / "parts" / "one.bin").write_bytes(b"more")
    return PLAIN


def test_a_written_bundle_loads_with_every_file_hashed(tmp_path: Path) -> None:
    written = write_bundle(tmp_path / "agent", fill)

    bundle = load(tmp_path / "agent", "agent")

    assert bundle == written
    assert set(bundle.manifest.files) == {"model.onnx", "parts/one.bin"}
    assert bundle.manifest.files["model.onnx"] == hash_file(tmp_path / "agent" / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["agent"]


@given(
    source=st.text(min_size=1),
    prompts=st.dictionaries(st.text(), st.text(), max_size=3),
    sizes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 4000)), max_size=3),
    temperature=st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_manifest_reads_back_as_it_was(
    source: str, prompts: dict[str, str], sizes: list[tuple[int, int]], temperature: float
) -> None:
    manifest = replace(
        PLAIN,
        source=source,
        prompts=prompts,
        frame_sizes=tuple(sizes),
        sampling={"temperature": temperature},
        tools=("get_caption",),
    )

    assert Manifest.from_json(manifest.to_json()) == manifest


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_other_text_is_refused_as_a_bundle_error(text: str) -> None:
    with pytest.raises(BundleError):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format_version": 99}, "version 99"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"role": "cook"}, "role 'cook'"),
        ({"runtime": ""}, "runtime"),
        ({"context_tokens": "many"}, "context_tokens"),
        ({"frame_sizes": [[1]]}, "frame_sizes"),
        ({"verification": {"passed": "yes"}}, "verification"),
    ],
)
def test_a_foreign_manifest_is_refused_with_what_is_wrong(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    write_bundle(tmp_path / "agent", fill)
    file = tmp_path / "agent" / MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))

    with pytest.raises(BundleError, match=says):
        load(tmp_path / "agent")


def test_a_bundle_of_another_role_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "agent", fill)

    with pytest.raises(BundleError, match="for the agent, not for the captioner"):
        load(tmp_path / "agent", "captioner")


def test_a_changed_file_is_found_by_its_hash(tmp_path: Path) -> None:
    write_bundle(tmp_path / "agent", fill)
    (tmp_path / "agent" / "model.onnx").write_bytes(b"Weights")

    with pytest.raises(BundleError, match=r"model\.onnx has changed"):
        load(tmp_path / "agent")
    assert load(tmp_path / "agent", check_hashes=False).role == "agent"


def test_a_missing_file_is_named_even_without_hashing(tmp_path: Path) -> None:
    write_bundle(tmp_path / "agent", fill)
    (tmp_path / "agent" / "parts" / "one.bin").unlink()

    with pytest.raises(BundleError, match=r"parts/one\.bin is missing"):
        load(tmp_path / "agent", check_hashes=False)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../b"])
def test_a_manifest_may_not_name_files_outside_of_its_bundle(tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path / "agent", fill)
    file = tmp_path / "agent" / MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), "files": {name: "0" * 64}}))

    with pytest.raises(BundleError, match="outside of itself"):
        load(tmp_path / "agent")


def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="holds no manifest"):
        load(tmp_path)


def test_a_bundle_that_failed_its_verification_is_refused_unless_allowed(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "agent", fill)
    report = {"passed": False, "reason": "logits differ"}

    update_manifest(bundle, replace(bundle.manifest, verification=report))

    with pytest.raises(BundleError, match="logits differ"):
        load(tmp_path / "agent")
    assert load(tmp_path / "agent", allow_failed=True).manifest.verification == report


def test_an_updated_manifest_keeps_the_hashes(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "agent", fill)

    update_manifest(bundle, replace(bundle.manifest, files={}, verification={"passed": True}))

    assert load(tmp_path / "agent").manifest.files == bundle.manifest.files


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> Manifest:
        (folder / "model.onnx").write_bytes(b"half")
        raise ModelError("no")

    with pytest.raises(ModelError):
        write_bundle(tmp_path / "agent", fail)

    assert list(tmp_path.iterdir()) == []


def test_a_killed_export_leaves_nothing_loadable_and_the_next_one_clears_up(
    tmp_path: Path,
) -> None:
    out = tmp_path / "agent"
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from edge_lvr1.bundle import write_bundle\n"
        "def fill(folder):\n"
        "    (folder / 'model.onnx').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_bundle(Path(sys.argv[1]), fill)\n"
    )

    killed = subprocess.run([sys.executable, "-c", script, str(out)], cwd=ROOT, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    left = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(left) == 1
    with pytest.raises(BundleError):
        load(left[0])
    write_bundle(out, fill)
    assert [path.name for path in tmp_path.iterdir()] == ["agent"]


def test_an_existing_place_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    write_bundle(tmp_path / "agent", fill)

    def other(folder: Path) -> Manifest:
        (folder / "other.onnx").write_bytes(b"new")
        return PLAIN

    with pytest.raises(BundleError, match="exists"):
        write_bundle(tmp_path / "agent", other)
    write_bundle(tmp_path / "agent", other, overwrite=True)

    assert set(load(tmp_path / "agent").manifest.files) == {"other.onnx"}
    assert [path.name for path in tmp_path.iterdir()] == ["agent"]


def test_what_an_interrupted_replacement_moved_away_comes_back(tmp_path: Path) -> None:
    write_bundle(tmp_path / "agent", fill)
    (tmp_path / "agent").rename(tmp_path / ".agent.replaced")

    def fail(folder: Path) -> Manifest:
        raise ModelError("no")

    with pytest.raises(ModelError):
        write_bundle(tmp_path / "agent", fail, overwrite=True)

    assert load(tmp_path / "agent").role == "agent"


def test_two_exports_to_one_place_do_not_meet(tmp_path: Path) -> None:
    with (tmp_path / ".agent.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(BundleError, match="another export"):
            write_bundle(tmp_path / "agent", fill)


def test_reading_a_manifest_does_not_need_the_files(tmp_path: Path) -> None:
    write_bundle(tmp_path / "agent", fill)
    (tmp_path / "agent" / "model.onnx").unlink()

    assert read_manifest(tmp_path / "agent").role == "agent"
