"""The adjoints of every layer, direction and part of the state, from the gradient at the top."""

from typing import NamedTuple

import torch
from torch import Tensor

from rnnlab.networks.stack import Pass, Trajectory, turn
from rnnlab.scaled import Scaled, cat, mapped
from rnnlab.scan import adjoint_scan, input_adjoint


class Adjoints(NamedTuple):
    """Total derivatives of a loss in true time: row t belongs to h_t, the initial state is left out.

    Attributes:
        parts: (layer, direction, part of the state) -> [T, B, H].
        x: dL/dx_t, [T, B, I], if asked for.
    """

    parts: dict[tuple[int, str, str], Tensor | Scaled]
    x: Tensor | Scaled | None


@torch.no_grad()
def adjoints(trajectory: Trajectory, d_out: Tensor | Scaled, *, input_too: bool = False) -> Adjoints:
    """All adjoints of a network from dL/d(out) [T, B, D], in the range of `d_out`.

    Call it between the forward pass and the optimiser's step: it uses the weights as they are now. Every map between
    layers is linear in the adjoint and acts on each sample alone, so a gradient per sample stays one.
    """
    parts, layers = {}, {depth for depth, _ in trajectory.passes}
    for depth in sorted(layers, reverse=True):
        down, start = [], 0
        for direction in (name for of, name in trajectory.passes if of == depth):
            run = trajectory.passes[depth, direction]
            share = slice(start, start := start + run.cell.size)
            a = _through(run, turn(mapped(d_out, lambda v, share=share: v[..., share]), run.reversed))
            parts |= {(depth, direction, name): turn(v, run.reversed) for name, v in _parts(run, a).items()}
            if depth > 0 or input_too:
                down.append(turn(input_adjoint(run.cell, run.path, a), run.reversed))
        if down:
            d_out = down[0] if len(down) == 1 else down[0] + down[1]
    return Adjoints(parts, d_out if input_too else None)


def _through(run: Pass, dh: Tensor | Scaled) -> Tensor | Scaled:
    """The adjoints [T+1, B, S] of one pass, in its own order of time, from those of its hidden states."""
    cell, path = run.cell, run.path
    after = path.states[1:].flatten(0, 1)
    direct = mapped(dh, lambda v: cell.hidden_gradients(after, v.flatten(0, 1))[0].unflatten(0, v.shape[:2]))
    none = mapped(direct[:1], torch.zeros_like)
    return adjoint_scan(cell, path, cat([none, direct]))


def _parts(run: Pass, a: Tensor | Scaled) -> dict[str, Tensor | Scaled]:
    """`Cell.parts` of all steps, block by block: over all rows at once it would be several fresh copies of the tape."""
    found: dict[str, list[Tensor | Scaled]] = {}
    for steps, tape in run.path.blocks():
        block = a[1:][steps]
        value = block.value if isinstance(block, Scaled) else block
        states = run.path.states[:-1][steps], run.path.states[1:][steps]
        for name, v in run.cell.parts(*(x.flatten(0, 1) for x in (tape, *states, value))).items():
            v = v.unflatten(0, value.shape[:2])
            found.setdefault(name, []).append(Scaled.of(v, block.log2) if isinstance(block, Scaled) else v)
    return {name: cat(blocks) for name, blocks in found.items()}
