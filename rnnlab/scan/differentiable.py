"""The scan as one differentiable function of its input, its initial state and the parameters: what training uses."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnnlab.cells import Cell
from rnnlab.cells.base import accumulate
from rnnlab.scan.backward import Block, way_back
from rnnlab.scan.forward import Path, padding, record


def scan(
    cell: Cell,
    x: Float[Tensor, "T B I"],
    s_0: Float[Tensor, "B S"] | None = None,
    *,
    spans: Int[Tensor, "2 B"] | None = None,
    truncate: int | None = None,
    checkpoint_every: int | None = None,
    watch: Callable[[Block], object] | None = None,
) -> tuple[Float[Tensor, "T B H"], Float[Tensor, "B S"], Path]:
    """Run a cell over a sequence: the hidden states h_1 .. h_T, the last state, and the path for `adjoint_scan`.

    Differentiable in x, s_0 and the cell's parameters: once by the adjoint scan; twice (`create_graph=True`) through an
    unrolled loop of `step`, which is exact and costs what autograd costs there. A parametrised weight is computed once.

    In training, what the adjoint carries from block to block is set to 0 below 2**32 times the smallest normal number
    (5e-29 in float32): it cannot move a weight, and arithmetic on subnormal numbers is 5 to 10 times slower.

    Args:
        s_0: the initial state, 0 if not given.
        spans: first and past-the-last step of each sample, in a batch of sequences of several lengths. The other steps
            are padding: they carry nothing, x may hold anything there, h is 0, and `last` is each sample's own.
        truncate: K, truncated backpropagation through time: the gradient does not pass from step mK + 1 to step mK of
            a sample, as if the state were detached every K steps. Adjoints are exactly 0 across such a cut.
        checkpoint_every: k, keep every k-th state alone and compute the others, drive included, again on the way back.
            Memory falls from T to T/k + k states, about 2 sqrt(T) at best; time grows by one forward pass, and no
            number changes.
        watch: called in the backward pass with each `Block` of it, last first, in plain range: the adjoints of
            s_1 .. s_T at no extra scan (not with `create_graph=True`, which scans nothing). Its tensors are the
            engine's own: keep what you compute from them, not them.

    Raises:
        ValueError: a sequence without steps or samples, or shapes that do not fit the cell or each other.

    Reference:
        Chen et al., Training deep nets with sublinear memory cost, 2016; Williams & Peng, An efficient gradient-based
        algorithm for on-line training of recurrent network trajectories, 1990 (truncation, here of the chunked kind).
    """
    if x.ndim != 3 or x.shape[-1] != cell.inputs or 0 in x.shape:
        raise ValueError(f"scan needs x of shape [T >= 1, B >= 1, I = {cell.inputs}], got {list(x.shape)}")
    T, B = x.shape[:2]
    if s_0 is None:
        s_0 = x.new_zeros(B, cell.state_size)
    elif s_0.shape != (B, cell.state_size):
        raise ValueError(f"scan needs s_0 of shape [B, S] = {[B, cell.state_size]}, got {list(s_0.shape)}")
    elif s_0.dtype != x.dtype:
        raise ValueError(f"scan needs s_0 of x's {x.dtype}, got {s_0.dtype}")
    for name, value in (("truncate", truncate), ("checkpoint_every", checkpoint_every)):
        if value is not None and value < 1:
            raise ValueError(f"scan needs {name} >= 1 steps, got {value}")
    if spans is not None:
        spans = spans.cpu()
        fits = spans.shape == (2, B) and not spans.is_floating_point()
        if not fits or not ((spans[0] >= 0) & (spans[0] < spans[1]) & (spans[1] <= T)).all():
            raise ValueError(f"scan needs spans [2, B = {B}] with 0 <= first < stop <= T = {T}, got {spans.tolist()}")
        x = x.masked_fill(padding(spans, slice(0, T)).to(x.device), 0)
    cell, settings = cell.materialised(), (spans, truncate, checkpoint_every)
    h, last, states, *tape = _Scan.apply(cell, watch, settings, x, s_0, *_trained(cell).values())
    return h, last, Path(x.detach(), states, tuple(tape), *settings)


def _trained(cell: Cell) -> dict[str, Tensor]:
    return {name: p for name, p in cell.named_parameters() if p.requires_grad}


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cell, watch, settings, x, s_0, *parameters):
        spans, _, checkpoint_every = settings
        h, last, path = record(cell, x, s_0, spans, checkpoint_every)
        ctx.set_materialize_grads(False)
        ctx.cell, ctx.watch, ctx.settings = cell, watch, settings
        ctx.blocks = len(path.tape)
        ctx.save_for_backward(x, s_0, path.states, *path.tape, *parameters)  # also checks that none has changed since
        ctx.mark_non_differentiable(path.states, *path.tape)
        return h, last, path.states, *path.tape

    @staticmethod
    def backward(ctx, dh, d_last, *_):
        x, s_0, states, *others = ctx.saved_tensors
        path = Path(x, states, tuple(others[: ctx.blocks]), *ctx.settings)
        if torch.is_grad_enabled():  # create_graph=True: somebody will differentiate this
            return None, None, None, *_differentiable_gradients(ctx.cell, path, s_0, dh, d_last)
        cell = ctx.cell
        dx = torch.empty_like(x) if ctx.needs_input_grad[3] else None
        total: dict[str, Tensor] = {}

        def direct(steps: slice, after: Tensor) -> Tensor:
            if dh is None:
                return torch.zeros_like(after)
            d = dh[steps]
            if path.spans is not None:
                d = d.masked_fill(path.padding(steps), 0)
            ds, found = cell.hidden_gradients(after.flatten(0, 1), d.flatten(0, 1))
            accumulate(total, found)
            return ds.view_as(after)

        for block in way_back(cell, path, direct, d_last, smallest=torch.finfo(x.dtype).tiny * 2.0**32):
            tape, before, a, delta = (v.flatten(0, 1) for v in (block.tape, block.before, block.a, block.delta))
            accumulate(total, cell.gradients(tape, before, a, delta))
            d_in, found = cell.project_gradients(
                x[block.steps].flatten(0, 1), cell.drive(delta), input_too=dx is not None
            )
            accumulate(total, found)
            if dx is not None:
                dx[block.steps] = d_in.view_as(dx[block.steps])
            if ctx.watch is not None:
                ctx.watch(block)
        return None, None, None, dx, block.carried, *(total.get(name) for name in _trained(cell))


def _differentiable_gradients(cell: Cell, path: Path, s_0: Tensor, dh: Tensor | None, d_last: Tensor | None):
    """The gradients by autograd on an unrolled loop, so that they can be differentiated again."""
    T, B = path.x.shape[:2]
    spans = torch.tensor([[0], [T]]).expand(2, B) if path.spans is None else path.spans
    begin, end = spans[..., None].to(s_0.device)
    s, after, last = s_0, [], s_0
    for t, z in enumerate(cell.project(path.x).unbind(0)):
        if path.truncate is not None:
            s = torch.where((t > begin) & ((t - begin) % path.truncate == 0), s.detach(), s)
        s = torch.where(t >= begin, cell.step(z, s), s_0)
        last = torch.where(t == end - 1, s, last)
        after.append(s)
    h = cell.hidden(torch.stack(after)).masked_fill(padding(spans, slice(0, T)).to(s_0.device), 0)
    outputs = [(y, d) for y, d in ((h, dh), (last, d_last)) if d is not None]
    inputs = [path.x, s_0, *_trained(cell).values()]
    asked = [v for v in inputs if v.requires_grad]
    ys, ds = zip(*outputs, strict=True)
    found = iter(torch.autograd.grad(ys, asked, ds, create_graph=True, allow_unused=True))
    return tuple(next(found) if v.requires_grad else None for v in inputs)
