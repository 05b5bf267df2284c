"""The tables and the picture of a trace."""

import numpy as np
import pytest
import torch
from torch import nn

import rnnlab
from rnnlab.statistics import STATISTICS
from tests.rnnlab.tracing.checks import inputs, of, random_module

PROFILE = ["step", "module", "call", "layer", "direction", "part", "gate", "time", "statistic", "log10"]
WEIGHTS = ["step", "module", "call", "layer", "direction", "gate", "time", "log10", "cancellation"]


@pytest.fixture
def trace() -> rnnlab.trace:
    """Two modules, one of them called twice in each of 11 steps; the loss leaves out the last step of each."""
    model = nn.ModuleDict({"a": random_module("lstm", num_layers=2, bidirectional=True), "b": random_module("gru")})
    with rnnlab.trace(model, every=1) as trace:
        for _ in range(11):
            sum(model[name](inputs())[0][:-1].sum() for name in "aba").backward()
            with torch.no_grad():
                for p in model.parameters():
                    p.mul_(0.9)
    return trace


def test_each_row_of_a_table_stands_for_one_number(trace):
    profiles, weights = trace.profiles(), trace.weights()
    assert profiles.columns.tolist() == [*PROFILE, "zeros", "nonfinite"]
    assert weights.columns.tolist() == WEIGHTS
    assert not profiles.duplicated(PROFILE[:-1]).any()
    assert not weights.duplicated(WEIGHTS[:-2]).any()
    assert (profiles.log10.dtype, weights.log10.dtype) == (np.float64, np.float64)
    calls = {("a", 0): 2 * 2 * (2 + 4), ("a", 1): 2 * 2 * (2 + 4), ("b", 0): 1 + 3}  # series: h, c and one per gate
    sizes = profiles.groupby(["module", "call"]).size().to_dict()
    assert sizes == {key: 11 * series * len(STATISTICS) * 7 for key, series in calls.items()}


def test_an_untraced_model_has_empty_tables_with_the_same_columns():
    trace = rnnlab.trace(nn.GRU(2, 2))
    assert trace.profiles().columns.tolist() == [*PROFILE, "zeros", "nonfinite"]
    assert trace.weights().columns.tolist() == WEIGHTS
    assert len(trace.profiles()) == len(trace.weights()) == 0


def test_the_picture_shows_the_medians_of_the_table(trace):
    """A row per module and layer, a column per direction and part; first and last step are among the 8 drawn."""
    figure = trace.plot()
    *panels, bar = figure.axes
    assert bar.get_ylabel() == "backward passes so far"
    rows = [panels[k : k + 4] for k in range(0, 12, 4)]
    titles = [ax.get_title() for ax in rows[0]]
    assert titles == [f"||dL/d{part}_t||, {way}" for part in "hc" for way in ("forward", "backward")]
    assert [row[0].get_ylabel().split("\n")[0] for row in rows] == ["a, layer 0", "a, layer 1", "b, layer 0"]
    assert [[len(ax.lines) for ax in row] for row in rows] == [[8 * 2] * 4, [8 * 2] * 4, [8, 0, 0, 0]]
    assert [ax.get_visible() for ax in rows[2]] == [True, False, False, False]  # a GRU has no c, and no way back here
    gru, lines = of(trace.profiles(), module="b", part="h", statistic="q50"), rows[2][0].lines
    for line, step in ((lines[0], 0), (lines[-1], 10)):
        assert np.array_equal(line.get_ydata(), of(gru, step=step).log10)
    assert len({line.get_color() for line in lines}) == 8
    assert gru.log10.iloc[6] == -np.inf  # the last step has no gradient: a gap, never a number
    assert all(np.isfinite(limit) for limit in rows[2][0].get_ylim())
    figure.draw_without_rendering()
