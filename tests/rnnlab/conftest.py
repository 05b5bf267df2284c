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


@pytest.fixture(params=["compiled", "python"])
def loops(request, monkeypatch):
    """Both ways to run the two loops: compiled, or in parallel; and Python's, which every other user has."""
    if request.param == "python":
        monkeypatch.setattr(kernels, "fits", lambda x: False)
        monkeypatch.setattr(Cell, "parallel", False)
    elif not kernels.available():
        pytest.skip("no C++ compiler")
