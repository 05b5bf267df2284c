"""The minimal long short-term memory cell."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rnnlab.cells.base import Cell, Rows


class MinLSTM(Cell):
    """An LSTM whose gates and candidate do not see the state, with no output gate and one state, z = U x + b:

        f, i = sigmoid(z_f), sigmoid(z_i)      n = z_n      h' = f/(f + i) h + i/(f + i) n

    so dh'/dh = diag(f') with f' = f/(f + i): a gradient never grows, entries never mix, and with equal gates half of it
    passes a step. Both biases set the horizon. f' is computed as sigmoid(log f - log i), which holds where f and i are
    too small to be added. The candidate has no nonlinearity (the paper's plain version, not the one in log-space).

    Reference:
        Feng, Tung, Ahmed, Bengio, Hajimirsadeghi, Were RNNs all we needed?, 2024, section 3.2.
    """

    gates = ("f", "i", "n")
    recurrents = ()
    records = 4  # tape: f', (1 - f') n, 1 - f, 1 - i

    def memory_biases(self) -> list[tuple[Tensor, Tensor | None]]:
        f, i, _ = self.b.split(self.size)
        return [(f, i)]

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        f, i, n = z.chunk(3, -1)
        return torch.lerp(n, s, (logsigmoid(f) - logsigmoid(i)).sigmoid())

    def lay(self, x: Tensor, room: Tensor) -> None:
        super().lay(x, room[..., : 3 * self.size])
        f, i, n, not_i = room.split(self.size, -1)
        share = (logsigmoid(f) - logsigmoid(i)).sigmoid_()
        torch.sigmoid(-i, out=not_i)
        torch.addcmul(n, share, n, value=-1, out=i)
        torch.sigmoid(-f, out=n)
        f.copy_(share)

    def diagonal(self, weights: tuple[Tensor, ...], tape: Tensor) -> Rows:
        return tape.split(self.size, -1)[:2]

    def slots(self, tape: Tensor) -> Rows:
        return tape.split(self.size, -1)[:2]

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        share, entry = slot
        torch.addcmul(entry, share, before[0], out=after[0])

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        share, entry, not_f, not_i = tape.split(self.size, -1)
        admit = 1 - share
        slope = share * torch.addcmul(-entry, admit, before)  # of log f - log i: f' (1 - f') (h - n)
        slope = torch.stack([slope * not_f, -slope * not_i, admit], 1)
        return share, slope, delta.unflatten(-1, (3, self.size))

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        share, slope, delta = c
        torch.mul(slope, a[0].unsqueeze(1), out=delta)
        out[0].addcmul_(a[0], share)

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        return {}
