"""What came of each question, and the file that keeps it: one JSON object a line.

A line stands for one question under one configuration, told by its fingerprint. A line that
a kill tore off is dropped when the file is opened again, and the question is asked again; a
question that is there twice counts once.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from edge_lvr1.domain import (
    Answer,
    FinalAnswer,
    NodeId,
    Question,
    Span,
    Step,
)
from edge_lvr1.errors import DatasetError
from edge_lvr1.evaluate.items import Item
from edge_lvr1.models.base import Message
from edge_lvr1.store.records import (
    answer_in,
    answer_out,
    question_in,
    question_out,
    step_in,
    step_out,
)


@dataclass(frozen=True, slots=True)
class SeenNode:
    """A node that was opened or cited, with its span in seconds of the video."""

    recording: int
    node: NodeId
    span: Span


@dataclass(frozen=True, slots=True)
class Opening:
    """What a conversation about a recording begins with, up to the agent's first reply."""

    recording: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One question of a dataset with what an agent made of it.

    `question` is what the loop was given. `opened` are the captions opened, each once, in the
    order of opening; `evidence` the nodes that the answer rests on, the first one first.
    """

    item: Item
    fingerprint: str
    question: Question
    answer: Answer
    opened: tuple[SeenNode, ...] = ()
    evidence: tuple[SeenNode, ...] = ()
    steps: tuple[Step, ...] = ()
    openings: tuple[Opening, ...] = ()

    @property
    def id(self) -> str:
        """The item's id."""
        return self.item.id

    @property
    def repeat_ratio(self) -> float:
        """The share of the calls that repeated an earlier one; 0 without a call."""
        calls = [step for step in self.steps if not isinstance(step.action, FinalAnswer)]
        return sum(step.repeated for step in calls) / len(calls) if calls else 0.0


class ResultsFile:
    """Results that are there, and a place for more; held open by one run at a time."""

    def __init__(self, path: Path, file: IO[bytes], found: dict[tuple[str, str], Result]) -> None:
        self.path = path
        self._file = file
        self._found = found

    def get(self, question: str, fingerprint: str) -> Result | None:
        """The result of a question under a configuration; None where there is none yet."""
        return self._found.get((question, fingerprint))

    def add(self, result: Result) -> None:
        """Write a result down, and see to it that it reaches the disk."""
        key = (result.id, result.fingerprint)
        if key in self._found:
            return
        self._found[key] = result
        self._file.write(json.dumps(result_out(result), ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def open_results(path: Path) -> Iterator[ResultsFile]:
    """The results in a file, which is made where there is none.

    Raises DatasetError where it is not such a file, or another run is writing to it.
    """
    try:
        file = path.open("a+b")
    except OSError as error:
        raise DatasetError(f"the results file {path} cannot be opened: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetError(f"another run is writing to {path}; choose another file") from None
        file.seek(0)
        content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        found = {(result.id, result.fingerprint): result for result in _read(path, whole)}
        file.truncate(len(whole))
        yield ResultsFile(path, file, found)


def read_results(path: Path) -> list[Result]:
    """The results in a file, each question and configuration once. Raises DatasetError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"the results file {path} cannot be read: {error}") from error
    whole = content[: content.rfind(b"\n") + 1]
    return list({(one.id, one.fingerprint): one for one in _read(path, whole)}.values())


def _read(path: Path, content: bytes) -> Iterator[Result]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield result_in(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"{path.name}, line {number} is not a result of this program ({error!r}): "
                "give another --results"
            ) from error


def result_out(result: Result) -> dict[str, Any]:
    """A result as JSON types."""
    return {
        "item": _item_out(result.item),
        "fingerprint": result.fingerprint,
        "question": question_out(result.question),
        "answer": answer_out(result.answer),
        "opened": [_seen_out(seen) for seen in result.opened],
        "evidence": [_seen_out(seen) for seen in result.evidence],
        "steps": [step_out(step) for step in result.steps],
        "openings": [
            {
                "recording": opening.recording,
                "messages": [[one.role, one.content] for one in opening.messages],
            }
            for opening in result.openings
        ],
    }


def result_in(stored: Mapping[str, Any]) -> Result:
    """The result that `result_out` wrote."""
    return Result(
        item=_item_in(stored["item"]),
        fingerprint=stored["fingerprint"],
        question=question_in(stored["question"]),
        answer=answer_in(stored["answer"]),
        opened=tuple(_seen_in(seen) for seen in stored["opened"]),
        evidence=tuple(_seen_in(seen) for seen in stored["evidence"]),
        steps=tuple(step_in(step) for step in stored["steps"]),
        openings=tuple(
            Opening(
                recording=opening["recording"],
                messages=tuple(Message(*message) for message in opening["messages"]),
            )
            for opening in stored["openings"]
        ),
    )


def _item_out(item: Item) -> dict[str, Any]:
    clues = [[clue.start_s, clue.end_s] for clue in item.clues]
    return {**asdict(item), "options": list(item.options), "clues": clues}


def _item_in(stored: Mapping[str, Any]) -> Item:
    clues = tuple(Span(*clue) for clue in stored["clues"])
    return Item(**{**stored, "options": tuple(stored["options"]), "clues": clues})


def _seen_out(seen: SeenNode) -> dict[str, Any]:
    return {
        "recording": seen.recording,
        "node": list(seen.node.path),
        "span": [seen.span.start_s, seen.span.end_s],
    }


def _seen_in(stored: Mapping[str, Any]) -> SeenNode:
    return SeenNode(stored["recording"], NodeId(tuple(stored["node"])), Span(*stored["span"]))
