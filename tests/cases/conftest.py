"""An answered question over real footage in two parts, and a client without a socket."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.access import Who
from edge_lvr1.cases.folder import make_case
from edge_lvr1.cases.layout import Case
from edge_lvr1.client import Client
from edge_lvr1.daemon.context import Context
from edge_lvr1.domain import (
    Answer,
    Evidence,
    GetCaption,
    NodeId,
    Part,
    Question,
    Recording,
    Span,
    StartSource,
    Step,
    Verdict,
)
from edge_lvr1.store.questions import Asked
from edge_lvr1.tree.plan import plan_tree
from tests.daemon.asgi import Http
from tests.daemon.conftest import STARTS_AT, builder_of, context, http, settings
from tests.media_files import steady, video

__all__ = ["context", "http", "settings"]  # fixtures of the daemon's tests

ANNA = Who("socket", 1000, 1000, 77, "anna")
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b]0;owned\x07\u202e\"'&</style>"


class InProcess(Client):
    """The client's functions over the application itself."""

    def __init__(self, http: Http) -> None:
        super().__init__(Path("/nowhere"))
        self._app = http

    def _object(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        return dict(self._told(self._app.request(method, path, json=body)).json())

    def _list(self, path: str, query: Any, key: str) -> list[dict[str, Any]]:
        return list(self._told(self._app.get(path, params=query)).json()[key])

    def clip(
        self, recording: int, start_s: float, end_s: float, out: Path, exact: bool = False
    ) -> None:
        query = {"start_s": start_s, "end_s": end_s, "exact": exact}
        response = self._app.get(f"/v1/recordings/{recording}/clip", params=query)
        out.write_bytes(self._told(response).content)

    def thumbnail(
        self,
        recording: int,
        time_s: float | None = None,
        node: str | None = None,
        side_px: int | None = None,
    ) -> bytes:
        query = {"time_s": time_s, "side_px": side_px}
        response = self._app.get(f"/v1/recordings/{recording}/thumbnail", params=query)
        return bytes(self._told(response).content)

    def _told(self, response: Any) -> Any:
        from edge_lvr1.client import _check

        _check(response)
        return response


@dataclass
class Made:
    """A case that was made, with what it was made from."""

    folder: Path
    case: Case
    recording: Recording


@pytest.fixture(scope="session")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two files of 8 s, one after the other."""
    folder = tmp_path_factory.mktemp("halves")
    return (
        video(folder / "one <b>.mp4", steady(40, fps=5.0), gop=10),
        video(folder / "two.mp4", steady(40, fps=5.0), gop=10, first_number=40),
    )


@pytest.fixture
def footage(halves: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """The same, where a test may change them."""
    one, two = (tmp_path / half.name for half in halves)
    for half, copy in zip(halves, (one, two), strict=True):
        copy.write_bytes(half.read_bytes())
    return one, two


@pytest.fixture
def recording(context: Context, footage: tuple[Path, Path]) -> Recording:
    """A recording of two parts with a complete tree."""
    parts = []
    for place, path in enumerate(footage):
        now = path.stat()
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        parts.append(Part(str(path), place * 8.0, 8.0, now.st_size, now.st_mtime_ns, sha256))
    source = StartSource.FILE_NAME
    added = context.trees.add_recording(EVIL, STARTS_AT, source, parts, plan_tree(16.0), "fake")
    from edge_lvr1.media.frames import Footage

    builder_of(context).build(added, Footage(added.parts))
    return added


def answer(context: Context, recording: Recording, text: str = f"Yes: {EVIL}") -> None:
    """Question q1 is asked, walked and answered on two pieces of evidence."""
    context.questions.put(
        Question("q1", f"Is a lorry there? {EVIL}", STARTS_AT, read_as=EVIL), Asked(who=ANNA)
    )
    record = context.questions.lease("test", 60.0)
    assert record is not None
    step = Step(
        1, recording.id, EVIL, EVIL, GetCaption(NodeId((1,))), f"{EVIL}hint", 0.5, False, "hint"
    )
    context.questions.add_step("q1", step)
    evidence = []
    for node, span in ((NodeId((1, 2)), Span(4.0, 8.0)), (NodeId((1,)), Span(6.0, 12.0))):
        start, end = (STARTS_AT + timedelta(seconds=s) for s in (span.start_s, span.end_s))
        evidence.append(Evidence(recording.id, EVIL, node, span, start, end, f"A lorry. {EVIL}"))
    found = Answer(
        Verdict.ANSWERED,
        text,
        tuple(evidence),
        rounds=1,
        agent="scripted",
        captioner="fake",
        searched=(EVIL, "gate, recording 9: not searched, still being captioned"),
    )
    context.questions.finish("q1", found)


@pytest.fixture
def client(http: Http) -> Iterator[InProcess]:
    with InProcess(http) as opened:
        yield opened


@pytest.fixture
def made(context: Context, recording: Recording, client: InProcess, tmp_path: Path) -> Made:
    """A case that was made of it."""
    answer(context, recording)
    folder = tmp_path / "case"
    return Made(folder, make_case(client, "q1", folder), recording)
