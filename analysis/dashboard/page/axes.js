// How a swept axis is drawn: numbers on a scale of their own, log if they span a wide range; words one place each.

const WIDE = 8; // largest over smallest

/** place(value) -> coordinate; whether it is on a log axis, ticks, and their labels if they are no numbers. */
function axisPlaces(axis) {
  const values = axis.values;
  const ends = axis.numeric ? extent(values) : null;
  if (!ends) {
    const places = new Map(values.map((value, i) => [setting(value), i]));
    return {
      log: false,
      words: values.map(setting),
      ticks: values.map((_, i) => i),
      ends: [-0.5, values.length - 0.5],
      place: (value) => places.get(setting(value)) ?? null,
    };
  }
  const log = ends[0] > 0 && ends[1] / ends[0] >= WIDE;
  return {
    log,
    words: [],
    ticks: values.length <= 12 ? values : null,
    ends,
    place: (value) => (typeof value === "number" ? value : null),
  };
}

/** Fill for the x axis of a chart, with room at both ends. */
function axisValues(axis, places) {
  const { log, words, ticks, ends } = places;
  const [low, high] = ends;
  const room = words.length ? 0 : log ? (high / low) ** 0.07 : (high - low || Math.abs(high) || 1) * 0.07;
  const domain = log ? [low / room, high * room] : [low - room, high + room];
  return {
    "x.title": axis.label === "T" ? "T (steps)" : axis.label,
    "x.scale": { type: log ? "log" : "linear", domain, nice: false, ...(log ? {} : { zero: false }) },
    "x.domain": domain,
    "x.ticks": ticks,
    "x.words": words,
    "x.angle": words.length > 5 ? -35 : 0,
    "x.overlap": words.length === 0,
  };
}

/** Share of the way from the lowest to the highest, in [0, 1]. */
function share(value, ends, log) {
  const of = log ? Math.log : (x) => x;
  return ends[1] === ends[0] ? 0.5 : (of(value) - of(ends[0])) / (of(ends[1]) - of(ends[0]));
}

/** What the sweep varies, but for the seed if there is anything else. */
function scienceAxes() {
  const { axes } = state.payload;
  const found = axes.filter((axis) => axis.name !== "seed");
  return found.length ? found : axes;
}

const isT = (axis) => axis?.name === "task.length" || axis?.label === "T";
const options = (axes) => axes.map((axis) => [axis.name, axis.label]);
const axisNamed = (name) => state.payload.axes[axisIndex(name)] ?? null;

/** A little aside from its place, by its rank among others, so that equal values do not hide each other. */
function dodged(x, rank, count, { log, words, ticks, ends }) {
  if (count < 2) return x;
  const of = log ? Math.log : (value) => value;
  const known = ticks ?? ends;
  const gaps = known.slice(1).map((tick, i) => of(tick) - of(known[i]));
  const whole = of(ends[1]) - of(ends[0]);
  const room = words.length ? 0.5 : Math.min(0.25 * Math.min(...gaps, whole), 0.05 * whole);
  const shift = room * (rank / (count - 1) - 0.5);
  return log ? x * Math.exp(shift) : x + shift;
}

/** Ticks of a log axis: powers of ten, with 3, or 2 and 5, of each where there are too few of them. */
function logTicks([low, high]) {
  const powers = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) powers.push(power);
  const inside = (value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9);
  const round = powers.filter((power) => inside(10 ** power));
  const skip = Math.ceil(round.length / 8);
  if (round.length > 3) return round.filter((_, i) => i % skip === 0).map((power) => Number(`1e${power}`));
  const factors = round.length > 1 ? [1, 3] : [1, 2, 5];
  return powers.flatMap((power) => factors.map((factor) => Number(`${factor}e${power}`))).filter(inside);
}

/** Scale and ticks of a y axis that holds these values. */
function valueAxis(range, log) {
  return log
    ? {
        "y.scale": { type: "log", domain: range[0] === range[1] ? [range[0] / 2, range[0] * 2] : range, nice: false },
        "y.ticks": logTicks(range),
      }
    : { "y.scale": { zero: false }, "y.ticks": null };
}
