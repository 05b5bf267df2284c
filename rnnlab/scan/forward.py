"""Forward in time, s_t = f(z_t, s_{t-1}), and what that leaves behind for the way back."""

from collections.abc import Iterator
from itertools import accumulate, pairwise, repeat
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rnnlab import kernels
from rnnlab.cells import Cell
from rnnlab.scan import parallel

ROWS = 2048  # rows of a block (steps x samples): enough for an efficient product, and still in the cache
LEAST = 32  # and never fewer steps than this


class Section(NamedTuple):
    """States and tape of some consecutive steps.

    The tape is in blocks of steps, each its own tensor: the allocator hands small blocks out again, while one large
    tensor would be fresh memory, and a page fault every 4 kB, at every training step.
    """

    first: int
    states: Float[Tensor, "N+1 B S"]
    tape: tuple[Float[Tensor, "_ B R"], ...]

    def blocks(self) -> list[tuple[slice, Tensor, Tensor]]:
        """Of each block: its steps, the states [K+1, B, S] around them, and its tape."""
        edges = accumulate((len(tape) for tape in self.tape), initial=0)
        return [
            (slice(self.first + start, self.first + stop), self.states[start : stop + 1], tape)
            for (start, stop), tape in zip(pairwise(edges), self.tape, strict=True)
        ]


class Path(NamedTuple):
    """What a scan leaves behind, without a graph: all that the way back needs besides the cell.

    Attributes:
        x: the input.
        states: all of them, [T+1, B, S]; with checkpoints only the first of each section, [ceil(T/k), B, S].
        tape: what the cell recorded; empty with checkpoints.
        spans: first and past-the-last step of each sample, on the CPU; None where all have all T steps.
        truncate: K, adjoints do not pass from step to step at every K-th one; None: nowhere.
        checkpoint_every: k, the steps of a section; None where everything is kept.
    """

    x: Float[Tensor, "T B I"]
    states: Float[Tensor, "_ B S"]
    tape: tuple[Float[Tensor, "_ B R"], ...]
    spans: Int[Tensor, "2 B"] | None = None
    truncate: int | None = None
    checkpoint_every: int | None = None

    @property
    def shape(self) -> torch.Size:
        """Of all states and their adjoints, [T+1, B, S]."""
        return torch.Size((len(self.x) + 1, *self.states.shape[1:]))

    def sections(self, cell: Cell) -> Iterator[Section]:
        """Last section first. With checkpoints each is computed again, drive included, when its turn comes."""
        if self.checkpoint_every is None:
            yield Section(0, self.states, self.tape)
            return
        firsts = range(0, len(self.x), self.checkpoint_every)
        for first, s in zip(reversed(firsts), self.states.flip(0), strict=True):
            stop = min(first + self.checkpoint_every, len(self.x))
            yield _run(cell, self.x, s, self.spans, first, stop)

    def padding(self, steps: slice) -> Bool[Tensor, "K B 1"] | None:
        """Where a step is none of its sample's; None if there is no padding."""
        return None if self.spans is None else padding(self.spans, steps).to(self.x.device)


def padding(spans: Int[Tensor, "2 B"], steps: slice) -> Bool[Tensor, "K B 1"]:
    t = torch.arange(steps.start, steps.stop)[:, None, None]
    return (t < spans[0, :, None]) | (t >= spans[1, :, None])


@torch.no_grad()
def record(
    cell: Cell,
    x: Float[Tensor, "T B I"],
    s_0: Float[Tensor, "B S"],
    spans: Int[Tensor, "2 B"] | None = None,
    checkpoint_every: int | None = None,
) -> tuple[Float[Tensor, "T B H"], Float[Tensor, "B S"], Path]:
    """Run a cell: h, the state after each sample's last step, and the path. At padded steps h is 0."""
    T = len(x)
    if checkpoint_every is None:
        section = _run(cell, x, s_0, spans, 0, T)
        h, last = _outputs(cell, section, spans)
        return h, last, Path(x, section.states, section.tape, spans)
    h, last = x.new_empty(T, x.shape[1], cell.size), torch.empty_like(s_0)
    firsts, s = [], s_0
    for first in range(0, T, checkpoint_every):
        section = _run(cell, x, s, spans, first, min(first + checkpoint_every, T))
        firsts.append(s)
        s = section.states[-1].clone()
        stop = first + len(section.states) - 1
        h[first:stop], ends = _outputs(cell, section, spans)
        here = torch.full((len(s),), stop == T) if spans is None else (spans[1] > first) & (spans[1] <= stop)
        last = torch.where(here.to(x.device)[:, None], ends, last)
    return h, last, Path(x, torch.stack(firsts), (), spans, None, checkpoint_every)


def _outputs(cell: Cell, section: Section, spans: Tensor | None) -> tuple[Tensor, Tensor]:
    """The hidden states of a section, and its last state: for a sample that ends in it, the one where it ends."""
    states, steps = section.states, slice(section.first, section.first + len(section.states) - 1)
    h = cell.hidden(states[1:])
    if spans is None:
        return h, states[-1].clone()
    index = (spans[1] - steps.start).clamp(0, len(states) - 1).to(states.device)
    last = states[index, torch.arange(len(index), device=states.device)]
    return h.masked_fill(padding(spans, steps).to(h.device), 0), last


@torch.no_grad()
def _run(cell: Cell, x: Tensor, s: Tensor, spans: Tensor | None, first: int, stop: int) -> Section:
    """The steps first .. stop-1 from the state s before them; a sample that begins later keeps it until then."""
    B = x.shape[1]
    sizes = [len(part) for part in torch.arange(first, stop).split(max(LEAST, ROWS // B))]
    tape = tuple(s.new_empty(size, B, cell.tape_size) for size in sizes)
    section = Section(first, s.new_empty(stop - first + 1, B, cell.state_size), tape)
    section.states[0] = s
    weights, begins = cell.weights(), starts(spans)
    for steps, states, tape in section.blocks():
        cell.lay(x[steps], cell.room(tape, states[1:]))
        for few in between(steps, begins):
            if (rows := begins.get(steps.start + few.start)) is not None:
                states[few.start] = torch.where(rows.to(x.device)[:, None], s, states[few.start])
            _advance(cell, weights, tape[few], states[few.start : few.stop + 1])
        if spans is not None:
            blank = padding(spans, steps).to(x.device)
            early = blank & (torch.arange(steps.start, steps.stop)[:, None, None] < spans[0, :, None]).to(x.device)
            tape.masked_fill_(blank, 0)
            states[1:] = torch.where(early, s, states[1:].masked_fill(blank, 0))
    return section


def starts(spans: Tensor | None) -> dict[int, Bool[Tensor, " B"]]:
    """Time -> which samples begin there, but for time 0."""
    return {} if spans is None else {t: spans[0] == t for t in sorted(set(spans[0].tolist())) if t > 0}


def between(steps: slice, times: dict) -> list[slice]:
    """The stretches of a block, counted from its first step, that have none of these times inside."""
    inside = sorted(t - steps.start for t in times if steps.start < t < steps.stop)
    return [slice(*edges) for edges in pairwise([0, *inside, steps.stop - steps.start])]


def _advance(cell: Cell, weights: tuple[Tensor, ...], tape: Tensor, states: Tensor) -> None:
    """The loop forward, in place."""
    if compiled(cell, states):
        return kernels.forward(cell.kernel, weights, tape, states)
    if parallel.fits(cell, states):
        (s,), (decay, entry) = cell.split(states), cell.diagonal(weights, tape)
        s[1:] = entry
        return parallel.forward(decay, s)
    s, slots, advance = each_time(cell.split(states)), each_time(cell.slots(tape)) or repeat(()), cell.advance
    for slot, before, after in zip(slots, s, s[1:], strict=False):
        advance(weights, slot, before, after)
    return None


def compiled(cell: Cell, x: Tensor) -> bool:
    """Whether the compiled loops are to be taken: a subclass may have changed the equations, so it must say so."""
    return "kernel" in vars(type(cell)) and cell.kernel is not None and kernels.fits(x)


def each_time(tensors: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    """The slices of all tensors at each time; `unbind`, for indexing costs four times that."""
    return list(zip(*(x.unbind(0) for x in tensors), strict=True))
