"""What can be measured on a block of the way back: each is a `take` of `adjoints`, name -> one row per step."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.cells import Cell
from rnnlab.scaled import Scaled, log10_norm, mapped
from rnnlab.scan import Block

Key = tuple[int, str]  # layer, direction


def rows(x: Tensor) -> Tensor:
    """[K, B, .] -> [K B, .], as the methods of a cell take it."""
    return x.flatten(0, 1)


def parts(key: Key, cell: Cell, block: Block) -> dict[str, Tensor | Scaled]:
    """The adjoints of each part of the state, [K, B, H]; for an LSTM the conventional dL/dc_t, see `LSTM`."""
    scaled = isinstance(block.a, Scaled)
    value = block.a.value if scaled else block.a
    found = cell.parts(*(rows(x) for x in (block.tape, block.before, block.after, value)))
    found = {name: v.unflatten(0, value.shape[:2]) for name, v in found.items()}
    return {name: Scaled.of(v, block.a.log2) for name, v in found.items()} if scaled else found


def norms(key: Key, cell: Cell, block: Block) -> dict[str, Float[Tensor, "K B"]]:
    """log10 of the norm of each part's adjoint, of every sample."""
    return {name: log10_norm(v) for name, v in parts(key, cell, block).items()}


def drive_norms(key: Key, cell: Cell, block: Block) -> dict[str, Float[Tensor, "K B"]]:
    """log10 ||dL/dz_t|| of each gate, of every sample: what the drive z_t = U x_t + b receives."""
    dz = mapped(block.delta, lambda v: cell.drive(rows(v)).unflatten(0, v.shape[:2]))
    return {name: log10_norm(v) for name, v in _by_gate(cell, dz).items()}


class WeightShares:
    """A take: the share of each time step in the gradient of the recurrent matrix, of each gate and of all ("all").

        dL/dW = sum_t G_t,   G_t = sum_b delta_{b,t} (x) h_{b,t-1}          log10 ||G_t||_F   [K]

    from two B x B Gram matrices per step, ||G_t||^2 = sum_{b,b'} <delta_b, delta_b'> <h_b, h_b'>, so that no G_t is
    ever made; in float64, where cancellation among the samples leaves 8 digits of 16. As large as the loss of the
    batch: the samples are summed and not averaged. A cell that does not say what its recurrent product receives
    (`Cell.recurrent`) gets no rows.
    """

    def __init__(self):
        self._sums: dict[tuple[int, str, str], Scaled] = {}  # sum_t G_t as one row
        self._norms: dict[tuple[int, str, str], list[Tensor]] = {}

    def __call__(self, key: Key, cell: Cell, block: Block) -> dict[str, Float[Tensor, " K"]]:
        value, log2 = (block.delta.value, block.delta.log2) if isinstance(block.delta, Scaled) else (block.delta, None)
        recurrent = cell.recurrent(rows(value))
        if recurrent is None:
            return {}
        log2 = value.new_zeros(value.shape[:2], dtype=torch.float64) if log2 is None else log2
        delta = Scaled.of(recurrent.unflatten(0, value.shape[:2]).double(), log2)
        h = cell.hidden(block.before).double()
        scale = delta.log2.amax(1)  # of a step: a sample far below it adds nothing to the sum
        at_scale = delta.at(scale[:, None])
        gram_h = h @ h.mT
        found = {}
        for name, d in {**_by_gate(cell, at_scale), "all": at_scale}.items():
            squares = ((d @ d.mT) * gram_h).sum((-1, -2)).clamp_min(0)
            found[name] = squares.log10() / 2 + scale * math.log10(2)
            top = scale.amax()
            total = (rows(d * torch.exp2(scale - top)[:, None, None]).mT @ rows(h)).reshape(1, -1)
            so_far = self._sums.get((*key, name))
            row = Scaled.of(total, top[None])
            self._sums[*key, name] = row if so_far is None else so_far + row
            self._norms.setdefault((*key, name), []).append(found[name])
        return found

    def cancellation(self) -> dict[tuple[int, str, str], float]:
        """(layer, direction, gate) -> ||sum_t G_t|| / sum_t ||G_t||, in [0, 1]: 1 if all steps pull one way."""
        found = {}
        for key, row in self._sums.items():
            norms = torch.cat(self._norms[key])
            top = norms.amax()
            of_the_norms = top + (norms - top).mul(math.log(10)).exp().sum().log10()
            found[key] = float(10 ** (row.log10_norm()[0] - of_the_norms)) if top.isfinite() else math.nan
        return found


def _by_gate(cell: Cell, x: Tensor | Scaled) -> dict[str, Tensor | Scaled]:
    size = x.shape[-1] // len(cell.gates)
    return {name: mapped(x, lambda v, k=k: v[..., k * size : (k + 1) * size]) for k, name in enumerate(cell.gates)}
