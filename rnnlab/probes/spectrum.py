"""How much one step of the recurrent product can grow a gradient."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnlab.cells import Cell, Elman
from rnnlab.probes.base import Moment, Reading
from rnnlab.theory import MOMENTS, step_bound


@dataclass(frozen=True)
class Spectrum:
    """smax(W), the largest singular value of each gate's recurrent matrix [H, H].

    Scalars `weights/L0/forward/h/largest_singular_value`; within a deep transition `weights/L0/forward/maps.1.h/...`.
    Beside it, of the basic cell, `.../step_bound`: gamma smax(W) with gamma = max g', by which one step back
    multiplies the norm of a gradient at most, see `theory.step_bound`. In float64.

    Raises:
        NotImplementedError: a cell without a square recurrent matrix.

    Reference:
        Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks, 2013, section 2.1.
    """

    def __call__(self, moment: Moment) -> Reading:
        passes = {key: run.cell for part in moment.trajectory.both for key, run in part.passes.items()}
        scalars = {}
        for (layer, direction), cell in passes.items():
            for name, W in matrices(cell):
                largest = torch.linalg.matrix_norm(W.detach().double(), 2).item()
                head = f"weights/L{layer}/{direction}/{name}"
                scalars[f"{head}/largest_singular_value"] = largest
                if isinstance(cell, Elman) and cell.activation in MOMENTS:
                    scalars[f"{head}/step_bound"] = step_bound(cell.activation, largest_singular_value=largest)
        return Reading(scalars=scalars)


def matrices(cell: Cell) -> Iterator[tuple[str, Tensor]]:
    """The recurrent matrix of each gate, with its name."""
    if not cell.recurrents:
        raise NotImplementedError(f"singular values need a square recurrent matrix, which {type(cell).__name__} lacks")
    for full in cell.recurrents:
        path, _, name = full.rpartition(".")
        of = cell.get_submodule(path)
        for gate, W in zip(of.gates, getattr(of, name).split(of.size), strict=True):
            yield ".".join(filter(None, [path, gate if name == "W" else name])), W
