"""The adjoint profile: how large the gradient is at each time step, for each layer, direction and part of the state."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.networks import adjoints
from rnnlab.probes.base import Moment, Reading
from rnnlab.scaled import Scaled, log10_norm

QUANTILES = {"q10": 0.1, "q50": 0.5, "q90": 0.9}
STATISTICS = ("mean_log10", "log10_rms", *QUANTILES)
FALLEN = 3.0  # decades below lag 0 that end the effective horizon


@dataclass(frozen=True)
class Profile:
    """log10 ||dL_b/ds_{b,t}||_2 over time, reduced over the samples b of the batch, and digests of it.

    Norms are per sample, of the loss of that sample, so they do not depend on the batch size; the norm of the mean
    gradient is another quantity, 15 to 500 times smaller. They are measured in log-range: 1e-3000 is a number. Exact
    zeros are -inf and enter the statistics (so quantiles take the nearest sample); NaN and Inf are counted beside them.

    Arrays, for S series (layer, direction, part, loss), K statistics and T steps of true time:
        log10_norm [S, K, T]       zeros, nonfinite [S, T] samples       samples []       lag [S, T]
    The loss of a series is "task", the task's own, or "last", that of the last scored step alone: where many steps are
    scored, only the latter has a lag. Lag counts back from there in the direction's own order of time.
    """

    def __call__(self, moment: Moment) -> Reading:
        scored = moment.scored
        series = {(*key, "task"): a for key, a in _measure(moment, moment.sample_losses).items()}
        ends = {"forward": scored[-1], "backward": 0 if moment.network.read == "last" else scored[0]}
        if len(scored) > 1:
            for direction in moment.network.directions:
                loss = moment.losses[scored.index(ends[direction])]
                found = _measure(moment, loss)
                series |= {(*key, "last"): a for key, a in found.items() if key[1] == direction}
        steps = len(moment.trajectory.out)
        lags = [_lags(direction, ends[direction], steps) for _, direction, _, _ in series]
        reduced = [reduce_samples(norms) for norms in series.values()]
        scalars, digested = {}, "last" if len(scored) > 1 else "task"
        for (layer, direction, part, loss), lag, (statistics, *_) in zip(series, lags, reduced, strict=True):
            if loss == digested:
                median = statistics[STATISTICS.index("q50")]
                numbers = digest(median[lag >= 0].flip(0) if direction == "forward" else median[lag >= 0])
                scalars |= {f"adjoint/L{layer}/{direction}/{part}/{name}": v for name, v in numbers.items()}
        statistics, zeros, nonfinite = (torch.stack(x) for x in zip(*reduced, strict=True))
        arrays = {"log10_norm": statistics, "zeros": zeros, "nonfinite": nonfinite}
        arrays |= {"samples": torch.tensor(moment.losses.shape[1])}
        labels = zip(("layer", "direction", "part", "loss"), zip(*series, strict=True), strict=True)
        axes = {name: list(values) for name, values in labels}
        axes |= {"statistic": list(STATISTICS), "time": list(range(steps)), "lag": [x.tolist() for x in lags]}
        return Reading(scalars, arrays, axes)


def _measure(moment: Moment, sample_losses: Float[Tensor, " B"]) -> dict[tuple[int, str, str], Float[Tensor, "T B"]]:
    (d_out,) = torch.autograd.grad(sample_losses.sum(), moment.trajectory.out, retain_graph=True)
    found = adjoints(moment.trajectory, Scaled.of(d_out)).parts
    return {key: log10_norm(a).cpu() for key, a in found.items()}


def _lags(direction: str, end: int, steps: int) -> Tensor:
    t = torch.arange(steps)
    return end - t if direction == "forward" else t - end


def reduce_samples(log10: Float[Tensor, "T B"]) -> tuple[Float[Tensor, "K T"], Tensor, Tensor]:
    """The statistics over the batch, in the order of STATISTICS; and the numbers of zero and of non-finite samples."""
    bad = log10.isnan() | log10.isposinf()
    good = (~bad).sum(1)
    mean = torch.where(bad, 0, log10).sum(1) / good
    top = torch.where(bad, -math.inf, log10).amax(1)
    relative = log10 - torch.where(top.isfinite(), top, 0)[:, None]
    rms = top + torch.where(bad, 0, (2 * math.log(10) * relative).exp()).sum(1).div(good).log10() / 2
    x = torch.where(bad, math.nan, log10)
    quantiles = torch.nanquantile(x, x.new_tensor(list(QUANTILES.values())), dim=1, interpolation="nearest")
    rms = torch.where(good > 0, torch.where(top.isneginf(), -math.inf, rms), math.nan)
    return torch.stack([mean, rms, *quantiles]), log10.isneginf().sum(1), bad.sum(1)


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
