"""What keeps an archive: rules applied, backups made, the database tidied; all by the clock.

Questions go first: between two recordings that are removed, and between two steps of tidying.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo
from pathlib import Path

from edge_lvr1.access import DAEMON, Who
from edge_lvr1.config import Settings
from edge_lvr1.daemon.context import Context, program_version
from edge_lvr1.daemon.doubted_clock import DoubtedClock
from edge_lvr1.daemon.quiet_hours import QuietHours
from edge_lvr1.daemon.schedule import NotNow, Schedule
from edge_lvr1.daemon.turnstile import Stopped
from edge_lvr1.errors import QuestionError, StoreError
from edge_lvr1.store.backup import Backup, Backups, BackupStopped, listed, rotate
from edge_lvr1.store.keeping import SIZE, Fate, Keeping, Rules
from edge_lvr1.store.tidying import (
    LOG_BYTES,
    empty_log,
    give_back,
    learn,
    log_bytes,
    merge_words,
)

log = logging.getLogger(__name__)

MADE = "backup.made"
FOLDER = "backups"  # in the data folder
_HOUR_S = 3600.0
_FIRST_S = 60.0  # after a start: time to stop a daemon whose rules were mistyped
_LOG_LOOK_S = 300.0
_LONG_LOG_BYTES = 1_000_000_000
_LOOK_AGAIN_S = 0.2
_MOST_LOOKS = 300  # a minute for one question to end
_FILES_AT_ONCE = 2000


def plan(context: Context, schedule: Schedule, zone: tzinfo) -> None:
    """Put what keeps the archive on the schedule; `zone` is that of the quiet hours."""
    keep = context.settings.keep
    schedule.every("keep", keep.every_h * _HOUR_S, Retention(context), first_s=_FIRST_S)
    if keep.backup_every_h is not None:
        every_s = keep.backup_every_h * _HOUR_S
        first_s = _until_due(context, every_s)
        schedule.every("backup", every_s, BackupJob(context), first_s=first_s)
    hours = QuietHours.parse(keep.quiet_hours)
    schedule.at_hours("tidy", hours, Tidying(context, hours, zone))
    schedule.every("log", _LOG_LOOK_S, LogLimit(context))


def rules_of(settings: Settings) -> Rules:
    """The settings' rules, of folders as paths are stored."""
    by_root = {str(Path(root).resolve()): rule for root, rule in settings.keep.roots.items()}
    roots = (*settings.watch, *settings.ingest.roots)
    return Rules(settings.keep.default, by_root, [str(root) for root in roots])


def backup_folder(settings: Settings) -> Path:
    """Where scheduled backups are kept."""
    return (settings.keep.backup_dir or settings.data / FOLDER).absolute()


@dataclass(slots=True)
class Retention:
    """Removes what the rules say; remembers how far the look for forgotten files came.

    By age nothing goes while the clock, as it runs from here on, is doubted.
    """

    context: Context
    _after: int = field(default=0, init=False)
    _clock: DoubtedClock = field(init=False)

    def __post_init__(self) -> None:
        self._clock = DoubtedClock(self.context.clock)

    def __call__(self) -> str:
        """Apply the rules once; what went. Raises Stopped, NotNow."""
        context = self.context
        keeping = Keeping(context.archive, rules_of(context.settings), context.clock)
        told, removed = [], 0
        doubt = self._clock.doubt()
        if not doubt:
            if context.settings.questions.keep_days is not None:
                context.turnstile.pass_ingest()
                days = context.settings.questions.keep_days
                pruned = context.questions.prune(context.clock(), days)
                told += [f"{pruned} questions"] if pruned else []
            removed = sum(self._remove(keeping, one, rule) for one, rule in keeping.overdue())
        for root, excess in keeping.oversized():
            removed += self._shrink(keeping, root, excess)
        told += [f"{removed} recordings"] if removed else []
        self._after = keeping.forget_files(_FILES_AT_ONCE, self._after) or 0
        outcome = f"removed {' and '.join(told)}" if told else "nothing to remove"
        return f"{outcome}; nothing by age: {doubt}" if doubt else outcome

    def _shrink(self, keeping: Keeping, root: str, excess: int) -> int:
        removed = 0
        for recording, size in keeping.oldest(root):
            if excess <= 0:
                break
            gone = self._remove(keeping, recording, SIZE)
            if gone:
                removed, excess = removed + gone, excess - size
        return removed

    def _remove(self, keeping: Keeping, recording: int, rule: str) -> int:
        for _ in range(_MOST_LOOKS):
            self.context.turnstile.pass_ingest()
            fate, gone = keeping.remove(recording, rule)
            if fate is not Fate.ASKED:
                if gone:
                    log.info(
                        "removed recording %d by the rule %s%s; its footage is left alone",
                        recording,
                        rule,
                        f", with {gone - 1} that share its files" if gone > 1 else "",
                    )
                return gone
            self.context.turnstile.rest(_LOOK_AGAIN_S)
        raise NotNow("a question is being asked")


@dataclass(frozen=True, slots=True)
class BackupJob:
    """Makes the scheduled backup, and removes the oldest beyond what is kept."""

    context: Context

    def __call__(self) -> str:
        """Make one; its name. A failed one removes nothing. Raises StoreError, Stopped."""
        folder = backup_folder(self.context.settings)
        made = back_up(self.context, folder, DAEMON)
        removed = rotate(folder, self.context.settings.keep.backups)
        gone = f", removed {', '.join(removed)}" if removed else ""
        return f"{made.path.name}, {made.size_bytes / 1e6:.1f} MB{gone}"


def back_up(context: Context, folder: Path, who: Who) -> Backup:
    """Make a backup in a folder, and note that.

    Raises StoreFull, StoreError, Stopped; QuestionError where one is being made.
    """
    if not context.backing_up.acquire(blocking=False):
        raise QuestionError("a backup is being made right now; wait until it is done")
    try:
        backups = Backups(
            context.settings.data,
            program_version(),
            context.clock,
            # Beside the database, a backup must not take the room that keeps questions going.
            context.settings.ingest.reserve_mb if _same_disk(context, folder) else 0,
        )
        made = backups.make(folder, lambda: context.turnstile.stopped)
    except BackupStopped:
        raise Stopped from None
    finally:
        context.backing_up.release()
    context.audit.add(
        MADE, who, path=str(made.path), size_bytes=made.size_bytes, entries=made.audit.number
    )
    log.info("backup %s: %.1f MB", made.path, made.size_bytes / 1e6)
    return made


@dataclass(frozen=True, slots=True)
class Tidying:
    """Tidies the database in quiet hours."""

    context: Context
    hours: QuietHours
    zone: tzinfo

    def __call__(self) -> str:
        """Tidy until done, other work comes, or the hours end. Raises NotNow, Stopped."""
        archive = self.context.archive
        self._step_aside()
        self._all(merge_words(archive))
        given = sum(self._counted(give_back(archive)))
        learn(archive)
        empty_log(archive)
        page = archive.row("PRAGMA page_size") or {"page_size": 0}
        return f"gave {given * page['page_size'] / 1e6:.1f} MB back to the disk"

    def _all(self, steps: Iterable[None]) -> None:
        for _ in steps:
            self._step_aside()

    def _counted(self, steps: Iterable[int]) -> Iterable[int]:
        for given in steps:
            yield given
            self._step_aside()

    def _step_aside(self) -> None:
        context = self.context
        if context.turnstile.stopped:
            raise Stopped
        if context.jobs.busy() or context.builds.waiting():
            raise NotNow("footage is being taken in")
        now = datetime.fromtimestamp(context.clock(), timezone.utc)
        if not self.hours.holds(now, self.zone):
            raise NotNow("the quiet hours are over")
        context.turnstile.pass_ingest()


@dataclass(frozen=True, slots=True)
class LogLimit:
    """Empties the database's log where readers have kept SQLite from it for long."""

    context: Context

    def __call__(self) -> str | None:
        """Look once. Raises StoreError where the log stays very long."""
        before = log_bytes(self.context.archive)
        if before <= LOG_BYTES:
            return None
        if empty_log(self.context.archive):
            return f"emptied a log of {before / 1e6:.0f} MB"
        if before > _LONG_LOG_BYTES:
            raise StoreError(
                f"the database's log has {before / 1e6:.0f} MB, since somebody has been reading "
                "all the time; look for a program that holds archive.db open"
            )
        return f"the log has {before / 1e6:.0f} MB, and somebody is reading"


def _until_due(context: Context, every_s: float) -> float:
    """Seconds until the next backup, by when the last was made; a minute where it is late."""
    known = listed(backup_folder(context.settings))
    if not known:
        return _FIRST_S
    age_s = context.clock() - known[-1].made_s
    return max(_FIRST_S, every_s - age_s) if age_s >= 0 else _FIRST_S


def _same_disk(context: Context, folder: Path) -> bool:
    nearest = next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
    return nearest.stat().st_dev == context.settings.data.stat().st_dev
