"""Where a sweep stands: done, running, failed, diverged, killed, missing; its rate and the time left; what went wrong.

    python -m experiments.status NAME [--sweep ID | --all] [--outputs outputs] [--watch] [--json]

Reads the run folders and changes nothing, so it may look at a live sweep, and from another machine at a shared folder.
Failed, killed and missing runs are tried again by the command that started the sweep.
"""

import argparse
import sys
import time
from pathlib import Path

from analysis import cli
from analysis.folders import SWEEPS, run_folders
from experiments import display
from experiments.report import Report, Target, conditions
from experiments.standing import Watch
from experiments.sweeps import Sweep

EVERY = 2.0  # seconds between two looks


def readable_sweeps(folder: Path) -> list[Sweep]:
    """The sweeps of an experiment, the newest first; what is no manifest is passed over."""
    found = []
    for file in sorted((folder / SWEEPS).glob("*.json")):
        try:
            found.append(Sweep.read(file))
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return sorted(found, key=lambda sweep: sweep.started, reverse=True)


def listed(names: list[str]) -> str:
    return "there is " + ", ".join(names) if names else "there is none"


def targeted(folder: Path, wanted: str | None = None, whole: bool = False) -> Target:
    """The newest sweep of outputs/NAME, the one whose id begins with `wanted`, or all runs.

    Raises:
        ValueError: nothing of the kind is there; names what is.
    """
    sweeps = readable_sweeps(folder)
    there = [path.name for path in run_folders(folder)]
    chosen = [s for s in sweeps if s.id.startswith(wanted or "")] if not whole else []
    if wanted and not chosen:
        raise ValueError(f"no sweep of {folder} is called {wanted}: {listed([s.id for s in sweeps])}")
    if not chosen:
        overrides = {run: lines for sweep in sweeps for run, lines in sweep.runs.items()}
        return Target(folder, {run: overrides.get(run, []) for run in there}, None, (0, len(sweeps)))
    sweep = chosen[0]
    return Target(folder, sweep.runs, sweep, (len(set(there) - set(sweep.runs)), len(sweeps) - 1))


class Asker:
    """Makes one report after the other of the same runs."""

    def __init__(self, target: Target) -> None:
        self.target, self.watch = target, Watch(target.folder, target.runs)
        self.known: dict[str, dict[str, str]] = {}

    def __call__(self) -> Report:
        standings = self.watch.look()
        return Report(self.target, standings, conditions(self.target.folder, standings, self.known), time.time())


def follow(ask: Asker) -> None:
    """Show the report until there is no run to wait for, or Ctrl-C; without a terminal, a line whenever it changes."""
    from rich.live import Live

    report, shown = ask(), ""
    if display.is_terminal():
        with Live(report.rich(), auto_refresh=False, vertical_overflow="crop") as live:
            while _unfinished(report):
                time.sleep(EVERY)
                report = ask()
                live.update(report.rich(), refresh=True)
        return
    while True:
        text = " | ".join(report.lines()[1:3])
        if text != shown:
            print(text, flush=True)
        if not _unfinished(report):
            return
        shown = text
        time.sleep(EVERY)
        report = ask()


def _unfinished(report: Report) -> bool:
    return any(s.state in ("running", "missing", "killed") for s in report.standings.values())


def main(arguments: list[str] | None = None) -> int:
    """Print the status; 0 whatever it is, 2 if there is nothing of that name."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.status", description="Where the newest sweep of an experiment stands."
    )
    parser.add_argument("name", metavar="NAME", help="the experiment: its runs lie in outputs/NAME")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="default: %(default)s")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--sweep", metavar="ID", help="another sweep than the newest; the first characters are enough")
    which.add_argument("--all", action="store_true", help="all runs of the folder, whatever sweep they are of")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="show it again and again; Ctrl-C ends it")
    how.add_argument("--json", action="store_true", help="for other programs: one object, with each run")
    parser.error = cli.refuse
    options = parser.parse_args(arguments)

    try:
        ask = Asker(targeted(cli.folder_of(options.outputs, options.name), options.sweep, options.all))
    except ValueError as error:
        parser.error(str(error))
    if options.watch:
        try:
            follow(ask)
        except KeyboardInterrupt:
            print()
    elif options.json:
        print(ask().json())
    elif display.is_terminal():
        from rich.console import Console

        Console(highlight=False).print(ask().rich())
    else:
        print(ask().text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
