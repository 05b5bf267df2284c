"""Send runs to W&B after the fact, once each: `python -m experiments.replay --help`.

What arrives is what a live tracker would have sent: it is fed from the run folder in either case.
"""

import argparse
import functools
import json
import math
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analysis import cli
from experiments import schema, tracking
from experiments.records import finished, read_done

WORTH_A_PICTURE = 20.0  # seconds of a run: to draw it takes one, and a table of the same numbers is sent for all runs


class Reader:
    """The rows of a run folder in their order, each once, as they are written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._offset = 0
        self._profiles: dict[str, np.ndarray] = {}
        self._version: tuple[int, ...] = ()

    def rows(self, last: float = math.inf) -> Iterator[tuple[dict[str, Any], schema.Arrays | None]]:
        """The complete rows that were not read before, up to training step `last`, each with the profiles so far."""
        try:
            file = (self.folder / "scalars.jsonl").open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):  # torn, or still being written
                    return
                row = {key: schema.number(value) for key, value in json.loads(line).items()}
                if row["step"] > last:
                    return
                self._offset += len(line)
                yield row, schema.until(self.profiles(), row["step"])

    def profiles(self) -> dict[str, np.ndarray]:
        """All of `profiles.npz`, read again only if it has changed; empty if there is none."""
        path = self.folder / "profiles.npz"
        try:
            stat = path.stat()
            version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if version != self._version:
                with np.load(path) as data:
                    self._profiles = dict(data)
                self._version = version
        except FileNotFoundError:
            self._profiles, self._version = {}, ()
        return self._profiles


def start(folder: Path, tracker: tracking.Tracker) -> Reader:
    """Begin the run of this folder; what is logged so far is then fed."""
    about = json.loads((folder / "config.json").read_text())
    config = about["config"]
    tracker.start(folder, about["run"], about["name"], config, [about["scale"]])
    return Reader(folder)


def feed(reader: Reader, tracker: tracking.Tracker, last: float = math.inf) -> None:
    """Log the rows that are new."""
    for row, profiles in reader.rows(last):
        tracker.log(row, profiles)


def end(reader: Reader, tracker: tracking.Tracker, error: str = "killed") -> None:
    """Log the rest, then finish a run that is done, and fail any other."""
    feed(reader, tracker)
    if finished(reader.folder):
        done = read_done(reader.folder)
        tracker.finish(done, reader.profiles(), drawing(reader.folder, done))
    else:
        tracker.fail(error)


def drawing(folder: Path, done: Mapping[str, Any]) -> tracking.Draw | None:
    """How to draw the picture of a run, if it is worth it."""
    return functools.partial(picture, folder) if done["wall_seconds"] > WORTH_A_PICTURE else None


def picture(folder: Path) -> Path:
    """The profiles of a run as a PNG beside its record."""
    from analysis import run, style  # here: drawing is for those who track

    return style.save_png(run.run_figure(folder), folder / "profiles.png")


def replay(folder: Path, tracker: tracking.Tracker) -> None:
    """Send one finished run; what an earlier attempt left in its folder is dropped."""
    (folder / tracking.MARK).unlink(missing_ok=True)
    shutil.rmtree(folder / "wandb", ignore_errors=True)
    with tracking.Timed(tracker):  # which ends the run if we are interrupted
        end(start(folder, tracker), tracker)


def chosen(name: str, outputs: Path) -> list[Path]:
    """The finished runs of an experiment, or the one run whose folder is given.

    Raises:
        ValueError: there are none, or it is not finished.
    """
    if finished(Path(name)):
        return [Path(name)]
    if (Path(name) / "config.json").exists():
        raise ValueError(f"{name} is not finished")
    folder = cli.folder_of(outputs, name)
    runs = sorted(path.parent for path in folder.glob("*/done.json"))
    if not runs:
        raise ValueError(f"{folder} has no finished run")
    return runs


def send(runs: list[Path], tracker: tracking.WandbTracker) -> int:
    """Send what W&B does not have yet, a line for each; returns the exit code.

    A folder that cannot be read is named and left out; when W&B fails, nothing more is tried.
    """
    wanted, code = tracker.mode, 0
    enough = ("online",) if wanted == "online" else ("online", "offline")
    missing = [folder for folder in runs if tracking.marked(folder) not in enough]
    print(f"{len(runs)} finished runs, {len(runs) - len(missing)} of them sent before", flush=True)
    for number, folder in enumerate(missing, start=1):
        try:
            replay(folder, tracker)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            print(f"error: {folder} cannot be read ({tracking.line(error)})", file=sys.stderr)
            code = 1
            continue
        where = tracking.marked(folder)
        if where != wanted:
            print(f"error: {folder.name} was not sent; the same command goes on from here", file=sys.stderr)
            return 1
        print(f"[{number}/{len(missing)}] {folder.name} {where}", flush=True)
    return code


def main(arguments: list[str] | None = None) -> int:
    """Send the runs, and return the exit code: 1 if one was not sent."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.replay",
        description="Send finished runs to W&B after the fact, once each. A run that was tracked online counts as "
        "sent; what could not be sent is sent by the next call.",
    )
    parser.add_argument("name", metavar="NAME", help="an experiment, outputs/NAME, or the folder of one run")
    parser.add_argument(
        "--online", action="store_true", help="send; without it, W&B offline runs go into the run folders"
    )
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the experiments lie (%(default)s)")
    parser.add_argument("--project", default="rnnlab", help="the W&B project (%(default)s)")
    parser.add_argument("--entity", help="the W&B user or team; that of the account by default")
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    try:
        runs = chosen(options.name, options.outputs)
    except ValueError as error:
        parser.error(str(error))
    mode = "online" if options.online else "offline"
    try:
        return send(runs, tracking.WandbTracker(mode=mode, project=options.project, entity=options.entity))
    except KeyboardInterrupt:
        print("interrupted: the same command goes on with what is missing", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
