"""What a case folder holds, and the digests that bind it together.

    report.html     for people: opens in any browser, without a network
    question.json   the question, the answer, every round
    evidence/       01.mp4, 01.jpg, ...: each piece of evidence
    audit.json      the audit log's entries about it, and the log's last entry
    manifest.json   SHA-256 of the files above and of the source footage
    SHA256SUMS      the same for `sha256sum -c`, and that of manifest.json

`contents` is the digest of question, evidence and sources. The audit log's entry that tells of
the export holds it too, so that a folder can be recognised as the one that was exported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

FORMAT = 1
REPORT, QUESTION, EVIDENCE = "report.html", "question.json", "evidence"
AUDIT, MANIFEST, SUMS = "audit.json", "manifest.json", "SHA256SUMS"
BOUND = (QUESTION, EVIDENCE)
"""What `contents` is the digest of, besides the sources."""

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Media:
    """A clip or a picture: its name in the folder, or why there is none."""

    name: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of evidence, as the daemon tells it, with its files and where it lies."""

    evidence: Json
    clip: Media
    picture: Media
    sources: tuple[int, ...]  # places in the case's sources


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of footage: its bytes as the archive knows them, and as it was at the export."""

    path: str
    sha256: str
    state: str  # unchanged, changed, gone, unreadable
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """All that a report tells. `told` is what the daemon says of the export."""

    question: Json
    pieces: tuple[Piece, ...]
    sources: tuple[SourceFile, ...]
    told: Json
    contents: str
    made_at: str  # ISO 8601 in UTC
    exact: bool

    @property
    def head(self) -> str:
        """The audit log's last entry, as NUMBER:HASH."""
        return f"{self.told['head']['number']}:{self.told['head']['hash']}"

    def entry(self, kind: str) -> Json | None:
        """The last entry of a kind, `who` and `what` as objects; None where there is none."""
        return entry_of(self.told["entries"], kind)

    def parts_when_answered(self, number: int) -> list[Json]:
        """The files that a piece of evidence (from 1) lay in when the answer was given.

        As the audit log tells; none where it does not, as of answers from before there was one.
        """
        answered = self.entry("question.answered")
        pieces = answered["what"].get("evidence", []) if answered else []
        return list(pieces[number - 1]["parts"]) if number <= len(pieces) else []

    def replaced(self) -> bool:
        """Whether some of the footage is not that on which the answer was given."""
        return any(
            was != [self.sources[place].sha256 for place in piece.sources]
            for number, piece in enumerate(self.pieces, 1)
            if (was := [one["sha256"] for one in self.parts_when_answered(number)])
        )


def entry_of(entries: Sequence[Mapping[str, Any]], kind: str) -> Json | None:
    """The last entry of a kind, `who` and `what` as objects; None where there is none."""
    found = [entry for entry in entries if entry["kind"] == kind]
    if not found:
        return None
    return {**found[-1], "who": json.loads(found[-1]["who"]), "what": json.loads(found[-1]["what"])}


def contents_digest(files: Mapping[str, str], sources: Sequence[Mapping[str, Any]]) -> str:
    """The digest of what was found: of question, evidence and source footage."""
    bound = {name: sha256 for name, sha256 in files.items() if name.split("/")[0] in BOUND}
    told = [sorted(bound.items()), [[one["path"], one["sha256"]] for one in sources]]
    return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode("ascii")).hexdigest()


def to_text(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """JSON for a file: ASCII, so that no terminal that shows it can be misled."""
    return json.dumps(value, indent=2) + "\n"
