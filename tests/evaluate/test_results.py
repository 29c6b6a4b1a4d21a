"""The file of results: what is kept, what a kill leaves, and what counts once."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_lvr1.errors import DatasetError
from edge_lvr1.evaluate.asking import Asker, Configuration
from edge_lvr1.evaluate.captions import CaptionFiles
from edge_lvr1.evaluate.results import Result, open_results, read_results, result_in, result_out
from tests.evaluate.made import RepeatingAgent, answer, call, item, write_captions


def made(tmp_path: Path, number: int = 1) -> Result:
    source = CaptionFiles(write_captions(tmp_path / "c", "tape"))
    agent = RepeatingAgent(call("(1,2)"), call("(1,2,2)"), call("(9,9)"), answer("A (1,2,2)"))
    configuration = Configuration({"backend": "scripted"}, 10, 60.0)
    return Asker(source, agent, configuration).ask(item(number))


def test_result_is_the_same_after_the_file(tmp_path: Path) -> None:
    found = made(tmp_path)

    assert result_in(result_out(found)) == found
    with open_results(tmp_path / "r.jsonl") as file:
        file.add(found)
    assert read_results(tmp_path / "r.jsonl") == [found]


def test_result_of_another_configuration_is_not_there(tmp_path: Path) -> None:
    found = made(tmp_path)
    with open_results(tmp_path / "r.jsonl") as file:
        file.add(found)

        assert file.get("q1", found.fingerprint) == found
        assert file.get("q1", "other") is None
        assert file.get("q2", found.fingerprint) is None


def test_torn_last_line_is_dropped_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    first, second = made(tmp_path, 1), made(tmp_path, 2)
    with open_results(path) as file:
        file.add(first)
        file.add(second)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])

    assert read_results(path) == [first]
    with open_results(path) as file:
        assert file.get("q2", second.fingerprint) is None
        file.add(second)
    assert path.read_bytes() == whole


def test_question_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with open_results(path) as file:
        file.add(made(tmp_path))
        file.add(made(tmp_path))
    path.write_bytes(path.read_bytes() * 2)

    assert len(read_results(path)) == 1


def test_two_runs_cannot_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with (
        open_results(path),
        pytest.raises(DatasetError, match="another run is writing"),
        open_results(path),
    ):
        pass


@pytest.mark.parametrize("line", ["no json", "[]", '{"item": 3}', "3"])
def test_line_of_something_else_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    with open_results(path) as file:
        file.add(made(tmp_path))
    before = path.read_bytes()
    path.write_bytes(before + line.encode() + b"\n")

    with (
        pytest.raises(DatasetError, match="line 2 is not a result"),
        open_results(path),
    ):
        pass
    assert path.read_bytes() == before + line.encode() + b"\n"


def test_folder_is_no_results_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be opened"), open_results(tmp_path):
        pass
