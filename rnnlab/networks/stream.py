"""A forward network run step by step, as the input comes in."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnnlab.networks.trajectory import Key


class Stream:
    """One step in, one output out: equal to the run over the whole sequence, at one step's cost and memory.

        stream = network.stream()
        y_0 = stream(x_0)        # x [B, I], or tokens [B]; y [B, O]
        y_1 = stream(x_1)

    A readout of the final states gives, at each step, what the answer were if the sequence ended here. No graph is
    kept, nothing of the network changes; several streams of one network are independent. Begin a new one after an
    update of the weights.

    Args:
        network: a `Stack` of forward layers.
        states: initial states, 0 where none is given.

    Raises:
        ValueError: a backward or bidirectional network: its first output depends on the last input.
    """

    def __init__(self, network, states: Mapping[Key, Float[Tensor, "B S"]] = MappingProxyType({})):
        if network.directions != ("forward",):
            kind = "bidirectional" if len(network.directions) == 2 else "backward"
            raise ValueError(
                f"stream needs a forward network, got a {kind} one: its states run from the last input to the first, "
                "so the whole sequence is needed before any output"
            )
        network.check_states(states)
        self.network, self.states = network, dict(states)
        with torch.no_grad():  # what a constraint computes is computed once
            self.cells = [cell.materialised() for cell in network.cells()]

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "B I"] | Int[Tensor, " B"]) -> Float[Tensor, "B O"]:
        self.network.check(x[None], None)
        u, _ = self.network.enter(x)
        for depth, cell in enumerate(self.cells):
            key, v = (depth, "forward"), self.network.between(depth, u)
            s = self.states.get(key)
            s = v.new_zeros(len(v), cell.state_size) if s is None else s
            if len(s) != len(v):
                raise ValueError(f"stream needs the B = {len(s)} samples that it began with, got {len(v)}")
            self.states[key] = s = cell.step(cell.project(v), s)
            h = cell.hidden(s)
            u = h + u if depth and self.network.residual else h
        return self.network.head(u)[0]
