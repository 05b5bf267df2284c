"""Print which claims of papers hold, and write them into docs/shelf.md.

    python -m analysis.shelf [NAME ...] [--scale smoke|laptop|paper] [--outputs outputs | --kept] [--out docs/shelf.md]
    python -m analysis.shelf --list

Of each experiment the runs of that scale in outputs/NAME are read if there are finished ones, else the tables that are
kept in analysis/results; it says which. With names only those are printed, and no page is written. The same tables give
the same bytes.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from analysis import claims, cli, drawing, gallery, published
from analysis.claims import Claim
from analysis.drawing import Experiment

INTRODUCTION = """\
# The paper shelf

What papers say of gradients in recurrent networks, regenerated on two CPU cores by

    make papers

and held against the tables that are kept in `analysis/results/`. A number is the median over the seeds with its
interval (of five seeds their range, which holds the median of all seeds at a level of 94 %), or a rate with its 95 %
Wilson interval; the median decides. What a claim that does not hold comes from stands in [LOG.md](../LOG.md). The
pictures are in the [gallery](gallery.md), and this page is written by `python -m analysis.shelf`.
"""
ORDER = ("holds", "does not hold", "not tested")


def main(arguments: list[str] | None = None) -> int:
    """Print the claims of each experiment, write the page, and print its path."""
    known = [experiment.name for experiment in published.PAPERS]
    parser = argparse.ArgumentParser(prog="python -m analysis.shelf", description="Which claims of papers hold.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(known)}")
    parser.add_argument("--scale", choices=drawing.tables.SCALES, help="the largest that is there by default")
    parser.add_argument("--outputs", default="outputs", type=Path, help="with the folders of the experiments")
    parser.add_argument("--kept", action="store_true", help="read the kept tables alone")
    parser.add_argument("--out", default="docs/shelf.md", type=Path)
    parser.add_argument("--list", action="store_true", help="print the names of the experiments, and do no more")
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    if options.list:
        print(*known, sep="\n")
        return 0
    with cli.refusing(parser):
        experiments = [published.named(name) for name in options.names] or published.PAPERS
        found = {e.name: said(e, None if options.kept else options.outputs, options.scale) for e in experiments}
        for name, (where, those) in found.items():
            print(f"\n{name}: {where}\n{claims.text(those)}")
        print(f"\n{counted([claim for _, those in found.values() for claim in those])}")
        if not options.names:
            (path,) = cli.write(options.out.with_suffix(""), {"md": page(found)})
            print(path)
    return 0


def said(experiment: Experiment, outputs: Path | None, scale: str | None = None) -> tuple[str, list[Claim]]:
    """What was read, and the claims of the experiment; none where there is nothing to read.

    Args:
        outputs: None: the kept tables alone.
    """
    try:
        if outputs is None:
            found = drawing.of_kept(experiment, scale=scale)
        else:
            found = drawing.look(experiment, outputs / experiment.name, scale, [], Path("figures"))
    except ValueError as error:
        return str(error), []
    return found.where, drawing.checked(experiment, found.tables)


def page(found: dict[str, tuple[str, list[Claim]]]) -> str:
    """The text of the shelf: a section for each experiment."""
    total = counted([claim for _, those in found.values() for claim in those])
    sections = []
    for name, (where, those) in found.items():
        about = gallery.header(name)
        lines = [f"## {name}", "", f"{about['Paper']}. {gallery.sentence(about['Figure']).rstrip('.')}.", ""]
        lines += [f"{where[:1].upper()}{where[1:]}. {counted(those)}.", ""]
        lines += [claims.markdown(those)] if those else []
        lines += [f"At the published size: {about['Cost']}.", ""]
        sections.append("\n".join(lines))
    return "\n".join([INTRODUCTION, f"{total}.\n", *sections])


def counted(those: list[Claim]) -> str:
    """`7 claims: 5 hold, 1 does not hold, 1 not tested`."""
    count = Counter(claim.verdict for claim in those)
    words = {"holds": "hold", "does not hold": "do not hold", "not tested": "not tested"}
    parts = ", ".join(f"{count[v]} {words[v] if count[v] != 1 else v}" for v in ORDER if count[v])
    return f"{len(those)} claim{'s' if len(those) != 1 else ''}" + (f": {parts}" if parts else "")


if __name__ == "__main__":
    sys.exit(main())
