// The passport of a unit: its visits, what was measured, seen, tested, consumed on each.
import { drawTrends, onColours } from "/static/chart.js";
import { get, installFind, notice, showHealth } from "/static/client.js";
import { byId, element, fill, pill, table, tone } from "/static/dom.js";
import { drawTimeline, stay } from "/static/timeline.js";
import { clock, duration, full, toMs, toNs } from "/static/times.js";

const CURVES_MAX = 8; // drawn together; the chooser has the others
const PAD_SHARE = 0.15; // shown before and after the visit
const HEALTH_PERIOD_MS = 5000;

const serial = decodeURIComponent(location.pathname.slice("/units/".length));
const product = new URLSearchParams(location.search).get("product");
const state = { passport: null, selected: null, tags: [], plots: [], window: null, asking: null };

const at = (time) => (time === null || time === undefined ? null : clock(toMs(time)));
const number = (value, digits = 5) =>
  value === null || value === undefined ? null : Number(Number(value).toPrecision(digits));
const unitLink = (name) => element("a", { href: `/units/${encodeURIComponent(name)}` }, name);

// Head

function fact(label, ...value) {
  if (value.every((v) => v === null || v === undefined || v === "")) return null;
  return element("div", {}, element("dt", {}, label), element("dd", {}, ...value));
}

function showHead(passport) {
  const { unit } = passport;
  document.title = `${passport.serial} · Passport`;
  byId("unit").textContent = passport.serial;
  fill(
    byId("verdict"),
    unit.last_verdict ? pill(unit.last_verdict, tone(unit.last_verdict)) : null,
  );
  const made = toMs(unit.last) - toMs(unit.first);
  const totals = passport.energy.totals.map((t) => `${number(t.energy)} ${t.eng_unit}`).join(", ");
  const sure = passport.energy.complete ? "" : " (not all known)";
  const children = unit.children.flatMap((name, i) => [i ? ", " : "", unitLink(name)]);
  fill(
    byId("facts"),
    fact("Product", passport.product),
    fact("Kind", unit.kind),
    fact("Order", unit.order),
    unit.parent
      ? fact("From panel", unitLink(unit.parent), ` position ${unit.position ?? "?"}`)
      : null,
    children.length ? fact("Split into", ...children) : null,
    fact("First seen", full(toMs(unit.first))),
    fact("Last seen", `${full(toMs(unit.last))} · ${duration(made)} later`),
    fact("Now at", unit.open_station ?? `none, last ${unit.last_station ?? "unknown"}`),
    totals ? fact("Energy", totals + sure) : null,
  );
  showGaps(passport);
}

function showGaps(passport) {
  const { statement } = passport.completeness;
  if (passport.gaps.length === 0) {
    fill(byId("gaps"), element("p", { class: "complete" }, statement));
    return;
  }
  const rows = passport.gaps.map((gap) =>
    element(
      "li",
      {},
      [gap.kind.replaceAll("_", " "), gap.station, gap.detail ?? gap.reason]
        .filter(Boolean)
        .join(" · "),
    ),
  );
  const list = element(
    "details",
    {},
    element("summary", {}, statement),
    element("ul", {}, ...rows),
  );
  fill(byId("gaps"), element("div", { class: "warnings" }, list));
}

// Visits

function showVisits(passport) {
  const rows = passport.visits.map((visit) => {
    const [from, to] = stay(visit);
    const choose = element("button", { type: "button" }, visit.station);
    choose.addEventListener("click", () => select(visit.index));
    return [
      choose,
      visit.attempt,
      at(visit.in),
      at(visit.out),
      duration(to - from),
      visit.verdict ? pill(visit.verdict, tone(visit.verdict)) : null,
      visit.carrier,
      visit.recipe,
      visit.inherited_from ? element("span", {}, "as ", unitLink(visit.inherited_from)) : "itself",
      visit.flags.join(", ").replaceAll("_", " "),
    ];
  });
  const headings = [
    "Station",
    "#Attempt",
    "In",
    "Out",
    "#Stay",
    "Verdict",
    "Carrier",
    "Recipe",
    "Made",
    "Notes",
  ];
  const made = table(headings, rows, "no visits known");
  made.querySelectorAll("tbody tr").forEach((line, index) => {
    line.className = "pick";
    line.addEventListener("click", () => select(index));
  });
  fill(byId("visits"), made);
}

function select(index) {
  state.selected = index;
  byId("visits")
    .querySelectorAll("tbody tr")
    .forEach((line, i) => line.setAttribute("aria-selected", String(i === index)));
  drawTimeline(byId("timeline"), state.passport, index);
  const visit = state.passport.visits[index];
  byId("curves-title").textContent = `Curves at ${visit.station}, ${at(visit.in) ?? "?"}`;
  offerTags(visit);
  showStatistics(visit);
  showCurves().catch(notice);
}

// Curves

/** Tags that moved come first: what only says the same all the time is seldom looked for. */
function byInterest(visit) {
  const moved = (s) => (s.minimum !== null && s.minimum < s.maximum ? 0 : 1);
  const rank = (s) => 2 * moved(s) + (s.eng_unit ? 0 : 1);
  const rows = visit.statistics.map((s, i) => [rank(s), s.eng_unit, i, s.tag]);
  rows.sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : a[2] - b[2]));
  return rows.map((row) => row[3]);
}

function offerTags(visit) {
  const chooser = byId("tag-set");
  const sets = [];
  state.tags = byInterest(visit);
  for (let start = 0; start < state.tags.length; start += CURVES_MAX) {
    const names = state.tags.slice(start, start + CURVES_MAX);
    const last = (name) => name.split("/").at(-1);
    const label = names.length > 1 ? `${last(names[0])} … ${last(names.at(-1))}` : last(names[0]);
    sets.push(element("option", { value: start }, label));
  }
  for (const name of visit.tags) sets.push(element("option", { value: `tag:${name}` }, name));
  const kept = chooser.value;
  fill(chooser, ...sets);
  if ([...chooser.options].some((o) => o.value === kept)) chooser.value = kept;
  chooser.disabled = sets.length === 0;
}

function chosenTags() {
  const { value } = byId("tag-set");
  if (value.startsWith("tag:")) return [value.slice(4)];
  return state.tags.slice(Number(value), Number(value) + CURVES_MAX);
}

async function showCurves() {
  const visit = state.passport.visits[state.selected];
  state.asking?.abort();
  const mine = (state.asking = new AbortController());
  const [from, to] = stay(visit);
  const pad = Math.max((to - from) * PAD_SHARE, 500);
  state.window = { startMs: from - pad, endMs: to + pad };
  const tags = chosenTags();
  const link = byId("trend-link");
  link.hidden = tags.length === 0;
  const query = new URLSearchParams(tags.map((t) => ["tag", t]));
  query.set("length", Math.round(to - from + 2 * pad));
  query.set("end", Math.round(state.window.endMs));
  link.href = `/?${query}`;
  const pixels = Math.max(100, Math.min(4000, Math.round(byId("curves").clientWidth || 800)));
  const window = { start: toNs(state.window.startMs), end: toNs(state.window.endMs), pixels };
  const plots = await Promise.all(
    tags.map((tag) => get("/v1/plot", { tag, ...window }, mine.signal)),
  );
  if (mine.signal.aborted) return;
  plots.forEach((plot, i) => (plot.colour = i));
  state.plots = plots;
  drawCurves(visit);
}

function drawCurves(visit) {
  const names = state.plots.map((plot, i) =>
    element(
      "span",
      { class: `colour${i}` },
      "● ",
      plot.tag,
      plot.eng_unit ? ` [${plot.eng_unit}]` : "",
    ),
  );
  fill(byId("legend"), ...names);
  byId("curves").hidden = state.plots.length === 0;
  if (state.plots.length === 0) return;
  const marksMs = [
    ["in", visit.in],
    ["start", visit.start],
    ["end", visit.end],
    ["out", visit.out],
  ]
    .filter(([, time]) => time !== null)
    .map(([text, time]) => ({ text, ms: toMs(time) }));
  drawTrends(byId("curves"), state.plots, state.window, { marksMs, uirevision: visit.index });
}

function showStatistics(visit) {
  const rows = visit.statistics.map((s) => [
    s.tag,
    s.eng_unit,
    number(s.minimum),
    number(s.time_average),
    number(s.maximum),
    s.samples_used,
    s.error ?? (s.percent_good === null ? null : `${number(s.percent_good, 4)} %`),
  ]);
  const headings = ["Tag", "Unit", "#Minimum", "#Average", "#Maximum", "#Samples", "#Good"];
  const made = table(headings, rows, "no tags are bound to this station");
  fill(
    byId("statistics"),
    element("details", {}, element("summary", {}, "Statistics of the work"), made),
  );
}

// The rest

const evidence = (word) =>
  pill(word, { EXACT: "good", WINDOW: "warn", AMBIGUOUS: "bad" }[word] ?? "");

function confidence(value) {
  if (value === null || value === undefined) return null;
  const share = Math.max(0, Math.min(1, Number(value)));
  const bar = element("meter", { class: "meter", min: 0, max: 1, value: share });
  return element("span", { class: "nowrap" }, bar, `${Math.round(share * 100)} %`);
}

function showVision(passport) {
  const seen = [...passport.visits.flatMap((v) => v.vision), ...passport.unplaced.vision];
  const rows = seen.map((v) => [
    at(v.time),
    v.camera,
    [v.event, v.step, v.label].filter(Boolean).join(" · "),
    confidence(v.confidence),
    v.verdict ? pill(v.verdict, tone(v.verdict)) : null,
    [v.model, v.model_version].filter(Boolean).join(" "),
    v.clip, // text, not a link: where clips may be opened is for the administrator to say
    evidence(v.evidence),
  ]);
  const headings = [
    "Time",
    "Camera",
    "Seen",
    "Confidence",
    "Verdict",
    "Model",
    "Clip",
    "Evidence",
  ];
  fill(byId("vision"), table(headings, rows, "nothing was seen"));
}

function showTests(passport) {
  const done = [...passport.visits.flatMap((v) => v.tests), ...passport.unplaced.tests];
  const limits = (t) =>
    t.low === null && t.high === null
      ? null
      : `${number(t.low) ?? "–"} … ${number(t.high) ?? "–"}`;
  const rows = done.map((t) => [
    at(t.time),
    t.station,
    t.test,
    number(t.value),
    t.eng_unit,
    limits(t),
    t.verdict ? pill(t.verdict, tone(t.verdict)) : null,
    t.recomputed && t.recomputed !== t.verdict ? pill(`limits say ${t.recomputed}`, "warn") : null,
  ]);
  const headings = ["Time", "Station", "Test", "#Value", "Unit", "#Limits", "Verdict", ""];
  fill(byId("tests"), table(headings, rows, "no tests reported"));
}

function materialNotes(use) {
  const notes = use.flags.map((flag) => flag.replaceAll("_", " "));
  if (use.removed !== null) notes.unshift(`removed ${at(use.removed)}`);
  if (use.alternatives.length > 1) notes.unshift(`one of ${use.alternatives.join(", ")}`);
  return notes.join(" · ");
}

function showMaterials(passport) {
  const rows = passport.materials.map((m) => [
    m.part,
    m.lot,
    m.supplier_lot,
    [m.station, m.slot].filter(Boolean).join(" "),
    number(m.quantity),
    evidence(m.evidence),
    materialNotes(m),
  ]);
  const headings = ["Part", "Lot", "Supplier lot", "Where", "#Quantity", "Evidence", "Notes"];
  fill(byId("materials"), table(headings, rows, "no materials known"));
}

function showEnergy(passport) {
  const rows = passport.visits.flatMap((visit) =>
    visit.energy.map((e) => [
      visit.station,
      e.meter,
      number(e.energy),
      e.eng_unit,
      e.estimated ? "between two reads" : null,
      e.shared_by > 1 ? `shared by ${e.shared_by}` : null,
      e.reason,
    ]),
  );
  const headings = ["Station", "Meter", "#Energy", "Unit", "Bounds", "Share", "Unknown because"];
  fill(byId("energy"), table(headings, rows, "no meter at these stations"));
}

function showCarriers(passport) {
  const span = (c) => `${at(c.start) ?? "?"} – ${at(c.end) ?? "now"}`;
  const carried = passport.carriers.map((c) => [
    c.carrier,
    c.nest,
    span(c),
    c.flags.join(", ").replaceAll("_", " "),
  ]);
  const moved = passport.moves.map((m) => [
    m.cart,
    null,
    at(m.time),
    `${m.from_location ?? "?"} → ${m.to_location ?? "?"}`,
  ]);
  const rows = [...carried, ...moved];
  fill(byId("carriers"), table(["Carrier or cart", "Nest", "When", "Notes"], rows, "none known"));
}

// Start

function listenToTimeline() {
  byId("timeline").on("plotly_click", (event) => {
    const index = event.points[0]?.customdata;
    if (Number.isInteger(index)) select(index);
  });
}

async function start() {
  installFind();
  byId("tag-set").addEventListener("change", () => showCurves().catch(notice));
  showHealth();
  setInterval(() => document.hidden || showHealth(), HEALTH_PERIOD_MS);
  byId("unit").textContent = serial;
  const passport = await get(`/v1/units/${encodeURIComponent(serial)}`, { product });
  state.passport = passport;
  showHead(passport);
  showVisits(passport);
  showVision(passport);
  showTests(passport);
  showMaterials(passport);
  showEnergy(passport);
  showCarriers(passport);
  byId("main").setAttribute("aria-busy", "false");
  if (passport.visits.length === 0) return;
  await drawTimeline(byId("timeline"), passport, 0);
  listenToTimeline();
  const measured = passport.visits.findIndex((v) => v.tags.length > 0);
  select(Math.max(0, measured));
  onColours(() => {
    drawTimeline(byId("timeline"), passport, state.selected);
    drawCurves(passport.visits[state.selected]);
  });
}

start().catch(notice);
