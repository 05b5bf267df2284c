"""What is measured of one call in one backward pass: one walk back through its layers for all numbers."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnnlab.cells import Cell
from rnnlab.networks import Trajectory, adjoints
from rnnlab.networks.measures import Key, WeightShares, drive_norms, norms
from rnnlab.scaled import Scaled
from rnnlab.scan import Block
from rnnlab.statistics import reduce_samples


class Where(NamedTuple):
    """What a series of numbers over time belongs to. `order` sorts the calls of a module in one backward pass."""

    step: int
    module: str
    order: tuple[int, int]
    layer: int
    direction: str
    part: str
    gate: str


class Profile(NamedTuple):
    """Statistics over the samples of log10 norms, one column per time, and the samples that are 0 or not finite."""

    where: Where
    statistics: Float[Tensor, "K T"]
    zeros: Int[Tensor, " T"]
    nonfinite: Int[Tensor, " T"]


class Share(NamedTuple):
    """log10 of the norm of each time step's share in the gradient of W, and how far they cancel in the sum."""

    where: Where
    log10: Float[Tensor, " T"]
    cancellation: float


def measure(
    trajectory: Trajectory,
    d_out: Tensor,
    d_last: dict[Key, Tensor],
    *,
    log10_scale: float,
    step: int,
    module: str,
    order: tuple[int, int],
) -> tuple[list[Profile], list[Share]]:
    """Norms of dL/dh_t, dL/dc_t and dL/dz_t of every sample, reduced, and the shares in dL/dW."""
    shares = WeightShares()

    def take(key: Key, cell: Cell, block: Block) -> dict[str, Tensor | Scaled]:
        found = {f"{name}/": v for name, v in norms(key, cell, block).items()}
        found |= {f"z/{name}": v for name, v in drive_norms(key, cell, block).items()}
        return found | {f"W/{name}": v for name, v in shares(key, cell, block).items()}

    last = {key: Scaled.of(d) for key, d in d_last.items()}
    direct = Scaled(d_out, d_out.new_zeros(d_out.shape[:2], dtype=torch.float64))  # normalised block by block
    taken = adjoints(trajectory, direct, last, take=take).parts
    cancellation, valid = shares.cancellation(), trajectory.valid
    by_layer = sorted(taken, key=lambda key: key[0])
    places = {key: Where(step, module, order, *key[:2], *key[2].split("/")) for key in by_layer}
    found = [
        Share(where, taken[key].cpu() - log10_scale, cancellation[*key[:2], where.gate])
        for key, where in places.items()
        if where.part == "W"
    ]
    norms_of = {where: taken[key] for key, where in places.items() if where.part != "W"}
    log10 = torch.stack(list(norms_of.values())).cpu() - log10_scale  # [N, T, B], reduced at once
    reduced = reduce_samples(log10.flatten(0, 1), None if valid is None else valid.repeat(len(log10), 1))
    by_series = (v.unflatten(-1, log10.shape[:2]).movedim(-2, 0) for v in reduced)
    return [Profile(*row) for row in zip(norms_of, *by_series, strict=True)], found
