"""The sockets and locks of the daemon."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from edge_lvr1.daemon.http.listen import check_path, sole_daemon, tcp_socket, unix_socket
from edge_lvr1.errors import AlreadyRunning, DaemonError, SettingsError


def test_socket_is_for_owner_and_group_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with unix_socket(tmp_path / "s") as listener:
            mode = stat.S_IMODE((tmp_path / "s").stat().st_mode)
            assert listener.getsockname() == str(tmp_path / "s")
        after = os.umask(0)
    finally:
        os.umask(before)

    assert mode == 0o660
    assert after == 0
    assert not (tmp_path / "s").exists()


def test_socket_that_nobody_answers_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))

    with unix_socket(tmp_path / "s"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))


def test_socket_that_somebody_answers_is_left_alone(tmp_path: Path) -> None:
    with unix_socket(tmp_path / "s"):
        with (
            pytest.raises(AlreadyRunning, match="another program already listens"),
            unix_socket(tmp_path / "s"),
        ):
            pass

        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))


def test_path_that_is_not_a_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")

    with pytest.raises(SettingsError, match="not a socket"), unix_socket(tmp_path / "s"):
        pass

    assert (tmp_path / "s").read_text() == "precious"


def test_socket_of_another_daemon_is_not_removed_at_the_end(tmp_path: Path) -> None:
    with unix_socket(tmp_path / "s"):
        (tmp_path / "s").unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(tmp_path / "s"))

    assert (tmp_path / "s").exists()


def test_longest_path_is_taken_and_a_longer_one_refused_with_advice() -> None:
    check_path(Path("/" + "x" * 106))

    with pytest.raises(SettingsError, match=r"108 bytes long .* --socket"):
        check_path(Path("/" + "x" * 107))


def test_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingsError, match="No such file or directory"),
        unix_socket(tmp_path / "none" / "s"),
    ):
        pass


def test_second_holder_of_a_lock_is_told_the_process_of_the_first(tmp_path: Path) -> None:
    with (
        sole_daemon(tmp_path / "lock", "the archive"),
        pytest.raises(AlreadyRunning, match=rf"process {os.getpid()}\) already serves the archive"),
        sole_daemon(tmp_path / "lock", "the archive"),
    ):
        pass


def test_lock_is_free_after_its_holder_ended(tmp_path: Path) -> None:
    with sole_daemon(tmp_path / "lock", "the archive"):
        pass

    with sole_daemon(tmp_path / "lock", "the archive"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_lock_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")

    with pytest.raises(DaemonError, match="lock file"), sole_daemon(tmp_path / "lock", "it"):
        pass

    assert (tmp_path / "precious").read_text() == "kept"


def test_loopback_port_is_listened_on() -> None:
    with tcp_socket("127.0.0.1:0") as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("address", ["0.0.0.0:80", "192.168.1.5:8000", "[::]:80", "8.8.8.8:53"])
def test_addresses_that_others_can_reach_are_refused(address: str) -> None:
    with pytest.raises(SettingsError, match="loopback"), tcp_socket(address):
        pass


@pytest.mark.parametrize(
    "address", ["", "8000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "a:1"]
)
def test_what_is_no_address_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:PORT"), tcp_socket(address):
        pass


def test_port_in_use_is_said() -> None:
    with tcp_socket("127.0.0.1:0") as taken:
        port = taken.getsockname()[1]

        with (
            pytest.raises(SettingsError, match="choose another port"),
            tcp_socket(f"127.0.0.1:{port}"),
        ):
            pass
