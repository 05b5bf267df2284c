// Brushes on the axes of the parallel coordinates: stretches in [0, 1] that a run must pass to be selected.

const brushes = new Map(); // name of an axis -> [low, high]
const SMALLEST = 0.02;
const KEY_STEP = 0.02;
const inUnit = (value) => Math.min(Math.max(value, 0), 1);

/** The runs that pass all brushes; one that has no value on a brushed axis does not. */
function brushedRuns(all, scales) {
  const active = scales.filter((scale) => brushes.has(scale.name));
  return all.filter((run) =>
    active.every((scale) => {
      const place = scale.place(run);
      const [low, high] = brushes.get(scale.name);
      return place !== null && place >= low - 1e-9 && place <= high + 1e-9;
    }),
  );
}

let asked = false;

/** Select what the brushes leave, once per frame. */
function brushed() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    if (brushes.size) select(brushedRuns(state.shown, parallelScales()).map((run) => run.run));
  });
}

function setBrush(strip, scale, range) {
  if (range) brushes.set(scale.name, range);
  else brushes.delete(scale.name);
  paintBrush(strip, scale);
  brushed();
}

function paintBrush(strip, scale) {
  const range = brushes.get(scale.name);
  const mark = strip.firstChild;
  mark.hidden = !range;
  const words = range ? `${scale.text(range[0])} to ${scale.text(range[1])}` : "all";
  strip.setAttribute("aria-valuetext", words);
  strip.setAttribute("aria-valuenow", String(range ? (range[0] + range[1]) / 2 : 0.5));
  if (range) Object.assign(mark.style, { top: `${(1 - range[1]) * 100}%`, bottom: `${range[0] * 100}%` });
}

function brushKey(event, strip, scale) {
  const range = brushes.get(scale.name) ?? [0.4, 0.6];
  const by = { ArrowUp: KEY_STEP, ArrowDown: -KEY_STEP }[event.key];
  if (event.key === "Escape" || event.key === "Delete") setBrush(strip, scale, null);
  else if (by && event.shiftKey) {
    const [low, high] = [inUnit(range[0] - by), inUnit(range[1] + by)];
    if (high - low >= SMALLEST) setBrush(strip, scale, [low, high]);
  } else if (by) {
    const shift = Math.min(Math.max(by, -range[0]), 1 - range[1]);
    setBrush(strip, scale, [range[0] + shift, range[1] + shift]);
  } else return;
  event.preventDefault();
}

function brushDrag(event, strip, scale) {
  if (event.button) return;
  const box = strip.getBoundingClientRect();
  const place = (moved) => inUnit(1 - (moved.clientY - box.top) / box.height);
  const start = place(event);
  const before = brushes.get(scale.name);
  const inside = before && start >= before[0] && start <= before[1];
  strip.setPointerCapture(event.pointerId);
  let moved = false;
  strip.onpointermove = (at) => {
    const now = place(at);
    if (!moved && Math.abs(now - start) * box.height < 3) return;
    moved = true;
    if (!inside) return setBrush(strip, scale, [Math.min(start, now), Math.max(start, now)]);
    const shift = Math.min(Math.max(now - start, -before[0]), 1 - before[1]);
    setBrush(strip, scale, [before[0] + shift, before[1] + shift]);
  };
  strip.onpointerup = strip.onpointercancel = () => {
    strip.onpointermove = strip.onpointerup = strip.onpointercancel = null;
    if (!moved) setBrush(strip, scale, null); // a click clears
  };
}

/** Put a strip over each axis of the drawn view. */
function layStrips(view, scales) {
  const host = byId("parallel");
  const [left, top] = view.origin();
  const x = view.scale("x");
  const y = view.scale("y");
  const pad = view.padding();
  const padded = typeof pad === "number" ? { left: pad, top: pad } : pad;
  const active = document.activeElement?.dataset?.axis;
  for (const old of host.querySelectorAll(".brush"))
    if (!scales.some((scale) => scale.name === old.dataset.axis)) old.remove();
  scales.forEach((scale, i) => {
    const found = [...host.querySelectorAll(".brush")].find((each) => each.dataset.axis === scale.name);
    const strip =
      found ??
      element(
        "div",
        {
          class: "brush",
          tabindex: "0",
          role: "slider",
          "data-axis": scale.name,
          "aria-orientation": "vertical",
          "aria-valuemin": "0",
          "aria-valuemax": "1",
        },
        element("i"),
      );
    strip.setAttribute("aria-label", `brush on ${scale.label}`);
    strip.onkeydown = (event) => brushKey(event, strip, scale);
    strip.onpointerdown = (event) => brushDrag(event, strip, scale);
    Object.assign(strip.style, {
      left: `${left + padded.left + x(i)}px`,
      top: `${top + padded.top + y(1)}px`,
      height: `${y(0) - y(1)}px`,
    });
    paintBrush(strip, scale);
    if (!found) host.append(strip);
    if (active === scale.name) strip.focus({ preventScroll: true });
  });
}
