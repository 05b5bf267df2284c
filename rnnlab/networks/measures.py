"""What can be measured on a block of the way back: each is a `take` of `adjoints`, name -> one row per step."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.cells import Cell
from rnnlab.scaled import ZERO, Scaled, mapped, times_power_of_two
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
    value, log2 = _unscaled(block.a)
    found = cell.parts(*(rows(x) for x in (block.tape, block.before, block.after, value)))
    return {name: Scaled(v.unflatten(0, value.shape[:2]), log2).log10_norm() for name, v in found.items()}


def drive_norms(key: Key, cell: Cell, block: Block) -> dict[str, Float[Tensor, "K B"]]:
    """log10 ||dL/dz_t|| of each gate, of every sample: what the drive z_t = U x_t + b receives."""
    value, log2 = _unscaled(block.delta)
    dz = cell.drive(rows(value)).unflatten(0, value.shape[:2]).chunk(len(cell.gates), -1)
    return {name: Scaled(v, log2).log10_norm() for name, v in zip(cell.gates, dz, strict=True)}


class RecurrentGradient:
    """A take: the gradient of the recurrent matrix of each pass, sum_t sum_b delta_{b,t} (x) h_{b,t-1}, in log-range.

    It leaves nothing per step. A cell that does not say what its recurrent product receives gets no gradient.

    Attributes:
        total: (layer, direction) -> the matrix [Z, H] as one row, [1, Z H].
    """

    def __init__(self):
        self.total: dict[Key, Scaled] = {}

    def __call__(self, key: Key, cell: Cell, block: Block) -> dict[str, Tensor | Scaled]:
        if (found := _recurrent(cell, block)) is not None:
            self.add(key, *found)
        return {}

    def add(self, key: Key, delta: Tensor, h: Tensor, scale: Tensor) -> None:
        """As `_recurrent` gives them."""
        top = scale.amax()
        found = rows(delta).mT @ rows(times_power_of_two(h, (scale - top)[:, None]))
        found = Scaled.of(found.reshape(1, -1), top[None])
        self.total[key] = self.total[key] + found if key in self.total else found


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
        if (read := _recurrent(cell, block)) is None:
            return {}
        self._gradient.add(key, *read)
        self._gates[key] = cell.gates
        delta, h, scale = read
        h = h.double()
        gram_h, squares = h @ h.mT, {}
        for name, d in zip(cell.gates, delta.chunk(len(cell.gates), -1), strict=True):
            d = d.double()
            squares[name] = (d @ d.mT).mul_(gram_h).sum((-1, -2)).clamp_min(0)
        squares["all"] = sum(squares.values())
        found = {name: v.log10() / 2 + scale * math.log10(2) for name, v in squares.items()}
        for name, v in found.items():
            self._norms.setdefault((*key, name), []).append(v)
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


def _unscaled(x: Tensor | Scaled) -> tuple[Tensor, Tensor]:
    """Value and exponents, 0 where there are none."""
    return (x.value, x.log2) if isinstance(x, Scaled) else (x, x.new_zeros(x.shape[:-1], dtype=torch.float64))


def _recurrent(cell: Cell, block: Block) -> tuple[Tensor, Tensor, Tensor] | None:
    """delta = dL/d(W h_{t-1}) over 2**scale [K, B, Z], h_{t-1} [K, B, H], and the scale [K] of each step.

    The scale of a step is its largest sample's: one far below it adds nothing to the sum over the samples.
    """
    value, log2 = _unscaled(block.delta)
    found = cell.recurrent(rows(value))
    if found is None:
        return None
    found = Scaled(found.unflatten(0, value.shape[:2]), log2)
    if value.dtype == torch.float64:
        found = Scaled.of(found.value, log2)  # squares of small entries would underflow; of any float32 they do not
    log2 = torch.where(found.value.abs().amax(-1) == 0, ZERO, found.log2)
    scale = log2.amax(1)
    return times_power_of_two(found.value, log2 - scale[:, None]), cell.hidden(block.before), scale


def _by_gate(gates: tuple[str, ...], x: Tensor | Scaled) -> dict[str, Tensor | Scaled]:
    """The share of each gate in the last axis."""
    size = x.shape[-1] // len(gates)
    return {name: mapped(x, lambda v, k=k: v[..., k * size :][..., :size]) for k, name in enumerate(gates)}
