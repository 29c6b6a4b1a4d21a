"""The daemon put together: what is started here is stopped in reverse, even half-started."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from edge_lvr1.config import Settings
from edge_lvr1.daemon import keeping
from edge_lvr1.daemon.auditing import say_started, say_stopped, told_models
from edge_lvr1.daemon.context import Activity, Context
from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.health.heartbeat import Heartbeats, Watch
from edge_lvr1.daemon.health.meters import Meters
from edge_lvr1.daemon.health.room import Pausing, Room
from edge_lvr1.daemon.health.soundness import Soundness
from edge_lvr1.daemon.host.notify import Notifier, Passed
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.daemon.http.confined import roots_of
from edge_lvr1.daemon.http.listen import check_path, sole_daemon, tcp_socket, unix_socket
from edge_lvr1.daemon.http.server import Server
from edge_lvr1.daemon.http.tokens import load_token, token_path
from edge_lvr1.daemon.ingest.building import Building
from edge_lvr1.daemon.ingest.indexing import IndexWork, left_over, meaning_of
from edge_lvr1.daemon.ingest.ingest_work import BuildWork, IntakeWork
from edge_lvr1.daemon.ingest.intake import Intake, lost
from edge_lvr1.daemon.ingest.offers import Offers
from edge_lvr1.daemon.ingest.zone import check_zones, zone_of
from edge_lvr1.daemon.questions.answering import Answering
from edge_lvr1.daemon.questions.model_servers import Away, PatientAgent, PatientCaptioner
from edge_lvr1.daemon.questions.question_work import QuestionWork
from edge_lvr1.daemon.schedule import Schedule, look_interval_s
from edge_lvr1.daemon.turnstile import Turnstile
from edge_lvr1.daemon.watching.folders import Folders, Holding, check_root, real
from edge_lvr1.daemon.watching.settling import Settling
from edge_lvr1.daemon.workers import Worker
from edge_lvr1.errors import DaemonError, StoreDamaged, StoreError
from edge_lvr1.media.children import decoder_of
from edge_lvr1.media.clock_reading import rapid_ocr
from edge_lvr1.media.decoder import Decoder
from edge_lvr1.media.opening import Within
from edge_lvr1.media.patterns import with_users
from edge_lvr1.media.text_tracks import Sidecars
from edge_lvr1.models.load import Backends, load_backends, remembering, tree_of
from edge_lvr1.store.audit import AuditLog
from edge_lvr1.store.db import Archive
from edge_lvr1.store.glances import Glances
from edge_lvr1.store.presence import Presence
from edge_lvr1.store.queues import BuildQueue, IngestQueue, JobState, QuestionQueue
from edge_lvr1.store.shelf import Shelf
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.build import Builder

log = logging.getLogger(__name__)

_WORKERS_STOP_WITHIN_S = 8.0


@contextmanager
def running(
    settings: Settings,
    stop: threading.Event,
    backends: Backends | None = None,
    notifier: Notifier | None = None,
    passed: Sequence[Passed] = (),
) -> Iterator[Context]:
    """A daemon that works for as long as this is open.

    `stop` is set where it cannot go on. Sockets that were `passed` are served instead of one
    of its own; a `notifier` is told that it lives. Raises SettingsError, AlreadyRunning,
    StoreError, ModelError or DaemonError where it cannot start; what was started by then is
    stopped.
    """
    settings = resolved(settings)
    for root in settings.watch:
        check_root(root)
    check_zones(settings)
    check_path(settings.socket_path)
    with ExitStack() as stack:
        _hold(settings, stack)
        archive, faults = Archive(settings.database_path), Faults(time.time)
        soundness = Soundness(archive.path, faults)
        soundness.check()
        stuck = threading.Event()
        stack.enter_context(soundness.in_use(lambda: not stuck.is_set()))
        # A worker that is stuck still holds its connection: the end of the process closes it.
        stack.callback(lambda: None if stuck.is_set() else archive.close())
        archive.connect()
        decoder = decoder_of(settings.ingest, roots_of(settings))
        stack.callback(decoder.close)
        backends = backends or load_backends(settings)
        bonds = _Bonds(faults, soundness, stop.set)
        context, parts = _compose(settings, archive, decoder, backends, bonds)
        token = load_token(settings)
        group = settings.access.group
        sockets = [stack.enter_context(one.listener) for one in passed]
        if not sockets:
            sockets.append(stack.enter_context(unix_socket(settings.socket_path, group)))
        if settings.listen is not None:
            sockets.append(stack.enter_context(tcp_socket(settings.listen)))
            told = "http://%s asks for the token in %s; `edge-lvr1 web` prints the way in"
            log.info(told, settings.listen, token_path(settings))
        say_started(context.audit, settings, context.questions.models)
        stack.callback(say_stopped, context.audit)
        parts.start(stack, stuck)
        server = Server(create_app(context, token), sockets, settings.limits, on_end=stop.set)
        stack.callback(server.stop)
        server.start()
        watch = Watch(
            context.turnstile.heartbeats,
            notifier or Notifier(None),
            context.faults,
            server.answers,
            context.questions.queued,
            lambda: summary(context),
        )
        stack.callback(watch.stop)
        watch.start()
        # Wound down all at once, before the parts are waited for one by one.
        stack.callback(context.hub.close)
        stack.callback(context.turnstile.stop)
        yield context


def summary(context: Context) -> str:
    """One line for whoever looks at the service: what is in hand, what waits, what is wrong."""
    jobs = context.jobs.counts()
    waiting = jobs.get(JobState.QUEUED, 0)
    faults = context.faults.now()
    told = [
        f"{context.trees.count()} recordings",
        f"{waiting} files wait" if waiting else "no file waits",
        f"{context.questions.queued()} questions wait",
        f"{len(faults)} faults: {faults[0].sentence}" if faults else "no fault",
    ]
    return ", ".join(told)


def resolved(settings: Settings) -> Settings:
    """The settings with absolute paths; watched folders without links, as events name them."""
    offered = tuple(real(root) for root in settings.ingest.roots)
    return settings.model_copy(
        update={
            "ingest": settings.ingest.model_copy(update={"roots": offered}),
            "data": settings.data.absolute(),
            "socket": settings.socket_path.absolute(),
            "watch": tuple(dict.fromkeys(real(root) for root in settings.watch)),
        }
    )


@dataclass(frozen=True, slots=True)
class _Bonds:
    """What the parts have to do with the daemon as a whole."""

    faults: Faults
    soundness: Soundness
    end: Callable[[], None]


class _Parts:
    """The threads of the daemon: the workers, the folder watch, the clock."""

    def __init__(
        self, workers: list[Worker], folders: Folders, schedule: Schedule, turnstile: Turnstile
    ) -> None:
        self._workers = workers
        self._folders = folders
        self._schedule = schedule
        self._turnstile = turnstile

    def start(self, stack: ExitStack, stuck: threading.Event) -> None:
        """Start all; the stack stops them in reverse, and sets `stuck` where one would not."""
        stack.callback(self._stop_workers, stuck)
        for worker in self._workers:
            worker.start()
        stack.callback(self._schedule.stop)
        self._schedule.start()
        stack.callback(self._stop_folders, stuck)
        self._folders.start()

    def _stop_folders(self, stuck: threading.Event) -> None:
        if not self._folders.stop():
            stuck.set()
            log.warning("a watched folder does not answer; its files are looked at again later")

    def _stop_workers(self, stuck: threading.Event) -> None:
        self._turnstile.stop()
        until = time.monotonic() + _WORKERS_STOP_WITHIN_S
        for worker in self._workers:
            if not worker.join(max(0.0, until - time.monotonic())):
                stuck.set()
                log.warning("the %s worker is stuck; its work runs again later", worker.name)


def _hold(settings: Settings, stack: ExitStack) -> None:
    """Make the data folder, and keep other daemons from it and from the socket."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DaemonError(
            f"the data folder {settings.data} cannot be made: {error.strerror}; "
            "choose another with --data"
        ) from error
    path = settings.socket_path
    stack.enter_context(sole_daemon(settings.data / "daemon.lock", f"the archive {settings.data}"))
    stack.enter_context(sole_daemon(path.with_name(f"{path.name}.lock"), f"the socket {path}"))


def _compose(
    settings: Settings, archive: Archive, decoder: Decoder, backends: Backends, bonds: _Bonds
) -> tuple[Context, _Parts]:
    trees, glances = Trees(archive), Glances(archive)
    jobs = IngestQueue(archive, time.time, settings.ingest.max_attempts)
    builds = BuildQueue(archive, time.time, settings.ingest.max_attempts)
    questions = QuestionQueue(archive, time.time, told_models(settings, backends))
    if again := jobs.release_all() + builds.release_all() + questions.release_all():
        log.info("%d pieces of work go on that were in hand when the last daemon ended", again)
    faults = bonds.faults
    agent_away = Away("agent", faults, model=backends.agent)
    # Questions that wait for their agent's server do not keep ingest waiting.
    turnstile = Turnstile(
        lambda: 0 if agent_away.waiting() else questions.queued(),
        Heartbeats(settings.limits.stuck_s),
    )
    settling = Settling(settings.ingest.settle_s, time.monotonic, settings.watch, jobs.known)
    offers = Offers(settling, jobs, turnstile.news)
    jobs.unhold_all()
    builds.unhold_all()
    folders = Folders(
        settings.watch,
        [settings.data],
        Holding(offers, jobs, builds, turnstile.news),
        Presence(archive, time.time),
        settings.ingest,
        faults,
    )
    folders.hold()
    schedule = Schedule(faults, zone_of(settings.time_zone), time.time)
    schedule.every("rescan", settings.ingest.rescan_s, folders.rescan)
    look_s = look_interval_s(settings.ingest.settle_s)
    look_elsewhere = schedule.while_needed("settle", look_s, offers.settle)
    offers.on_waiting(lambda root: folders.follow_soon(root) if root else look_elsewhere())
    meters = Meters()
    captioner_away = Away("captioner", faults, model=backends.captioner)
    builder = Builder(
        trees,
        glances,
        PatientCaptioner(backends.captioner, captioner_away, meters),
        tree_of(settings),
        settings.ingest,
        time.monotonic,
        rapid_ocr() if settings.ingest.read_clock else None,
        sidecars=Sidecars(Within(roots_of(settings))),
    )
    room = Room(settings.data, settings.ingest.reserve_mb, faults, lambda: _shrink(archive))
    context = Context(
        settings=settings,
        archive=archive,
        trees=trees,
        glances=glances,
        jobs=jobs,
        builds=builds,
        questions=questions,
        offers=offers,
        turnstile=turnstile,
        backends=backends,
        audit=AuditLog(archive, time.time),
        decoder=decoder,
        meaning=meaning_of(archive, settings.data, backends.embedder),
        activity=Activity(meters.moved),
        faults=faults,
        meters=meters,
        paused=room.paused,
        schedule=schedule,
        folders=folders,
    )
    keeping.plan(context, schedule, zone_of(settings.time_zone))
    workers = _workers(context, builder, agent_away, captioner_away, bonds)
    return context, _Parts(workers, folders, schedule, turnstile)


def _workers(
    context: Context, builder: Builder, agent_away: Away, captioner_away: Away, bonds: _Bonds
) -> list[Worker]:
    settings, backends = context.settings, context.backends
    intake = Intake(
        trees=context.trees,
        shelf=Shelf(context.archive, context.clock),
        jobs=context.jobs,
        decoder=context.decoder,
        settings=settings,
        patterns=with_users(settings.ingest.name_patterns),
        captioner=backends.captioner.name,
        is_gone=context.folders.is_gone if context.folders else lost,
        opens=Within(roots_of(settings)),
    )
    answering = Answering(
        context.archive,
        context.trees,
        context.jobs,
        builder,
        PatientAgent(backends.agent, agent_away, context.turnstile, meters=context.meters),
        context.decoder,
        time.monotonic,
        settings.questions,
        context.meaning,
        remembering(backends.embedder),
    )
    left = None if context.meaning else left_over(context.archive, settings.data)
    work: dict[str, Callable[[], bool]] = {
        "intake": Pausing(context.paused, IntakeWork(context, intake)),
        "build": Pausing(
            context.paused, BuildWork(context, Building(builder, context.decoder), captioner_away)
        ),
        "questions": QuestionWork(context, answering, agent_away),
        "index": Pausing(
            context.paused, IndexWork(context.archive, context.turnstile, context.meaning, left)
        ),
    }

    def begin_anew(error: Exception) -> None:
        context.archive.begin_anew()
        if isinstance(error, StoreDamaged):
            bonds.soundness.found_damage(str(error))

    return [
        Worker(name, context.turnstile, one, bonds.faults, begin_anew, bonds.end)
        for name, one in work.items()
    ]


def _shrink(archive: Archive) -> None:
    """Give the disk what the database's log holds of it."""
    with suppress(StoreError):  # a disk that is full to the brim: the fault says so
        archive.checkpoint()
