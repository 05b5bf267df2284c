// Trainability map: the outcome over T and another axis, with the horizon at initialisation over it in the units of T.

/** Edges between neighbours, half way on a log axis. */
function logEdges(values) {
  if (values.length === 1) return [values[0] / 2, values[0] * 2];
  const inner = values.slice(1).map((value, i) => Math.sqrt(value * values[i]));
  return [values[0] ** 2 / inner[0], ...inner, values.at(-1) ** 2 / inner.at(-1)];
}

const FINISHED = ["solved", "stuck", "diverged"];

/** What a tile says: its outcome, the most frequent of those that count, and solved n of m. */
function tile(group) {
  const tally = new Map();
  for (const run of group) tally.set(run.outcome, (tally.get(run.outcome) ?? 0) + 1);
  const finished = FINISHED.filter((name) => tally.has(name)), count = finished.reduce((sum, name) => sum + tally.get(name), 0);
  const among = finished.length ? finished : [...tally.keys()], solved = tally.get("solved") ?? 0;
  const outcome = solved && finished.length > 1 ? "mixed" : among.sort((a, b) => tally.get(b) - tally.get(a))[0];
  const letter = OUTCOMES[outcome]?.letter ?? "";
  const text = count ? `${solved}/${count}${letter ? ` ${letter}` : ""}` : letter;
  return { outcome, text, share: count ? solved / count : null, counts: [...tally].map(([name, n]) => `${n} ${name}`).join(", ") };
}

/** Median horizon of a column at its longest T, where the fewest are cut off; a lower bound if its upper middle one is. */
function columnHorizon(group, horizonOf) {
  const known = group.map((run) => ({ T: run.T, ...horizonOf(run) })).filter((one) => typeof one.horizon === "number" && one.horizon > 0);
  const longest = Math.max(...known.map((one) => one.T)), there = known.filter((one) => one.T === longest);
  if (!there.length) return null;
  there.sort((a, b) => a.horizon - b.horizon || Number(a.censored) - Number(b.censored));
  return { horizon: median(there.map((one) => one.horizon)), censored: Boolean(there[there.length >> 1].censored), T: longest };
}

const measuredAtInit = (run) => ({ horizon: run.init?.horizon, censored: run.init?.censored });
const byTheory = (run) => ({ horizon: run.predicted?.horizon, censored: false });

function mapAxes() {
  const { axes } = state.payload, T = axes.find(isT);
  return { T, others: axes.filter((axis) => axis !== T && axis.name !== "seed") };
}

function whyNoMap({ T, others }) {
  if (!runs().length) return "No runs yet.";
  if (!T) return "This sweep does not vary T (task.length), so there is no map over it.";
  if (!others.length) return "This sweep varies T alone: a map needs a second axis, such as depth, gain, init or direction.";
  return sweepRuns().length ? null : state.scope === "selected" ? "No run is selected." : "No run passes the filter.";
}

const TEXT = 15, PLOT = 240; // pixels: a line of text, and the height of the map without its axis

/** Whether there is room for text in a tile of that height. */
const roomy = ({ low, high }, domain) => (PLOT * Math.log(high / low)) / Math.log(domain[1] / domain[0]) > TEXT;

function tileColour({ outcome, share: solved }) {
  if (outcome !== "mixed") return outcomeColour(outcome);
  return `color-mix(in srgb, ${OUTCOMES.solved[mode()]} ${Math.round(15 + 70 * solved)}%, ${css("card")})`;
}

/** A CSS colour as a canvas can take it; `color-mix` is resolved here because a legend shows it as well. */
function resolved(colour) {
  const probe = element("span", { style: { color: colour } });
  document.body.append(probe);
  const parts = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
  const srgb = getComputedStyle(probe).color.startsWith("color(");
  probe.remove();
  return `rgb(${parts.map((part) => Math.round(srgb ? part * 255 : part)).join(",")})`;
}

function drawTrainability() {
  const key = byId("trainability-key");
  key.replaceChildren();
  const axes = mapAxes(), reason = whyNoMap(axes);
  if (reason) return { reason };
  const axis = axes.others.find((each) => each.name === state.mapAgainst) ?? axes.others[0];
  const t = axisIndex(axes.T.name), i = axisIndex(axis.name), drawn = sweepRuns();
  const lengths = axes.T.values.filter((T) => typeof T === "number" && T > 0), edges = logEdges(lengths);
  const columns = axis.values.map((value) => drawn.filter((run) => setting(run.settings[i]) === setting(value)));
  const tiles = columns.flatMap((group, x) => lengths.map((T, k) => {
    const members = group.filter((run) => run.settings[t] === T);
    return members.length ? { x, x0: x - 0.5, x1: x + 0.5, T, low: edges[k], high: edges[k + 1], of: setting(axis.values[x]), runs: members.map((run) => run.run), ...tile(members) } : null;
  })).filter(Boolean);
  if (!tiles.length) return { reason: "None of these runs has both T and a value on that axis." };
  const lines = [["measured", measuredAtInit], ["predicted", byTheory]].flatMap(([kind, of]) =>
    columns.map((group, x) => ({ x, kind, of: setting(axis.values[x]), ...columnHorizon(group, of) })).filter((point) => point.horizon));
  const reach = lines.map((point) => point.horizon), top = edges.at(-1) * 3, bottom = edges[0] / 8;
  const domain = [Math.max(Math.min(edges[0], ...reach) / 1.1, bottom), Math.min(Math.max(edges.at(-1), ...reach) * 1.1, top)];
  const shownLines = lines.map((point) => ({ ...point, y: Math.min(Math.max(point.horizon, domain[0]), domain[1]), beyond: point.censored || point.horizon > domain[1] }));
  const kinds = new Set(lines.map((point) => point.kind)), outcomes = distinct(tiles.map((each) => each.outcome));
  key.replaceChildren(
    ...outcomes.map((name) => keyed(name === "mixed" ? "some solved" : name, { colour: name === "mixed" ? resolved(tileColour({ outcome: "mixed", share: 0.5 })) : outcomeColour(name) })),
    ...(kinds.has("measured") ? [keyed("horizon measured at initialisation", { dash: [], colour: css("text") })] : []),
    ...(kinds.has("predicted") ? [keyed("predicted by theory", { dash: [5, 3], colour: css("text") })] : []),
    ...(shownLines.some((point) => point.beyond) ? [keyed("lower bound", { shape: "bound", colour: css("text") })] : []),
  );
  const over = scienceAxes().filter((each) => each !== axis && each !== axes.T).map((each) => each.label);
  const solved = tiles.filter((each) => each.share === 1).length;
  return {
    spec: "trainability",
    values: {
      height: 290, "x.title": axis.label, "x.words": axis.values.map((value) => (axis.numeric ? number(value) : setting(value))), "x.ticks": axis.values.map((_, x) => x),
      "x.domain": [-0.5, axis.values.length - 0.5], "y.domain": domain, "y.ticks": lengths.length <= 10 ? lengths : null,
      ink: css("text"), ground: css("card"), angle: axis.values.length > 6 ? -35 : 0,
    },
    data: { tiles: tiles.map((each) => ({ ...each, written: roomy(each, domain) ? each.text : "", colour: resolved(tileColour(each)), ink: each.outcome === "mixed" ? css("text") : "#000" })), horizons: shownLines },
    summary: `T against ${axis.label}: ${solved} of ${plural(tiles.length, "tile")} solved by all runs. A tile says solved of finished runs${over.length ? `, over all ${over.join(", ")}` : ""}. The lines are the median horizon at the longest T of each column.`,
    tip: (datum) => datum.kind
      ? [[axis.label, datum.of], ["horizon", `${bound(datum.horizon, datum.censored)} steps`], ["", datum.kind === "measured" ? "measured at initialisation" : "predicted by theory"]]
      : [["T", number(datum.T)], [axis.label, datum.of], ["runs", datum.counts]],
    press: (datum) => datum.runs && select(datum.runs),
  };
}

function startTrainability() {
  chart("trainability", ["shown", "selected", "scope", "mapAgainst"], drawTrainability);
  byId("map-against").addEventListener("change", ({ target }) => change({ mapAgainst: target.value }));
  listeners.push((names) => names.has("payload") && choose(byId("map-against"), options(mapAxes().others), state.mapAgainst));
}
