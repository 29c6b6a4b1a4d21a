"""The report of a case: readable, self-contained, and safe whatever footage and models say."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.cases.layout import Case, Media, Piece, SourceFile
from edge_lvr1.cases.markup import Markup, tag, together
from edge_lvr1.cases.report import report
from tests.cases.conftest import Made

VOID = {"img", "meta", "br"}
OURS = {
    *("html", "head", "meta", "title", "style", "body", "main", "p", "h1", "h2", "h3", "section"),
    *("span", "dl", "dt", "dd", "ul", "li", "b", "br", "code", "article", "header", "div", "video"),
    *("img", "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "pre", "footer"),
}


class Page(HTMLParser):
    """What a browser would see of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], "an element was not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def case_of(text: str) -> Case:
    """A case in which everything that comes from outside is that text."""
    entry = {
        "number": 1,
        "at": "2026-03-14T08:30:00.000000+00:00",
        "kind": text,
        "who": '{"name": "anna", "uid": 1000}',
        "what": "{}",
        "before": "0" * 64,
        "hash": text,
    }
    evidence = {
        "recording": 1,
        "camera": text,
        "node": text,
        "start_s": 1.0,
        "end_s": 2.0,
        "starts_at": "2026-03-14T09:30:01+01:00",
        "ends_at": "2026-03-14T09:30:02+01:00",
        "caption": text,
    }
    step = {"round": 1, "recording": 1, "seconds": 0.1}
    step |= dict.fromkeys(("thought", "action", "observation", "reply", "hint"), text)
    question = {
        "asked_at": "2026-03-14T08:30:00Z",
        "options": [text],
        "evidence": [evidence],
        "rounds": 1,
        "captions_opened": 1,
        "seconds": 0.5,
        "searched": [text],
        "steps": [step],
        "confirmation": "confirmed",
    }
    names = (
        "id",
        "question",
        "state",
        "verdict",
        "text",
        "option",
        "agent",
        "captioner",
        "read_as",
    )
    question |= dict.fromkeys(names, text)
    return Case(
        question=question,
        pieces=(Piece(evidence, Media(missing=text), Media("evidence/01.jpg"), (0,)),),
        sources=(SourceFile(text, text, text, text),),
        told={"entries": [entry], "head": {"number": 1, "hash": text}, "version": text},
        contents=text,
        made_at="2026-03-14T09:00:00+00:00",
        exact=False,
    )


HOSTILE = (
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><svg onload=alert(1)>",
    '"><img src=x onerror="alert(1)">',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "<!-- --><base href=http://evil.example>",
    "&lt;b&gt; &#60;script&#62;",
    "\x1b[31m\x1b]0;owned\x07 \u202egnp.exe \ud800",
    "]]><![CDATA[",
    "<meta http-equiv=refresh content=0;url=http://evil.example>",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    page = Page(report(case_of(text)))

    assert page.tags <= OURS
    assert not [one for one in page.attributes if one[1].startswith("on") or one[1] == "style"]
    links = {value for _, name, value in page.attributes if name in ("src", "href", "poster")}
    assert links == {"evidence/01.jpg"}
    if text.isprintable():
        assert page.text.count(text) >= 15


@given(st.text())
def test_any_text_stays_text(text: str) -> None:
    made = tag("p", text, title=text, class_="x")

    page = Page(made)

    assert page.tags == {"p"}
    assert [name for _, name, _ in page.attributes] == ["title", "class"]
    if text.isprintable():
        assert page.text == text
        assert page.attributes[0][2] == text


@given(st.text())
def test_page_shows_no_control_or_direction_character(text: str) -> None:
    shown = str(together(text))

    assert all(one == "\n" or unicodedata.category(one)[0] != "C" for one in shown)


def test_markup_is_not_escaped_twice_and_text_always_once() -> None:
    inner = tag("b", "a & b")

    assert tag("p", inner, " < ", [inner, "x"]) == (
        "<p><b>a &amp; b</b> &lt; <b>a &amp; b</b>x</p>"
    )
    assert isinstance(inner + "<i>", str)
    assert not isinstance(inner + "<i>", Markup)  # what is put together by hand is escaped again


def test_report_loads_nothing_from_elsewhere_and_runs_nothing(made: Made) -> None:
    text = (made.folder / "report.html").read_text("utf-8")
    page = Page(text)

    policy = next(v for t, n, v in page.attributes if t == "meta" and "default-src" in v)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "http" not in re.sub("http-equiv", "", text)
    links = {value for _, name, value in page.attributes if name in ("src", "href", "poster")}
    assert links
    assert all((made.folder / link).is_file() for link in links)


def test_report_tells_what_was_asked_found_searched_and_how_to_check(made: Made) -> None:
    text = " ".join(Page((made.folder / "report.html").read_text("utf-8")).text.split())

    for told in (
        "Is a lorry there?",
        "answered",
        "by anna (uid 1000)",
        "2026-03-14 09:30:06+01:00 to 2026-03-14 09:30:12+01:00",
        "get_caption((1))",
        "not searched, still being captioned",
        "sha256sum -c SHA256SUMS",
        "edge-lvr1 case verify .",
        f"edge-lvr1 audit verify --expect {made.case.head}",
        *(part.sha256 for part in made.recording.parts),
        *(Path(part.path).name for part in made.recording.parts),
    ):
        assert told in text, told


def test_evidence_across_parts_names_both_files(made: Made) -> None:
    one, both = made.case.pieces

    assert (one.sources, both.sources) == ((0,), (0, 1))
