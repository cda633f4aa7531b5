// Elements of the document. Text is text: nothing here, and nothing that uses it, makes markup of a string.

const SVG = "http://www.w3.org/2000/svg";

/** A new element with attributes and children; a child that is no element is text. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same of SVG. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

/** Change what differs, and nothing else: focus, selection and screen readers are left alone. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export function setAttribute(target, name, value) {
  if (value === null || value === undefined || value === false) target.removeAttribute(name);
  else if (target.getAttribute(name) !== String(value)) target.setAttribute(name, String(value));
}

/** element → its children by their keys */
const children = new WeakMap();

/**
 * Make `parent` hold one child for each of `items`, in their order. A child lives as long as its item's key is there.
 * `make(item)` returns an element, `update(element, item)` brings it up to date.
 */
export function keyed(parent, items, key, make, update) {
  const known = children.get(parent) ?? new Map();
  const next = new Map(items.map((item) => [key(item), item]));
  for (const [name, child] of known) {
    if (!next.has(name)) child.remove(); // first: an element that is moved loses the focus
  }
  let place = parent.firstElementChild;
  for (const [name, item] of next) {
    const child = known.get(name) ?? make(item);
    next.set(name, child);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
  }
  children.set(parent, next);
}

/**
 * An empty table. On a phone its rows are blocks, which would take the roles from its parts; so they are said.
 * `columns` have a `name`, and perhaps a `kind` ("number"), a `key` (its class), and `quiet`: the name is not shown.
 */
export function table(label, columns) {
  const heads = columns.map(({ name, kind, quiet }) =>
    element("th", { scope: "col", role: "columnheader", class: kind }, quiet ? element("span", { class: "unseen" }, name) : name),
  );
  return element(
    "table",
    { role: "table", "aria-label": label },
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...heads)),
    element("tbody", { role: "rowgroup" }),
  );
}

/** A row with a cell for each of `columns`, which have the same form as for `table`. */
export function row(columns) {
  const cells = columns.map(({ name, kind, key, quiet }, place) =>
    element(place ? "td" : "th", {
      role: place ? "cell" : "rowheader",
      scope: place ? null : "row",
      class: [kind, key].filter(Boolean).join(" "),
      "data-name": quiet ? null : name,
    }),
  );
  return element("tr", { role: "row" }, ...cells);
}
