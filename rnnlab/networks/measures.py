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
    return {name: log10_norm(v) for name, v in _by_gate(cell.gates, dz).items()}


class RecurrentGradient:
    """A take: the gradient of the recurrent matrix of each pass, sum_t sum_b delta_{b,t} (x) h_{b,t-1}, in log-range.

    It leaves nothing per step. A cell that does not say what its recurrent product receives gets no gradient.

    Attributes:
        total: (layer, direction) -> the matrix [Z, H] as one row, [1, Z H].
    """

    def __init__(self):
        self.total: dict[Key, Scaled] = {}

    def __call__(self, key: Key, cell: Cell, block: Block) -> dict[str, Tensor | Scaled]:
        if (delta := _recurrent(cell, block)) is not None:
            top = delta.log2.amax()
            found = rows(delta.at(top)).mT @ rows(cell.hidden(block.before).double())
            found = Scaled.of(found.reshape(1, -1), top[None])
            self.total[key] = self.total[key] + found if key in self.total else found
        return {}


class WeightShares:
    """A take: the share of each time step in the gradient of the recurrent matrix, of each gate and of all ("all").

        dL/dW = sum_t G_t,   G_t = sum_b delta_{b,t} (x) h_{b,t-1}          log10 ||G_t||_F   [K]

    from two B x B Gram matrices per step, ||G_t||^2 = sum_{b,b'} <delta_b, delta_b'> <h_b, h_b'>, so that no G_t is
    ever made; in float64, where cancellation among the samples leaves 8 digits of 16. The samples are summed, not
    averaged: a loss that is a mean over the batch carries its 1/B. A cell that does not say what its recurrent product
    receives (`Cell.recurrent`) gets no rows.
    """

    def __init__(self):
        self._gradient, self._gates = RecurrentGradient(), {}
        self._norms: dict[tuple[int, str, str], list[Tensor]] = {}

    def __call__(self, key: Key, cell: Cell, block: Block) -> dict[str, Float[Tensor, " K"]]:
        if (delta := _recurrent(cell, block)) is None:
            return {}
        self._gradient(key, cell, block)
        self._gates[key] = cell.gates
        h = cell.hidden(block.before).double()
        scale = delta.log2.amax(1)  # of a step: a sample far below it adds nothing to the sum
        at_scale, gram_h, found = delta.at(scale[:, None]), h @ h.mT, {}
        for name, d in {**_by_gate(cell.gates, at_scale), "all": at_scale}.items():
            squares = ((d @ d.mT) * gram_h).sum((-1, -2)).clamp_min(0)
            found[name] = squares.log10() / 2 + scale * math.log10(2)
            self._norms.setdefault((*key, name), []).append(found[name])
        return found

    def cancellation(self) -> dict[tuple[int, str, str], float]:
        """(layer, direction, gate) -> ||sum_t G_t|| / sum_t ||G_t||, in [0, 1]: 1 if all steps pull one way."""
        found = {}
        for (layer, direction, name), norms in self._norms.items():
            total, gates = self._gradient.total[layer, direction], self._gates[layer, direction]
            row = total if name == "all" else _by_gate(gates, total)[name]
            of_steps = torch.cat(norms)
            top = of_steps.amax()
            of_the_norms = top + (of_steps - top).mul(math.log(10)).exp().sum().log10()
            ratio = float(10 ** (row.log10_norm()[0] - of_the_norms))
            found[layer, direction, name] = ratio if top.isfinite() else math.nan
        return found


def _recurrent(cell: Cell, block: Block) -> Scaled | None:
    """dL/d(W h_{t-1}) of a block in log-range and float64, [K, B, Z]."""
    scaled = isinstance(block.delta, Scaled)
    value = block.delta.value if scaled else block.delta
    found = cell.recurrent(rows(value))
    if found is None:
        return None
    return Scaled.of(found.unflatten(0, value.shape[:2]).double(), block.delta.log2 if scaled else 0.0)


def _by_gate(gates: tuple[str, ...], x: Tensor | Scaled) -> dict[str, Tensor | Scaled]:
    """The share of each gate in the last axis."""
    size = x.shape[-1] // len(gates)
    return {name: mapped(x, lambda v, k=k: v[..., k * size :][..., :size]) for k, name in enumerate(gates)}
