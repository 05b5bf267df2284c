// Numbers as a reader wants them.

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const NOTHING = "–";
const grouped = new Intl.NumberFormat("en"); // one for all: making one costs more than a hundred uses

const superscript = (integer) =>
  (integer < 0 ? "⁻" : "") + [...String(Math.abs(integer))].map((digit) => SUPERSCRIPTS[digit]).join("");

/** 10 to the power of a base-10 logarithm, as text: exact powers without a factor. */
function powerOfTen(log10, digits = 2) {
  if (!Number.isFinite(log10)) return NOTHING;
  if (Math.abs(log10) < 4) return number(10 ** log10, digits + 1);
  let power = Math.floor(log10);
  let factor = Number((10 ** (log10 - power)).toFixed(digits - 1));
  if (factor >= 10) [power, factor] = [power + 1, 1];
  return (factor === 1 ? "" : `${factor} × `) + "10" + superscript(power);
}

function number(value, digits = 3) {
  if (value === null || value === undefined) return NOTHING;
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return grouped.format(value);
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) {
    const [factor, power] = value.toExponential(digits - 1).split("e");
    return `${Number(factor)}e${Number(power)}`;
  }
  return String(Number(value.toPrecision(digits)));
}

/** A setting: any JSON, in one line, as Hydra would be given it. */
function setting(value) {
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value)) return `[${value.map(setting).join(", ")}]`;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const bound = (value, censored) =>
  value === null || value === undefined ? NOTHING : (censored ? "≥ " : "") + number(value);

function duration(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  if (seconds < 100) return `${number(seconds, 2)} s`;
  return seconds < 6000 ? `${number(seconds / 60, 2)} min` : `${number(seconds / 3600, 2)} h`;
}

const plural = (count, word) => `${grouped.format(count)} ${word}${count === 1 ? "" : "s"}`;

/** The settings of a run that vary, in one line; its id if none does. */
function labelOf(run, axes) {
  const parts = axes.map((axis, i) => [axis.label, run.settings[i]]).filter(([, value]) => value !== null);
  return parts.length ? parts.map(([label, value]) => `${label}=${setting(value)}`).join(" ") : run.run;
}

/** NAME=VALUE, or a word by itself, which says what it is a value of. */
function told(axis, value) {
  const bare = !axis.numeric && typeof value === "string" && /^[a-z]\w{2,}$/i.test(value) && value !== "none";
  return bare ? value : `${axis.label}=${setting(value)}`;
}

/** What tells a run from the others that are drawn: the settings in which they differ. */
function shortLabel(run, others, axes) {
  const differ = axes.map((_, i) => new Set(others.map((each) => setting(each.settings[i]))).size > 1);
  if (!differ.includes(true)) return labelOf(run, axes);
  return (
    axes
      .flatMap((axis, i) =>
        differ[i] && run.settings[i] !== null ? [told(axis, run.settings[i])] : [],
      )
      .join(" ") || run.run
  );
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  return n ? (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2 : null;
}

/** Smallest and largest, in a loop: there may be more values than a call can take. */
function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null || value === undefined || !Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

const distinct = (values) => [...new Set(values)];
