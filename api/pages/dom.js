// Elements from plain data. Names from the plant are hostile: they only ever become text nodes.

/** Build an element: attributes are set by name, children are elements or text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      made.setAttribute(name, value);
  }
  made.append(
    ...children
      .filter((c) => c !== null && c !== undefined)
      .map((c) => (c instanceof Node ? c : String(c))),
  );
  return made;
}

/** Replace what an element holds. */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.filter((c) => c !== null && c !== undefined));
  return parent;
}

export const byId = (id) => document.getElementById(id);

/** A table of rows of cells; a cell is text, a node, or null. */
export function table(headings, rows, empty) {
  if (rows.length === 0) return element("p", { class: "empty" }, empty);
  const isNumber = headings.map((h) => h.startsWith("#"));
  const head = headings.map((h, i) =>
    element("th", { scope: "col", class: isNumber[i] ? "number" : null }, h.replace("#", "")),
  );
  const body = rows.map((cells) =>
    element(
      "tr",
      {},
      ...cells.map((c, i) => element("td", { class: isNumber[i] ? "number" : null }, c ?? "–")),
    ),
  );
  return element(
    "div",
    { class: "scroll" },
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...body),
    ),
  );
}

/** The colour of a verdict. */
export function tone(verdict) {
  const word = String(verdict ?? "").toUpperCase();
  if (["PASS", "OK", "GOOD"].includes(word)) return "good";
  if (["FAIL", "NOK", "BAD", "SCRAP"].includes(word)) return "bad";
  return word ? "warn" : "";
}

/** A short coloured word. */
export function pill(text, tone = "") {
  return element("span", { class: `pill ${tone}` }, text);
}
