"""The table of a sweep: one row per configuration, seeds aggregated, as CSV, Markdown and LaTeX.

    python -m analysis.tables NAME [--outputs outputs] [--out tables] [--scale SCALE] [--where NAME=VALUE]
                              [--metric NAME] [--within NAME ...]
                              [--show solved loss metric horizon decay seconds verdict]

writes tables/NAME.csv, .md and .tex (booktabs) and prints the table: final loss, metric, share of solved runs, horizon
and decay of the gradient before and after training, time. Each is the median over seeds with an interval; the best is
marked only where its interval lies apart from all others of the same task.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis import cli, markup, tables
from analysis.dashboard.one import read_profiles, read_run
from analysis.selection import select
from analysis.statistics.aggregate import ENOUGH, OUTCOMES, aggregate, axes, is_seed, unique
from analysis.statistics.intervals import LEVEL
from analysis.statistics.measures import GRADIENT, PREDICTED, SECONDS, STAGES, Quantity, measured, quantities_of
from analysis.wording import GRADIENTS, labels, levels, shown

SHOWN = ("solved", "loss", "metric", "horizon", "decay", "seconds")
MOST = 60  # rows that are printed


def main(arguments: list[str] | None = None) -> int:
    """Write the tables; print the one in Markdown, what it leaves out, and the paths."""
    parser = argparse.ArgumentParser(prog="python -m analysis.tables", description="A sweep as a table.")
    parser.add_argument("name", metavar="NAME", help="the experiment, its runs lie in outputs/NAME; or their folder")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("tables"), help="default: %(default)s")
    parser.add_argument("--scale", help="the largest of which a run is finished by default")
    parser.add_argument(
        "--where", metavar="NAME=VALUE", action="append", default=[], help="only runs with this setting"
    )
    parser.add_argument("--metric", metavar="NAME", action="append", help="another than the error, as test/bits")
    parser.add_argument("--within", metavar="NAME", nargs="*", help="settings to compare within; by default the task's")
    parser.add_argument(
        "--show", nargs="+", choices=(*SHOWN, "verdict"), default=SHOWN, help="columns; the CSV has all"
    )
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    with cli.refusing(parser):
        print(*report(options), sep="\n")
    return 0


def report(options: argparse.Namespace) -> list[str]:
    """Write the tables; the lines to be printed."""
    folder = cli.folder_of(options.outputs, options.name)
    runs = select(tables.runs(folder), options.scale, options.where)
    unique(runs)
    by, quantities = [name for name in axes(runs) if not is_seed(name)], quantities_of(runs, options.metric)
    within, names = _within(by, options.within), _names(quantities, options.show)
    runs = measured(runs, folder, [quantity.name for quantity in quantities if quantity.best])
    if "verdict" in names:
        runs["verdict"] = verdicts(runs, folder)
    table = aggregate(runs, quantities, by, within)
    note, (text, best) = caption(table, within, names), shown(table, by, names)
    page = markup.markdown(text, note, best)
    contents = {"csv": table.to_csv(index=False, lineterminator="\n"), "md": page}
    contents["tex"] = markup.latex(text, note, best)
    paths = cli.write(options.out / folder.resolve().name, contents)
    if max(map(len, page.splitlines()[2:])) > shutil.get_terminal_size().columns:
        brief, best = shown(table.head(MOST), by, names, intervals=False)
        rest = f", and {len(table) - MOST} more rows" if len(table) > MOST else ""
        page = markup.markdown(brief, f"Medians; the intervals{rest} are in the files.", best)
    return ["", page, left_out(table), *map(str, paths)]


def _names(quantities: Sequence[Quantity], show: Sequence[str]) -> list[str]:
    """The quantities behind the words of `SHOWN`, in the order of the words."""
    every = [quantity.name for quantity in quantities]
    loss, *metrics = [quantity.name for quantity in quantities if quantity.best]
    names = {"solved": ["solved"], "verdict": ["verdict"], "loss": [loss], "metric": metrics, "seconds": [SECONDS]}
    names |= {word: [name for name in every if name.startswith((f"{word}/", f"predicted.{word}"))] for word in STAGES}
    return [name for word in show for name in names[word]]


def _within(by: Sequence[str], asked: Sequence[str] | None) -> list[str]:
    wrong = sorted(set(asked or ()) - set(by))
    if wrong:
        raise ValueError(f"--within needs settings that vary ({', '.join(by) or 'none does'}), got {', '.join(wrong)}")
    return [name for name in by if name.split(".")[0] == "task"] if asked is None else list(asked)


def caption(table: pd.DataFrame, within: Sequence[str], names: Sequence[str]) -> str:
    """What the numbers are, how sure they are, and what is marked."""
    wilson = "; solved with the interval of Wilson" if "solved" in names else ""
    said = [f"Median over seeds, {levels(table['seeds'], LEVEL)}{wilson}."]
    if table["diverged"].any():
        said.append("A run that diverged counts as infinitely bad, and has no trained gradient.")
    marks = [f"{name}_best" for name in names if f"{name}_best" in table]
    of = f" of the same {', '.join(labels(within).values())}" if within else ""
    if table[marks].to_numpy().any():
        said.append(f"Bold: the best, where its interval lies apart from all others{of}.")
    else:
        said.append(f"No best is marked: that takes {ENOUGH} seeds and an interval apart from all others{of}.")
    if any(table[f"{name}_seeds"].any() for name in GRADIENT if name in names):
        said.append(GRADIENTS)
    if set(PREDICTED) & set(names):
        said.append("Predicted is by theory, at initialisation.")
    return " ".join(said)


def left_out(table: pd.DataFrame) -> str:
    counts = {name: int(table[name].sum()) for name in OUTCOMES}
    missing = [f"{n} {name}" for name, n in counts.items() if n and name not in tables.FINISHED]
    finished = sum(counts[name] for name in tables.FINISHED)
    return f"finished runs: {finished}; configurations: {len(table)}; left out: {', '.join(missing) or 'none'}"


def verdicts(runs: pd.DataFrame, folder: Path) -> pd.Series:
    """The verdict on each finished run, as the dashboard has it; None where it has none."""
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    drawn = {run: read_run(folder / run, read_profiles(folder / run)).drawn["verdict"] for run in finished["run"]}
    return runs["run"].map({run: found["name"] for run, found in drawn.items() if found})


if __name__ == "__main__":
    sys.exit(main())
