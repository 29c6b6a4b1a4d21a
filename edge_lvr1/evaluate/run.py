"""All questions of a dataset, asked: each once, resumed where a run stopped.

A result is handed out (and written down, where there is a file) as soon as it is there, so
that Ctrl-C or a kill loses at most the questions in hand. An agent without weights may be
asked by several processes at once; each makes its own agent and reads the trees itself.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from itertools import islice

from edge_lvr1.errors import ModelError
from edge_lvr1.evaluate.asking import Asker, Configuration
from edge_lvr1.evaluate.finding import CaptionVectors
from edge_lvr1.evaluate.items import Item
from edge_lvr1.evaluate.results import Result, ResultsFile
from edge_lvr1.evaluate.trees import TreeSource
from edge_lvr1.models.base import Agent, Embedder

log = logging.getLogger(__name__)

_AHEAD = 2  # questions handed to each process before it asks for more


def no_embedder() -> Embedder | None:
    """For callers that have none."""
    return None


@dataclass(frozen=True, slots=True)
class Asking:
    """What asking needs, made in whichever process asks: all makers can be pickled."""

    open_source: Callable[[], AbstractContextManager[TreeSource]]
    make_agent: Callable[[], Agent]
    configuration: Configuration
    make_embedder: Callable[[], Embedder | None] = no_embedder

    def asker(self, source: TreeSource) -> Asker:
        """An asker of this process."""
        embedder = self.make_embedder()
        vectors = CaptionVectors(embedder) if embedder is not None else None
        return Asker(source, self.make_agent(), self.configuration, vectors)


def run(
    items: Sequence[Item],
    source: TreeSource,
    asking: Asking,
    results: ResultsFile | None = None,
    workers: int = 1,
    on_result: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Ask every question that has no result yet; the results of all, in the items' order.

    `source` is one that `asking` opens; worker processes open their own. `on_result` is told
    of each result, those that were there already included. Raises DatasetError, ModelError
    and, from Ctrl-C, KeyboardInterrupt: what was done by then is in `results`.
    """
    found: dict[str, Result] = {}
    left: list[Item] = []
    for item in items:
        fingerprint = asking.configuration.fingerprint(item, source)
        before = results.get(item.id, fingerprint) if results else None
        if before is None:
            left.append(item)
        else:
            # The question is the same; what is known of its answer may have been mended.
            found[item.id] = replace(before, item=item)
            on_result(found[item.id])
    if found:
        log.info("%d of %d questions have their results already", len(found), len(items))
    asked = _in_processes(left, asking, workers) if workers > 1 else _here(left, source, asking)
    for result in asked:
        if results:
            results.add(result)
        found[result.id] = result
        on_result(result)
    return [found[item.id] for item in items]


def _here(items: Sequence[Item], source: TreeSource, asking: Asking) -> Iterator[Result]:
    asker = asking.asker(source)
    return (asker.ask(item) for item in items)


def _in_processes(items: Sequence[Item], asking: Asking, workers: int) -> Iterator[Result]:
    """Results as they come, in whatever order; few questions are handed out ahead."""
    # Spawned: a fork would copy the locks of whatever threads run here.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, spawn, _begin, (asking,))
    try:
        waiting = iter(items)
        handed: set[Future[Result]] = {
            pool.submit(_ask, item) for item in islice(waiting, workers * _AHEAD)
        }
        while handed:
            done, handed = wait(handed, return_when=FIRST_COMPLETED)
            handed |= {pool.submit(_ask, item) for item in islice(waiting, len(done))}
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise ModelError("a process that asked questions ended: run it with one worker") from error
    finally:
        pool.shutdown(cancel_futures=True)


_in_process: Asker | None = None
"""What this worker process asks with; set once when it begins."""
_until_exit = ExitStack()


def _begin(asking: Asking) -> None:
    # Ctrl-C reaches every process of the terminal; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("edge_lvr1").setLevel(logging.ERROR)
    global _in_process
    _in_process = asking.asker(_until_exit.enter_context(asking.open_source()))


def _ask(item: Item) -> Result:
    assert _in_process is not None, "the pool did not begin this process"
    return _in_process.ask(item)
