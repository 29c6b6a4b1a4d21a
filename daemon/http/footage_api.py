"""The routes of footage: recordings, trees, clips, pictures, search."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from PIL import Image

from edge_lvr1.access import Role
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.access_rules import needs, who_of
from edge_lvr1.daemon.http.footage_schemas import (
    ActivityOut,
    HitOut,
    HitsOut,
    NodeOut,
    RecordingOut,
    RecordingsOut,
    TreeOut,
    hold_out,
)
from edge_lvr1.daemon.ingest.missing import footage_of
from edge_lvr1.daemon.questions.asking import scope_of
from edge_lvr1.domain import NodeId, Recording, Span
from edge_lvr1.errors import NotFoundError, QuestionError
from edge_lvr1.media.decoder import Decoder
from edge_lvr1.media.frames import Footage
from edge_lvr1.store.holds import Hold, Holds
from edge_lvr1.store.search import Hit, search
from edge_lvr1.store.trees import Trees

MOST_ROWS = 1000
_THUMBNAIL_PX, _LARGEST_PX = 480, 3840  # longer side
_JPEG_QUALITY = 80
_BLOCK_BYTES = 256 * 1024
_LONGEST_SEARCH = 1000

Seconds = Annotated[float, Query(ge=0, allow_inf_nan=False)]


def footage_routes(context: Context) -> APIRouter:
    """/v1/recordings and what is below it."""
    routes = APIRouter(prefix="/v1", tags=["footage"], dependencies=[needs(Role.ASK)])
    trees, holds = context.trees, Holds(context.archive, context.clock)

    @routes.get("/recordings")
    def recordings(
        camera: Annotated[list[str] | None, Query()] = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = MOST_ROWS,
        offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    ) -> RecordingsOut:
        """Recordings, in order of their start."""
        scope = scope_of(trees, None, camera or (), since, until)
        listed = trees.recordings(scope, limit, offset)
        held = holds.of(one.id for one in listed)
        found = [_recording(one, trees, held.get(one.id)) for one in listed]
        return RecordingsOut(recordings=found, total=trees.count(scope))

    @routes.get("/recordings/{recording}")
    def recording(recording: int) -> RecordingOut:
        """One recording."""
        found = trees.recording(recording)
        return _recording(found, trees, holds.of([recording]).get(recording))

    @routes.get("/recordings/{recording}/tree")
    def tree(recording: int) -> TreeOut:
        """A recording's caption tree."""
        return _tree(trees.recording(recording), trees)

    @routes.get("/recordings/{recording}/activity")
    def activity(recording: int) -> ActivityOut:
        """How much happens in a recording, moment by moment."""
        found = context.glances.activity(trees.recording(recording).id)
        if found is None:
            raise NotFoundError(f"recording {recording} has not been looked over yet")
        return ActivityOut(
            recording=recording,
            times_s=list(found.times_s),
            scores=list(found.scores),
            active=[(span.start_s, span.end_s) for span in found.active],
            switches=[(switch.time_s, switch.kind) for switch in found.switches],
        )

    return routes


def picture_routes(context: Context) -> APIRouter:
    """Clips and thumbnails, below /v1/recordings."""
    routes = APIRouter(prefix="/v1", tags=["footage"], dependencies=[needs(Role.ASK)])
    trees = context.trees

    @routes.get("/recordings/{recording}/clip", response_class=StreamingResponse)
    def clip(
        recording: int, start_s: Seconds, end_s: Seconds, request: Request, exact: bool = False
    ) -> StreamingResponse:
        """A span of a recording as MP4: cut at keyframes, or `exact` and encoded anew."""
        found = trees.recording(recording)
        span = _span(found, start_s, end_s)
        name = f"recording-{recording}-{span.start_s:.1f}-{span.end_s:.1f}.mp4"
        # Cut before the answer begins, so that a failure still has a status of its own.
        folder = tempfile.TemporaryDirectory(prefix="edge-lvr1-clip-")
        try:
            out = Path(folder.name) / "clip.mp4"
            with footage_of(context, found):
                Footage(found.parts, context.decoder).cut(span, out, exact)
            told = {"start_s": span.start_s, "end_s": span.end_s, "exact": exact}
            context.audit.add("clip.cut", who_of(request.scope), recording=recording, **told)
            headers = {
                "content-disposition": f'inline; filename="{name}"',
                "content-length": str(out.stat().st_size),
            }
        except BaseException:
            folder.cleanup()
            raise
        return StreamingResponse(_blocks(out, folder), media_type="video/mp4", headers=headers)

    @routes.get("/recordings/{recording}/thumbnail", response_class=Response)
    def thumbnail(
        recording: int,
        node: Annotated[str | None, Query(max_length=40)] = None,
        time_s: Seconds | None = None,
        side_px: Annotated[int, Query(ge=16, le=_LARGEST_PX)] = _THUMBNAIL_PX,
    ) -> Response:
        """The liveliest picture of a node as WebP, or the picture at a moment as JPEG."""
        found = trees.recording(recording)
        if node is not None:
            picture = context.glances.picture(recording, _node_span(found, trees, node))
            if picture is not None:
                return Response(picture.webp, media_type="image/webp")
            time_s = _node_span(found, trees, node).start_s
        if time_s is None:
            raise QuestionError("name a node, like (1,2,3), or a time_s")
        if time_s >= found.duration_s:
            raise QuestionError(_too_late("time_s", found))
        with footage_of(context, found):
            jpeg = _picture(found, context.decoder, time_s, side_px)
        return Response(jpeg, media_type="image/jpeg")

    return routes


def search_routes(context: Context) -> APIRouter:
    """/v1/search."""
    routes = APIRouter(prefix="/v1", tags=["footage"], dependencies=[needs(Role.ASK)])

    @routes.get("/search")
    def search_captions(
        q: Annotated[str, Query(max_length=_LONGEST_SEARCH)],
        request: Request,
        recording: int | None = None,
        camera: Annotated[list[str] | None, Query()] = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    ) -> HitsOut:
        """Captions that have some of the words, or with an embedder their meaning, best first."""
        if not q.strip():
            raise QuestionError("there is nothing to search for; give words as q")
        scope = scope_of(context.trees, recording, camera or (), since, until)
        told = {"words": q, "recording": recording, "cameras": list(camera or ())}
        context.audit.add("footage.searched", who_of(request.scope), **told)
        hits = search(context.archive, q, scope, limit, context.meaning)
        return HitsOut(hits=[_hit(hit) for hit in hits])

    return routes


def _recording(recording: Recording, trees: Trees, hold: Hold | None) -> RecordingOut:
    progress = trees.progress(recording.id)
    return RecordingOut(
        id=recording.id,
        camera=recording.camera,
        starts_at=recording.starts_at,
        ends_at=recording.wall_clock(recording.duration_s),
        start_source=recording.start_source.value,
        confidence=recording.confidence.value,
        duration_s=recording.duration_s,
        width=recording.width,
        captioner=recording.captioner,
        nodes=progress.total,
        captions=progress.captioned,
        calls_made=progress.calls_made,
        calls_saved=progress.calls_saved,
        state="running" if progress.state == "leased" else progress.state,
        reason=progress.reason,
        remark=recording.remark,
        queryable=progress.queryable,
        complete=progress.complete,
        files=[part.path for part in recording.parts],
        hold=hold_out(hold) if hold else None,
    )


def _tree(recording: Recording, trees: Trees) -> TreeOut:
    captions = {caption.node: caption for caption in trees.captions(recording.id)}
    nodes = []
    for node in trees.plan(recording.id).nodes:
        caption = captions.get(node.id)
        nodes.append(
            NodeOut(
                node=str(node.id),
                level=node.level.value,
                start_s=node.span.start_s,
                end_s=node.span.end_s,
                caption=caption.text if caption else None,
                written_by=f"{caption.written_by} {caption.version}" if caption else None,
                inherits=str(caption.inherits) if caption and caption.inherits else None,
            )
        )
    return TreeOut(
        recording=recording.id,
        duration_s=recording.duration_s,
        width=recording.width,
        captioner=recording.captioner,
        nodes=nodes,
    )


def _hit(hit: Hit) -> HitOut:
    return HitOut(
        recording=hit.recording,
        camera=hit.camera,
        node=str(hit.node),
        start_s=hit.span.start_s,
        end_s=hit.span.end_s,
        starts_at=hit.starts_at,
        caption=hit.caption,
        score=hit.score,
        thumbnail=f"/v1/recordings/{hit.recording}/thumbnail?node={quote(str(hit.node))}",
    )


def _span(recording: Recording, start_s: float, end_s: float) -> Span:
    if start_s >= end_s:
        raise QuestionError("start_s must be less than end_s")
    if start_s >= recording.duration_s:
        raise QuestionError(_too_late("start_s", recording))
    return Span(start_s, min(end_s, recording.duration_s))


def _too_late(name: str, recording: Recording) -> str:
    return (
        f"recording {recording.id} is {recording.duration_s:.1f} s long; "
        f"{name} must be less than that"
    )


def _node_span(recording: Recording, trees: Trees, text: str) -> Span:
    try:
        node = trees.plan(recording.id).node(NodeId.parse(text))
    except ValueError as error:
        raise QuestionError(str(error)) from None
    if node is None:
        raise NotFoundError(f"recording {recording.id} has no node {text[:40]}")
    return node.span


def _picture(recording: Recording, decoder: Decoder, time_s: float, side_px: int) -> bytes:
    footage = Footage(recording.parts, decoder)
    frame = next(iter(footage.at([time_s], side_px)), None)
    if frame is None:
        raise NotFoundError(f"recording {recording.id} shows no picture at {time_s:.1f} s")
    out = io.BytesIO()
    Image.fromarray(frame.image).save(out, "JPEG", quality=_JPEG_QUALITY)
    return out.getvalue()


def _blocks(path: Path, folder: tempfile.TemporaryDirectory[str]) -> Iterator[bytes]:
    with folder, path.open("rb") as file:
        yield from iter(lambda: file.read(_BLOCK_BYTES), b"")
