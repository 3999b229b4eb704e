// Times in the page. The server speaks nanoseconds as strings; a screen needs milliseconds.

/** Milliseconds since 1970 of a string of nanoseconds; the fraction keeps microseconds. */
export function toMs(ns) {
  const text = String(ns);
  return text.length > 6 && text[0] !== "-"
    ? Number(text.slice(0, -6)) + Number(text.slice(-6)) / 1e6
    : Number(text) / 1e6;
}

/** Nanoseconds as a string, of milliseconds. */
export function toNs(ms) {
  return `${BigInt(Math.round(ms * 1000)) * 1000n}`;
}

/** Local time as plotly's date axis takes it: a wall-clock text without a zone. */
export function toAxis(ms) {
  const date = new Date(ms);
  const local = new Date(ms - date.getTimezoneOffset() * 60000);
  return local.toISOString().slice(0, -1).replace("T", " ");
}

/** Milliseconds of a text that plotly's date axis gave back. */
export function fromAxis(text) {
  return typeof text === "number" ? text : new Date(String(text).replace(" ", "T")).getTime();
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const FULL = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "medium",
  hourCycle: "h23",
});

/** Date and time for people, in the browser's zone. */
export const full = (ms) => (Number.isFinite(ms) ? FULL.format(ms) : "–");
/** Time of day. */
export const clock = (ms) => (Number.isFinite(ms) ? CLOCK.format(ms) : "–");

/** A duration for people. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 172800)
    return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${(seconds / 86400).toFixed(1)} d`;
}

/** How long ago, for people. */
export function ago(ms, nowMs) {
  const past = nowMs - ms;
  return past < 0 ? `in ${duration(-past)}` : `${duration(past)} ago`;
}
