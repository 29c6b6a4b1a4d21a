"""Making a case folder: from the daemon's answers, whole or not at all.

Everything comes over the socket, so that nobody gets more into a folder than they may see.
Where footage is gone, the folder says so in place of its clip.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from edge_lvr1.bundle import hash_file
from edge_lvr1.cases.footage import OnBytes, Source, look
from edge_lvr1.cases.layout import (
    AUDIT,
    EVIDENCE,
    FORMAT,
    MANIFEST,
    QUESTION,
    REPORT,
    SUMS,
    Case,
    Json,
    Media,
    Piece,
    SourceFile,
    contents_digest,
    to_text,
)
from edge_lvr1.cases.report import report
from edge_lvr1.errors import DaemonError, NotFoundError, QuestionError, Unreachable

PICTURE_PX = 1280
_MOST_PIECES = 99  # as many as names of two digits

OnStep = Callable[[str], None]


class Daemon(Protocol):
    """What a case is made from: the client's functions of these names."""

    def question(self, question_id: str) -> Json:
        """A question with its answer and steps."""
        ...

    def parts(self, recording: int) -> list[Json]:
        """The files of a recording."""
        ...

    def activity(self, recording: int) -> Json:
        """How much happens in a recording."""
        ...

    def clip(
        self, recording: int, start_s: float, end_s: float, out: Path, exact: bool = False
    ) -> None:
        """Write a span of a recording to a file."""
        ...

    def thumbnail(
        self,
        recording: int,
        time_s: float | None = None,
        node: str | None = None,
        side_px: int | None = None,
    ) -> bytes:
        """A picture of a recording."""
        ...

    def case(self, question_id: str, contents: str) -> Json:
        """Note the export; the audit log's entries about it."""
        ...


def make_case(
    daemon: Daemon,
    question_id: str,
    out: Path,
    exact: bool = False,
    on_step: OnStep = lambda step: None,
    on_bytes: OnBytes = lambda count: None,
) -> Case:
    """Write the case of an answered question to `out`, which must not exist yet.

    It is written beside its place and renamed. `on_step` is told what is done next. Raises
    QuestionError, NotFoundError, DaemonError, and what the daemon refuses.
    """
    out = out.absolute()
    _check_place(out)
    question = daemon.question(question_id)
    if question.get("verdict") is None:
        raise QuestionError(
            f"question {question_id[:80]} has no answer ({question['state']}); "
            "a case is made of one that has"
        )
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
        try:
            case = _fill(folder, daemon, question, exact, on_step, on_bytes)
            _sync_tree(folder)
            folder.chmod(0o755)
            folder.rename(out)
            _sync(out.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise DaemonError(f"the case cannot be written to {out}: {error.strerror}") from error
    return case


def _check_place(out: Path) -> None:
    if not out.parent.is_dir():
        raise NotFoundError(f"there is no folder {out.parent}; create it first")
    if out.exists() or out.is_symlink():
        raise QuestionError(f"{out} exists; a case gets a new folder of its own")


def _fill(
    folder: Path,
    daemon: Daemon,
    question: Json,
    exact: bool,
    on_step: OnStep,
    on_bytes: OnBytes,
) -> Case:
    (folder / EVIDENCE).mkdir()
    (folder / QUESTION).write_text(to_text(question), "ascii")
    sources = _Sources(daemon)
    pieces = []
    for number, evidence in enumerate(question["evidence"][:_MOST_PIECES], 1):
        on_step(f"evidence {number} of {len(question['evidence'])}")
        pieces.append(_piece(folder, daemon, number, evidence, exact, sources))
    on_step("hashing the source footage")
    found = sources.looked_at(on_bytes)
    contents = contents_digest(_hashes(folder), [asdict(one) for one in found])
    on_step("audit log and report")
    told = daemon.case(question["id"], contents)
    made_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    case = Case(question, tuple(pieces), found, told, contents, made_at, exact)
    (folder / AUDIT).write_text(to_text(told), "ascii")
    (folder / REPORT).write_text(report(case), "utf-8")
    (folder / MANIFEST).write_text(to_text(_manifest(case, _hashes(folder))), "ascii")
    lines = [f"{sha256}  {name}\n" for name, sha256 in _hashes(folder).items()]
    (folder / SUMS).write_text("".join(lines), "ascii")
    return case


def _piece(
    folder: Path,
    daemon: Daemon,
    number: int,
    evidence: Json,
    exact: bool,
    sources: _Sources,
) -> Piece:
    recording = evidence["recording"]
    start_s, end_s = evidence["start_s"], evidence["end_s"]
    clip = picture = Media()
    name = f"{EVIDENCE}/{number:02d}.mp4"
    try:
        daemon.clip(recording, start_s, end_s, folder / name, exact)
        clip = Media(name)
    except Unreachable:
        raise
    except (DaemonError, NotFoundError, QuestionError) as error:
        clip = Media(missing=str(error))
    name = f"{EVIDENCE}/{number:02d}.jpg"
    try:
        time_s = _liveliest(sources.activity(recording), start_s, end_s)
        (folder / name).write_bytes(daemon.thumbnail(recording, time_s, side_px=PICTURE_PX))
        picture = Media(name)
    except Unreachable:
        raise
    except (DaemonError, NotFoundError, QuestionError) as error:
        picture = Media(missing=str(error))
    return Piece(evidence, clip, picture, sources.of(recording, start_s, end_s))


def _liveliest(activity: Json | None, start_s: float, end_s: float) -> float:
    """The moment of a span in which most happens; its middle where that is not known."""
    known = activity or {"scores": [], "times_s": []}
    scored = zip(known["scores"], known["times_s"], strict=False)
    within = [(score, time_s) for score, time_s in scored if start_s <= time_s < end_s]
    return float(max(within)[1]) if within else (start_s + end_s) / 2


class _Sources:
    """The files that evidence lies in, each once; what is asked of a recording, asked once."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._parts: dict[int, list[Json]] = {}
        self._activities: dict[int, Json | None] = {}
        self._found: list[Source] = []

    def of(self, recording: int, start_s: float, end_s: float) -> tuple[int, ...]:
        """The places of the files that a span lies in."""
        if recording not in self._parts:
            try:
                self._parts[recording] = self._daemon.parts(recording)
            except NotFoundError:  # removed since the answer: the audit log knows its files
                self._parts[recording] = []
        touched = [
            Source(part["path"], part["sha256"], part["size_bytes"])
            for part in self._parts[recording]
            if part["offset_s"] < end_s and part["offset_s"] + part["duration_s"] > start_s
        ]
        self._found += [source for source in touched if source not in self._found]
        return tuple(self._found.index(source) for source in touched)

    def activity(self, recording: int) -> Json | None:
        """How much happens in a recording; None where that is not known."""
        if recording not in self._activities:
            try:
                self._activities[recording] = self._daemon.activity(recording)
            except NotFoundError:
                self._activities[recording] = None
        return self._activities[recording]

    def looked_at(self, on_bytes: OnBytes) -> tuple[SourceFile, ...]:
        """The files, each hashed again where this user may read it."""
        looked = [look(source, on_bytes) for source in self._found]
        return tuple(
            SourceFile(one.source.path, one.source.sha256, one.state.value, one.reason)
            for one in looked
        )


def _manifest(case: Case, files: Json) -> Json:
    answered = case.entry("question.answered")
    return {
        "format": FORMAT,
        "question": case.question["id"],
        "made_at": case.made_at,
        "program": f"edge_lvr1 {case.told['version']}",
        "models": answered["what"].get("models", {}) if answered else {},
        "exact": case.exact,
        "files": files,
        "sources": [asdict(one) for one in case.sources],
        "contents": case.contents,
        "audit_head": case.head,
    }


def _hashes(folder: Path) -> dict[str, str]:
    files: Sequence[Path] = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): hash_file(file) for file in files}


def _sync_tree(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
