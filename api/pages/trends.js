// The first page: choose tags, choose a window, follow it live.
import { drawTrends, onColours } from "/static/chart.js";
import { get, installFind, notice, showHealth } from "/static/client.js";
import { byId, element, fill, pill, tone } from "/static/dom.js";
import { ago, clock, duration, fromAxis, full, toMs, toNs } from "/static/times.js";

const CHOSEN_MAX = 8;
const PAGE = 100;
const LIVE_PERIOD_MS = 1500;
const UNITS_PERIOD_MS = 5000;
const MINUTE = 60000;
const WINDOWS = [
  ["1 min", MINUTE],
  ["5 min", 5 * MINUTE],
  ["15 min", 15 * MINUTE],
  ["1 h", 60 * MINUTE],
  ["8 h", 480 * MINUTE],
  ["1 d", 1440 * MINUTE],
  ["7 d", 10080 * MINUTE],
];

const address = new URLSearchParams(location.search);
const state = {
  chosen: new Map(), // name -> index of its colour
  lengthMs: Number(address.get("length")) || 5 * MINUTE,
  endMs: Number(address.get("end")) || null, // null: live
  plots: [],
  window: null,
  drawing: null,
};
address
  .getAll("tag")
  .slice(0, CHOSEN_MAX)
  .forEach((name, i) => state.chosen.set(name, i));

/** The address tells what is seen, so that it can be sent to a colleague. */
function remember() {
  const query = new URLSearchParams();
  for (const name of state.chosen.keys()) query.append("tag", name);
  query.set("length", state.lengthMs);
  if (state.endMs !== null) query.set("end", Math.round(state.endMs));
  history.replaceState(null, "", `?${query}`);
}

function freeColour() {
  const used = new Set(state.chosen.values());
  return [...Array(CHOSEN_MAX).keys()].find((i) => !used.has(i));
}

function choose(name, wanted) {
  if (!wanted) state.chosen.delete(name);
  else if (state.chosen.size >= CHOSEN_MAX) {
    notice(new Error(`${CHOSEN_MAX} tags are drawn already: take one away first`));
    return false;
  } else state.chosen.set(name, freeColour());
  notice(null);
  remember();
  refresh();
  return true;
}

// Tags

let lastName = "";

function tagRow(tag) {
  const box = element("input", { type: "checkbox", value: tag.name });
  box.checked = state.chosen.has(tag.name);
  box.addEventListener("change", () => {
    if (!choose(tag.name, box.checked)) box.checked = false;
  });
  return element(
    "li",
    {},
    element(
      "label",
      {},
      box,
      element("span", { class: "name" }, tag.name),
      element("span", { class: "unit" }, tag.eng_unit || tag.type),
      tag.description ? element("span", { class: "about" }, tag.description) : null,
    ),
  );
}

async function listTags(more) {
  const search = byId("search").value.trim();
  const found = await get("/v1/tags", { search, limit: PAGE, after: more ? lastName : "" });
  lastName = found.next ?? "";
  const rows = found.tags.map(tagRow);
  if (more) byId("tags").append(...rows);
  else fill(byId("tags"), ...rows);
  byId("more").hidden = !found.next;
  if (!more) byId("tag-count").textContent = found.next ? `first ${PAGE}` : `${rows.length}`;
  if (!more && rows.length === 0) {
    fill(byId("tags"), element("li", { class: "empty" }, search ? "no tag found" : "no tags yet"));
  }
  return found.tags;
}

function syncBoxes() {
  for (const box of byId("tags").querySelectorAll("input")) {
    box.checked = state.chosen.has(box.value);
  }
}

// Newest values

function shown(value) {
  if (value === null) return "no value";
  return typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(6) : `${value}`;
}

function chip(latest, row, nowMs) {
  const name = latest.tag[row];
  const quality = latest.quality[row];
  const level =
    quality === null ? "" : (["", "uncertain", "bad"][Math.min(quality >>> 30, 2)] ?? "");
  const when = latest.time[row] === null ? "no sample yet" : ago(toMs(latest.time[row]), nowMs);
  return element(
    "div",
    { class: `chip colour${state.chosen.get(name)} ${level}` },
    element("span", { class: "name" }, name),
    element(
      "button",
      {
        type: "button",
        "aria-label": `Take ${name} away`,
        onclick: () => {
          choose(name, false);
          syncBoxes();
        },
      },
      "✕",
    ),
    element(
      "span",
      { class: "value" },
      latest.time[row] === null ? "–" : shown(latest.value[row]),
      " ",
      element("small", {}, latest.eng_unit[row]),
    ),
    element("span", { class: "age" }, level ? `${level} quality · ${when}` : when),
  );
}

// Drawing

async function refresh() {
  state.drawing?.abort();
  const mine = new AbortController();
  state.drawing = mine;
  const names = [...state.chosen.keys()];
  byId("hint").hidden = names.length > 0;
  byId("chart").hidden = names.length === 0;
  showWindow();
  if (names.length === 0) {
    fill(byId("chosen"));
    return;
  }
  const pixels = Math.max(100, Math.min(4000, Math.round(byId("chart").clientWidth || 800)));
  const live = state.endMs === null;
  const end = live ? "now" : toNs(state.endMs);
  const start = live ? `now-${Math.round(state.lengthMs)}ms` : toNs(state.endMs - state.lengthMs);
  try {
    const asked = names.map((tag) => get("/v1/plot", { tag, start, end, pixels }, mine.signal));
    const [latest, ...plots] = await Promise.all([
      get("/v1/latest", { tag: names }, mine.signal),
      ...asked,
    ]);
    if (mine.signal.aborted) return;
    plots.forEach((plot) => (plot.colour = state.chosen.get(plot.tag)));
    state.plots = plots;
    const endMs = toMs(plots[0].window.end);
    state.window = { startMs: endMs - state.lengthMs, endMs };
    fill(byId("chosen"), ...latest.tag.map((_, row) => chip(latest, row, endMs)));
    await redraw();
    showWindow();
    notice(null);
  } catch (problem) {
    if (!mine.signal.aborted) notice(problem);
  }
}

function redraw() {
  if (!state.window) return null;
  return drawTrends(byId("chart"), state.plots, state.window, { uirevision: state.endMs });
}

function showWindow() {
  byId("live").setAttribute("aria-pressed", String(state.endMs === null));
  for (const button of byId("windows").children) {
    button.setAttribute("aria-pressed", String(Number(button.value) === state.lengthMs));
  }
  const seen = state.window;
  byId("span").textContent = seen
    ? `${full(seen.startMs)} – ${clock(seen.endMs)} · ${duration(state.lengthMs)}`
    : duration(state.lengthMs);
}

function move(lengthMs, endMs) {
  state.lengthMs = lengthMs;
  state.endMs = endMs;
  remember();
  refresh();
}

function shift(share) {
  const endMs = state.endMs ?? state.window?.endMs ?? Date.now();
  move(state.lengthMs, endMs + share * state.lengthMs);
}

function installChart() {
  const place = byId("chart");
  // The library adds `on` with the first drawing, so the listeners wait for it.
  const listen = () => {
    place.on("plotly_relayout", (change) => {
      const from = change["xaxis.range[0]"];
      const to = change["xaxis.range[1]"];
      if (from !== undefined && to !== undefined) {
        const startMs = fromAxis(from);
        const endMs = fromAxis(to);
        if (endMs - startMs >= 1) move(endMs - startMs, endMs);
      } else if (change["xaxis.autorange"]) move(5 * MINUTE, null);
    });
  };
  const wait = new MutationObserver(() => {
    if (typeof place.on !== "function") return;
    wait.disconnect();
    listen();
  });
  wait.observe(place, { childList: true, attributes: true });
  new ResizeObserver(() => state.window && Plotly.Plots.resize(place)).observe(place);
  onColours(redraw);
}

// Finished units

async function listUnits() {
  const { units } = await get("/v1/units", { limit: 12, finished: true });
  if (units.length === 0) return;
  const rows = units.map((unit) =>
    element(
      "li",
      {},
      element(
        "a",
        { href: `/units/${encodeURIComponent(unit.unit)}` },
        element("span", { class: "name" }, unit.unit),
        unit.last_verdict ? pill(unit.last_verdict, tone(unit.last_verdict)) : null,
        element("time", {}, clock(toMs(unit.last))),
      ),
    ),
  );
  fill(byId("units"), ...rows);
}

// Start

function installKeys() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
    const act = {
      "/": () => byId("search").focus(),
      l: () => move(state.lengthMs, null),
      ArrowLeft: () => shift(-0.5),
      ArrowRight: () => shift(0.5),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

/** Again and again, but never two at a time, and not while nobody looks. */
function every(periodMs, work) {
  setTimeout(async () => {
    if (!document.hidden) await work().catch(notice);
    every(periodMs, work);
  }, periodMs);
}

async function start() {
  for (const [label, lengthMs] of WINDOWS) {
    const button = element("button", { type: "button", value: lengthMs }, label);
    button.addEventListener("click", () => move(lengthMs, state.endMs));
    byId("windows").append(button);
  }
  byId("live").addEventListener("click", () => {
    move(state.lengthMs, state.endMs === null ? (state.window?.endMs ?? Date.now()) : null);
  });
  byId("earlier").addEventListener("click", () => shift(-0.5));
  byId("later").addEventListener("click", () => shift(0.5));
  byId("more").addEventListener("click", () => listTags(true).catch(notice));
  let typing;
  byId("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => listTags(false).catch(notice), 200);
  });
  installFind();
  installKeys();
  installChart();
  showWindow();
  await showHealth();
  const tags = await listTags(false);
  if (state.chosen.size === 0 && !address.has("length")) {
    tags.slice(0, 3).forEach((tag, i) => state.chosen.set(tag.name, i));
    syncBoxes();
  }
  await refresh();
  await listUnits();
  every(LIVE_PERIOD_MS, async () => {
    if (state.endMs === null && state.chosen.size > 0) await refresh();
  });
  every(UNITS_PERIOD_MS, () => Promise.all([listUnits(), showHealth()]));
}

start().catch(notice);
