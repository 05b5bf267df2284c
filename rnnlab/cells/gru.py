"""The gated recurrent unit."""

import torch
from torch import Tensor, nn

from rnnlab.cells.base import Cell, Rows


class GRU(Cell):
    """Gated recurrent unit, with torch's gate order r, u, n and the reset gate after the product:

        r = sigmoid(z_r + W_r h)     u = sigmoid(z_u + W_u h)     n = tanh(z_n + r q),  q = W_n h + b_q
        h' = (1 - u) n + u h

    Linearised at h = 0 without biases, dh'/dh = 1/2 I + 1/4 W_n: half of the gradient passes a step whatever W is.
    u (torch calls it z) multiplies the *old* state. Parameter `q` is b_q, torch's `bias_hh` of the candidate.

    Reference:
        Cho et al., Learning phrase representations using RNN encoder-decoder, 2014; Kanai, Fujiwara, Iwamura,
        Preventing gradient explosions in gated recurrent units, 2017.
    """

    gates = ("r", "u", "n")
    records = 4  # tape: r, u, n, q
    deltas = 4  # of r, u, q and of the drive of n
    kernel = "gru"

    def __init__(self, inputs: int, size: int):
        super().__init__(inputs, size)
        self.q = nn.Parameter(torch.zeros(size))

    def memory_biases(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.b[self.size : 2 * self.size], None)]

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        H = self.size
        r, u = torch.addmm(z[:, : 2 * H], s, self.W[: 2 * H].t()).sigmoid().chunk(2, -1)
        q = torch.addmm(self.q, s, self.W[2 * H :].t())
        n = torch.addcmul(z[:, 2 * H :], r, q).tanh()
        return torch.lerp(n, s, u)

    def slopes(self, tape: Tensor, after: Tensor) -> Tensor:
        """Of the candidate n."""
        n = tape[:, 2 * self.size : 3 * self.size]
        return 1 - n * n

    def weights(self) -> tuple[Tensor, ...]:
        H = self.size
        W = self.W
        return W.contiguous(), W[: 2 * H].t().contiguous(), W[2 * H :].t().contiguous(), self.q.contiguous()

    def room(self, tape: Tensor, after: Tensor) -> Tensor:
        return tape[..., : 3 * self.size]

    def slots(self, tape: Tensor) -> Rows:
        return tape[..., : 2 * self.size], *tape.split(self.size, -1)

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        _, W_ru, W_n, b_q = weights
        ru, r, u, n, q = slot
        (h,) = before
        ru.addmm_(h, W_ru).sigmoid_()
        torch.addmm(b_q, h, W_n, out=q)
        n.addcmul_(r, q).tanh_()
        torch.lerp(n, h, u, out=after[0])

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        H = self.size
        r, u, n, q = tape.split(H, -1)
        dn = (1 - u).mul_(torch.addcmul(n.new_ones(()), n, n, value=-1))
        slope = torch.cat([dn * q * r * (1 - r), (before - n) * u * (1 - u), dn * r, dn], -1).view(-1, 4, H)
        return u, slope, delta.view(-1, 4, H), delta[:, : 3 * H]

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        u, slope, delta, product = c
        torch.mul(slope, a[0].unsqueeze(1), out=delta)
        out[0].addcmul_(a[0], u).addmm_(product, weights[0])

    def drive(self, delta: Tensor) -> Tensor:
        H = self.size
        return torch.cat([delta[:, : 2 * H], delta[:, 3 * H :]], -1)

    def recurrent(self, delta: Tensor) -> Tensor:
        return delta[:, : 3 * self.size]

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        product = self.recurrent(delta)
        return {"W": product.t() @ before, "q": product[:, 2 * self.size :].sum(0)}
