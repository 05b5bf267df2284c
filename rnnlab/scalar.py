"""The basic cell with one unit and no input, over its two parameters: where the walls of an error surface come from."""

from collections.abc import Callable
from typing import NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.cells.elman import FUNCTIONS, SLOPES, Activation

GRID, ROUNDS = 101, 12  # each round is 50 times finer
PAIRS = ((0, 0), (0, 1), (1, 1))  # of the parameters (w, b), as the second derivatives are laid out
BENDS: dict[str, Callable[[Tensor], Tensor]] = {  # g'' written in terms of h = g(.)
    "tanh": lambda h: -2 * h * (1 - h * h),
    "sigmoid": lambda h: h * (1 - h) * (1 - 2 * h),
    "relu": torch.zeros_like,
    "identity": torch.zeros_like,
}


class Jet(NamedTuple):
    """A number at each (w, b), with its derivatives.

    Attributes:
        first: by w, by b.
        second: by w twice, by w and b, by b twice.
    """

    value: Float[Tensor, "*grid"]
    first: Float[Tensor, "2 *grid"]
    second: Float[Tensor, "3 *grid"]

    @property
    def gradient_norm(self) -> Float[Tensor, "*grid"]:
        return torch.linalg.vector_norm(self.first, dim=0)

    @property
    def curvature(self) -> Float[Tensor, "*grid"]:
        """The largest absolute eigenvalue of the second derivatives."""
        ww, wb, bb = self.second
        return (ww + bb).abs() / 2 + torch.hypot((ww - bb) / 2, wb)


def error(
    w: Float[Tensor, "*#grid"],
    b: Float[Tensor, "*#grid"],
    *,
    activation: Activation,
    length: int,
    start: float,
    target: float,
) -> Jet:
    """The error of one unit after T steps of its own, for every pair (w, b) at once, with both derivatives.

        x_t = w g(x_{t-1}) + b      t = 1 .. T      E = (g(x_T) - target)^2

    h_t = g(x_t) is the basic cell h_t = g(w h_{t-1} + b). The derivatives are carried forwards beside x, in the
    precision of w: where the unit has two attractors they grow by w g' per step along the line that parts the two, the
    second with the square of the first.

    Args:
        activation: g, one without parameters of its own.
        length: T.
        start: x_0.

    Reference:
        Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks, 2013, section 2.3, figure 6.
    """
    if activation not in BENDS:
        raise ValueError(f"scalar needs an activation out of {', '.join(get_args(Activation))}, got {activation!r}")
    if length < 1:
        raise ValueError(f"scalar needs length >= 1, got {length}")
    w, b = torch.broadcast_tensors(w, b)
    x = Jet(torch.full_like(w, start), w.new_zeros(2, *w.shape), w.new_zeros(3, *w.shape))
    for _ in range(length):
        x = _affine(w, b, _through(activation, x))
    h = _through(activation, x)
    off = h.value - target
    squares = torch.stack([h.first[i] * h.first[j] for i, j in PAIRS])
    return Jet(off.square(), 2 * off * h.first, 2 * (squares + off * h.second))


def descend(
    start: Float[Tensor, "n 2"],
    threshold: Float[Tensor, " n"],
    *,
    surface: Callable[[Tensor, Tensor], Jet],
    rate: float,
    updates: int,
) -> Float[Tensor, "n points 2"]:
    """n paths of gradient descent over (w, b), the first point of each its start.

        (w, b) <- (w, b) - rate g min(1, threshold / ||g||)      g = dE/d(w, b)

    Args:
        threshold: of the norm of the gradient, of each path; inf: it is never rescaled.
        surface: E with its derivatives at (w, b), as `error` gives it.
    """
    path = [start]
    for _ in range(updates):
        found = surface(*path[-1].unbind(-1))
        scale = (threshold / found.gradient_norm).clamp(max=1)
        path.append(path[-1] - rate * (scale * found.first).t())
    return torch.stack(path, 1)


def ridge(
    w: Float[Tensor, " n"], *, between: tuple[float, float], height: Callable[[Tensor, Tensor], Tensor]
) -> Float[Tensor, " n"]:
    """The b at which `height` is largest, for each w: on a grid, then on a finer one about the best of its points, till
    no number is left between. A wall is thinner than the spacing of any one grid, and a grid sees its flanks alone."""
    low, high = (torch.full_like(w, end) for end in between)
    steps = torch.linspace(0, 1, GRID, dtype=w.dtype, device=w.device)[:, None]
    for _ in range(ROUNDS):
        b = low + (high - low) * steps
        best = b.gather(0, height(w, b).argmax(0, keepdim=True))[0]
        spacing = (high - low) / (GRID - 1)
        low, high = (best - spacing).clamp(min=between[0]), (best + spacing).clamp(max=between[1])
    return best


def wall(
    w: Float[Tensor, "*grid"], *, activation: Activation, length: int, start: float, target: float
) -> tuple[Float[Tensor, "*grid"], Float[Tensor, "*grid"]]:
    """(b, ||dE/d(w, b)||) where x_0 is a fixed point, exactly:

        b = x_0 - w g(x_0)      ||dE/d(w, b)|| = 2 abs(h - target) g'(x_0) (r^T - 1) / (r - 1) sqrt(h^2 + 1)

    with h = g(x_0), r = w g'(x_0). For r > 1 the fixed point parts the starts that go to one attractor from those that
    go to the other: there stands the wall, and it grows by r per step. Its steepest point lies beside this line, by
    some r^-T.
    """
    h = FUNCTIONS[activation](torch.full_like(w, start))
    slope = SLOPES[activation](h)
    powers = torch.arange(length, dtype=w.dtype, device=w.device).view(-1, *[1] * w.ndim)
    return start - w * h, 2 * (h - target).abs() * slope * ((w * slope) ** powers).sum(0) * torch.hypot(
        h, torch.ones_like(h)
    )


def _through(activation: str, x: Jet) -> Jet:
    """h = g(x)."""
    h = FUNCTIONS[activation](x.value)
    slope, bend = SLOPES[activation](h), BENDS[activation](h)
    squares = torch.stack([x.first[i] * x.first[j] for i, j in PAIRS])
    return Jet(h, slope * x.first, bend * squares + slope * x.second)


def _affine(w: Tensor, b: Tensor, h: Jet) -> Jet:
    """x = w h + b."""
    by_w, by_b = h.first
    first = torch.stack([h.value + w * by_w, w * by_b + 1])
    second = w * h.second + torch.stack([2 * by_w, by_b, torch.zeros_like(by_b)])
    return Jet(w * h.value + b, first, second)
