"""The minimal gated recurrent unit."""

import torch
from torch import Tensor

from rnnlab.cells.base import Cell, Rows


class MinGRU(Cell):
    """A GRU whose gate and candidate do not see the state, z = U x + b:

        f = sigmoid(z_f)      n = z_n      h' = f h + (1 - f) n

    so dh'/dh = diag(f) whatever the state is: a gradient never grows, entries never mix, and what is left of it after k
    steps is the product of k gates. f is the paper's 1 - z: the gate that retains, so its bias sets the horizon,
    sigmoid(b_f)^k. The candidate has no nonlinearity (the paper's plain version, not the one in log-space).

    Reference:
        Feng, Tung, Ahmed, Bengio, Hajimirsadeghi, Were RNNs all we needed?, 2024, section 3.1.
    """

    gates = ("f", "n")
    recurrents = ()
    records = 2  # tape: f, (1 - f) n

    def memory_biases(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.b[: self.size], None)]

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        f, n = z.chunk(2, -1)
        return torch.lerp(n, s, f.sigmoid())

    def lay(self, x: Tensor, room: Tensor) -> None:
        super().lay(x, room)
        f, n = room.split(self.size, -1)
        f.sigmoid_()
        n.addcmul_(f, n, value=-1)

    def diagonal(self, weights: tuple[Tensor, ...], tape: Tensor) -> Rows:
        return tape.split(self.size, -1)

    def slots(self, tape: Tensor) -> Rows:
        return tape.split(self.size, -1)

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        f, entry = slot
        torch.addcmul(entry, f, before[0], out=after[0])

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        f, entry = tape.split(self.size, -1)
        admit = 1 - f
        slope = torch.stack([f * torch.addcmul(-entry, admit, before), admit], 1)  # f (1 - f) (h - n), 1 - f
        return f, slope, delta.unflatten(-1, (2, self.size))

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        f, slope, delta = c
        torch.mul(slope, a[0].unsqueeze(1), out=delta)
        out[0].addcmul_(a[0], f)

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        return {}
