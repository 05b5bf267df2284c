"""Draw the experiment `sutskever2014_reversal`: is a sequence easier to write again if it was read in reverse?

    python -m analysis.sutskever2014_reversal [FOLDER] [--out figures] [--scale SCALE] [--where NAME=VALUE] [--keep]

writes sutskever2014_reversal (validation loss over updates, for each T) and sutskever2014_positions (loss of each
written symbol during training), and prints whether the claims hold. Losses are shares of the baseline
T ln n / (T + 1), that of who writes any of the n symbols and stops in time, from the recorded T and n.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis import claims, drawing, style, tables
from analysis.claims import Claim
from analysis.figures.band import band, mark
from analysis.figures.panels import looks, named, panels
from analysis.tables.blocks import blocks

LOSS, HALF = "validation/loss", 0.5
IN_ORDER, REVERSED = "source in order", "source reversed"
ORDERS = {"repeat": IN_ORDER, "reverse": REVERSED}
PAPER = "perplexity 5.8 -> 4.7, BLEU 25.9 -> 30.6"


def main(arguments: list[str] | None = None) -> int:
    """Write the figures, say what they show and whether the claims hold, and print the paths."""
    return drawing.main(EXPERIMENT, "Draw the experiment sutskever2014_reversal.", arguments)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """column (of T), hue (the order of the source), T and seed, and then

    sutskever2014_reversal     step and loss, of the validation set
    sutskever2014_positions    position j = 0 .. T - 1 of a written symbol, and loss, of a training batch at the probed
                               step nearest to the middle of training
    """
    chosen = described(runs[runs["outcome"].isin(tables.FINISHED)])
    logged = tables.scalars(folder, LOSS, set(chosen["run"]))
    logged = logged[logged["name"] == LOSS].astype({"run": str}).rename(columns={"value": "loss"})
    return {
        "sutskever2014_reversal": _table(logged, chosen, "step"),
        "sutskever2014_positions": _table(_positions(folder, chosen), chosen, "position"),
    }, []


def described(runs: pd.DataFrame) -> pd.DataFrame:
    """run, column, hue, T, seed and baseline.

    Raises:
        ValueError: sequences of different lengths: then the baseline is another, and no lag is that of a symbol.
    """
    T, symbols = runs["task.length"], runs["task.symbols"]
    if (runs["task.shortest"] != T).any():
        raise ValueError("sutskever2014_reversal needs sequences of one length, task.shortest = task.length")
    columns = {"column": "$T$ = " + T.astype(str), "hue": runs["task"].map(ORDERS), "T": T, "seed": runs["seed"]}
    return pd.DataFrame({"run": runs["run"].astype(str), **columns, "baseline": T * np.log(symbols) / (T + 1)})


def _positions(folder: Path, chosen: pd.DataFrame) -> pd.DataFrame:
    """run, position and loss of each written symbol, without the stop."""
    pieces = []
    for run, T in zip(chosen["run"], chosen["T"], strict=True):
        found = pd.concat(rows for name, rows in blocks(folder / run / "profiles.npz") if name == "step_losses")
        steps = found["step"].unique()
        middle = found[found["step"] == steps[np.abs(steps - steps.max() / 2).argmin()]]
        pieces.append(middle.assign(run=run, position=middle["time"] - T)[lambda rows, T=T: rows["position"] < T])
    return pd.concat(pieces, ignore_index=True)


def _table(found: pd.DataFrame, chosen: pd.DataFrame, x: str) -> pd.DataFrame:
    table = found.drop(columns="step" if x != "step" else []).merge(chosen, on="run")
    table["loss"] /= table["baseline"]
    columns = list(chosen.sort_values("T")["column"].unique())
    table["column"] = pd.Categorical(table["column"], columns, ordered=True)
    table["hue"] = pd.Categorical(table["hue"], list(ORDERS.values()), ordered=True)
    keep = ["column", "hue", "T", "seed", x, "loss"]
    return table[keep].sort_values(keep[:-1], ignore_index=True)


def learning_figure(table: pd.DataFrame) -> Figure:
    return _figure(table, "step", style.label("step"), "validation loss / baseline")


def positions_figure(table: pd.DataFrame) -> Figure:
    return _figure(table, "position", "written symbol $j$", "loss of symbol $j$ / baseline")


def _figure(table: pd.DataFrame, x: str, label: str, y: str) -> Figure:
    """A panel for each T, a line for each order of the source."""
    table = table.assign(row="", dash="")
    look = looks(table)
    with style.look():
        made = panels(table, 1.7)
        for axes, panel in made.of(table):
            axes.axhline(1, color=style.GREY, linewidth=0.6)
            if x == "step":
                axes.axhline(HALF, color=style.GREY, linewidth=0.6, linestyle=":")
            for key, lines in panel.groupby(["hue", "dash"], observed=True):
                band(axes, lines, x, "loss", look[key])
            axes.set_ylim(0, 1.2)
            axes.set_xlim(0, panel[x].max())
            axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
            axes.tick_params(labelleft=made.edge(axes))
        return made.finish(label, y, [*named(table, ""), *_marks(table, x)])


def _marks(table: pd.DataFrame, x: str) -> list:
    marks = [mark()] if table["seed"].nunique() > 1 else []
    marks.append(Line2D([], [], color=style.GREY, linewidth=0.6, label="baseline"))
    half = Line2D([], [], color=style.GREY, linewidth=0.6, linestyle=":", label="half of it")
    return [*marks, half] if x == "step" else marks


def check_learning(table: pd.DataFrame) -> list[Claim]:
    return [
        *(
            claims.at_most(
                f"T = {T}: updates until half the baseline, source reversed over in order",
                ratios(table[table["T"] == T]),
                0.9,
                paper="fewer: the shortest lag is 1 instead of T",
            )
            for T in sorted(table["T"].unique())
        ),
        claims.untested(
            "reversed sources lower the perplexity and raise BLEU, WMT'14 English to French",
            paper=PAPER,
            why="no WMT'14",
        ),
    ]


def check_positions(table: pd.DataFrame) -> list[Claim]:
    longest = table[table["T"] == table["T"].max()]
    early, late = longest["position"] < longest["T"] / 4, longest["position"] >= longest["T"] * 3 / 4
    means = {
        (hue, name): longest[rows & (longest["hue"] == hue)].groupby("seed")["loss"].mean()
        for hue in ORDERS.values()
        for name, rows in (("early", early), ("late", late))
    }
    return [
        claims.at_most(
            "longest T, source reversed: loss of the first quarter of the symbols (lags below T / 2) over the last",
            (means[REVERSED, "early"] / means[REVERSED, "late"]).dropna(),
            0.5,
            paper="short lags are learned first",
        ),
        claims.at_most(
            "longest T: loss of the first quarter of the symbols, source reversed over in order",
            (means[REVERSED, "early"] / means[IN_ORDER, "early"]).dropna(),
            0.5,
            paper="the first words of a translation gain",
        ),
    ]


def ratios(table: pd.DataFrame) -> list[float]:
    """Updates until half the baseline, reversed over in order, of each seed in which one of the two came there.

    Who never did counts with the last update in order, so that the ratio is an upper bound, and with inf reversed.
    """
    found = []
    for _, rows in table.groupby("seed"):
        reached = rows[rows["loss"] <= HALF].groupby("hue", observed=True)["step"].min()
        if len(reached) and rows["hue"].nunique() == len(ORDERS):
            found.append(reached.get(REVERSED, np.inf) / reached.get(IN_ORDER, rows["step"].max()))
    return found


EXPERIMENT = drawing.Experiment(
    "sutskever2014_reversal",
    make,
    (
        drawing.Published(
            "sutskever2014_reversal",
            learning_figure,
            "Learning to write a sequence again that was read in order or in reverse, against T.",
            check_learning,
        ),
        drawing.Published(
            "sutskever2014_positions",
            positions_figure,
            "Which of the written symbols are learned first, if the source was read in order or in reverse.",
            check_positions,
        ),
    ),
)


if __name__ == "__main__":
    sys.exit(main())
