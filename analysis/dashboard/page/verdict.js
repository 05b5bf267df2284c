// The verdict on the run in focus: the word, what decided it, and what is commonly tried against it.

/** Copy text; where the browser gives no clipboard, by way of a field. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = element("textarea", { style: { position: "fixed", opacity: "0" } });
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}

/** Overrides as they can be run: `=T` stands for the length of this run. */
const ready = (overrides, { T }) => overrides.replace(/=T(?=\s|$)/g, T ? `=${T}` : "=T");

function remedy({ text, try: general }, run) {
  if (!general) return element("li", {}, element("span", {}, text));
  const overrides = ready(general, run);
  const button = element("button", { type: "button", "aria-label": `copy ${overrides}` }, "Copy");
  button.addEventListener("click", async () => {
    await copy(overrides);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return element("li", {}, element("span", {}, text), element("code", {}, overrides), button);
}

const fact = (term, text) => element("div", {}, element("dt", {}, term), element("dd", {}, text));

function facts(run) {
  const { payload } = state;
  const predicted = run.predicted?.horizon;
  return element(
    "dl",
    { class: "facts" },
    fact("outcome", run.outcome),
    fact(payload.loss || "loss", number(run.loss)),
    fact(payload.metric || "metric", number(run.metric)),
    fact("horizon", bound(run.horizon, run.censored)),
    fact("horizon at initialisation", bound(run.init?.horizon, run.init?.censored)),
    predicted === undefined || predicted === null ? null : fact("by theory", number(predicted)),
    fact("decades per step", number(run.decay)),
    fact("steps", number(run.step)),
    fact("time", duration(run.seconds)),
  );
}

function verdictPanel() {
  const run = focused();
  const host = byId("verdict");
  byId("verdict-run").textContent = run ? label(run) : "";
  if (!run)
    return host.replaceChildren(element("p", { class: "reason" }, "No run in focus: click a row of the table."));
  const failure = run.failure ? element("p", { class: "error" }, run.failure) : null;
  const { verdict } = run;
  const about = verdict && state.payload.verdicts?.[verdict.name];
  if (!verdict) {
    const why = {
      failed: "No verdict: the run failed.",
      running: "No verdict yet: the run is under way, and has not been probed.",
    };
    const words = why[run.outcome] ?? "No verdict: nothing was probed, or no gradient arrived.";
    return host.replaceChildren(
      element("p", { class: "word" }, "–"),
      failure ?? "",
      element("p", { class: "rule" }, words),
      facts(run),
    );
  }
  const figures = [
    verdict.number !== null && number(verdict.number),
    verdict.threshold !== null && `threshold ${number(verdict.threshold)}`,
  ];
  const remedies = about?.remedies ?? [];
  host.replaceChildren(
    element("p", { class: "word" }, verdict.name, element("small", {}, figures.filter(Boolean).join(" · "))),
    element("p", {}, verdict.text ?? ""),
    failure ?? "",
    about?.rule ? element("p", { class: "rule" }, about.rule) : "",
    facts(run),
    remedies.length ? element("h3", {}, "Commonly tried") : "",
    remedies.length ? element("ul", { class: "remedies" }, ...remedies.map((each) => remedy(each, run))) : "",
  );
}

function startVerdict() {
  listeners.push((names) => (names.has("payload") || names.has("focus")) && verdictPanel());
}
