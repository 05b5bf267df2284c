"""The law of each thing in tests/outside/mylab, which no test that walks all cells and all tasks can know."""

import math
from types import SimpleNamespace

import pytest
import torch
import yaml

from rnnlab.cells import LSTM
from rnnlab.scan import adjoint_scan, scan
from tests.choices import OUTSIDE_CONF
from tests.rnnlab.oracles import from_conf, random_cell
from tests.rnnlab.tasks.every import make, seeded


def test_the_package_has_one_python_file_and_one_yaml_file_for_each():
    targets = [yaml.safe_load(path.read_text())["_target_"] for path in OUTSIDE_CONF.rglob("*.yaml")]
    files = {path.stem for path in OUTSIDE_CONF.parent.glob("*.py")} - {"__init__"}
    assert sorted(target.split(".")[1] for target in targets) == sorted(files)


@pytest.mark.parametrize("friction", [0.0, 0.3])
def test_eigenvalues_of_the_antisymmetric_jacobian_have_the_real_part_one_minus_rate_times_friction(friction):
    """At z = 0 and s = 0, where tanh' = 1; the imaginary parts come from W - W^T."""
    cell = random_cell("antisymmetric")
    cell.friction = friction
    z, s = torch.zeros(1, 4), torch.zeros(1, 4)
    J = torch.autograd.functional.jacobian(lambda s: cell.step(z, s)[0], s)[:, 0]
    values = torch.linalg.eigvals(J)
    assert (values.real - (1 - 0.1 * friction)).abs().max() < 1e-12  # rounding
    assert values.imag.abs().min() > 0.01


def test_a_linear_cycle_is_a_delay_line_whose_gradient_changes_by_the_gain_per_step():
    W = from_conf(OUTSIDE_CONF / "init" / "cycle.yaml")(torch.full((5, 5), math.nan), gain=0.5)
    assert (W @ torch.eye(5)[1]).tolist() == [0, 0, 0.5, 0, 0]
    assert W.matrix_power(5).equal(0.5**5 * torch.eye(5))


def test_spread_memories_last_from_one_step_to_the_longest():
    """Without weights the adjoint of c falls by sigmoid(b) = u / (1 + u) per step, with b = log u."""
    cell = LSTM(1, 5)
    ((retain, _),) = cell.memory_biases()
    from_conf(OUTSIDE_CONF / "gate_bias" / "spread.yaml")(retain, None, longest=81)
    path, direct = scan(cell, torch.zeros(3, 1, 1))[2], torch.zeros(4, 1, 10)
    direct[-1, :, 5:] = 1
    times = torch.tensor([1.0, 3, 9, 27, 81])
    assert torch.allclose(adjoint_scan(cell, path, direct)[0, 0, 5:], (times / (1 + times)) ** 3, rtol=1e-12)


def test_the_majority_is_the_token_that_came_more_often():
    x, y, *_ = make("majority", length=7).draw("train", 200, seeded())
    assert y.tolist() == [max(set(sample), key=sample.count) for sample in x.T.tolist()]
    assert 0.3 < y.double().mean() < 0.7  # 1/2 within 5 standard errors


def test_loud_is_the_fraction_of_units_above_the_threshold():
    out = torch.tensor([[[0.95, -0.2], [-0.97, 0.5]], [[0.0, 0.0], [0.0, 0.91]]])
    moment = SimpleNamespace(trajectory=SimpleNamespace(out=out, start=0, stop=2))
    reading = from_conf(OUTSIDE_CONF / "probe" / "loud.yaml")()(moment)
    assert reading.arrays["loud"].tolist() == [0.5, 0.25]
    assert reading.scalars == {"loud": 0.375}
