"""One forward call of a recurrent module: what is kept of it until its backward pass, and how it is repeated then.

What is kept are references to tensors that autograd holds as well, for its own way back.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from rnnlab.cells import Cell
from rnnlab.networks import Trajectory
from rnnlab.networks.foreign import Layout, data_of, masks_of, trajectory_of, weights_of

PLAIN = (Tensor, nn.Parameter)
LastStates = dict[tuple[int, str], Tensor]


def outputs_of(output: tuple) -> dict[str, Tensor]:
    """What carries the gradient into a recurrent module: "out", "h" and "c" of what it returned; of a Stack, "out"."""
    first, second = output
    if isinstance(second, Trajectory):
        return {"out": second.out}
    return {"out": data_of(first), **dict(zip("hc", second if isinstance(second, tuple) else (second,), strict=False))}


@runtime_checkable
class Call(Protocol):
    """A forward call as `Trace` sees it."""

    def freeze(self) -> None:
        """Copy the weights before the first of them can change: some optimisers act within the backward pass."""

    def trajectory(self) -> Trajectory:
        """The states of the call."""

    def mismatch(self, trajectory: Trajectory) -> float:
        """Largest difference of the repeated outputs from the module's own, over the largest output."""

    def upstream(self, found: dict[str, Tensor], trajectory: Trajectory) -> tuple[Tensor, LastStates]:
        """(dL/d(out) [T, B, D], {(layer, direction): dL/ds_T [B, S]}) from the gradients of what the call returned."""


class ForeignCall:
    """A call of torch.nn.RNN, LSTM or GRU.

    Args:
        random_state: that before the call if dropout acted, else None.
    """

    def __init__(self, module: nn.RNNBase, args: tuple, kwargs: dict, output: tuple, random_state: Tensor | None):
        x, hx = (*args, *(kwargs[name] for name in ("input", "hx") if name in kwargs), None)[:2]
        self.module, self.layout, self.random_state = module, Layout.of(module, x), random_state
        self.x, self.out = data_of(x).detach(), data_of(output[0]).detach()
        self.hx = None if hx is None else tuple(v.detach() for v in (hx if isinstance(hx, tuple) else (hx,)))
        self.weights = weights_of(module)
        self.versions = [v._version for _, v in self._read()]
        self.untouched = self.out._version

    def _read(self) -> Iterator[tuple[str, Tensor]]:
        yield "input", self.x
        yield from (("hx", v) for v in self.hx or ())
        yield from self.weights.items()

    def freeze(self) -> None:
        for (name, v), version in zip(self._read(), self.versions, strict=True):
            if type(v) not in PLAIN:
                raise NotImplementedError(f"trace knows tensors and parameters alone, got {type(v).__name__} as {name}")
            if v._version != version:
                raise RuntimeError(f"{name} was changed in place after the forward call: no trace of it can be taken")
        self.frozen = {name: w.detach().clone() for name, w in self.weights.items()}

    def trajectory(self) -> Trajectory:
        layout = self.layout
        masks = {} if self.random_state is None else masks_of(self.module, layout, self.out, self.random_state)
        hx = None if self.hx is None else tuple(layout.states(v) for v in self.hx)
        x = layout.sequence(self.x)
        return trajectory_of(self.module, x, hx, weights=self.frozen, lengths=layout.lengths, masks=masks)

    def mismatch(self, trajectory: Trajectory) -> float:
        if self.out._version != self.untouched:
            return 0.0  # nothing left to compare with
        out = self.layout.sequence(self.out).to(trajectory.out.dtype)
        return float((trajectory.out - out).abs().max() / out.abs().max().clamp_min(torch.finfo(out.dtype).tiny))

    def upstream(self, found: dict[str, Tensor], trajectory: Trajectory) -> tuple[Tensor, LastStates]:
        out = trajectory.out
        d_out = self.layout.sequence(found["out"]).to(out.dtype) if "out" in found else torch.zeros_like(out)
        last = {name: self.layout.states(found[name]).to(out.dtype) for name in ("h", "c") if name in found}
        d_last: LastStates = {}
        for row, (key, run) in enumerate(trajectory.passes.items() if last else ()):
            d_last[key] = out.new_zeros(out.shape[1], run.cell.state_size)
            for name, v in last.items():
                d_last[key][:, slice(run.cell.size) if name == "h" else slice(run.cell.size, None)] = v[row]
        return d_out, d_last


class StackCall:
    """A call of our own Stack, which hands out its trajectory itself."""

    def __init__(self, trajectory: Trajectory):
        # With its graph it would keep itself alive.
        self.run = replace(trajectory, out=trajectory.out.detach(), last={}, heads=())
        self.versions = [p._version for p in self._read()]

    def _read(self) -> Iterator[Tensor]:
        yield from (p for run in self.run.passes.values() for p in run.cell.parameters())
        yield from (p for link in self.run.links.values() if link.norm for p in link.norm.parameters())

    def freeze(self) -> None:
        if self.versions != [p._version for p in self._read()]:
            raise RuntimeError("a parameter was changed in place after the forward call: no trace of it can be taken")
        passes = {key: run._replace(cell=_frozen(run.cell)) for key, run in self.run.passes.items()}
        links = {depth: link._replace(norm=deepcopy(link.norm)) for depth, link in self.run.links.items()}
        self.frozen = replace(self.run, passes=passes, links=links)

    def trajectory(self) -> Trajectory:
        return self.frozen

    def mismatch(self, trajectory: Trajectory) -> float:
        return 0.0

    def upstream(self, found: dict[str, Tensor], trajectory: Trajectory) -> tuple[Tensor, LastStates]:
        return found["out"], {}


def _frozen(cell: Cell) -> Cell:
    """A copy without a graph: `deepcopy` refuses a weight that a parametrisation has computed."""
    return deepcopy(cell, {id(p): p.detach().clone() for p in cell.parameters()})
