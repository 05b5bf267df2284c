"""The long short-term memory cell."""

import torch
from torch import Tensor

from rnnlab.cells.base import Cell, Rows


class LSTM(Cell):
    """Long short-term memory, with torch's gate order i, f, g, o and the flat state [h, c]:

        i, f, o = sigmoid(z + W h)      g = tanh(z + W h)      c' = f c + i g      h' = o tanh(c')

    With all weights 0 the cell passes dc_T/dc_t = sigmoid(b_f)^k over k steps: the forget bias sets the horizon. torch
    splits it over two vectors; here it is one.

    In the flat state the adjoint of c holds h fixed. `parts` reports the conventional dL/dc_t, what autograd gives on a
    loop of cells: it adds the path through h_t of the same step, dL/dh_t o_t (1 - tanh^2 c_t).

    Reference:
        Hochreiter & Schmidhuber, Long short-term memory, 1997; Gers, Schmidhuber, Cummins, Learning to forget, 2000;
        Tallec & Ollivier, Can recurrent neural networks warp time?, 2018.
    """

    gates = ("i", "f", "g", "o")
    blocks = 2
    records = 5  # tape: i, f, g, o, tanh(c')
    kernel = "lstm"

    def memory_biases(self) -> list[tuple[Tensor, Tensor | None]]:
        i, f, _, _ = self.b.split(self.size)
        return [(f, i)]

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        h, c = s.chunk(2, -1)
        i, f, g, o = torch.addmm(z, h, self.W.t()).chunk(4, -1)
        c = torch.addcmul(i.sigmoid() * g.tanh(), f.sigmoid(), c)
        return torch.cat([o.sigmoid() * c.tanh(), c], -1)

    def parts(self, tape: Tensor, before: Tensor, after: Tensor, a: Tensor) -> dict[str, Tensor]:
        h, c = a.chunk(2, -1)
        return {"h": h, "c": torch.addcmul(c, h, self._through_h(tape))}

    def _through_h(self, tape: Tensor) -> Tensor:
        o, m = tape[:, 3 * self.size : 4 * self.size], tape[:, 4 * self.size :]
        return torch.addcmul(o, o * m, m, value=-1)  # dh/dc = o (1 - tanh^2 c)

    def slopes(self, tape: Tensor, after: Tensor) -> Tensor:
        """Of tanh(c'), on the way out of the memory."""
        m = tape[:, -self.size :]
        return 1 - m * m

    def weights(self) -> tuple[Tensor, ...]:
        return self.W.contiguous(), self.W.t().contiguous()

    def split(self, s: Tensor) -> Rows:
        return s.split(self.size, -1)

    def room(self, tape: Tensor, after: Tensor) -> Tensor:
        return tape[..., : 4 * self.size]

    def slots(self, tape: Tensor) -> Rows:
        H = self.size
        i, f, g, o, m = tape.split(H, -1)
        return tape[..., : 4 * H], tape[..., : 2 * H], i, f, g, o, m

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        gates, i_and_f, i, f, g, o, m = slot
        (h, c), (h_next, c_next) = before, after
        gates.addmm_(h, weights[1])
        i_and_f.sigmoid_()
        g.tanh_()
        o.sigmoid_()
        torch.mul(f, c, out=c_next)
        c_next.addcmul_(i, g)
        torch.tanh(c_next, out=m)
        torch.mul(o, m, out=h_next)

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        H = self.size
        i, f, g, _, m = tape.split(H, -1)
        gates, c = tape[:, : 4 * H], before[:, H:]
        slope = torch.addcmul(gates, gates, gates, value=-1)  # sigmoid', but for g
        d_i, d_f, d_g, d_o = slope.split(H, -1)
        d_i.mul_(g)
        d_f.mul_(c)
        torch.addcmul(i, i * g, g, value=-1, out=d_g)
        d_o.mul_(m)
        total = torch.empty_like(d_i)
        three = (slope[:, : 3 * H].unflatten(-1, (3, H)), total.unsqueeze(1), delta[:, : 3 * H].unflatten(-1, (3, H)))
        return self._through_h(tape), f, total, *three, d_o, delta[:, 3 * H :], delta

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        through_h, f, total, slope, total_as_3, delta, slope_o, delta_o, flat = c
        (a_h, a_c), (out_h, out_c) = a, out
        torch.addcmul(a_c, a_h, through_h, out=total)
        torch.mul(slope, total_as_3, out=delta)  # c feeds i, f and g
        torch.mul(slope_o, a_h, out=delta_o)  # h feeds o
        out_h.addmm_(flat, weights[0])
        out_c.addcmul_(total, f)

    def recurrent(self, delta: Tensor) -> Tensor:
        return delta

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        return {"W": delta.t() @ before[:, : self.size]}
