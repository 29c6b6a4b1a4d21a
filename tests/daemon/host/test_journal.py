"""The log, into the journal with fields, or on stderr."""

from __future__ import annotations

import logging
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_lvr1.daemon.host.journal import Journal, Printable, about, encoded, priority, to_journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "j"))
        end.settimeout(5)
        yield end


@pytest.fixture
def log(journal: socket.socket) -> Iterator[logging.Logger]:
    handler = Journal(Path(journal.getsockname()))
    logger = logging.Logger("edge_lvr1.daemon.x", logging.DEBUG)
    logger.addHandler(handler)
    yield logger
    handler.close()


def read(journal: socket.socket) -> dict[str, str]:
    """The fields of the next entry."""
    data, fields = journal.recv(100_000), {}
    while data:
        head, _, data = data.partition(b"\n")
        if b"=" in head:
            name, _, value = head.partition(b"=")
        else:
            name, (size,) = head, struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + size], data[9 + size :]
        fields[name.decode()] = value.decode()
    return fields


def test_entry_has_its_fields(log: logging.Logger, journal: socket.socket) -> None:
    log.warning("recording %d is not captioned", 12, extra={"recording": 12, "job": None})

    entry = read(journal)

    assert entry["MESSAGE"] == "recording 12 is not captioned"
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]) == ("4", "edge-lvr1")
    assert entry["EDGE_LVR1_RECORDING"] == "12"
    assert "EDGE_LVR1_JOB" not in entry
    assert entry["CODE_FUNC"] == "test_entry_has_its_fields"


def test_what_is_said_over_a_piece_of_work_has_its_fields(
    log: logging.Logger, journal: socket.socket
) -> None:
    with about(job=7), about(path="/srv/a.mp4"):
        log.info("it begins")
    log.info("something else")

    entry, other = read(journal), read(journal)
    assert (entry["EDGE_LVR1_JOB"], entry["EDGE_LVR1_PATH"]) == ("7", "/srv/a.mp4")
    assert not [name for name in other if name.startswith("EDGE_LVR1_")]


def test_traceback_is_one_entry(log: logging.Logger, journal: socket.socket) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("it broke")

    entry = read(journal)

    assert entry["MESSAGE"].startswith("it broke\nTraceback")
    assert entry["MESSAGE"].endswith("two\nlines")


def test_name_of_a_file_forges_no_field_and_moves_no_cursor(
    log: logging.Logger, journal: socket.socket
) -> None:
    name = "a\nPRIORITY=0\nEDGE_LVR1_QUESTION=forged\x1b[2J.mp4"

    log.info("%s is taken", name, extra={"path": name})

    entry = read(journal)
    assert entry["PRIORITY"] == "6"
    assert "EDGE_LVR1_QUESTION" not in entry
    assert entry["EDGE_LVR1_PATH"] == name.replace("\x1b", "\\x1b")
    assert entry["MESSAGE"] == ("a\\nPRIORITY=0\\nEDGE_LVR1_QUESTION=forged\\x1b[2J.mp4 is taken")


def test_what_the_journal_does_not_take_goes_to_stderr(
    log: logging.Logger, journal: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(journal.getsockname()).unlink()

    log.error("the disk\nis full")

    assert capsys.readouterr().err == "<3>the disk\\nis full\n"


def test_message_of_any_length_fits_a_datagram() -> None:
    assert len(encoded({"MESSAGE": "x" * 10**7})) < 60_000


def test_levels_have_the_priorities_of_syslog() -> None:
    levels = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)

    assert [priority(level) for level in levels] == [2, 3, 4, 6, 7]


def test_journal_is_known_by_its_stream() -> None:
    with tempfile.TemporaryFile() as file:
        now = os.fstat(file.fileno())
        stream = f"{now.st_dev}:{now.st_ino}"

        assert to_journal({"JOURNAL_STREAM": stream}, file.fileno())
        assert not to_journal({"JOURNAL_STREAM": f"{now.st_dev}:1"}, file.fileno())
        assert not to_journal({"JOURNAL_STREAM": "nonsense"}, file.fileno())
        assert not to_journal({}, file.fileno())


def test_lines_on_stderr_have_no_control_characters() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 1, "%s", ("\x1b]0;title\x07\u009b2J",), None)

    assert Printable("%(message)s").format(record) == r"\x1b]0;title\x07\x9b2J"
