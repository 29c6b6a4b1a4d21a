"""Environments of tools: made once, never half, and clear about what is missing."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest

from edge_lvr1.errors import ModelError
from edge_lvr1.export import tool_env as tool_envs
from edge_lvr1.export.tool_env import READY, Tool, ToolFailed, run, tool_env, why_not_installed

TOOL = Tool("greeter", ("greeter==1.0",))
INFO = "greeter-1.0.dist-info"
FILES = {
    "greeter.py": "def main():\n    print('hello')\n",
    f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/entry_points.txt": "[console_scripts]\ngreet = greeter:main\n",
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    with zipfile.ZipFile(folder / "greeter-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{INFO}/RECORD", "".join(f"{name},,\n" for name in FILES))
    return folder


@pytest.fixture
def index(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip's own settings, as a user without a network would set them."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheels


def test_an_environment_is_made_once_and_used_again(index: Path, tmp_path: Path) -> None:
    said: list[str] = []

    first = tool_env(TOOL, tmp_path, said.append)
    printed = run([first.command("greet")])
    made = len(said)
    second = tool_env(TOOL, tmp_path, said.append)

    assert printed == "hello\n"
    assert first.versions["greeter"] == "1.0"
    assert (second, len(said)) == (first, made)
    assert any("making an environment for greeter" in line for line in said)
    assert any("ready after" in line for line in said)


def test_what_an_interrupted_run_left_is_not_used(index: Path, tmp_path: Path) -> None:
    env = tool_env(TOOL, tmp_path)
    (env.path / READY).unlink()
    (env.path / "half").write_text("made")
    (env.path / "bin" / "greet").unlink()

    again = tool_env(TOOL, tmp_path)

    assert run([again.command("greet")]) == "hello\n"
    assert not (again.path / "half").exists()


def test_a_failed_installation_leaves_nothing_that_counts(
    tmp_path: Path, index: Path, wheels: Path
) -> None:
    absent = Tool("absent", ("no-such-package==9.9",))

    for _ in range(2):
        with pytest.raises(ModelError, match="absent cannot be installed for Python"):
            tool_env(absent, tmp_path)

    assert not list(tmp_path.glob(f"absent-*/{READY}"))


def test_other_requirements_are_another_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def make(tool: Tool, path: Path, python: str, on_progress: object) -> dict[str, str]:
        made.append(path)
        return {}

    monkeypatch.setattr(tool_envs, "_make", make)
    for requirements in (("a==1",), ("a==2",)):
        tool_env(Tool("tool", requirements), tmp_path)
    monkeypatch.setenv("PYTHON", sys.executable + "-other")
    tool_env(Tool("tool", ("a==1",)), tmp_path)

    assert len(set(made)) == 3


def test_the_python_that_the_user_names_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON", str(tmp_path / "no-python"))

    with pytest.raises(ModelError, match=r"no-python cannot make an environment.*\$PYTHON"):
        tool_env(TOOL, tmp_path)


def test_without_a_network_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")  # with none, pip does not say what went wrong

    with pytest.raises(ModelError, match=r"no package index can be reached.*PIP_FIND_LINKS"):
        tool_env(TOOL, tmp_path)


def test_too_small_a_disk_is_told_before_anything_is_made(tmp_path: Path) -> None:
    huge = Tool("huge", ("greeter==1.0",), disk_mb=1 << 40)

    with pytest.raises(ModelError, match=r"huge needs about \d+ MiB .* are free"):
        tool_env(huge, tmp_path)

    assert not list(tmp_path.glob("huge-*/*"))


def test_a_program_that_fails_is_told_with_its_last_words() -> None:
    script = "print('one'); print('two'); raise SystemExit('three')"

    with pytest.raises(ToolFailed, match=r"failed \(1\): one two three"):
        run([sys.executable, "-c", script])


def test_other_failures_of_pip_keep_its_words() -> None:
    error = ToolFailed("pip", 1, "ERROR: wheel is broken\n")

    assert "wheel is broken" in why_not_installed(TOOL, error)


def test_a_tool_without_its_program_says_what_to_remove(tmp_path: Path) -> None:
    env = tool_envs.ToolEnv(TOOL, tmp_path, {})

    with pytest.raises(ModelError, match=f"remove {tmp_path}"):
        env.command("greet")
