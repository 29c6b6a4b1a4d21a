// The page of the daemon. Text from footage, models and people only ever becomes text nodes.
"use strict";

const at = (id) => document.getElementById(id);
const RELOAD_MS = 3000;
let following = null;

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

async function call(path, options) {
  const response = await fetch(path, options);
  // Over loopback TCP the daemon asks for its token; a cookie then shows it each time.
  if (response.status === 401) at("login").hidden = false;
  const told = await response.json();
  if (!response.ok) throw new Error(told.error);
  return told;
}

at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ token: at("token").value });
  const headers = { "content-type": "application/json" };
  const response = await fetch("/login", { method: "POST", headers, body });
  if (response.ok) location.replace("/");
  else at("login-error").textContent = (await response.json()).error;
});

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(tenths / 600);
  const rest = `${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${rest}`;
}

const wall = (iso) => iso.replace("T", " ").replace(/\.\d+/, "");
const clipOf = (id, start, end) => `/v1/recordings/${id}/clip?start_s=${start}&end_s=${end}`;
const pictureOf = (id, node) => `/v1/recordings/${id}/thumbnail?node=${encodeURIComponent(node)}`;

function pictured(id, node, what) {
  const picture = make("img");
  picture.loading = "lazy";
  picture.alt = what;
  picture.src = pictureOf(id, node);
  return picture;
}

function link(href, text) {
  const anchor = make("a", text);
  anchor.href = href;
  anchor.target = "_blank";
  anchor.rel = "noopener";
  return anchor;
}

// --- asking ---

function showRound(step) {
  const item = make("li");
  item.append(make("div", step.thought, "faint"), make("code", step.action));
  item.append(make("div", step.observation, "faint"));
  at("rounds").append(item);
}

function showEvidence(entry) {
  const box = make("div", undefined, "evidence");
  const picture = pictured(entry.recording, entry.node, `the footage at ${clock(entry.start_s)}`);
  const head = make("div");
  head.append(make("strong", `${clock(entry.start_s)} to ${clock(entry.end_s)}`));
  head.append(`${entry.camera}, ${wall(entry.starts_at)}, recording ${entry.recording}, ${entry.node} `);
  head.append(link(clipOf(entry.recording, entry.start_s, entry.end_s), "clip"));
  box.append(picture, head, make("div", entry.caption, "faint"));
  return box;
}

function showAnswer(told) {
  const verdict = told.verdict || told.state;
  const head = make("p");
  // The text of what was not found begins with these words itself.
  const said = verdict === "not_found" ? "" : verdict.replace("_", " ");
  head.append(make("span", said, `verdict ${verdict}`), ` ${told.option || ""} ${told.text}`);
  const cost = `${told.rounds} rounds, ${told.captions_opened} captions opened, ${told.seconds.toFixed(1)} s`;
  const evidence = make("div", undefined, "evidences");
  evidence.append(...told.evidence.map(showEvidence));
  const notes = [cost];
  if (told.read_as) notes.push(told.read_as);
  if (told.confirmation) notes.push(`evidence looked at again: ${told.confirmation.replace("_", " ")}`);
  at("answer").replaceChildren(head, ...notes.map((note) => make("p", note, "faint")), evidence);
  for (const line of told.searched) at("answer").append(make("div", `searched ${line}`, "faint"));
}

function stopFollowing() {
  if (following) following.close();
  following = null;
  at("cancel").hidden = true;
}

function follow(id) {
  stopFollowing();
  at("rounds").replaceChildren();
  at("answer").replaceChildren(make("p", "waiting for its turn", "faint"));
  at("cancel").hidden = false;
  at("trace").hidden = false;
  at("trace").open = true;
  at("cancel").onclick = () => call(`/v1/questions/${id}`, { method: "DELETE" }).catch(showError);
  following = new EventSource(`/v1/questions/${id}/events`);
  // A stream that broke is opened again and tells everything from the start.
  following.addEventListener("queued", () => at("rounds").replaceChildren());
  following.addEventListener("started", () => at("answer").replaceChildren(make("p", "looking", "faint")));
  following.addEventListener("step", (event) => showRound(JSON.parse(event.data)));
  following.addEventListener("done", (event) => {
    stopFollowing();
    at("trace").open = false;
    showAnswer(JSON.parse(event.data));
  });
}

function showError(error) {
  at("answer").replaceChildren(make("p", error.message, "error"));
}

at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { question: at("question").value };
  const [kind, value] = at("where").value.split(":", 2);
  if (kind === "recording") body.recording = Number(value);
  if (kind === "camera") body.cameras = [at("where").selectedOptions[0].dataset.camera];
  const headers = { "content-type": "application/json" };
  try {
    follow((await call("/v1/questions", { method: "POST", headers, body: JSON.stringify(body) })).id);
  } catch (error) {
    showError(error);
  }
});

// --- recordings ---

function timeline(tree) {
  const box = make("div", undefined, "timeline");
  const caption = make("div", "", "caption faint");
  for (const level of ["high", "medium", "low"]) {
    const row = make("div", undefined, "level");
    for (const node of tree.nodes.filter((one) => one.level === level)) {
      const cell = make("button");
      const words = node.caption === null ? "not captioned yet" : node.caption;
      const told = `${node.node} ${clock(node.start_s)} to ${clock(node.end_s)}: ${words}`;
      cell.type = "button";
      cell.title = told;
      cell.setAttribute("aria-label", told);
      cell.style.flexGrow = node.end_s - node.start_s;
      if (node.caption === null) cell.className = "empty";
      else if (node.inherits || node.caption.startsWith("No motion")) cell.className = "quiet";
      cell.addEventListener("click", () => {
        caption.replaceChildren(pictured(tree.recording, node.node, ""), told, " ");
        caption.append(link(clipOf(tree.recording, node.start_s, node.end_s), "clip"));
      });
      row.append(cell);
    }
    box.append(row);
  }
  box.append(caption);
  return box;
}

function drawn(name, attributes) {
  const element = document.createElementNS(at("drawing").namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// How much happens when: the curve over the recording, what counts as active behind it.
function activityCurve(activity, duration) {
  const box = drawn("svg", { viewBox: "0 0 1000 40", preserveAspectRatio: "none", class: "curve" });
  const label = drawn("title", {});
  label.textContent = `${activity.active.length} active spans`;
  box.append(label);
  const x = (seconds) => (1000 * seconds / duration).toFixed(1);
  for (const [start, end] of activity.active) {
    box.append(drawn("rect", { x: x(start), y: 0, width: Math.max(1, x(end) - x(start)), height: 40 }));
  }
  // Of all looks that fall on one thousandth of the width, the highest is drawn.
  const peaks = new Map();
  activity.times_s.forEach((time, index) => {
    const column = Math.floor(x(time));
    peaks.set(column, Math.max(peaks.get(column) ?? 0, activity.scores[index]));
  });
  const line = [...peaks].map(([column, peak]) => `${column},${(40 - 38 * Math.min(1, peak / 4)).toFixed(1)}`);
  box.append(drawn("polyline", { points: line.join(" ") }));
  return box;
}

async function recordingDetails(recording) {
  const [tree, activity] = await Promise.all([
    call(`/v1/recordings/${recording.id}/tree`),
    call(`/v1/recordings/${recording.id}/activity`).catch(() => null),  // not looked over yet
  ]);
  const told = [make("p", [
    `start from ${recording.start_source} (${recording.confidence})`,
    `${recording.files.length} ${recording.files.length === 1 ? "file" : "files"}`,
    `captioner asked ${recording.calls_made} times, ${recording.calls_saved} captions without it`,
    recording.remark, recording.reason, recording.hold ? `held: ${recording.hold.reason}` : "",
  ].filter((one) => one).join("; "), "faint")];
  if (activity) told.push(activityCurve(activity, recording.duration_s));
  told.push(timeline(tree));
  return told;
}

const OPEN_AT_FIRST = 5;  // more trees than that are fetched when they are asked for

function recordingBox(recording, open) {
  const box = make("details", undefined, "recording");
  const state = recording.complete ? ""
    : recording.state === "open" ? ", growing"
      : recording.state === "failed" ? ", failed" : `, ${recording.captions} of ${recording.nodes} captions`;
  const head = make("summary");
  head.append(make("b", `${recording.id} ${recording.camera}`));
  head.append(make("span", `${wall(recording.starts_at)}, ${clock(recording.duration_s)}${state}`, "faint"));
  const below = make("div");
  box.addEventListener("toggle", async () => {
    if (!box.open) return;
    try {
      below.replaceChildren(...await recordingDetails(recording));
    } catch (error) {
      below.replaceChildren(make("p", error.message, "error"));
    }
  });
  box.append(head, below);
  box.open = open;
  return box;
}

const NEWEST = 50;  // recordings that the page shows; the command line lists all
const shown = new Map();
const cameras = new Set();

function choice(value, text) {
  const option = make("option", text);
  option.value = value;
  at("where").append(option);
  return option;
}

function showRecordings(recordings) {
  for (const recording of recordings) {
    const version = `${recording.state} ${recording.captions} ${recording.files.length} ${recording.hold?.reason ?? ""}`;
    if (shown.get(recording.id) === version) continue;
    const before = at(`recording-${recording.id}`);
    const box = recordingBox(recording, before ? before.open : shown.size < OPEN_AT_FIRST);
    box.id = `recording-${recording.id}`;
    if (before) before.replaceWith(box);
    else {
      at("recordings").prepend(box);
      choice(`recording:${recording.id}`, `${recording.id} ${recording.camera} ${wall(recording.starts_at)}`);
      if (!cameras.has(recording.camera)) {
        cameras.add(recording.camera);
        choice(`camera:${cameras.size}`, `camera ${recording.camera}`).dataset.camera = recording.camera;
      }
    }
    shown.set(recording.id, version);
  }
}

function showJobs(status, failed) {
  const counts = Object.entries(status.jobs).filter(([, count]) => count);
  const told = [make("li", counts.map(([state, count]) => `${count} ${state}`).join(", ") || "no files yet")];
  if (status.current) {
    const job = status.current;
    const progress = job.progress ? `${job.progress.stage} ${job.progress.done} of ${job.progress.total ?? "?"}` : "";
    told.push(make("li", `${job.path}: ${progress}`));
  }
  told.push(...failed.map((job) => make("li", `${job.path}: ${job.reason}`, "error")));
  at("jobs").replaceChildren(...told);
}

async function reload() {
  try {
    const status = await call("/v1/status");
    const offset = Math.max(0, status.recordings - NEWEST);
    const [listed, failed] = await Promise.all([
      call(`/v1/recordings?limit=${NEWEST}&offset=${offset}`),
      call(`/v1/ingest?state=failed&limit=${NEWEST}`),
    ]);
    at("status").textContent = `${status.complete} of ${status.recordings} recordings complete, `
      + `${status.queryable} can be asked, ${status.settling} files settling, `
      + `captioner ${status.captioner}, agent ${status.agent}`;
    at("faults").replaceChildren(...status.faults.map((fault) => make("li", fault.sentence, "error")));
    showRecordings(listed.recordings);
    showJobs(status, failed.jobs);
  } catch (error) {
    at("status").textContent = `the daemon does not answer (${error.message})`;
    at("faults").replaceChildren();
  }
  setTimeout(reload, RELOAD_MS);
}

reload();
