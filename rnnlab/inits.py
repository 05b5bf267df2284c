"""Fillers of a recurrent matrix W [H, H], in place, in the manner of torch.nn.init. A cell fills each gate's W."""

import math

import torch
from torch import Tensor, nn

Generator = torch.Generator | None


@torch.no_grad()
def gaussian_(W: Tensor, *, gain: float, generator: Generator = None) -> Tensor:
    """W_ij ~ N(0, gain^2 / H), so that E ||W v||^2 = gain^2 ||v||^2.

    The spectral radius tends to gain, the largest singular value to 2 gain.
    """
    return W.normal_(0, _positive("gaussian", gain) / math.sqrt(W.shape[1]), generator=generator)


@torch.no_grad()
def orthogonal_(W: Tensor, *, gain: float, generator: Generator = None) -> Tensor:
    """gain times an orthogonal matrix: every singular value is gain, a linear cell keeps gain^k of any gradient.

    Reference:
        Saxe, McClelland, Ganguli, Exact solutions to the nonlinear dynamics of learning, 2014.
    """
    return nn.init.orthogonal_(W, _positive("orthogonal", gain), generator=generator)


@torch.no_grad()
def identity_(W: Tensor, *, scale: float, generator: Generator = None) -> Tensor:
    """scale times the identity: with ReLU the IRNN, whose gradient norm cannot grow backwards in time at scale 1.

    Reference:
        Le, Jaitly, Hinton, A simple way to initialize recurrent networks of rectified linear units, 2015.
    """
    return nn.init.eye_(W).mul_(_positive("identity", scale))


@torch.no_grad()
def glorot_(W: Tensor, *, generator: Generator = None) -> Tensor:
    """U(-a, a) with a = sqrt(6 / (2 H)): variance 1 / H, the gain of `gaussian_` at 1.

    Reference:
        Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010, eq. 16.
    """
    return nn.init.xavier_uniform_(W, generator=generator)


@torch.no_grad()
def torch_default_(W: Tensor, *, generator: Generator = None) -> Tensor:
    """U(-1/sqrt(H), 1/sqrt(H)), as torch.nn.RNN: variance 1 / (3 H), a factor 1/sqrt(3) = .577 per linear step."""
    bound = 1 / math.sqrt(W.shape[1])
    return W.uniform_(-bound, bound, generator=generator)


@torch.no_grad()
def constant_bias_(retain: Tensor, admit: Tensor | None, *, value: float, generator: Generator = None) -> None:
    """b = value for the gate that retains: it starts open, at sigmoid(value); the one that admits is left as it is.

    Reference:
        Jozefowicz, Zaremba, Sutskever, An empirical exploration of recurrent network architectures, 2015.
    """
    retain.fill_(value)


def _positive(name: str, value: float) -> float:
    if not (0 < value < math.inf):
        raise ValueError(f"{name} needs a positive, finite gain, got {value}")
    return value
