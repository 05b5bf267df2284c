"""What a cell is: one map from the last state and the drive to the next state, and how it is pulled back."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import zip_longest
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations

Rows = tuple[Tensor, ...]  # tensors whose first axis is the row; `scan` hands out one slice per step
PARAMETRISED = "parametrizations"  # where torch.nn.utils.parametrize keeps the originals


class Cell(nn.Module, ABC):
    """One map s_t = f(z_t, s_{t-1}) with the drive z_t = U x_t + b, on one flat state.

    Every method works on **rows**: a row is one sample at one time. The loop calls with N = B rows, the parallel parts
    of the backward pass with N = T B, so one `step` serves both. `step` is a pure function of its arguments and the
    parameters: a dropout mask, say, belongs into the drive.

    A cell *must* write `step`. That alone is correct everywhere: autograd through `step` is then its pull-back. It
    *may* write the rest, its own and 3 to 7 times faster way:

        forward    weights(); room(tape, after); slots(tape); advance(weights, slot, before, after)   in place
        backward   linearise(tape, before, after, delta) -> c; pull(weights, c, a, out)  out += (df/ds)^T a
        gradients  gradients(tape, before, a, delta) -> {name: gradient}                 all rows at once
        compiled   kernel, the name of its loops in `rnnlab.kernels`
        parallel   diagonal(weights, tape): of a linear, elementwise recurrence; then all steps of a block run at once
        saturation slopes(tape, after): how far each unit's nonlinearity is open, for a probe

    The `tape` [N, R] is what `advance` records of a step for the way back: the drive itself unless a cell does better.
    `delta` [N, D] is what `pull` leaves behind: the gradient of the gates' pre-activations, from which `drive` and
    `recurrent` read those of the drive and of the recurrent product. Tests hold each of these against autograd through
    `step`.

    Args:
        inputs: I, the size of x_t.
        size: H, the size of the hidden state.
    """

    gates: ClassVar[tuple[str, ...]] = ("h",)  # names; the drive has Z = len(gates) H entries
    blocks: ClassVar[int] = 1  # the state has S = blocks H entries; the first block is the hidden state
    records: ClassVar[int | None] = None  # the tape has R = records H entries; None: it is the drive
    deltas: ClassVar[int | None] = None  # delta has D = deltas H entries; None: it is the gradient of the drive
    recurrents: ClassVar[tuple[str, ...]] = ("W",)  # dense recurrent matrices, a square block per gate; none: no W
    parallel: bool = True  # take the steps of a block at once where `diagonal` allows it; False: one after the other
    kernel: str | None = None  # a class that inherits from one with a kernel runs in Python: it may have changed `step`

    def __init__(self, inputs: int, size: int):
        super().__init__()
        for name, value in (("inputs", inputs), ("size", size)):
            if value < 1:
                raise ValueError(f"{type(self).__name__.lower()} needs {name} >= 1, got {value}")
        self.inputs, self.size = inputs, size
        self.U = nn.Parameter(torch.zeros(len(self.gates) * size, inputs))
        if "W" in self.recurrents:
            self.W = nn.Parameter(torch.zeros(len(self.gates) * size, size))
        self.b = nn.Parameter(torch.zeros(len(self.gates) * size))

    @property
    def state_size(self) -> int:
        return self.blocks * self.size

    @property
    def tape_size(self) -> int:
        return (len(self.gates) if self.records is None else self.records) * self.size

    @property
    def delta_size(self) -> int:
        return (len(self.gates) if self.deltas is None else self.deltas) * self.size

    @torch.no_grad()
    def initialise(
        self,
        recurrent: Callable[..., Any],
        generator: torch.Generator | None = None,
        *,
        gate_bias: Callable[..., Any] | None = None,
    ) -> None:
        """Fill each gate's W with `recurrent(W_gate, generator=...)`, each gate's U Glorot-uniform, b with zeros; then
        the biases of the gates that hold the memory with `gate_bias(retain, admit, generator=...)`, if given.

        Raises:
            ValueError: a weight is parametrised: what fills it here would be lost, for it is computed anew.
        """
        if self.materialised() is not self:
            raise ValueError("initialise a cell before its weights are parametrised, not after")
        recurrents = self.W.split(self.size) if "W" in self.recurrents else ()
        for W, U in zip_longest(recurrents, self.U.split(self.size)):
            if W is not None:
                recurrent(W, generator=generator)
            nn.init.xavier_uniform_(U, generator=generator)
        self.b.zero_()
        if gate_bias is not None:
            for retain, admit in self.memory_biases():
                gate_bias(retain, admit, generator=generator)

    def memory_biases(self) -> list[tuple[Tensor, Tensor | None]]:
        """Views of the biases of the gates that decide how long the state is kept, for `gate_bias` to fill: that of the
        gate whose 1 retains, and that of the one whose 1 admits, or None where it is the complement of the first."""
        return []

    def materialised(self) -> "Cell":
        """This cell with each parametrised weight (`torch.nn.utils.parametrize`), nested ones too, computed once and
        with its graph: a shallow copy of the class that was written, so that it has its kernel; itself if none is."""
        return _computed(self, {})

    # ---- the definition

    def project(self, x: Float[Tensor, "*rows I"]) -> Float[Tensor, "*rows Z"]:
        """z = U x + b: all of the input that does not depend on the state."""
        return nn.functional.linear(x, self.U, self.b)

    @abstractmethod
    def step(self, z: Float[Tensor, "N Z"], s: Float[Tensor, "N S"]) -> Float[Tensor, "N S"]:
        """s_t = f(z_t, s_{t-1})."""

    def hidden(self, s: Float[Tensor, "*rows S"]) -> Float[Tensor, "*rows H"]:
        """h_t, what the layer above and the readout see of s_t."""
        return s if self.blocks == 1 else s[..., : self.size]

    def parts(self, tape: Tensor, before: Tensor, after: Tensor, a: Tensor) -> dict[str, Tensor]:
        """The adjoint [N, S] as people report it: name -> [N, H]."""
        return {"h": self.hidden(a)}

    def slopes(self, tape: Tensor, after: Tensor) -> Tensor | None:
        """The slope of each unit's nonlinearity over its largest, [N, .] in [0, 1], of all rows; None if the cell has
        none, or does not say."""
        return None

    # ---- forward, in place

    def weights(self) -> tuple[Tensor, ...]:
        """What all steps of one scan share, made once: a transpose laid out for the loop, a parametrised W."""
        return ()

    def split(self, s: Tensor) -> Rows:
        """The state as `advance` and `pull` take it: one view per block."""
        return (s,)

    def room(self, tape: Tensor, after: Tensor) -> Tensor:
        """Where the drive of a few steps [K, B, Z] is laid for `advance` to overwrite: a view of the tape or states."""
        return tape

    def lay(self, x: Tensor, room: Tensor) -> None:
        """Make the drive of a few steps in its place."""
        if type(self).project is Cell.project:
            torch.addmm(self.b, x.flatten(0, 1), self.U.t(), out=room.flatten(0, 1))
        else:
            room.copy_(self.project(x))

    def diagonal(self, weights: tuple[Tensor, ...], tape: Tensor) -> Rows:
        """(decay, entry) of a laid block whose recurrence is s_t = decay_t s_{t-1} + entry_t, entry by entry as `split`
        gives the state, real or complex; decay may lack the axes [K, B]. Nothing: the recurrence is another one."""
        return ()

    def slots(self, tape: Tensor) -> Rows:
        """The views of the tape that `advance` reads and writes."""
        return (tape,)

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        """Write s_t into `after`, and what the way back needs into the tape."""
        after[0].copy_(self.step(slot[0], before[0]))

    # ---- backward

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        """The coefficients of every row's ds_t/ds_{t-1}, and the views of `delta` that `pull` fills."""
        return tape, before, delta

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        """out += (ds_t/ds_{t-1})^T a for one step, and delta. May be called again for the same step with another a."""
        z, s, delta = c
        dz, ds = pull_back(self.step, (z, s), a[0])
        delta.copy_(dz)
        out[0].add_(ds)

    def drive(self, delta: Tensor) -> Tensor:
        """dL/dz_t [N, Z]."""
        return delta

    def recurrent(self, delta: Tensor) -> Tensor | None:
        """dL/d(W h_{t-1}) [N, Z], gate by gate; None if the cell does not say."""
        return None

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        """{name: gradient of the parameters of `step`} from the adjoints of all rows and what `pull` left of them."""
        return self._autograd(lambda z: self.step(z, before), tape, a, input_too=False)[1]

    def hidden_gradients(self, after: Tensor, dh: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(ds [N, S], {name: gradient of the parameters of `hidden`, if it has any}) of all rows."""
        if type(self).hidden is not Cell.hidden:
            return self._autograd(self.hidden, after, dh, input_too=True)
        return (dh if self.blocks == 1 else nn.functional.pad(dh, (0, self.state_size - self.size))), {}

    def project_gradients(self, x: Tensor, dz: Tensor, *, input_too: bool) -> tuple[Tensor | None, dict[str, Tensor]]:
        """(dx [N, I], or None unless asked; {name: gradient of the parameters of `project`}) of all rows."""
        if type(self).project is not Cell.project:
            return self._autograd(self.project, x, dz, input_too=input_too)
        return dz @ self.U if input_too else None, {"U": dz.t() @ x, "b": dz.sum(0)}

    def _autograd(self, function: Callable[[Tensor], Tensor], at: Tensor, a: Tensor, *, input_too: bool):
        """(input's gradient or None, {name: gradient}) of one of the maps above, by autograd."""
        named = {name: p for name, p in self.named_parameters() if p.requires_grad}
        with torch.enable_grad():
            at = at.detach().requires_grad_(input_too)
            wanted = [*([at] if input_too else []), *named.values()]
            if not wanted or not (y := function(at)).requires_grad:  # a step may have no parameters of its own
                return None, {}
            found = list(torch.autograd.grad(y, wanted, a, allow_unused=True))
        d_at = found.pop(0) if input_too else None
        return d_at, {name: g for name, g in zip(named, found, strict=True) if g is not None}


def pull_back(function: Callable[..., Tensor], at: tuple[Tensor, ...], a: Tensor) -> tuple[Tensor, ...]:
    """(d function / d at)^T a for each argument, by autograd."""
    with torch.enable_grad():
        at = tuple(x.detach().requires_grad_() for x in at)
        found = torch.autograd.grad(function(*at), at, a, allow_unused=True)
    return tuple(torch.zeros_like(x) if g is None else g for x, g in zip(at, found, strict=True))


def accumulate(total: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    """Add gradients to the sum so far, in place: a parameter may get a part from several places."""
    for name, g in found.items():
        total[name] = total[name].add_(g) if name in total else g


def _computed(module: nn.Module | None, done: dict[int, nn.Module]) -> nn.Module | None:
    """The module itself, or a shallow copy in which what a parametrisation computes stands as a weight."""
    if module is None or id(module) in done:
        return done.get(id(module))
    names = list(module.parametrizations) if is_parametrized(module) else []
    inner = {name: _computed(m, done) for name, m in module._modules.items() if not (names and name == PARAMETRISED)}
    done[id(module)] = module
    if names or any(m is not module._modules[name] for name, m in inner.items()):
        done[id(module)] = twin = object.__new__(type_before_parametrizations(module))
        weights = module._parameters | {name: getattr(module, name) for name in names}
        twin.__dict__ = {**vars(module), "_modules": inner, "_parameters": weights}
    return done[id(module)]
