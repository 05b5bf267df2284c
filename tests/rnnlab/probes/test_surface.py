"""The error surface in the record: at its place in the grid, along its ridge, and what descent does with it."""

from functools import partial

import pytest
import torch

from rnnlab.probes import Surface
from rnnlab.scalar import error, wall
from tests.rnnlab.oracles import stack_of
from tests.rnnlab.probes.test_weights import moment_of

SETTINGS = {"length": 30, "start": 0.5, "target": 0.7, "weights": [4.0, 6.0], "biases": [-3.5, -1.5], "points": 5}
SETTINGS |= {"descents": [[5.0, -2.3], [5.5, -3.2]], "rate": 0.1, "threshold": 0.3, "updates": 4}
OF = {"activation": "sigmoid", "length": 30, "start": 0.5, "target": 0.7}


def read(**settings) -> dict[str, torch.Tensor]:
    network = stack_of("sigmoid", depth=1, direction="forward")
    reading = Surface(**{**SETTINGS, **settings})(moment_of(network, torch.randn(4, 2, 3)))
    assert not reading.scalars
    assert not reading.arrays
    return {name.removeprefix("surface_"): torch.tensor(value) for name, value in reading.axes.items()}


def test_each_point_of_the_grid_is_the_error_at_its_weight_and_bias():
    found = read(points=4)
    assert found["w"].tolist() == pytest.approx([4, 4 + 2 / 3, 4 + 4 / 3, 6])
    assert found["b"].tolist() == pytest.approx([-3.5, -3.5 + 2 / 3, -3.5 + 4 / 3, -1.5])
    one = error(found["w"][3], found["b"][1], **OF)
    for name, value in (("loss", one.value), ("gradient", one.gradient_norm), ("curvature", one.curvature)):
        assert found[name][3, 1].item() == pytest.approx(value.item(), rel=1e-12)


def test_the_ridges_are_on_the_wall_and_theory_stands_beside_them():
    found = read()
    line, norm = wall(found["w"], **OF)
    assert torch.equal(found["wall_b"], line)
    assert torch.equal(found["wall_gradient"], norm)
    for name in ("gradient", "curvature"):
        assert (found[f"{name}_b"] - line)[2:].abs().max() < 0.02
        assert (found[f"{name}_top"] >= found[name].amax(1)).all()  # the best of a grid is no better
    at = error(found["w"], found["curvature_b"], **OF)
    assert torch.equal(found["curvature_top"], at.curvature)


def test_paths_begin_at_each_start_without_clipping_and_then_with_it():
    found = read()
    assert found["clipped"].tolist() == [False, False, True, True]
    starts = torch.stack([found["path_w"], found["path_b"]], -1)[:, 0]
    assert starts.tolist() == [[5.0, -2.3], [5.5, -3.2]] * 2
    steps = torch.hypot(found["path_w"].diff(dim=1), found["path_b"].diff(dim=1))
    assert steps[2:].max() <= 0.1 * 0.3 * (1 + 1e-12)
    gradient = partial(error, **OF)(found["path_w"][:, 0], found["path_b"][:, 0]).gradient_norm
    assert torch.allclose(steps[:2, 0], 0.1 * gradient[:2])
    assert torch.allclose(found["path_loss"], error(found["path_w"], found["path_b"], **OF).value)


def test_another_cell_and_an_empty_region_are_refused():
    moment = moment_of(stack_of("gru", depth=1, direction="forward"), torch.randn(4, 2, 3))
    with pytest.raises(NotImplementedError, match="the error surface of one unit needs the cell elman, got GRU"):
        Surface(**SETTINGS)(moment)
    with pytest.raises(ValueError, match=r"surface needs weights \[from, to\] with from < to, got \[6.0, 4.0\]"):
        Surface(**{**SETTINGS, "weights": [6.0, 4.0]})
    with pytest.raises(ValueError, match="surface needs points >= 2, got 1"):
        Surface(**{**SETTINGS, "points": 1})
