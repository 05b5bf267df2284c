// Colours: Okabe and Ito's for categories, viridis for magnitudes; both are read without red and green cones.

const CATEGORIES = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d"],
  dark: ["#56b4e9", "#e69f00", "#2bc79b", "#e59bc4", "#f0e442", "#ff8a4c", "#c9ced6"],
};
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
const OUTCOMES = {
  solved: { light: "#009e73", dark: "#2bc79b", letter: "" },
  stuck: { light: "#e69f00", dark: "#f0b840", letter: "" },
  diverged: { light: "#d55e00", dark: "#ff8a4c", letter: "D" },
  running: { light: "#56b4e9", dark: "#56b4e9", letter: "R" },
  failed: { light: "#cc79a7", dark: "#e59bc4", letter: "F" },
  unfinished: { light: "#9aa3ad", dark: "#7c8794", letter: "U" },
};
const VIRIDIS = [
  "#440154",
  "#482878",
  "#3e4989",
  "#31688e",
  "#26828e",
  "#1f9e89",
  "#35b779",
  "#6ece58",
  "#b5de2b",
  "#fde725",
];

const dark = () => document.documentElement.dataset.theme === "dark";
const mode = () => (dark() ? "dark" : "light");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const category = (slot) => CATEGORIES[mode()][slot % CATEGORIES[mode()].length];
const dash = (slot) => DASHES[Math.floor(slot / CATEGORIES[mode()].length) % DASHES.length];
const outcomeColour = (outcome) => (OUTCOMES[outcome] ?? OUTCOMES.unfinished)[mode()];

/** Viridis at a share in [0, 1], without the end that the ground swallows. */
function magnitude(share) {
  const place = (dark() ? 0.22 + 0.78 * share : 0.92 * share) * (VIRIDIS.length - 1);
  const at = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const part = place - at;
  const channel = (colour, i) => parseInt(colour.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mixed = [0, 1, 2].map((i) => channel(VIRIDIS[at], i) * (1 - part) + channel(VIRIDIS[at + 1], i) * part);
  return `rgb(${mixed.map(Math.round).join(",")})`;
}

/** A colour for each value of an axis: ordered if it is numeric. */
function axisColours(axis) {
  const values = axis.values;
  const last = Math.max(values.length - 1, 1);
  // More words than colours: shades at least differ.
  const ordered = axis.numeric || values.length > CATEGORIES[mode()].length;
  return new Map(values.map((value, i) => [setting(value), ordered ? magnitude(i / last) : category(i)]));
}

/** Colour and dash of a run by what the user has chosen, and the key to them: one row per colour. */
function runLook() {
  const { colour, payload, selected } = state;
  const axis = payload.axes[axisIndex(colour)];
  if (axis) {
    const colours = axisColours(axis);
    const i = axisIndex(colour);
    return (run) => ({ colour: colours.get(setting(run.settings[i])) ?? css("soft"), dash: [] });
  }
  if (colour === "outcome") return (run) => ({ colour: outcomeColour(run.outcome), dash: [] });
  return (run) => {
    const slot = selected.get(run.run);
    return slot === undefined ? { colour: css("soft"), dash: [] } : { colour: category(slot), dash: dash(slot) };
  };
}

/** The look of all charts, in the colours of the page. */
function vegaConfig() {
  const [text, soft, line, faint] = ["text", "soft", "line", "faint"].map(css);
  const font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
  return {
    background: null,
    font,
    view: { stroke: line, continuousHeight: 260 },
    axis: {
      labelColor: soft,
      titleColor: soft,
      domainColor: line,
      tickColor: line,
      gridColor: faint,
      labelFontSize: 11,
      titleFontSize: 12,
      titleFontWeight: "normal",
      titlePadding: 7,
      labelOverlap: true,
      labelFlush: false,
    },
    legend: { labelColor: soft, titleColor: soft, titleFontWeight: "normal", labelFontSize: 11, titleFontSize: 11 },
    header: { labelColor: text, labelFontSize: 12, labelFontWeight: 550, titleColor: soft },
    text: { color: text, font },
    rule: { color: soft },
  };
}
