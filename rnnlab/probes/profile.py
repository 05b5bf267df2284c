"""The adjoint profile: how large the gradient is at each time step, for each layer, direction and part of the state."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rnnlab.networks import EncoderDecoder, Stack, adjoints
from rnnlab.networks.measures import norms
from rnnlab.probes.base import Moment, Reading, placed
from rnnlab.scaled import Scaled, log10_norm
from rnnlab.statistics import STATISTICS, reduce_samples

FALLEN = 3.0  # decades below lag 0 that end the effective horizon


class Series(NamedTuple):
    """log10 norms of one layer, direction and part: n steps of the network's time from `start` on, of each sample."""

    log10: Float[Tensor, "n B"]
    start: int
    valid: Bool[Tensor, "n B"] | None


@dataclass(frozen=True)
class Profile:
    """log10 ||dL_b/ds_{b,t}||_2 over time, reduced over the samples b of the batch, and digests of it.

    Norms are per sample, of the loss of that sample, so they do not depend on the batch size; the norm of the mean
    gradient is another quantity, 15 to 500 times smaller. They are measured in log-range: 1e-3000 is a number. Zeros
    enter the statistics, NaN and Inf are counted beside them, padded steps are left out: see `reduce_samples`.

    Arrays, for S series (layer, direction, part, loss), K statistics and T steps of true time:
        log10_norm [S, K, T]       zeros, nonfinite [S, T] samples       samples []       lag [S, T]
    A series is a recurrent layer, in one direction, and a part of its state (within a deep transition also the states
    between its maps), or a feed-forward layer: there "input" or "output" stands for the direction and u, v for the
    part. An encoder is followed by its decoder, in time and in the count of layers; NaN stands where a series has no
    state.

    The loss of a series is "task", the task's own, or "last", that of the last scored step alone: where many steps are
    scored, only the latter has a lag. Lag counts back from there in the direction's own order of time, of each sample
    from its own last step that counts; the array `lag` counts from that of the longest.
    """

    def __call__(self, moment: Moment) -> Reading:
        network, steps = moment.network, moment.trajectory.stop
        first, last = _ends(moment)
        found = {(*key, "task"): one for key, one in _measure(moment, moment.sample_losses.sum()).items()}
        several = len(moment.scored) > 1
        if several:
            ends = {"backward": first} if network.read == "each" else {}
            for direction in network.directions if network.read == "each" else ("forward",):
                loss = moment.losses.gather(0, ends.get(direction, last)[None]).sum()
                of_its_own = _own(network, direction)
                alone = _measure(moment, loss)
                found |= {(*key, "last"): one for key, one in alone.items() if of_its_own(key[1])}
        reduced = {key: reduce_samples(one.log10, one.valid) for key, one in found.items()}
        at = {"forward": moment.scored.start + last.cpu(), "backward": 0 * first.cpu()}
        if network.read == "each":
            at["backward"] = moment.scored.start + first.cpu()
        scalars = {}
        for key, one in found.items():
            layer, direction, part, loss = key
            if loss == ("last" if several else "task"):
                by_lag = _by_lag(one, at["backward" if direction == "backward" else "forward"], direction)
                numbers = digest(reduce_samples(*by_lag)[0][STATISTICS.index("q50")])
                scalars |= {f"adjoint/L{layer}/{direction}/{part}/{name}": v for name, v in numbers.items()}
        return Reading(scalars, *_arrays(moment, found, reduced, at, steps))


def _ends(moment: Moment) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Which scored step is the first, and the last, that counts, of each sample."""
    if moment.counted is None:
        none = torch.zeros(moment.losses.shape[1], dtype=torch.long, device=moment.losses.device)
        return none, none + len(moment.scored) - 1
    counted = moment.counted.long()
    return counted.argmax(0), len(counted) - 1 - counted.flip(0).argmax(0)


def _own(network: Stack | EncoderDecoder, direction: str) -> Callable[[str], bool]:
    """Whose lag counts from the loss at the end that this direction runs to."""
    if network.read != "each":
        return lambda of: True
    feedforward = direction == network.directions[0]
    return lambda of: of == direction or (feedforward and of in ("input", "output"))


def _measure(moment: Moment, loss: Float[Tensor, ""]) -> dict[tuple[int, str, str], Series]:
    """Of each series; from the input to the output."""
    run = moment.trajectory
    d_out, *d_heads = torch.autograd.grad(loss, [run.out, *run.heads], retain_graph=True)
    found = adjoints(run, Scaled.of(d_out), take=norms, feeds_too=True)
    series, count = {}, 0
    for part in run.both:
        for k in range(count, count := count + len(part.feeds)):
            series[k, "input", "u"] = Series(log10_norm(found.feeds[k]).cpu(), part.start, part.valid)
    for key, log10 in found.parts.items():
        part = run.of(key[0])
        series[key] = Series(log10.cpu(), part.start, part.valid)
    for k, d in enumerate(d_heads):
        each = d.ndim == 3
        log10 = log10_norm(Scaled.of(d if each else d[None])).cpu()
        series[k, "output", "v"] = Series(log10, run.start if each else run.stop - 1, run.valid if each else None)
    return series


def _by_lag(
    one: Series, at: Int[Tensor, " B"], direction: str
) -> tuple[Float[Tensor, "n B"], Bool[Tensor, "n B"] | None]:
    """By lag instead of time: row k holds the k-th step of each sample, counted from the end that its direction runs
    to, or from its own end if that comes first."""
    steps = len(one.log10)
    lengths = torch.full_like(at, steps) if one.valid is None else one.valid.sum(0)
    at = at - one.start
    if direction == "backward":
        at = at.clamp(min=0)
        if one.valid is None and (at == at[0]).all():
            return one.log10[at[0] :], None
        index = at + torch.arange(steps)[:, None]
    else:
        at = torch.minimum(at, lengths - 1)
        if (at == at[0]).all():
            return one.log10[: at[0] + 1].flip(0), None
        index = at - torch.arange(steps)[:, None]
    return one.log10.gather(0, index.clamp(0, steps - 1)), (index >= 0) & (index < lengths)


def _arrays(
    moment: Moment, found: dict, reduced: dict, at: dict[str, Tensor], steps: int
) -> tuple[dict[str, Tensor], dict[str, list]]:
    """The arrays of a reading in the network's time, and their axes."""
    rows = [[placed(v.double(), one.start, steps) for v in reduced[key]] for key, one in found.items()]
    statistics, zeros, nonfinite = (torch.stack(several) for several in zip(*rows, strict=True))
    arrays = {"log10_norm": statistics, "zeros": zeros.nan_to_num(), "nonfinite": nonfinite.nan_to_num()}
    arrays = {name: v if name == "log10_norm" else v.long() for name, v in arrays.items()}
    labels = zip(("layer", "direction", "part", "loss"), zip(*found, strict=True), strict=True)
    t = torch.arange(steps)
    lag = [t - int(at["backward"].min()) if key[1] == "backward" else int(at["forward"].max()) - t for key in found]
    axes = {name: list(values) for name, values in labels}
    axes |= {"statistic": list(STATISTICS), "time": t.tolist(), "lag": [row.tolist() for row in lag]}
    return arrays | {"samples": torch.tensor(moment.losses.shape[1])}, axes


def digest(log10: Float[Tensor, " K"]) -> dict[str, float]:
    """Numbers that sum up a profile over lag k = 0, 1, 2, ...

        decay_per_step     least-squares slope of log10 norm over lag, decades per step; negative: vanishing
        half_life          steps in which the norm halves at that rate, inf if it does not fall
        horizon            first lag at which the norm is 1000 times below that at lag 0; if none, the number of lags
        horizon_censored   1 if there was none
        log10_ratio        log10 of the norm at the largest lag over that at lag 0

    The slope is fitted up to the first lag that is zero or not finite. NaN where there is nothing to fit.
    """
    finite = log10.isfinite()
    usable = int(finite.long().cumprod(0).sum())
    slope = math.nan
    if usable > 1:
        y, k = log10[:usable], torch.arange(usable, dtype=log10.dtype)
        k = k - k.mean()
        slope = float((k * y).sum() / (k * k).sum())
    fallen = (log10 <= log10[0] - FALLEN).nonzero() if usable else []
    return {
        "decay_per_step": slope,
        "half_life": -math.log10(2) / slope if slope < 0 else (math.nan if math.isnan(slope) else math.inf),
        "horizon": float(fallen[0]) if len(fallen) else (float(len(log10)) if usable else math.nan),
        "horizon_censored": float(len(fallen) == 0),
        "log10_ratio": float(log10[-1] - log10[0]) if usable else math.nan,
    }
