// Rows of the two gradient charts. Their kinds: value, below (the floor), unfinite; row frames a probed step.

/** Series of the run in focus that are drawn: indices into payload.series. */
function drawnSeries(run) {
  const has = run?.profiles ? run.profiles.series.map((series) => series.of) : [];
  const wanted = has.filter((of) => state.series?.includes(of));
  if (wanted.length || !has.length) return wanted;
  const recurrent = (of) => ["forward", "backward"].includes(state.payload.series[of].direction);
  return [has.find(recurrent) ?? has[0]];
}

/** Where a bin lies on the axis: steps t from - 1/2 to + 1/2, or the lags that belong to them. */
function placed(rows, run, of) {
  if (state.across === "time")
    return rows.map((row) => ({ ...row, x0: row.from - 0.5, x1: row.to + 0.5, x: (row.from + row.to) / 2 }));
  const rising = rows.length > 1 ? rows.at(-1).lag > rows[0].lag : state.payload.series[of].direction === "backward";
  return rows.map((row) => {
    const middle = Math.floor((row.from + row.to) / 2);
    const sign = rising ? 1 : -1;
    const ends = [row.from, row.to].map((t) => row.lag + sign * (t - middle));
    return { ...row, x0: Math.min(...ends) - 0.5, x1: Math.max(...ends) + 0.5, x: row.lag };
  });
}

const adjoining = (a, b) => a.kind === b.kind && (a.x1 === b.x0 || a.x0 === b.x1);

/** Neighbouring bins of one kind as one stretch. */
function stretches(rows, kind) {
  const found = [];
  for (const row of rows.filter((each) => each.kind === kind)) {
    const last = found.at(-1);
    if (last && adjoining(last, row)) {
      Object.assign(last, {
        x0: Math.min(last.x0, row.x0),
        x1: Math.max(last.x1, row.x1),
        from: Math.min(last.from, row.from),
        to: Math.max(last.to, row.to),
      });
    } else found.push({ ...row });
  }
  return found;
}

/** One probed step of one series in the heat map. */
function mapRows(run, of, at) {
  const series = seriesName(state.payload.series[of]);
  const step = run.profiles.steps[at];
  const rows = placed(profileAt(run, of, at), run, of);
  const range = extent(rows.flatMap((row) => [row.x0, row.x1]));
  const marked = ["below", "unfinite"].flatMap((kind) =>
    stretches(rows, kind).map((row) => ({ ...row, series, step })),
  );
  return [
    ...rows.filter((row) => row.kind === "value").map((row) => ({ ...row, series, step })),
    ...marked,
    ...(range ? [{ kind: "row", series, step, x0: range[0], x1: range[1] }] : []),
  ];
}

const heatRows = (run, chosen) =>
  chosen.flatMap((of) => [...run.profiles.steps.keys()].flatMap((at) => mapRows(run, of, at)));

/** The profile of a run at a probed step, of all chosen series; marks that have no number stand at the rim. */
function lineRows(run, chosen, at, look, rim) {
  return chosen.flatMap((of) => {
    const series = seriesName(state.payload.series[of]);
    const step = run.profiles.steps[at];
    const rows = placed(profileAt(run, of, at), run, of);
    return rows.map((row) => ({
      ...row,
      ...look,
      series,
      step,
      run: run.run,
      mine: look.mine,
      y: row.kind === "value" ? row.log10 : rim[row.kind],
      line: row.kind === "value" ? row.log10 : null,
    }));
  });
}

/** Lowest and highest log10 of these series over all probed steps, so that the axis stands still while one slides. */
function decades(found, chosen) {
  const ends = found.flatMap((run) =>
    run.profiles.series.filter((each) => chosen.includes(each.of)).flatMap((each) => [...each.low, ...each.high]),
  );
  return extent(ends);
}

/** Ticks of a lag axis, which is log(1 + lag): 0, 1, and 1, 2, 5 of each decade, or the powers of ten alone. */
function lagTicks(largest) {
  const ticks = [0];
  for (let power = 1; power <= largest; power *= 10)
    ticks.push(...(largest > 300 ? [power] : [power, 2 * power, 5 * power]));
  return ticks.filter((tick) => tick <= largest);
}

/** Scale, title and ticks of the axis that both gradient charts share. */
function acrossAxis(rows) {
  const domain = extent(rows.flatMap((row) => [row.x0, row.x1])) ?? [0, 1];
  return state.across === "lag"
    ? {
        "x.title": "lag: steps back from the loss",
        "x.scale": { type: "symlog", domain, nice: false },
        "x.ticks": lagTicks(domain[1]),
      }
    : { "x.title": "time step t", "x.scale": { domain, nice: false, zero: false }, "x.ticks": null };
}
