"""Whether a question can be asked, and the question as the queue holds it."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone, tzinfo

from edge_lvr1.config import Questions
from edge_lvr1.daemon.http.question_schemas import QuestionIn
from edge_lvr1.daemon.questions.asked_scope import narrowed
from edge_lvr1.daemon.questions.cameras import no_camera
from edge_lvr1.daemon.questions.moments import iso_moment, moment_of
from edge_lvr1.domain import OPTION_LETTERS, Question, Scope
from edge_lvr1.errors import QuestionError
from edge_lvr1.store.overview import Overview
from edge_lvr1.store.text import to_json
from edge_lvr1.store.trees import Trees

MOST_ROUNDS = 1000
MOST_SECONDS = 86_400.0
MOST_DEADLINE_S = 366 * 86_400.0


def question_of(
    asked: QuestionIn, limits: Questions, trees: Trees, clock: Callable[[], float], zone: tzinfo
) -> Question:
    """The question that a client asks, its scope read and its budget filled in.

    `clock` gives epoch seconds; times are meant in `zone`. Raises QuestionError for one that
    cannot be asked, NotFoundError for a recording or camera that is not there.
    """
    now = datetime.fromtimestamp(clock(), tz=zone)
    text = _text(asked.question, limits.max_chars)
    since, until = (
        moment_of(written, now, name) if written is not None else None
        for name, written in (("since", asked.since), ("until", asked.until))
    )
    scope = scope_of(trees, asked.recording, asked.cameras, since, until)
    read = narrowed(text, scope, Overview(trees.archive), now)
    return Question(
        id=secrets.token_hex(6),
        text=text,
        asked_at=now.astimezone(timezone.utc),
        options=_options(asked.options, limits.max_chars),
        scope=read.scope,
        max_rounds=_rounds(asked.max_rounds, limits),
        max_seconds=_seconds(asked.max_seconds, limits),
        confirm=asked.confirm,
        about=read.about,
        read_as=read.read_as,
        deadline=_deadline(asked, now),
    )


def request_hash(asked: QuestionIn) -> str:
    """What tells whether two requests ask the same: SHA-256 of their fields."""
    return hashlib.sha256(to_json(asked.model_dump()).encode("ascii")).hexdigest()


def scope_of(
    trees: Trees,
    recording: int | None,
    cameras: Sequence[str],
    since: datetime | None,
    until: datetime | None,
) -> Scope:
    """A scope whose recording and cameras exist and whose times make sense."""
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.utcoffset() is None:
            raise QuestionError(
                f"{name} has no UTC offset; write it like 2026-03-14T09:30:00+00:00"
            )
    if since is not None and until is not None and since >= until:
        raise QuestionError(
            f"since ({since.isoformat(' ', 'minutes')}) must be earlier than until "
            f"({until.isoformat(' ', 'minutes')})"
        )
    if recording is not None:
        trees.recording(recording)
    _check_cameras(cameras, trees)
    return Scope(recording, tuple(dict.fromkeys(cameras)), since, until)


def _text(text: str, max_chars: int) -> str:
    text = text.strip()
    if not text:
        raise QuestionError("the question is empty; write what you want to know")
    if len(text) > max_chars:
        raise QuestionError(
            f"the question has {len(text)} characters and at most {max_chars} are taken; shorten it"
        )
    return _unicode(text, "the question")


def _options(options: Sequence[str], max_chars: int) -> tuple[str, ...]:
    texts = tuple(_unicode(option.strip(), "an option") for option in options)
    if len(texts) > len(OPTION_LETTERS):
        raise QuestionError(
            f"{len(texts)} options are too many; at most {len(OPTION_LETTERS)} are taken"
        )
    if len(texts) == 1:
        raise QuestionError("one option is no choice; give two or more, or none")
    if not all(texts):
        raise QuestionError("an option is empty; give each a text")
    if len(set(texts)) < len(texts):
        raise QuestionError("two options are the same; give each once")
    if sum(map(len, texts)) > max_chars:
        raise QuestionError(f"the options are longer than {max_chars} characters; shorten them")
    return texts


def _unicode(text: str, what: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise QuestionError(f"{what} is not valid Unicode text; send it as UTF-8") from None
    return text


def _rounds(rounds: int | None, limits: Questions) -> int:
    if rounds is None:
        return limits.max_rounds
    if not 1 <= rounds <= MOST_ROUNDS:
        raise QuestionError(f"max_rounds must be from 1 to {MOST_ROUNDS}, not {rounds}")
    return rounds


def _seconds(seconds: float | None, limits: Questions) -> float:
    if seconds is None:
        return limits.max_seconds
    if not (math.isfinite(seconds) and 0 < seconds <= MOST_SECONDS):
        raise QuestionError(f"max_seconds must be above 0 and at most {MOST_SECONDS:g}")
    return seconds


def _deadline(asked: QuestionIn, now: datetime) -> datetime | None:
    """The deadline in UTC. Raises QuestionError for one that has passed or is none."""
    if asked.deadline is not None and asked.deadline_s is not None:
        raise QuestionError("give deadline or deadline_s, not both")
    if asked.deadline_s is not None:
        if not 0 < asked.deadline_s <= MOST_DEADLINE_S:
            raise QuestionError(f"deadline_s must be above 0 and at most {MOST_DEADLINE_S:g}")
        return (now + timedelta(seconds=asked.deadline_s)).astimezone(timezone.utc)
    if asked.deadline is None:
        return None
    found = iso_moment(asked.deadline, now)
    if found is None:
        raise QuestionError(
            "deadline is no time that is understood; write it like 2026-03-14T09:30:00+01:00"
        )
    if found <= now:
        raise QuestionError(f"the deadline {asked.deadline} has passed; give a later one, or none")
    return found.astimezone(timezone.utc)


def _check_cameras(cameras: Sequence[str], trees: Trees) -> None:
    if not cameras:
        return
    known = Overview(trees.archive).cameras()
    for camera in cameras:
        if camera not in known:
            raise no_camera(camera, known)
