"""Slow, obvious twins of the engine: the same quantities by autograd on an unrolled loop, or by torch.nn."""

import importlib
import pkgutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import yaml
from torch import nn

import rnnlab.cells
from rnnlab.cells import LSTM, Cell, Elman, ProjectedLSTM
from rnnlab.cells.deep_transition import DeepTransition
from rnnlab.networks import Stack
from tests.choices import files


def from_conf(path: Path) -> Callable[[int, int], Cell]:
    """The cell of a file, with its settings."""
    values = yaml.safe_load(path.read_text())
    module, _, name = values.pop("_target_").rpartition(".")
    return partial(getattr(importlib.import_module(module), name), **values)


# Every cell that a user can choose, one of their own too, and the variants whose mathematics differs.
CELLS = {name: from_conf(path) for name, path in files("cell").items() if name != "elman"} | {
    "tanh": partial(Elman, activation="tanh"),
    "relu": partial(Elman, activation="relu"),
    "sigmoid": partial(Elman, activation="sigmoid"),
    "identity": partial(Elman, activation="identity"),
    "modrelu": partial(Elman, activation="modrelu"),
    "projected": partial(ProjectedLSTM, memory=5),
    "deep_transition": partial(DeepTransition, cell=partial(Elman, activation="tanh"), maps=3, shortcut=False),
    "deep_shortcut": partial(DeepTransition, cell=LSTM, maps=2, shortcut=True),
}
TORCH = {
    "tanh": partial(nn.RNN, nonlinearity="tanh"),
    "relu": partial(nn.RNN, nonlinearity="relu"),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


def every_cell() -> set[type[Cell]]:
    """All cells of the package, one per file."""
    modules = (importlib.import_module(f"rnnlab.cells.{m.name}") for m in pkgutil.iter_modules(rnnlab.cells.__path__))
    classes = (value for module in modules for value in vars(module).values())
    return {c for c in classes if isinstance(c, type) and issubclass(c, Cell) and c is not Cell}


def random_cell(name: str, inputs: int = 3, size: int = 4) -> Cell:
    """A cell whose every parameter, biases too, is random: no symmetry for a bug to hide behind."""
    cell = CELLS[name](inputs, size)
    for p in cell.parameters():
        nn.init.normal_(p, std=0.7)
    return cell


class Plain(Cell):
    """A cell that writes nothing but its definition: everything else is the base class's autograd."""

    def __init__(self, cell: Cell):
        nn.Module.__init__(self)
        self.inner, self.inputs, self.size = cell, cell.inputs, cell.size
        self.gates, self.blocks = cell.gates, cell.blocks

    @property
    def state_size(self):
        return self.inner.state_size

    @property
    def tape_size(self):
        return self.inner.project(torch.zeros(self.inputs)).shape[-1]  # the drive

    delta_size = tape_size

    def project(self, x):
        return self.inner.project(x)

    def step(self, z, s):
        return self.inner.step(z, s)

    def hidden(self, s):
        return self.inner.hidden(s)


def unrolled(cell: Cell, x: torch.Tensor, s_0: torch.Tensor) -> list[torch.Tensor]:
    """s_0 .. s_T by a loop under autograd; each retains its gradient."""
    states = [s_0.detach().requires_grad_()]
    for z in cell.project(x).unbind(0):
        states.append(cell.step(z, states[-1]))
    for s in states[1:]:
        s.retain_grad()
    return states


# A network without any of the depths that a Stack offers beside that of its layers.
SHALLOW = {
    "input_layers": 0,
    "transition": 1,
    "shortcut": False,
    "output_layers": 0,
    "activation": "tanh",
    "residual": False,
    "layer_norm": False,
    "truncate": None,
}


def stack_of(name: str, **settings) -> Stack:
    """A Stack with random parameters, biases too."""
    given = {
        "inputs": 3,
        "outputs": 2,
        "hidden": 4,
        "depth": 2,
        "direction": "bidirectional",
        "readout": "each",
        **SHALLOW,
    }
    network = Stack(CELLS[name], **{**given, **settings})
    for p in network.parameters():
        nn.init.normal_(p, std=0.5)
    return network


def copy_into_torch(network: Stack, kind: str) -> nn.Module:
    """A torch.nn.RNN, LSTM or GRU with the parameters of a Stack; its second bias is 0 but for the GRU's q."""
    H, first = network.hidden, network.layers[0][0]
    twin = TORCH[kind](first.inputs, H, len(network.layers), bidirectional=len(network.directions) == 2)
    with torch.no_grad():
        for depth, layer in enumerate(network.layers):
            for cell, end in zip(layer, ("", "_reverse"), strict=False):
                getattr(twin, f"weight_ih_l{depth}{end}").copy_(cell.U)
                getattr(twin, f"weight_hh_l{depth}{end}").copy_(cell.W)
                getattr(twin, f"bias_ih_l{depth}{end}").copy_(cell.b)
                getattr(twin, f"bias_hh_l{depth}{end}").zero_()
                if kind == "gru":
                    getattr(twin, f"bias_hh_l{depth}{end}")[2 * H :] = cell.q
    return twin


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference, over the largest entry of b; 0 where both are all zero."""
    return ((a - b).abs().max() / b.abs().max().clamp_min(torch.finfo(b.dtype).tiny)).item()
