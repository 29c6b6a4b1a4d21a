"""The JSON of the socket: what may be asked, and how domain objects are told.

Times are ISO 8601 with offset, media times are seconds, and no number is ever NaN or
infinite. Strings are valid Unicode whatever a file was called.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from edge_lvr1.domain import (
    Action,
    Answer,
    CountObjects,
    Evidence,
    FinalAnswer,
    GetCaption,
    Invalid,
    ListRecordings,
    SearchCaptions,
    Step,
    VideoQa,
)
from edge_lvr1.store.holds import Hold


def shown_safely(text: str) -> str:
    """Text that is valid Unicode: what is not (a file name's stray bytes) becomes escapes."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that stand for no byte
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


Shown = Annotated[str, PlainSerializer(shown_safely)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _Out(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)


class QuestionIn(_In):
    """A question, its options, which footage it is about, and its budget."""

    question: str
    options: list[str] = []
    recording: int | None = None
    cameras: list[str] = []
    since: str | None = Field(
        default=None, description="ISO 8601, or words like 'yesterday 22:00' in the daemon's zone"
    )
    until: str | None = None
    max_rounds: int | None = None
    max_seconds: float | None = None
    confirm: bool = Field(
        default=False, description="have the evidence of the answer looked at again"
    )
    deadline: str | None = Field(
        default=None, description="ISO 8601; after it nobody wants the answer any more"
    )
    deadline_s: float | None = Field(default=None, description="the same, in seconds from now")


class PathIn(_In):
    """A file or folder on the daemon's machine, as an absolute path."""

    path: str
    priority: int = Field(
        default=1, ge=0, le=9, description="the highest goes first; watched folders bring 0"
    )


class EvidenceOut(_Out):
    """A node that an answer rests on."""

    recording: int
    camera: Shown
    node: str
    start_s: float
    end_s: float
    starts_at: datetime
    ends_at: datetime
    caption: Shown
    removed: Shown = Field(default="", description="when and by which rule its recording went")


class StepOut(_Out):
    """A round: what the agent thought and did, and what came back."""

    round: int
    recording: int
    thought: Shown
    action: Shown
    observation: Shown
    reply: Shown
    seconds: float
    repeated: bool
    hint: Shown = Field(default="", description="what the loop added to the observation")


class AnswerOut(_Out):
    """A question and what it came to; `verdict` is null until it is answered."""

    id: str
    question: Shown
    state: str = Field(description="queued, running, done or cancelled")
    asked_at: datetime
    options: list[Shown]
    deadline: datetime | None = None
    verdict: str | None = None
    text: Shown = ""
    option: str | None = None
    evidence: list[EvidenceOut] = []
    rounds: int = 0
    captions_opened: int = 0
    invalid_steps: int = 0
    seconds: float = 0.0
    agent: str = ""
    captioner: str = ""
    searched: list[Shown] = []
    read_as: Shown = Field(default="", description="the scope that the question's words name")
    confirmation: str | None = Field(
        default=None, description="confirmed, not_confirmed or unclear, where it was asked for"
    )

    @model_serializer(mode="wrap")
    def _without_idle_option(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Only a question with options has an `option`."""
        told: dict[str, Any] = serialize(self)
        if not self.options:
            del told["option"]
        return told


class QuestionOut(AnswerOut):
    """A question with its steps."""

    steps: list[StepOut] = []


class QuestionsOut(_Out):
    """Questions, newest first."""

    questions: list[AnswerOut]


class AcceptedOut(_Out):
    """A question was queued."""

    id: str
    state: str
    events: str = Field(description="where its progress can be followed")


class HoldOut(_Out):
    """Why a recording is held, by whom, and since when."""

    recording: int
    reason: Shown
    who: Shown
    since: datetime


class RecordingOut(_Out):
    """A recording, and how far its tree is."""

    id: int
    camera: Shown
    starts_at: datetime
    ends_at: datetime
    start_source: str = Field(description="file name, container or mtime")
    confidence: str = Field(description="of the start: sure, likely or guessed")
    duration_s: float
    width: int = Field(description="0 while parts may still be added")
    captioner: str
    nodes: int
    captions: int
    calls_made: int = Field(description="captions that the captioner was asked for")
    calls_saved: int = Field(description="captions of what stands still, without asking")
    state: str = Field(description="open, queued, running, done or failed")
    reason: Shown = Field(description="why it failed")
    remark: Shown = Field(description="what is to be known of it")
    queryable: bool
    complete: bool
    files: list[Shown]
    hold: HoldOut | None = Field(default=None, description="what keeps the rules from it")


class RecordingsOut(_Out):
    """Recordings, in order of their start; `total` counts those of all pages."""

    recordings: list[RecordingOut]
    total: int


class ActivityOut(_Out):
    """How much happens in a recording: a curve (1 is the threshold), and what it came to."""

    recording: int
    times_s: list[float]
    scores: list[float]
    active: list[tuple[float, float]]
    switches: list[tuple[float, str]]


class NodeOut(_Out):
    """A node with its caption, null where it has none yet."""

    node: str
    level: str
    start_s: float
    end_s: float
    caption: Shown | None
    written_by: str | None
    inherits: str | None = Field(description="the node whose caption it was taken from")


class TreeOut(_Out):
    """A recording's caption tree, in order of node ids."""

    recording: int
    duration_s: float
    width: int
    captioner: str
    nodes: list[NodeOut]


class HitOut(_Out):
    """A caption that matches; a higher score is a better match."""

    recording: int
    camera: Shown
    node: str
    start_s: float
    end_s: float
    starts_at: datetime
    caption: Shown
    score: float
    thumbnail: str = Field(description="where its picture is")


class HitsOut(_Out):
    """Captions that match, best first."""

    hits: list[HitOut]


class ProgressOut(_Out):
    """How far the job in hand is: so many of so many of this stage's units."""

    stage: str
    done: int
    total: int | None = Field(description="null where it is not known")


class JobOut(_Out):
    """A file that was taken in, is waiting, or failed with a reason."""

    id: int
    path: Shown
    state: str = Field(description="queued, running, placed, done or failed")
    reason: Shown
    attempts: int
    size_bytes: int
    recordings: list[int]
    progress: ProgressOut | None = None


class JobsOut(_Out):
    """Ingest jobs, in order of their arrival; `total` counts those of all pages."""

    jobs: list[JobOut]
    total: int


class RefusedOut(_Out):
    """A path that was not taken, and why."""

    path: Shown
    reason: Shown


class OfferedOut(_Out):
    """What became of an offered path."""

    taken: list[JobOut]
    refused: list[RefusedOut]


class ModelOut(_Out):
    """A model with weights: whether they are in memory, and how much they take there."""

    role: str
    name: Shown
    loaded: bool
    memory_mb: int


class FaultOut(_Out):
    """Something that is wrong now, and since when."""

    key: Shown
    sentence: Shown
    since: datetime


class ScheduledOut(_Out):
    """A job that runs by the clock: `outcome` is what its last run came to."""

    name: str
    when: str
    running: bool
    last: datetime | None
    took_s: float | None
    outcome: Shown
    failed: bool
    next: datetime | None


class RootOut(_Out):
    """A watched folder: how its files are noticed and why so, and whether it is there.

    `problem` says what keeps it away or, where it is there, what of it cannot be read.
    """

    path: Shown
    found_by: Literal["events", "polling"]
    why: Shown
    there: bool
    problem: Shown
    files: int = Field(description="seen by the last walk")
    scanned_at: datetime | None
    scan_took_s: float


class HealthOut(_Out):
    """`ok`, or `degraded` with what is wrong; the daemon serves either way."""

    status: str
    faults: list[FaultOut]


class StatusOut(_Out):
    """How the daemon is."""

    version: str
    pid: int
    uptime_s: float
    data: Shown
    socket: Shown
    listen: str | None
    watched: list[Shown]
    captioner: str
    agent: str
    models: list[ModelOut]
    recordings: int
    open: int = Field(description="recordings to which parts may still be added")
    queryable: int
    complete: int
    calls_made: int
    calls_saved: int
    settling: int
    jobs: dict[str, int]
    questions: dict[str, int]
    current: JobOut | None
    faults: list[FaultOut] = []
    scheduled: list[ScheduledOut] = []
    roots: list[RootOut] = []
    events_lost: int = Field(
        default=0,
        description="times that the kernel lost file system events; the folders are "
        "walked at once then",
    )


def hold_out(hold: Hold) -> HoldOut:
    """A hold as JSON."""
    since = datetime.fromtimestamp(hold.since_s, timezone.utc)
    return HoldOut(recording=hold.recording, reason=hold.reason, who=hold.who, since=since)


def evidence_out(evidence: Evidence, removed: str = "") -> EvidenceOut:
    """A piece of evidence as JSON; `removed` says what became of its recording."""
    return EvidenceOut(
        recording=evidence.recording,
        camera=evidence.camera,
        node=str(evidence.node),
        start_s=evidence.span.start_s,
        end_s=evidence.span.end_s,
        starts_at=evidence.starts_at,
        ends_at=evidence.ends_at,
        caption=evidence.caption,
        removed=removed,
    )


def step_out(step: Step) -> StepOut:
    """A step as JSON."""
    return StepOut(
        round=step.round,
        recording=step.recording,
        thought=step.thought,
        action=action_text(step.action),
        observation=step.observation,
        reply=step.reply,
        seconds=step.seconds,
        repeated=step.repeated,
        hint=step.hint,
    )


def answer_fields(answer: Answer | None, removed: Mapping[int, str]) -> dict[str, Any]:
    """The part of a question's JSON that its answer gives; `removed`: recordings that went."""
    if answer is None:
        return {}
    return {
        "verdict": answer.verdict.value,
        "text": answer.text,
        "option": answer.option,
        "evidence": [
            evidence_out(entry, removed.get(entry.recording, "")) for entry in answer.evidence
        ],
        "rounds": answer.rounds,
        "captions_opened": answer.captions_opened,
        "invalid_steps": answer.invalid_steps,
        "seconds": answer.seconds,
        "agent": answer.agent,
        "captioner": answer.captioner,
        "searched": list(answer.searched),
        "confirmation": answer.confirmation.value if answer.confirmation else None,
    }


def action_text(action: Action) -> str:
    """An action in one line."""
    if isinstance(action, FinalAnswer):
        return f"answer: {action.text}"
    if isinstance(action, Invalid):
        return f"not a legal move: {action.reason}"
    name, *arguments = _call(action)
    return f"{name}({', '.join(arguments)})"


def _call(
    action: GetCaption | VideoQa | SearchCaptions | ListRecordings | CountObjects,
) -> tuple[str, ...]:
    if isinstance(action, GetCaption):
        return "get_caption", str(action.node)
    if isinstance(action, VideoQa):
        return "video_qa", str(action.node), f'"{action.query}"'
    if isinstance(action, SearchCaptions):
        return "search_captions", f'"{action.words}"'
    if isinstance(action, ListRecordings):
        return ("list_recordings", f'"{action.camera}"') if action.camera else ("list_recordings",)
    return "count_objects", str(action.node), f'"{action.what}"'
