// The server's API as the pages use it: token, requests, errors in the one shape.
import { byId, element } from "/static/dom.js";

const KEY = "historian-token";

/** Take the token out of the address, so that it stays in no history and no screenshot. */
function adoptToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!found) return;
  sessionStorage.setItem(KEY, found);
  history.replaceState(null, "", location.pathname + location.search);
}
adoptToken();
addEventListener("hashchange", () => {
  adoptToken();
  location.reload();
});

/** What the server refused, with its stable code. */
export class Refused extends Error {
  constructor(status, error) {
    const facts = [
      ["got", error.got],
      ["want", error.want],
      ["at", error.where],
    ]
      .filter(([, v]) => v)
      .map(([k, v]) => `${k} ${v}`);
    super([error.message, ...facts].join(", "));
    this.status = status;
    this.code = error.code;
  }
}

let asking = null;

function askForToken() {
  asking ??= new Promise((resolve) => {
    const input = element("input", {
      id: "token",
      type: "password",
      autocomplete: "off",
      required: true,
    });
    const dialog = element(
      "dialog",
      { "aria-labelledby": "token-title" },
      element(
        "form",
        { method: "dialog" },
        element("h2", { id: "token-title" }, "Bearer token"),
        element(
          "label",
          { for: "token" },
          "Open the address that “historian serve” prints, or paste the token of its file.",
        ),
        input,
        element("button", {}, "Open"),
      ),
    );
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(KEY, input.value.trim());
      dialog.remove();
      asking = null;
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

/** GET a path with parameters (a list value repeats its name); JSON, or a thrown Refused. */
export async function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") query.append(name, one);
    }
  }
  const address = query.size ? `${path}?${query}` : path;
  for (;;) {
    const token = sessionStorage.getItem(KEY);
    if (!token) {
      await askForToken();
      continue;
    }
    const response = await fetch(address, {
      headers: { authorization: `Bearer ${token}`, accept: "application/json" },
      signal,
    });
    if (response.ok) return response.json();
    const body = await response
      .json()
      .catch(() => ({ error: { message: response.statusText, code: "unknown" } }));
    if (response.status === 401) {
      sessionStorage.removeItem(KEY);
      await askForToken();
      continue;
    }
    throw new Refused(response.status, body.error);
  }
}

/** Show what went wrong, or hide the notice. */
export function notice(problem) {
  const place = byId("notice");
  place.hidden = !problem;
  place.textContent = problem ? (problem.message ?? String(problem)) : "";
}

/** Whether the server takes and answers now, in the header. */
export async function showHealth() {
  const place = byId("health");
  try {
    const response = await fetch("/ready");
    const ready = await response.json();
    place.textContent = response.ok ? "ready" : `not ready: ${(ready.reasons ?? []).join(", ")}`;
    place.className = response.ok ? "pill good" : "pill warn";
  } catch {
    place.textContent = "no connection";
    place.className = "pill bad";
  }
}

/** The search field of the header leads to a passport. */
export function installFind() {
  byId("find-unit").addEventListener("submit", (event) => {
    event.preventDefault();
    const serial = byId("serial").value.trim();
    if (serial) location.href = `/units/${encodeURIComponent(serial)}`;
  });
}
