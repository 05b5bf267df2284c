"""The LSTM with a linear projection of its output."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rnnlab.cells.base import Cell, Rows


class ProjectedLSTM(Cell):
    """LSTM whose hidden state of P entries is a projection, with torch's gate order and the flat state [h, c]:

        i, f, o = sigmoid(z + W h)      g = tanh(z + W h)      c' = f c + i g      h' = V (o tanh(c'))

    V (torch: `weight_hr`) makes the path through h one of rank P; that through c is the LSTM's. `parts` reports the
    conventional dL/dc_t, with the path through h_t of the same step, (V^T dL/dh_t) o_t (1 - tanh^2 c_t).

    Args:
        size: P, the size of the hidden state.
        memory: H, the size of c and of each gate.

    Reference:
        Sak, Senior, Beaufays, Long short-term memory recurrent neural network architectures for large scale acoustic
        modeling, 2014, section 2.
    """

    gates = ("i", "f", "g", "o")
    blocks = 2
    recurrents = ()  # W [H, P] of a gate is not square

    def __init__(self, inputs: int, size: int, *, memory: int):
        super().__init__(inputs, size)
        if memory < 1:
            raise ValueError(f"projectedlstm needs memory >= 1, got {memory}")
        self.memory = memory
        self.U = nn.Parameter(torch.zeros(4 * memory, inputs))
        self.W = nn.Parameter(torch.zeros(4 * memory, size))
        self.b = nn.Parameter(torch.zeros(4 * memory))
        self.V = nn.Parameter(torch.zeros(size, memory))

    @property
    def state_size(self) -> int:
        return self.size + self.memory

    @property
    def tape_size(self) -> int:
        return 6 * self.memory  # i, f, g, o, m = tanh(c'), o m

    @property
    def delta_size(self) -> int:
        return 4 * self.memory

    @torch.no_grad()
    def initialise(
        self,
        recurrent: Callable[..., Any],
        generator: torch.Generator | None = None,
        *,
        gate_bias: Callable[..., Any] | None = None,
    ) -> None:
        """Fill each gate's W [H, P] with `recurrent`, each gate's U and V Glorot-uniform, b with zeros, and the biases
        of f and i with `gate_bias`, if given."""
        for W, U in zip(self.W.split(self.memory), self.U.split(self.memory), strict=True):
            recurrent(W, generator=generator)
            nn.init.xavier_uniform_(U, generator=generator)
        nn.init.xavier_uniform_(self.V, generator=generator)
        self.b.zero_()
        i, f, _, _ = self.b.split(self.memory)
        if gate_bias is not None:
            gate_bias(f, i, generator=generator)

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        h, c = self.split(s)
        i, f, g, o = torch.addmm(z, h, self.W.t()).chunk(4, -1)
        c = torch.addcmul(i.sigmoid() * g.tanh(), f.sigmoid(), c)
        return torch.cat([(o.sigmoid() * c.tanh()) @ self.V.t(), c], -1)

    def parts(self, tape: Tensor, before: Tensor, after: Tensor, a: Tensor) -> dict[str, Tensor]:
        h, c = self.split(a)
        return {"h": h, "c": torch.addcmul(c, h @ self.V, self._through_h(tape))}

    def _through_h(self, tape: Tensor) -> Tensor:
        _, _, _, o, m, om = tape.split(self.memory, -1)
        return torch.addcmul(o, om, m, value=-1)  # o (1 - tanh^2 c)

    def slopes(self, tape: Tensor, after: Tensor) -> Tensor:
        """Of tanh(c'), on the way out of the memory: [N, memory]."""
        m = tape[:, 4 * self.memory : 5 * self.memory]
        return 1 - m * m

    def weights(self) -> tuple[Tensor, ...]:
        return self.W, self.V, self.W.t().contiguous(), self.V.t().contiguous()

    def split(self, s: Tensor) -> Rows:
        return s.split([self.size, self.memory], -1)

    def room(self, tape: Tensor, after: Tensor) -> Tensor:
        return tape[..., : 4 * self.memory]

    def slots(self, tape: Tensor) -> Rows:
        H = self.memory
        return tape[..., : 4 * H], tape[..., : 2 * H], *tape.split(H, -1)

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        gates, i_and_f, i, f, g, o, m, om = slot
        (h, c), (h_next, c_next) = before, after
        gates.addmm_(h, weights[2])
        i_and_f.sigmoid_()
        g.tanh_()
        o.sigmoid_()
        torch.mul(f, c, out=c_next)
        c_next.addcmul_(i, g)
        torch.tanh(c_next, out=m)
        torch.mul(o, m, out=om)
        torch.mm(om, weights[3], out=h_next)

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        H = self.memory
        i, f, g, o, m, _ = tape.split(H, -1)
        c = before[:, self.size :]
        slope_c = torch.stack([i * (1 - i) * g, f * (1 - f) * c, i * (1 - g * g)], 1)
        total, through_o = torch.empty_like(i), torch.empty_like(i)
        views = total.unsqueeze(1), delta[:, : 3 * H].unflatten(-1, (3, H)), delta[:, 3 * H :], delta
        return self._through_h(tape), f, slope_c, o * (1 - o) * m, total, through_o, *views

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        through_h, f, slope_c, slope_o, total, projected, total_as_3, delta_c, delta_o, delta = c
        (a_h, a_c), (out_h, out_c) = a, out
        torch.mm(a_h, weights[1], out=projected)
        torch.addcmul(a_c, projected, through_h, out=total)
        torch.mul(slope_c, total_as_3, out=delta_c)  # c feeds i, f and g
        torch.mul(slope_o, projected, out=delta_o)  # h feeds o
        out_h.addmm_(delta, weights[0])
        out_c.addcmul_(total, f)

    def recurrent(self, delta: Tensor) -> Tensor:
        return delta

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        om = tape[:, 5 * self.memory :]
        return {"W": delta.t() @ before[:, : self.size], "V": a[:, : self.size].t() @ om}
