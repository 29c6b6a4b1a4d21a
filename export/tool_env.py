"""Environments of their own for tools whose dependencies exclude this package's.

An environment is made once for each list of requirements and used again. It cannot be made
elsewhere and moved in (its scripts hold its path), so it counts only once its marker stands,
which is written last; what an interrupted run left is cleared away. Nothing here knows what
the tools do.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from edge_lvr1.errors import ModelError

log = logging.getLogger(__name__)

READY = "ready.json"
ENV_PYTHON = "PYTHON"
"""Names the Python that environments are made with; else the one that is running."""

Report: TypeAlias = Callable[[str], None]

_UNREACHABLE = (
    "NewConnectionError",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "Connection refused",
    "ConnectTimeoutError",
    "ProxyError",
    "connection broken",
)
_ABSENT = ("No matching distribution found", "Could not find a version")
_SHOWN = ("Collecting ", "Downloading ", "Installing ", "Building ", "Successfully ")
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool by name, what pip shall install for it, and the disk that this takes."""

    name: str
    requirements: tuple[str, ...]
    disk_mb: int = 0


@dataclass(frozen=True, slots=True)
class ToolEnv:
    """An environment that is whole: its folder, and the versions in it by package."""

    tool: Tool
    path: Path
    versions: Mapping[str, str]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"

    def command(self, name: str) -> Path:
        """A program that the tool installed. Raises ModelError where it did not."""
        program = self.path / "bin" / name
        if not program.is_file():
            raise ModelError(
                f"{self.tool.name} brought no program {name}: remove {self.path} and try again"
            )
        return program


def cache_dir() -> Path:
    """$XDG_CACHE_HOME/edge-lvr1/tools, or the same below ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "edge-lvr1" / "tools"


def tool_env(tool: Tool, cache: Path, on_progress: Report = log.info) -> ToolEnv:
    """The tool's environment, made now where there is none yet. Raises ModelError.

    pip takes its index, proxy and certificates from its own settings and the environment.
    Two callers at once wait for each other.
    """
    python = os.environ.get(ENV_PYTHON) or _base_python()
    path = cache / f"{tool.name}-{_key(tool, python)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path, on_progress):
        ready = _read_ready(path)
        if ready is None:
            ready = _make(tool, path, python, on_progress)
    return ToolEnv(tool, path, ready)


def run(
    command: Sequence[str | Path],
    on_line: Report = log.debug,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Run a program to its end and return what it printed. Raises ModelError with its last words.

    Each line goes to `on_line` as it comes. An exception here ends the program too.
    """
    words = [str(word) for word in command]
    printed: list[str] = []
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=folder,
        env={**_environment(), **(environment or {})},
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                printed.append(line)
                on_line(line.rstrip())
        except BaseException:
            process.kill()
            raise
    text = "".join(printed)
    if process.returncode != 0:
        raise ToolFailed(Path(words[0]).name, process.returncode, text)
    return text


class ToolFailed(ModelError):  # noqa: N818 (reads as what it says)
    """A program ended with an error; `printed` is all it said."""

    def __init__(self, program: str, code: int, printed: str) -> None:
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        super().__init__(f"{program} failed ({code}): {' '.join(lines[-3:])[-400:]}")
        self.printed = printed


def _make(tool: Tool, path: Path, python: str, on_progress: Report) -> Mapping[str, str]:
    started_s = time.monotonic()
    if path.exists():
        log.info("clearing away what an interrupted run left: %s", path)
        shutil.rmtree(path)
    _check_disk(tool, path)
    on_progress(f"making an environment for {tool.name} in {path} (once; it may take minutes)")
    try:
        run([python, "-m", "venv", path])
    except (ToolFailed, OSError) as error:
        raise ModelError(
            f"{python} cannot make an environment for {tool.name} ({error}): install its venv "
            f"module, or name another Python in ${ENV_PYTHON}"
        ) from error
    _install(tool, path, on_progress)
    versions = _versions(path)
    _write_ready(path, versions)
    on_progress(f"{tool.name} is ready after {time.monotonic() - started_s:.0f} s")
    return versions


def _install(tool: Tool, path: Path, on_progress: Report) -> None:
    def on_line(line: str) -> None:
        if line.strip().startswith(_SHOWN):
            on_progress(line.strip()[:100])

    pip = [str(path / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    try:
        run([*pip, "install", "--no-input", *tool.requirements], on_line)
    except ToolFailed as error:
        raise ModelError(why_not_installed(tool, error)) from error


def why_not_installed(tool: Tool, error: ToolFailed) -> str:
    """What to tell of an installation that pip gave up."""
    if any(sign in error.printed for sign in _UNREACHABLE):
        return (
            f"{tool.name} needs packages and no package index can be reached: connect this "
            f"machine, or put the packages in a folder and name it in $PIP_FIND_LINKS with "
            f"PIP_NO_INDEX=1 ({', '.join(tool.requirements)})"
        )
    if any(sign in error.printed for sign in _ABSENT):
        missing = next(
            line.strip() for line in error.printed.splitlines() if any(s in line for s in _ABSENT)
        )
        return (
            f"{tool.name} cannot be installed for Python {platform.python_version()} on "
            f"{platform.machine()}: {missing[:200]}; see that pip's index can be reached and has "
            f"it, or name another Python in ${ENV_PYTHON}"
        )
    return f"{tool.name} cannot be installed: {error}"


def _versions(path: Path) -> dict[str, str]:
    text = run([path / "bin" / "python", "-m", "pip", "list", "--format", "json"])
    listed = next(line for line in text.splitlines() if line.startswith("["))
    return {entry["name"].lower(): entry["version"] for entry in json.loads(listed)}


def _key(tool: Tool, python: str) -> str:
    facts = [*sorted(tool.requirements), python, platform.python_version(), platform.machine()]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _base_python() -> str:
    """The running Python itself, not the environment that it runs in: that may be removed."""
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return str(base) if base.is_file() else sys.executable


def _environment() -> dict[str, str]:
    """The user's environment without what would lead another Python into this one's packages."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")
    return {name: value for name, value in os.environ.items() if name not in ours}


def _check_disk(tool: Tool, path: Path) -> None:
    free_mb = shutil.disk_usage(path.parent).free // _MIB
    if free_mb < tool.disk_mb:
        raise ModelError(
            f"{tool.name} needs about {tool.disk_mb} MiB in {path.parent} and {free_mb} MiB are "
            f"free: make room, or set $XDG_CACHE_HOME to another place"
        )


def _read_ready(path: Path) -> Mapping[str, str] | None:
    try:
        data = json.loads((path / READY).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(data, dict) and (path / "bin" / "python").exists()
    return {str(name): str(version) for name, version in data.items()} if whole else None


def _write_ready(path: Path, versions: Mapping[str, str]) -> None:
    temporary = path / f"{READY}.new"
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(versions, stream, indent=1, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path / READY)


@contextlib.contextmanager
def _lock(path: Path, on_progress: Report) -> Iterator[None]:
    with path.with_suffix(".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_progress(f"waiting for another export that is making {path.name}")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
