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
  const finished = FINISHED.filter((name) => tally.has(name));
  const count = finished.reduce((sum, name) => sum + tally.get(name), 0);
  const among = finished.length ? finished : [...tally.keys()];
  const solved = tally.get("solved") ?? 0;
  const outcome = solved && finished.length > 1 ? "mixed" : among.sort((a, b) => tally.get(b) - tally.get(a))[0];
  const letter = OUTCOMES[outcome]?.letter ?? "";
  const text = count ? `${solved}/${count}${letter ? ` ${letter}` : ""}` : letter;
  return {
    outcome,
    text,
    share: count ? solved / count : null,
    counts: [...tally].map(([name, n]) => `${n} ${name}`).join(", "),
  };
}

/** Median horizon of a column at its longest T, where the fewest are cut off; a bound if its upper middle one is. */
function columnHorizon(group, horizonOf) {
  const known = group
    .map((run) => ({ T: run.T, ...horizonOf(run) }))
    .filter((one) => typeof one.horizon === "number" && one.horizon > 0);
  const longest = Math.max(...known.map((one) => one.T));
  const there = known.filter((one) => one.T === longest);
  if (!there.length) return null;
  there.sort((a, b) => a.horizon - b.horizon || Number(a.censored) - Number(b.censored));
  return {
    horizon: median(there.map((one) => one.horizon)),
    censored: Boolean(there[there.length >> 1].censored),
    T: longest,
  };
}

const measuredAtInit = (run) => ({ horizon: run.init?.horizon, censored: run.init?.censored });
const byTheory = (run) => ({ horizon: run.predicted?.horizon, censored: false });

function mapAxes() {
  const { axes } = state.payload;
  const T = axes.find(isT);
  return { T, others: axes.filter((axis) => axis !== T && axis.name !== "seed") };
}

function whyNoMap({ T, others }) {
  if (!runs().length) return "No runs yet.";
  if (!T) return "This sweep does not vary T (task.length), so there is no map over it.";
  if (!others.length)
    return "This sweep varies T alone: a map needs a second axis, such as depth, gain, init or direction.";
  return sweepRuns().length ? null : state.scope === "selected" ? "No run is selected." : "No run passes the filter.";
}

const TEXT = 15;
const CHARACTER = 7.5; // pixels: a line of text and, bold, a character of it
const PLOT = 240; // height of the map without its axis
const BESIDE = 62; // width of that axis and of the rims

/** What of the text of a tile there is room for: all, without the letter of the outcome, or nothing. */
function written({ low, high, text }, domain, width) {
  if ((PLOT * Math.log(high / low)) / Math.log(domain[1] / domain[0]) <= TEXT) return "";
  return [text, text.split(" ")[0]].find((each) => each.length * CHARACTER + 6 < width) ?? "";
}

/** Black or white, whichever stands out more from rgb(...). */
function inkOn(colour) {
  const linear = colour.match(/\d+/g).map((part) => (part / 255) ** 2.2);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.18 ? "#000" : "#fff";
}

function tileColour({ outcome, share: solved }) {
  if (outcome !== "mixed") return outcomeColour(outcome);
  return `color-mix(in srgb, ${OUTCOMES.solved[mode()]} ${Math.round(15 + 70 * solved)}%, ${css("card")})`;
}

/** A CSS colour as any canvas can take it. */
function resolved(colour) {
  const probe = element("span", { style: { color: colour } });
  document.body.append(probe);
  const parts = getComputedStyle(probe)
    .color.match(/[\d.]+/g)
    .slice(0, 3)
    .map(Number);
  const srgb = getComputedStyle(probe).color.startsWith("color(");
  probe.remove();
  return `rgb(${parts.map((part) => Math.round(srgb ? part * 255 : part)).join(",")})`;
}

/** The tiles of the map: one for each T and value of the axis that has runs. */
function mapTiles(T, axis, drawn) {
  const t = axisIndex(T.name);
  const lengths = T.values.filter((length) => typeof length === "number" && length > 0);
  const edges = logEdges(lengths);
  const tiles = columnsOfRuns(axis, drawn).flatMap((group, x) =>
    lengths.map((length, k) => {
      const members = group.filter((run) => run.settings[t] === length);
      const place = { x, x0: x - 0.5, x1: x + 0.5, T: length, low: edges[k], high: edges[k + 1] };
      return { ...place, of: setting(axis.values[x]), runs: members.map((run) => run.run), ...tile(members) };
    }),
  );
  return { tiles: tiles.filter((each) => each.runs.length), lengths, edges };
}

function columnsOfRuns(axis, drawn) {
  const i = axisIndex(axis.name);
  return axis.values.map((value) => drawn.filter((run) => setting(run.settings[i]) === setting(value)));
}

/** The two lines over the map, a point per column that has one. */
function mapHorizons(axis, drawn) {
  const line = (kind, of) =>
    columnsOfRuns(axis, drawn).map((group, x) => ({
      x,
      kind,
      of: setting(axis.values[x]),
      ...columnHorizon(group, of),
    }));
  return [...line("measured", measuredAtInit), ...line("predicted", byTheory)].filter((point) => point.horizon);
}

/** Steps from the lowest to the highest tile or horizon, but no more of the latter than leaves the tiles readable. */
function mapDomain(edges, horizons) {
  const [low, high] = extent([edges[0], edges.at(-1), ...horizons.map((point) => point.horizon)]);
  return [Math.max(low / 1.1, edges[0] / 8), Math.min(high * 1.1, edges.at(-1) * 3)];
}

/** A horizon beyond the domain stands at its rim, marked as a lower bound. */
function within(point, [low, high]) {
  const y = Math.min(Math.max(point.horizon, low), high);
  return { ...point, y, beyond: point.censored || point.horizon > high };
}

function mapKey(tiles, horizons) {
  const kinds = new Set(horizons.map((point) => point.kind));
  const colour = css("text");
  const outcomes = distinct(tiles.map((each) => each.outcome)).map((name) =>
    name === "mixed"
      ? keyed("some solved", { colour: tileColour({ outcome: name, share: 0.5 }) })
      : keyed(name, { colour: outcomeColour(name) }),
  );
  byId("trainability-key").replaceChildren(
    ...outcomes,
    ...(kinds.has("measured") ? [keyed("horizon measured at initialisation", { dash: [], colour })] : []),
    ...(kinds.has("predicted") ? [keyed("predicted by theory", { dash: [5, 3], colour })] : []),
    ...(horizons.some((point) => point.beyond) ? [keyed("lower bound", { shape: "bound", colour })] : []),
  );
}

function mapSummary(axis, T, tiles) {
  const others = scienceAxes().filter((each) => each !== axis && each !== T);
  const over = others.length ? `, over all ${others.map((each) => each.label).join(", ")}` : "";
  const solved = tiles.filter((each) => each.share === 1).length;
  return [
    `T against ${axis.label}: ${solved} of ${plural(tiles.length, "tile")} solved by all runs.`,
    `A tile says solved of finished runs${over}.`,
    "The lines are the median horizon at the longest T of each column.",
  ].join(" ");
}

function mapTip(axis, datum) {
  if (!datum.kind)
    return [
      ["T", number(datum.T)],
      [axis.label, datum.of],
      ["runs", datum.counts],
    ];
  const stage = datum.kind === "measured" ? "measured at initialisation" : "predicted by theory";
  return [
    [axis.label, datum.of],
    ["horizon", `${bound(datum.horizon, datum.censored)} steps`],
    ["", stage],
  ];
}

function drawTrainability(width) {
  byId("trainability-key").replaceChildren();
  const axes = mapAxes();
  const reason = whyNoMap(axes);
  if (reason) return { reason };
  const axis = axes.others.find((each) => each.name === state.mapAgainst) ?? axes.others[0];
  const { tiles, lengths, edges } = mapTiles(axes.T, axis, sweepRuns());
  if (!tiles.length) return { reason: "None of these runs has both T and a value on that axis." };
  const lines = mapHorizons(axis, sweepRuns());
  const domain = mapDomain(edges, lines);
  const horizons = lines.map((point) => within(point, domain));
  mapKey(tiles, horizons);
  const column = (width - BESIDE) / axis.values.length;
  const looks = (each) => {
    const colour = resolved(tileColour(each));
    return { colour, ink: inkOn(colour), written: written(each, domain, column) };
  };
  return {
    spec: "trainability",
    values: {
      height: 290,
      "x.title": axis.label,
      "x.words": axis.values.map((value) => (axis.numeric ? number(value) : setting(value))),
      "x.ticks": axis.values.map((_, x) => x),
      "x.domain": [-0.5, axis.values.length - 0.5],
      "y.domain": domain,
      "y.ticks": lengths.length <= 10 ? lengths : null,
      ink: css("text"),
      ground: css("card"),
      angle: axis.values.length > 6 ? -35 : 0,
    },
    data: {
      tiles: tiles.map((each) => ({ ...each, ...looks(each) })),
      horizons,
    },
    summary: mapSummary(axis, axes.T, tiles),
    tip: (datum) => mapTip(axis, datum),
    press: (datum) => datum.runs && select(datum.runs),
  };
}

function startTrainability() {
  chart("trainability", ["shown", "selected", "scope", "mapAgainst"], drawTrainability);
  byId("map-against").addEventListener("change", ({ target }) => change({ mapAgainst: target.value }));
  listeners.push(
    (names) => names.has("payload") && choose(byId("map-against"), options(mapAxes().others), state.mapAgainst),
  );
}
