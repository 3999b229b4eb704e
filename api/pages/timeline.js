// The visits of a unit on one time axis, with what was seen and tested on the way.
import { colour, draw, plain } from "/static/chart.js";
import { tone } from "/static/dom.js";
import { clock, duration, toAxis, toMs } from "/static/times.js";

const ROW_PX = 40;
const TONES = { good: "--good", bad: "--bad", warn: "--warn", "": "--muted" };

/** Milliseconds of a time that may be unknown. */
const ms = (time) => (time === null || time === undefined ? null : toMs(time));

/** Bounds of a stay: reported, else those of the window that the passport used. */
export function stay(visit) {
  const from = ms(visit.in) ?? ms(visit.window.start);
  return [from, Math.max(ms(visit.out) ?? ms(visit.window.end), from + 1)];
}

function row(visit) {
  return plain(visit.attempt > 1 ? `${visit.station} (${visit.attempt})` : visit.station);
}

function hover(visit) {
  const [from, to] = stay(visit);
  const lines = [
    `<b>${plain(visit.station)}</b> ${plain(visit.verdict ?? "no verdict")}`,
    `${clock(from)} – ${visit.out === null ? "still there or unknown" : clock(to)}`,
    `stay ${duration(to - from)}`,
  ];
  if (visit.recipe) lines.push(`recipe ${plain(visit.recipe)}`);
  if (visit.flags.length) lines.push(plain(visit.flags.join(", ")));
  return lines.join("<br>");
}

/** Bars from `begin` to `end` of each visit. */
function bars(visits, span, width, opacity, selected) {
  const edges = visits.map(span);
  return {
    type: "bar",
    orientation: "h",
    y: visits.map(row),
    base: edges.map(([from]) => toAxis(from)),
    x: edges.map(([from, to]) => to - from),
    width,
    customdata: visits.map((v) => v.index),
    text: visits.map(hover),
    textposition: "none",
    hovertemplate: "%{text}<extra></extra>",
    marker: {
      color: visits.map((v) => colour(TONES[tone(v.verdict)])),
      opacity,
      line: {
        color: colour("--ink"),
        width: visits.map((v) => (v.index === selected ? 2 : 0)),
      },
    },
  };
}

function marks(visits, rows, timeOf, symbol, textOf) {
  const known = rows.filter((r) => r.visit !== null && timeOf(r) !== null);
  return {
    type: "scatter",
    mode: "markers",
    x: known.map((r) => toAxis(ms(timeOf(r)))),
    y: known.map((r) => row(visits[r.visit])),
    customdata: known.map((r) => r.visit),
    text: known.map(textOf),
    hovertemplate: "%{text}<extra></extra>",
    marker: {
      symbol,
      size: 9,
      color: known.map((r) => colour(TONES[tone(r.verdict)])),
      line: { color: colour("--card"), width: 1.5 },
    },
  };
}

/**
 * Draw the visits; stays are pale, work is solid, colours are verdicts.
 *
 * @param place element to draw into
 * @param passport answer of /v1/units/{serial}
 * @param selected index of the chosen visit
 */
export function drawTimeline(place, passport, selected) {
  const { visits } = passport;
  const vision = visits.flatMap((v) => v.vision);
  const tests = visits.flatMap((v) => v.tests);
  const worked = visits.filter((v) => v.start !== null || v.end !== null);
  const work = (v) => {
    const from = ms(v.start) ?? stay(v)[0];
    return [from, Math.max(ms(v.end) ?? stay(v)[1], from + 1)];
  };
  const seen = (v) =>
    `${plain(v.camera ?? "camera")}: ${plain(v.event ?? "")} ${plain(v.label ?? v.step ?? "")}` +
    `<br>${plain(v.verdict ?? "")} ${v.confidence === null ? "" : v.confidence}`;
  const tested = (t) =>
    `${plain(t.test ?? "test")}: ${plain(t.verdict ?? "")}` +
    `<br>${t.value ?? ""} ${plain(t.eng_unit ?? "")}`;
  const rows = [...new Set(visits.map(row))];
  return draw(
    place,
    Math.max(160, rows.length * ROW_PX + 80),
    [
      bars(visits, stay, 0.62, 0.28, selected),
      bars(worked, work, 0.34, 0.95, null),
      marks(visits, vision, (v) => v.start ?? v.time, "diamond", seen),
      marks(visits, tests, (t) => t.time, "triangle-up", tested),
    ],
    {
      barmode: "overlay",
      bargap: 0,
      hovermode: "closest",
      margin: { l: 96, r: 14, t: 26, b: 36 },
      xaxis: { type: "date", gridcolor: colour("--line"), linecolor: colour("--line") },
      yaxis: {
        type: "category",
        categoryorder: "array",
        categoryarray: rows.reverse(),
        automargin: true,
        fixedrange: true,
        gridcolor: colour("--line"),
      },
    },
  );
}
