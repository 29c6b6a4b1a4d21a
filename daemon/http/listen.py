"""The sockets the daemon listens on, and the locks that keep a second daemon away.

A socket is bound here and handed to the server ready made: left to make its own, uvicorn
leaves it writable for everyone. Nothing here knows what is served.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import ipaddress
import logging
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from edge_lvr1.errors import AlreadyRunning, DaemonError, SettingsError

log = logging.getLogger(__name__)

MODE = 0o660
MAX_PATH_BYTES = 107  # sun_path holds 108 with its closing zero: unix(7)
_BACKLOG = 128
_ANSWER_TIMEOUT_S = 2.0


@contextlib.contextmanager
def sole_daemon(lock_path: Path, what: str) -> Iterator[None]:
    """Hold a lock file for as long as the daemon runs.

    The kernel drops the lock with the process, however it ends. Raises AlreadyRunning with
    the other daemon's process id, DaemonError where the file cannot be made.
    """
    try:
        handle = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DaemonError(
            f"the lock file {lock_path} cannot be made: {error.strerror}; check the folder's owner"
        ) from error
    try:
        _take(handle, what)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def check_path(path: Path) -> None:
    """Raise SettingsError where a socket cannot have this path, and say what to do."""
    length = len(os.fsencode(path))
    if length > MAX_PATH_BYTES:
        raise SettingsError(
            f"the socket path {path} is {length} bytes long and a UNIX socket takes "
            f"{MAX_PATH_BYTES}; give a shorter one with --socket"
        )


@contextlib.contextmanager
def unix_socket(path: Path, group: str | None = None) -> Iterator[socket.socket]:
    """A listening UNIX socket of mode 0660, removed at the end if it is still ours.

    It belongs to `group` where that exists and we may give it. Raises SettingsError for a
    path that cannot be a socket, AlreadyRunning where somebody answers at it.
    """
    check_path(path)
    _clear_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~MODE)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"the socket {path} cannot be made: {error.strerror}; "
            "its folder must exist and be ours to write to"
        ) from error
    finally:
        os.umask(before)
    made = os.lstat(path)
    try:
        if group is not None:
            _give_to_group(path, group)
        listener.listen(_BACKLOG)
        yield listener
    finally:
        listener.close()
        _remove_if_same(path, made)


@contextlib.contextmanager
def tcp_socket(address: str) -> Iterator[socket.socket]:
    """A listening TCP socket on a loopback HOST:PORT; raises SettingsError on any other."""
    host, port = _loopback(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {address}: {error.strerror}; choose another port"
            ) from error
        listener.listen(_BACKLOG)
        yield listener


def _take(handle: int, what: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise AlreadyRunning(
            f"another daemon (process {pid}) already serves {what}; "
            "stop that one first, or give this one its own --data and --socket"
        ) from None


def _clear_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(f"the socket {path} cannot be made: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise SettingsError(
            f"{path} exists and is not a socket, so it is left alone; "
            "remove it or give another path with --socket"
        )
    if _somebody_answers(path):
        raise AlreadyRunning(
            f"another program already listens on {path}; stop it, or give another --socket"
        )
    log.info("removed the socket a killed daemon left: %s", path)
    path.unlink(missing_ok=True)


def _somebody_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_TIMEOUT_S)
        try:
            probe.connect(str(path))
        except OSError as error:
            # Only a refusal proves that nobody is there: a busy or foreign one is somebody.
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def _give_to_group(path: Path, group: str) -> None:
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except KeyError:
        told = "there is no group %s (access.group), so %s keeps this user's own"
        log.info(told, group, path)
    except PermissionError:
        told = "this user is not in group %s (access.group), so its members cannot reach %s"
        log.warning(told, group, path)


def _remove_if_same(path: Path, made: os.stat_result) -> None:
    with contextlib.suppress(FileNotFoundError):
        now = path.lstat()
        if (now.st_dev, now.st_ino) == (made.st_dev, made.st_ino):
            path.unlink()


def _loopback(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    host = {"localhost": "127.0.0.1"}.get(host, host).strip("[]")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        ip = None
    if not colon or ip is None or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"cannot listen on {address!r}; write it as 127.0.0.1:PORT")
    if not ip.is_loopback:
        raise SettingsError(
            f"will not listen on {address}: only a loopback address "
            "such as 127.0.0.1:8765 is taken; reach it from elsewhere through ssh -L"
        )
    return host, int(port)
