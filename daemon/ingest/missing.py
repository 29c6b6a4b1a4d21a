"""Why footage cannot be shown: its file is gone, or its watched folder is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

from edge_lvr1.daemon.context import Context
from edge_lvr1.domain import Recording
from edge_lvr1.errors import MediaError
from edge_lvr1.store.presence import Presence


@contextmanager
def footage_of(context: Context, recording: Recording) -> Iterator[None]:
    """Within, a MediaError says which file is gone or away, where that is why."""
    try:
        yield
    except MediaError as error:
        why = why_missing(context, recording)
        if why is None:
            raise
        raise MediaError(why) from error


def why_missing(context: Context, recording: Recording) -> str | None:
    """One sentence for a recording with parts that are gone or away; None for others."""
    paths = list(dict.fromkeys(part.path for part in recording.parts))
    for path in paths:
        if problem := context.seems_away(path):
            return f"{path} cannot be reached now: {problem}; try again when its folder is back"
    gone = Presence(context.archive, context.clock).gone_since(paths)
    if not gone:
        return None
    path, since_s = next(iter(gone.items()))
    since = datetime.fromtimestamp(since_s, timezone.utc).isoformat(timespec="seconds")
    others = f", and {len(gone) - 1} other files of this recording" if len(gone) > 1 else ""
    return f"{path} is gone since {since}{others}; the captions remain, the pictures do not"
