"""Fillers of a recurrent matrix W [H, H], in place, in the manner of torch.nn.init. A cell fills each gate's W.

Then fillers of the biases of gates that keep a memory, `rnnlab.theory` says what the gradient does under them; and of
all other matrices of a network.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rnnlab import theory

Generator = torch.Generator | None


@torch.no_grad()
def gaussian_(W: Tensor, *, gain: float, generator: Generator = None) -> Tensor:
    """W_ij ~ N(0, gain^2 / H), so that E ||W v||^2 = gain^2 ||v||^2.

    The spectral radius tends to gain, the largest singular value to 2 gain.
    """
    return W.normal_(0, _positive("gaussian", gain=gain) / math.sqrt(W.shape[1]), generator=generator)


@torch.no_grad()
def orthogonal_(W: Tensor, *, gain: float, generator: Generator = None) -> Tensor:
    """gain times an orthogonal matrix: every singular value is gain, a linear cell keeps gain^k of any gradient.

    Reference:
        Saxe, McClelland, Ganguli, Exact solutions to the nonlinear dynamics of learning, 2014.
    """
    return nn.init.orthogonal_(W, _positive("orthogonal", gain=gain), generator=generator)


@torch.no_grad()
def identity_(W: Tensor, *, scale: float, generator: Generator = None) -> Tensor:
    """scale times the identity: with ReLU the IRNN, whose gradient norm cannot grow backwards in time at scale 1.

    Reference:
        Le, Jaitly, Hinton, A simple way to initialize recurrent networks of rectified linear units, 2015.
    """
    return nn.init.eye_(W).mul_(_positive("identity", scale=scale))


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
def he_(W: Tensor, *, generator: Generator = None) -> Tensor:
    """W_ij ~ N(0, 2 / H), the gain of `gaussian_` at sqrt(2): a ReLU network keeps the mean square of its gradient.

    Reference:
        He, Zhang, Ren, Sun, Delving deep into rectifiers, 2015, eq. 10.
    """
    return nn.init.kaiming_normal_(W, nonlinearity="relu", generator=generator)


@torch.no_grad()
def sparse_(W: Tensor, *, nonzeros: int, spectral_radius: float, generator: Generator = None) -> Tensor:
    """n entries of each row, at places drawn without repetition, are N(0, 1), the others 0; then W is rescaled.

    Each unit listens to few others, so that units stay distinct however wide the network is. Pascanu et al., 2013, call
    it smart tanh. In a linear cell the gradient changes by the spectral radius per step, in the long run.

    Args:
        nonzeros: n; a row with fewer entries is full.
        spectral_radius: the largest absolute eigenvalue of the result.

    Reference:
        Martens, Deep learning via Hessian-free optimization, 2010; Sutskever, Martens, Dahl, Hinton, On the importance
        of initialization and momentum in deep learning, 2013.
    """
    _square("sparse", W)
    _positive("sparse", spectral_radius=spectral_radius)
    if not (1 <= nonzeros < math.inf):
        raise ValueError(f"sparse needs nonzeros >= 1, got {nonzeros}")
    places = torch.rand(W.shape, generator=generator, device=W.device, dtype=W.dtype).argsort(1)[:, :nonzeros]
    values = torch.randn(places.shape, generator=generator, device=W.device, dtype=W.dtype)
    return _rescaled(W.zero_().scatter_(1, places, values), spectral_radius)


@torch.no_grad()
def spectral_(W: Tensor, *, radius: float, generator: Generator = None) -> Tensor:
    """A Gaussian matrix rescaled to a spectral radius, exactly, where `gaussian_` has it in the limit of large H.

    In a linear cell the slope of the log gradient norm against the lag tends to log(radius).

    Reference:
        Jaeger, The echo state approach to analysing and training recurrent neural networks, 2001; Pascanu, Mikolov,
        Bengio, On the difficulty of training recurrent neural networks, 2013, section 2.1.
    """
    _square("spectral", W)
    _positive("spectral", radius=radius)
    return _rescaled(W.normal_(generator=generator), radius)


@torch.no_grad()
def critical_(
    W: Tensor, *, activation: theory.Activation, input_variance: float, generator: Generator = None
) -> Tensor:
    """W_ij ~ N(0, sw^2 / H) with the sw at which a wide basic cell keeps the mean square of its gradient, chi = 1.

    Args:
        activation: of the cell; for a cell with gates no such theory is here.
        input_variance: mean square over units and steps of U x_t + b. See `theory.critical_gain`.

    Reference:
        Schoenholz, Gilmer, Ganguli, Sohl-Dickstein, Deep information propagation, 2017.
    """
    return gaussian_(W, gain=theory.critical_gain(activation, input_variance=input_variance), generator=generator)


@torch.no_grad()
def constant_bias_(retain: Tensor, admit: Tensor | None, *, value: float, generator: Generator = None) -> None:
    """b = value for the gate that retains: it starts open, at sigmoid(value); the one that admits is left as it is.

    Without weights the memory keeps sigmoid(value)^k over k steps, the same in every unit.

    Reference:
        Jozefowicz, Zaremba, Sutskever, An empirical exploration of recurrent network architectures, 2015.
    """
    if not math.isfinite(value):
        raise ValueError(f"constant_bias needs a finite value, got {value}")
    retain.fill_(value)


@torch.no_grad()
def chrono_bias_(retain: Tensor, admit: Tensor | None, *, longest: int, generator: Generator = None) -> None:
    """b = log u, u ~ U(1, Tm - 1), for the gate that retains, and -b for the one that admits.

    Without weights a unit keeps (u / (1 + u))^k over k steps, 1/e of its memory after about u;
    `theory.chrono_retention` is the root mean square over the units.

    Args:
        longest: Tm, the longest dependency that is expected, in steps; above 2.

    Reference:
        Tallec & Ollivier, Can recurrent neural networks warp time?, 2018, eq. 16.
    """
    if not (2 < longest < math.inf):
        raise ValueError(f"chrono_bias needs a finite longest > 2 steps, got {longest}")
    _opposed(retain.uniform_(1, longest - 1, generator=generator).log_(), admit)


@torch.no_grad()
def uniform_bias_(retain: Tensor, admit: Tensor | None, *, generator: Generator = None) -> None:
    """b = log(u / (1 - u)), u ~ U(1/d, 1 - 1/d), for the gate that retains, and -b for the one that admits; d units.

    Without weights the gates start uniform in (0, 1), so the memory falls as a power of the lag, (2k + 1)^(-1/2) in
    the root mean square, up to k = d: `theory.uniform_gate_retention`. With one or two units u is 1/2.

    Reference:
        Gu, Gulcehre, Paine, Hoffman, Pascanu, Improving the gating mechanism of recurrent neural networks, 2020.
    """
    least = min(1 / len(retain), 0.5)
    _opposed(retain.uniform_(least, 1 - least, generator=generator).logit_(), admit)


@torch.no_grad()
def normal_feeds_(feeds: Mapping[str, Tensor], *, std: float, readout: bool, generator: Generator = None) -> None:
    """N(0, std^2) for every matrix that is not recurrent, whatever its size: for papers that draw all weights alike.

    Without it they are Glorot-uniform. The gradient that comes through a readout is as small as the readout.

    Args:
        feeds: by the names of the parameters.
        readout: whether that of the output is among them; else it stays as it is.

    Reference:
        Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks, 2013, section 4.1.
    """
    _positive("normal_feeds", std=std)
    for name, matrix in feeds.items():
        if readout or "readout" not in name.split("."):
            matrix.normal_(0, std, generator=generator)


def _opposed(retain: Tensor, admit: Tensor | None) -> None:
    if admit is not None:
        torch.neg(retain, out=admit)


def _rescaled(W: Tensor, radius: float) -> Tensor:
    return W.mul_(radius / torch.linalg.eigvals(W.double()).abs().max())


def _square(name: str, W: Tensor) -> None:
    if W.shape[0] != W.shape[1]:
        raise ValueError(f"{name} needs a square W, which has eigenvalues, got one of shape {list(W.shape)}")


def _positive(name: str, **setting: float) -> float:
    ((key, value),) = setting.items()
    if not (0 < value < math.inf):
        raise ValueError(f"{name} needs a positive, finite {key}, got {value}")
    return value
