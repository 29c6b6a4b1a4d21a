"""What this machine offers the daemon, each finding with what to do about it.

Looks only: opens nothing for writing and starts nothing.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge_lvr1 import machine
from edge_lvr1.config import Settings

_LOW_DISK_BYTES = 2 * 1024**3
_INOTIFY = Path("/proc/sys/fs/inotify")
# Below these, watching fails or loses events: the limit, the least that will do.
_INOTIFY_LEAST = {"max_user_watches": 8192, "max_user_instances": 64, "max_queued_events": 4096}
_UNITS = tuple(map(Path, ("/etc/systemd/system", "/usr/lib/systemd/system")))
_SERVICE, _SERVICE_USER = "edge-lvr1.service", "edge-lvr1"
_ON_GPU = ("cuda", "tensorrt", "nvtensorrtrtx", "NvTensorRtRtx")
_TENSORRT_MAJOR = "10"  # what onnxruntime-gpu is built for


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, whether it will do, what was seen, what to do."""

    name: str
    ok: bool
    seen: str
    advice: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """All findings, in the order in which a person would mend them."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _decoding,
        _opencv,
        _sqlite,
        _hardware_decoding,
        lambda: _gpu(settings),
        lambda: _providers(settings),
        _tensorrt,
        _board,
        lambda: _data_folder(settings.data),
        lambda: _disk(settings.data),
        lambda: _socket_path(settings.socket_path),
        lambda: _group(settings.access.group),
        _inotify,
        _clock,
        _synchronised,
        _service,
    )
    for check in checks:
        yield check()
    service = machine.person(_SERVICE_USER) if _unit() else None
    for root in settings.watch:
        yield _watched(root)
        if service is not None:
            yield _readable_for(root, service)


def _python() -> Finding:
    return Finding("Python", True, f"{platform.python_version()} on {platform.machine()}")


def _decoding() -> Finding:
    try:
        import av
    except ImportError as error:
        return Finding("decoding", False, str(error), "reinstall the package: PyAV is missing")
    missing = [name for name in ("h264", "hevc", "av1", "mpeg4") if not _has_decoder(name)]
    seen = f"PyAV {av.__version__}" + (f", no decoder for {', '.join(missing)}" if missing else "")
    return Finding("decoding", not missing, seen, "install a PyAV wheel with FFmpeg's decoders")


def _has_decoder(name: str) -> bool:
    import av

    try:
        av.Codec(name, "r")
    except ValueError:
        return False
    return True


def _opencv() -> Finding:
    import cv2

    ok = hasattr(cv2, "HOGDescriptor")
    advice = "install opencv-python-headless>=4.14,<5: version 5 has no person detector"
    return Finding("OpenCV", ok, str(cv2.__version__), advice)


def _sqlite() -> Finding:
    with sqlite3.connect(":memory:") as db:
        options = {row[0] for row in db.execute("PRAGMA compile_options")}
    db.close()
    ok = "ENABLE_FTS5" in options
    seen = f"SQLite {sqlite3.sqlite_version}, FTS5 {'there' if ok else 'missing'}"
    return Finding("database", ok, seen, "use a Python whose SQLite has FTS5")


def _data_folder(data: Path) -> Finding:
    place = next((folder for folder in (data, *data.parents) if folder.exists()), data)
    ok = os.access(place, os.W_OK)
    return Finding(
        "data folder", ok, str(data), f"make {data} writable, or choose another with --data"
    )


def _disk(data: Path) -> Finding:
    place = next((folder for folder in (data, *data.parents) if folder.exists()), Path("/"))
    free = shutil.disk_usage(place).free
    return Finding(
        "disk", free > _LOW_DISK_BYTES, f"{free / 1024**3:.1f} GiB free", "free some space"
    )


def _socket_path(path: Path) -> Finding:
    # sun_path in struct sockaddr_un holds 108 bytes, the last of them zero.
    ok = len(os.fsencode(path)) <= 107
    return Finding("socket", ok, str(path), "choose a path of at most 107 bytes with --socket")


def _inotify() -> Finding:
    found = {}
    for name in _INOTIFY_LEAST:
        try:
            found[name] = int((_INOTIFY / name).read_text("ascii"))
        except (OSError, ValueError):
            return Finding("file events", True, "not told by this system; rescans find every file")
    short = [name for name, least in _INOTIFY_LEAST.items() if found[name] < least]
    named = ", ".join(f"fs.inotify.{name}={_INOTIFY_LEAST[name]}" for name in short)
    return Finding(
        "file events",
        not short,
        f"{found['max_user_watches']} folders, {found['max_user_instances']} watchers, "
        f"{found['max_queued_events']} events in the queue",
        f"sysctl -w {named}, and in /etc/sysctl.d; until then rescans find what events miss",
    )


def _synchronised() -> Finding:
    kept = machine.clock_is_synchronised()
    seen = {True: "kept by the network", False: "kept by nobody", None: "not told"}[kept]
    # Without a network, as here is the rule, that is no fault: captions say the clock's time.
    advice = "; its times drift: set it now and then, or run chrony with a local source"
    return Finding("clock kept", True, seen + ("" if kept is not False else advice))


def _clock() -> Finding:
    now = datetime.now().astimezone()
    return Finding(
        "clock", now.year >= 2024, now.isoformat(" ", "seconds"), "set the system's clock"
    )


def _watched(root: Path) -> Finding:
    ok = root.is_dir() and os.access(root, os.R_OK | os.X_OK)
    return Finding("watched folder", ok, str(root), f"create {root} or make it readable")


def _hardware_decoding() -> Finding:
    try:
        from av.codec.hwaccel import hwdevices_available

        kinds = ", ".join(sorted(set(hwdevices_available()))) or "none"
    except ImportError:
        kinds = "not told"
    devices = [str(one) for one in sorted(Path("/dev/dri").glob("renderD*"))]
    closed = [one for one in devices if not os.access(one, os.R_OK | os.W_OK)]
    told = ", ".join(devices) or "no device"
    told += f" (closed to you: {', '.join(closed)})" if closed else ""
    return Finding(
        "hardware decoding", True, f"FFmpeg knows {kinds}; {told}; footage is decoded on the CPU"
    )


def _gpu(settings: Settings) -> Finding:
    found = machine.gpus()
    wanted = settings.models.provider in _ON_GPU
    if not found.names and machine.jetson() is None:
        advice = "install the driver, and give the service its devices: systemd install --gpu"
        return Finding("GPU", not wanted, "no NVIDIA GPU; models run on the CPU", advice)
    told = ", ".join(found.names) or "the board's own"
    told += f", driver {found.driver}" if found.driver else ""
    if found.closed:
        told += f"; closed to you: {', '.join(found.closed)}"
    return Finding("GPU", not found.closed, told, "join the groups video and render, log in anew")


def _providers(settings: Settings) -> Finding:
    on_bundles = "onnx" in (settings.models.agent, settings.models.captioner)
    wanted = on_bundles or settings.models.embedder_bundle is not None
    if importlib.util.find_spec("onnxruntime") is None:
        advice = "pip install 'edge-lvr1[cpu]' or 'edge-lvr1[gpu]'"
        return Finding("onnxruntime", not wanted, "not installed", advice)
    try:
        import onnxruntime
    except ImportError as error:
        return Finding("onnxruntime", False, str(error), "reinstall the extra cpu or gpu")
    built = [
        name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()
    ]
    chosen = settings.models.provider
    ok = chosen is None or chosen == "cpu" or any(chosen.lower() in one.lower() for one in built)
    told = f"{onnxruntime.__version__}, built with {', '.join(built)}"
    advice = f"it has no {chosen}: pip uninstall onnxruntime; pip install 'edge-lvr1[gpu]'"
    return Finding("onnxruntime", ok, told, advice)


def _tensorrt() -> Finding:
    version = machine.tensorrt()
    if version is None:
        return Finding("TensorRT", True, "not installed; wanted for its provider only")
    ok = version.split(".")[0] == _TENSORRT_MAJOR
    advice = f"onnxruntime-gpu wants version {_TENSORRT_MAJOR}: pip install 'edge-lvr1[tensorrt]'"
    return Finding("TensorRT", ok or machine.jetson() is not None, version, advice)


def _board() -> Finding:
    board = machine.jetson()
    return Finding("JetPack", True, board or f"no Jetson ({platform.machine()})")


def _group(group: str) -> Finding:
    inside = machine.group_has_us(group)
    if inside is None:
        return Finding("group", True, f"there is no group {group}: the socket is yours alone")
    name = f"sudo usermod --append --groups {group} {os.environ.get('USER', 'NAME')}"
    told = f"you are {'' if inside else 'not '}in {group}"
    return Finding("group", inside, told, f"{name}; then log in anew")


def _unit() -> Path | None:
    return next((one / _SERVICE for one in _UNITS if (one / _SERVICE).exists()), None)


def _service() -> Finding:
    unit = _unit()
    if unit is None:
        return Finding("service", True, "not installed; `edge-lvr1 systemd install` does it")
    return Finding("service", True, f"{unit}; `edge-lvr1 systemd check` looks closer")


def _readable_for(root: Path, who: machine.Person) -> Finding:
    name = f"{root} for {who.name}"
    try:
        stop = machine.obstacle(root, who)
    except OSError as error:
        advice = "ask again as root: sudo edge-lvr1 doctor"
        return Finding(name, False, f"cannot be told: {error.strerror}", advice)
    if any(Path(home) in (root, *root.parents) for home in ("/home", "/root")):
        advice = f"BindReadOnlyPaths={root} in a drop-in: systemctl edit edge-lvr1"
        told = "in a home, which the service does not see without a drop-in"
        return Finding(name, True, f"{told}: {advice}")
    if stop is None:
        return Finding(name, True, "readable")
    advice = f"setfacl -m u:{who.name}:rX {stop}, or SupplementaryGroups= with its group"
    return Finding(name, False, f"{stop} is closed to it", advice)
