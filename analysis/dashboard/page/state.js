// What the user has chosen, in one place. A chart names what it reads and is drawn again when that changes.

const state = {
  payload: null,
  columns: [],
  shown: [], // runs that pass the filter, in the order of the table
  selected: new Map(), // id of a run -> its slot, which keeps its colour while others come and go
  focus: null, // id of a run
  sort: [{ column: null, descending: false }],
  filter: "",
  colour: "run",
  scope: "shown",
  curve: null,
  curveLog: true,
  smoothing: 0, // per cent of the steps
  series: null, // indices into payload.series; null: the first that the run in focus has
  step: Infinity, // training step; the last probed one that is not after it is drawn
  across: "lag",
  compare: true,
  mapAgainst: null,
  horizonAgainst: null,
  horizonColour: null,
  parallelColour: "outcome",
  theme: "auto",
};

const listeners = [];

/** Take over new values, then tell everybody which have changed. */
function change(patch) {
  const names = Object.keys(patch).filter((name) => patch[name] !== state[name]);
  for (const name of names) state[name] = patch[name];
  if (names.length) for (const listener of listeners) listener(new Set(names));
}

const runs = () => state.payload.runs;
const runOf = (id) => state.payload.runs.find((run) => run.run === id) ?? null;
const focused = () => (state.focus === null ? null : runOf(state.focus));
const selectedRuns = () => runs().filter((run) => state.selected.has(run.run));
const sweepRuns = () => (state.scope === "selected" ? selectedRuns() : state.shown);
const label = (run) => labelOf(run, state.payload.axes);
const axisIndex = (name) => state.payload.axes.findIndex((axis) => axis.name === name);

/** The selection with these runs and no other; who stays keeps the slot. */
function selection(ids) {
  const wanted = new Set(ids);
  const kept = new Map([...state.selected].filter(([id]) => wanted.has(id)));
  const taken = new Set(kept.values());
  let slot = 0;
  for (const id of wanted) {
    if (kept.has(id)) continue;
    while (taken.has(slot)) slot++;
    kept.set(id, slot);
    taken.add(slot);
  }
  return kept;
}

const select = (ids) => change({ selected: selection(ids) });

function toggle(id) {
  const ids = new Set(state.selected.keys());
  if (!ids.delete(id)) ids.add(id);
  select(ids);
}
