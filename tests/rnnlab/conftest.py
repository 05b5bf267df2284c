"""float64 and a fixed seed unless a test says otherwise."""

import pytest
import torch

from rnnlab import kernels
from rnnlab.cells import Cell


@pytest.fixture(autouse=True)
def double_precision_and_one_seed():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before)


def pytest_collection_modifyitems(config, items):
    """A cell without faster loops of its own runs the same code both ways: once is enough."""
    from tests.rnnlab.oracles import CELLS  # here, after the type checker has been put between

    cells = {name: make(3, 4) for name, make in CELLS.items()}
    slow = {name for name, cell in cells.items() if not {"kernel", "diagonal"} & vars(type(cell)).keys()}
    given = {item: item.callspec.params for item in items if hasattr(item, "callspec")}
    twice = [item for item, p in given.items() if p.get("loops") == "compiled" and p.get("name") in slow]
    config.hook.pytest_deselected(items=twice)
    items[:] = [item for item in items if item not in set(twice)]


@pytest.fixture(params=["compiled", "python"])
def loops(request, monkeypatch):
    """Both ways to run the two loops: compiled, or in parallel; and Python's, which every other user has."""
    if request.param == "python":
        monkeypatch.setattr(kernels, "fits", lambda x: False)
        monkeypatch.setattr(Cell, "parallel", False)
    elif not kernels.available():
        pytest.skip("no C++ compiler")
