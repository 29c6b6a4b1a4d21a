"""Bundles: a folder that an export wrote and the daemon runs, described by its manifest.json.

A bundle is written to a temporary folder beside its place, hashed, and renamed, so that
whatever stands at a bundle's path is whole. It is checked again when it is loaded. Paths in
a manifest are relative to the bundle. What the files mean, and how they are run, this module
does not know.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

from edge_lvr1.errors import BundleError

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ROLES = ("agent", "captioner", "embedder")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle is: its role, what it was made from and how, and its files.

    `target` is the provider it was built for (cpu, cuda, tensorrt-rtx, ...), `chat` the name
    of the rendering of conversations, `frame_sizes` [height, width] pairs in pixels,
    `sampling` the generation defaults, `extra` facts of one role's own. `files` maps a
    relative path to the file's SHA-256 and is filled in by `write_bundle`. `verification`
    holds at least `passed` once the bundle was compared with its original.
    """

    role: str
    family: str
    runtime: str
    source: str
    precision: str
    target: str
    revision: str = ""
    context_tokens: int = 0
    frame_sizes: tuple[tuple[int, int], ...] = ()
    chat: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    verification: Mapping[str, Any] | None = None
    memory_estimate_mb: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """The manifest as the text of manifest.json."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read manifest.json. Raises BundleError that says what is wrong with it."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise BundleError(
                f"{MANIFEST} is not JSON ({error}): export the bundle again"
            ) from None
        if not isinstance(data, dict):
            raise BundleError(f"{MANIFEST} does not hold an object: export the bundle again")
        if data.get("format_version") != FORMAT_VERSION:
            raise BundleError(
                f"{MANIFEST} has format version {data.get('format_version')!r} and this program "
                f"reads version {FORMAT_VERSION}: export the bundle again, or update this program"
            )
        _check_types(data)
        data["frame_sizes"] = tuple((int(h), int(w)) for h, w in data.get("frame_sizes", ()))
        data["tools"] = tuple(data.get("tools", ()))
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was found whole: where it stands and what it says of itself."""

    path: Path
    role: str
    family: str
    runtime: str
    manifest: Manifest


def load(
    path: Path, role: str | None = None, *, check_hashes: bool = True, allow_failed: bool = False
) -> Bundle:
    """The bundle at a path, checked. Raises BundleError that says what is wrong.

    `role` is the role that is wanted of it; `allow_failed` takes a bundle that failed its
    verification. Without `check_hashes` only the presence of files is checked. Files that the
    manifest does not name are ignored.
    """
    manifest = read_manifest(path)
    if role is not None and manifest.role != role:
        raise BundleError(f"{path} is a bundle for the {manifest.role}, not for the {role}")
    report = manifest.verification
    if report is not None and not report["passed"] and not allow_failed:
        raise BundleError(
            f"{path} failed its verification ({report.get('reason', 'no reason given')}): "
            f"export it again, or allow failed bundles"
        )
    _check_files(path, manifest, check_hashes=check_hashes)
    return Bundle(path, manifest.role, manifest.family, manifest.runtime, manifest)


def read_manifest(path: Path) -> Manifest:
    """The manifest of the bundle at a path, its files unchecked. Raises BundleError."""
    try:
        text = (path / MANIFEST).read_text("utf-8")
    except FileNotFoundError:
        what = "there is no such folder" if not path.exists() else f"it holds no {MANIFEST}"
        raise BundleError(f"{path} is not a bundle: {what}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path / MANIFEST} cannot be read: {error}") from error
    try:
        return Manifest.from_json(text)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None


def write_bundle(out: Path, fill: Callable[[Path], Manifest], *, overwrite: bool = False) -> Bundle:
    """Make a bundle: `fill` writes its files into the folder it is given.

    That folder stands beside `out` and takes its place only when all is written, hashed and
    synced; whatever goes wrong before, `out` stays as it was. Raises BundleError where `out`
    exists (unless `overwrite`) or another export is writing it, and what `fill` raises.
    """
    out = out.absolute()
    if out.exists() and not overwrite:
        raise BundleError(f"{out} exists: choose another place, or say to overwrite it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with _only_writer_of(out):
        _clear_leftovers(out)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
        try:
            manifest = replace(fill(folder), files=hash_tree(folder))
            _write_synced(folder / MANIFEST, manifest.to_json())
            _sync_tree(folder)
            folder.chmod(0o755)  # mkdtemp makes it private, and the daemon may be another user
            _put_in_place(folder, out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    log.info("wrote %s: %s for %s, %s", out, manifest.role, manifest.target, manifest.precision)
    return Bundle(out, manifest.role, manifest.family, manifest.runtime, manifest)


def update_manifest(bundle: Bundle, manifest: Manifest) -> Bundle:
    """Put a new manifest into a bundle whose files stay as they are, atomically."""
    manifest = replace(manifest, files=bundle.manifest.files)
    temporary = bundle.path / f".{MANIFEST}.new"
    _write_synced(temporary, manifest.to_json())
    temporary.replace(bundle.path / MANIFEST)
    _sync(bundle.path)
    return replace(bundle, manifest=manifest)


def hash_tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path with forward slashes."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        file.relative_to(folder).as_posix(): hash_file(file)
        for file in files
        if file != folder / MANIFEST
    }


def hash_file(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _check_files(path: Path, manifest: Manifest, *, check_hashes: bool) -> None:
    if not manifest.files:
        raise BundleError(f"{path} names no files: export it again")
    for name, digest in manifest.files.items():
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts:
            raise BundleError(f"{path} is not to be trusted: it names {name!r}, outside of itself")
        file = path / name
        if not file.is_file():
            raise BundleError(f"{path} is damaged: {name} is missing; export or copy it again")
        if check_hashes and hash_file(file) != digest:
            raise BundleError(f"{path} is damaged: {name} has changed; export or copy it again")


def _check_types(data: Mapping[str, Any]) -> None:
    known = {entry.name for entry in fields(Manifest)}
    if strange := sorted(set(data) - known):
        raise BundleError(f"{MANIFEST} holds the unknown key {strange[0]!r}: it is not one of ours")
    for name in ("role", "family", "runtime", "source", "precision", "target"):
        if not data.get(name) or not isinstance(data[name], str):
            raise BundleError(f"{MANIFEST} does not say its {name}: export the bundle again")
    if data["role"] not in ROLES:
        raise BundleError(f"{MANIFEST} names the role {data['role']!r}; known: {', '.join(ROLES)}")
    for name, right in _SHAPES.items():
        if name in data and not right(data[name]):
            raise BundleError(f"{MANIFEST} has a {name} that cannot be read: export it again")


def _is_text_map(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_frame_sizes(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(map(_is_count, pair)) for pair in value
    )


_SHAPES: Mapping[str, Callable[[object], bool]] = {
    "revision": lambda value: isinstance(value, str),
    "chat": lambda value: isinstance(value, str),
    "context_tokens": _is_count,
    "memory_estimate_mb": _is_count,
    "frame_sizes": _is_frame_sizes,
    "prompts": _is_text_map,
    "versions": _is_text_map,
    "files": _is_text_map,
    "sampling": lambda value: isinstance(value, dict),
    "extra": lambda value: isinstance(value, dict),
    "tools": lambda value: isinstance(value, list) and all(isinstance(v, str) for v in value),
    "verification": lambda value: (
        value is None or (isinstance(value, dict) and isinstance(value.get("passed"), bool))
    ),
}


@contextlib.contextmanager
def _only_writer_of(out: Path) -> Iterator[None]:
    """Hold a lock beside `out`, so that what is left there by others is known to be dead."""
    lock = out.parent / f".{out.name}.lock"
    with lock.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not lock.exists() or lock.stat().st_ino != os.fstat(stream.fileno()).st_ino:
                raise BlockingIOError
        except BlockingIOError:
            raise BundleError(f"another export is writing {out}: wait until it is done") from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _clear_leftovers(out: Path) -> None:
    """Remove what an export that was killed left, and put back what it had moved away."""
    replaced = _replaced(out)
    if replaced.exists() and not out.exists():
        replaced.rename(out)
    partial = [
        path
        for path in out.parent.iterdir()
        if path.name.startswith(f".{out.name}.") and path.suffix == ".partial"
    ]
    for left in (replaced, *partial):
        if left.exists():
            log.info("removing what an interrupted export left: %s", left)
            shutil.rmtree(left, ignore_errors=True)


def _replaced(out: Path) -> Path:
    return out.parent / f".{out.name}.replaced"


def _put_in_place(folder: Path, out: Path) -> None:
    if out.exists():
        out.rename(_replaced(out))
    folder.rename(out)
    _sync(out.parent)
    shutil.rmtree(_replaced(out), ignore_errors=True)


def _write_synced(file: Path, text: str) -> None:
    with file.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
