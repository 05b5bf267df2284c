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
    profiles, found = [], []
    for (layer, direction, name), log10 in sorted(taken.items(), key=lambda item: item[0][0]):
        log10 = log10.cpu() - log10_scale
        where = Where(step, module, order, layer, direction, *name.split("/"))
        if where.part == "W":
            found.append(Share(where, log10, cancellation[layer, direction, where.gate]))
        else:
            profiles.append(Profile(where, *reduce_samples(log10, valid)))
    return profiles, found
