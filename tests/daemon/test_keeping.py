"""Retention, backups and tidying as the daemon's jobs, and their routes."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections import namedtuple
from dataclasses import replace
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.config import Keep, KeepRule, Settings
from edge_lvr1.daemon import keeping
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.doubted_clock import DoubtedClock
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.daemon.keeping import BackupJob, LogLimit, Retention, Tidying, backup_folder
from edge_lvr1.daemon.quiet_hours import QuietHours
from edge_lvr1.daemon.schedule import NotNow, Schedule, Task
from edge_lvr1.daemon.turnstile import Stopped
from edge_lvr1.domain import Recording
from edge_lvr1.errors import SettingsError, StoreFull
from edge_lvr1.store import tidying
from edge_lvr1.store.backup import listed
from edge_lvr1.store.db import Archive
from tests.daemon.asgi import Http
from tests.daemon.conftest import STARTS_AT, store
from tests.daemon.http.test_questions_api import ask, finish

UTC = timezone.utc
NIGHT = QuietHours.parse("02:00-05:00")
DAY_S = 86_400.0
STARTS_S = STARTS_AT.timestamp()
Disk = namedtuple("Disk", "total used free")


def ruled(context: Context, days_later: float = 0.0, **rule: float) -> Context:
    """The daemon so much later, with a rule for everything."""
    settings = context.settings.model_copy(update={"keep": Keep(default=KeepRule(**rule))})
    clock_s = STARTS_S + days_later * DAY_S
    return replace(context, settings=settings, clock=lambda: clock_s)


def test_clock_that_is_set_forwards_removes_nothing_by_age_for_a_day(
    context: Context, recording: Recording
) -> None:
    done(context)
    wall_s, steady_s = STARTS_S, 0.0
    at = replace(ruled(context, max_days=30), clock=lambda: wall_s + steady_s)
    retention = Retention(at)
    retention._clock = DoubtedClock(at.clock, lambda: steady_s)

    wall_s += 365 * DAY_S
    at_once = retention()
    steady_s += 0.9 * DAY_S
    later = retention()
    steady_s += 0.2 * DAY_S
    believed = retention()

    doubted = "nothing to remove; nothing by age: the clock was set forwards by 8760 h"
    assert at_once.startswith(doubted)
    assert later.startswith(doubted)
    assert believed == "removed 1 recordings"


def test_clock_that_is_put_right_or_runs_on_is_believed() -> None:
    wall_s, steady_s = 0.0, 0.0
    clock = DoubtedClock(lambda: wall_s + steady_s, lambda: steady_s)

    steady_s = 1000 * DAY_S
    ran_on = clock.doubt()
    wall_s = 365 * DAY_S
    wrong = clock.doubt()
    wall_s = 0.0
    righted = clock.doubt()
    wall_s = -365 * DAY_S
    back = clock.doubt()
    wall_s = 0.0

    assert (ran_on, righted, back) == ("", "", "")
    assert wrong
    assert clock.doubt()


def done(context: Context) -> None:
    with context.archive.transaction() as db:
        db.execute("UPDATE recordings SET state = 'done'")


def kinds(context: Context) -> list[str]:
    return [row["kind"] for row in context.archive.rows("SELECT kind FROM audit ORDER BY number")]


def test_rules_are_applied_and_an_old_answer_says_so(
    context: Context, recording: Recording
) -> None:
    http = Http(create_app(context))
    question = ask(http)
    finish(context, recording)
    done(context)
    before = http.get(f"/v1/questions/{question}").json()

    told = Retention(ruled(context, 31, max_days=30))()

    after = http.get(f"/v1/questions/{question}").json()
    assert told == "removed 1 recordings"
    assert http.get(f"/v1/recordings/{recording.id}").status_code == 404
    assert before["evidence"][0]["removed"] == ""
    assert after["evidence"][0]["removed"] == "removed 2026-04-14 by the rule max_days"
    assert after["evidence"][0]["caption"] == "A lorry."
    assert http.get("/v1/questions").json()["questions"][0]["evidence"] == after["evidence"]
    assert Path(recording.parts[0].path).exists()


def test_without_rules_nothing_goes(context: Context, recording: Recording) -> None:
    done(context)

    assert Retention(ruled(context, 10_000))() == "nothing to remove"
    assert context.trees.recording(recording.id)


def test_the_oldest_go_until_the_rest_fits(context: Context, footage: Path, tmp_path: Path) -> None:
    for camera in ("a", "b", "c"):
        copied = tmp_path / f"{camera}.mp4"
        shutil.copy(footage, copied)
        store(context, copied, camera)
    done(context)
    with context.archive.transaction() as db:
        for number in (1, 2, 3):
            start = STARTS_S + number
            db.execute("UPDATE recordings SET starts_epoch_s = ? WHERE id = ?", [start, number])
        db.execute(
            "INSERT INTO files(path, camera, starts_at, starts_epoch_s, start_source, confidence, "
            "duration_s, size_bytes, mtime_ns, sha256, cell, taken_s) SELECT path, 'a', '', 0, "
            "'mtime', 'sure', 1, 1000, 0, sha256, 0, 0 FROM parts"
        )
        db.execute("UPDATE parts SET size_bytes = 1000")

    told = Retention(ruled(context, max_gb=1.5e-6))()

    assert told == "removed 2 recordings"
    assert [one.camera for one in context.trees.recordings()] == ["c"]


def test_answers_are_kept_as_long_as_the_setting_says(
    context: Context, recording: Recording
) -> None:
    http = Http(create_app(context))
    ask(http)
    finish(context, recording)
    asked = context.settings.questions.model_copy(update={"keep_days": 10.0})
    later = ruled(context)
    later = replace(
        later,
        settings=later.settings.model_copy(update={"questions": asked}),
        clock=lambda: 1000.0 + 11 * DAY_S,
    )

    assert Retention(later)() == "removed 1 questions"
    assert http.get("/v1/questions").json()["questions"] == []


def test_a_question_that_does_not_end_puts_the_rules_off(
    context: Context, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_LOOK_AGAIN_S", 0.0)
    ask(Http(create_app(context)))
    assert context.questions.lease("worker", 60.0)
    done(context)

    with pytest.raises(NotNow, match="a question is being asked"):
        Retention(ruled(context, 31, max_days=30))()
    assert context.trees.recording(recording.id)


def test_a_daemon_that_stops_does_not_wait_for_the_rules(
    context: Context, recording: Recording
) -> None:
    done(context)
    context.turnstile.stop()

    with pytest.raises(Stopped):
        Retention(ruled(context, 31, max_days=30))()
    assert context.trees.recording(recording.id)


def test_recordings_are_held_and_released_over_the_socket(
    context: Context, http: Http, recording: Recording
) -> None:
    address = f"/v1/recordings/{recording.id}"

    held = http.post(f"{address}/hold", json={"reason": "theft"})
    shown = http.get(address).json()["hold"]
    listed_ = http.get("/v1/recordings").json()["recordings"][0]["hold"]
    done(context)
    kept = Retention(ruled(context, 31, max_days=30))()
    released = http.delete(f"{address}/hold")

    assert held.status_code == 200
    assert held.json() == shown == listed_
    assert (shown["reason"], shown["since"][:10]) == ("theft", held.json()["since"][:10])
    assert kept == "nothing to remove"
    assert released.json() == {"recording": recording.id}
    assert http.get(address).json()["hold"] is None
    assert [kind for kind in kinds(context) if kind.startswith("rec")] == [
        "recording.held",
        "recording.released",
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/recordings/77/hold", {"reason": "x"}, 404),
        ("POST", "/v1/recordings/1/hold", {"reason": ""}, 422),
        ("POST", "/v1/recordings/1/hold", {"reason": "  "}, 422),
        ("POST", "/v1/recordings/1/hold", {"reason": "x" * 1001}, 422),
        ("DELETE", "/v1/recordings/1/hold", None, 404),
        ("DELETE", "/v1/recordings/99999999999999999999/hold", None, 404),
        ("POST", "/v1/backups", {"to": "relative"}, 422),
        ("POST", "/v1/backups", {"to": "/nowhere at all"}, 422),
        ("POST", "/v1/backups", {"to": "/a\0b"}, 422),
    ],
)
def test_what_cannot_be_done_is_said(
    http: Http, recording: Recording, method: str, path: str, body: Any, status: int
) -> None:
    response = http.request(method, path, json=body)

    assert response.status_code == status
    assert response.json()["error"]


def test_a_backup_is_made_where_it_is_wanted(
    context: Context, http: Http, recording: Recording, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    made = http.post("/v1/backups", json={"to": str(elsewhere)})
    scheduled = http.post("/v1/backups", json={})

    assert made.status_code == scheduled.status_code == 201
    assert Path(made.json()["path"]).parent == elsewhere
    with sqlite3.connect(Path(made.json()["path"]) / "archive.db") as copied:
        assert copied.execute("SELECT count(*) FROM recordings").fetchone() == (1,)
    copied.close()
    (one,) = http.get("/v1/backups").json()["backups"]
    assert one == scheduled.json()
    assert kinds(context)[-2:] == ["backup.made", "backup.made"]


def test_one_backup_is_made_at_a_time(context: Context, http: Http) -> None:
    with context.backing_up:
        refused = http.post("/v1/backups", json={})

    assert refused.status_code == 422
    assert "right now" in refused.json()["error"]


def test_scheduled_backups_are_rotated(context: Context, recording: Recording) -> None:
    settings = context.settings.model_copy(update={"keep": Keep(backups=2)})
    now_s = [1000.0]
    context = replace(context, settings=settings, clock=lambda: now_s[0])
    job = BackupJob(context)
    for _ in range(3):
        now_s[0] += DAY_S
        told = job()

    assert len(listed(backup_folder(settings))) == 2
    assert "removed backup-19700102T001640Z" in told


def test_a_backup_that_fails_is_a_fault_and_removes_no_old_one(
    context: Context, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = context.settings.model_copy(update={"keep": Keep(backups=1)})
    context = replace(context, settings=settings)
    task = Task("backup", "every 24 h", BackupJob(context), context.faults, context.clock)
    task.run()
    before = listed(backup_folder(settings))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(10**9, 10**9, 0))

    task.run()

    (fault,) = context.faults.now()
    assert fault.key == "job.backup"
    assert "no room for a backup" in fault.sentence
    assert listed(backup_folder(settings)) == before
    assert Http(create_app(context)).post("/v1/backups", json={}).status_code == 507


def test_a_daemon_that_stops_gives_its_backup_up(context: Context, recording: Recording) -> None:
    context.turnstile.stop()

    with pytest.raises(Stopped):
        BackupJob(context)()
    assert listed(backup_folder(context.settings)) == []


def test_all_jobs_are_planned_and_a_backup_only_when_it_is_due(
    context: Context, recording: Recording
) -> None:
    now_s = time.time()
    context = replace(context, clock=lambda: now_s)

    def planned() -> dict[str, float | None]:
        schedule = Schedule(context.faults, UTC, context.clock)
        keeping.plan(context, schedule, UTC)
        return {job.name: job.next_s and job.next_s - now_s for job in schedule.jobs()}

    first = planned()
    BackupJob(context)()
    second = planned()

    assert set(first) == {"keep", "backup", "tidy", "log"}
    assert first["backup"] == pytest.approx(60)
    assert second["backup"] == pytest.approx(DAY_S)


def test_no_backups_where_none_are_wanted(context: Context) -> None:
    settings = context.settings.model_copy(update={"keep": Keep(backup_every_h=None)})
    schedule = Schedule(context.faults, UTC)

    keeping.plan(replace(context, settings=settings), schedule, UTC)

    assert "backup" not in {job.name for job in schedule.jobs()}


def test_hours_that_cannot_be_stop_the_daemon_at_its_start(context: Context) -> None:
    settings = context.settings.model_copy(update={"keep": Keep(quiet_hours="at night")})

    with pytest.raises(SettingsError, match=r"keep\.quiet_hours"):
        keeping.plan(replace(context, settings=settings), Schedule(context.faults, UTC), UTC)


def at_night(context: Context) -> Context:
    return replace(context, clock=lambda: 3 * 3600.0)


def test_tidying_ends_with_the_quiet_hours(context: Context) -> None:
    with pytest.raises(NotNow, match="the quiet hours are over"):
        Tidying(replace(context, clock=lambda: 6 * 3600.0), NIGHT, UTC)()


def test_tidying_gives_room_back(context: Context, recording: Recording) -> None:
    done(context)
    with context.archive.transaction() as db:
        for moment in range(400):
            row = [recording.id, 100.0 + moment, b"x" * 5000]
            db.execute("INSERT INTO pictures VALUES (?, ?, 1, 1, ?)", row)
    context.archive.checkpoint()
    before = context.archive.path.stat().st_size
    with context.archive.transaction() as db:
        db.execute("DELETE FROM recordings")

    told = Tidying(at_night(context), NIGHT, UTC)()

    after = context.archive.path.stat().st_size
    assert told.startswith("gave ")
    assert after < before / 2
    assert tidying.log_bytes(context.archive) == 0
    assert context.archive.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    assert context.archive.rows("PRAGMA auto_vacuum") == [{"auto_vacuum": 2}]


def test_an_archive_of_an_earlier_version_is_tidied_as_far_as_it_goes(
    settings: Settings, context: Context, tmp_path: Path
) -> None:
    path = tmp_path / "old" / "archive.db"
    path.parent.mkdir()
    with sqlite3.connect(path) as old:  # begun without room to give back
        old.execute("PRAGMA journal_mode = WAL")
    old.close()
    with Archive(path).open() as archive:
        with archive.transaction() as db:
            db.execute("CREATE TABLE big AS SELECT zeroblob(2000000) AS b")
        with archive.transaction() as db:
            db.execute("DROP TABLE big")

        assert list(tidying.give_back(archive)) == []


def test_tidying_waits_while_footage_is_taken_in(context: Context, recording: Recording) -> None:
    with pytest.raises(NotNow, match="footage is being taken in"):
        Tidying(at_night(context), NIGHT, UTC)()


def test_a_long_log_is_emptied(
    context: Context, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = LogLimit(context)()
    monkeypatch.setattr(keeping, "LOG_BYTES", 1)

    told = LogLimit(context)()

    assert quiet is None
    assert told is not None
    assert told.startswith("emptied a log")
    assert tidying.log_bytes(context.archive) == 0
    assert context.archive.rows("PRAGMA busy_timeout") == [{"timeout": 30_000}]


def test_a_log_that_a_reader_keeps_is_said(
    context: Context, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LOG_BYTES", 1)
    monkeypatch.setattr(tidying, "_BUSY_MS", 1)
    reader = sqlite3.connect(context.archive.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM recordings").fetchall()
    done(context)

    told = LogLimit(context)()
    reader.close()

    assert told is not None
    assert "somebody is reading" in told
    assert LogLimit(context)() is not None


def test_room_that_questions_need_is_not_taken_by_a_backup(
    context: Context, recording: Recording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = 100_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(10**9, 10**9, free))
    assert context.settings.ingest.reserve_mb * 10**6 > free

    with pytest.raises(StoreFull):
        BackupJob(context)()
    assert listed(backup_folder(context.settings)) == []
