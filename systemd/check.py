"""What is to be said of an installation under systemd, each finding with what to do.

Looks only: changes nothing, and asks systemd's own tools where they are there.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge_lvr1.doctor import Finding
from edge_lvr1.systemd.units import OURS, UNITS, VENDORS, Choice, Piece, State, hidden, pieces

USER, WEB_USER = "edge-lvr1", "edge-lvr1-web"
SOCKET = Path("/run/edge-lvr1/edge-lvr1.sock")
CREDENTIALS = Path("etc/credstore")
# What our units come to, and a little: worse means that a drop-in took something away.
MOST_EXPOSED = {
    "edge-lvr1.service": 1.0,
    "edge-lvr1-web.service": 1.0,
    "edge-lvr1-model.service": 2.0,
}
MOST_EXPOSED_WITH = {"10-gpu.conf": 1.5, "10-jetson.conf": 1.5, "10-model-server.conf": 2.0}
_INSTALL = "sudo edge-lvr1 systemd install"
_TOOL_WITHIN_S = 60.0
_EXPOSURE = re.compile(r"exposure level for (\S+): ([0-9.]+)")
_STATES = {
    State.ABSENT: (False, "not installed", f"run {_INSTALL}"),
    State.CURRENT: (True, "as this version has it", ""),
    State.OLDER: (False, "of another version or for another program", f"run {_INSTALL} again"),
    State.CHANGED: (
        False,
        "changed by somebody",
        f"move the change into a drop-in (systemctl edit), then {_INSTALL} --force",
    ),
}


def check(program: Path, root: Path = Path("/")) -> Iterator[Finding]:
    """All findings about what is installed below `root`; about this machine where that is /."""
    choice = installed(root)
    wanted = pieces(choice, program)
    for piece in wanted:
        yield _file(piece, root)
    yield _program(program, root)
    units = [root / one.place for one in wanted if one.place.suffix in (".service", ".socket")]
    there = [unit for unit in units if unit.exists()]
    yield _verified(there)
    yield from _exposure(there)
    yield _credentials(root)
    if root == Path("/"):
        yield from _users(choice)
        yield from _runs(choice)
        yield _socket()


def installed(root: Path) -> Choice:
    """What is installed below a root, by its files."""
    vendor = (root / VENDORS / UNITS / "edge-lvr1.service").exists()
    folder = root / (VENDORS if vendor else OURS) / UNITS
    drop_ins = folder / "edge-lvr1.service.d"
    return Choice(
        gpu=(drop_ins / "10-gpu.conf").exists(),
        jetson=(drop_ins / "10-jetson.conf").exists(),
        model_server=(folder / "edge-lvr1-model.service").exists(),
        web=(folder / "edge-lvr1-web.socket").exists(),
        vendor=vendor,
    )


def exposure(unit: Path) -> float | None:
    """How exposed systemd finds a service file, 0 to 10, drop-ins beside it included.

    None where it cannot tell: it is not there, or older than --offline (250).
    """
    if shutil.which("systemd-analyze") is None:
        return None
    told = _tool("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    found = _EXPOSURE.search(told)
    return float(found[2]) if found else None


def _file(piece: Piece, root: Path) -> Finding:
    state = piece.state(root)
    if piece.kept and state is not State.ABSENT:
        return Finding(piece.place.name, True, f"/{piece.place} is there")
    ok, seen, advice = _STATES[state]
    return Finding(piece.place.name, ok, f"/{piece.place}: {seen}", advice)


def _program(program: Path, root: Path) -> Finding:
    unseen = hidden(program, Path(sys.base_prefix)) if root == Path("/") else hidden(program)
    if unseen:
        return Finding(
            "program",
            False,
            f"{unseen[0]} is hidden from the service",
            "install Python and the package outside of homes and /tmp, as in /opt/edge-lvr1",
        )
    ok = root != Path("/") or os.access(program, os.X_OK)
    return Finding("program", ok, str(program), f"install the package there, or run {_INSTALL}")


def _verified(units: list[Path]) -> Finding:
    if shutil.which("systemd-analyze") is None:
        return Finding("units", True, "not verified: there is no systemd-analyze here")
    if not units:
        return Finding("units", False, "none is installed", f"run {_INSTALL}")
    told = _tool("systemd-analyze", "verify", "--man=no", *map(str, units))
    ours = [line for line in told.splitlines() if "edge-lvr1" in line]
    return Finding(
        "units",
        not ours,
        "; ".join(ours)[:500] or f"{len(units)} verified",
        "mend what it names, or install the units anew",
    )


def _exposure(units: list[Path]) -> Iterator[Finding]:
    for unit in units:
        if unit.suffix == ".service" and (level := exposure(unit)) is not None:
            most = MOST_EXPOSED.get(unit.name, 10.0)
            for drop_in, allowed in MOST_EXPOSED_WITH.items():
                if (unit.with_name(f"{unit.name}.d") / drop_in).exists():
                    most = max(most, allowed)
            yield Finding(
                f"exposure of {unit.name}",
                level <= most,
                f"{level} of 10, where {most} is right",
                f"see what adds to it: systemd-analyze security {unit.name}",
            )


def _credentials(root: Path) -> Finding:
    try:
        found = sorted((root / CREDENTIALS).glob("edge-lvr1.*"))
        open_ones = [one.name for one in found if stat.S_IMODE(one.stat().st_mode) & 0o077]
    except OSError:
        return Finding("credentials", True, "their folder is closed to you, as it should be")
    seen = ", ".join(one.name for one in found) or "none; the daemon makes its own token"
    return Finding(
        "credentials",
        not open_ones,
        f"open to others: {', '.join(open_ones)}" if open_ones else seen,
        f"chmod 600 them in /{CREDENTIALS}",
    )


def _users(choice: Choice) -> Iterator[Finding]:
    for name in [USER, *([WEB_USER] if choice.web else [])]:
        try:
            pwd.getpwnam(name)
        except KeyError:
            yield Finding(f"user {name}", False, "not there", "run systemd-sysusers")
        else:
            yield Finding(f"user {name}", True, "there")
    try:
        group = grp.getgrnam(USER)
    except KeyError:
        yield Finding(f"group {USER}", False, "not there", "run systemd-sysusers")
        return
    inside = os.getuid() == 0 or group.gr_gid in (os.getgid(), *os.getgroups())
    yield Finding(
        f"group {USER}",
        inside,
        "you are in it" if inside else "you are not in it",
        f"sudo usermod --append --groups {USER} {pwd.getpwuid(os.getuid()).pw_name}; log in anew",
    )


def _runs(choice: Choice) -> Iterator[Finding]:
    if not Path("/run/systemd/system").is_dir():
        yield Finding("systemd", False, "this machine was not started by systemd", "use `run`")
        return
    wanted = ["edge-lvr1.socket", "edge-lvr1.service"]
    wanted += ["edge-lvr1-web.socket"] if choice.web else []
    wanted += ["edge-lvr1-model.service"] if choice.model_server else []
    for unit in wanted:
        state = _tool("systemctl", "is-active", unit).strip() or "unknown"
        advice = f"journalctl -u {unit} says why" if state == "failed" else "enable it:"
        advice += f" systemctl enable --now {unit}" if state != "failed" else ""
        yield Finding(unit, state == "active", state, advice)


def _socket() -> Finding:
    try:
        found = SOCKET.lstat()
    except PermissionError:
        return Finding("socket", False, f"{SOCKET} is closed to you", "join the group edge-lvr1")
    except OSError:
        advice = "systemctl enable --now edge-lvr1.socket"
        return Finding("socket", False, f"there is no {SOCKET}", advice)
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISSOCK(found.st_mode) or mode & 0o007:
        advice = "systemctl restart edge-lvr1.socket"
        return Finding("socket", False, f"{SOCKET} has mode {mode:o}", advice)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5.0)
        try:
            client.connect(str(SOCKET))
        except OSError as error:
            return Finding(
                "socket", False, f"{SOCKET}: {error.strerror}", "journalctl -u edge-lvr1 says why"
            )
    return Finding("socket", True, f"{SOCKET} takes connections")


def _tool(*command: str) -> str:
    """What a tool says, on both ways; nothing where it cannot be run."""
    environment = {**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "", "LC_ALL": "C.UTF-8"}
    try:
        with tempfile.TemporaryFile() as out:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                timeout=_TOOL_WITHIN_S,
                check=False,
            )
            out.seek(0)
            return out.read(1_000_000).decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""
