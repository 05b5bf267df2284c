"""What the gradient does before training, without a network: mean field of the basic cell, and laws of single inits.

The mean field is that of h_t = phi(W h_{t-1} + z_t) with W_ij ~ N(0, sw^2 / H), H -> infinity, and a drive
z_t = U x_t + b that is Gaussian over the units, fresh at every step, with mean square sin^2. One random network of
H = 1000 keeps to it within 1 %, with ReLU or the sigmoid, whose mean is not 0, within 2.5 %. It says nothing about
cells with gates, nor about what training does.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np

Activation = Literal["tanh", "relu", "sigmoid", "identity"]


class MeanField(NamedTuple):
    """A wide random network in its stationary state.

    Attributes:
        q: variance of the pre-activations, over units and steps; inf where there is no finite one.
        chi: factor of the mean squared gradient norm per step back: vanishing below 1, exploding above.
    """

    q: float
    chi: float

    @property
    def decades_per_step(self) -> float:
        """log10 of the factor of the gradient norm itself, per step back; negative when vanishing."""
        return math.log10(self.chi) / 2


def mean_field(activation: Activation, *, gain: float, input_variance: float) -> MeanField:
    """The fixed point q of the variance of the pre-activations, and the slope chi there, to 1e-10:

        q = sw^2 E[phi(sqrt(q) z)^2] + sin^2        chi = sw^2 E[phi'(sqrt(q) z)^2]        z ~ N(0, 1)

    For tanh and sigmoid the right side is concave in q, so there is one stable fixed point, the largest. Without input
    tanh is quiet, q = 0, up to sw = 1. ReLU and the identity have chi = sw^2 / 2 and sw^2 whatever q is. They have no
    finite q above chi = 1, and with input none at 1 either: q is then inf, and chi still holds.

    Args:
        gain: sw; W_ij ~ N(0, sw^2 / H).
        input_variance: sin^2, the mean square over units and steps of the drive U x_t + b: the part of the
            pre-activation that comes from input and bias.

    Raises:
        ValueError: an activation without a theory, a gain that is not positive, a variance below 0.

    Reference:
        Poole et al., Exponential expressivity in deep neural networks through transient chaos, 2016, eq. 3; Schoenholz
        et al., Deep information propagation, 2017; Chen, Pennington, Schoenholz, Dynamical isometry and a mean field
        theory of RNNs, 2018; for ReLU He et al., Delving deep into rectifiers, 2015.
    """
    square, slope = _moments(activation)
    _check("gain", gain, 0 < gain < math.inf, "positive and finite")
    _check("input_variance", input_variance, 0 <= input_variance < math.inf, "finite and >= 0")
    if activation in ("relu", "identity"):
        chi = gain**2 * slope(0.0)
        if input_variance == 0:
            return MeanField(0.0 if chi < 1 + 1e-12 else math.inf, chi)  # sqrt(2)**2 / 2 rounds to more than 1
        return MeanField(input_variance / (1 - chi) if chi < 1 else math.inf, chi)
    if square(0.0) == input_variance == 0 and gain**2 * slope(0.0) <= 1:
        return MeanField(0.0, gain**2 * slope(0.0))
    q = _first(lambda q: gain**2 * square(q) + input_variance <= q, gain**2 + input_variance)
    return MeanField(q, gain**2 * slope(q))


def critical_gain(activation: Activation, *, input_variance: float) -> float:
    """The sw at which chi = 1, to 1e-10: gradients neither vanish nor explode on the average.

        sw^2 = 1 / E[phi'^2],  where q solves  q - E[phi^2] / E[phi'^2] = sin^2

    Without input 1 for tanh, sqrt 2 for ReLU, 1 for the identity, 10.149 for the sigmoid, whose slope is 1/4 at most.
    Input saturates tanh and the sigmoid, so they need more; it leaves the other two as they are, but their variance
    then grows by sin^2 a step. For tanh rounding leaves up to 1e-8 where the input variance is below 1e-18 and not 0.

    Reference:
        Schoenholz et al., 2017; Chen, Pennington, Schoenholz, 2018.
    """
    square, slope = _moments(activation)
    _check("input_variance", input_variance, 0 <= input_variance < math.inf, "finite and >= 0")
    if activation in ("relu", "identity") or square(0.0) == input_variance == 0:
        return slope(0.0) ** -0.5

    def enough(q: float) -> bool:
        return q - square(q) / slope(q) >= input_variance

    high = 1.0
    while not enough(high):
        high *= 2
    return slope(_first(enough, high)) ** -0.5


def step_bound(activation: Activation, *, largest_singular_value: float) -> float:
    """gamma smax(W), which bounds the growth of the gradient norm per step: ratio_k <= (gamma smax)^k, always.

    gamma = max phi' is 1/4 for the sigmoid and 1 for the others. Below 1 the gradient must vanish.

    Reference:
        Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks, 2013, eq. 6-7.
    """
    _moments(activation)
    return largest_singular_value / 4 if activation == "sigmoid" else largest_singular_value


def power_norm(lag: int) -> float:
    """The largest singular value of W^k, W_ij ~ N(0, 1/H), H -> infinity; times sw^k for another gain.

        sqrt((k+1)^(k+1) / k^k),    about sqrt(e (k + 1/2))

    The gradient of a linear network can grow this much over k steps, though its mean square does not grow at all. The
    same holds for products of k independent matrices: it is the upper edge of the Fuss-Catalan law.

    Reference:
        Alexeev, Götze, Tikhomirov, Asymptotic distribution of singular values of powers of random matrices, 2010.
    """
    _check("lag", lag, lag >= 0, ">= 0")
    return math.sqrt((lag + 1) * (1 + 1 / lag) ** lag) if lag else 1.0


def chrono_retention(lag: int, *, longest: int) -> float:
    """Root mean square over the units of what a chrono-initialised gate keeps over k steps, sigmoid(b_f)^k:

        sqrt( 1/(Tm - 2)  int_1^(Tm-1) (u / (1 + u))^(2k) du )        b_f = log u,  u ~ U(1, Tm - 1)

    A unit keeps 1/e for about u steps, so the memories are spread evenly over 1 .. Tm, the `longest`.

    Reference:
        Tallec & Ollivier, Can recurrent neural networks warp time?, 2018, eq. 16.
    """
    _check("lag", lag, lag >= 0, ">= 0")
    _check("longest", longest, longest > 2, "above 2")
    node, weight = np.polynomial.legendre.leggauss(100)  # over log u, where the integrand is smooth at any k and Tm
    half = math.log(longest - 1) / 2
    u = np.exp(half * (1 + node))
    return math.sqrt(half * weight @ (u * np.exp(-2 * lag * np.log1p(1 / u))) / (longest - 2))


def uniform_gate_retention(lag: int, *, size: float) -> float:
    """Root mean square over the units of what a uniformly initialised gate, f ~ U(1/d, 1 - 1/d), keeps over k steps:

        E[f^(2k)]^(1/2) = (2k + 1)^(-1/2)        for d -> infinity (`size=math.inf`); d units cut it off beyond k = d

    A power law of the lag, where one forget bias for all units gives an exponential.

    Reference:
        Gu et al., Improving the gating mechanism of recurrent neural networks, 2020.
    """
    _check("lag", lag, lag >= 0, ">= 0")
    _check("size", size, size > 2, "above 2")
    power = 2 * lag + 1
    return math.sqrt((math.exp(power * math.log1p(-1 / size)) - (1 / size) ** power) / (power * (1 - 2 / size)))


def gated_gain(lag: int, *, keep: float, through: float) -> float:
    """log10 of the root mean square gain over k steps of a gated cell at rest, whose Jacobian is f I + s V:

        E ||(f I + s V)^k a||^2 / ||a||^2 = sum_j [ C(k, j) f^(k-j) s^j ]^2 = mean over p of abs(f + s e^ip)^(2k)

    V is the same at every step, orthogonal or V_ij ~ N(0, 1 / H), H -> infinity: its powers keep the mean square of any
    vector, and no two of them have anything in common. The rate tends to f + s per step; with a fresh V at each step it
    would be sqrt(f^2 + s^2).

    Args:
        keep: f, what the memory keeps by itself, sigmoid of the bias of its gate.
        through: s, what comes back through the recurrent matrix; of a GRU (1 - f) sigmoid(b_r) sw.

    Reference:
        Kanai, Fujiwara, Iwamura, Preventing gradient explosions in gated recurrent units, 2017, for the Jacobian.
    """
    _check("lag", lag, lag >= 0, ">= 0")
    _check("keep", keep, 0 < keep < math.inf, "positive and finite")
    _check("through", through, 0 <= through < math.inf, "finite and >= 0")
    phase = np.linspace(0, 2 * math.pi, 2 * lag + 1, endpoint=False)  # a trigonometric polynomial: the mean is exact
    size = np.log(keep**2 + through**2 + 2 * keep * through * np.cos(phase)) * lag
    top = size.max()
    return float(top + math.log(np.exp(size - top).mean())) / (2 * math.log(10))


def linear_gain(lag: int, *, gain: float, depth: int, maps: int, aligned: bool) -> float:
    """log10 of the gain of a gradient over k steps of a linear network of D layers, relative to that over no step:

        C(k + D - 1, D - 1) a^(m k)              aligned: W = a I
        sqrt(C(k + D - 1, D - 1)) a^(m k)        W = a Q, with an orthogonal Q of its own in each layer

    C counts the ways that k steps can be divided among the D layers between a state of the lowest and the loss, each of
    which keeps a^(m k). Where all W commute with everything the ways add up, exactly. Where they have nothing in common
    their squares do: the root mean square, from which a network of H units strays by a share of about sqrt(D / H). So
    depth changes a factor that grows as a power of the lag, never the rate; what multiplies the rate is m.

    Args:
        gain: a, of each recurrent map.
        depth: D, the stacked layers from the state up to the loss.
        maps: m, the maps of a deep transition; 1 is a plain layer.
    """
    _check("lag", lag, lag >= 0, ">= 0")
    _check("gain", gain, 0 < gain < math.inf, "positive and finite")
    _check("depth", depth, depth >= 1, ">= 1")
    _check("maps", maps, maps >= 1, ">= 1")
    ways = math.log10(math.comb(lag + depth - 1, depth - 1))
    return maps * lag * math.log10(gain) + (ways if aligned else ways / 2)


def _tanh_square(q: float) -> float:
    return _gaussian_mean(lambda u: np.tanh(u) ** 2, q)


def _tanh_slope(q: float) -> float:
    return _gaussian_mean(lambda u: (1 - np.tanh(u) ** 2) ** 2, q)


MOMENTS = {  # E[phi^2] and E[phi'^2] at variance q; sigmoid(u) = 1/2 + tanh(u/2) / 2
    "tanh": (_tanh_square, _tanh_slope),
    "sigmoid": (lambda q: (1 + _tanh_square(q / 4)) / 4, lambda q: _tanh_slope(q / 4) / 16),
    "relu": (lambda q: q / 2, lambda q: 0.5),
    "identity": (lambda q: q, lambda q: 1.0),
}


def _gaussian_mean(even: Callable[[np.ndarray], np.ndarray], q: float) -> float:
    """E[f(sqrt(q) z)], z ~ N(0, 1), of an even function of tanh by the trapezoidal rule.

    Its poles lie pi / (2 sqrt q) off the real axis in z, so a step of h leaves an error of order
    exp(-pi^2 / (h sqrt q)): with h = 0.2 / sqrt(1 + q) it is rounding, for every q. Gauss-Hermite quadrature of order n
    has nodes 1/sqrt(n) apart whatever q is: order 200 holds 1e-10 up to q = 1.5 only, and is off by 1e-4 at q = 10.
    """
    h = 0.2 / math.sqrt(1 + q)
    z = np.arange(0, 9, h)  # beyond 9 there is 1e-18 of the weight
    weight = np.exp(-z * z / 2)
    weight[0] /= 2
    return float((weight * even(math.sqrt(q) * z)).sum() / weight.sum())


def _first(holds: Callable[[float], bool], high: float) -> float:
    """Where a condition begins to hold between 0 and `high`, halved until no number is left between."""
    low = 0.0
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _moments(activation: str) -> tuple[Callable[[float], float], Callable[[float], float]]:
    if activation not in MOMENTS:
        known = ", ".join(get_args(Activation))
        raise ValueError(f"theory needs an activation out of {known}, got {activation!r}")
    return MOMENTS[activation]


def _check(name: str, value: object, fine: bool, rule: str) -> None:
    if not fine:
        raise ValueError(f"theory needs {name} {rule}, got {value}")
