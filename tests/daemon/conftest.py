"""An archive with one small recording, and the HTTP application over it without workers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge_lvr1.config import Settings
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.daemon.ingest.offers import Offers
from edge_lvr1.daemon.turnstile import Turnstile
from edge_lvr1.daemon.watching.settling import Settling
from edge_lvr1.domain import Part, Recording, StartSource
from edge_lvr1.media.frames import Footage
from edge_lvr1.models.load import Backends, tree_of
from edge_lvr1.models.residency import Residency
from edge_lvr1.store.audit import AuditLog
from edge_lvr1.store.db import Archive
from edge_lvr1.store.glances import Glances
from edge_lvr1.store.queues import BuildQueue, IngestQueue, QuestionQueue
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.build import Builder
from edge_lvr1.tree.plan import plan_tree
from tests.daemon.asgi import Http
from tests.daemon.fakes import FakeCaptioner, ScriptedAgent
from tests.media_files import steady, video

STARTS_AT = datetime(2026, 3, 14, 9, 30, tzinfo=timezone(timedelta(hours=1)))
DURATION_S = 16.0


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 16 s video of numbered pictures; a tree of width 2."""
    path = tmp_path_factory.mktemp("footage") / "yard.mp4"
    return video(path, steady(80, fps=5.0), gop=10)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", socket=tmp_path / "s")


@pytest.fixture
def context(settings: Settings) -> Iterator[Context]:
    """The parts of a daemon; nothing runs."""
    archive = Archive(settings.database_path)
    questions = QuestionQueue(archive, lambda: 1000.0)
    jobs = IngestQueue(archive, lambda: 1000.0)
    turnstile = Turnstile(questions.queued)
    with archive.open():
        yield Context(
            settings=settings,
            archive=archive,
            trees=Trees(archive),
            glances=Glances(archive),
            jobs=jobs,
            builds=BuildQueue(archive, lambda: 1000.0),
            questions=questions,
            offers=Offers(Settling(1.0, lambda: 0.0, (), jobs.known), jobs, turnstile.news),
            turnstile=turnstile,
            backends=Backends(FakeCaptioner(), ScriptedAgent(), Residency()),
            audit=AuditLog(archive, lambda: 1000.0),
        )


@pytest.fixture
def http(context: Context) -> Http:
    return Http(create_app(context))


def store(context: Context, path: Path, camera: str = "yard", captioned: bool = True) -> Recording:
    """A recording of a file, with a complete tree or none."""
    now = path.stat()
    part = Part(str(path), 0.0, DURATION_S, now.st_size, now.st_mtime_ns, f"{camera}-{path.name}")
    trees = context.trees
    plan = plan_tree(DURATION_S)
    source = StartSource.FILE_NAME
    recording = trees.add_recording(camera, STARTS_AT, source, [part], plan, "fake")
    if captioned:
        builder_of(context).build(recording, Footage(recording.parts))
    return recording


def builder_of(context: Context) -> Builder:
    """What captions recordings in a context."""
    tree = tree_of(context.settings)
    return Builder(context.trees, context.glances, FakeCaptioner(), tree, context.settings.ingest)


@pytest.fixture
def recording(context: Context, footage: Path) -> Recording:
    """A recording with a complete tree."""
    return store(context, footage)
