"""Draw the experiment `pascanu2013_bound`: no gradient is above (gamma smax)^k, whatever training does to W.

    python -m analysis.pascanu2013_bound [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--keep]

writes pascanu2013_bound (the norm of the gradient over that at the loss against the lag, after training, with the bound
of the W of that update) and pascanu2013_conditions (of all probed updates the decades per step by which the gradient
grows, against those that the bound allows).
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import claims, drawing, style, tables
from analysis.claims import Claim
from analysis.figures.panels import panels
from analysis.statistics.profiles import kept
from analysis.tables.blocks import blocks

NAME, CONDITIONS = "pascanu2013_bound", "pascanu2013_conditions"
ACTIVATION, GAIN = "cell.activation", "init.gain"
ACTIVATIONS = ("sigmoid", "tanh", "relu", "identity")
BOUND = "weights/L0/forward/h/step_bound"
ROUNDING = 1e-6  # decades: many times what a norm in float64 may be off
POINTS = 25  # lags of a curve that are kept
PAPER = "eq. 6-7: the norm changes by gamma smax(W) per step at most"


def main(arguments: list[str] | None = None) -> int:
    """Write the figures, say which runs they show, and print the paths."""
    return drawing.main(EXPERIMENT, "Draw the experiment pascanu2013_bound.", arguments)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """The tables of both figures: a row for each lag of the last probe of a run, and for each probed update."""
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    logged = tables.scalars(folder, BOUND, set(finished["run"]))
    allowed = {run: dict(zip(of["step"], np.log10(of["value"]), strict=True)) for run, of in logged.groupby("run")}
    curves, updates = [], []
    for run in finished.sort_values(["init", ACTIVATION, GAIN, "seed"]).to_dict("records"):
        about = {"row": f"{run['init']} $W$", "column": run[ACTIVATION], "hue": float(run[GAIN]), "seed": run["seed"]}
        probed = list(ratios(folder / run["run"] / "profiles.npz", allowed[run["run"]]))
        updates += [{**about, **conditions(one)} for one in probed]
        curves.append(kept(probed[-1], "lag", POINTS, "step")[["step", "lag", "ratio", "bound"]].assign(**about))
    return {NAME: _ordered(pd.concat(curves, ignore_index=True)), CONDITIONS: _ordered(pd.DataFrame(updates))}, []


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    there = [name for name in ACTIVATIONS if name in set(table["column"])]
    return table.assign(column=pd.Categorical(table["column"], there, ordered=True))


def ratios(file: Path, allowed: dict[int, float]) -> Iterator[pd.DataFrame]:
    """At each probed step: step, lag, ratio (decades, the median over samples), bound (decades) and over, by how many
    decades that statistic of the samples which comes nearest to the bound is above it.

    The bound holds of every sample, hence of every statistic of their norms over the same statistic at lag 0.

    Args:
        allowed: step -> log10 of the bound of one step.
    """
    for name, rows in blocks(file):
        if name != "profiles" or rows["step"].iloc[0] not in allowed:
            continue
        found = rows[(rows["part"] == "h") & (rows["layer"] == 0)].sort_values("lag")
        norms = found[list(tables.STATISTICS)].to_numpy()
        step, lag = int(found["step"].iloc[0]), found["lag"].to_numpy()
        relative, bound = norms - norms[0], lag * allowed[step]
        over = np.nanmax(relative - bound[:, None], axis=1)
        ratio = relative[:, tables.STATISTICS.index("q50")]
        yield pd.DataFrame({"step": step, "lag": lag, "ratio": ratio, "bound": bound, "over": over})


def conditions(one: pd.DataFrame) -> dict[str, float]:
    """Of one probed step: step, lags, allowed and grown, decades per step up to the last lag with a norm above 0, and
    over, the largest excess over the bound at any lag, in decades."""
    later = one[(one["lag"] > 0) & np.isfinite(one["ratio"])]
    last = later.iloc[-1]
    rates = {"allowed": last["bound"] / last["lag"], "grown": last["ratio"] / last["lag"]}
    return {"step": int(last["step"]), "lags": len(later), **rates, "over": one.loc[one["lag"] > 0, "over"].max()}


def check(table: pd.DataFrame) -> list[Claim]:
    """Of the table of conditions: what must be, and what the bound leaves open."""
    below, above = (table[side] for side in (table["allowed"] < -ROUNDING, table["allowed"] > ROUNDING))
    linear = table[(table["column"] == "identity") & (table["row"] == "orthogonal $W$") & (table["step"] == 0)]
    return [
        claims.every(
            "no profile of any probed update is above (gamma smax)^k, with the W of that update",
            table["over"] <= ROUNDING,
            paper=f"theory, {PAPER}",
            rule="at every lag, in every statistic over samples",
        ),
        claims.every(
            "a linear cell with orthogonal W attains it",
            linear["over"].abs() <= ROUNDING,
            paper="theory: its ratio is smax^k",
            rule=f"to {ROUNDING:g} decades",
        ),
        claims.every(
            "where gamma smax < 1 the gradient vanishes",
            below["grown"] < 0,
            paper="theory, sec. 2.1: sufficient to vanish",
            rule="smaller at the longest lag",
        ),
        claims.share(
            "where gamma smax > 1 it need not explode",
            int((above["grown"] < 0).sum()),
            len(above),
            least=0.05,
            paper="sec. 2.1: necessary to explode, not sufficient",
        ),
        claims.share(
            "but it does in some",
            int((above["grown"] > 0).sum()),
            len(above),
            least=0.01,
            paper="sec. 2.1: necessary to explode, not sufficient",
        ),
    ]


def curves_check(table: pd.DataFrame) -> list[Claim]:
    """Of the table of curves: the same for the lags that are drawn."""
    return [
        claims.every(
            "no point that is drawn is above the bound of its own network",
            table["ratio"] <= table["bound"] + 1e-3,  # a kept number has five digits
            paper=f"theory, {PAPER}",
            rule="at every lag drawn",
        )
    ]


def figure(table: pd.DataFrame) -> Figure:
    """Ratio against lag, the median over seeds with their range, and the bound of the same networks, dashed."""
    with style.look():
        made = panels(table, 1.7)
        for axes, panel in made.of(table):
            if panel.empty:
                axes.set_axis_off()
                continue
            colours = style.ordered(panel["hue"].unique())
            for gain, curve in panel.groupby("hue"):
                seeds = curve.replace(-np.inf, np.nan).groupby("lag")
                low, ratio, high = (seeds["ratio"].quantile(q) for q in (0, 0.5, 1))
                axes.plot(ratio.index, ratio, color=colours[gain], label=f"$g$ = {gain:g}")
                axes.fill_between(ratio.index, low, high, color=colours[gain], alpha=0.15, linewidth=0)
                bound = seeds["bound"].median()
                axes.plot(bound.index, bound, color=colours[gain], linestyle=style.THEORY, linewidth=0.8, gid="bound")
            floor = panel.loc[np.isfinite(panel["ratio"]), "ratio"].min()
            axes.set_ylim(floor - 1, max(5, panel["ratio"].max() + 3))
            axes.yaxis.set_major_formatter(style.power_of_ten)
            axes.legend(loc="lower left", handlelength=1.4, borderaxespad=0.2, labelspacing=0.2)
        dashed = Line2D(
            [], [], color="black", linestyle=style.THEORY, label=r"bound $(\gamma \sigma_\mathrm{max}(W))^k$"
        )
        solid = Line2D([], [], color="black", label="measured, median and range over seeds")
        return made.finish(style.label("lag"), style.label("ratio"), [solid, dashed])


def conditions_figure(table: pd.DataFrame) -> Figure:
    """Growth per step of each probed update against what its W allows; the bound is the diagonal."""
    with style.look():
        made = style.canvas(style.COLUMN, 2.8)
        axes = made.subplots()
        _conditions(axes, table)
        axes.legend(loc="lower right")
    return made


def _conditions(axes: Axes, table: pd.DataFrame) -> None:
    names = list(table["column"].cat.categories)
    for n, (name, colour) in enumerate(style.categories(names).items()):
        of = table[table["column"] == name]
        look = {"marker": style.MARKERS[n], "markersize": 2.5, "linestyle": "", "alpha": 0.7, "markeredgewidth": 0}
        axes.plot(of["allowed"], of["grown"], color=colour, label=name, **look)
    ends = np.array([table["allowed"].min(), table["allowed"].max()])
    axes.plot(ends, ends, color="black", linestyle=style.THEORY, label=r"bound $\gamma \sigma_\mathrm{max}(W)$")
    for line in (axes.axhline, axes.axvline):
        line(0, color=style.GREY, linewidth=0.6, zorder=0)
    axes.set(xlabel=r"allowed: $\log_{10} \gamma \sigma_\mathrm{max}(W)$ (decades per step)")
    axes.set(ylabel=r"measured growth (decades per step)")


EXPERIMENT = drawing.Experiment(
    NAME,
    make,
    (
        drawing.Published(
            NAME, figure, "Norm of the gradient against lag under the bound of its W, for gains.", curves_check
        ),
        drawing.Published(
            CONDITIONS, conditions_figure, "Growth of the gradient against what its W allows, of all updates.", check
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(main())
