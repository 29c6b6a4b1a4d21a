"""The shape of the package: what is installed, and in which direction imports run."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
TOP = {
    "edge_lvr1": "edge_lvr1",
    "daemon": "edge_lvr1.daemon",
    "export": "edge_lvr1.export",
    "systemd": "edge_lvr1.systemd",
}

# A module may import from its own layer's package and from layers to the left of it only.
LAYERS = [
    {"domain", "errors", "access", "machine"},
    {"config", "bundle", "prompts", "untrusted"},
    {"media", "store"},
    {"models"},
    {"tree", "navigator"},
    {"evaluate"},
    {"client_events", "doctor"},
    {"client"},
    {"display"},
    {"told", "cases"},
    {"daemon", "export", "systemd", "eval_commands", "evidence_commands", "retry_commands"},
    {"bench_agent", "bench_ingest", "bench_search", "systemd_commands", "keeping_commands"},
    {"bench_commands", "web_commands"},
    {"follow", "live"},
    {"demo"},
    {"cli"},
    {"__main__"},
]
LAYER_OF = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def modules() -> list[tuple[str, Path]]:
    """Every module as (dotted name as installed, file)."""
    found = []
    for folder, package in TOP.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            inside = file.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join([package, *(part for part in inside if part != "__init__")])
            found.append((name, file))
    return found


def imported(file: Path) -> set[str]:
    """The modules of this package that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("edge_lvr1.")}


def test_package_list_names_every_folder_with_modules() -> None:
    folders = {
        name.rpartition(".")[0] if f.name != "__init__.py" else name for name, f in modules()
    }

    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == folders


def test_top_level_folders_are_mapped_into_the_package() -> None:
    mapping = PYPROJECT["tool"]["setuptools"]["package-dir"]

    assert mapping == {
        "edge_lvr1.daemon": "daemon",
        "edge_lvr1.export": "export",
        "edge_lvr1.systemd": "systemd",
    }


@pytest.mark.parametrize(("name", "file"), modules(), ids=lambda value: str(value).split("/")[-1])
def test_imports_run_one_way(name: str, file: Path) -> None:
    parts = name.split(".")
    if len(parts) == 1:
        return
    own = parts[1]
    assert own in LAYER_OF, f"{own} has no place in the layers"
    for target in imported(file):
        other = target.split(".")[1]
        if other == own:
            continue
        assert LAYER_OF[other] < LAYER_OF[own], f"{name} imports {target}"


def test_backends_are_constructed_in_one_place_only() -> None:
    # export/ makes the files that backends read and compares them with their original; a
    # benchmark measures a backend by name.
    allowed = ("edge_lvr1.models.", "edge_lvr1.export.", "edge_lvr1.bench_agent")
    for name, file in modules():
        if name.startswith(allowed):
            continue
        backends = {t for t in imported(file) if re.match(r"edge_lvr1\.models\.(embedded|onnx)", t)}
        assert not backends, f"{name} imports {backends}"


def test_base_install_asks_for_no_heavy_package() -> None:
    names = {
        re.split(r"[<>=!~;\[ ]", entry)[0].lower() for entry in PYPROJECT["project"]["dependencies"]
    }

    assert not names & {"torch", "transformers", "onnxruntime", "onnxruntime-gpu", "tensorrt"}
