"""The adjoint profile: how large the gradient is at each time step, for each layer, direction and part of the state."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rnnlab.networks import adjoints
from rnnlab.networks.measures import norms
from rnnlab.probes.base import Moment, Reading, upstream
from rnnlab.scaled import Scaled
from rnnlab.statistics import STATISTICS, reduce_samples

FALLEN = 3.0  # decades below lag 0 that end the effective horizon


@dataclass(frozen=True)
class Profile:
    """log10 ||dL_b/ds_{b,t}||_2 over time, reduced over the samples b of the batch, and digests of it.

    Norms are per sample, of the loss of that sample, so they do not depend on the batch size; the norm of the mean
    gradient is another quantity, 15 to 500 times smaller. They are measured in log-range: 1e-3000 is a number. Zeros
    enter the statistics, NaN and Inf are counted beside them, padded steps are left out: see `reduce_samples`.

    Arrays, for S series (layer, direction, part, loss), K statistics and T steps of true time:
        log10_norm [S, K, T]       zeros, nonfinite [S, T] samples       samples []       lag [S, T]
    The loss of a series is "task", the task's own, or "last", that of the last scored step alone: where many steps are
    scored, only the latter has a lag. Lag counts back from there in the direction's own order of time; in a batch of
    several lengths the digests count it from each sample's own end, the array `lag` from that of the longest.
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
        steps, valid = len(moment.trajectory.out), moment.trajectory.valid
        reduced = [reduce_samples(log10, valid) for log10 in series.values()]
        scalars, digested = {}, "last" if len(scored) > 1 else "task"
        for (key, log10), (statistics, *_) in zip(series.items(), reduced, strict=True):
            layer, direction, part, loss = key
            if loss == digested:
                by_lag = statistics
                if valid is not None:
                    by_lag, _, _ = reduce_samples(*_from_its_end(log10, valid, direction))
                elif direction == "forward":
                    by_lag = statistics[:, : ends[direction] + 1].flip(1)
                else:
                    by_lag = statistics[:, ends[direction] :]
                numbers = digest(by_lag[STATISTICS.index("q50")])
                scalars |= {f"adjoint/L{layer}/{direction}/{part}/{name}": v for name, v in numbers.items()}
        statistics, zeros, nonfinite = (torch.stack(x) for x in zip(*reduced, strict=True))
        arrays = {"log10_norm": statistics, "zeros": zeros, "nonfinite": nonfinite}
        arrays |= {"samples": torch.tensor(moment.losses.shape[1])}
        labels = zip(("layer", "direction", "part", "loss"), zip(*series, strict=True), strict=True)
        axes = {name: list(values) for name, values in labels}
        lags = [_lags(direction, ends[direction], steps) for _, direction, _, _ in series]
        axes |= {"statistic": list(STATISTICS), "time": list(range(steps)), "lag": [x.tolist() for x in lags]}
        return Reading(scalars, arrays, axes)


def _measure(moment: Moment, sample_losses: Float[Tensor, " B"]) -> dict[tuple[int, str, str], Float[Tensor, "T B"]]:
    d_out = Scaled.of(upstream(moment, sample_losses.sum()))
    found = adjoints(moment.trajectory, d_out, take=norms).parts
    return {key: log10.cpu() for key, log10 in found.items()}


def _from_its_end(
    log10: Float[Tensor, "T B"], valid: Bool[Tensor, "T B"], direction: str
) -> tuple[Float[Tensor, "T B"], Bool[Tensor, "T B"]]:
    """By lag instead of time: row k holds each sample's k-th step, counted from the end that its direction runs to."""
    if direction == "backward":  # it ends at t = 0, for every sample
        return log10, valid
    lengths = valid.sum(0)
    index = lengths - 1 - torch.arange(len(log10))[:, None]
    return log10.gather(0, index.clamp_min(0)), index >= 0


def _lags(direction: str, end: int, steps: int) -> Tensor:
    t = torch.arange(steps)
    return end - t if direction == "forward" else t - end


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
