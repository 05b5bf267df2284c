// The table of runs. Only the rows in view are in the document, so that a thousand cost no more than twenty.

const SPARE = 8; // rows kept above and below those in view
const grid = { box: byId("grid"), cursor: 0, height: 30, first: -1 };

/** Columns as wide as their longest text, within reason: rows come and go, and must not move them. */
function tableWidths() {
  const { columns } = state;
  const widest = (column) => extent(runs().map((run) => column.text(run).length))?.[1] ?? 0;
  const widths = columns.map((c) =>
    Math.min(Math.max(widest(c) + (c.name === "outcome" ? 2 : 0), c.title.length + 2, 4), 26),
  );
  const table = grid.box.querySelector("table");
  table
    .querySelector("colgroup")
    .replaceChildren(
      element("col", { style: { width: "3.6rem" } }),
      ...widths.map((width) => element("col", { style: { width: `calc(${width}ch + 1.4rem)` } })),
    );
  table.style.width = "100%";
  table.style.minWidth = `calc(${widths.reduce((a, b) => a + b, 0)}ch + ${3.6 + 1.4 * widths.length}rem)`;
}

function tableHead() {
  const { columns, sort } = state;
  const table = grid.box.querySelector("table");
  const heads = columns.map((column) => {
    const key = sort.find((each) => each.column === column.name);
    const order = key ? (key.descending ? "descending" : "ascending") : "none";
    const press = (event) => sortBy(column.name, event.shiftKey);
    return element(
      "th",
      { scope: "col", class: column.numeric ? "number" : "", "aria-sort": order, "data-column": column.name },
      element(
        "button",
        {
          type: "button",
          title: `${column.name}: click to sort, Shift and click to sort within the present order`,
          onclick: press,
        },
        column.title,
      ),
    );
  });
  const active = document.activeElement?.closest?.("th")?.dataset.column;
  const pick = element("th", { scope: "col" }, element("span", { class: "hidden" }, "Selected"));
  table.querySelector("thead").replaceChildren(element("tr", { "aria-rowindex": "1" }, pick, ...heads));
  if (active) heads[columns.findIndex((column) => column.name === active)]?.firstChild.focus({ preventScroll: true });
}

function sortBy(name, within) {
  const before = state.sort.find((key) => key.column === name);
  const key = { column: name, descending: before ? !before.descending : false };
  change({ sort: within ? [...state.sort.filter((each) => each.column !== name && each.column), key] : [key] });
}

/** Filter and sort, and say what came of it. */
function arrange() {
  const { payload, columns, filter, sort } = state;
  const found = filtered(payload.runs, filter, columns);
  byId("filter-error").textContent = found.errors.length ? `Ignored: ${found.errors.join("; ")}` : "";
  byId("filter").setAttribute("aria-invalid", String(found.errors.length > 0));
  change({ shown: sorted(found.runs, sort, columns) });
}

function counts() {
  const { shown, selected } = state;
  const all = runs().length;
  const passing = shown.length === all ? "" : `${shown.length} of `;
  byId("counts").textContent = `${passing}${plural(all, "run")}, ${selected.size} selected`;
}

function cell(column, run) {
  const text = column.text(run);
  const dot =
    column.name === "outcome"
      ? element("span", { class: "dot", style: { background: outcomeColour(run.outcome) } })
      : null;
  return element("td", { class: column.numeric ? "number" : "", title: text.length > 18 ? text : null }, dot, text);
}

function row(run, index, look) {
  const picked = state.selected.has(run.run);
  const inFocus = state.focus === run.run;
  const box = element("input", {
    type: "checkbox",
    tabindex: "-1",
    checked: picked,
    "aria-label": `select ${label(run)}`,
  });
  const swatch = picked ? element("span", { class: "swatch", style: { background: look(run).colour } }) : null;
  return element(
    "tr",
    {
      class: inFocus ? "focus" : "",
      tabindex: index === grid.cursor ? "0" : "-1",
      "data-run": run.run,
      "data-index": String(index),
      "aria-rowindex": String(index + 2),
      "aria-selected": String(picked),
      "aria-current": inFocus ? "true" : null,
    },
    element("td", { class: "pick" }, box, swatch),
    ...state.columns.map((column) => cell(column, run)),
  );
}

const space = (rows) =>
  element(
    "tr",
    { class: "space", "aria-hidden": "true" },
    element("td", { colSpan: state.columns.length + 1, style: { height: `${rows * grid.height}px` } }),
  );

/** The rows in view, between two spaces that stand for the others. */
function tableRows() {
  const { shown, columns } = state;
  const { box } = grid;
  const look = runLook();
  const body = box.querySelector("tbody");
  box.querySelector("table").setAttribute("aria-rowcount", String(shown.length + 1));
  if (!shown.length) {
    const words = runs().length ? "No run passes the filter." : "No runs yet.";
    body.replaceChildren(
      element(
        "tr",
        { class: "space" },
        element("td", { colSpan: columns.length + 1 }, element("p", { class: "reason" }, words)),
      ),
    );
    return;
  }
  grid.cursor = Math.min(grid.cursor, shown.length - 1);
  const rows = Math.ceil((box.clientHeight || 400) / grid.height) + 2 * SPARE;
  grid.first = Math.max(Math.min(Math.floor(box.scrollTop / grid.height) - SPARE, shown.length - rows), 0);
  const last = Math.min(grid.first + rows, shown.length);
  const held = body.contains(document.activeElement);
  body.replaceChildren(
    space(grid.first),
    ...shown.slice(grid.first, last).map((run, i) => row(run, grid.first + i, look)),
    space(shown.length - last),
  );
  if (held) (body.querySelector("tr[tabindex='0']") ?? box).focus({ preventScroll: true });
  const height = body.querySelector("tr[data-run]").offsetHeight;
  if (height && height !== grid.height) {
    grid.height = height;
    tableRows();
  }
}

function moveTo(index) {
  const { box } = grid;
  grid.cursor = Math.max(0, Math.min(index, state.shown.length - 1));
  const top = grid.cursor * grid.height;
  const view = box.clientHeight - box.querySelector("thead").offsetHeight;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + grid.height > box.scrollTop + view) box.scrollTop = top + grid.height - view;
  tableRows();
  box.querySelector("tr[tabindex='0']")?.focus({ preventScroll: true });
}

function tableKey(event) {
  if (event.target.closest("thead") || !state.shown.length) return;
  const page = Math.max(Math.floor(grid.box.clientHeight / grid.height) - 2, 1);
  const { cursor } = grid;
  const places = {
    ArrowDown: cursor + 1,
    ArrowUp: cursor - 1,
    PageDown: cursor + page,
    PageUp: cursor - page,
    Home: 0,
    End: Infinity,
  };
  if (event.key in places) moveTo(places[event.key]);
  else if (event.key === "Enter") change({ focus: state.shown[cursor].run });
  else if (event.key === " ") toggle(state.shown[cursor].run);
  else return;
  event.preventDefault();
}

function tableClick(event) {
  const line = event.target.closest("tr[data-run]");
  if (!line) return;
  grid.cursor = Number(line.dataset.index);
  if (event.target.closest(".pick")) {
    event.preventDefault(); // the row is drawn anew, with its box as the selection says
    toggle(line.dataset.run);
  } else change({ focus: line.dataset.run });
}

/** Show the row of the run in focus after it was chosen in a chart. */
function reveal() {
  const index = state.shown.findIndex((run) => run.run === state.focus);
  if (index < 0 || grid.box.contains(document.activeElement)) return;
  const top = index * grid.height;
  const { box } = grid;
  if (top < box.scrollTop || top + 2 * grid.height > box.scrollTop + box.clientHeight)
    box.scrollTop = Math.max(top - 2 * grid.height, 0);
}

function startTable() {
  grid.box.tabIndex = -1;
  grid.box.addEventListener("keydown", tableKey);
  grid.box.querySelector("tbody").addEventListener("click", tableClick);
  grid.box.addEventListener("scroll", () => requestAnimationFrame(tableRows), { passive: true });
  byId("all").addEventListener("click", () => select([...state.selected.keys(), ...state.shown.map((run) => run.run)]));
  byId("none").addEventListener("click", () => select([]));
  byId("filter").addEventListener("input", (event) => change({ filter: event.target.value }));
  byId("colour").addEventListener("change", (event) => change({ colour: event.target.value }));
  byId("scope").addEventListener("change", (event) => change({ scope: event.target.value }));
  listeners.push((names) => {
    if (names.has("columns")) tableWidths();
    if (names.has("columns") || names.has("sort")) tableHead();
    if (names.has("payload") || names.has("filter") || names.has("sort")) arrange();
    if (names.has("focus")) reveal();
    if (["payload", "shown", "selected", "focus", "colour", "theme"].some((name) => names.has(name))) tableRows();
    if (["payload", "shown", "selected"].some((name) => names.has(name))) counts();
  });
}
