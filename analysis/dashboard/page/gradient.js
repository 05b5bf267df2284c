// The gradient of the run in focus: heat map over training, and the profile at the step that the slider picks.

const COMPARED = 24; // thin lines beside the thick one

function whyNoProfile() {
  const run = focused();
  if (!runs().length) return "No runs yet.";
  if (!run) return "No run is in focus: click a row of the table.";
  if (run.profiles?.steps.length && run.profiles.series.length) return null;
  const words = { running: "It has not been probed yet.", failed: "The run failed before its first probe." };
  return `This run has no profile. ${words[run.outcome] ?? "It was trained without the profile probe."}`;
}

function facetHeight(count, steps) {
  const [least, most] = count === 1 ? [270, 360] : count <= 3 ? [150, 220] : [110, 140];
  return Math.round(Math.min(Math.max(steps * 16, least), most));
}

function shape(run, chosen, width, margin) {
  return {
    inner: Math.max(width - margin, 120),
    height: facetHeight(chosen.length, run.profiles.steps.length),
    order: chosen.map((of) => seriesName(state.payload.series[of])),
  };
}

const timesOf = ({ from, to }) => (from === to ? `t = ${number(from)}` : `t = ${number(from)} to ${number(to)}`);
const NORM = { below: "below the floor", unfinite: "not finite" };
const normOf = (datum) => NORM[datum.kind] ?? powerOfTen(datum.log10);

function placeRows(datum) {
  const lag = datum.kind === "value" || datum.x !== undefined ? [["lag", number(datum.lag)]] : [];
  return [["layer", datum.series], ["update", number(datum.step)], ["time", timesOf(datum)], ...lag];
}

function markKey(rows) {
  const kinds = new Set(rows.map((row) => row.kind));
  return [
    ["below", "below the floor"],
    ["unfinite", "not finite"],
  ].filter(([kind]) => kinds.has(kind));
}

function drawGradient(width) {
  byId("gradient-key").replaceChildren();
  const reason = whyNoProfile();
  if (reason) return { reason };
  const run = focused();
  const chosen = drawnSeries(run);
  const data = heatRows(run, chosen);
  const range = extent(data.map((row) => (row.kind === "value" ? row.log10 : null)));
  const domain = range && range[0] === range[1] ? [range[0] - 1, range[1] + 1] : (range ?? [0, 1]);
  byId("gradient-key").replaceChildren(
    ...(range ? [gradientKey("‖∂L/∂s‖", powerOfTen(range[0], 1), powerOfTen(range[1], 1))] : []),
    ...markKey(data).map(([shape, text]) => keyed(text, { shape })),
    keyed("the step of the slider", { shape: "frame", colour: css("bad") }),
  );
  const { steps, coarse } = run.profiles;
  const at = probeAt(run, state.step);
  const said = range
    ? `the norm goes from ${powerOfTen(range[0])} to ${powerOfTen(range[1])}`
    : "no norm is a number above the floor";
  const probed = `${plural(steps.length, "probed step")}, update ${number(steps[0])} to ${number(steps.at(-1))}`;
  return {
    spec: "gradient",
    values: {
      ...shape(run, chosen, width, 84),
      ...acrossAxis(data),
      "z.domain": domain,
      colours: Array.from({ length: 12 }, (_, i) => magnitude(i / 11)),
      floor: css("floor"),
      unfinite: css("unfinite"),
      "floor.mark": css("soft"),
      "unfinite.mark": css("unfinite-mark"),
      marker: css("bad"),
    },
    data: { points: data },
    signals: { probe: steps[at] },
    summary: `Gradient norm of ${chosen.length} series at ${probed}: ${said}.${coarse ? ` Kept: ${coarse}.` : ""}`,
    tip: (datum) => (datum.kind === "row" ? null : [...placeRows(datum), ["norm", normOf(datum)]]),
    press: (datum) => datum.step !== undefined && change({ step: datum.step }),
  };
}

function compared(run, chosen) {
  if (!state.compare) return [];
  const others = selectedRuns().filter(
    (each) => each !== run && each.profiles?.series.some((series) => chosen.includes(series.of)),
  );
  return others.slice(0, COMPARED);
}

function profileKey(run, others, look, rows) {
  const key = byId("profile-key");
  const drawn = [run, ...others];
  const short = (each) => shortLabel(each, drawn, state.payload.axes);
  if (state.colour === "run")
    key.replaceChildren(
      ...drawn.map((each) =>
        keyed(short(each), {
          ...look(each),
          title: label(each),
          width: each === run ? 3 : 1.3,
          press: () => change({ focus: each.run }),
        }),
      ),
    );
  else colourKey(key, drawn);
  const shapes = { below: "down", unfinite: "cross" };
  key.append(...markKey(rows).map(([kind, text]) => keyed(text, { shape: shapes[kind] })));
}

function drawProfile(width) {
  byId("profile-key").replaceChildren();
  const reason = whyNoProfile();
  if (reason) return { reason };
  const run = focused();
  const chosen = drawnSeries(run);
  const others = compared(run, chosen);
  const colours = runLook();
  const look = (each) =>
    each === run && !state.selected.has(run.run) && state.colour === "run"
      ? { colour: css("text"), dash: [] }
      : colours(each);
  const [low, high] = decades([run, ...others], chosen) ?? [-1, 1];
  const pad = Math.max((high - low) * 0.06, 0.25);
  const rim = { below: low - pad, unfinite: high + pad };
  const at = probeAt(run, state.step);
  const step = run.profiles.steps[at];
  const mine = lineRows(run, chosen, at, { ...look(run), mine: true }, rim);
  const rest = others.flatMap((each) =>
    lineRows(each, chosen, probeAt(each, step), { ...look(each), mine: false }, rim),
  );
  const data = [...rest, ...mine];
  const names = new Map([run, ...others].map((each) => [each.run, label(each)]));
  profileKey(run, others, look, mine);
  const range = extent(mine.map((row) => row.log10));
  const beside = others.length ? `, with ${plural(others.length, "other run")} at the probed step next before it` : "";
  const norms = range
    ? `norms from ${powerOfTen(range[0])} to ${powerOfTen(range[1])}`
    : "no norm is a number above the floor";
  return {
    spec: "gradient_profile",
    values: { ...shape(run, chosen, width, 84), ...acrossAxis(data), "y.domain": [low - 2 * pad, high + 2 * pad] },
    data: { points: data },
    summary: `Profile at update ${number(step)}${beside}: ${norms}.`,
    tip: (datum) => [["run", names.get(datum.run)], ...placeRows(datum), ["norm", normOf(datum)]],
    press: (datum) => change({ focus: datum.run }),
  };
}

function seriesChips() {
  const run = focused();
  const host = byId("series");
  const has = run?.profiles?.series.map((each) => each.of) ?? [];
  host.hidden = has.length < 2;
  const drawn = new Set(drawnSeries(run));
  const active = document.activeElement?.dataset?.of;
  const chip = (of) =>
    element(
      "label",
      {},
      element("input", { type: "checkbox", checked: drawn.has(of), "data-of": String(of) }),
      seriesName(state.payload.series[of]),
    );
  host.replaceChildren(host.querySelector("legend"), ...has.map(chip));
  host.querySelector(`[data-of="${active}"]`)?.focus({ preventScroll: true });
}

function slider() {
  const run = focused();
  const steps = run?.profiles?.steps ?? [];
  const at = run ? probeAt(run, state.step) : 0;
  const range = byId("step");
  const words = steps.length ? `update ${number(steps[at])}` : "no probed step";
  range.max = String(Math.max(steps.length - 1, 0));
  range.value = String(at);
  range.disabled = steps.length < 2;
  range.setAttribute("aria-valuetext", words);
  byId("step-text").textContent = words;
  byId("profile-step").textContent = steps.length ? `at ${words}` : "";
  byId("gradient-run").textContent = run ? label(run) : "";
}

function startGradient() {
  chart("gradient", ["focus", "series", "across", "step"], drawGradient);
  chart("profile", ["focus", "series", "across", "step", "compare", "selected", "colour"], drawProfile);
  byId("step").addEventListener("input", ({ target }) =>
    change({ step: focused()?.profiles.steps[Number(target.value)] ?? Infinity }),
  );
  byId("across").addEventListener("change", ({ target }) => change({ across: target.value }));
  byId("compare").addEventListener("change", ({ target }) => change({ compare: target.checked }));
  byId("series").addEventListener("change", () => {
    change({ series: [...byId("series").querySelectorAll(":checked")].map((box) => Number(box.dataset.of)) });
  });
  listeners.push((names) => {
    if (["payload", "focus", "series"].some((name) => names.has(name))) seriesChips();
    if (["payload", "focus", "step"].some((name) => names.has(name))) slider();
  });
}
