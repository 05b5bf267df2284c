// Columns of the table, the conditions of the filter, and the order.

/** What the table shows: `value` is compared and sorted, `text` is read. */
function columnsOf(payload) {
  const { axes } = payload;
  const plain = (name, title, text = number) => ({
    name,
    label: title,
    title,
    numeric: true,
    value: (run) => run[name],
    text: (run) => text(run[name]),
  });
  const word = (name, title, value) => ({
    name,
    label: title,
    title,
    numeric: false,
    value,
    text: (run) => value(run) ?? NOTHING,
  });
  return [
    ...axes.map((axis, i) => ({
      name: axis.name,
      label: axis.label,
      title: axis.label,
      numeric: axis.numeric,
      value: (run) => run.settings[i] ?? null,
      text: (run) =>
        run.settings[i] === null ? NOTHING : axis.numeric ? number(run.settings[i], 4) : setting(run.settings[i]),
    })),
    word("outcome", "outcome", (run) => run.outcome),
    word("verdict", "verdict", (run) => run.verdict?.name ?? null),
    plain("loss", payload.loss || "loss"),
    plain("metric", payload.metric || "metric"),
    {
      name: "horizon",
      label: "horizon",
      title: "horizon",
      numeric: true,
      tie: (run) => (run.censored ? 1 : 0),
      value: (run) => run.horizon,
      text: (run) => bound(run.horizon, run.censored),
    },
    plain("decay", "decay per step"),
    plain("step", "steps"),
    plain("seconds", "time", duration),
    word("run", "run", (run) => run.run),
  ];
}

const CONDITION = /^([^\s=!<>]+)(!=|<=|>=|=|<|>)(.*)$/s;

/** Words of the filter; double quotes keep spaces together. */
const wordsOf = (text) => (text.match(/(?:"[^"]*"?|[^\s"])+/g) ?? []).map((word) => word.replaceAll('"', ""));

/** The column that a name stands for: its name, its label, or the end of either. */
function columnNamed(name, columns) {
  const wanted = name.toLowerCase();
  const fits = [(c) => c.name, (c) => c.label, (c) => c.name.split(".").at(-1), (c) => c.label.split("/").at(-1)];
  for (const of of fits) {
    const found = columns.find((column) => of(column).toLowerCase() === wanted);
    if (found) return found;
  }
  return null;
}

const same = (value, wanted) => {
  if (value === null || value === undefined) return ["none", "null", "-"].includes(wanted.toLowerCase());
  if (typeof value === "number") return wanted !== "" && Number(wanted) === value;
  return setting(value).toLowerCase() === wanted.toLowerCase();
};

const COMPARE = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b };

/** A test of a run from one word of the filter, or the error that says what is wrong with it. */
function condition(word, columns) {
  const parts = word.match(CONDITION);
  if (!parts) return { test: (run, rowText) => rowText(run).includes(word.toLowerCase()) };
  const [, name, operator, wanted] = parts;
  const column = columnNamed(name, columns);
  if (!column) return { error: `there is no column ${name}: there are ${columns.map((c) => c.label).join(", ")}` };
  if (wanted === "") return { error: `${name}${operator} needs a value` };
  if (operator === "=" || operator === "!=") {
    const any = wanted.split(",");
    return { test: (run) => any.some((value) => same(column.value(run), value)) === (operator === "=") };
  }
  if (!column.numeric) return { error: `${name} is text: it can be = or !=, not ${operator}` };
  const limit = Number(wanted);
  if (Number.isNaN(limit)) return { error: `${name}${operator} needs a number, got ${wanted}` };
  return { test: (run) => typeof column.value(run) === "number" && COMPARE[operator](column.value(run), limit) };
}

/** Runs that meet all conditions, and what is wrong with those that cannot be read. */
function filtered(all, text, columns) {
  const conditions = wordsOf(text).map((word) => condition(word, columns));
  const tests = conditions.filter((each) => each.test);
  const errors = conditions.filter((each) => each.error);
  if (!tests.length) return { runs: all, errors: errors.map((each) => each.error) };
  const rowText = (run) =>
    columns
      .map((column) => column.text(run))
      .join(" ")
      .toLowerCase();
  const passing = all.filter((run) => {
    return tests.every(({ test }) => test(run, rowText));
  });
  return { runs: passing, errors: errors.map((each) => each.error) };
}

const collator = new Intl.Collator("en", { numeric: true });

/** The runs in order; who has no value comes last in either direction, ties keep the order of the payload. */
function sorted(all, keys, columns) {
  const used = keys.map((key) => ({ ...key, of: columns.find((c) => c.name === key.column) })).filter((key) => key.of);
  if (!used.length) return all;
  const rows = all.map((run) => ({ run, values: used.map(({ of }) => of.value(run) ?? null) }));
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : collator.compare(setting(a), setting(b));
  return rows
    .sort((a, b) => {
      for (const [i, { of, descending }] of used.entries()) {
        const [x, y] = [a.values[i], b.values[i]];
        if (x === null || y === null) {
          if (x !== y) return x === null ? 1 : -1;
          continue;
        }
        const order = compare(x, y) || (of.tie ? of.tie(a.run) - of.tie(b.run) : 0);
        if (order) return descending ? -order : order;
      }
      return 0;
    })
    .map(({ run }) => run);
}
