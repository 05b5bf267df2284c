"""The linear recurrent unit."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rnnlab.cells.base import Cell, Rows


class LRU(Cell):
    """Linear recurrent unit: N = H/2 complex numbers c, each with an eigenvalue of its own, z = U x + b:

        c' = lambda c + gamma z      lambda = exp(-exp(nu) + i exp(theta))      gamma = exp(gamma_log)

    so abs(lambda) < 1 whatever the parameters are, and dc'/dc = diag(lambda): over k steps a gradient is turned and
    shrinks by abs(lambda)^k, each unit at its own rate. State and z hold Re c_1, Im c_1, Re c_2, ...; the state is also
    the hidden state: a linear map of it, in the next layer or the readout, is the paper's Re(C c). The bias in z, 0 at
    first, is not in the paper.

    `initialise` draws lambda uniformly from a ring, and gamma = sqrt(1 - abs(lambda)^2), so that white input gives a
    state of its own variance; U is Glorot-uniform as in every cell. It has no recurrent matrix to fill.

    Args:
        size: H, even.
        r_min, r_max: radii of the ring, 0 <= r_min < r_max < 1.
        max_phase: angles are uniform in (0, max_phase], in radians.

    Reference:
        Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu, De, Resurrecting recurrent neural networks for long sequences,
        2023, sections 3.2 to 3.4, lemma 3.2.
    """

    recurrents = ()
    records = 1  # tape: gamma z

    def __init__(self, inputs: int, size: int, *, r_min: float, r_max: float, max_phase: float):
        super().__init__(inputs, size)
        if size % 2:
            raise ValueError(f"lru needs an even size, two entries for each complex number, got {size}")
        if not 0 <= r_min < r_max < 1:
            raise ValueError(f"lru needs 0 <= r_min < r_max < 1, got {r_min} and {r_max}")
        if not 0 < max_phase < math.inf:
            raise ValueError(f"lru needs a max_phase > 0, got {max_phase}")
        self.r_min, self.r_max, self.max_phase = r_min, r_max, max_phase
        self.nu, self.theta, self.gamma_log = (nn.Parameter(torch.zeros(size // 2)) for _ in range(3))

    @torch.no_grad()
    def initialise(
        self,
        recurrent: Callable[..., Any],
        generator: torch.Generator | None = None,
        *,
        gate_bias: Callable[..., Any] | None = None,
    ) -> None:
        """U Glorot-uniform, b 0, lambda in the ring, and gamma to match."""
        super().initialise(recurrent, generator, gate_bias=gate_bias)
        u, v = (1 - torch.empty_like(self.nu).uniform_(generator=generator) for _ in range(2))  # in (0, 1]
        square = self.r_min**2 + u * (self.r_max**2 - self.r_min**2)  # uniform over the area
        self.nu.copy_((-square.log() / 2).log())
        self.theta.copy_((self.max_phase * v).log())
        self.gamma_log.copy_((1 - square).log() / 2)

    def eigenvalues(self) -> Tensor:
        """lambda, complex [N]."""
        return torch.polar((-self.nu.exp()).exp(), self.theta.exp())

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        re, im = s.unflatten(-1, (-1, 2)).unbind(-1)
        turned = self.eigenvalues()
        kept = torch.stack([turned.real * re - turned.imag * im, turned.imag * re + turned.real * im], -1)
        return torch.addcmul(kept.flatten(-2), z, self.gamma_log.exp().repeat_interleave(2))

    def weights(self) -> tuple[Tensor, ...]:
        turned = self.eigenvalues()
        return turned, turned.conj().resolve_conj(), self.gamma_log.exp().unsqueeze(1)

    def split(self, s: Tensor) -> Rows:
        return (_complex(s),)

    def lay(self, x: Tensor, room: Tensor) -> None:
        super().lay(x, room)
        room.mul_(self.gamma_log.exp().repeat_interleave(2))

    def diagonal(self, weights: tuple[Tensor, ...], tape: Tensor) -> Rows:
        return weights[0], _complex(tape)

    def slots(self, tape: Tensor) -> Rows:
        return (_complex(tape),)

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        torch.addcmul(slot[0], before[0], weights[0], out=after[0])

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        return (delta.unflatten(-1, (-1, 2)),)

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        torch.mul(torch.view_as_real(a[0]), weights[2], out=c[0])
        out[0].addcmul_(a[0], weights[1])

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        """dL = Re(conj(a) dc') with dc' = c lambda (-exp(nu) d nu + i exp(theta) d theta) + gamma z d gamma_log."""
        product = (_complex(a).conj() * _complex(before)).sum(0) * self.eigenvalues()
        return {
            "nu": -product.real * self.nu.exp(),
            "theta": -product.imag * self.theta.exp(),
            "gamma_log": (a * tape).sum(0).unflatten(-1, (-1, 2)).sum(-1),
        }


def _complex(s: Tensor) -> Tensor:
    """[..., 2 N] -> a complex view [..., N]."""
    return torch.view_as_complex(s.unflatten(-1, (-1, 2)))
