// Start, and in served mode ask again and again for what is new.

const FIRST = 6; // runs selected at the start
const EVERY = 3000; // milliseconds

/** Choices that the payload cannot bear any more, replaced by sensible ones; all others stay. */
function bearable(payload) {
  const ids = new Set(payload.runs.map((run) => run.run));
  const names = new Set(payload.axes.map((axis) => axis.name));
  const curves = new Set(payload.runs.flatMap((run) => Object.keys(run.curves ?? {})));
  const science = scienceAxes();
  const T = payload.axes.find(isT);
  const other = science.find((axis) => axis !== T);
  const keep = (name, fine, otherwise) => (fine.has(name) ? name : otherwise);
  return {
    focus: ids.has(state.focus)
      ? state.focus
      : ((payload.runs.find((run) => run.profiles) ?? payload.runs[0])?.run ?? null),
    ...(curves.has(state.curve) ? {} : { curve: firstCurve(), curveLog: LOG_CURVES.test(firstCurve() ?? "") }),
    colour: keep(state.colour, new Set(["run", "outcome", ...names]), "run"),
    horizonAgainst: keep(state.horizonAgainst, names, T?.name ?? science[0]?.name ?? null),
    horizonColour: keep(state.horizonColour, new Set(["run", "outcome", ...names]), other?.name ?? "outcome"),
    parallelColour: keep(state.parallelColour, new Set(["outcome", "metric", "loss", "horizon", ...names]), "outcome"),
    mapAgainst: keep(state.mapAgainst, names, other?.name ?? null),
  };
}

/** A few runs from all over the sweep. */
function spread(all, count) {
  if (all.length <= count) return all;
  return Array.from({ length: count }, (_, i) => all[Math.round((i * (all.length - 1)) / (count - 1))]);
}

/** Show a payload: the first, or a newer one under the choices that stand. */
function show(payload) {
  const first = state.payload === null;
  const columns = columnsOf(payload);
  const order = payload.axes.map((axis) => ({ column: axis.name, descending: false }));
  const series = state.series?.map((of) => seriesName(state.payload.series[of])); // their places may be others now
  state.payload = { ...payload, runs: sorted(payload.runs, order, columns) };
  const ids = new Set(payload.runs.map((run) => run.run));
  const untouched = first || (state.selected.size === 0 && wasEmpty);
  wasEmpty = payload.runs.length === 0;
  const wanted = untouched
    ? spread(state.payload.runs, FIRST).map((run) => run.run)
    : [...state.selected.keys()].filter((id) => ids.has(id));
  Object.assign(state, bearable(state.payload), {
    selected: selection(wanted),
    columns,
    series: series ? [...payload.series.keys()].filter((of) => series.includes(seriesName(payload.series[of]))) : null,
  });
  for (const listener of listeners) listener(new Set(["payload", "columns", "focus", "selected", "curve"]));
}

let wasEmpty = true;

function notice(text) {
  byId("notice").textContent = text ?? "";
  byId("notice").hidden = !text;
}

function leftOut(payload) {
  const found = Object.entries(payload.left_out ?? {});
  if (!found.length) return null;
  const [id, reason] = found[0];
  const more = found.length > 1 ? ", ..." : "";
  return `${plural(found.length, "run folder")} could not be read whole: ${id}: ${reason}${more}`;
}

async function watch() {
  const poll = poller("./payload.json");
  for (;;) {
    try {
      const payload = await poll();
      if (payload) {
        show(payload);
        notice(leftOut(payload));
      }
      live(true);
    } catch (error) {
      live(true, state.payload ? "no answer from the server; showing what was read last" : "no answer from the server");
      if (!state.payload) notice(`The runs could not be fetched: ${error.message}`);
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY));
  }
}

async function start() {
  for (const begin of [
    startHeader,
    startTable,
    startVerdict,
    startCurves,
    startGradient,
    startTrainability,
    startHorizon,
    startParallel,
  ])
    begin();
  window.rnnlab = { state, charts, change, select };
  const payload = await embedded();
  if (!payload) return watch();
  show(payload);
  notice(leftOut(payload));
}

start();
