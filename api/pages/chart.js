// Curves of tags over one time axis; the only file that knows the charting library.
import { toAxis, toMs } from "/static/times.js";

const SHAPES_MAX = 120; // marked stretches per tag; more would only cover each other
const LANE_PX = 170;
const LANE_STATE_PX = 110;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** What all charts have in common, in the colours of the page. */
export function frame(extra) {
  const grid = colour("--line");
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), family: "system-ui, sans-serif", size: 12 },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: grid, font: { color: colour("--ink") } },
    margin: { l: 64, r: 14, t: 26, b: 36 },
    modebar: {
      bgcolor: "rgba(0,0,0,0)",
      color: colour("--muted"),
      activecolor: colour("--accent"),
    },
    showlegend: false,
    ...extra,
  };
}

/**
 * The height is the element's, too: to resize, the library forgets the layout's, and the drawing
 * would stand out of an element that has shrunk to nothing.
 */
function show(place, height, traces, layout) {
  place.style.height = `${height}px`;
  return Plotly.react(place, traces, { ...layout, height }, SETTINGS);
}

/** Settings of the library: no logo, no upload, only the buttons that help. */
export const SETTINGS = {
  displaylogo: false,
  responsive: true,
  scrollZoom: false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
};

const severity = (quality) => Math.min(quality >>> 30, 2);
const isState = (plot) => plot.type === "symbol" || plot.type === "text" || plot.type === "bool";

/** Numbers as JSON carries them: "NaN", "Infinity" and large integers are strings. */
function drawable(value, plot) {
  if (value === null) return null;
  if (plot.type === "bool") return value ? "true" : "false";
  return isState(plot) ? value : Number(value);
}

/** Hostile text inside a label: the library reads a few tags there, so none may begin. */
export function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function short(text, length = 28) {
  return text.length <= length ? text : `…${text.slice(1 - length)}`;
}

/** One tag's line, with breaks where there is no usable value. */
function trace(plot, index, axis, endMs) {
  const breaks = new Set(plot.break_rows);
  const x = [];
  const y = [];
  const notes = [];
  plot.time.forEach((ns, row) => {
    const code = plot.quality[row] >>> 0;
    x.push(toAxis(toMs(ns)));
    y.push(breaks.has(row) ? null : drawable(plot.value[row], plot));
    notes.push(code ? `<br>quality 0x${code.toString(16).padStart(8, "0")}` : "");
  });
  const label = plain(short(plot.tag));
  const last = plot.time.length - 1;
  const lastMs = last >= 0 ? toMs(plot.time[last]) : Infinity;
  if (plot.stepped && last >= 0 && !breaks.has(last) && lastMs < endMs) {
    x.push(toAxis(endMs)); // a stepped value holds: the line goes on to the window's edge
    y.push(y[last]);
    notes.push("<br>held");
  }
  return {
    type: "scatter",
    mode: plot.time.length < 80 ? "lines+markers" : "lines",
    name: plain(plot.tag),
    x,
    y,
    yaxis: axis,
    text: notes,
    connectgaps: false,
    line: { color: colour(`--c${index}`), width: 1.6, shape: plot.stepped ? "hv" : "linear" },
    marker: { size: 4 },
    hovertemplate: `<b>${label}</b> %{y} ${plain(plot.eng_unit)}%{text}<extra></extra>`,
  };
}

/** Stretches of bad or uncertain quality, each until the next sample of another severity. */
function marks(plot, axis, endMs) {
  const shapes = [];
  let from = null;
  let level = 0;
  const close = (ms) => {
    if (level > 0 && shapes.length < SHAPES_MAX) {
      shapes.push({
        type: "rect",
        xref: "x",
        yref: `${axis} domain`,
        x0: toAxis(from),
        x1: toAxis(ms),
        y0: 0,
        y1: 1,
        layer: "below",
        line: { width: level === 2 ? 1 : 0, color: colour("--bad") },
        fillcolor: colour(level === 2 ? "--bad-wash" : "--warn-wash"),
      });
    }
  };
  plot.time.forEach((ns, row) => {
    const now = severity(plot.quality[row]);
    if (now === level) return;
    close(toMs(ns));
    from = toMs(ns);
    level = now;
  });
  close(endMs);
  return shapes;
}

/** Tags of one engineering unit share a lane; states and bare numbers have one each. */
function lanes(plots) {
  const found = new Map();
  plots.forEach((plot, index) => {
    const alone = isState(plot) || !plot.eng_unit;
    const key = alone ? `tag:${index}` : `unit:${plot.eng_unit}`;
    if (!found.has(key)) found.set(key, { states: isState(plot), members: [] });
    found.get(key).members.push({ plot, index: plot.colour ?? index });
  });
  return [...found.values()];
}

function laneAxis(lane, top, bottom) {
  const [{ plot }] = lane.members;
  const title = plot.eng_unit || short(plot.tag.split("/").at(-1), 20);
  return {
    domain: [bottom, top],
    type: lane.states ? "category" : "linear",
    categoryorder: "category ascending", // else states change places with the window
    title: { text: plain(title), standoff: 6, font: { size: 11, color: colour("--muted") } },
    gridcolor: colour("--line"),
    linecolor: colour("--line"),
    zeroline: false,
    fixedrange: true,
    automargin: true,
    nticks: 6,
    tickformat: lane.states ? "" : "~g",
  };
}

/**
 * Draw answers of /v1/plot one below the other over one window.
 *
 * @param place element to draw into
 * @param plots answers; `colour` gives the index of the colour
 * @param window {startMs, endMs}
 * @param options {marksMs: [{ms, text}], uirevision}
 */
export function drawTrends(place, plots, window, options = {}) {
  const rows = lanes(plots);
  const heights = rows.map((lane) => (lane.states ? LANE_STATE_PX : LANE_PX));
  const total = heights.reduce((a, b) => a + b, 0);
  const layout = frame({
    hovermode: "x unified",
    dragmode: "zoom",
    uirevision: options.uirevision ?? true,
    shapes: (options.marksMs ?? []).map((mark) => ({
      type: "line",
      xref: "x",
      yref: "paper",
      x0: toAxis(mark.ms),
      x1: toAxis(mark.ms),
      y0: 0,
      y1: 1,
      line: { width: 1, dash: "dot", color: colour("--muted") },
      label: { text: plain(mark.text), textposition: "end", textangle: 0, font: { size: 10 } },
    })),
  });
  const traces = [];
  let above = 1;
  rows.forEach((lane, position) => {
    const share = heights[position] / total;
    const axis = position === 0 ? "y" : `y${position + 1}`;
    const name = position === 0 ? "yaxis" : `yaxis${position + 1}`;
    layout[name] = laneAxis(lane, above, Math.max(above - share + 0.03, 0));
    above -= share;
    for (const { plot, index } of lane.members) {
      traces.push(trace(plot, index, axis, window.endMs));
      layout.shapes.push(...marks(plot, axis, window.endMs));
    }
  });
  layout.xaxis = {
    type: "date",
    range: [toAxis(window.startMs), toAxis(window.endMs)],
    gridcolor: colour("--line"),
    linecolor: colour("--line"),
    anchor: rows.length ? `y${rows.length === 1 ? "" : rows.length}` : "y",
    showspikes: true,
    spikethickness: 1,
    spikecolor: colour("--muted"),
  };
  return show(place, Math.max(total + 60, 240), traces, layout);
}

/** Draw anything else in the page's colours: traces and layout as the library takes them. */
export function draw(place, height, traces, layout) {
  return show(place, height, traces, frame(layout));
}

/** Call back when the reader changes between light and dark. */
export function onColours(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

export { colour };
