// The effective horizon against any axis of the sweep, at initialisation (open) and trained (filled).

function horizonColours() {
  const name = state.horizonColour, axis = axisNamed(name), i = axisIndex(name);
  if (axis) {
    const colours = axisColours(axis), values = axis.values.map(setting);
    return { of: (run) => colours.get(setting(run.settings[i])) ?? css("soft"), rank: (run) => Math.max(values.indexOf(setting(run.settings[i])), 0), count: values.length, key: [...colours].map(([value, colour]) => [`${axis.label} ${value}`, colour]) };
  }
  if (name === "run") {
    const look = runLook();
    return { of: (run) => look(run).colour, rank: () => 0, count: 1, key: [] };
  }
  const seen = ORDER.filter((outcome) => runs().some((run) => run.outcome === outcome));
  return { of: (run) => outcomeColour(run.outcome), rank: (run) => seen.indexOf(run.outcome), count: seen.length, key: seen.map((outcome) => [outcome, outcomeColour(outcome)]) };
}

const atLeastHalf = (horizon) => Math.max(horizon, 0.5); // a log axis has no 0

function horizonRows(run, i, places, colours) {
  const x = places.place(run.settings[i]);
  if (x === null) return [];
  const base = { run: run.run, x: dodged(x, colours.rank(run), colours.count, places), colour: colours.of(run) };
  const rows = [];
  const add = (stage, of) => {
    if (of?.horizon === null || of?.horizon === undefined) return;
    rows.push({ ...base, kind: "point", stage, y: atLeastHalf(of.horizon), horizon: of.horizon, censored: Boolean(of.censored), shape: of.censored ? "triangle-up" : "circle", fill: stage === "trained" ? base.colour : null });
  };
  add("at initialisation", run.init);
  if (run.outcome !== "diverged") add("trained", run);
  return rows;
}

/** From initialisation to trained, of one run. */
const shiftOf = ([first, last]) => (last ? [{ ...first, kind: "shift", y2: last.y }] : []);

/** Points of all runs; a selection does not change them, unless it gives them their colours. */
const horizonPoints = kept((drawn, payload, against, colour, theme, selected) => {
  const axis = axisNamed(against), places = axisPlaces(axis), i = axisIndex(against), colours = horizonColours();
  return drawn.flatMap((run) => horizonRows(run, i, places, colours));
});

function drawHorizon() {
  const key = byId("horizon-key");
  key.replaceChildren();
  if (!runs().length) return { reason: "No runs yet." };
  const axis = axisNamed(state.horizonAgainst);
  if (!axis) return { reason: "This sweep varies no setting, so there is nothing to draw the horizon against." };
  const places = axisPlaces(axis), i = axisIndex(axis.name), colours = horizonColours(), drawn = sweepRuns();
  const byRun = state.horizonColour === "run";
  if (!drawn.length) return { reason: state.scope === "selected" ? "No run is selected." : "No run passes the filter." };
  const points = horizonPoints(drawn, state.payload, axis.name, state.horizonColour, mode(), byRun && state.selected, byRun && state.colour);
  const strong = drawn.filter((run) => state.selected.has(run.run)).map((run) => horizonRows(run, i, places, colours));
  if (!points.length) return { reason: "None of these runs has a horizon yet." };
  const names = new Map(drawn.map((run) => [run.run, label(run)]));
  const values = axisValues(axis, places), [low, high] = extent(points.map((point) => point.y));
  const lengths = distinct(drawn.map((run) => run.T).filter((T) => T > 0)).sort((a, b) => a - b);
  const whole = isT(axis) ? values["x.domain"].map((x) => ({ x, y: x })) : lengths.length === 1 ? values["x.domain"].map((x) => ({ x, y: lengths[0] })) : [];
  const most = Math.max(high, lengths.at(-1) ?? 0) * 1.25;
  const bounds = points.filter((point) => point.censored).length;
  key.replaceChildren(
    ...colours.key.map(([text, colour]) => keyed(text, { colour })),
    keyed("at initialisation", { shape: "open" }), keyed("trained", { shape: "filled" }),
    ...(bounds ? [keyed("lower bound", { shape: "bound" })] : []),
    ...(whole.length ? [keyed(isT(axis) ? "horizon = T" : `T = ${number(lengths[0])}`, { dash: [4, 3], width: 1.3 })] : []),
  );
  return {
    spec: "horizon",
    values: { ...values, height: 290, ...valueAxis([Math.max(low / 1.4, 0.4), most], true), ring: css("text") },
    data: { points, picked: strong.flatMap((rows) => [...rows, ...shiftOf(rows)]), whole: whole.map((point) => ({ ...point, y: Math.min(point.y, most) })) },
    summary: `${plural(points.length, "horizon")} of ${plural(new Set(points.map((point) => point.run)).size, "run")} against ${axis.label}, ${number(Math.min(...points.map((point) => point.horizon)))} to ${number(high)} steps${bounds ? `, ${bounds} of them lower bounds` : ""}. Selected runs are ringed.`,
    tip: (datum) => [["run", names.get(datum.run)], ["stage", datum.stage], ["horizon", `${bound(datum.horizon, datum.censored)} steps`]],
    press: (datum) => datum.run && change({ focus: datum.run }),
  };
}

function startHorizon() {
  chart("horizon", ["shown", "selected", "scope", "colour", "horizonAgainst", "horizonColour"], drawHorizon);
  byId("horizon-against").addEventListener("change", ({ target }) => change({ horizonAgainst: target.value }));
  byId("horizon-colour").addEventListener("change", ({ target }) => change({ horizonColour: target.value }));
  listeners.push((names) => {
    if (!names.has("payload")) return;
    choose(byId("horizon-against"), options(state.payload.axes), state.horizonAgainst);
    choose(byId("horizon-colour"), [["outcome", "outcome"], ["run", "as selected"], ...options(state.payload.axes)], state.horizonColour);
  });
}
