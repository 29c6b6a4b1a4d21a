"""A case folder: what is in it, and that it is there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from edge_lvr1.cases.check import check_case
from edge_lvr1.cases.folder import make_case
from edge_lvr1.daemon.context import Context
from edge_lvr1.domain import Question, Recording
from edge_lvr1.errors import DaemonError, NotFoundError, QuestionError, Unreachable
from edge_lvr1.store.audit import every, what_of
from tests.cases.conftest import EVIL, InProcess, Made, answer
from tests.daemon.conftest import STARTS_AT

ALL = {
    "SHA256SUMS",
    "audit.json",
    "evidence",
    "evidence/01.jpg",
    "evidence/01.mp4",
    "evidence/02.jpg",
    "evidence/02.mp4",
    "manifest.json",
    "question.json",
    "report.html",
}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def read(folder: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((folder / name).read_text("ascii")))


def test_case_holds_clips_pictures_question_log_and_hashes(made: Made) -> None:
    assert names(made.folder) == ALL
    question = read(made.folder, "question.json")
    assert (question["id"], question["verdict"], len(question["steps"])) == ("q1", "answered", 1)
    with av.open(str(made.folder / "evidence/02.mp4")) as clip:
        shown = [frame.time for frame in clip.decode(video=0)]
    assert 5.9 <= shown[-1] - shown[0] + 0.2 <= 8.1  # across both parts, from a keyframe
    with Image.open(made.folder / "evidence/01.jpg") as picture:
        assert picture.format == "JPEG"


def test_manifest_names_every_file_every_source_and_who_answered(made: Made) -> None:
    manifest = read(made.folder, "manifest.json")

    assert set(manifest["files"]) == {n for n in ALL if "." in n} - {"manifest.json"}
    assert [(one["path"], one["sha256"], one["state"]) for one in manifest["sources"]] == [
        (part.path, part.sha256, "unchanged") for part in made.recording.parts
    ]
    assert manifest["program"].startswith("edge_lvr1 ")
    assert manifest["audit_head"] == made.case.head
    assert not made.case.replaced()


def test_list_of_hashes_is_what_sha256sum_takes(made: Made) -> None:
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"],
        cwd=made.folder,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_export_is_in_the_audit_log_with_the_digest_of_the_case(
    made: Made, context: Context
) -> None:
    exported = list(every(context.archive))[-1]

    assert exported.kind == "case.exported"
    assert what_of(exported) == {"question": "q1", "contents": made.case.contents}
    assert read(made.folder, "audit.json")["head"]["hash"] == exported.hash


def test_fresh_case_is_sound(made: Made) -> None:
    found = check_case(made.folder, footage=True)

    assert found.wrong == ()
    assert found.files == 8
    assert [one.state.value for one in found.sources] == ["unchanged", "unchanged"]


def test_answer_that_is_no_unicode_makes_a_sound_case(
    context: Context, recording: Recording, client: InProcess, tmp_path: Path
) -> None:
    answer(context, recording, "Yes \ud800 and \udc80.")

    make_case(client, "q1", tmp_path / "case")

    assert check_case(tmp_path / "case").wrong == ()


def test_case_of_footage_that_is_gone_says_so(
    context: Context, recording: Recording, client: InProcess, footage: Any, tmp_path: Path
) -> None:
    answer(context, recording)
    for path in footage:
        path.unlink()

    case = make_case(client, "q1", tmp_path / "case")

    assert all(piece.clip.missing and piece.picture.missing for piece in case.pieces)
    assert [one.state for one in case.sources] == ["gone", "gone"]
    assert check_case(tmp_path / "case").wrong == ()
    assert "There is no clip" in (tmp_path / "case" / "report.html").read_text("utf-8")


def test_case_of_footage_that_changed_says_so(
    context: Context, recording: Recording, client: InProcess, footage: Any, tmp_path: Path
) -> None:
    answer(context, recording)
    with footage[1].open("ab") as file:
        file.write(b"x")

    case = make_case(client, "q1", tmp_path / "case")

    assert [one.state for one in case.sources] == ["unchanged", "changed"]
    assert "CHANGED" in (tmp_path / "case" / "report.html").read_text("utf-8")
    assert any("is changed" in line for line in check_case(tmp_path / "case", footage=True).wrong)


def test_case_of_footage_that_was_replaced_since_the_answer_says_so(
    context: Context, recording: Recording, client: InProcess, tmp_path: Path
) -> None:
    answer(context, recording)
    with context.archive.transaction() as db:
        db.execute("UPDATE parts SET sha256 = ? WHERE ordinal = 1", ["00" * 32])

    case = make_case(client, "q1", tmp_path / "case")

    text = (tmp_path / "case" / "report.html").read_text("utf-8")
    assert case.replaced()
    assert text.count("the footage was replaced since the answer") == 1  # one piece lies in it
    assert all(part.sha256 in text for part in recording.parts)


def test_case_of_a_recording_that_was_removed_names_the_files_that_it_had(
    context: Context, recording: Recording, client: InProcess, tmp_path: Path
) -> None:
    answer(context, recording)
    with context.archive.transaction() as db:
        db.execute("DELETE FROM recordings")

    case = make_case(client, "q1", tmp_path / "case")

    text = (tmp_path / "case" / "report.html").read_text("utf-8")
    assert case.sources == ()
    assert text.count("not in the archive any more") == 2
    assert all(part.sha256 in text for part in recording.parts)
    assert check_case(tmp_path / "case").wrong == ()


def test_question_without_an_answer_makes_no_case(
    context: Context, client: InProcess, tmp_path: Path
) -> None:
    context.questions.put(Question("q1", "Is a lorry there?", STARTS_AT))

    with pytest.raises(QuestionError, match="no answer"):
        make_case(client, "q1", tmp_path / "case")
    with pytest.raises(NotFoundError):
        make_case(client, "q9", tmp_path / "case")
    assert not list(tmp_path.glob("*case*"))


def test_case_takes_the_place_of_nothing(made: Made, client: InProcess, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(QuestionError, match="exists"):
        make_case(client, "q1", made.folder)
    with pytest.raises(QuestionError, match="exists"):
        make_case(client, "q1", tmp_path / "link")
    with pytest.raises(NotFoundError, match="no folder"):
        make_case(client, "q1", tmp_path / "no" / "case")


@pytest.mark.parametrize("error", [Unreachable("the daemon went away"), KeyboardInterrupt()])
def test_case_that_is_broken_off_leaves_nothing(
    context: Context,
    recording: Recording,
    client: InProcess,
    tmp_path: Path,
    error: BaseException,
) -> None:
    answer(context, recording)

    def broken_off(*args: object, **given: object) -> bytes:
        raise error

    client.thumbnail = broken_off  # type: ignore[method-assign]
    with pytest.raises(type(error)):
        make_case(client, "q1", tmp_path / "case")

    assert not [path for path in tmp_path.iterdir() if "case" in path.name]


def test_full_disk_is_told_in_a_sentence(
    context: Context, recording: Recording, client: InProcess, tmp_path: Path
) -> None:
    answer(context, recording)

    def full(*args: object, **given: object) -> None:
        raise OSError(28, "No space left on device")

    client.clip = full  # type: ignore[method-assign]

    with pytest.raises(DaemonError, match="No space left"):
        make_case(client, "q1", tmp_path / "case")


def tampered(folder: Path, name: str) -> None:
    path = folder / name
    blob = bytearray(path.read_bytes())
    blob[len(blob) // 2] ^= 1
    path.write_bytes(blob)


@pytest.mark.parametrize("name", sorted(n for n in ALL if "." in n))
def test_any_changed_byte_is_found(made: Made, name: str) -> None:
    tampered(made.folder, name)

    wrong = check_case(made.folder).wrong

    assert any(name in line for line in wrong)


def rehashed(folder: Path) -> None:
    """All hashes made to fit again, by somebody who knows how."""
    manifest = read(folder, "manifest.json")
    for name in manifest["files"]:
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        manifest["files"][name] = digest
    (folder / "manifest.json").write_text(json.dumps(manifest))
    every_name = [*manifest["files"], "manifest.json"]
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in every_name]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_clip_that_was_exchanged_and_hashed_anew_is_found(made: Made) -> None:
    (made.folder / "evidence/01.mp4").write_bytes((made.folder / "evidence/02.mp4").read_bytes())
    rehashed(made.folder)

    wrong = check_case(made.folder).wrong

    assert any("digest of its contents" in line for line in wrong)
    assert any("export of another case" in line for line in wrong)


def test_answer_that_was_rewritten_and_hashed_anew_is_found(made: Made) -> None:
    question = read(made.folder, "question.json")
    question["text"] = "No."
    (made.folder / "question.json").write_text(json.dumps(question))
    rehashed(made.folder)

    assert any("the text in question.json" in line for line in check_case(made.folder).wrong)


def test_log_entry_that_was_rewritten_and_hashed_anew_is_found(made: Made) -> None:
    told = read(made.folder, "audit.json")
    told["entries"][0]["who"] = told["entries"][0]["who"].replace("anna", "carl")
    (made.folder / "audit.json").write_text(json.dumps(told))
    rehashed(made.folder)

    wrong = check_case(made.folder).wrong
    assert any("entry 1 of the audit log (question.asked)" in line for line in wrong)


def test_missing_added_and_linked_files_are_found(made: Made, tmp_path: Path) -> None:
    (made.folder / "evidence/01.mp4").unlink()
    (made.folder / "notes.txt").write_text("mine")
    (made.folder / "secret").symlink_to("/etc/passwd")

    wrong = check_case(made.folder).wrong

    assert "evidence/01.mp4 is missing" in wrong
    assert "notes.txt was not there when the case was exported" in wrong
    assert "secret is no regular file" in wrong


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("manifest.json", "[]"),
        ("manifest.json", "{"),
        ("manifest.json", "[" * 100_000),
        ("manifest.json", '{"format": 1, "files": [], "sources": 3}'),
        ("manifest.json", '{"format": 1, "files": {}, "sources": [{"path": 3}]}'),
        ("manifest.json", '{"format": 2}'),
        ("audit.json", '{"entries": 3}'),
        ("audit.json", '{"entries": [3], "head": null}'),
        ("audit.json", '{"entries": [{"kind": "case.exported", "what": "[", "who": ""}]}'),
        ("question.json", '"no"'),
        ("SHA256SUMS", "../../../etc/passwd\n"),
        ("SHA256SUMS", "0" * 64 + "  ../../../etc/passwd\n"),
    ],
)
def test_folder_that_was_made_to_mislead_is_found_without_a_crash(
    made: Made, name: str, text: str
) -> None:
    (made.folder / name).write_text(text)
    if name not in ("SHA256SUMS", "manifest.json"):
        rehashed(made.folder)

    assert not check_case(made.folder).sound


def test_what_is_no_case_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no case folder"):
        check_case(tmp_path)


def test_json_of_a_case_is_plain_ascii(made: Made) -> None:
    for name in ("question.json", "audit.json", "manifest.json", "SHA256SUMS"):
        blob = (made.folder / name).read_bytes()
        assert all(32 <= byte < 127 or byte == 10 for byte in blob)
    assert EVIL in read(made.folder, "question.json")["question"]
