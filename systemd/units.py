"""Which files make an installation under systemd, and how they get into place.

The files stand beside this module. Each that is installed ends with a line that holds the
hash of what is above it: so a file that somebody changed is told from one of an older version,
and is left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from pathlib import Path

from edge_lvr1.errors import NotFoundError, SettingsError

PROGRAM = "/opt/edge-lvr1/bin/edge-lvr1"  # what stands in the files for the program's path
UNITS, SYSUSERS, TMPFILES = "systemd/system", "sysusers.d", "tmpfiles.d"
OURS, VENDORS = "etc", "usr/lib"
_MARK = "# installed by edge-lvr1, sha256 of the lines above: "
# The service has its own /tmp and no homes.
_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))


class State(str, Enum):
    """How a place for one of our files is."""

    ABSENT = "absent"
    CURRENT = "current"
    OLDER = "older"  # of another version or with other options, as it was installed
    CHANGED = "changed"  # by somebody


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be installed besides the socket and the service."""

    gpu: bool = False
    jetson: bool = False
    model_server: bool = False
    web: bool = False
    vendor: bool = False  # into /usr/lib, for a package


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of an installation: its place below the root, and its text.

    A `kept` file is somebody's own from the start: it is written once and never again.
    """

    place: Path
    text: str
    kept: bool = False

    @property
    def marked(self) -> str:
        """The text with its hash below."""
        return self.text if self.kept else f"{self.text}{_MARK}{_hash(self.text)}\n"

    def state(self, root: Path) -> State:
        """How its place is. Raises SettingsError where that cannot be told."""
        path = root / self.place
        if path.is_symlink():  # masked, or somebody's own arrangement
            return State.CHANGED
        try:
            found = path.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return State.ABSENT
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
        if found == self.marked:
            return State.CURRENT
        body, mark, told = found.rpartition(_MARK)
        return State.OLDER if mark and told.strip() == _hash(body) else State.CHANGED


def pieces(choice: Choice, program: Path) -> list[Piece]:
    """The files of an installation whose program is at that path."""
    top = VENDORS if choice.vendor else OURS
    units = ["edge-lvr1.socket", "edge-lvr1.service"]
    units += ["edge-lvr1-web.socket", "edge-lvr1-web.service"] if choice.web else []
    units += ["edge-lvr1-model.service"] if choice.model_server else []
    wanted = (("gpu", choice.gpu), ("jetson", choice.jetson), ("model-server", choice.model_server))
    made = [Piece(Path(top, UNITS, name), _filled(name, program)) for name in units]
    for name, chosen in wanted:
        if chosen:
            place = Path(top, UNITS, "edge-lvr1.service.d", f"10-{name}.conf")
            made.append(Piece(place, _filled(f"optional/{name}.conf", program)))
    made.append(Piece(Path(top, SYSUSERS, "edge-lvr1.conf"), text_of("edge-lvr1.sysusers.conf")))
    made.append(Piece(Path(top, TMPFILES, "edge-lvr1.conf"), text_of("edge-lvr1.tmpfiles.conf")))
    made.append(Piece(Path("etc/edge-lvr1.toml"), text_of("edge-lvr1.toml"), kept=True))
    if choice.model_server:
        made.append(Piece(Path("etc/edge-lvr1-model.env"), text_of("edge-lvr1-model.env"), True))
    return made


def install(
    wanted: list[Piece], root: Path, *, force: bool = False, dry_run: bool = False
) -> Iterator[tuple[Piece, State]]:
    """Write what is absent or older; each file with the state that it was in.

    Raises SettingsError, before anything is written, where somebody changed a file and it is
    not to be forced, and where one cannot be written.
    """
    states = [(piece, piece.state(root)) for piece in wanted]
    changed = [root / one.place for one, at in states if at is State.CHANGED and not one.kept]
    if changed and not force:
        raise SettingsError(
            f"{', '.join(map(str, changed))} {'was' if len(changed) == 1 else 'were'} changed and "
            "would be lost; move changes into a drop-in (systemctl edit edge-lvr1), or give --force"
        )
    for piece, state in states:
        due = state is State.ABSENT or (not piece.kept and state is not State.CURRENT)
        if due and not dry_run:
            _write(root / piece.place, piece.marked)
        yield piece, state


def commands(choice: Choice) -> list[str]:
    """What is to be typed after an installation, in order."""
    started = ["edge-lvr1.socket", "edge-lvr1.service"]
    started += ["edge-lvr1-web.socket"] if choice.web else []
    first = ["edge-lvr1-model.service"] if choice.model_server else []
    return [
        "systemd-sysusers",
        "systemd-tmpfiles --create edge-lvr1.conf",
        "systemctl daemon-reload",
        f"systemctl enable --now {' '.join(first + started)}",
        "usermod --append --groups edge-lvr1 NAME   # who may ask; then log in anew",
        "edge-lvr1 systemd check",
    ]


def program_path() -> Path:
    """The program of this installation. Raises NotFoundError where it is none."""
    beside = Path(sys.executable).with_name("edge-lvr1")
    for found in (beside, Path(sys.argv[0]).absolute()):
        if found.name == "edge-lvr1" and os.access(found, os.X_OK):
            return found
    raise NotFoundError(
        f"there is no program edge-lvr1 beside {sys.executable}; install the package, or name the "
        "program with --program"
    )


def hidden(*paths: Path) -> list[Path]:
    """Those of the paths that the service could not see, through links as well."""
    return [
        path
        for path in paths
        if any(place in (*one.parents, one) for one in (path, path.resolve()) for place in _HIDDEN)
    ]


def text_of(name: str) -> str:
    """A file of this folder."""
    return files("edge_lvr1.systemd").joinpath(*name.split("/")).read_text("utf-8")


def _filled(name: str, program: Path) -> str:
    if any(sign in str(program) for sign in " \t\n\"'\\%$"):
        raise SettingsError(f"the program's path {str(program)!r} has signs that units cannot hold")
    return text_of(name).replace(PROGRAM, str(program))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable for everybody."""
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        beside.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(beside, flags, 0o644), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}; are you root?") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
