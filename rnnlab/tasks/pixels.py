"""Images as sequences: what digits and mnist share."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from rnnlab.tasks import data


def pixel_by_pixel(
    pixels: UInt8[Tensor, "B P"], length: int, *, white: int, permuted: bool, dtype: torch.dtype
) -> Float[Tensor, "T B 1"]:
    """Grey levels 0 .. white one after the other, scaled to [0, 1], then zeros up to T steps.

    Args:
        permuted: in one random order, the same for every image of this size, instead of row by row.
    """
    count, steps = pixels.shape
    if permuted:
        pixels = pixels[:, torch.from_numpy(data.shuffled(steps)).to(pixels.device)]
    x = torch.zeros(length, count, 1, device=pixels.device, dtype=dtype)
    x[:steps, :, 0] = pixels.T.to(dtype) / white
    return x
