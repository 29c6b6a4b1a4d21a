"""Whether a case folder is what was exported: every hash, and that its pieces fit together.

Trusts nothing in the folder: names that lead out of it, links and odd JSON are findings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_lvr1.bundle import hash_file
from edge_lvr1.cases.footage import Found, OnBytes, Source, look
from edge_lvr1.cases.layout import (
    AUDIT,
    FORMAT,
    MANIFEST,
    QUESTION,
    SUMS,
    Json,
    contents_digest,
    entry_of,
)
from edge_lvr1.errors import NotFoundError
from edge_lvr1.store.audit import Entry, hash_of

_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_MOST_BYTES = 256 * 1024 * 1024  # of a JSON file


@dataclass(frozen=True, slots=True)
class CaseChecked:
    """What a look at a folder came to: so many files whose hashes hold, and what is wrong."""

    files: int
    wrong: tuple[str, ...]
    sources: tuple[Found, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong


class _Wrong(Exception):  # noqa: N818 (a finding)
    """What keeps the rest of a folder from being looked at."""


def check_case(
    folder: Path, footage: bool = False, on_bytes: OnBytes = lambda count: None
) -> CaseChecked:
    """Look over a case folder; with `footage`, at the source files too, where they lie here.

    Raises NotFoundError where there is no case.
    """
    if not (folder / MANIFEST).is_file():
        raise NotFoundError(f"{folder} is no case folder: it holds no {MANIFEST}")
    wrong: list[str] = []
    sources: tuple[Found, ...] = ()
    sums: dict[str, str] = {}
    try:
        sums = _sums(folder)
        wrong += _files(folder, sums)
        manifest = _manifest(folder, sums)
        wrong += _contents(folder, manifest)
        if footage:
            sources = tuple(_footage(manifest, on_bytes))
            wrong += [f"{one.source.path} is {one.state.value}" for one in sources if not one.sound]
    except _Wrong as finding:
        wrong.append(str(finding))
    except OSError as error:
        wrong.append(f"{error.filename} cannot be read: {error.strerror}")
    return CaseChecked(len(sums), tuple(wrong), sources)


def _sums(folder: Path) -> dict[str, str]:
    try:
        lines = _text(folder / SUMS).splitlines()
    except FileNotFoundError:
        raise _Wrong(f"{SUMS} is missing") from None
    found = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise _Wrong(f"{SUMS} has a line that is none of its own: {line[:100]!r}")
        found[match[2]] = match[1]
    return found


def _files(folder: Path, sums: Mapping[str, str]) -> Iterator[str]:
    there = set()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            yield f"{path.relative_to(folder)} is no regular file"
        elif path.is_file():
            there.add(path.relative_to(folder).as_posix())
    for name, sha256 in sums.items():
        if name not in there:
            yield f"{name} is missing"
        elif hash_file(folder / name) != sha256:
            yield f"{name} has changed"
    for name in sorted(there - set(sums) - {SUMS}):
        yield f"{name} was not there when the case was exported"


def _manifest(folder: Path, sums: Mapping[str, str]) -> Json:
    manifest = _json(folder / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise _Wrong(
            f"{MANIFEST} has format {manifest.get('format')!r}; this program reads {FORMAT}"
        )
    files, sources = manifest.get("files"), manifest.get("sources")
    known = isinstance(files, dict) and isinstance(sources, list)
    if not known or not all(_is_source(one) for one in sources or ()):
        raise _Wrong(f"{MANIFEST} does not list files and sources")
    if files != {name: sha256 for name, sha256 in sums.items() if name != MANIFEST}:
        raise _Wrong(f"{MANIFEST} and {SUMS} name different files or hashes")
    return manifest


def _contents(folder: Path, manifest: Json) -> Iterator[str]:
    contents = contents_digest(manifest["files"], manifest["sources"])
    if manifest.get("contents") != contents:
        yield f"{MANIFEST} states another digest of its contents than they have"
    question, told = _json(folder / QUESTION), _json(folder / AUDIT)
    entries = told.get("entries")
    try:
        yield from _entries(entries if isinstance(entries, list) else [])
        exported = entry_of(told["entries"], "case.exported")
        answered = entry_of(told["entries"], "question.answered")
        head = f"{told['head']['number']}:{told['head']['hash']}"
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _Wrong(f"{AUDIT} is not of its format") from None
    if manifest.get("audit_head") != head:
        yield f"{MANIFEST} and {AUDIT} name different ends of the audit log"
    if exported is None or exported["what"].get("contents") != contents:
        yield "the audit log tells of the export of another case than this"
    if answered is not None:
        yield from _answer(question, answered["what"])


def _entries(entries: list[Json]) -> Iterator[str]:
    for told in entries:
        before = str(told["before"])
        entry = Entry(**{name: told[name] for name in Entry.__slots__})
        if hash_of(entry, before) != entry.hash:
            yield f"entry {entry.number} of the audit log ({entry.kind}) is not what was written"


def _answer(question: Json, what: Json) -> Iterator[str]:
    """Whether the question says what the log says was answered."""
    for name in ("verdict", "text"):
        if not _same(question.get(name), what.get(name)):
            yield f"the {name} in {QUESTION} is not the one that the audit log tells"
    names = ("recording", "node", "start_s", "end_s", "caption")
    shown, logged = (
        [piece.get(name) for piece in one.get("evidence", ()) for name in names]
        for one in (question, what)
    )
    if len(shown) != len(logged) or not all(map(_same, shown, logged)):
        yield f"the evidence in {QUESTION} is not that which the audit log tells"


def _same(shown: object, logged: object) -> bool:
    """Whether two values are the same; the daemon spells out what of a text is no Unicode."""
    if isinstance(logged, str) and any("\ud800" <= char <= "\udfff" for char in logged):
        return isinstance(shown, str)
    return shown == logged


def _footage(manifest: Json, on_bytes: OnBytes) -> Iterator[Found]:
    for one in manifest["sources"]:
        yield look(Source(one["path"], one["sha256"], 0), on_bytes)


def _is_source(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(name), str) for name in ("path", "sha256")
    )


def _json(path: Path) -> Json:
    try:
        found: Any = json.loads(_text(path))
    except FileNotFoundError:
        raise _Wrong(f"{path.name} is missing") from None
    except (ValueError, RecursionError):
        raise _Wrong(f"{path.name} is not JSON") from None
    if not isinstance(found, dict):
        raise _Wrong(f"{path.name} does not hold an object")
    return found


def _text(path: Path) -> str:
    if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
        raise _Wrong(f"{path.name} is no file of a case")
    return path.read_bytes().decode("ascii", "replace")
