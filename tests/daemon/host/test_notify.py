"""What the daemon says to a service manager, and the sockets it is given by one."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_lvr1.daemon.host.notify import Notifier, notifier_of, passed_sockets
from edge_lvr1.errors import SettingsError


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end, and how it is addressed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.settimeout(5)
        end.bind(str(tmp_path / "n") if request.param == "path" else f"\0{uuid.uuid4().hex}")
        yield end


def address_of(manager: socket.socket) -> str:
    name = manager.getsockname()
    return name if isinstance(name, str) else "@" + name[1:].decode()


def test_manager_is_told_what_the_daemon_does(manager: socket.socket) -> None:
    notifier = Notifier(address_of(manager))

    notifier.extend(30.0)
    notifier.ready("one recording,\nno fault")
    notifier.status("one recording,\nno fault")
    notifier.alive()
    notifier.stopping()

    told = [manager.recv(4096).decode() for _ in range(4)]
    assert told == [
        "EXTEND_TIMEOUT_USEC=30000000",
        "READY=1\nSTATUS=one recording, no fault",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=stopping",
    ]


def test_time_for_the_start_is_extended_again_and_again_but_not_for_ever(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.settimeout(5)
        end.bind(str(tmp_path / "n"))
        notifier = Notifier(str(tmp_path / "n"))
        with notifier.starting(each_s=0.001, most_s=0.003):
            told = [end.recv(4096) for _ in range(4)]
        end.setblocking(False)
        with pytest.raises(BlockingIOError):
            end.recv(4096)

    assert told[0].startswith(b"STATUS=starting")
    assert told[1:] == [b"EXTEND_TIMEOUT_USEC=30000000"] * 3


def test_nobody_is_told_where_nobody_asked_or_listens(tmp_path: Path) -> None:
    for notifier in (Notifier(None), Notifier(str(tmp_path / "gone")), Notifier("@nobody-here")):
        notifier.ready("all is well")
        notifier.alive()


def test_environment_is_read_once_and_then_silent_for_children() -> None:
    given = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7", "HOME": "/"}

    notifier = notifier_of(given, pid=7)

    assert (notifier.active, notifier.watchdog_s) == (True, 30.0)
    assert given == {"HOME": "/"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (False, None)),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, (False, None)),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "9", "WATCHDOG_PID": "8"}, (True, None)),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}, (True, None)),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "0"}, (True, None)),
    ],
)
def test_words_for_another_process_or_of_no_sense_are_ignored(
    given: dict[str, str], expected: tuple[bool, float | None]
) -> None:
    notifier = notifier_of(given, pid=7)

    assert (notifier.active, notifier.watchdog_s) == expected


def passing(count: int = 1, pid: int = 7) -> dict[str, str]:
    return {"LISTEN_PID": str(pid), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": "edge-lvr1"}


def test_passed_socket_is_taken_with_its_name_and_kept_from_children(tmp_path: Path) -> None:
    environment = passing()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        copy = os.dup(listener.fileno())
        os.set_inheritable(copy, True)

        (passed,) = passed_sockets(environment, pid=7, first=copy)

    with passed.listener:
        assert (passed.name, passed.path) == ("edge-lvr1", tmp_path / "s")
        assert not passed.listener.get_inheritable()
    assert environment == {}


@pytest.mark.parametrize("given", [{}, passing(pid=8), passing() | {"LISTEN_FDS": "x"}])
def test_sockets_for_another_process_are_left_alone(given: dict[str, str]) -> None:
    assert passed_sockets(given, pid=7, first=0) == []


def test_passed_socket_that_anybody_could_reach_is_refused() -> None:
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        copy = os.dup(tcp.fileno())
        with pytest.raises(SettingsError, match=r"edge-lvr1-web\.socket for browsers"):
            passed_sockets(passing(), pid=7, first=copy)


def test_descriptor_that_is_no_listening_socket_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        copy = os.dup(file.fileno())
        with pytest.raises(SettingsError, match="cannot be used"):
            passed_sockets(passing(), pid=7, first=copy)
        os.close(copy)
    with socket.socket(socket.AF_UNIX) as connectionless:
        copy = os.dup(connectionless.fileno())
        with pytest.raises(SettingsError, match="does not listen"):
            passed_sockets(passing(), pid=7, first=copy)
    with pytest.raises(SettingsError, match="one is wanted"):
        passed_sockets(passing(count=99), pid=7)
