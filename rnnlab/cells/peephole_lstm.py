"""The LSTM whose gates see the memory."""

import torch
from torch import Tensor, nn

from rnnlab.cells.base import Cell, Rows


class PeepholeLSTM(Cell):
    """LSTM with peepholes, elementwise weights P = [p_i, p_f, p_o] from the memory to the gates, flat state [h, c]:

        i = sigmoid(z + W h + p_i c)     f = sigmoid(z + W h + p_f c)     g = tanh(z + W h)     c' = f c + i g
        o = sigmoid(z + W h + p_o c')    h' = o tanh(c')

    so dc'/dc = f + p_i i (1 - i) g + p_f f (1 - f) c with h held fixed: a gradient can pass from gate to gate where the
    output gate is closed, and dc'/dc may exceed 1, which the f of an LSTM cannot. `initialise` leaves P at 0, where it
    is the LSTM. `parts` reports the conventional dL/dc_t, with the path through h_t of the same step, see `LSTM`.

    Reference:
        Gers & Schmidhuber, Recurrent nets that time and count, 2000; Greff et al., LSTM: a search space odyssey, 2017.
    """

    gates = ("i", "f", "g", "o")
    blocks = 2
    records = 5  # tape: i, f, g, o, tanh(c')

    def __init__(self, inputs: int, size: int):
        super().__init__(inputs, size)
        self.P = nn.Parameter(torch.zeros(3 * size))

    def memory_biases(self) -> list[tuple[Tensor, Tensor | None]]:
        i, f, _, _ = self.b.split(self.size)
        return [(f, i)]

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        h, c = s.chunk(2, -1)
        p_i, p_f, p_o = self.P.chunk(3)
        i, f, g, o = torch.addmm(z, h, self.W.t()).chunk(4, -1)
        new = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * g.tanh()
        return torch.cat([torch.sigmoid(o + p_o * new) * new.tanh(), new], -1)

    def parts(self, tape: Tensor, before: Tensor, after: Tensor, a: Tensor) -> dict[str, Tensor]:
        h, c = a.chunk(2, -1)
        return {"h": h, "c": torch.addcmul(c, h, self._through_h(tape))}

    def _through_h(self, tape: Tensor) -> Tensor:
        _, _, _, o, m = tape.split(self.size, -1)
        return o * (1 - m * m) + self.P[2 * self.size :] * m * o * (1 - o)  # dh/dc

    def slopes(self, tape: Tensor, after: Tensor) -> Tensor:
        """Of tanh(c'), on the way out of the memory."""
        m = tape[:, -self.size :]
        return 1 - m * m

    def weights(self) -> tuple[Tensor, ...]:
        return self.W.contiguous(), self.W.t().contiguous(), self.P[: 2 * self.size].view(2, -1), *self.P.chunk(3)

    def split(self, s: Tensor) -> Rows:
        return s.split(self.size, -1)

    def room(self, tape: Tensor, after: Tensor) -> Tensor:
        return tape[..., : 4 * self.size]

    def slots(self, tape: Tensor) -> Rows:
        H = self.size
        return tape[..., : 4 * H], tape[..., : 2 * H], *tape.split(H, -1)

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        _, W_t, _, p_i, p_f, p_o = weights
        gates, i_and_f, i, f, g, o, m = slot
        (h, c), (h_next, c_next) = before, after
        gates.addmm_(h, W_t)
        i.addcmul_(p_i, c)
        f.addcmul_(p_f, c)
        i_and_f.sigmoid_()
        g.tanh_()
        torch.mul(f, c, out=c_next)
        c_next.addcmul_(i, g)
        o.addcmul_(p_o, c_next).sigmoid_()
        torch.tanh(c_next, out=m)
        torch.mul(o, m, out=h_next)

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        H = self.size
        i, f, g, o, m = tape.split(H, -1)
        slope = torch.stack([i * (1 - i) * g, f * (1 - f) * before[:, H:], i * (1 - g * g)], 1)
        total = torch.empty_like(i)
        of_c, of_o = delta[:, : 3 * H].unflatten(-1, (3, H)), delta[:, 3 * H :]
        return self._through_h(tape), f, total, slope, total.unsqueeze(1), of_c, o * (1 - o) * m, of_o, delta

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        through_h, f, total, slope, total_as_3, of_c, slope_o, of_o, delta = c
        (a_h, a_c), (out_h, out_c) = a, out
        torch.addcmul(a_c, a_h, through_h, out=total)
        torch.mul(slope, total_as_3, out=of_c)  # c' comes from i, f and g
        torch.mul(slope_o, a_h, out=of_o)
        out_h.addmm_(delta, weights[0])
        out_c.addcmul_(total, f).add_((of_c[:, :2] * weights[2]).sum(1))

    def recurrent(self, delta: Tensor) -> Tensor:
        return delta

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        i, f, g, _, _ = tape.split(self.size, -1)
        h, c = before.chunk(2, -1)
        d_i, d_f, _, d_o = delta.split(self.size, -1)
        of_each = d_i * c, d_f * c, d_o * torch.addcmul(f * c, i, g)
        return {"W": delta.t() @ h, "P": torch.cat(of_each, -1).sum(0)}
