"""What the audit log says of files, questions and answers: entries of the store's own acts.

Each is written within the transaction that it tells of, so that after a kill at any moment
the log and the state agree, and nothing is told twice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from sqlite_utils import Database

from edge_lvr1.access import DAEMON, Who
from edge_lvr1.domain import Answer, Evidence, Question, TakenFile
from edge_lvr1.store.audit import add_entry
from edge_lvr1.store.records import question_out
from edge_lvr1.store.rows import node_columns
from edge_lvr1.store.text import path_in

_TAKEN, _CHANGED, _MOVED = "file.taken", "file.changed", "file.moved"
SAME, FAILED = "file.same", "file.failed"
ASKED, ANSWERED, CANCELLED = "question.asked", "question.answered", "question.cancelled"
CONTENT_KINDS = (_TAKEN, _CHANGED, _MOVED, SAME)
"""Entries that say which bytes lay at a path."""


def add_taken(db: Database, now_s: float, file: TakenFile) -> None:
    """A file is about to take its place; where its path held other bytes, it has changed."""
    held = db.execute("SELECT sha256 FROM files WHERE path = ?", [path_in(file.path)]).fetchone()
    what: dict[str, object] = {
        "path": file.path,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "mtime_ns": file.mtime_ns,
        "camera": file.camera,
        "starts_at": file.starts_at.isoformat(),
        "start_source": file.start_source.value,
        "confidence": file.confidence.value,
        "duration_s": file.duration_s,
    }
    if held is None or held[0] == file.sha256:
        add_entry(db, now_s, _TAKEN, DAEMON, what)
    else:
        add_entry(db, now_s, _CHANGED, DAEMON, {**what, "sha256_before": held[0]})


def add_moved(db: Database, now_s: float, old: str, new: str) -> None:
    """A known file lies elsewhere now; to be called while it is still known by its old path."""
    held = db.execute("SELECT sha256 FROM files WHERE path = ?", [path_in(old)]).fetchone()
    what = {"path": new, "path_before": old, "sha256": held[0] if held else None}
    add_entry(db, now_s, _MOVED, DAEMON, what)


def add_asked(db: Database, now_s: float, who: Who, question: Question) -> None:
    """Somebody asked a question."""
    told = question_out(question)
    what = {"question": told.pop("id"), **{k: v for k, v in told.items() if v not in (None, "")}}
    add_entry(db, now_s, ASKED, who, what)


def add_answered(
    db: Database, now_s: float, question: str, answer: Answer, models: Mapping[str, object]
) -> None:
    """A question came to an answer; `models` says what answered, with digests of bundles."""
    what: dict[str, object] = {
        "question": question,
        "verdict": answer.verdict.value,
        "text": answer.text,
        "option": answer.option,
        "confirmation": answer.confirmation.value if answer.confirmation else None,
        "evidence": [_evidence(db, entry) for entry in answer.evidence],
        "searched": list(answer.searched),
        "rounds": answer.rounds,
        "agent": answer.agent,
        "captioner": answer.captioner,
        "models": dict(models),
    }
    add_entry(db, now_s, ANSWERED, DAEMON, what)


def _evidence(db: Database, entry: Evidence) -> dict[str, object]:
    return {
        "recording": entry.recording,
        "camera": entry.camera,
        "node": str(entry.node),
        "start_s": entry.span.start_s,
        "end_s": entry.span.end_s,
        "starts_at": entry.starts_at.isoformat(),
        "ends_at": entry.ends_at.isoformat(),
        "caption": entry.caption,
        "written_by": _writer(db, entry),
        "parts": _parts(db, entry),
    }


def _writer(db: Database, entry: Evidence) -> str | None:
    row = db.execute(
        "SELECT c.written_by, c.version FROM captions c JOIN nodes n ON n.id = c.node "
        "WHERE n.recording = ? AND n.h = ? AND n.m = ? AND n.l = ?",
        [entry.recording, *node_columns(entry.node)],
    ).fetchone()
    return f"{row[0]} {row[1]}" if row else None


def _parts(db: Database, entry: Evidence) -> Sequence[Mapping[str, Any]]:
    """The files that a span lies in."""
    rows = db.execute(
        "SELECT path, sha256 FROM parts WHERE recording = ? AND offset_s < ? "
        "AND offset_s + duration_s > ? ORDER BY ordinal",
        [entry.recording, entry.span.end_s, entry.span.start_s],
    )
    return [{"path": os.fsdecode(path), "sha256": sha256} for path, sha256 in rows]
