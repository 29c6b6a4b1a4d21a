"""What the command line shows: trees, answers, tables, drawn from the daemon's JSON.

Pure: builds rich renderables from the objects that the socket returns, prints nothing, and
knows neither the daemon nor the database. Text from footage and models is shown through
`plain`, so that it can carry neither markup nor terminal control characters.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from edge_lvr1.doctor import Finding
from edge_lvr1.untrusted import visible

_BARS = " ▁▂▃▄▅▆▇█"
_MOST_SPANS = 12
VERDICT_STYLE = {"answered": "green", "not_found": "yellow", "gave_up": "yellow", "failed": "red"}
_MOST_SHOWN = 1200  # characters of one caption or reply on a terminal


def plain(text: str, style: str = "", limit: int = _MOST_SHOWN, *, lines: bool = True) -> Text:
    """Untrusted text, made safe for a terminal: no markup, and what would act is spelled out.

    Without `lines`, that goes for line breaks too: names stay on the line where they stand.
    """
    kept = visible(text, lines=lines)
    return Text(kept if len(kept) <= limit else kept[: limit - 1] + "…", style=style)


def json_text(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Indented JSON as it is printed: readable, and whatever acts on a terminal is escaped."""
    told = json.dumps(value, indent=2, ensure_ascii=False)
    # Outside of strings there are but plain characters and line breaks, which stay.
    return "".join(c if c == "\n" or visible(c) == c else json.dumps(c)[1:-1] for c in told)


def clock(seconds: float) -> str:
    """Media time as a person reads it: 6.3 -> 0:06.3, 4000 -> 1:06:40.0."""
    tenths = round(seconds * 10)
    hours, rest = divmod(tenths, 36_000)
    minutes, rest = divmod(rest, 600)
    whole = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{whole}" if hours else f"{minutes}:{whole}"


def wall_clock(iso: str | None) -> str:
    """An ISO time with offset, to the second."""
    if not iso:
        return "-"
    # Python 3.10 does not read the Z that the daemon's JSON ends UTC times with.
    return datetime.fromisoformat(iso.replace("Z", "+00:00")).isoformat(" ", "seconds")


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A plain table; cells are shown as they are, never as markup."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(
            *(cell if isinstance(cell, Text) else plain(cell, lines=False) for cell in row)
        )
    return drawn


def answer(found: Mapping[str, Any]) -> RenderableType:
    """An answer with its verdict, cost and evidence."""
    verdict = str(found["verdict"])
    style = VERDICT_STYLE.get(verdict, "")
    # The text of what was not found begins with these words itself.
    told = "" if verdict == "not_found" else f"{verdict.replace('_', ' ')}  "
    head = plain(told, style=f"bold {style}")
    if found.get("option"):
        head.append_text(plain(f"{found['option']}  ", style="bold"))
    head.append_text(plain(str(found["text"]), style="bold"))
    cost = (
        f"{_count(found['rounds'], 'round')}, {_count(found['captions_opened'], 'caption')} opened,"
        f" {found['seconds']:.1f} s, agent {found['agent']}, captioner {found['captioner']}"
    )
    lines: list[RenderableType] = [head, plain(cost, style="dim")]
    if found.get("read_as"):
        lines.append(plain(str(found["read_as"]), style="dim"))
    if confirmation := found.get("confirmation"):
        lines.append(plain(f"evidence looked at again: {str(confirmation).replace('_', ' ')}"))
    if found["evidence"]:
        lines.append(Text("evidence", style="bold"))
        lines += [_evidence(entry) for entry in found["evidence"]]
    for line in found.get("searched", ()):
        lines.append(plain(f"searched {line}", style="dim"))
    return Group(*lines)


def _evidence(entry: Mapping[str, Any]) -> RenderableType:
    head = (
        f"{entry['camera']}, recording {entry['recording']}, {entry['node']}, "
        f"{clock(entry['start_s'])} to {clock(entry['end_s'])}, "
        f"{wall_clock(entry['starts_at'])} to {wall_clock(entry['ends_at'])}"
    )
    body = Padding(plain(str(entry["caption"]), style="dim"), (0, 0, 0, 2))
    if entry.get("removed"):
        head += f" (this recording is not in the archive any more: {entry['removed']})"
    return Padding(Group(plain(head, lines=False), body), (0, 0, 0, 2))


def step(taken: Mapping[str, Any]) -> RenderableType:
    """One round as it happened: thought, action, what came back."""
    lines: list[RenderableType] = []
    if taken.get("thought"):
        lines.append(plain(f"  {taken['thought']}", style="italic dim"))
    lines.append(plain(f"  {taken['action']}", style="cyan"))
    hint = str(taken.get("hint") or "")
    if observation := str(taken.get("observation") or "").removesuffix(hint).strip():
        lines.append(plain(f"  {observation}", style="dim", limit=400))
    if hint:
        lines.append(plain(f"  {hint}", style="yellow"))
    return Group(plain(f"round {taken['round']}", style="bold"), *lines)


def caption_tree(tree: Mapping[str, Any]) -> RenderableType:
    """A recording's caption tree; runs of leaves that say the same are drawn as one line."""
    title = (
        f"recording {tree['recording']}, {clock(tree['duration_s'])}, width {tree['width']}, "
        f"captioner {tree['captioner']}"
    )
    root = Tree(plain(title, style="bold"), guide_style="dim")
    by_parent: dict[tuple[int, ...], list[Mapping[str, Any]]] = {}
    for node in sorted(tree["nodes"], key=lambda node: _path(node["node"])):
        by_parent.setdefault(_path(node["node"])[:-1], []).append(node)
    for high in by_parent.get((), ()):
        high_branch = root.add(_node_line(high, high))
        for medium in by_parent.get(_path(high["node"]), ()):
            medium_branch = high_branch.add(_node_line(medium, medium))
            for first, last in _runs(by_parent.get(_path(medium["node"]), ())):
                medium_branch.add(_node_line(first, last))
    return root


def jobs(listed: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Ingest jobs: state, file, what came of it."""
    styles = {"done": "green", "failed": "red"}
    rows = [
        (
            plain(str(job["state"]), style=styles.get(str(job["state"]), "")),
            str(job["path"]),
            str(job.get("reason") or _of_recordings(job.get("recordings") or ())),
        )
        for job in listed
    ]
    return table(("state", "file", "outcome"), rows)


def recordings(listed: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Recordings: camera, wall-clock start and its source, length, how far the tree is."""
    rows = [
        (
            str(entry["id"]),
            str(entry["camera"]),
            f"{wall_clock(entry['starts_at'])} ({entry['start_source']}, {entry['confidence']})",
            clock(entry["duration_s"]),
            str(len(entry["files"])),
            _tree_state(entry) + (", held" if entry.get("hold") else ""),
        )
        for entry in listed
    ]
    return table(("id", "camera", "starts at (from)", "length", "files", "tree"), rows)


def recording(entry: Mapping[str, Any], activity: Mapping[str, Any] | None) -> RenderableType:
    """One recording: what it is, how its captions came about, when something happens in it."""
    rows = [
        ("camera", str(entry["camera"])),
        (
            "starts at",
            f"{wall_clock(entry['starts_at'])}, {entry['confidence']}, "
            f"from {entry['start_source']}",
        ),
        ("length", clock(entry["duration_s"])),
        ("files", _files(entry["files"])),
        ("tree", _tree_state(entry)),
        (
            "captioner",
            f"{entry['captioner']}: asked {entry['calls_made']} times, "
            f"{entry['calls_saved']} captions without it",
        ),
    ]
    if hold := entry.get("hold"):
        rows.append(("held", f"{hold['reason']} ({hold['who']}, {wall_clock(hold['since'])})"))
    if entry["remark"]:
        rows.append(("to know", str(entry["remark"])))
    lines: list[RenderableType] = [table(("", ""), rows)]
    if activity is not None:
        lines.append(_curve(activity, float(entry["duration_s"])))
    return Group(*lines)


def _files(files: Sequence[str]) -> str:
    return files[0] if len(files) == 1 else f"{len(files)} files, {files[0]} to {files[-1]}"


def _curve(activity: Mapping[str, Any], duration_s: float, columns: int = 76) -> RenderableType:
    """Activity over time, the highest of each column; what counts as active is bright."""
    peaks = [0.0] * columns
    for time_s, score in zip(activity["times_s"], activity["scores"], strict=True):
        column = min(columns - 1, int(time_s / duration_s * columns))
        peaks[column] = max(peaks[column], score)
    top = max(2.0, *peaks)
    line = Text()
    for column, peak in enumerate(peaks):
        start_s, end_s = column / columns * duration_s, (column + 1) / columns * duration_s
        lit = any(a < end_s and b > start_s for a, b in activity["active"])
        bar = _BARS[min(len(_BARS) - 1, int(peak / top * len(_BARS)))]
        line.append(bar, style="bold green" if lit else "dim")
    spans = activity["active"]
    told = ", ".join(f"{clock(a)} to {clock(b)}" for a, b in spans[:_MOST_SPANS])
    more = f", and {len(spans) - _MOST_SPANS} more" if len(spans) > _MOST_SPANS else ""
    switches = ", ".join(f"{kind} at {clock(at)}" for at, kind in activity["switches"])
    lines: list[RenderableType] = [line, plain(f"active: {told or 'never'}{more}", style="dim")]
    if switches:
        lines.append(plain(f"the picture changed: {switches}", style="dim"))
    return Group(*lines)


def hits(found: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Search hits, best first."""
    rows = [
        (
            f"{hit['recording']} {hit['node']}",
            str(hit["camera"]),
            wall_clock(hit["starts_at"]),
            f"{clock(hit['start_s'])} to {clock(hit['end_s'])}",
            plain(str(hit["caption"]), limit=300),
        )
        for hit in found
    ]
    return table(("recording, node", "camera", "time", "span", "caption"), rows)


def questions(listed: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Questions with their state or verdict."""
    rows = []
    for entry in listed:
        verdict = str(entry.get("verdict") or entry["state"])
        style = VERDICT_STYLE.get(verdict, "")
        asked = plain(str(entry["question"]), limit=200)
        rows.append((str(entry["id"]), plain(verdict, style=style), asked))
    return table(("id", "state", "question"), rows)


def question(entry: Mapping[str, Any]) -> RenderableType:
    """One question: its rounds, and its answer where there is one."""
    lines: list[RenderableType] = [plain(f"? {entry['question']}", style="bold")]
    lines += [step(taken) for taken in entry.get("steps") or ()]
    lines.append(answer(entry) if entry.get("verdict") else plain(str(entry["state"])))
    return Group(*lines)


def findings(found: Sequence[Finding]) -> RenderableType:
    """What doctor found, and the advice for what will not do."""
    rows = [
        (
            Text("ok", style="green") if finding.ok else Text("no", style="red"),
            finding.name,
            finding.seen if finding.ok else f"{finding.seen}: {finding.advice}",
        )
        for finding in found
    ]
    return table(("", "check", "found"), rows)


def status(found: Mapping[str, Any]) -> RenderableType:
    """The daemon's state, a line a fact."""
    rows: list[tuple[str, str | Text]] = [
        (key.replace("_", " "), _fact(value))
        for key, value in found.items()
        if key not in ("current", "faults", "scheduled", "roots", "watched")
    ]
    rows += [("watched", _root(one)) for one in found.get("roots", ())]
    rows += [(f"job {one['name']}", _scheduled(one)) for one in found.get("scheduled", ())]
    current = found.get("current")
    rows.append(("captioning", _current(current) if current else "-"))
    rows += [
        ("fault", plain(f"{one['sentence']} (since {wall_clock(one['since'])})", style="red"))
        for one in found.get("faults", ())
    ]
    return table(("", ""), rows)


def _root(root: Mapping[str, Any]) -> Text:
    if not root["there"]:
        return plain(f"{root['path']}: away, {root['problem']}", style="red", lines=False)
    scanned = wall_clock(root["scanned_at"]) if root["scanned_at"] else "not yet"
    told = f"{root['path']}: {root['found_by']} ({root['why']}), {root['files']} files, "
    problem = f"; {root['problem']}" if root["problem"] else ""
    return plain(f"{told}walked {scanned}{problem}", lines=False)


def _scheduled(job: Mapping[str, Any]) -> Text:
    last = f"last {wall_clock(job['last'])}: {job['outcome']}" if job["last"] else "not run yet"
    told = "running; " if job["running"] else ""
    planned = f"; next {wall_clock(job['next'])}" if job["next"] else ""
    return plain(f"{job['when']}; {told}{last}{planned}", "red" if job["failed"] else "")


def _current(job: Mapping[str, Any]) -> str:
    progress = job.get("progress") or {}
    return (
        f"{job['path']}: {progress.get('stage')} {progress.get('done')} of {progress.get('total')}"
    )


def _fact(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_fact(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_fact(inner) for inner in value) or "-"
    return "-" if value is None else str(value)


def _of_recordings(ids: Sequence[int]) -> str:
    return ", ".join(f"recording {number}" for number in ids)


def _tree_state(entry: Mapping[str, Any]) -> str:
    if entry["state"] == "open":
        return "growing: parts may still be added"
    if entry["state"] == "failed":
        return f"failed: {entry['reason']}"
    if entry["complete"]:
        return f"complete, {entry['captions']} captions"
    if not entry["nodes"]:
        return "waiting to be looked over"
    state = "queryable" if entry["queryable"] else "being captioned"
    return f"{state}, {entry['captions']} of {entry['nodes']} captions"


def _runs(leaves: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], ...]]:
    for _, run in itertools.groupby(leaves, key=lambda leaf: leaf["caption"]):
        same = list(run)
        yield same[0], same[-1]


def _node_line(first: Mapping[str, Any], last: Mapping[str, Any]) -> Text:
    name = first["node"] if first is last else f"{first['node']} … {last['node']}"
    span = f"  {clock(first['start_s'])} to {clock(last['end_s'])}  "
    caption = first["caption"]
    told = plain(caption) if caption else Text("not captioned yet", style="dim italic")
    return plain(name, style="bold cyan").append_text(plain(span, style="dim")).append_text(told)


def _path(node: str) -> tuple[int, ...]:
    return tuple(int(index) for index in node.strip("()").split(","))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
