// The payload: where it comes from, and the numbers behind its codes.

const BELOW = 0;
const ABSENT = 254;
const UNFINITE = 255;
const LARGEST = 253;

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function unpacked(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

/** The payload that stands in the page, or null if the page is served. */
async function embedded() {
  const text = document.getElementById("payload").textContent.trim();
  return text ? unpacked(text) : null;
}

/** A function that returns the payload of the server, or null if it is the one that we have. */
function poller(url) {
  let tag = null;
  return async () => {
    const answer = await fetch(url, { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 304) return null;
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const payload = await answer.json();
    tag = answer.headers.get("ETag");
    return payload;
  };
}

const decoded = new WeakMap();

/** The codes of one series of a run: uint8, [steps, bins]. */
function codesOf(series) {
  if (!decoded.has(series)) decoded.set(series, bytesOf(series.codes));
  return decoded.get(series);
}

/** What a code stands for: its kind, and log10 of the norm if it has one. */
function measured(code, low, high) {
  if (code === BELOW) return { kind: "below", log10: null };
  if (code === ABSENT) return { kind: "absent", log10: null };
  if (code === UNFINITE) return { kind: "unfinite", log10: null };
  return { kind: "value", log10: low + ((code - 1) / (LARGEST - 1)) * (high - low) };
}

const seriesName = ({ layer, direction, part }) => `layer ${layer}, ${direction}, ${part}`;

/** The profile of a run at one of its probed steps: a row per bin in which the series has a state. */
function profileAt(run, of, at) {
  const series = run.profiles?.series.find((each) => each.of === of);
  if (!series) return [];
  const bins = run.profiles.bins[series.bins];
  const codes = codesOf(series);
  const n = bins.from.length;
  const rows = [];
  for (let bin = 0; bin < n; bin++) {
    const value = measured(codes[at * n + bin], series.low[at], series.high[at]);
    if (value.kind !== "absent")
      rows.push({ bin, from: bins.from[bin], to: bins.to[bin], lag: bins.lag[bin], ...value });
  }
  return rows;
}

/** Index of the last probed step that is not after `step`. */
function probeAt(run, step) {
  const steps = run.profiles?.steps ?? [];
  let at = 0;
  while (at + 1 < steps.length && steps[at + 1] <= step) at++;
  return at;
}
