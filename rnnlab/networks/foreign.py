"""A user's own torch.nn.RNN, LSTM or GRU, repeated by our cells on the same weights."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from rnnlab.cells import GRU, LSTM, Cell, Elman, ProjectedLSTM
from rnnlab.networks.trajectory import Link, Pass, Trajectory, spans, turn
from rnnlab.scan import scan

FOREIGN = (nn.RNN, nn.LSTM, nn.GRU)
States = tuple[Float[Tensor, "LD B _"], ...]  # h and, for an LSTM, c; row 2 l + d is layer l, direction d


class Layout(NamedTuple):
    """How the tensors of one call are laid out: packed, without a batch, batch first or time first.

    A packed batch is unpacked in its order of falling lengths, so states are brought into that order too.
    """

    batch_first: bool
    batched: bool
    packing: PackedSequence | None

    @staticmethod
    def of(module: nn.RNNBase, x: Tensor | PackedSequence) -> "Layout":
        packed = isinstance(x, PackedSequence)
        return Layout(module.batch_first, packed or x.ndim == 3, x if packed else None)

    @property
    def lengths(self) -> Int[Tensor, " B"] | None:
        if self.packing is None:
            return None
        sizes = self.packing.batch_sizes
        return (sizes > torch.arange(int(sizes[0]))[:, None]).sum(1)

    def sequence(self, v: Tensor) -> Float[Tensor, "T B _"]:
        """An input or output of the module, time first and padded with zeros."""
        if self.packing is not None:
            return pad_packed_sequence(PackedSequence(v, self.packing.batch_sizes))[0]
        if not self.batched:
            return v[:, None]
        return v.transpose(0, 1) if self.batch_first else v

    def states(self, v: Tensor) -> Float[Tensor, "LD B _"]:
        """An initial or final state, with a batch and in the order of `sequence`."""
        v = v if self.batched else v[:, None]
        order = None if self.packing is None else self.packing.sorted_indices
        return v if order is None else v.index_select(1, order)


def data_of(v: Tensor | PackedSequence) -> Tensor:
    return v.data if isinstance(v, PackedSequence) else v


def weights_of(module: nn.RNNBase) -> dict[str, Tensor]:
    """The weights of the module's last forward pass by their names, parametrised ones as they were computed."""
    return dict(zip(module._flat_weights_names, module._flat_weights, strict=True))


def directions_of(module: nn.RNNBase) -> tuple[str, ...]:
    return ("forward", "backward") if module.bidirectional else ("forward",)


def cell_of(module: nn.RNNBase, weights: Mapping[str, Tensor], layer: int, direction: str) -> Cell:
    """The cell of a layer and direction, on the weights of torch.nn:

        U = W_ih      W = W_hh      b = b_ih + b_hh      GRU: b_hn is no part of b but q      projection: V = W_hr

    It shares them in float32 and float64; weights in half precision become float32.
    """
    end = f"_l{layer}" + ("_reverse" if direction == "backward" else "")
    found = {name.removesuffix(end): w.detach() for name, w in weights.items() if name.endswith(end)}
    found = {name: w.to(torch.promote_types(w.dtype, torch.float32)) for name, w in found.items()}
    U, W = found["weight_ih"], found["weight_hh"]
    zero = W.new_zeros(len(W))
    b_ih, b_hh = found.get("bias_ih", zero), found.get("bias_hh", zero)
    shared = {"U": U, "W": W, "b": b_ih + b_hh}
    if "weight_hr" in found:
        cell = ProjectedLSTM(U.shape[1], module.proj_size, memory=module.hidden_size)
        shared["V"] = found["weight_hr"]
    elif isinstance(module, nn.LSTM):
        cell = LSTM(U.shape[1], module.hidden_size)
    elif isinstance(module, nn.GRU):
        cell, H = GRU(U.shape[1], module.hidden_size), module.hidden_size
        shared |= {"b": torch.cat([(b_ih + b_hh)[: 2 * H], b_ih[2 * H :]]), "q": b_hh[2 * H :]}
    else:
        cell = Elman(U.shape[1], module.hidden_size, activation=module.nonlinearity)
    for name, w in shared.items():
        setattr(cell, name, nn.Parameter(w, requires_grad=False))
    return cell


def dropout_acts(module: nn.RNNBase) -> bool:
    return module.training and module.dropout > 0 and module.num_layers > 1


def masks_of(module: nn.RNNBase, layout: Layout, out: Tensor, random_state: Tensor) -> dict[int, Tensor]:
    """The dropout masks of a call: layer -> what its output was multiplied with, [T, B, D].

    On the CPU torch.nn draws them one layer after the other, in the shape and dtype of the module's output `out`; so
    they are drawn again from the random state before the call, and the present state is put back.
    """
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(random_state)
        drawn = [dropout(torch.ones_like(out), module.dropout) for _ in range(module.num_layers - 1)]
    return {layer: layout.sequence(mask) for layer, mask in enumerate(drawn)}


@torch.no_grad()
def trajectory_of(
    module: nn.RNNBase,
    x: Float[Tensor, "T B I"],
    hx: States | None = None,
    *,
    weights: Mapping[str, Tensor] | None = None,
    lengths: Int[Tensor, " B"] | None = None,
    masks: Mapping[int, Tensor] | None = None,
) -> Trajectory:
    """Repeat a forward pass: the states of all layers and directions, by `scan` over cells that share the weights.

    In float64 if the weights are, else in float32. No graph, no random numbers, nothing of the module changes.

    Args:
        x, hx: as `Layout` gives them.
        weights: those of the call, if the module's may have changed since.
        lengths: as in `Trajectory`.
        masks: layer -> what its output was multiplied with on the way up, [T, B, D]: dropout, with its 1 / (1 - p).
    """
    weights = weights_of(module) if weights is None else weights
    passes, out = {}, x
    for layer in range(module.num_layers):
        found = []
        for direction in directions_of(module):
            cell, back = cell_of(module, weights, layer, direction), direction == "backward"
            out = out.to(cell.W.dtype)
            row = len(passes)
            s_0 = None if hx is None else torch.cat([v[row] for v in hx], -1).to(out.dtype)
            h, _, path = scan(cell, turn(out, back), s_0, spans=spans(lengths, len(x), back))
            passes[layer, direction] = Pass(cell, back, path)
            found.append(turn(h, back))
        out = torch.cat(found, -1)
        if masks and layer in masks:
            out = out * masks[layer]
    links = {layer + 1: Link(mask=mask) for layer, mask in (masks or {}).items()}
    return Trajectory(passes, out, lengths=lengths, links=links)
