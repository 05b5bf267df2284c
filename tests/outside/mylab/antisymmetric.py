"""A cell of one's own: it writes `step`, and autograd through that is its way back."""

from torch import Tensor
from torch.nn.functional import linear

from rnnlab.cells import Cell


class Antisymmetric(Cell):
    """One Euler step of an ordinary differential equation that neither grows nor decays.

        h_t = h_{t-1} + e tanh((W - W^T) h_{t-1} - f h_{t-1} + U x_t + b)

    The Jacobian is I + e diag(tanh') (W - W^T - f I). W - W^T has imaginary eigenvalues, so those of the Jacobian stay
    within O(e) of 1: the gradient neither vanishes nor explodes over about 1 / (e f) steps.

    Args:
        rate: e, above 0.
        friction: f, 0 or above; it damps what Euler's method adds.

    Reference:
        Chang, Chen, Haber, Chi, AntisymmetricRNN: a dynamical system view on recurrent neural networks, 2019, eq. 12.
    """

    def __init__(self, inputs: int, size: int, *, rate: float, friction: float):
        super().__init__(inputs, size)
        if not rate > 0 or not friction >= 0:
            raise ValueError(f"antisymmetric needs rate > 0 and friction >= 0, got {rate} and {friction}")
        self.rate, self.friction = rate, friction

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        return s + self.rate * (linear(s, self.W - self.W.t()) - self.friction * s + z).tanh()
