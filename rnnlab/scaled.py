"""Tensors with a range of their own: a norm of 1e-3000 is a number here, and so is 1e+3000."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

ZERO = -1e18  # the exponent of an exact zero: below every number, and still finite, so that differences exist
RANGE = {torch.float32: (1e-15, 1e15), torch.float64: (1e-140, 1e140)}  # norms whose squares keep all their digits
LARGEST = {torch.float32: 120, torch.float64: 1000}  # shifts whose power of two is a normal number


@dataclass(frozen=True)
class Scaled:
    """value * 2**log2, with one exponent per row.

    Powers of two, so that a change of scale rounds nothing; float64, since float32 counts only to 2**24. Within one
    row the range is that of the value's dtype: in float32, entries 1e-38 below the row's largest flush to 0.
    """

    value: Float[Tensor, "*rows S"]
    log2: Float[Tensor, "*rows"]

    @staticmethod
    def of(value: Tensor, log2: Tensor | float = 0.0) -> "Scaled":
        """The same number with each row's largest entry in [1/2, 1); rows of zeros, infinities and NaN are kept."""
        if value.dtype not in LARGEST:
            raise ValueError(f"log-range needs float32 or float64, got {value.dtype}")
        largest = value.abs().amax(-1)
        limit = LARGEST[value.dtype]
        shift = torch.where(largest.isfinite(), torch.frexp(largest).exponent, 0).clamp(-limit, limit)
        return Scaled(times_power_of_two(value, -shift), torch.where(largest == 0, ZERO, shift.double() + log2))

    @staticmethod
    def cat(several: Sequence["Scaled"]) -> "Scaled":
        return Scaled(torch.cat([x.value for x in several]), torch.cat([x.log2 for x in several]))

    @property
    def shape(self) -> torch.Size:
        return self.value.shape

    def map(self, linear: Callable[[Tensor], Tensor]) -> "Scaled":
        """Any map that is linear in the value and acts on each row alone leaves the exponents as they are."""
        return Scaled.of(linear(self.value), self.log2)

    def at(self, log2: Tensor) -> Tensor:
        """The value relative to 2**log2; what is too small for that flushes to 0."""
        return times_power_of_two(self.value, self.log2 - log2)

    def __add__(self, other: "Scaled") -> "Scaled":
        log2 = torch.maximum(self.log2, other.log2)
        return Scaled.of(self.at(log2) + other.at(log2), log2)

    def __getitem__(self, index) -> "Scaled":
        return Scaled(self.value[index], self.log2[index])

    def flip(self, *axes: int) -> "Scaled":
        return Scaled(self.value.flip(*axes), self.log2.flip(*axes))

    def log10_norm(self) -> Float[Tensor, "*rows"]:
        """log10 of each row's 2-norm, in float64; -inf for a row of zeros."""
        if self.value.dtype not in RANGE:
            raise ValueError(f"log10 of a norm needs float32 or float64, got {self.value.dtype}")
        norm, log2 = torch.linalg.vector_norm(self.value, dim=-1).double(), self.log2
        least, most = RANGE[self.value.dtype]
        doubtful = ~((norm > least) & (norm < most))  # the squares have left the range, or come near to it
        if doubtful.any():
            again = Scaled.of(self.value[doubtful].double(), log2[doubtful])
            norm[doubtful] = torch.linalg.vector_norm(again.value, dim=-1)
            log2 = log2.masked_scatter(doubtful, again.log2)
        return norm.log10_().add_(log2, alpha=math.log10(2))


def times_power_of_two(value: Tensor, log2: Tensor) -> Tensor:
    return value * torch.exp2(log2.to(value.dtype))[..., None]


def log10_norm(a: Tensor | Scaled) -> Float[Tensor, "*rows"]:
    """log10 of each row's 2-norm in float64, of an adjoint in either range."""
    if isinstance(a, Scaled):
        return a.log10_norm()
    return Scaled(a, a.new_zeros(a.shape[:-1], dtype=torch.float64)).log10_norm()


def mapped(a: Tensor | Scaled, linear: Callable[[Tensor], Tensor]) -> Tensor | Scaled:
    """A map that is linear and acts on each row alone, in either range."""
    return a.map(linear) if isinstance(a, Scaled) else linear(a)


def cat(several: Sequence[Tensor | Scaled]) -> Tensor | Scaled:
    """Concatenate over the first axis, in either range."""
    return Scaled.cat(several) if isinstance(several[0], Scaled) else torch.cat(several)
