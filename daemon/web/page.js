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
  const told = await response.json();
  if (!response.ok) throw new Error(told.error);
  return told;
}

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(tenths / 600);
  const rest = `${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${rest}`;
}

const wall = (iso) => iso.replace("T", " ").replace(/\.\d+/, "");
const clipOf = (id, start, end) => `/v1/recordings/${id}/clip?start_s=${start}&end_s=${end}`;
const pictureOf = (id, time) => `/v1/recordings/${id}/thumbnail?time_s=${time}`;

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
  const picture = make("img");
  picture.loading = "lazy";
  picture.alt = `the footage at ${clock(entry.start_s)}`;
  picture.src = pictureOf(entry.recording, (entry.start_s + entry.end_s) / 2);
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
  at("answer").replaceChildren(head, make("p", cost, "faint"), evidence);
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
  if (at("where").value) body.recording = Number(at("where").value);
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
      else if (node.caption.startsWith("No motion")) cell.className = "quiet";
      cell.addEventListener("click", () => {
        caption.replaceChildren(told, " ");
        caption.append(link(clipOf(tree.recording, node.start_s, node.end_s), "clip"), " ");
        caption.append(link(pictureOf(tree.recording, (node.start_s + node.end_s) / 2), "picture"));
      });
      row.append(cell);
    }
    box.append(row);
  }
  box.append(caption);
  return box;
}

const OPEN_AT_FIRST = 5;  // more trees than that are fetched when they are asked for

function recordingBox(recording, open) {
  const box = make("details", undefined, "recording");
  const state = recording.complete ? "" : `, ${recording.captions} of ${recording.nodes} captions`;
  const head = make("summary");
  head.append(make("b", `${recording.id} ${recording.camera}`));
  head.append(make("span", `${wall(recording.starts_at)}, ${clock(recording.duration_s)}${state}`, "faint"));
  const below = make("div");
  box.addEventListener("toggle", async () => {
    if (!box.open) return;
    try {
      below.replaceChildren(timeline(await call(`/v1/recordings/${recording.id}/tree`)));
    } catch (error) {
      below.replaceChildren(make("p", error.message, "error"));
    }
  });
  box.append(head, below);
  box.open = open;
  return box;
}

const shown = new Map();

function showRecordings(recordings) {
  for (const recording of recordings) {
    const version = `${recording.captions}`;
    if (shown.get(recording.id) === version) continue;
    const before = at(`recording-${recording.id}`);
    const box = recordingBox(recording, before ? before.open : shown.size < OPEN_AT_FIRST);
    box.id = `recording-${recording.id}`;
    if (before) before.replaceWith(box);
    else {
      at("recordings").append(box);
      const option = make("option", `${recording.id} ${recording.camera} ${wall(recording.starts_at)}`);
      option.value = recording.id;
      at("where").append(option);
    }
    shown.set(recording.id, version);
  }
}

function showJobs(jobs) {
  const open = jobs.filter((job) => job.state !== "done");
  at("jobs").replaceChildren(...open.map((job) => {
    const progress = job.progress ? ` ${job.progress.stage} ${job.progress.done} of ${job.progress.total ?? "?"}` : "";
    return make("li", `${job.path}: ${job.state}${progress} ${job.reason}`, job.state === "failed" ? "error" : "");
  }));
}

async function reload() {
  try {
    const [status, listed, jobs] = await Promise.all(
      ["/v1/status", "/v1/recordings", "/v1/ingest"].map((path) => call(path)));
    at("status").textContent = `${status.complete} of ${status.recordings} recordings complete, `
      + `${status.settling} files settling, captioner ${status.captioner}, agent ${status.agent}`;
    showRecordings(listed.recordings);
    showJobs(jobs.jobs);
  } catch (error) {
    at("status").textContent = `the daemon does not answer (${error.message})`;
  }
  setTimeout(reload, RELOAD_MS);
}

reload();
