"""Draw the experiment `pascanu2013_fig7`: success on temporal order with clipping and with the regulariser Omega.

    python -m analysis.pascanu2013_fig7 [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--keep]

writes pascanu2013_fig7 (share of solved runs over T for SGD, SGD-C and SGD-CR, a panel for each initialisation), and
says which claims of the paper hold.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import claims, drawing, style, tables
from analysis.claims import Claim
from analysis.figures.success import rates, success_figure
from analysis.statistics.aggregate import one_each, unique

NAME = "pascanu2013_fig7"
LOSS, CLIPPED = "train/loss", "grad/clipped"
SGD, C, CR = VARIANTS = ("SGD", "SGD-C", "SGD-CR")
PANELS = {"sigmoid": "sigmoid", "gaussian": "basic tanh", "sparse": "smart tanh"}
LONG = 100  # steps: what the paper is about


def main(arguments: list[str] | None = None) -> int:
    """Write the figure, say which runs it shows and which claims hold, and print the paths."""
    return drawing.main(EXPERIMENT, f"Draw the experiment {NAME}.", arguments)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """The table of the figure; nothing is written besides."""
    found = trained(runs)
    ids = set(found["run"])
    return {NAME: table(found, tables.scalars(folder, LOSS, ids), tables.scalars(folder, CLIPPED, ids))}, []


def trained(runs: pd.DataFrame) -> pd.DataFrame:
    """Finished runs: run, panel, variant, T, seed, outcome, updates and the validation error at the end."""
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    unique(finished)
    clips, penalised = finished["clip"] != "no_clip", finished["regulariser"] != "none"
    init = finished["init"].where(finished["cell.activation"] != "sigmoid", "sigmoid")
    found = pd.DataFrame(
        {
            "run": finished["run"],
            "panel": init.map(PANELS),
            "variant": np.select([penalised, clips], [CR, C], SGD),
            "T": finished["task.length"].astype(int),
            "seed": finished["seed"].astype(int),
            "outcome": finished["outcome"],
            "updates": finished["steps_done"].astype(int),
            "error": finished["validation/error"].astype(float),
        }
    )
    one_each(finished, found[["panel", "variant", "T", "seed"]])
    return found


def table(found: pd.DataFrame, losses: pd.DataFrame, clipped: pd.DataFrame) -> pd.DataFrame:
    """With `clipped`, the share of the logged updates in which clipping fired, and `twin`: whether all logged losses
    are those of the run without clipping to the last bit (1 or 0; NaN but for SGD-C)."""
    curve = {run: group.sort_values("step")[["step", "value"]] for run, group in losses.groupby("run", observed=True)}
    plain = found[found["variant"] == SGD].set_index(["panel", "T", "seed"])["run"]
    twins = []
    for one in found.itertuples():
        other = plain.get((one.panel, one.T, one.seed)) if one.variant == C else None
        twins.append(np.nan if other is None else float(_same(curve[one.run], curve[other])))
    share = clipped.groupby("run", observed=True)["value"].mean()
    made = found.assign(clipped=found["run"].map(share).astype(float), twin=twins)
    return made.drop(columns="run").sort_values(["panel", "variant", "T", "seed"], ignore_index=True)


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return len(one) == len(other) and np.array_equal(one.to_numpy(), other.to_numpy(), equal_nan=True)


def figure(table: pd.DataFrame) -> Figure:
    """Share of solved runs over T, a line for each variant and a panel for each initialisation.

    Args:
        table: panel, variant, T, outcome; a row for each run.
    """
    named = table.rename(columns={"panel": "column", "variant": "hue", "T": "x"})
    there = [panel for panel in PANELS.values() if panel in set(table["panel"])]
    named = named.assign(
        column=pd.Categorical(named["column"], there, ordered=True),
        hue=pd.Categorical(named["hue"], VARIANTS, ordered=True).remove_unused_categories(),
    )
    return success_figure(rates(named, ["column", "hue", "x"]), x=style.label("T"), height=1.8)


def check(table: pd.DataFrame) -> list[Claim]:
    """What the paper says, held against the runs."""
    return [*_order(table), _inversions(table), *_length(table), _bits(table), *_long(table)]


def _order(table: pd.DataFrame) -> Iterator[Claim]:
    """More runs are solved with each addition, over all panels and T; beside it the difference of each seed."""
    solved = _solved(table).groupby(["seed", "variant"])["solved"].sum().unstack()
    n = int(table.groupby("variant")["T"].count().max())
    for better, worse, what in ((C, SGD, "clipping"), (CR, C, "the regulariser"), (CR, SGD, "both together")):
        both = solved.reindex(columns=[better, worse]).dropna()
        least = 1 if what == "both together" else 0
        found = claims.at_least(
            f"with {what} as many runs are solved or more: {better} less {worse}, over all T and initialisations",
            [(both[better] - both[worse]).sum()] if len(both) else [],
            least,
            paper=f"{better} above {worse}",
            unit=f"of {n} runs",
        )
        each = claims.at_least("", both[better] - both[worse], least, paper="").ours
        yield replace(found, ours=f"{found.ours}; per seed {each}") if len(both) else found


def _inversions(table: pd.DataFrame) -> Claim:
    """What is solved at some T is solved below it: of two T that differ in this, the shorter is the solved one."""
    pairs = wrong = 0
    for _, group in _solved(table).groupby(["panel", "variant", "seed"]):
        solved = group.sort_values("T")["solved"].to_numpy()
        apart = [(a, b) for i, a in enumerate(solved) for b in solved[i + 1 :] if a != b]
        pairs, wrong = pairs + len(apart), wrong + sum(b for _, b in apart)
    text = "the longer T, the fewer runs succeed: where one of two T is solved and the other not, it is the longer one"
    return claims.share(text, wrong, pairs, most=0.1, paper="rates fall with T")


def _length(table: pd.DataFrame) -> Iterator[Claim]:
    """What the additions are worth grows with T."""
    solved = _solved(table).set_index(["panel", "variant", "T", "seed"])["solved"]
    for panel in [name for name in PANELS.values() if name in set(table["panel"])]:
        own = solved.loc[panel].unstack("variant")
        own = own.dropna() if {SGD, CR} <= set(own) else own.iloc[:0].reindex(columns=[SGD, CR])
        longest = own.reset_index().groupby("seed").apply(lambda of: _reach(of, CR) - _reach(of, SGD))
        yield claims.at_least(
            f"{panel}: {CR} solves a longer T than {SGD}: difference of the longest",
            longest if len(longest) else [],
            10,
            paper=f"{CR} solves all T, {SGD} fails as T grows",
            unit="steps",
        )


def _bits(table: pd.DataFrame) -> Claim:
    quiet = table[(table["variant"] == C) & (table["clipped"] == 0) & table["twin"].notna()]
    text = f"while clipping never fires {C} is {SGD}: all logged losses are equal to the last bit"
    return claims.every(text, quiet["twin"] == 1, paper="theory: the same arithmetic", rule="all such pairs of runs")


def _long(table: pd.DataFrame) -> Iterator[Claim]:
    text = f"{CR} solves T >= {LONG} in every initialisation, sigmoid too"
    long = table[(table["variant"] == CR) & (table["T"] >= LONG)]
    if set(long["panel"]) < set(PANELS.values()):
        yield claims.untested(text, paper="success near 1 at T up to 200", why="takes scale=paper: 5,000,000 updates")
    else:
        solved = long["outcome"] == "solved"
        yield claims.share(text, int(solved.sum()), len(solved), least=0.9, paper="success near 1 at T up to 200")


def _solved(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(solved=(table["outcome"] == "solved").astype(int))


def _reach(of: pd.DataFrame, variant: str) -> int:
    """The longest T that is solved, 0 if none is."""
    return int(of.loc[of[variant] == 1, "T"].max()) if (of[variant] == 1).any() else 0


EXPERIMENT = drawing.Experiment(
    NAME,
    make,
    (
        drawing.Published(
            NAME,
            figure,
            "Success on temporal order against its length: plain descent, with clipping, with the regulariser, too.",
            check,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(main())
