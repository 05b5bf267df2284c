"""Any cell x any task x any depth x any direction composes, and its profile is that of autograd on an unrolled loop.

Each test takes one cell and one task through all depths and directions, a few of the pairs each, so that all cells meet
all tasks, and all of both meet all depths and directions.
"""

from itertools import product

import pytest
import torch
from torch import nn

from rnnlab.networks import EncoderDecoder, Stack
from tests.rnnlab.networks.test_depth import DEPTHS, DIRECTIONS
from tests.rnnlab.oracles import CELLS, SHALLOW
from tests.rnnlab.tasks.every import NAMES, make, settings
from tests.rnnlab.unrolled import check

VARIANTS = list(product([{}, *DEPTHS.values()], DIRECTIONS))
TASKS = [name for name in NAMES if name != "mnist"]  # `digits` with 784 steps, over which the twin underflows
EACH = 2  # variants of a pair of cell and task, one where T > 20: all pairs together see each of the 27 many times


def tiny(name: str):
    """The task at the least length that it takes."""
    if "length" not in settings(name):
        return make(name)
    for length in range(2, 100):
        try:
            return make(name, length=length)
        except ValueError:
            continue
    raise AssertionError(f"{name} takes no length up to 100")


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("cell", CELLS)
def test_it_composes_and_its_profile_is_that_of_an_unrolled_loop(cell, name):
    task, seed = tiny(name), list(CELLS).index(cell) * len(TASKS) + TASKS.index(name)
    batch = task.draw("train", 2, torch.Generator().manual_seed(seed), dtype=torch.float64)
    kind = EncoderDecoder if task.readout == "decoder" else Stack
    for k in range(EACH if task.steps <= 20 else 1):
        depth, direction = VARIANTS[(EACH * seed + k) % len(VARIANTS)]
        given = {"inputs": task.inputs, "outputs": task.outputs, "hidden": 4, "depth": 1, "direction": direction}
        network = kind(CELLS[cell], **{**given, "readout": task.readout, **SHALLOW, **depth})
        torch.manual_seed(seed)
        for p in network.parameters():
            nn.init.normal_(p, std=0.4)
        check(network, batch, task, task.scored)
