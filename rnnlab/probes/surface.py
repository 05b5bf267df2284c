"""The error surface of one unit: where it has a wall, and what gradient descent does there."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rnnlab.cells.elman import Elman
from rnnlab.probes.base import Moment, Reading
from rnnlab.scalar import Jet, descend, error, ridge, wall


@dataclass(frozen=True, kw_only=True)
class Surface:
    """E = (g(x_T) - target)^2, x_t = w g(x_{t-1}) + b, over (w, b), with the g of the network's first cell.

    It is the network's twin of one unit without input; none of the weights enters, so the surface is the same at every
    step. It stands among the axes of the record, once, in float64; each probed step costs a tenth of a second more.

        surface_w [N], surface_b [N]                         the grid
        surface_loss, surface_gradient, surface_curvature    [N, N], at each w and b: E, the norm of its gradient, the
                                                             largest absolute eigenvalue of its second derivatives
        surface_gradient_b, surface_gradient_top [N]         where the gradient is largest for a w, and how large;
        surface_curvature_b, surface_curvature_top [N]       the curvature, which a grid would not find: see `ridge`
        surface_wall_b, surface_wall_gradient [N]            what theory says of both: see `wall`
        surface_clipped [P]                                  of each path of gradient descent, whether it was clipped
        surface_path_w, _b, _loss [P, updates + 1]           where it went: from each start without clipping, then with

    Args:
        length: T.
        start: x_0.
        target: of the unit after T steps.
        weights, biases: from, to.
        points: N.
        descents: the starts (w, b) of gradient descent.
        rate: of learning.
        threshold: of the norm of the gradient, of the clipped paths.
        updates: of each path.

    Raises:
        NotImplementedError: another cell than the basic one.

    Reference:
        Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks, 2013, figure 6.
    """

    length: int
    start: float
    target: float
    weights: Sequence[float]
    biases: Sequence[float]
    points: int
    descents: Sequence[Sequence[float]]
    rate: float
    threshold: float
    updates: int

    def __post_init__(self):
        for name, (low, high) in (("weights", self.weights), ("biases", self.biases)):
            if not low < high:
                raise ValueError(f"surface needs {name} [from, to] with from < to, got {[low, high]}")
        for name, least in (("length", 1), ("points", 2), ("updates", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"surface needs {name} >= {least}, got {getattr(self, name)}")

    def __call__(self, moment: Moment) -> Reading:
        cell = next(iter(moment.trajectory.both[0].passes.values())).cell
        if not isinstance(cell, Elman):
            raise NotImplementedError(f"the error surface of one unit needs the cell elman, got {type(cell).__name__}")
        of = {"activation": cell.activation, "length": self.length, "start": self.start, "target": self.target}
        surface = partial(error, **of)
        w, b = (
            torch.linspace(*ends, self.points, dtype=torch.float64, device=moment.losses.device)
            for ends in (self.weights, self.biases)
        )
        found = surface(w[:, None], b)
        arrays = {"w": w, "b": b, "loss": found.value, "gradient": found.gradient_norm, "curvature": found.curvature}
        for name in ("gradient", "curvature"):
            height = partial(_height, surface, "gradient_norm" if name == "gradient" else name)
            arrays[f"{name}_b"] = ridge(w, between=tuple(self.biases), height=height)
            arrays[f"{name}_top"] = height(w, arrays[f"{name}_b"])
        arrays["wall_b"], arrays["wall_gradient"] = wall(w, **of)
        axes = {f"surface_{name}": value.tolist() for name, value in {**arrays, **self._paths(surface, w)}.items()}
        return Reading(axes=axes)

    def _paths(self, surface: Callable[[Tensor, Tensor], Jet], like: Tensor) -> dict[str, Tensor]:
        start = like.new_tensor(self.descents)
        clipped = torch.arange(2 * len(start), device=like.device) >= len(start)
        threshold = torch.where(clipped, self.threshold, like.new_tensor(math.inf))
        path = descend(start.repeat(2, 1), threshold, surface=surface, rate=self.rate, updates=self.updates)
        w, b = path.unbind(-1)
        return {"clipped": clipped, "path_w": w, "path_b": b, "path_loss": surface(w, b).value}


def _height(surface: Callable[[Tensor, Tensor], Jet], name: str, w: Tensor, b: Tensor) -> Tensor:
    return getattr(surface(w, b), name)
