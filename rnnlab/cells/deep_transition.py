"""Several maps from state to state within one time step."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rnnlab.cells.base import Cell, Rows, accumulate


class DeepTransition(Cell):
    """m cells in a row make one step; the drive enters the first, the others have their bias alone:

        s^1 = f_1(z_t, s_{t-1}),      s^j = f_j(b_j, s^{j-1}),      s_t = s^m           DT-RNN
        shortcut: the drive of the last is U_m h_{t-1} + b_m                            DT(S)-RNN

    One step of the adjoint is m Jacobians, so depth between the steps multiplies the rate: m maps that each keep alpha
    of a gradient keep alpha^(m k) over k steps. The shortcut adds a way past the others, of one map per step.

    f may be any cell; each f_j has its own parameters, without the input matrix U where nothing comes in. The drive and
    the gates are those of f_1. `parts` reports what f_m does of s_t, and as "h1" .. "h{m-1}" the adjoints of the hidden
    states between the maps. The cell does not say what its m recurrent products receive.

    Args:
        cell: builds a map, `cell(inputs, size)`.
        maps: m; 1 is the cell itself.
        shortcut: h_{t-1} into the last map; needs m >= 2.

    Reference:
        Pascanu, Gulcehre, Cho, Bengio, How to construct deep recurrent neural networks, 2014, section 3.3; Miceli
        Barone et al., Deep architectures for neural machine translation, 2017 (gated cells).
    """

    def __init__(self, inputs: int, size: int, *, cell: Callable[[int, int], Cell], maps: int, shortcut: bool):
        nn.Module.__init__(self)
        if maps < 1 + shortcut:
            raise ValueError(f"deeptransition needs maps >= {1 + shortcut} with shortcut={shortcut}, got {maps}")
        inner = [without_input(cell(1, size)) for _ in range(maps - 1 - shortcut)]
        self.maps = nn.ModuleList([cell(inputs, size), *inner, *(cell(size, size) for _ in range(shortcut))])
        self.inputs, self.size, self.shortcut = inputs, size, shortcut
        self.gates, self.blocks = self.maps[0].gates, self.maps[0].blocks
        self.recurrents = tuple(f"maps.{j}.{name}" for j, f in enumerate(self.maps) for name in f.recurrents)

    @property
    def state_size(self) -> int:
        return self.maps[0].state_size

    @property
    def tape_size(self) -> int:  # of each map, its own and the state after it
        return len(self.maps) * (self.maps[0].tape_size + self.state_size)

    @property
    def delta_size(self) -> int:  # of each map, its own and the adjoint of the state before it
        return len(self.maps) * (self.maps[0].delta_size + self.state_size)

    @torch.no_grad()
    def initialise(
        self,
        recurrent: Callable[..., Any],
        generator: torch.Generator | None = None,
        *,
        gate_bias: Callable[..., Any] | None = None,
    ) -> None:
        """Fill every map, see `Cell.initialise`."""
        for f in self.maps:
            f.initialise(recurrent, generator, gate_bias=gate_bias)

    def memory_biases(self) -> list[tuple[Tensor, Tensor | None]]:
        return [pair for f in self.maps for pair in f.memory_biases()]

    # ---- the definition

    def project(self, x: Tensor) -> Tensor:
        return self.maps[0].project(x)

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        new = self.maps[0].step(z, s)
        for f, x in zip(self.maps[1:], self._later_inputs(s), strict=True):
            new = f.step(f.project(x), new)
        return new

    def hidden(self, s: Tensor) -> Tensor:
        return self.maps[-1].hidden(s)

    @torch.no_grad()
    def parts(self, tape: Tensor, before: Tensor, after: Tensor, a: Tensor) -> dict[str, Tensor]:
        delta = tape.new_empty(len(tape), self.delta_size)
        c = self.linearise(tape, before, after, delta)
        self.pull(self.weights(), c, self.split(a), self.split(torch.zeros_like(a)))
        adjoints = zip(self._each(tape, before), self._deltas(delta, a), strict=True)
        *between, last = (f.parts(*run, a_j) for (f, *run), (_, _, a_j) in adjoints)
        return last | {f"h{j}": found["h"] for j, found in enumerate(between, 1)}

    def slopes(self, tape: Tensor, after: Tensor) -> Tensor | None:
        """Of the units of all maps, [N, m .]."""
        found = [f.slopes(own, new) for f, own, _, new in self._each(tape, tape)]
        return None if found[0] is None else torch.cat(found, -1)

    def _later_inputs(self, s: Tensor) -> list[Tensor]:
        """What comes into each map but the first: nothing (0), and with the shortcut h_{t-1} into the last."""
        nothing = [s.new_zeros(len(s), 1)] * (len(self.maps) - 1 - self.shortcut)
        return [*nothing, self.hidden(s)] if self.shortcut else nothing

    def _each(self, tape: Tensor, before: Tensor) -> list[tuple[Cell, Tensor, Tensor, Tensor]]:
        """Of each map: itself, its tape, the state before it and the one after."""
        own, after = pieces(tape, self.maps[0].tape_size, self.state_size)
        return list(zip(self.maps, own, [before, *after[:-1]], after, strict=True))

    def _deltas(self, delta: Tensor, a: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of each map: its delta, the adjoint of the state before it and of the one after."""
        own, early = pieces(delta, self.maps[0].delta_size, self.state_size)
        return list(zip(own, early, [*early[1:], a], strict=True))

    # ---- forward, in place: every state is written into the tape, the last one copied from there

    def weights(self) -> tuple[Tensor, ...]:
        return join(f.weights() for f in self.maps)

    def split(self, s: Tensor) -> Rows:
        """The whole state, and as the maps take it."""
        return s, *self.maps[0].split(s)

    def room(self, tape: Tensor, after: Tensor) -> Tensor:
        return tape

    def lay(self, x: Tensor, room: Tensor) -> None:
        nothing = x.new_zeros(*x.shape[:2], 1)
        for j, (f, own, _, after) in enumerate(self._each(room, room)):
            if not (self.shortcut and j == len(self.maps) - 1):  # that one must wait for h_{t-1}
                f.lay(nothing if j else x, f.room(own, after))

    def slots(self, tape: Tensor) -> Rows:
        return join((own, *self.split(after), *f.slots(own)) for f, own, _, after in self._each(tape, tape))

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        m, width, now = len(self.maps), len(before), before
        for f, of_f, group in zip(self.maps, share(weights, m), share(slot, m), strict=True):
            own, new, slots = group[0], group[1 : 1 + width], group[1 + width :]
            if self.shortcut and f is self.maps[-1]:
                f.lay(self.hidden(before[0])[None], f.room(own, new[0])[None])
            f.advance(of_f, slots, now[1:], new[1:])
            now = new
        after[0].copy_(now[0])

    # ---- backward, from the last map to the first

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        runs = list(zip(self._each(tape, before), self._deltas(delta, delta), strict=True))
        groups = ((*self.split(early), *f.linearise(*run, own)) for (f, *run), (own, early, _) in runs)
        return before, runs[-1][1][0], *join(groups)

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        before, delta_m, *views = c
        m, width, late = len(self.maps), len(a), a
        backwards = zip(self.maps, share(weights, m), share(views, m), strict=True)
        for f, of_f, group in reversed(list(backwards)):
            early = group[:width]
            early[0].zero_()
            f.pull(of_f, group[width:], late[1:], early[1:])
            late = early
        out[0].add_(late[0])
        if self.shortcut:
            out[0].add_(self._through_shortcut(before, delta_m)[0])

    def _through_shortcut(self, before: Tensor, delta_m: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What the drive of the last map gives to s_{t-1}, and to the parameters on the way there."""
        f = self.maps[-1]
        dh, of_project = f.project_gradients(self.hidden(before), f.drive(delta_m), input_too=True)
        ds, of_hidden = self.hidden_gradients(before, dh)
        return ds, total([named(len(self.maps) - 1, of_project), of_hidden])

    def drive(self, delta: Tensor) -> Tensor:
        return self.maps[0].drive(delta[:, : self.maps[0].delta_size])

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        found, deltas = [], self._deltas(delta, a)
        for j, ((f, own, early, _), (delta_j, _, a_j)) in enumerate(zip(self._each(tape, before), deltas, strict=True)):
            found.append(named(j, f.gradients(own, early, a_j, delta_j)))
            if 0 < j < len(self.maps) - self.shortcut:
                nothing = before.new_zeros(len(before), 1)
                found.append(named(j, f.project_gradients(nothing, f.drive(delta_j), input_too=False)[1]))
        if self.shortcut:
            found.append(self._through_shortcut(before, deltas[-1][0])[1])
        return total(found)

    def hidden_gradients(self, after: Tensor, dh: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        ds, found = self.maps[-1].hidden_gradients(after, dh)
        return ds, named(len(self.maps) - 1, found)

    def project_gradients(self, x: Tensor, dz: Tensor, *, input_too: bool) -> tuple[Tensor | None, dict[str, Tensor]]:
        dx, found = self.maps[0].project_gradients(x, dz, input_too=input_too)
        return dx, named(0, found)


def without_input(cell: Cell) -> Cell:
    """The cell with an input matrix that is no parameter: nothing comes in."""
    if "U" in cell._parameters:
        U = cell.U.detach()
        del cell.U
        cell.register_buffer("U", U, persistent=False)
    return cell


def pieces(x: Tensor, own: int, state: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Columns [own, state, own, state, ...] as those of each kind."""
    both = x.split([own, state] * (x.shape[-1] // (own + state)), -1)
    return both[::2], both[1::2]


def join(groups: Iterable[Iterable[Tensor]]) -> Rows:
    return tuple(x for group in groups for x in group)


def share(joined: Sequence[Tensor], parts: int) -> list[Rows]:
    """What `join` has joined: groups of one size, for all maps are one kind of cell."""
    size = len(joined) // parts
    return [tuple(joined[k * size : (k + 1) * size]) for k in range(parts)]


def named(j: int, found: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of map j as those of the whole."""
    return {f"maps.{j}.{name}": g for name, g in found.items()}


def total(found: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Their sum."""
    of_all: dict[str, Tensor] = {}
    for some in found:
        accumulate(of_all, some)
    return of_all
