"""Back in time, a_t = direct_t + (ds_{t+1}/ds_t)^T a_{t+1}: in the range of a dtype, or in log-range."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab import kernels
from rnnlab.cells import Cell
from rnnlab.scaled import ZERO, Scaled, cat, mapped
from rnnlab.scan import parallel
from rnnlab.scan.forward import Path, between, compiled, each_time, starts

RENORMALISE = 32  # steps at one scale per row in log-range, fewer where the range needs it
SAFE = 2.0**80  # a row may move this far from its scale within those steps

Direct = Callable[[slice, Tensor], Tensor | Scaled]
Pull = Callable[[slice, Tensor], None]


class Block(NamedTuple):
    """A finished block of the way back.

    Attributes:
        steps: its steps, in the path's own order of time.
        before, after, tape: the states before and after each of them, and what the cell recorded.
        a: adjoints of the states `after`, [K, B, S], in the range of the direct part.
        delta: what `Cell.pull` left behind, [K, B, D], in the same range.
        carried: what goes on to the left, [B, S]; of the first steps, dL/ds_0 but for its own direct part.
    """

    steps: slice
    before: Float[Tensor, "K B S"]
    after: Float[Tensor, "K B S"]
    tape: Float[Tensor, "K B R"]
    a: Tensor | Scaled
    delta: Tensor | Scaled
    carried: Tensor | Scaled


@torch.no_grad()
def adjoint_scan(cell: Cell, path: Path, direct: Tensor | Scaled) -> Tensor | Scaled:
    """The adjoints a_t = direct_t + (ds_{t+1}/ds_t)^T a_{t+1} of all states, [T+1, B, S]; a_0 is dL/ds_0.

    The range follows the type of `direct`, the explicit derivative of the loss with respect to each state: a tensor
    gives a tensor, with the range of its dtype; a `Scaled` gives a `Scaled`, where 1e-3000 and 1e+3000 are numbers.
    """
    if direct.shape != path.shape:
        raise ValueError(f"adjoint_scan needs direct of shape {list(path.shape)}, got {list(direct.shape)}")
    found = []
    for block in way_back(cell, path, lambda steps, _: direct[1:][steps]):
        found.append(block.a)
    return cat([(direct[0] + block.carried)[None], *reversed(found)])


def way_back(
    cell: Cell, path: Path, direct: Direct, last: Tensor | Scaled | None = None, *, smallest: float = 0.0
) -> Iterator[Block]:
    """The adjoint scan block by block, last block first, so that nothing of the size of all states need exist.

    Args:
        direct: the direct part of the states [K, B, S] after some steps, given both; its type decides on the range.
            What it says about padded steps is ignored.
        last: an adjoint [B, S] that enters at each sample's last state.
        smallest: entries below this are carried to the next block as 0.
    """
    cell = cell.materialised()
    weights, begins, carried, begun = cell.weights(), starts(path.spans), None, []
    for section in path.sections(cell):
        for steps, states, tape in reversed(section.blocks()):
            with torch.no_grad():
                d = _entering(direct(steps, states[1:]), last, path, steps)
                carried = mapped(d[-1], torch.zeros_like) if carried is None else carried
                delta = tape.new_empty(*tape.shape[:2], cell.delta_size)
                pull, cuts, found = _puller(cell, weights, tape, states, delta), _cuts(path, steps), []
                for few in reversed(between(steps, begins | cuts)):
                    a, of_delta, carried = _stretch(pull, few, d[few], delta[few], carried)
                    found.append((a, of_delta))
                    time = steps.start + few.start
                    if time in cuts:
                        carried = _without(carried, cuts[time])
                    if time in begins:  # of these samples it is dL/ds_0, and not for the padding before them
                        begun.append(_without(carried, ~begins[time]))
                        carried = _without(carried, begins[time])
                if steps.start == 0:
                    carried = sum(begun, carried)
                if smallest:
                    carried = carried.masked_fill(carried.abs() < smallest, 0)
                a, delta = (x[0] if len(x) == 1 else cat(x[::-1]) for x in zip(*found, strict=True))
            yield Block(steps, states[:-1], states[1:], tape, a, delta, carried)


def _entering(d: Tensor | Scaled, last: Tensor | Scaled | None, path: Path, steps: slice) -> Tensor | Scaled:
    """The direct part of a block: nothing at padded steps, and `last` where a sample ends."""
    if path.spans is not None:
        d = mapped(d, lambda v: v.masked_fill(path.padding(steps), 0))
    if last is None:
        return d
    T, B = len(path.x), len(last.value if isinstance(last, Scaled) else last)
    ends = torch.full((B,), T) if path.spans is None else path.spans[1]
    for end in {t for t in ends.tolist() if steps.start < t <= steps.stop}:
        k = end - 1 - steps.start
        d = cat([d[:k], (d[k] + _without(last, ends != end))[None], d[k + 1 :]])
    return d


def _without(a: Tensor | Scaled, rows: Tensor) -> Tensor | Scaled:
    return mapped(a, lambda v: v.masked_fill(rows.to(v.device)[:, None], 0))


def _cuts(path: Path, steps: slice) -> dict[int, Tensor]:
    """Time -> the samples [B] whose adjoint is not carried into it: every K steps from each sample's own first."""
    found: dict[int, Tensor] = {}
    if path.truncate is not None:
        begin = torch.zeros(path.x.shape[1], dtype=torch.long) if path.spans is None else path.spans[0]
        for start in set(begin.tolist()):
            after = max(1, -(-(steps.start - start) // path.truncate))  # the first cut that is not left of the block
            for time in range(start + after * path.truncate, steps.stop, path.truncate):
                found[time] = found.get(time, torch.zeros_like(begin, dtype=torch.bool)) | (begin == start)
    return found


def _puller(cell: Cell, weights: tuple[Tensor, ...], tape: Tensor, states: Tensor, delta: Tensor) -> Pull:
    """The loop over some steps of one block, in place: a [K+1, B, S] holds the direct part and becomes the adjoint."""
    if compiled(cell, states):
        return lambda few, a: kernels.backward(
            cell.kernel, weights, tape[few], states[few.start : few.stop + 1], a, delta[few]
        )
    c = cell.linearise(*(x.flatten(0, 1) for x in (tape, states[:-1], states[1:], delta)))
    if parallel.fits(cell, states):
        return _all_at_once(cell, weights, tape, c)
    c = each_time(tuple(x.unflatten(0, tape.shape[:2]) for x in c))

    def loop(few: slice, a: Tensor) -> None:
        slices, pull = each_time(cell.split(a)), cell.pull
        for c_t, late, early in zip(reversed(c[few]), reversed(slices), reversed(slices[:-1]), strict=False):
            pull(weights, c_t, late, early)

    return loop


def _all_at_once(cell: Cell, weights: tuple[Tensor, ...], tape: Tensor, c: tuple[Tensor, ...]) -> Pull:
    """The adjoints by a parallel scan; then `pull`, which works on rows, leaves delta for all of them."""
    decay, B = cell.diagonal(weights, tape)[0].conj().resolve_conj(), tape.shape[1]

    def scan(few: slice, a: Tensor) -> None:
        (s,) = cell.split(a)
        parallel.backward(decay[few] if decay.ndim == s.ndim else decay, s)
        late, rows = a[1:].flatten(0, 1), slice(few.start * B, few.stop * B)
        cell.pull(weights, tuple(x[rows] for x in c), cell.split(late), cell.split(torch.zeros_like(late)))

    return scan


def _stretch(
    pull: Pull, few: slice, d: Tensor | Scaled, delta: Tensor, carried: Tensor | Scaled
) -> tuple[Tensor | Scaled, Tensor | Scaled, Tensor | Scaled]:
    """Adjoints of the states after some steps, delta in their range, and what is carried to the left of them."""
    if isinstance(d, Scaled):
        return _in_log_range(pull, few, d, delta, carried)
    a = torch.cat([torch.zeros_like(carried)[None], d])
    a[-1] += carried
    pull(few, a)
    return a[1:], delta, a[0]


def _in_log_range(pull: Pull, few: slice, d: Scaled, delta: Tensor, carried: Scaled) -> tuple[Scaled, Scaled, Scaled]:
    steps, a = few.stop - few.start, d[-1] + carried
    value, log2 = torch.cat([d.value, a.value[None]]), torch.cat([d.log2, a.log2[None]])
    of_delta = torch.empty_like(d.log2)
    before = cat([mapped(d[:1], torch.zeros_like), d[:-1]])  # the direct part of the state *before* each step
    for stop in range(steps, 0, -RENORMALISE):
        now = slice(max(0, stop - RENORMALISE), stop)
        found = _few_steps(pull, few.start, now, a, before[now], of_delta)
        value[now], log2[now] = found.value, found.log2
        a = Scaled.of(found.value[0], found.log2[0])
    return Scaled(value[1:], log2[1:]), Scaled(delta, of_delta), a


def _few_steps(pull: Pull, first: int, few: slice, a: Scaled, direct: Scaled, of_delta: Tensor) -> Scaled:
    """A few steps at one scale per row; in halves for as long as one scale does not hold them."""
    scale = torch.maximum(a.log2, direct.log2.amax(0))
    v = torch.cat([direct.at(scale), a.at(scale)[None]])
    pull(slice(first + few.start, first + few.stop), v)
    largest, half = v[:-1].abs().amax(-1), (few.stop - few.start) // 2
    lost = ((largest < 1 / SAFE) & (scale > ZERO)) | ~(largest < SAFE)
    if half and (lost & v[-1].isfinite().all(-1)).any():  # a row that came in as NaN is not for this scale to mend
        middle = few.start + half
        late = _few_steps(pull, first, slice(middle, few.stop), a, direct[half:], of_delta)
        a = Scaled.of(late.value[0], late.log2[0])
        early = _few_steps(pull, first, slice(few.start, middle), a, direct[:half], of_delta)
        return Scaled.cat([early, late])
    of_delta[few] = scale
    return Scaled(v[:-1], scale.expand(len(v) - 1, -1))
