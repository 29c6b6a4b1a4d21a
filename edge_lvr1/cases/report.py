"""A case as a page for people: one HTML file beside its pictures and clips.

It loads nothing but what lies in its folder, runs no script, and says so to the browser
(Content-Security-Policy). All text goes through `markup`, which escapes it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from edge_lvr1.cases.layout import SUMS, Case, Json, Piece, SourceFile
from edge_lvr1.cases.markup import Markup, tag, together
from edge_lvr1.display import clock, wall_clock

_VERDICTS = {
    "answered": ("answered", "good"),
    "not_found": ("not found", "warn"),
    "gave_up": ("gave up: the budget was spent", "warn"),
    "failed": ("failed", "bad"),
}
_STATES = {
    "unchanged": ("unchanged at the export", "good"),
    "changed": ("CHANGED since it was taken in", "bad"),
    "gone": ("gone at the export", "warn"),
    "unreadable": ("not read at the export", "warn"),
}
_NO_VERSION = "not installed"  # what a checkout says of its version
_MOST_IN_TITLE = 90  # characters of a round's action
_NOT_SEARCHED = "not searched"  # as answers name it
_Facts = Iterable[tuple[str, str | Iterable[str]]]


def report(case: Case) -> str:
    """The whole page."""
    style = Path(__file__).with_name("report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    policy = (
        "default-src 'none'; img-src 'self' file:; media-src 'self' file:; "
        f"style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"Case: {case.question['question']}"),
        tag("style", Markup(style)),
    )
    parts = (_answer(case), _facts_of(case), _evidence(case), _searched(case), _trace(case))
    body = tag("body", tag("main", *parts, _log(case), _how_to_check(case), _footer(case)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _answer(case: Case) -> Markup:
    found = case.question
    told, look = _VERDICTS.get(str(found["verdict"]), (str(found["verdict"]), "warn"))
    if found["state"] == "cancelled":
        told += ", cancelled"
    option = [tag("b", str(found["option"])), " "] if found.get("option") else []
    return together(
        tag("p", f"Case of question {found['id']}", class_="eyebrow"),
        tag("h1", str(found["question"])),
        tag("section", _chip(told, look), tag("p", option, str(found["text"])), class_="answer"),
    )


def _facts_of(case: Case) -> Markup:
    found = case.question
    facts: list[tuple[str, str | Iterable[str]]] = []
    asked, exported = case.entry("question.asked"), case.entry("case.exported")
    by = f" by {_who(asked['who'])}" if asked else ""
    facts.append(("Asked", f"{wall_clock(found['asked_at'])}{by}"))
    if found["options"]:
        facts.append(("Options", tag("ul", (tag("li", str(one)) for one in found["options"]))))
    if found.get("read_as"):
        facts.append(("How it was read", str(found["read_as"])))
    facts.append(
        (
            "What it took",
            f"{_count(found['rounds'], 'round')}, {_count(found['captions_opened'], 'caption')} "
            f"opened, {found['seconds']:.1f} s",
        )
    )
    if found.get("confirmation"):
        told = str(found["confirmation"]).replace("_", " ")
        facts.append(("Evidence looked at again", told))
    answered = case.entry("question.answered")
    models = answered["what"].get("models", {}) if answered else {}
    facts.append(("Agent", _model(str(found["agent"]), models.get("agent"))))
    facts.append(("Captioner", _model(str(found["captioner"]), models.get("captioner"))))
    by = f" by {_who(exported['who'])}" if exported else ""
    facts.append(("Exported", f"{wall_clock(case.made_at)}{by}"))
    return _list(facts)


def _model(name: str, about: Json | None) -> Markup:
    told: list[str] = [name or "none"]
    if about and about.get("version") not in (None, _NO_VERSION):
        told.append(f" {about['version']}")
    if about and about.get("sha256"):
        told += [tag("br"), "bundle ", tag("span", str(about["sha256"]), class_="hash")]
    return together(told)


def _evidence(case: Case) -> Markup:
    if not case.pieces:
        none = tag("p", "The answer rests on no single span of footage.", class_="faint")
        return together(tag("h2", "Evidence"), none)
    pieces = (_piece(case, number, piece) for number, piece in enumerate(case.pieces, 1))
    more = len(case.question["evidence"]) - len(case.pieces)
    left = tag("p", f"{more} more pieces of evidence stand in question.json.") if more else ""
    return together(tag("h2", "Evidence"), pieces, left)


def _piece(case: Case, number: int, piece: Piece) -> Markup:
    found = piece.evidence
    title = f"{number}. {found['camera']}"
    span = f"{wall_clock(found['starts_at'])} to {wall_clock(found['ends_at'])}"
    place = (
        f"recording {found['recording']}, node {found['node']}, "
        f"{clock(found['start_s'])} to {clock(found['end_s'])}"
    )
    sources = [case.sources[place] for place in piece.sources]
    facts: list[tuple[str, str | Iterable[str]]] = [("In the recording", place)]
    facts += [fact for source in sources for fact in _source(source)]
    facts += _when_answered(case, number, sources)
    if piece.clip.name and not case.exact:
        told = "copied without loss from the keyframe before the span, so it may begin early"
        facts.append(("Clip", told))
    return tag(
        "article",
        tag("header", tag("h3", title), tag("span", span)),
        _media(piece),
        tag("div", tag("p", str(found["caption"]), class_="caption"), _list(facts), class_="body"),
        class_="piece",
    )


def _media(piece: Piece) -> Markup:
    alt = f"A picture of this piece of evidence, from camera {piece.evidence['camera']}"
    picture = piece.picture.name
    made: list[str] = []
    if piece.clip.name:
        poster = picture or None
        video = tag("video", src=piece.clip.name, poster=poster, controls=True, preload="metadata")
        made.append(video)
        if picture:
            made.append(tag("img", src=picture, alt=alt, class_="print"))
    elif picture:
        made.append(tag("img", src=picture, alt=alt))
    if piece.clip.missing:
        made.append(tag("div", f"There is no clip: {piece.clip.missing}", class_="none"))
    if piece.picture.missing and not piece.clip.missing:
        made.append(tag("div", f"There is no picture: {piece.picture.missing}", class_="none"))
    return together(made)


def _source(source: SourceFile) -> list[tuple[str, str | Iterable[str]]]:
    told, look = _STATES.get(source.state, (source.state, "warn"))
    told = f"{told}: {source.reason}" if source.reason else told
    return [
        ("Source file", tag("code", source.path)),
        ("SHA-256", together(tag("span", source.sha256, class_="hash"), " ", _chip(told, look))),
    ]


def _when_answered(
    case: Case, number: int, sources: Sequence[SourceFile]
) -> list[tuple[str, str | Iterable[str]]]:
    """The files as they were when the question was answered, where they are others now."""
    was = case.parts_when_answered(number)
    now = [one.sha256 for one in sources]
    if not was:
        return [] if sources else [("Source file", "not in the archive any more")]
    if [one["sha256"] for one in was] == now:
        return []
    told = "the footage was replaced since the answer" if now else "not in the archive any more"
    facts: list[tuple[str, str | Iterable[str]]] = [("When answered", _chip(told, "bad"))]
    for one in was:
        digest = tag("span", str(one["sha256"]), class_="hash")
        facts.append(("", together(tag("code", str(one["path"])), tag("br"), digest)))
    return facts


def _searched(case: Case) -> Markup:
    lines = [str(line) for line in case.question.get("searched", ())]
    left = [line for line in lines if _NOT_SEARCHED in line]
    looked = [line for line in lines if line not in left]
    steps = case.question.get("steps", ())
    numbers = sorted({step["recording"] for step in steps})
    if numbers:
        named = ", ".join(f"recording {number}" for number in numbers)
        looked.insert(0, f"walked through step by step: {named}")
    return together(
        tag("h2", "What was searched, and what was not"),
        _lines("Searched", looked, "nothing: there was no footage to search"),
        _lines("Not searched", left, "nothing that the question was about was left out"),
    )


def _lines(title: str, lines: Sequence[str], none: str) -> Markup:
    made = tag("ul", (tag("li", line) for line in lines)) if lines else tag("p", none)
    return together(tag("h3", title), made)


def _trace(case: Case) -> Markup:
    steps = case.question.get("steps", ())
    told = "Every round of the agent: what it thought, what it did, and what came back."
    return together(
        tag("h2", "How the answer was found"),
        tag("p", told if steps else "No round was needed.", class_="faint"),
        (_step(step) for step in steps),
    )


def _step(step: Json) -> Markup:
    action = str(step["action"])
    short = action if len(action) <= _MOST_IN_TITLE else f"{action[: _MOST_IN_TITLE - 1]}…"
    title = tag(
        "summary",
        tag("b", f"Round {step['round']}"),
        tag("code", short),
        tag("span", f" recording {step['recording']}, {step['seconds']:.1f} s", class_="faint"),
    )
    hint = str(step.get("hint") or "")
    shown = (
        ("Thought", step.get("thought")),
        ("What it did", action if short != action else ""),
        ("What came back", str(step.get("observation") or "").removesuffix(hint).strip()),
        ("Hint", hint),
    )
    body = [
        together(tag("span", label, class_="label"), tag("p", str(text)))
        for label, text in shown
        if text
    ]
    return tag("details", title, tag("div", body))


def _log(case: Case) -> Markup:
    rows = [
        tag(
            "tr",
            tag("td", str(entry["number"])),
            tag("td", wall_clock(str(entry["at"]))),
            tag("td", str(entry["kind"])),
            tag("td", _who(json.loads(entry["who"]))),
            tag("td", tag("span", str(entry["hash"]), class_="hash")),
        )
        for entry in case.told["entries"]
    ]
    names = ("Entry", "When (UTC)", "What", "Who", "Hash")
    top = tag("thead", tag("tr", (tag("th", name) for name in names)))
    table = tag("div", tag("table", top, tag("tbody", rows)), class_="wide")
    title = tag("summary", tag("b", "The audit log about this case"), f"{len(rows)} entries")
    return together(
        tag("h2", "Custody"),
        tag(
            "p",
            "The archive keeps an append-only log in which each entry's hash covers the entry "
            "before. What it says of this case stands in audit.json. Its last entry at the "
            "export was ",
            tag("span", case.head, class_="hash"),
            ".",
        ),
        tag("details", title, tag("div", table)),
    )


def _how_to_check(case: Case) -> Markup:
    hashes = "\n".join(f"sha256sum {_quoted(one.path)}\n# {one.sha256}" for one in case.sources)
    return together(
        tag("h2", "How to check this folder"),
        tag("p", "That no file in it was changed since the export, on any machine:"),
        tag("pre", f"sha256sum -c {SUMS}"),
        tag("p", "The same, and that question, evidence and log entries fit together:"),
        tag("pre", "edge-lvr1 case verify ."),
        tag("p", "That the source footage is what it was, where it lies:"),
        tag("pre", hashes or "# no source file is known any more"),
        tag("p", "That the archive's own log still holds what it held at the export:"),
        tag("pre", f"edge-lvr1 audit verify --expect {case.head}"),
        tag(
            "p",
            "What hashes cannot show: whoever can write both this folder and the list of hashes "
            f"can make another that fits. Keep the SHA-256 of {SUMS} apart from the folder; the "
            "archive's log keeps the digest of its contents, ",
            tag("span", case.contents, class_="hash"),
            ". Captions and answers are written by models and can be wrong: the clips are the "
            "evidence, not the words about them.",
        ),
    )


def _footer(case: Case) -> Markup:
    version = str(case.told["version"])
    told = "a checkout of edge_lvr1" if version == _NO_VERSION else f"edge_lvr1 {version}"
    return tag("footer", f"Made by {told} on {wall_clock(case.made_at)}.")


def _list(facts: _Facts) -> Markup:
    return tag("dl", (together(tag("dt", name), tag("dd", told)) for name, told in facts))


def _chip(told: str, look: str) -> Markup:
    return tag("span", told, class_=f"chip {look}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _who(who: Json) -> str:
    name = str(who.get("name") or "")
    uid = who.get("uid")
    if uid is None:
        return name or str(who.get("via", "unknown"))
    return f"{name or 'user'} (uid {uid})"


def _quoted(path: str) -> str:
    """A path as a shell takes it."""
    return "'" + path.replace("'", "'\\''") + "'"
