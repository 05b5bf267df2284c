"""A few steps of every kind against the definition of its cell: a broken compiler must not give wrong numbers."""

import torch
from torch import Tensor

from rnnlab.cells import GRU, LSTM, Cell, Elman
from rnnlab.kernels.build import BuildError
from rnnlab.kernels.calls import KINDS, NAMES, backward, columns, forward

K, B, H = 3, 2, 5


def check() -> None:
    """Raise a BuildError unless states, adjoints and delta are those of `step` and its pull-back, in every dtype.

    Tolerance: an entry is a sum of 4 H = 20 products of size 1, in each of 3 steps: about 100 roundings.
    """
    with torch.inference_mode(False), torch.device("cpu"):
        for kind in KINDS:
            cell = _cell(kind)
            S = cell.state_size
            z, s_0, direct = _wave(K, B, len(cell.gates) * H), _wave(B, S), _wave(K + 1, B, S)
            expected = by_definition(cell, z, s_0, direct)
            for dtype in NAMES:
                found = compiled(kind, _cell(kind).to(dtype), z.to(dtype), s_0.to(dtype), direct.to(dtype))
                for x, y in zip(found, expected, strict=True):
                    if not torch.allclose(x.double(), y, rtol=0, atol=100 * torch.finfo(dtype).eps):
                        raise BuildError(f"the loop of {kind} in {dtype} computes something else than the cell")


@torch.no_grad()
def compiled(kind: str, cell: Cell, z: Tensor, s_0: Tensor, direct: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """States and adjoints [K+1, B, S] and dz [K, B, Z] of one block by the compiled loops."""
    records, _, gates = columns(kind)
    Z, H, states, a = z.shape[-1], cell.size, torch.empty_like(direct), direct.clone()
    tape, delta = (z.new_empty(*z.shape[:2], n * H) for n in (records, gates))
    states[0] = s_0
    (tape[..., :Z] if records else states[1:]).copy_(z)
    forward(kind, cell.weights(), tape, states)
    backward(kind, cell.weights(), tape, states, a, delta)
    return states, a, delta if kind != "gru" else torch.cat([delta[..., : 2 * H], delta[..., 3 * H :]], -1)


def by_definition(cell: Cell, z: Tensor, s_0: Tensor, direct: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same by `step` and autograd."""
    states, a, dz = [s_0], [direct[-1]], []
    for z_k in z:
        states.append(cell.step(z_k, states[-1]).detach())
    for z_k, s, d in zip(reversed(z), reversed(states[:-1]), reversed(direct[:-1]), strict=True):
        at = [x.detach().requires_grad_() for x in (z_k, s)]
        with torch.enable_grad():  # a sum, for torch imports sympy, .5 s, where `grad` is given an adjoint
            found = torch.autograd.grad((cell.step(*at) * a[0]).sum(), at)
        dz.insert(0, found[0])
        a.insert(0, d + found[1])
    return torch.stack(states), torch.stack(a), torch.stack(dz)


def _cell(kind: str) -> Cell:
    name, _, activation = kind.partition("_")
    cell = {"lstm": lambda: LSTM(1, H), "gru": lambda: GRU(1, H)}.get(
        name, lambda: Elman(1, H, activation=activation)
    )()
    with torch.no_grad():
        for p in cell.double().parameters():
            p.copy_(_wave(*p.shape) / 2)
    return cell


def _wave(*shape: int) -> Tensor:
    """Numbers without a symmetry, and without a random stream of somebody else."""
    return torch.arange(1.0, 1 + torch.Size(shape).numel(), dtype=torch.float64).square().sin().view(shape)
