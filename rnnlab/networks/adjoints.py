"""The adjoints of every layer, direction and part of the state, from the gradient at the top."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from rnnlab.cells import Cell
from rnnlab.networks.measures import parts, rows
from rnnlab.networks.trajectory import Key, Pass, Trajectory, turn
from rnnlab.scaled import Scaled, cat, mapped
from rnnlab.scan import Block, way_back

Take = Callable[[Key, Cell, Block], dict[str, Tensor | Scaled]]


class Adjoints(NamedTuple):
    """What was taken of the adjoints, in true time: row t belongs to h_t, the initial state is left out.

    Attributes:
        parts: (layer, direction, name) -> [T, ...]; by default the total derivatives [T, B, H] of each part of the
            state. In a decoder's, those of its encoder come first; each counts its rows from its own first step.
        feeds: dL/du_t of the layers from input to hidden, layer -> [T, B, W], if asked for; a decoder's stand after
            its encoder's, as in `parts`.
        x: dL/dx_t, [T, B, I], if asked for.
    """

    parts: dict[tuple[int, str, str], Tensor | Scaled]
    feeds: dict[int, Tensor | Scaled]
    x: Tensor | Scaled | None


@torch.no_grad()
def adjoints(
    trajectory: Trajectory,
    d_out: Tensor | Scaled,
    d_last: Mapping[Key, Tensor | Scaled] = MappingProxyType({}),
    *,
    take: Take = parts,
    feeds_too: bool = False,
    input_too: bool = False,
    smallest: float = 0.0,
) -> Adjoints:
    """All adjoints of a network from dL/d(out) [T, B, D], in the range of `d_out`.

    Call it between the forward pass and the optimiser's step: it uses the weights as they are now. Every map between
    layers is linear in the adjoint and acts on each sample alone, so a gradient per sample stays one.

    Args:
        d_last: the gradient [B, S] of the last state of some (layer, direction), where a loss reads it besides `out`.
        take: what to keep of each block of the way back, name -> [K, ...]: measures that reduce the state need never
            hold the adjoints of all steps. It is called once per block, last block first in the pass's own time.
        feeds_too: whether the layers from input to hidden are asked for.
        input_too: whether the input is asked for, and those layers on the way; tokens make it as wide as their number.
        smallest: in plain range, entries below this are carried on as 0, as `scan` does in training.

    Raises:
        ValueError: `d_out` or a part of `d_last` is not of the shape of what it is the gradient of.
    """
    _check(trajectory, d_out, d_last)
    found: dict[tuple[int, str, str], Tensor | Scaled] = {}
    first: dict[Key, Tensor | Scaled] = {}
    layers = {depth for depth, _ in trajectory.passes}
    feeds_too = feeds_too or input_too
    for depth in sorted(layers, reverse=True):
        down, start = [], 0
        for direction in (name for of, name in trajectory.passes if of == depth):
            key = (depth, direction)
            run = trajectory.passes[key]
            share = slice(start, start := start + run.cell.size)
            deeper = depth > min(layers) or input_too or (feeds_too and bool(trajectory.feeds))
            taken, first[key], dx = _through(run, key, d_out, share, d_last.get(key), take, deeper, smallest)
            found |= {(*key, name): turn(v, run.reversed) for name, v in taken.items()}
            if dx is not None:
                down.append(turn(dx, run.reversed))
        if down:
            below = down[0] if len(down) == 1 else down[0] + down[1]
            if (link := trajectory.links.get(depth)) is not None:
                below = mapped(below, link.pull)
                below = below + d_out if link.residual else below
            d_out = below
    feeds: dict[int, Tensor | Scaled] = {}
    for k, feed in reversed(list(enumerate(trajectory.feeds))) if feeds_too else ():
        feeds[k] = d_out
        if k or input_too:
            d_out = mapped(d_out, lambda d, feed=feed: feed.layer.pull(feed.u, d))
    here = Adjoints(found, feeds, d_out if input_too else None)
    return here if trajectory.origin is None else _behind(trajectory, first, here, take, feeds_too, input_too, smallest)


def _check(trajectory: Trajectory, d_out: Tensor | Scaled, d_last: Mapping[Key, Tensor | Scaled]) -> None:
    if d_out.shape != trajectory.out.shape:
        raise ValueError(f"adjoints needs d_out of shape {list(trajectory.out.shape)}, got {list(d_out.shape)}")
    shapes = {key: list(run.path.shape[1:]) for key, run in trajectory.passes.items()}
    for key, d in d_last.items():
        if list(d.shape) != shapes.get(key):
            raise ValueError(f"adjoints needs d_last of shapes {shapes}, got {key}: {list(d.shape)}")


def _behind(
    trajectory: Trajectory,
    first: dict[Key, Tensor | Scaled],
    here: Adjoints,
    take: Take,
    feeds_too: bool,
    input_too: bool,
    smallest: float,
) -> Adjoints:
    """With those of the encoder, which the decoder's initial states came from."""
    encoder = trajectory.origin.encoder
    nothing = torch.zeros_like(encoder.out)
    scaled = any(isinstance(v, Scaled) for v in first.values())
    d_out = Scaled.of(nothing) if scaled else nothing
    d_last = trajectory.origin.pull(first)
    there = adjoints(encoder, d_out, d_last, take=take, feeds_too=feeds_too, input_too=input_too, smallest=smallest)
    behind = len(encoder.feeds)
    feeds = there.feeds | {behind + k: v for k, v in here.feeds.items()}
    return Adjoints(there.parts | here.parts, feeds, there.x)


def _through(
    run: Pass,
    key: Key,
    d_out: Tensor | Scaled,
    share: slice,
    last: Tensor | Scaled | None,
    take: Take,
    input_too: bool,
    smallest: float,
) -> tuple[dict[str, Tensor | Scaled], Tensor | Scaled, Tensor | Scaled | None]:
    """What `take` says of one pass, dL/ds_0, and dL/dx, both in the pass's own order of time."""
    cell, T = run.cell, len(run.path.x)

    def direct(steps: slice, after: Tensor) -> Tensor | Scaled:
        true = slice(T - steps.stop, T - steps.start) if run.reversed else steps
        d = turn(d_out[true], run.reversed)
        return mapped(d, lambda v: cell.hidden_gradients(rows(after), rows(v[..., share]))[0].view_as(after))

    taken: dict[str, list[Tensor | Scaled]] = {}
    dx: list[Tensor | Scaled] = []
    for block in way_back(cell, run.path, direct, last, smallest=smallest):
        for name, v in take(key, cell, block).items():
            taken.setdefault(name, []).append(v)
        if input_too:
            x = run.path.x[block.steps]

            def down(delta: Tensor, x: Tensor = x) -> Tensor:
                dx, _ = cell.project_gradients(rows(x), cell.drive(rows(delta)), input_too=True)
                return dx.view_as(x)

            dx.append(mapped(block.delta, down))
    return {name: cat(v[::-1]) for name, v in taken.items()}, block.carried, cat(dx[::-1]) if input_too else None
