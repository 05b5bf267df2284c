// What stands above: the experiment, its outcomes, the settings that do not vary, the theme.

const ORDER = Object.keys(OUTCOMES);

function header() {
  const { payload } = state;
  document.title = `${payload.name} · rnnlab`;
  byId("name").textContent = payload.name;
  const tally = new Map();
  for (const run of payload.runs) tally.set(run.outcome, (tally.get(run.outcome) ?? 0) + 1);
  const names = [...tally.keys()].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
  byId("outcomes").replaceChildren(
    ...names.map((name) =>
      element(
        "li",
        {},
        element("span", { class: "dot", style: { background: outcomeColour(name) } }),
        element("b", {}, number(tally.get(name))),
        ` ${name}`,
      ),
    ),
  );
  const common = Object.entries(payload.common ?? {});
  byId("common").hidden = common.length === 0;
  byId("common").querySelector("summary").textContent = `${plural(common.length, "setting")} that all runs share`;
  byId("common")
    .querySelector("dl")
    .replaceChildren(
      ...common.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, setting(value)))),
    );
  choose(
    byId("colour"),
    [["run", "its own"], ["outcome", "by outcome"], ...payload.axes.map((axis) => [axis.name, `by ${axis.label}`])],
    state.colour,
  );
}

const system = matchMedia("(prefers-color-scheme: dark)");

function paint() {
  document.documentElement.dataset.theme = state.theme === "auto" ? (system.matches ? "dark" : "light") : state.theme;
}

function live(found, error = null) {
  const lamp = byId("live");
  lamp.hidden = !found;
  lamp.classList.toggle("lost", error !== null);
  const words = error ?? "live";
  if (lamp.textContent !== words) lamp.textContent = words; // it is read aloud when it changes
}

function startHeader() {
  listeners.unshift((names) => names.has("theme") && paint());
  system.addEventListener("change", () => {
    paint();
    if (state.theme === "auto" && state.payload) for (const listener of listeners) listener(new Set(["theme"]));
  });
  byId("theme").addEventListener("change", (event) => change({ theme: event.target.value }));
  listeners.push((names) => (names.has("payload") || names.has("theme")) && state.payload && header());
  paint();
}
