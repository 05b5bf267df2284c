"""Statistics over the samples of a batch, of log10 norms."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

QUANTILES = {"q10": 0.1, "q50": 0.5, "q90": 0.9}
STATISTICS = ("mean_log10", "log10_rms", *QUANTILES)


def reduce_samples(
    log10: Float[Tensor, "T B"], valid: Bool[Tensor, "T B"] | None = None
) -> tuple[Float[Tensor, "K T"], Tensor, Tensor]:
    """The statistics in the order of STATISTICS; and the numbers of zero and of non-finite samples, [T].

    Exact zeros are -inf and enter the statistics (so quantiles take the nearest sample); NaN and Inf are left out and
    counted.

    Args:
        valid: False at a sample's padded steps, which enter nothing and are counted nowhere.
    """
    wrong = log10.isnan() | log10.isposinf()
    valid = torch.ones_like(wrong) if valid is None else valid
    bad = wrong | ~valid
    good = (~bad).sum(1)
    mean = torch.where(bad, 0, log10).sum(1) / good
    top = torch.where(bad, -math.inf, log10).amax(1)
    relative = log10 - torch.where(top.isfinite(), top, 0)[:, None]
    rms = top + torch.where(bad, 0, (2 * math.log(10) * relative).exp()).sum(1).div(good).log10() / 2
    rising = torch.where(bad, math.nan, log10).sort(1).values  # NaN comes last
    ranks = [(q * (good - 1)).round().long().clamp_min(0) for q in QUANTILES.values()]
    quantiles = rising.gather(1, torch.stack(ranks, 1)).unbind(1)  # the nearest sample's; NaN where there is none
    rms = torch.where(good > 0, torch.where(top.isneginf(), -math.inf, rms), math.nan)
    zeros = (log10.isneginf() & valid).sum(1)
    return torch.stack([mean, rms, *quantiles]), zeros, (wrong & valid).sum(1)
