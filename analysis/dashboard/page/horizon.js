// The effective horizon against any axis of the sweep, at initialisation (open) and trained (filled).

function horizonColours() {
  const name = state.horizonColour;
  const axis = axisNamed(name);
  const i = axisIndex(name);
  if (axis) {
    const colours = axisColours(axis);
    const values = axis.values.map(setting);
    return {
      of: (run) => colours.get(setting(run.settings[i])) ?? css("soft"),
      rank: (run) => Math.max(values.indexOf(setting(run.settings[i])), 0),
      count: values.length,
      key: [...colours].map(([value, colour]) => [`${axis.label} ${value}`, colour]),
    };
  }
  if (name === "run") {
    const look = runLook();
    return { of: (run) => look(run).colour, rank: () => 0, count: 1, key: [] };
  }
  const seen = ORDER.filter((outcome) => runs().some((run) => run.outcome === outcome));
  return {
    of: (run) => outcomeColour(run.outcome),
    rank: (run) => seen.indexOf(run.outcome),
    count: seen.length,
    key: seen.map((outcome) => [outcome, outcomeColour(outcome)]),
  };
}

const atLeastHalf = (horizon) => Math.max(horizon, 0.5); // a log axis has no 0

function horizonRows(run, i, places, colours) {
  const x = places.place(run.settings[i]);
  if (x === null) return [];
  const base = { run: run.run, x: dodged(x, colours.rank(run), colours.count, places), colour: colours.of(run) };
  const rows = [];
  const add = (stage, of) => {
    if (of?.horizon === null || of?.horizon === undefined) return;
    rows.push({
      ...base,
      kind: "point",
      stage,
      y: atLeastHalf(of.horizon),
      horizon: of.horizon,
      censored: Boolean(of.censored),
      shape: of.censored ? "triangle-up" : "circle",
      fill: stage === "trained" ? base.colour : null,
    });
  };
  add("at initialisation", run.init);
  if (run.outcome !== "diverged") add("trained", run);
  return rows;
}

/** From initialisation to trained, of one run. */
const shiftOf = ([first, last]) => (last ? [{ ...first, kind: "shift", y2: last.y }] : []);

/** Points of all runs; a selection does not change them, unless it gives them their colours. */
const horizonPoints = kept((drawn, payload, against, colour, theme, selected) => {
  const axis = axisNamed(against);
  const places = axisPlaces(axis);
  const i = axisIndex(against);
  const colours = horizonColours();
  return drawn.flatMap((run) => horizonRows(run, i, places, colours));
});

function whyNoHorizon() {
  if (!runs().length) return "No runs yet.";
  if (!axisNamed(state.horizonAgainst))
    return "This sweep varies no setting: there is nothing to draw the horizon against.";
  if (sweepRuns().length) return null;
  return state.scope === "selected" ? "No run is selected." : "No run passes the filter.";
}

/** The line at which the horizon is all of T, where there is one: along T, or level if T is the same for all. */
function wholeLine(axis, lengths, ends) {
  if (isT(axis)) return ends.map((x) => ({ x, y: x }));
  return lengths.length === 1 ? ends.map((x) => ({ x, y: lengths[0] })) : [];
}

function horizonKey(colours, points, whole) {
  const level = distinct(whole.map((point) => point.y)).length === 1;
  byId("horizon-key").replaceChildren(
    ...colours.key.map(([text, colour]) => keyed(text, { colour })),
    keyed("at initialisation", { shape: "open" }),
    keyed("trained", { shape: "filled" }),
    ...(points.some((point) => point.censored) ? [keyed("lower bound", { shape: "bound" })] : []),
    ...(whole.length ? [keyed(level ? `T = ${number(whole[0].y)}` : "horizon = T", { dash: [4, 3], width: 1.3 })] : []),
  );
}

function horizonSummary(axis, points) {
  const measured = distinct(points.map((point) => point.run)).length;
  const what = `${plural(points.length, "horizon")} of ${plural(measured, "run")}`;
  const range = extent(points.map((point) => point.horizon)).map((end) => number(end));
  const bounds = points.filter((point) => point.censored).length;
  const lower = bounds ? `, ${bounds} of them lower bounds` : "";
  return `${what} against ${axis.label}, ${range.join(" to ")} steps${lower}. Selected runs are ringed.`;
}

function drawHorizon() {
  byId("horizon-key").replaceChildren();
  const reason = whyNoHorizon();
  if (reason) return { reason };
  const { payload, horizonColour: by, selected, colour } = state;
  const axis = axisNamed(state.horizonAgainst);
  const drawn = sweepRuns();
  const own = by === "run"; // then the selection gives the colours
  const points = horizonPoints(drawn, payload, axis.name, by, mode(), own && selected, own && colour);
  if (!points.length) return { reason: "None of these runs has a horizon yet." };
  const places = axisPlaces(axis);
  const colours = horizonColours();
  const values = axisValues(axis, places);
  const lengths = distinct(drawn.map((run) => run.T).filter((T) => T > 0)).sort((a, b) => a - b);
  const whole = wholeLine(axis, lengths, values["x.domain"]);
  const [low, high] = extent([...points.map((point) => point.y), ...lengths]);
  const domain = [Math.max(low / 1.4, 0.4), high * 1.25];
  const strong = drawn.filter((run) => selected.has(run.run));
  const names = new Map(drawn.map((run) => [run.run, label(run)]));
  horizonKey(colours, points, whole);
  return {
    spec: "horizon",
    values: { ...values, height: 290, ...valueAxis(domain, true), ring: css("text") },
    data: {
      points,
      picked: strong
        .map((run) => horizonRows(run, axisIndex(axis.name), places, colours))
        .flatMap((rows) => [...rows, ...shiftOf(rows)]),
      whole: whole.map((point) => ({ ...point, y: Math.min(point.y, domain[1]) })),
    },
    summary: horizonSummary(axis, points),
    tip: (datum) => [
      ["run", names.get(datum.run)],
      ["stage", datum.stage],
      ["horizon", `${bound(datum.horizon, datum.censored)} steps`],
    ],
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
    choose(
      byId("horizon-colour"),
      [["outcome", "outcome"], ["run", "as selected"], ...options(state.payload.axes)],
      state.horizonColour,
    );
  });
}
