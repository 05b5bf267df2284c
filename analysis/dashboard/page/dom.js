// Elements from text: nothing of the payload ever becomes markup.

const byId = (id) => document.getElementById(id);

/** An element with attributes, properties and children; strings become text. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") Object.assign(node.style, value);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const pairs = (rows) =>
  element("dl", {}, ...rows.flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, String(text))]));

/** Give a select these options, [value, text], and the value; one without a choice is not shown. */
function choose(select, options, value) {
  const before = [...select.options].map((option) => [option.value, option.text]);
  if (JSON.stringify(before) !== JSON.stringify(options)) {
    select.replaceChildren(...options.map(([name, text]) => element("option", { value: name }, text)));
  }
  select.value = value ?? "";
  select.closest("label").hidden = options.length === 0;
}

const SHAPES = {
  square: '<rect x="1" y="2" width="10" height="10" rx="2" fill="currentColor"/>',
  filled: '<circle cx="6" cy="7" r="4" fill="currentColor"/>',
  open: '<circle cx="6" cy="7" r="3.6" fill="none" stroke="currentColor" stroke-width="1.6"/>',
  bound: '<path d="M6 2 L11 11 L1 11 Z" fill="currentColor"/>',
  cross: '<path d="M2 3 L10 11 M10 3 L2 11" stroke="currentColor" stroke-width="1.8"/>',
  frame: '<rect x="1" y="4" width="20" height="6" fill="none" stroke="currentColor" stroke-width="1.8"/>',
  below:
    '<rect width="22" height="12" y="1" fill="var(--floor)"/>' +
    '<path d="M2 7 H20" stroke="var(--soft)" stroke-width="1.4" stroke-dasharray="4 3"/>',
  unfinite:
    '<rect width="22" height="12" y="1" fill="var(--unfinite)"/>' +
    '<path d="M3 4 l6 6 m0 -6 l-6 6 M13 4 l6 6 m0 -6 l-6 6" stroke="var(--unfinite-mark)" stroke-width="1.5"/>',
  down: '<path d="M6 12 L11 4 L1 4 Z" fill="currentColor"/>',
};

/** A mark as it stands in a chart, beside its meaning. `dash`: a line of that pattern instead. */
function keyed(
  text,
  { shape = "square", colour = "var(--soft)", dash = null, width = 2.2, press = null, title = null } = {},
) {
  const wide = dash !== null || ["frame", "below", "unfinite"].includes(shape);
  const stroke = `stroke-width="${Number(width)}" stroke-dasharray="${(dash ?? []).map(Number).join(" ")}"`;
  const body = dash !== null ? `<path d="M0 7 H22" stroke="currentColor" ${stroke}/>` : SHAPES[shape];
  const holder = element("span");
  // Markup of this file and numbers alone.
  holder.innerHTML = `<svg width="${wide ? 22 : 12}" height="14" aria-hidden="true">${body}</svg>`;
  holder.firstChild.style.color = colour;
  const words = press
    ? element("button", { type: "button", title: `${title ?? text}: put in focus`, onclick: press }, text)
    : element("span", { class: "name", title: text }, text);
  return element("span", {}, holder.firstChild, words);
}

function gradientKey(title, low, high) {
  const stops = Array.from({ length: 9 }, (_, i) => magnitude(i / 8)).join(",");
  const bar = element("span", { class: "ramp", "aria-hidden": "true" });
  Object.assign(bar.style, {
    width: "7rem",
    height: ".7rem",
    borderRadius: "2px",
    background: `linear-gradient(90deg,${stops})`,
  });
  return element("span", {}, `${title}: ${low}`, bar, high);
}

/** Put a name and value beside the pointer; null hides it. */
function tooltip(event, rows) {
  const box = byId("tooltip");
  if (!rows) {
    box.hidden = true;
    return;
  }
  box.replaceChildren(pairs(rows));
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const gap = 14;
  const x = Math.min(event.clientX + gap, innerWidth - width - 8);
  const y = event.clientY + gap + height > innerHeight ? event.clientY - height - gap : event.clientY + gap;
  Object.assign(box.style, { left: `${Math.max(x, 8)}px`, top: `${Math.max(y, 8)}px` });
}
