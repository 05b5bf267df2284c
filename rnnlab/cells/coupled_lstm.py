"""The LSTM that admits as much as it forgets."""

import torch
from torch import Tensor

from rnnlab.cells.base import Cell, Rows


class CoupledLSTM(Cell):
    """LSTM with coupled gates (CIFG), the input gate is 1 - f, flat state [h, c]:

        f, o = sigmoid(z + W h)      g = tanh(z + W h)      c' = f c + (1 - f) g      h' = o tanh(c')

    c is a mean of the old memory and of g, so abs(c) never exceeds 1 if it starts there: tanh(c') never saturates, and
    dh'/dc' is at least .41 o. With all weights 0 the cell passes dc_T/dc_t = sigmoid(b_f)^k, as the LSTM.

    `parts` reports the conventional dL/dc_t, with the path through h_t of the same step, see `LSTM`.

    Reference:
        Greff, Srivastava, Koutnik, Steunebrink, Schmidhuber, LSTM: a search space odyssey, 2017, variant CIFG.
    """

    gates = ("f", "g", "o")
    blocks = 2
    records = 4  # tape: f, g, o, tanh(c')

    def memory_biases(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.b[: self.size], None)]

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        h, c = s.chunk(2, -1)
        f, g, o = torch.addmm(z, h, self.W.t()).chunk(3, -1)
        c = torch.lerp(g.tanh(), c, f.sigmoid())
        return torch.cat([o.sigmoid() * c.tanh(), c], -1)

    def parts(self, tape: Tensor, before: Tensor, after: Tensor, a: Tensor) -> dict[str, Tensor]:
        h, c = a.chunk(2, -1)
        return {"h": h, "c": torch.addcmul(c, h, self._through_h(tape))}

    def _through_h(self, tape: Tensor) -> Tensor:
        _, _, o, m = tape.split(self.size, -1)
        return o * (1 - m * m)  # dh/dc

    def slopes(self, tape: Tensor, after: Tensor) -> Tensor:
        """Of tanh(c'), on the way out of the memory. Never below .41 if c starts in [-1, 1]."""
        m = tape[:, -self.size :]
        return 1 - m * m

    def weights(self) -> tuple[Tensor, ...]:
        return self.W.contiguous(), self.W.t().contiguous()

    def split(self, s: Tensor) -> Rows:
        return s.split(self.size, -1)

    def room(self, tape: Tensor, after: Tensor) -> Tensor:
        return tape[..., : 3 * self.size]

    def slots(self, tape: Tensor) -> Rows:
        return tape[..., : 3 * self.size], *tape.split(self.size, -1)

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        gates, f, g, o, m = slot
        (h, c), (h_next, c_next) = before, after
        gates.addmm_(h, weights[1])
        f.sigmoid_()
        g.tanh_()
        o.sigmoid_()
        torch.lerp(g, c, f, out=c_next)
        torch.tanh(c_next, out=m)
        torch.mul(o, m, out=h_next)

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        H = self.size
        f, g, o, m = tape.split(H, -1)
        slope = torch.stack([f * (1 - f) * (before[:, H:] - g), (1 - f) * (1 - g * g)], 1)
        total = torch.empty_like(f)
        of_c, of_o = delta[:, : 2 * H].unflatten(-1, (2, H)), delta[:, 2 * H :]
        return self._through_h(tape), f, total, slope, total.unsqueeze(1), of_c, o * (1 - o) * m, of_o, delta

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        through_h, f, total, slope, total_as_2, of_c, slope_o, of_o, delta = c
        (a_h, a_c), (out_h, out_c) = a, out
        torch.addcmul(a_c, a_h, through_h, out=total)
        torch.mul(slope, total_as_2, out=of_c)  # c' comes from f and g
        torch.mul(slope_o, a_h, out=of_o)
        out_h.addmm_(delta, weights[0])
        out_c.addcmul_(total, f)

    def recurrent(self, delta: Tensor) -> Tensor:
        return delta

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        return {"W": delta.t() @ before[:, : self.size]}
