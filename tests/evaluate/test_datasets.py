"""Files of the public formats: what is read from each shape, and what is said of a wrong one."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_lvr1.domain import Span
from edge_lvr1.errors import DatasetError, NotFoundError
from edge_lvr1.evaluate.datasets import READERS, lvbench, read_items
from edge_lvr1.evaluate.datasets.options import split_options
from edge_lvr1.evaluate.items import Item

LVBENCH_QUESTION = {
    "uid": "5",
    "question": "What year appears?\n(A) 1636\n(B) 1366\n(C) 1363\n(D) 1633",
    "answer": "D",
    "question_type": ["key information retrieval", "temporal grounding"],
    "time_reference": "00:15-01:19",
}
LVBENCH_VIDEO = {
    "key": "Cm73ma6Ibcs",
    "type": "cartoon",
    "video_info": {"duration_minutes": 90},
    "qa": [LVBENCH_QUESTION, {**LVBENCH_QUESTION, "uid": "6", "time_reference": "1:02:03"}],
}
VIDEO_MME = {
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "question": "How many bells?",
    "options": ["A. One.", "B. Two.", "C. Three.", "D. Four."],
    "answer": "C",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Humanity",
    "task_type": "Counting Problem",
}
MLVU = {
    "video": "movie101_66.mp4",
    "duration": 480.5,
    "question": "What colour is the coat?",
    "candidates": ["Black", "Red", "Dark green"],
    "answer": "Dark Green",
    "question_type": "plotQA",
}
MLVU_DEV = {
    "video_name": "surveil_8.mp4",
    "question": "Is there anything odd?\n(A) Normal\n(B) Robbery\n(C) Fire",
    "answer": "B",
}
CG_BENCH = {
    "qid": 12,
    "video_uid": "tape01",
    "question": "Who falls?",
    "choices": ["the man", "the cat"],
    "right_answer": "B",
    "answer": "the cat",
    "clue_intervals": [[10, 14.5], [30, 31]],
    "duration": 600,
    "sub_category": "Action",
}
LONGVIDEOBENCH = {
    "id": "86CxyhFV9MI_0",
    "video_id": "86CxyhFV9MI",
    "video_path": "86CxyhFV9MI.mp4",
    "question": "Who stands there?",
    "candidates": ["nobody", "a man", "a woman"],
    "correct_choice": 1,
    "duration": 190.1,
    "question_category": "S2E",
}
EGOSCHEMA = {
    "q_uid": "0074f737",
    "question": "What was C doing?",
    **{f"option {place}": f"choice number {place}" for place in range(5)},
    "truth": 3,
}


def read(tmp_path: Path, dataset: str, rows: Any, *, lines: bool = False) -> list[Item]:
    path = tmp_path / "questions.json"
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
    path.write_text(text, "utf-8")
    return read_items(dataset, path)


def test_lvbench_by_video_is_read_with_its_time_references(tmp_path: Path) -> None:
    first, second = read(tmp_path, "lvbench", [LVBENCH_VIDEO], lines=True)

    assert first == Item(
        id="5",
        video="Cm73ma6Ibcs",
        question="What year appears?",
        options=("1636", "1366", "1363", "1633"),
        answer="D",
        clues=(Span(15.0, 79.0),),
        type="key information retrieval, temporal grounding",
    )
    assert second.clues == (Span(3723.0, 3724.0),)


def test_lvbench_as_a_flat_list_reads_the_same(tmp_path: Path) -> None:
    flat = [{"key": "Cm73ma6Ibcs", **question} for question in LVBENCH_VIDEO["qa"]]  # type: ignore[dict-item]

    assert read(tmp_path, "lvbench", flat) == read(tmp_path, "lvbench", [LVBENCH_VIDEO], lines=True)


def test_video_mme_loses_the_letters_of_its_options(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "video-mme", [VIDEO_MME])

    assert found.options == ("One.", "Two.", "Three.", "Four.")
    assert (found.id, found.video, found.answer) == ("001-1", "fFjv93ACGo8", "C")
    assert (found.type, found.duration_s) == ("Counting Problem", None)


def test_video_mme_as_parquet_reads_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "test.parquet"
    path.write_bytes(b"PAR1 made")
    arrays = [{**VIDEO_MME, "options": np.array(VIDEO_MME["options"], object)}]
    table = SimpleNamespace(to_pylist=lambda: arrays)
    pyarrow = SimpleNamespace(read_table=lambda where: table if where == path else None)
    monkeypatch.setattr(importlib, "import_module", lambda name: pyarrow)

    assert read_items("video-mme", path) == read(tmp_path, "video-mme", [VIDEO_MME])


def test_real_parquet_is_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "test.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([VIDEO_MME]), path)

    assert read_items("video-mme", path) == read(tmp_path, "video-mme", [VIDEO_MME])


def test_parquet_without_pyarrow_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "test.parquet"
    path.write_bytes(b"PAR1 made")

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(DatasetError, match=r"needs the package pyarrow: install .*'eval'"):
        read_items("video-mme", path)


def test_mlvu_finds_the_letter_of_an_answer_in_words(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "mlvu", [MLVU])

    assert (found.answer, found.duration_s, found.type) == ("C", 480.5, "plotQA")
    assert (found.id, found.video) == ("movie101_66.mp4 row 1", "movie101_66.mp4")


def test_mlvu_with_its_options_in_the_question_is_read(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "mlvu", [MLVU_DEV])

    assert (found.question, found.answer) == ("Is there anything odd?", "B")
    assert found.options == ("Normal", "Robbery", "Fire")


def test_cg_bench_keeps_its_clues(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "cg-bench", [CG_BENCH])

    assert found == Item(
        id="12",
        video="tape01",
        question="Who falls?",
        options=("the man", "the cat"),
        answer="B",
        clues=(Span(10.0, 14.5), Span(30.0, 31.0)),
        duration_s=600.0,
        type="Action",
    )


def test_longvideobench_counts_choices_from_zero(tmp_path: Path) -> None:
    hidden = {**LONGVIDEOBENCH, "id": "x", "correct_choice": -1}
    shown, unknown = read(tmp_path, "longvideobench", [LONGVIDEOBENCH, hidden])

    assert (shown.answer, shown.video) == ("B", "86CxyhFV9MI.mp4")
    assert unknown.answer is None


def test_egoschema_without_its_truth_has_no_answer(tmp_path: Path) -> None:
    hidden = {key: value for key, value in EGOSCHEMA.items() if key != "truth"}
    (known,) = read(tmp_path, "egoschema", [EGOSCHEMA])
    (unknown,) = read(tmp_path, "egoschema", [hidden])

    assert (known.id, known.video, known.answer) == ("0074f737", "0074f737", "D")
    assert known.options[4] == "choice number 4"
    assert unknown.answer is None


@pytest.mark.parametrize(
    ("dataset", "row", "field"),
    [
        ("lvbench", LVBENCH_VIDEO, "key"),
        ("video-mme", VIDEO_MME, "question_id"),
        ("video-mme", VIDEO_MME, "options"),
        ("mlvu", MLVU, "video"),
        ("cg-bench", CG_BENCH, "video_uid"),
        ("longvideobench", LONGVIDEOBENCH, "candidates"),
        ("egoschema", EGOSCHEMA, "option 2"),
    ],
)
def test_missing_field_is_named_with_its_row(
    tmp_path: Path, dataset: str, row: dict[str, Any], field: str
) -> None:
    wrong = {key: value for key, value in row.items() if key != field}
    with pytest.raises(
        DatasetError, match=f"questions.json, row 1: the field '{field}' is missing"
    ):
        read(tmp_path, dataset, [wrong])


def test_missing_field_of_a_nested_question_is_named_with_its_place(tmp_path: Path) -> None:
    inner = {key: value for key, value in LVBENCH_QUESTION.items() if key != "uid"}
    video = {**LVBENCH_VIDEO, "qa": [LVBENCH_QUESTION, inner]}
    with pytest.raises(DatasetError, match="line 1, question 2: the field 'uid' is missing"):
        read(tmp_path, "lvbench", [video], lines=True)


@pytest.mark.parametrize(
    ("dataset", "row", "change", "said"),
    [
        ("cg-bench", CG_BENCH, {"right_answer": "E"}, "a letter from A to B"),
        ("cg-bench", CG_BENCH, {"clue_intervals": [[9, 3]]}, "end after they begin"),
        ("cg-bench", CG_BENCH, {"clue_intervals": [3]}, r"a list of \[start, end\]"),
        ("cg-bench", CG_BENCH, {"choices": ["one"]}, "2 to 10 options"),
        ("cg-bench", CG_BENCH, {"question": "  "}, "'question' is empty"),
        ("lvbench", {"key": "v", **LVBENCH_QUESTION}, {"question_type": True}, "should be a list"),
        ("mlvu", MLVU, {"answer": "Blue"}, "a letter from A to C"),
        ("mlvu", MLVU, {"duration": "long"}, "'duration' should be a number"),
        ("mlvu", MLVU_DEV, {"question": "No options?"}, r"its options as \(A\)"),
        ("longvideobench", LONGVIDEOBENCH, {"correct_choice": 3}, "from 0 to 2"),
        ("egoschema", EGOSCHEMA, {"truth": "x"}, "should be a number"),
        ("video-mme", VIDEO_MME, {"options": "A. One"}, "should be a list"),
    ],
)
def test_wrong_value_is_named_with_what_it_should_be(
    tmp_path: Path, dataset: str, row: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    with pytest.raises(DatasetError, match=said):
        read(tmp_path, dataset, [{**row, **change}])


def test_same_id_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="row 2: the question id '12' was used before, in row 1"):
        read(tmp_path, "cg-bench", [CG_BENCH, CG_BENCH])


@pytest.mark.parametrize("text", ["[1, 2", "[3]", '{"a": 1}\nnot json', "", "[]", '"text"', "\x00"])
def test_what_is_no_such_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "q.json"
    path.write_text(text, "utf-8")
    with pytest.raises(DatasetError, match=r"q\.json"):
        read_items("cg-bench", path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DatasetError, match="neither JSON nor parquet"):
        read_items("cg-bench", path)


def test_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        read_items("cg-bench", tmp_path / "q.json")


def test_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="did you mean cg-bench"):
        read_items("cgbench", tmp_path / "q.json")


@pytest.mark.parametrize(
    ("text", "question", "options"),
    [
        ("Who? (A) he (B) she", "Who?", ("he", "she")),
        ("Who?\nA. he\nB. she\nC. it", "Who?", ("he", "she", "it")),
        ("Who?\nA) he\nB) she", "Who?", ("he", "she")),
        ("Which plan, (A) or not?", "Which plan, (A) or not?", ()),
        ("Is vitamin C. good?", "Is vitamin C. good?", ()),
        ("Who? (A) see (B) below (B) she", "Who?", ("see", "below (B) she")),
    ],
)
def test_options_are_told_from_the_question(
    text: str, question: str, options: tuple[str, ...]
) -> None:
    assert split_options(text) == (question, options)


WORDS = st.text(st.sampled_from("abcxyz ,?"), min_size=1).filter(lambda t: t.strip() == t and t)


@settings(deadline=None)
@given(WORDS, st.lists(WORDS, min_size=2, max_size=10))
def test_options_written_in_are_read_back(question: str, options: list[str]) -> None:
    letters = "ABCDEFGHIJ"
    for form in ("\n({}) {}", "\n{}. {}", "\n{}) {}"):
        written = "".join(form.format(letters[n], text) for n, text in enumerate(options))

        assert split_options(question + written) == (question, tuple(options))


@settings(deadline=None)
@given(st.text())
def test_time_references_never_raise(text: str) -> None:
    assert all(clue.duration_s > 0 for clue in lvbench.clues(text))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.data())
def test_any_value_in_any_field_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    samples: dict[str, dict[str, Any]] = {
        "lvbench": {"key": "v", **LVBENCH_QUESTION},
        "video-mme": VIDEO_MME,
        "mlvu": MLVU,
        "cg-bench": CG_BENCH,
        "longvideobench": LONGVIDEOBENCH,
        "egoschema": EGOSCHEMA,
    }
    assert samples.keys() == READERS.keys()
    dataset = data.draw(st.sampled_from(sorted(samples)))
    field = data.draw(st.sampled_from(sorted(samples[dataset])))
    row = {**samples[dataset], field: data.draw(JSON_VALUES)}
    path = tmp_path_factory.mktemp("any") / "q.json"
    path.write_text(json.dumps([row]), "utf-8")

    said = ""
    try:
        found = read_items(dataset, path)
    except DatasetError as error:
        found, said = [], str(error)

    assert len(found) == 1 or said.startswith("q.json, row 1")
