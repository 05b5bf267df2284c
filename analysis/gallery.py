"""Write docs/gallery.md: every published figure with its command, what it must show, and of how many runs it is.

    python -m analysis.gallery [--out docs/gallery.md]

The words are those of the header of conf/experiment/NAME.yaml and of `analysis.published`, the numbers those of the
kept tables, the pictures those of `python -m analysis.figures`. The same files give the same bytes.
"""

import argparse
import re
import sys
from pathlib import Path

from analysis import cli, drawing, published, results
from analysis.drawing import Experiment

CONF = Path(__file__).parents[1] / "conf" / "experiment"
ENTRIES = ("Figure", "Run", "Draw", "Expect")
OF_PAPERS = ("Paper", "Cost")
INTRODUCTION = """\
# Gallery

Each figure is drawn from a table of `analysis/results/`, so all of them are drawn again without a run, in seconds, by

    python -m analysis.figures

and this page is written by `python -m analysis.gallery`. The tables are made from runs by the commands below, the last
of them with `--keep`. What is expected is what the header of conf/experiment/NAME.yaml
says; read it beside the scale of the runs.
"""
SMOKE = "Runs of scale smoke show that it draws; they are too short and too few for what is expected."


def main(arguments: list[str] | None = None) -> int:
    """Write the page and print its path."""
    parser = argparse.ArgumentParser(prog="python -m analysis.gallery", description="Write the gallery of the figures.")
    parser.add_argument("--out", default="docs/gallery.md", type=Path)
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    with cli.refusing(parser):
        (path,) = cli.write(options.out.with_suffix(""), {"md": page()})
        print(path)
    return 0


def page() -> str:
    """The text of the gallery; an experiment of which no table is kept is left out."""
    there = set(results.names())
    kept = [e for e in published.EXPERIMENTS if there & {figure.name for figure in e.figures}]
    sections = [section(experiment, there) for experiment in kept]
    return "\n".join([INTRODUCTION, *(sections or ["No table is kept yet.\n"])])


def section(experiment: Experiment, there: set[str]) -> str:
    """What stands in the gallery of one experiment."""
    about = header(experiment.name)
    lines = [f"## {experiment.name}", "", *([about["Paper"] + ".", ""] if "Paper" in about else [])]
    lines += [sentence(about["Figure"]), "", *(f"    {about[e]}" for e in ("Run", "Draw")), ""]
    lines += [f"**Expected:** {about['Expect']}.", ""]
    lines += [f"Whether it held: [shelf](shelf.md#{experiment.name}).", ""] if "Paper" in about else []
    for figure in experiment.figures:
        if figure.name in there:
            _, of = results.read(figure.name)
            lines += [f"### {figure.name}", "", f"![{figure.name}](figures/{figure.name}.png)", ""]
            lines += [f"{figure.shows} Drawn from: {drawing.summary(of)}.", ""]
            lines += [SMOKE, ""] if of["scale"] == "smoke" else []
        else:
            lines += [f"### {figure.name}", "", "No table is kept.", ""]
    return "\n".join(lines)


def header(experiment: str) -> dict[str, str]:
    """The entries of the header of an experiment's configuration, each on one line.

    Raises:
        ValueError: the file or one of `ENTRIES` is not there.
    """
    path = CONF / f"{experiment}.yaml"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    entries: dict[str, str] = {}
    last = ""
    for line in lines:
        if not line.startswith("#"):
            break
        match = re.match(r"# (\w+):\s+(.*)", line)
        last = match[1] if match else last
        entries[last] = match[2] if match else f"{entries.get(last, '')} {line.lstrip('# ')}".strip()
    absent = [name for name in ENTRIES if name not in entries]
    if absent:
        raise ValueError(f"the header of {path} has no line {', '.join(absent)}")
    return {name: re.sub(r"\s{2,}", "     ", text) for name, text in entries.items() if name in ENTRIES + OF_PAPERS}


def sentence(text: str) -> str:
    """`4: norms ...` -> `Figure 4: norms ...`, `norms ...` -> `Norms ...`."""
    return f"Figure {text}" if text[:1].isdigit() else text[:1].upper() + text[1:]


if __name__ == "__main__":
    sys.exit(main())
