"""Write tunes with a network that was trained on them: `python -m experiments.tune RUN_FOLDER --genre jig`.

For each tune OUT/NAME.abc, which any program for ABC notation prints and plays, and OUT/NAME.mid, a standard MIDI file
with the repeats played out. The network is told the genre and then reads what it has written so far, token by token,
drawn from softmax(y / temperature). What is no tune (no header, a triplet of two notes, no end within the task's
length) is thrown away, counted, and drawn again.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from experiments import melody, midi
from experiments.build import BadInput, make, make_network
from experiments.records import finished
from rnnlab.networks import Stack
from rnnlab.tasks.data import abc
from rnnlab.tasks.data.tunebook import GENRES
from rnnlab.tasks.tunes import STOP, Tunes

TRIES = 20  # of each tune
UNIT = 0.16  # seconds of the first unit length, an eighth of a bar of a reel


class Run(NamedTuple):
    """What a finished run of the task tunes has left."""

    network: Stack
    task: Tunes
    name: str


def opened(folder: Path) -> Run:
    """The trained network of a run folder, on the CPU.

    Raises:
        BadInput: no run folder, not finished, another task, a network without a stream, no tunes to read.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise BadInput(f"{folder} is no run folder: it has no config.json")
    if not finished(folder):
        raise BadInput(f"{folder} is not finished: it has no done.json")
    about = json.loads(config.read_text())
    cfg = OmegaConf.create(about["config"])
    wanted, got = f"{Tunes.__module__}.{Tunes.__qualname__}", cfg.task._target_
    if got != wanted:
        raise BadInput(f"{folder} needs to be a run of {wanted}, got {got}")
    task = make(cfg, "task")
    return Run(trained(cfg, task, folder), task, about["run"])


def trained(cfg: DictConfig, task: Tunes, folder: Path) -> Stack:
    network = make_network(cfg, task, torch.Generator())
    weights = torch.load(folder / "weights.pt", weights_only=True, map_location="cpu")
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise BadInput(f"{folder / 'weights.pt'} does not fit: were the tunes other ones? {error}") from error
    return network.eval()


def drawn(run: Run, genre: str, temperature: float, generator: torch.Generator) -> list[str] | None:
    """The tokens of a tune; None if the network does not come to an end within the task's length."""
    stream, token, found = run.network.stream(), run.task.genre(genre), []
    for _ in range(run.task.steps):
        token = sampled(stream(torch.tensor([token]))[0], temperature, generator)
        if token == STOP:
            return found
        found.append(run.task.vocabulary[token])
    return None


def sampled(outputs: Tensor, temperature: float, generator: torch.Generator) -> int:
    """A class drawn from softmax(outputs / temperature), [O]."""
    shares = (outputs.double() / temperature).softmax(-1)
    return int(torch.multinomial(shares, 1, generator=generator))


def composed(run: Run, genre: str, temperature: float, generator: torch.Generator) -> tuple[list[str], int]:
    """The tokens of a tune that can be read back, and how many tries before it could not.

    Raises:
        BadInput: if none can in TRIES.
    """
    for thrown in range(TRIES):
        tokens = drawn(run, genre, temperature, generator)
        try:
            if tokens and melody.bars(tokens):
                return tokens, thrown
        except ValueError:
            continue
    raise BadInput(f"{run.name} wrote no tune in {TRIES} tries: train it longer, or lower --temperature")


def written(tokens: Sequence[str], folder: Path, name: str, number: int, title: str, genre: str) -> Path:
    """Write FOLDER/NAME.abc and FOLDER/NAME.mid; returns the first."""
    path = folder / f"{name}.abc"
    path.write_text(f"X:{number}\nT:{title}\nR:{genre}\n{abc.text(tokens)}")
    notes = [note for bar in melody.unfolded(melody.bars(tokens)) for note in bar.notes]
    unit = abc.meter(tokens[1].removeprefix("L:"))
    path.with_suffix(".mid").write_bytes(midi.written(notes, quarter=float(UNIT / (4 * unit))))
    return path


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN_FOLDER", help="of a finished run of task=tunes")
    parser.add_argument("--genre", required=True, help=", ".join(GENRES))
    parser.add_argument("--count", type=int, default=1, help="how many tunes (1)")
    parser.add_argument("--temperature", type=float, default=0.8, help="1: as learned; lower: more common (0.8)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder (RUN_FOLDER/tunes)")
    options = parser.parse_args(arguments)
    if options.genre not in GENRES:
        parser.error(f"--genre needs to be one of {', '.join(GENRES)}, got {options.genre!r}")
    if not 0 < options.temperature < math.inf:
        parser.error(f"--temperature needs a number > 0, got {options.temperature}")
    if options.count < 1:
        parser.error(f"--count needs a number >= 1, got {options.count}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(options.seed)
    folder = options.out or options.run / "tunes"
    try:
        run = opened(options.run)
        for number in range(1, options.count + 1):
            tokens, thrown = composed(run, options.genre, options.temperature, generator)
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{options.genre}_{options.seed}_{number}"
            title = f"{options.genre.title()} No. {number} of run {run.name}, seed {options.seed}"
            path = written(tokens, folder, name, number, title, options.genre)
            bars = melody.bars(tokens)
            told = f"{len(bars)} bars, {melody.uneven(bars)} not of the meter's length"
            print(f"{path}  {len(tokens)} tokens, {told}" + (f"; {thrown} thrown away before" if thrown else ""))
    except (BadInput, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
