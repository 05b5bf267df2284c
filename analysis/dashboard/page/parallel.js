// Parallel coordinates: every run a line through its settings and its results; brushing an axis selects.

const NARROWEST = 96; // pixels per axis; below that the chart scrolls in its box
const MISSING = -0.09; // where a line passes an axis on which it has no value

/** Ticks that leave room for their text: the first, and each that is far enough from the one before it and the last. */
function spaced(ticks) {
  const last = ticks.at(-1);
  const kept = [];
  for (const tick of ticks)
    if (tick === last || !kept.length || (tick[0] - kept.at(-1)[0] > 0.07 && last[0] - tick[0] > 0.07)) kept.push(tick);
  return kept;
}

/** Axis of the picture: place(run) in [0, 1] or null, text(place), ticks as [place, text]. */
function numericScale(name, title, values, value) {
  const ends = extent(values);
  if (!ends) return null;
  const positive = values.filter((each) => each > 0);
  const log = ends[0] > 0 && ends[1] / ends[0] >= WIDE && positive.length > 0;
  const at = (place) => (log ? ends[0] * (ends[1] / ends[0]) ** place : ends[0] + (ends[1] - ends[0]) * place);
  const known = distinct(values.filter((each) => each !== null && Number.isFinite(each))).sort((a, b) => a - b);
  const ticks =
    known.length <= 8
      ? spaced(known.map((each) => [share(each, ends, log), number(each, 2)]))
      : [0, 0.5, 1].map((place) => [place, number(at(place), 2)]);
  const place = (run) => (typeof value(run) === "number" ? share(value(run), ends, log) : null);
  return { name, label: title, place, text: (where) => number(at(where), 3), ticks };
}

function wordScale(axis, i) {
  const words = axis.values.map(setting);
  const at = (word) => (words.length === 1 ? 0.5 : words.indexOf(word) / (words.length - 1));
  const few = words.length <= 12 ? words : words.filter((_, k) => k % Math.ceil(words.length / 12) === 0);
  return {
    name: axis.name,
    label: axis.label,
    place: (run) => (run.settings[i] === null ? null : at(setting(run.settings[i]))),
    text: (place) => words[Math.round(place * (words.length - 1))],
    ticks: few.map((word) => [at(word), word.length > 14 ? `${word.slice(0, 13)}…` : word]),
  };
}

/** The axes that have something on them: those of the sweep, then loss, metric and horizon. */
function parallelScales() {
  const { axes, loss, metric } = state.payload;
  const all = runs();
  const settings = axes.map((axis, i) =>
    axis.numeric ? numericScale(axis.name, axis.label, axis.values, (run) => run.settings[i]) : wordScale(axis, i),
  );
  const result = (name, title) =>
    numericScale(
      ` ${name}`,
      title,
      all.map((run) => run[name]),
      (run) => run[name],
    );
  return [
    ...settings,
    result("loss", loss || "loss"),
    result("metric", metric || "metric"),
    result("horizon", "horizon"),
  ].filter(Boolean);
}

function parallelColours() {
  const name = state.parallelColour;
  const axis = axisNamed(name);
  const i = axisIndex(name);
  if (axis) {
    const colours = axisColours(axis);
    return {
      of: (run) => colours.get(setting(run.settings[i])) ?? css("soft"),
      key: () => [...colours].map(([value, colour]) => keyed(`${axis.label} ${value}`, { dash: [], colour })),
    };
  }
  if (name === "outcome") {
    const seen = ORDER.filter((outcome) => runs().some((run) => run.outcome === outcome));
    return {
      of: (run) => outcomeColour(run.outcome),
      key: () => seen.map((outcome) => keyed(outcome, { dash: [], colour: outcomeColour(outcome) })),
    };
  }
  const ends = extent(runs().map((run) => run[name]));
  const log = ends && ends[0] > 0 && ends[1] / ends[0] >= WIDE;
  return {
    of: (run) => (ends && typeof run[name] === "number" ? magnitude(share(run[name], ends, log)) : css("line")),
    key: () => (ends ? [gradientKey(state.payload[name] || name, number(ends[0]), number(ends[1]))] : []),
  };
}

const strand = (run, scales, colour) =>
  scales.map((scale, x) => ({ run: run.run, x, y: scale.place(run) ?? MISSING, colour }));

/** Lines of all runs; a selection does not change them. */
const faintLines = kept((drawn, payload, name, theme) => {
  const scales = parallelScales();
  const colours = parallelColours();
  return drawn.flatMap((run) => strand(run, scales, colours.of(run)));
});

function drawParallel(width) {
  const key = byId("parallel-key");
  key.replaceChildren();
  for (const strip of byId("parallel").querySelectorAll(".brush")) strip.hidden = false;
  if (!runs().length) return { reason: "No runs yet." };
  if (!state.payload.axes.length)
    return { reason: "This sweep varies no setting: there is one configuration and nothing to set side by side." };
  const scales = parallelScales();
  const drawn = sweepRuns();
  if (scales.length < 2) return { reason: "There is only one axis so far, and no result to set beside it." };
  if (!drawn.length)
    return { reason: state.scope === "selected" ? "No run is selected." : "No run passes the filter." };
  const colours = parallelColours();
  const names = new Map(drawn.map((run) => [run.run, run]));
  const lines = faintLines(drawn, state.payload, state.parallelColour, mode());
  const strong = drawn.filter((run) => state.selected.has(run.run));
  const missing = lines.some((line) => line.y === MISSING);
  key.replaceChildren(...colours.key(), ...(missing ? [element("span", {}, "below an axis: no value")] : []));
  const over = scales.map((scale) => scale.label).join(", ");
  return {
    spec: "parallel",
    values: {
      width: Math.max(width, NARROWEST * scales.length),
      height: 300,
      last: scales.length - 1,
      faint: drawn.length > 300 ? 0.12 : drawn.length > 60 ? 0.25 : 0.4,
      ink: css("text"),
      ground: css("card"),
    },
    data: {
      lines,
      picked: strong.flatMap((run) => strand(run, scales, colours.of(run))),
      ticks: scales.flatMap((scale, x) => scale.ticks.map(([y, text]) => ({ x, y, text }))),
      axes: scales.map((scale, x) => ({ x, low: 0, high: 1, text: scale.label })),
    },
    summary: `${plural(drawn.length, "run")} over ${over}; ${plural(strong.length, "selected run")} drawn strongly.`,
    tip: (datum) => {
      const run = names.get(datum.run);
      return (
        run && [
          ["run", label(run)],
          ["outcome", run.outcome],
          [state.payload.loss || "loss", number(run.loss)],
          [state.payload.metric || "metric", number(run.metric)],
          ["horizon", bound(run.horizon, run.censored)],
        ]
      );
    },
    press: (datum) => datum.run && change({ focus: datum.run }),
    after: (view) => layStrips(view, scales),
  };
}

function startParallel() {
  chart("parallel", ["shown", "selected", "scope", "parallelColour"], drawParallel);
  byId("parallel-colour").addEventListener("change", ({ target }) => change({ parallelColour: target.value }));
  byId("unbrush").addEventListener("click", () => {
    brushes.clear();
    touch(charts.get("parallel"));
  });
  listeners.push((names) => {
    if (!names.has("payload")) return;
    const { axes, metric, loss } = state.payload;
    choose(
      byId("parallel-colour"),
      [
        ["outcome", "outcome"],
        ["metric", metric || "metric"],
        ["loss", loss || "loss"],
        ["horizon", "horizon"],
        ...options(axes),
      ],
      state.parallelColour,
    );
  });
}
