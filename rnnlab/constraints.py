"""Recurrent matrices that stay in a set while they are trained: `cell.W` becomes a function of other parameters.

A constraint is called on a cell after `initialise`, which fills W as a plain matrix. With G gates W is [G H, H]: each
gate's block [H, H] is constrained by itself.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from rnnlab.cells import Cell

Map = Literal["matrix_exp", "cayley"]
INSIDE = 0.95  # singular values start within this share of their interval: at its ends they have no gradient


def none(cell: Cell) -> None:
    """Train the recurrent matrices as they are."""


def orthogonal(cell: Cell, *, map: Map) -> None:
    """Keep W of every gate orthogonal:

        W = Q_0 exp(A)  or  W = Q_0 (I - A/2)^-1 (I + A/2),      A = L - L^T, L strictly lower triangular, trained

    so a linear cell passes the norm of any gradient on unchanged, and one with slopes of at most 1 never lets it grow.
    Q_0 is the orthogonal matrix nearest to the initial W, its polar factor, and L starts at 0. W = Q_0 times a rotation
    keeps the sign of its determinant; the Cayley map reaches all rotations but those with an eigenvalue of -1.

    Raises:
        ValueError: a cell without a dense square recurrent matrix, or a weight that is parametrised already.

    Reference:
        Lezcano-Casado, Trivializations for gradient-based optimization on manifolds, 2019; Helfrich, Willmott, Ye,
        Orthogonal recurrent neural networks with scaled Cayley transform, 2018.
    """
    _known("orthogonal", map)
    _constrain(cell, "orthogonal", lambda: Orthogonal(map))


def spectral_margin(cell: Cell, *, margin: float, map: Map) -> None:
    """Keep the singular values of every gate's W in [1 - m, 1 + m]:

        W = U diag(s) V^T,      U, V orthogonal, by the map,      s = 1 + m (2 sigmoid(p) - 1),      p = q / (2 m)

    so over k steps of a linear cell the norm of a gradient changes by a factor between (1 - m)^k and (1 + m)^k. What is
    trained is q: ds/dq = sigmoid'(p) <= 1/4 whatever the margin, as where the paper divides the learning rate of p by
    2 m. U, V and s start at the singular value decomposition of the initial W, s clipped into the middle 95 % of the
    interval: at its ends q would be infinite.

    Args:
        margin: m, in (0, 1].
        map: as in `orthogonal`. The paper takes Cayley steps.

    Raises:
        ValueError: as `orthogonal`, or another margin.

    Reference:
        Vorontsov, Trabelsi, Kadoury, Pal, On orthogonality and learning recurrent networks with long term dependencies,
        2017, section 2.2.
    """
    if not 0 < margin <= 1:
        raise ValueError(f"spectral_margin needs 0 < margin <= 1 (0 is constraint orthogonal), got {margin}")
    _known("spectral_margin", map)
    _constrain(cell, "spectral_margin", lambda: SpectralMargin(margin, map))


class Orthogonal(nn.Module):
    """The strict lower triangles L of G gates, as rows, to W."""

    def __init__(self, map: Map):
        super().__init__()
        self.map = map

    def forward(self, L: Float[Tensor, "G HH"]) -> Float[Tensor, "GH H"]:
        return (self.Q_0 @ rotation(L, self.Q_0.shape[-1], self.map)).flatten(0, 1)

    @torch.no_grad()
    def right_inverse(self, W: Float[Tensor, "GH H"]) -> Float[Tensor, "G HH"]:
        U, _, V_t = _svd(W)
        self.register_buffer("Q_0", (U @ V_t).to(W.dtype))
        return _no_rotation(W)


class SpectralMargin(nn.Module):
    """The strict lower triangles of both rotations and q, of G gates, to W."""

    def __init__(self, margin: float, map: Map):
        super().__init__()
        self.margin, self.map = margin, map

    def forward(
        self, left: Float[Tensor, "G HH"], q: Float[Tensor, "G H"], right: Float[Tensor, "G HH"]
    ) -> Float[Tensor, "GH H"]:
        H = q.shape[-1]
        U, V = self.U_0 @ rotation(left, H, self.map), self.V_0 @ rotation(right, H, self.map)
        s = 1 + self.margin * (2 * (q / (2 * self.margin)).sigmoid() - 1)
        return (U * s[:, None, :] @ V.mT).flatten(0, 1)

    @torch.no_grad()
    def right_inverse(self, W: Float[Tensor, "GH H"]) -> tuple[Tensor, Tensor, Tensor]:
        U, s, V_t = _svd(W)
        self.register_buffer("U_0", U.to(W.dtype))
        self.register_buffer("V_0", V_t.mT.to(W.dtype))
        place = ((s - 1) / self.margin).clamp(-INSIDE, INSIDE)  # in the interval: -1 at its lower end, 1 at the upper
        q = 2 * self.margin * ((1 + place) / 2).logit()
        return _no_rotation(W), q.to(W.dtype), _no_rotation(W)


def rotation(L: Float[Tensor, "G HH"], H: int, map: Map) -> Float[Tensor, "G H H"]:
    """exp(A) or its Cayley map, A = L - L^T; both are I + A to first order."""
    i, j = torch.tril_indices(H, H, -1, device=L.device)
    A = L.new_zeros(len(L), H, H)
    A[:, i, j] = L
    A = A - A.mT
    if map == "matrix_exp":
        return torch.matrix_exp(A)
    eye = torch.eye(H, dtype=L.dtype, device=L.device)
    return torch.linalg.solve(eye - A / 2, eye + A / 2)


def _known(what: str, map: str) -> None:
    if map not in get_args(Map):
        raise ValueError(f"{what} needs a map out of {', '.join(get_args(Map))}, got {map!r}")


def _svd(W: Float[Tensor, "GH H"]) -> tuple[Tensor, Tensor, Tensor]:
    """Of each gate; in float64, so that float32 gets factors which are orthogonal to its last bit."""
    return torch.linalg.svd(W.double().unflatten(0, (-1, W.shape[1])))


def _no_rotation(W: Float[Tensor, "GH H"]) -> Float[Tensor, "G HH"]:
    H = W.shape[1]
    return W.new_zeros(len(W) // H, H * (H - 1) // 2)


def _constrain(cell: Cell, what: str, parametrisation: Callable[[], nn.Module]) -> None:
    """Put every recurrent matrix of a cell under a parametrisation of its own."""
    found = []
    for full in cell.recurrents:
        path, _, name = full.rpartition(".")
        module = cell.get_submodule(path)
        W = getattr(module, name, None)
        if W is None or W.ndim != 2 or len(W) % W.shape[1]:
            break
        if is_parametrized(module, name):
            raise ValueError(f"{what} needs a weight of its own, but {full} is parametrised already")
        found.append((module, name))
    if not found or len(found) < len(cell.recurrents):
        raise ValueError(f"{what} needs a dense square recurrent matrix per gate, which {type(cell).__name__} lacks")
    for module, name in found:
        register_parametrization(module, name, parametrisation())
