"""The engine: the scan forward in time, and the adjoint scan back.

    s_t = f(z_t, s_{t-1}),  z_t = U x_t + b                          scan
    a_t = direct_t + (ds_{t+1}/ds_t)^T a_{t+1}                       adjoint_scan

Backpropagation through time is the second recursion, so its states *are* the gradients that this laboratory measures.
Times run 0..T: states[0] is the initial state, states[t] the state after t steps. All but the two loops is parallel
over the steps of a block, and a block is small enough to stay in the cache.
"""

from collections.abc import Callable, Iterator
from itertools import accumulate, repeat
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.cells import Cell
from rnnlab.scaled import ZERO, Scaled, cat, mapped

ROWS = 1024  # rows of a block (steps x samples): enough for an efficient product
LEAST = 32  # and never fewer steps than this
RENORMALISE = 8  # steps at one scale per row in log-range, fewer where the range needs it
SAFE = 2.0**80  # a row may move this far from its scale within those steps


class Path(NamedTuple):
    """What a scan leaves behind, without a graph: all that the way back needs besides the cell.

    The tape is in blocks of steps, each its own tensor: the allocator hands small blocks out again, while one large
    tensor would be fresh memory, and a page fault every 4 kB, at every training step.
    """

    x: Float[Tensor, "T B I"]
    states: Float[Tensor, "T+1 B S"]
    tape: tuple[Float[Tensor, "_ B R"], ...]

    def blocks(self) -> list[tuple[slice, Tensor]]:
        """The steps of each block, and its tape."""
        ends = list(accumulate(len(tape) for tape in self.tape))
        return [(slice(end - len(tape), end), tape) for end, tape in zip(ends, self.tape, strict=True)]


class Block(NamedTuple):
    """A finished block of the way back: steps, coefficients, adjoints after each step, and what goes on to the left."""

    steps: slice
    coefficients: tuple[Tensor, ...]
    a: Float[Tensor, "K B S"]
    carried: Float[Tensor, "B S"]


def scan(
    cell: Cell,
    x: Float[Tensor, "T B I"],
    s_0: Float[Tensor, "B S"] | None = None,
    *,
    watch: Callable[[Tensor], object] | None = None,
) -> tuple[Float[Tensor, "T B H"], Float[Tensor, "B S"], Path]:
    """Run a cell over a sequence: the hidden states h_1 .. h_T, the last state s_T, and the path for `adjoint_scan`.

    Differentiable in x, s_0 and the cell's parameters: once by the adjoint scan; twice (`create_graph=True`) through an
    unrolled loop of `step`, which is exact and costs what autograd costs there. Memory is that of states and tape.

    In training, what the adjoint carries from block to block is set to 0 below 2**32 times the smallest normal number
    (5e-29 in float32): it cannot move a weight, and arithmetic on subnormal numbers is 5 to 10 times slower.

    Args:
        s_0: the initial state, 0 if not given.
        watch: called in the backward pass with the adjoints [T, B, S] of s_1 .. s_T, in plain range, at no extra scan
            (not with `create_graph=True`, which scans nothing).

    Raises:
        ValueError: a sequence without steps or samples, or shapes that do not fit the cell.
    """
    if x.ndim != 3 or x.shape[-1] != cell.inputs or 0 in x.shape:
        raise ValueError(f"scan needs x of shape [T >= 1, B >= 1, I = {cell.inputs}], got {list(x.shape)}")
    shape = (x.shape[1], cell.state_size)
    if s_0 is None:
        s_0 = x.new_zeros(shape)
    elif s_0.shape != shape:
        raise ValueError(f"scan needs s_0 of shape [B, S] = {list(shape)}, got {list(s_0.shape)}")
    h, last, states, *tape = _Scan.apply(cell, watch, x, s_0, *_trained(cell).values())
    return h, last, Path(x.detach(), states, tuple(tape))


@torch.no_grad()
def adjoint_scan(cell: Cell, path: Path, direct: Tensor | Scaled) -> Tensor | Scaled:
    """The adjoints a_t = direct_t + (ds_{t+1}/ds_t)^T a_{t+1} of all states, [T+1, B, S]; a_0 is dL/ds_0.

    The range follows the type of `direct`, the explicit derivative of the loss with respect to each state: a tensor
    gives a tensor, with the range of its dtype; a `Scaled` gives a `Scaled`, where 1e-3000 and 1e+3000 are numbers.
    """
    if direct.shape != path.states.shape:
        raise ValueError(f"adjoint_scan needs direct of shape {list(path.states.shape)}, got {list(direct.shape)}")
    if isinstance(direct, Scaled):
        return _adjoint_in_log_range(cell, path, direct)
    a = torch.empty_like(direct)
    for block in _way_back(cell, path, direct[1:].__getitem__):
        a[1:][block.steps] = block.a
    torch.add(direct[0], block.carried, out=a[0])
    return a


@torch.no_grad()
def input_adjoint(cell: Cell, path: Path, a: Tensor | Scaled) -> Tensor | Scaled:
    """dL/dx_t [T, B, I] from the adjoints a [T+1, B, S]: (dz_t/dx_t)^T (ds_t/dz_t)^T a_t, in the range of a."""
    weights, found = cell.weights(), []
    for steps, c in _linearised(cell, path):
        x, before = path.x[steps], _rows(path.states[:-1][steps])

        def through(v: Tensor, c=c, x=x, before=before) -> Tensor:
            cell.pull(weights, c, cell.split(_rows(v)), cell.split(torch.zeros_like(before)))
            dz, _ = cell.gradients(c, before, _rows(v))
            return cell.project_gradients(_rows(x), dz, input_too=True)[0].view_as(x)

        found.append(mapped(a[1:][steps], through))
    return cat(found[::-1])


def _rows(x: Tensor) -> Tensor:  # [K, B, .] -> [K B, .]
    return x.flatten(0, 1)


def _each_time(tensors: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    """The slices of all tensors at each time; `unbind`, for indexing costs four times that."""
    return list(zip(*(x.unbind(0) for x in tensors), strict=True))


def _forward(cell: Cell, x: Tensor, s_0: Tensor) -> Path:
    steps, batch = x.shape[:2]
    states = s_0.new_empty(steps + 1, batch, cell.state_size)
    sizes = (x_block.shape[:2] for x_block in x.split(max(LEAST, ROWS // batch)))
    path = Path(x, states, tuple(s_0.new_empty(*size, cell.tape_size) for size in sizes))
    states[0] = s_0
    weights, advance = cell.weights(), cell.advance
    for steps, tape in path.blocks():
        both = states[steps.start : steps.stop + 1]
        cell.load(cell.project(x[steps]), tape, both[1:])
        s = _each_time(cell.split(both))
        slots = _each_time(cell.slots(tape)) or repeat(())
        for slot, before, after in zip(slots, s, s[1:], strict=False):
            advance(weights, slot, before, after)
    return path


def _linearised(cell: Cell, path: Path) -> Iterator[tuple[slice, tuple[Tensor, ...]]]:
    """The blocks of a path with their coefficients, last block first."""
    for steps, tape in reversed(path.blocks()):
        before, after = path.states[:-1][steps], path.states[1:][steps]
        yield steps, cell.linearise(_rows(tape), _rows(before), _rows(after))


def _way_back(
    cell: Cell, path: Path, direct: Callable[[slice], Tensor], carried: Tensor | None = None, smallest: float = 0.0
) -> Iterator[Block]:
    """The adjoint scan in plain range, block by block, last block first.

    `direct(steps)` is that of the states after these steps, `carried` an adjoint that enters at s_T.
    """
    weights = cell.weights()
    carried = torch.zeros_like(path.states[0]) if carried is None else carried
    for steps, c in _linearised(cell, path):
        a = torch.cat([torch.zeros_like(carried)[None], direct(steps)])
        a[-1] += carried
        _pull_all(cell, weights, _each_time(_unflattened(c, len(carried))), a)
        carried = a[0].masked_fill(a[0].abs() < smallest, 0) if smallest else a[0]
        yield Block(steps, c, a[1:], carried)


def _unflattened(c: tuple[Tensor, ...], batch: int) -> tuple[Tensor, ...]:
    return tuple(x.unflatten(0, (-1, batch)) for x in c)


def _pull_all(cell: Cell, weights: tuple[Tensor, ...], c: list[tuple[Tensor, ...]], a: Tensor) -> None:
    """The loop of the way back, in place: a [K+1, B, S] holds the direct part and becomes the adjoint."""
    slices, pull = _each_time(cell.split(a)), cell.pull
    for c_t, late, early in zip(reversed(c), reversed(slices), reversed(slices[:-1]), strict=False):
        pull(weights, c_t, late, early)


def _adjoint_in_log_range(cell: Cell, path: Path, direct: Scaled) -> Scaled:
    value, log2 = torch.empty_like(direct.value), torch.empty_like(direct.log2)
    a, weights = direct[-1], cell.weights()
    value[-1], log2[-1] = a.value, a.log2
    for steps, c in _linearised(cell, path):
        slices = _each_time(_unflattened(c, len(a.value)))
        for stop in range(steps.stop, steps.start, -RENORMALISE):
            few = slice(max(steps.start, stop - RENORMALISE), stop)
            c_few = slices[few.start - steps.start : few.stop - steps.start]
            found = _few_steps(cell, weights, c_few, a, direct[few])
            value[few], log2[few] = found.value, found.log2
            a = Scaled.of(found.value[0], found.log2[0])
    return Scaled(value, log2)


def _few_steps(
    cell: Cell, weights: tuple[Tensor, ...], c: list[tuple[Tensor, ...]], a: Scaled, direct: Scaled
) -> Scaled:
    """A few steps at one scale per row; in halves for as long as one scale does not hold them."""
    scale = torch.maximum(a.log2, direct.log2.amax(0))
    v = torch.cat([direct.at(scale), a.at(scale)[None]])
    _pull_all(cell, weights, c, v)
    largest, half = v[:-1].abs().amax(-1), len(c) // 2
    lost = ((largest < 1 / SAFE) & (scale > ZERO)) | ~(largest < SAFE)
    if half and (lost & v[-1].isfinite().all(-1)).any():  # a row that came in as NaN is not for this scale to mend
        late = _few_steps(cell, weights, c[half:], a, direct[half:])
        a = Scaled.of(late.value[0], late.log2[0])
        early = _few_steps(cell, weights, c[:half], a, direct[:half])
        return Scaled.cat([early, late])
    return Scaled(v[:-1], scale.expand(len(c), -1))


def _trained(cell: Cell) -> dict[str, Tensor]:
    return {name: p for name, p in cell.named_parameters() if p.requires_grad}


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cell, watch, x, s_0, *parameters):
        path = _forward(cell, x, s_0)
        ctx.set_materialize_grads(False)
        ctx.cell, ctx.watch = cell, watch
        ctx.blocks = len(path.tape)
        ctx.save_for_backward(x, s_0, path.states, *path.tape, *parameters)  # also checks that none has changed since
        ctx.mark_non_differentiable(path.states, *path.tape)
        return cell.hidden(path.states[1:]), path.states[-1].clone(), path.states, *path.tape

    @staticmethod
    def backward(ctx, dh, d_last, *_):
        x, s_0, states, *others = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: somebody will differentiate this
            return None, None, *_differentiable_gradients(ctx.cell, x, s_0, dh, d_last)
        cell, path = ctx.cell, Path(x, states, tuple(others[: ctx.blocks]))
        dx = torch.empty_like(x) if ctx.needs_input_grad[2] else None
        adjoints = torch.empty_like(states[1:]) if ctx.watch else None
        total: dict[str, Tensor] = {}

        def direct(steps: slice) -> Tensor:
            after = states[1:][steps]
            if dh is None:
                return torch.zeros_like(after)
            ds, found = cell.hidden_gradients(_rows(after), _rows(dh[steps]))
            _add(total, found)
            return ds.view_as(after)

        for block in _way_back(cell, path, direct, d_last, torch.finfo(x.dtype).tiny * 2.0**32):
            dz, found = cell.gradients(block.coefficients, _rows(states[:-1][block.steps]), _rows(block.a))
            _add(total, found)
            d_in, found = cell.project_gradients(_rows(x[block.steps]), dz, input_too=dx is not None)
            _add(total, found)
            if dx is not None:
                dx[block.steps] = d_in.view_as(dx[block.steps])
            if adjoints is not None:
                adjoints[block.steps] = block.a
        if adjoints is not None:
            ctx.watch(adjoints)
        return None, None, dx, block.carried, *(total.get(name) for name in _trained(cell))


def _add(total: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    for name, g in found.items():
        total[name] = total[name].add_(g) if name in total else g


def _differentiable_gradients(cell: Cell, x: Tensor, s_0: Tensor, dh: Tensor | None, d_last: Tensor | None):
    s, after = s_0, []
    for z in cell.project(x).unbind(0):
        after.append(s := cell.step(z, s))
    outputs = [(y, d) for y, d in ((cell.hidden(torch.stack(after)), dh), (s, d_last)) if d is not None]
    inputs = [x, s_0, *_trained(cell).values()]
    asked = [v for v in inputs if v.requires_grad]
    ys, ds = zip(*outputs, strict=True)
    found = iter(torch.autograd.grad(ys, asked, ds, create_graph=True, allow_unused=True))
    return tuple(next(found) if v.requires_grad else None for v in inputs)
