"""The first, cheap look over a recording: how much happens when, pictures, and its words.

It costs a fraction of decoding the recording, and what it finds decides what is looked at
again. Its parts: `media/survey.py` looks, `media/activity.py` judges, `media/words.py` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from edge_lvr1.config import Ingest
from edge_lvr1.domain import Activity, Recording
from edge_lvr1.media.activity import activity_of
from edge_lvr1.media.frames import Footage
from edge_lvr1.media.measure import Sample
from edge_lvr1.media.survey import Picture
from edge_lvr1.media.text_tracks import Sidecars, words_of
from edge_lvr1.media.words import Cue
from edge_lvr1.store.glances import Glances, StoredCue, StoredPicture

SURVEY = "survey"
_MOST_PICTURES = 512  # one for each leaf of the widest tree
_SHORTEST_SLOT_S = 2.0


def glance(
    recording: Recording,
    footage: Footage,
    glances: Glances,
    settings: Ingest,
    sidecars: Sidecars,
    revision: int,
    between: Callable[[], None],
    on_progress: Callable[[str, int, int], None],
) -> Activity:
    """Look a recording over and store what was seen; what was stored before is returned.

    Raises MediaError, NotFoundError where its parts changed meanwhile, what `between` raises.
    """
    known = glances.activity(recording.id)
    if known is not None:
        return known
    samples: list[Sample] = []
    pictures: list[StoredPicture] = []
    for found in footage.decoder.survey(
        footage.parts, max(_SHORTEST_SLOT_S, recording.duration_s / _MOST_PICTURES)
    ):
        between()
        if isinstance(found, Picture):
            pictures.append(StoredPicture(found.time_s, found.score, found.hash, found.webp))
        else:
            samples.append(found)
            on_progress(SURVEY, round(found.time_s), round(recording.duration_s))
    activity = activity_of(samples, recording.duration_s, settings)
    cues = (
        [_stored(cue) for cue in _words(footage, sidecars, between)] if settings.subtitles else []
    )
    glances.put(recording.id, activity, pictures, cues, revision)
    return activity


def _words(footage: Footage, sidecars: Sidecars, between: Callable[[], None]) -> Iterator[Cue]:
    """The text that lies beside the parts' files, or in them, at its time in the recording."""
    for part in footage.parts:
        between()
        for cue in words_of(Path(part.path), sidecars, footage.decoder.texts):
            moved = cue.later(part.offset_s)
            if 0 <= moved.span.start_s < part.offset_s + part.duration_s:
                yield moved


def _stored(cue: Cue) -> StoredCue:
    return StoredCue(cue.span, cue.text, cue.source)
