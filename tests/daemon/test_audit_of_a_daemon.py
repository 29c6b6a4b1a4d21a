"""The audit log of a real daemon: over a kill, beside it while it runs, and after it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from edge_lvr1.cases.check import check_case
from edge_lvr1.cases.folder import make_case
from edge_lvr1.store.audit import Head, every, what_of, who_told
from edge_lvr1.store.audit_check import check, expected_head
from edge_lvr1.store.read_only import read_only
from tests.daemon.processes import Daemon, ended_jobs, until


def heads(daemon: Daemon) -> list[Head]:
    """The heads that the daemon's own log states."""
    return [expected_head(said) for said in re.findall(r"audit log: entry (\S+)", daemon.log)]


def test_log_is_one_chain_over_a_kill_and_tells_every_answer_once(
    tmp_path: Path, footage: Path
) -> None:
    daemon = Daemon(tmp_path, given={"fake": True})
    client = daemon.start(reply_s=0.7)
    try:
        with client:
            shutil.copy(footage, daemon.watched / "yard.mp4")
            ended_jobs(client, 1)
            question = client.ask({"question": "Is there a lorry?"})
            until(lambda: client.question(question)["steps"], "a round")
    finally:
        daemon.kill()

    with daemon.running() as client:
        until(lambda: client.question(question)["verdict"], "an answer")
        with read_only(daemon.data / "archive.db") as rows:
            assert check(rows, heads(daemon)[-1]).broken is None
        make_case(client, question, tmp_path / "case")

    with read_only(daemon.data / "archive.db") as rows:
        found = list(every(rows))
        for said in heads(daemon):
            assert check(rows, said).broken is None
    assert [entry.kind for entry in found] == [
        "daemon.started",
        "file.taken",
        "question.asked",
        "daemon.started",
        "question.answered",
        "clip.cut",
        "case.exported",
        "daemon.stopped",
    ]
    assert len(heads(daemon)) == 3
    assert heads(daemon)[-1] == Head(found[-1].number, found[-1].hash)
    assert who_told(found[2])["uid"] == os.getuid()
    (part,) = what_of(found[4])["evidence"][0]["parts"]
    assert part["sha256"] == what_of(found[1])["sha256"]
    assert check_case(tmp_path / "case", footage=True).wrong == ()
