"""Draw the horizon atlas: from how many steps back the gradient arrives, for every recurrent configuration.

    python -m analysis.horizon_atlas [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--where NAME=VALUE] [--keep]

writes horizon_atlas (all cells and initialisations at the largest T, a panel for each depth and direction) and
horizon_atlas_lengths (the shallow forward ones, a panel for each T): effective horizon at initialisation and after
training, of the recurrent layer nearest to the input, and what theory says of initialisation where it says anything.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator

from analysis import drawing, style, tables
from analysis.figures.panels import order
from analysis.statistics.aggregate import DIRECTIONS, unique
from analysis.statistics.measures import measured

CELLS = {  # in the order of the figure
    "elman": "elman",
    "leaky": "leaky",
    "indrnn": "IndRNN",
    "cornn": "coRNN",
    "lru": "LRU",
    "gru": "GRU",
    "mingru": "minGRU",
    "lstm": "LSTM",
    "peepholelstm": "peephole LSTM",
    "coupledlstm": "coupled LSTM",
    "minlstm": "minLSTM",
}
DIAGONAL = ("indrnn", "lru", "mingru", "minlstm")  # no recurrent matrix that `init` could fill
ACTIVATIONS = {"tanh": "tanh", "relu": "ReLU", "modrelu": "modReLU"}
STAGES = {"init": "at initialisation", "trained": "after training"}
ROW = 0.125  # inches
COLOURS = style.categories(STAGES)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """The table of each figure; nothing is written besides."""
    frame = atlas(runs, folder)
    shallow = frame[(frame["depth"] == frame["depth"].min()) & (frame["direction"] == "forward")]
    return {
        "horizon_atlas": panelled(frame[frame["T"] == frame["T"].max()], ["depth", "direction"]),
        "horizon_atlas_lengths": panelled(shallow, ["T"]),
    }, []


def atlas(runs: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Finished runs: what recurs (`recurrence`, in order), depth, direction, T, seed, outcome, and steps.

    The steps are `init` and `trained`, with NAME_bound where they are lower bounds, and `predicted` of initialisation.
    """
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    unknown = set(finished["cell"]) - set(CELLS)
    if unknown:
        raise ValueError(f"the atlas knows the cells {', '.join(CELLS)}, got {', '.join(sorted(unknown))}")
    unique(finished)
    found = measured(finished, folder, [])
    found = found.assign(recurrence=[recurrence(run) for _, run in found.iterrows()])
    found = found.sort_values(["cell", "recurrence"], key=_rank, kind="stable").reset_index(drop=True)
    return pd.DataFrame(
        {
            "recurrence": pd.Categorical(found["recurrence"], list(dict.fromkeys(found["recurrence"])), ordered=True),
            "depth": found["network.depth"].astype(int),
            "direction": found["network.direction"],
            "T": found["task.length"].astype(int),
            "seed": found["seed"].astype(int),
            "outcome": found["outcome"],
            "init": found["horizon/init"],
            "init_bound": found["horizon/init_censored"].astype(bool),
            "trained": found["horizon/trained"],
            "trained_bound": found["horizon/trained_censored"].astype(bool),
            "predicted": found["predicted.horizon"].astype(float) if "predicted.horizon" in found else np.nan,
        }
    )


def recurrence(run: pd.Series) -> str:
    """`elman ReLU, identity`, `LSTM, orthogonal, chrono`, `LRU`: the cell and what stands in its recurrence."""
    activation = ACTIVATIONS[run["cell.activation"]] if run["cell"] in ("elman", "indrnn") else ""
    words = [" ".join(filter(None, (CELLS[run["cell"]], activation)))]
    if run["cell"] not in DIAGONAL:
        words.append(run["init"].replace("_", " "))
    if run["gate_bias"] == "chrono_bias":
        words.append("chrono")
    return ", ".join(words)


def _rank(column: pd.Series) -> pd.Series:
    return column.map(list(CELLS).index) if column.name == "cell" else column


def panelled(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The same with the panel of each run, `column`, in order."""
    keys = list(frame[by].itertuples(index=False, name=None))
    names = {key: _panel(dict(zip(by, key, strict=True))) for key in sorted(set(keys), key=_place)}
    column = pd.Categorical([names[key] for key in keys], list(names.values()), ordered=True)
    return frame.assign(column=column).reset_index(drop=True)


def figure(table: pd.DataFrame) -> Figure:
    """Open markers at initialisation, filled ones after training, with the range over seeds; a line for theory."""
    rows, columns = order(table["recurrence"]), order(table["column"])
    with style.look():
        canvas = style.canvas(style.TEXT, ROW * len(rows) + 0.9)
        grid = canvas.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axes, column in zip(grid, columns, strict=True):
            panel = table[table["column"] == column]
            for place, row in enumerate(rows):
                _row(axes, place, panel[panel["recurrence"] == row])
            _frame(axes, rows, float(panel["T"].max()))
            axes.set_title(column)
        lengths = sorted(table["T"].unique())
        title = f"$T$ = {lengths[0]:,}" if len(lengths) == 1 else "depth 1, forward"
        canvas.legend(handles=_marks(table), loc="outside upper center", ncols=5, title=title)
        canvas.supxlabel(style.label("horizon"), fontsize=7)
    return canvas


def _row(axes: Axes, place: int, runs: pd.DataFrame) -> None:
    for shift, stage in ((0.14, "init"), (-0.14, "trained")):
        steps, bound = runs[stage].to_numpy(float), runs[f"{stage}_bound"].to_numpy(bool)
        steps, bound = steps[~np.isnan(steps)], bound[~np.isnan(steps)]
        if not len(steps):
            continue
        median = float(np.median(steps))
        look = {"color": COLOURS[stage], "markerfacecolor": "white" if stage == "init" else COLOURS[stage]}
        marker = ">" if bound[steps >= median].all() else "o"
        axes.hlines(place - shift, max(steps.min(), 1), max(steps.max(), 1), color=COLOURS[stage], linewidth=0.6)
        axes.plot(max(median, 1), place - shift, marker, markersize=2.6, markeredgewidth=0.6, **look, gid=stage)
    if len(runs) and (runs["outcome"] == "diverged").all():
        axes.plot(1.3, place + 0.14, "x", color=COLOURS["trained"], markersize=2.6, markeredgewidth=0.7, gid="diverged")
    predicted = runs["predicted"].median()
    if not np.isnan(predicted):
        at = min(predicted, float(runs["T"].max()))
        axes.vlines(at, place - 0.45, place + 0.45, color=style.DARK, linewidth=0.9, gid="theory", zorder=1.5)


def _frame(axes: Axes, rows: list[str], longest: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(0.8, 2 * longest)
    axes.axvspan(longest, 2 * longest, color="0.93", linewidth=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.yaxis.set_major_locator(FixedLocator(range(len(rows))))
    axes.yaxis.set_major_formatter(FixedFormatter(rows))
    axes.tick_params(axis="y", labelsize=5.5, length=0)
    cells = [row.split(",")[0].split(" ")[0] for row in rows]
    for place in (i for i in range(1, len(rows)) if cells[i] != cells[i - 1]):
        axes.axhline(place - 0.5, color="0.75", linewidth=0.5)


def _marks(table: pd.DataFrame) -> list[Line2D]:
    plain = {"linestyle": "", "markersize": 3.5, "markeredgewidth": 0.7}
    handles = []
    for stage, words in STAGES.items():
        face = "white" if stage == "init" else COLOURS[stage]
        handles.append(Line2D([], [], marker="o", color=COLOURS[stage], markerfacecolor=face, label=words, **plain))
    handles.append(Line2D([], [], marker=">", color=style.GREY, label="$T$ or more", **plain))
    if table["predicted"].notna().any():
        handles.append(Line2D([], [], marker="|", color=style.DARK, label="theory at initialisation", **plain))
    if (table["outcome"] == "diverged").any():
        handles.append(Line2D([], [], marker="x", color=COLOURS["trained"], label="all runs diverged", **plain))
    return handles


def _panel(values: dict[str, int | str]) -> str:
    words = {"depth": "depth {}", "direction": "{}", "T": "$T$ = {:,}"}
    return ", ".join(words[name].format(value) for name, value in values.items())


def _place(key: tuple) -> tuple:
    return tuple(DIRECTIONS.index(value) if isinstance(value, str) else value for value in key)


EXPERIMENT = drawing.Experiment(
    "horizon_atlas",
    make,
    (
        drawing.Published(
            "horizon_atlas",
            figure,
            "From how many steps back the gradient arrives, for every cell, initialisation, depth and direction.",
        ),
        drawing.Published("horizon_atlas_lengths", figure, "The same of the shallow forward networks, for each T."),
    ),
    least=2,
)


def main(arguments: list[str] | None = None) -> int:
    """Write the figures, say which runs they show, and print the paths."""
    return drawing.main(EXPERIMENT, "Draw the horizon atlas.", arguments)


if __name__ == "__main__":
    sys.exit(main())
