// One chart: a specification of analysis/charts, filled, compiled and drawn when it comes into view. What was drawn once
// is kept up to date out of view too, so that nobody scrolls, prints or copies into what the sweep was.

const SPECS = JSON.parse(byId("charts").textContent);
const charts = new Map();
vega.expressionFunction("numeral", (value) => number(value));
vega.expressionFunction("powerOfTen", (value) => "10" + superscript(Math.round(value)));

/** A specification with its placeholders ${...} replaced; a string that is nothing else takes any value. */
function filled(node, values) {
  if (typeof node === "string") {
    const whole = node.match(/^\$\{([\w.]+)\}$/);
    if (whole) return values[whole[1]];
    return node.replace(/\$\{([\w.]+)\}/g, (_, name) => values[name]);
  }
  if (Array.isArray(node)) return node.map((each) => filled(each, values));
  if (node === null || typeof node !== "object") return node;
  return Object.fromEntries(Object.entries(node).map(([name, each]) => [name, filled(each, values)]));
}

/**
 * Put a chart into the element of that id.
 *
 * reads: names of the state after whose change it is drawn again. draw(width) returns {reason}, in words, where there
 * is nothing to draw, else {spec, values, data, summary}: the name of a specification, what fills it, rows by name of
 * the data, and the chart in one sentence. Options: signals, tip(datum) -> rows of the tooltip, press(datum),
 * after(view).
 */
function chart(id, reads, draw) {
  const entry = {
    id,
    host: byId(id),
    reads: new Set(["payload", "theme", ...reads]),
    draw,
    dirty: true,
    visible: false,
  };
  charts.set(id, entry);
  new IntersectionObserver(
    (seen) => {
      entry.visible = seen.at(-1).isIntersecting; // several while the browser was busy: the last one holds
      if (entry.visible) flush();
    },
    { rootMargin: "150px" },
  ).observe(entry.host);
  new ResizeObserver(() => {
    if (entry.width !== undefined && Math.abs(entry.host.clientWidth - entry.width) > 1) touch(entry);
  }).observe(entry.host);
  return entry;
}

/** A function that makes its value again only when one of the things that it depends on is another. */
function kept(make) {
  let before = null;
  let value = null;
  return (...on) => {
    if (!before || on.some((each, i) => each !== before[i])) [before, value] = [on, make(...on)];
    return value;
  };
}

let waiting = false;
let idle = false;
const whenIdle = window.requestIdleCallback ?? ((call) => setTimeout(call, 100)); // Safari has none

/** Draw what is in view and out of date, once for all changes of this frame; the rest when there is time for it. */
function flush() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    if (!state.payload) return;
    for (const entry of charts.values()) if (entry.dirty && entry.visible) render(entry);
    later();
  });
}

const stale = () => [...charts.values()].find((entry) => entry.dirty && entry.drawing);

/** One chart out of view at a time. */
function later() {
  if (idle || !stale()) return;
  idle = true;
  whenIdle(() => {
    idle = false;
    const entry = stale();
    if (entry) render(entry);
    later();
  });
}

function touch(entry) {
  entry.dirty = true;
  flush();
}

listeners.push((names) => {
  for (const entry of charts.values()) if ([...names].some((name) => entry.reads.has(name))) entry.dirty = true;
  flush();
});

function render(entry) {
  entry.dirty = false;
  entry.width = entry.host.clientWidth;
  const drawing = entry.draw(entry.width);
  entry.drawing = drawing;
  if (drawing.reason) return clear(entry, drawing.reason);
  const spec = filled(SPECS[drawing.spec], { width: entry.width, ...drawing.values });
  const key = JSON.stringify(spec) + mode();
  if (key !== entry.key) build(entry, spec, key);
  for (const [name, rows] of Object.entries(drawing.data)) {
    if (entry.given[name] === rows) continue; // the same rows: a selection among a thousand runs moves a few
    entry.view.data(name, rows);
    entry.given[name] = rows;
  }
  for (const [name, value] of Object.entries(drawing.signals ?? {})) entry.view.signal(name, value);
  entry.view.description(drawing.summary);
  entry.summary.textContent = drawing.summary;
  entry.done = entry.view.runAsync().then((view) => drawing.after?.(view));
}

function clear(entry, reason) {
  entry.view?.finalize();
  entry.view = entry.key = null;
  entry.host.replaceChildren(element("p", { class: "reason" }, reason));
}

function build(entry, spec, key) {
  entry.view?.finalize();
  const holder = element("div", { class: "view" });
  entry.summary = element("p", { class: "summary" });
  entry.host.replaceChildren(holder, entry.summary);
  const { spec: compiled } = vegaLite.compile(spec, { config: vegaConfig() });
  entry.key = key;
  entry.given = {};
  entry.view = new vega.View(vega.parse(compiled), { renderer: "canvas", logLevel: vega.Error })
    .tooltip((_, event, item, value) =>
      tooltip(event, value && entry.drawing.tip ? entry.drawing.tip(item.datum) : null),
    )
    .initialize(holder);
  entry.view.addEventListener("click", (_, item) => item?.datum && entry.drawing.press?.(item.datum));
}

addEventListener("scroll", () => tooltip(null, null), { passive: true, capture: true });
addEventListener("keydown", (event) => event.key === "Escape" && tooltip(null, null));
