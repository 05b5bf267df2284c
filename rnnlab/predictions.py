"""How far back the gradient of a network reaches before training, as theory has it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnnlab.cells import GRU, LSTM, Cell, Elman
from rnnlab.cells.coupled_lstm import CoupledLSTM
from rnnlab.cells.deep_transition import DeepTransition
from rnnlab.cells.min_gru import MinGRU
from rnnlab.cells.min_lstm import MinLSTM
from rnnlab.networks import EncoderDecoder, Stack
from rnnlab.theory import MOMENTS, MeanField, gated_gain, linear_gain, mean_field

FALLEN = 3.0  # decades that end the horizon, as in the probe `profile`
LONGEST = 10**6  # steps; what lasts longer is called infinite
FEWEST = 32  # units, from which sqrt(2 / H), the share by which one network strays from theory, is within `SURE`
SURE = 0.25  # of the rate: what may be off by more is not predicted
SLACK = 0.1  # by which share slopes may be below those of a cell at rest: the mean square of the drive
ROWS = 5_000  # steps x samples that the size of the drive is taken from


class Law(NamedTuple):
    """log10 of the gradient norm over that at lag 0, which falls or grows all the way; and decades per step at last."""

    log10: Callable[[int], float]
    decades: float


def predict(
    network: Stack | EncoderDecoder,
    x: Float[Tensor, "T B I"] | Int[Tensor, "T B"],
    lengths: Int[Tensor, " B"] | None = None,
) -> dict[str, float]:
    """{"horizon": steps, "decay_per_step": decades} of dL/dh in the recurrent layer nearest to the input, in the first
    of its directions; {} where no theory holds for the network as it is.

    They are the digests of `Profile`, but that the horizon is not cut off at T: it is inf where nothing falls, and the
    decay is that of long lags. It is the layer alone, under a loss that reads it: what comes through the layers above
    is not in it.

        elman       mean field, sw = ||W||_F / sqrt(H), with the mean square of the drive, where the rate is so far from
                    0 that one network of H units has it within 25 %: beyond .87 / sqrt(H) decades per step, and nearer
                    with a smooth activation and a multiple of an orthogonal W, as with gains up to 1.
        gru, lstm,  `gated_gain`, linearised at rest, where the drive is weak and all units have the same biases. Not
        coupled_    where f + s comes near 1, as for an LSTM with forget bias 1 and sw = 1: its memory fills up, and the
        lstm        horizon is half of what the theory of rest says.
        deep        the product of the gains of its maps, where all are linear, without shortcut, and each W a multiple
        transition  of an orthogonal matrix.
        min_gru,    what each unit keeps by its bias, in the root mean square over the units, where the drive of the
        min_lstm    gates is weak.

    sigmoid(b_f)^k alone is no law of the others: through W comes as much again, and the horizon is twice as long. So
    with gates that see the state, chrono and uniform biases have none here. Nor have a W that is
    mostly diagonal or zeros (but for linear cells), fewer than 32 units, other cells and deep transitions, truncation,
    and encoders, which hear of the loss through their decoder. Nothing is drawn or changed.

    Args:
        x, lengths: some inputs, as for the network.
    """
    if not isinstance(network, Stack) or network.truncate is not None:
        return {}
    with torch.no_grad():
        cell = network.layers[0][0].materialised()
        law = LAWS.get(type(cell))
        if law is None or cell.size < FEWEST:
            return {}
        found = law(cell, _drive(network, cell, x, lengths))
    return {} if found is None else {"horizon": _horizon(found.log10), "decay_per_step": found.decades}


def limit(
    network: Stack | EncoderDecoder,
    x: Float[Tensor, "T B I"] | Int[Tensor, "T B"],
    lengths: Int[Tensor, " B"] | None = None,
) -> dict[str, float]:
    """{"chi": factor, "q": variance} of an infinitely wide network with the sw and the drive of this one's basic cell,
    the recurrent layer nearest to the input; {} for other cells, and where units do not mix: see `theory.MeanField`.

    It is what a figure draws as the theory, also near chi = 1 and for narrow networks. Nobody says that this very
    network keeps to it: where it does, `predict` has a horizon.
    """
    if not isinstance(network, Stack) or network.truncate is not None:
        return {}
    with torch.no_grad():
        cell = network.layers[0][0].materialised()
        if type(cell) is not Elman or not _mixing(cell.W):
            return {}
        found = _field(cell, _drive(network, cell, x, lengths))
    return {} if found is None else {"chi": found.chi, "q": found.q}


def _drive(network: Stack, cell: Cell, x: Tensor, lengths: Tensor | None) -> dict[str, Tensor]:
    """U x_t + b of each gate at some steps of some samples, [N, H]."""
    T = len(x)
    few, stride = max(1, ROWS // T), max(1, T // ROWS)
    u, _ = network.enter(x[::stride, :few])
    z = cell.project(u).double()
    if lengths is not None:
        z = z[torch.arange(0, T, stride)[:, None] < lengths[:few].cpu()]
    return dict(zip(cell.gates, z.flatten(0, -2).split(cell.size, -1), strict=True))


def _basic(cell: Elman, drive: dict[str, Tensor]) -> Law | None:
    """Unless one network of H units may be off by more than `SURE` of the rate.

    What the slopes do to the rate, all of it but log10 sw, is a mean over H units, off by a share of sqrt(2 / H). That
    holds of smooth slopes and a multiple of an orthogonal W. The share of ReLUs that are off, and the powers of any
    other W, are off by log10(e) / (2 sqrt(H)) decades per step: near rate 0 such a network goes its own way.
    """
    W, found = cell.W.double(), _field(cell, drive)
    if found is None:
        return None
    rate = found.decades_per_step
    rate = rate if abs(rate) > FALLEN / LONGEST else 0.0  # of a linear cell with an orthogonal W: rounding
    off = math.log10(math.e) / 2 / math.sqrt(cell.size)
    if cell.activation == "identity" and _orthogonal(W):
        off = 0.0
    elif cell.activation != "relu" and _orthogonal(W):
        off = abs(rate - math.log10(_gain(W))) * math.sqrt(2 / cell.size)
    if off > SURE * abs(rate) or (off and not _mixing(W)):
        return None
    return Law(lambda lag: rate * lag, rate)


def _field(cell: Elman, drive: dict[str, Tensor]) -> MeanField | None:
    gain, variance = _gain(cell.W.double()), _mean_square(drive["h"])
    if cell.activation not in MOMENTS or not (0 < gain < math.inf and variance < math.inf):
        return None
    return mean_field(cell.activation, gain=gain, input_variance=variance)


def _gated(cell: GRU | LSTM | CoupledLSTM, drive: dict[str, Tensor]) -> Law | None:
    candidate = "n" if isinstance(cell, GRU) else "g"
    W = cell.W.double().split(cell.size)[cell.gates.index(candidate)]
    biases = dict(zip(cell.gates, cell.b.double().split(cell.size), strict=True))
    resting = not biases[candidate].any() and not (isinstance(cell, GRU) and cell.q.any())
    alike = all(bool((b == b[0]).all()) for b in biases.values())
    if not (resting and alike and _mixing(W) and _mean_square(drive[candidate]) <= SLACK):
        return None
    opened = {name: float(b[0].sigmoid()) for name, b in biases.items()}
    keep = opened["u" if isinstance(cell, GRU) else "f"]
    out = opened["r" if isinstance(cell, GRU) else "o"]
    through = opened.get("i", 1 - keep) * out * _gain(W)
    if not 0 < SLACK * through <= SURE * (1 - keep - through):
        return None

    def log10(lag: int) -> float:
        if cell.blocks == 1:
            return gated_gain(lag, keep=keep, through=through)
        # from the memory to h of the step before there is no way but W
        return math.log10(through) + gated_gain(lag - 1, keep=keep, through=through) if lag else 0.0

    return Law(log10, math.log10(keep + through))


def _apart(cell: MinGRU | MinLSTM, drive: dict[str, Tensor]) -> Law | None:
    ((retain, admit),) = cell.memory_biases()
    biases = cell.b.double().split(cell.size)
    if max(_mean_square(z - b) for z, b in zip(drive.values(), biases, strict=True)) > SLACK:
        return None
    keep = retain.double().sigmoid()
    keep = keep if admit is None else keep / (keep + admit.double().sigmoid())
    return Law(
        lambda lag: float((keep.log() * 2 * lag).logsumexp(0) - math.log(len(keep))) / 2 / math.log(10),
        float(keep.max().log10()),
    )


def _deep(cell: DeepTransition, drive: dict[str, Tensor]) -> Law | None:
    linear = all(isinstance(f, Elman) and f.activation == "identity" and _orthogonal(f.W.double()) for f in cell.maps)
    if cell.shortcut or not linear:
        return None
    gain = math.prod(_gain(f.W.double()) for f in cell.maps)
    return Law(lambda lag: linear_gain(lag, gain=gain, depth=1, maps=1, aligned=False), math.log10(gain))


LAWS = {
    Elman: _basic,
    DeepTransition: _deep,
    GRU: _gated,
    LSTM: _gated,
    CoupledLSTM: _gated,
    MinGRU: _apart,
    MinLSTM: _apart,
}


def _mean_square(z: Tensor) -> float:
    return float(z.square().mean())


def _gain(W: Tensor) -> float:
    """sw of a random matrix with the same Frobenius norm."""
    return float(W.norm()) / math.sqrt(len(W))


def _mixing(W: Tensor) -> bool:
    """Whether a unit listens to many: W is not mostly its diagonal, and not mostly zeros."""
    return float(W.diagonal().norm()) <= float(W.norm()) / 2 and int(W.count_nonzero()) > W.numel() / 2


def _orthogonal(W: Tensor) -> bool:
    """Whether W is a multiple of an orthogonal matrix, up to the rounding of float32."""
    square = W.t() @ W
    scale = float(square.diagonal().mean())
    return float((square / scale - torch.eye(len(W), dtype=W.dtype, device=W.device)).abs().max()) < 1e-4


def _horizon(log10: Callable[[int], float]) -> float:
    """The first lag at which that has fallen by `FALLEN`."""
    high = 1
    while log10(high) > -FALLEN:
        high *= 2
        if high > LONGEST:
            return math.inf
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if log10(middle) > -FALLEN else (low, middle)
    return float(high)
