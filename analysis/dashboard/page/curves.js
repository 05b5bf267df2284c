// Learning curves of the selected runs.

const MOST = 40; // lines that an eye and a frame can still take
const LOG_CURVES = /loss|norm/;

const curveNames = () => distinct(runs().flatMap((run) => Object.keys(run.curves ?? {})));

function firstCurve() {
  const names = curveNames();
  return ["train/loss", "validation/loss"].find((name) => names.includes(name)) ?? names[0] ?? null;
}

/** Mean with weights of a Gaussian over the steps, so that a falling curve is not held back; null stays null. */
function smoothed(steps, values, width) {
  return values.map((value, i) => {
    if (value === null) return null;
    let sum = 0;
    let weight = 0;
    for (let j = 0; j < steps.length; j++) {
      if (values[j] === null) continue;
      const share = Math.exp(-(((steps[j] - steps[i]) / width) ** 2) / 2);
      sum += share * values[j];
      weight += share;
    }
    return sum / weight;
  });
}

/** Rows of one curve: the line, the faint raw one behind a smoothed one, numbers that no line reaches, and its end. */
function curveRows(run, look) {
  const [steps, values] = run.curves[state.curve];
  const log = state.curveLog;
  const usable = values.map((value) => (value === null || (log && value <= 0) ? null : value));
  const reach = (state.smoothing / 100) * Math.max(steps.at(-1) - steps[0], 1);
  const scaled = log ? usable.map((value) => value && Math.log(value)) : usable;
  const mean = reach
    ? smoothed(steps, scaled, reach).map((value) => (log && value !== null ? Math.exp(value) : value))
    : usable;
  const rows = [];
  const add = (kind, i, y) => rows.push({ kind, run: run.run, step: steps[i], y, value: values[i], ...look });
  for (const i of steps.keys()) {
    add("line", i, mean[i]);
    if (reach) add("raw", i, usable[i]);
    if (usable[i] !== null) add("point", i, mean[i]);
    if (usable[i] !== null && (usable[i - 1] ?? usable[i + 1] ?? null) === null) add("alone", i, mean[i]);
    if (usable[i] !== null && i + 1 < steps.length && values[i + 1] === null) add("end", i, mean[i]);
  }
  return rows;
}

function colourKey(host, drawn) {
  const { colour, payload } = state;
  const axis = payload.axes[axisIndex(colour)];
  if (axis) {
    const colours = axisColours(axis);
    host.replaceChildren(
      ...[...colours].map(([value, tint]) => keyed(`${axis.label} ${value}`, { dash: [], colour: tint })),
    );
  } else if (colour === "outcome") {
    const seen = distinct(drawn.map((run) => run.outcome));
    host.replaceChildren(...seen.map((name) => keyed(name, { dash: [], colour: outcomeColour(name) })));
  } else {
    const look = runLook();
    host.replaceChildren(
      ...drawn.map((run) =>
        keyed(shortLabel(run, drawn, payload.axes), {
          ...look(run),
          title: label(run),
          press: () => change({ focus: run.run }),
        }),
      ),
    );
  }
}

function curvesKey() {
  const drawn = curveRuns().slice(0, MOST);
  colourKey(byId("curves-key"), drawn);
  if (drawn.some((run) => run.curves[state.curve][1].includes(null)))
    byId("curves-key").append(keyed("not finite from here on", { shape: "cross" }));
}

const curveRuns = () => selectedRuns().filter((run) => run.curves?.[state.curve]?.[0].length);

function drawCurves() {
  byId("curves-key").replaceChildren();
  if (!runs().length) return { reason: "No runs yet." };
  if (!state.curve) return { reason: "No run has recorded a curve yet." };
  if (!state.selected.size) return { reason: "No run is selected: tick some in the table or press Select shown." };
  const found = curveRuns();
  if (!found.length) return { reason: `None of the selected runs has recorded ${state.curve}.` };
  const drawn = found.slice(0, MOST);
  const look = runLook();
  const names = new Map(drawn.map((run) => [run.run, label(run)]));
  const data = drawn.flatMap((run) => curveRows(run, look(run)));
  const range = extent(data.map((each) => each.y));
  if (!range)
    return { reason: `${state.curve} has no ${state.curveLog ? "positive" : "finite"} value in the selected runs.` };
  curvesKey();
  const more = found.length > MOST ? ` The first ${MOST} of ${found.length} are drawn.` : "";
  const between = `${number(range[0])} to ${number(range[1])}${state.smoothing ? ", smoothed" : ""}`;
  const axis = state.curveLog ? "log" : "linear";
  return {
    spec: "curves",
    values: {
      "y.title": state.curve,
      ...valueAxis(range, state.curveLog),
      height: 270,
      raw: state.smoothing ? 0.3 : 0,
    },
    data: { points: data },
    summary: `${state.curve} of ${plural(drawn.length, "run")}, ${between}, on a ${axis} axis.${more}`,
    tip: (datum) => [
      ["run", names.get(datum.run)],
      ["step", number(datum.step)],
      [state.curve, number(datum.value, 4)],
      ...(state.smoothing ? [["smoothed", number(datum.y, 4)]] : []),
    ],
    press: (datum) => change({ focus: datum.run }),
  };
}

function startCurves() {
  chart("curves", ["selected", "colour", "curve", "curveLog", "smoothing"], drawCurves);
  byId("curve").addEventListener("change", ({ target }) =>
    change({ curve: target.value, curveLog: LOG_CURVES.test(target.value) }),
  );
  byId("curve-log").addEventListener("change", ({ target }) => change({ curveLog: target.checked }));
  byId("smoothing").addEventListener("input", ({ target }) => change({ smoothing: Number(target.value) }));
  listeners.push((names) => {
    if (names.has("payload"))
      choose(
        byId("curve"),
        curveNames().map((name) => [name, name]),
        state.curve,
      );
    byId("curve-log").checked = state.curveLog;
    byId("smoothing-text").textContent = state.smoothing ? `${state.smoothing} % of steps` : "none";
    byId("smoothing").setAttribute("aria-valuetext", byId("smoothing-text").textContent);
  });
}
