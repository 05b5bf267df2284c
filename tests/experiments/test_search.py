"""What a search looks for is what its runs have measured."""

import json
import math
import subprocess
import sys

import pytest

from analysis import tables
from experiments.build import BadInput
from experiments.search import horizon, longest_solved
from tests.experiments.test_train import ROOT, TINY

LENGTHS = [10, 20, 40, 80]


@pytest.mark.parametrize(("memory", "longest", "tried"), [(5, 0, 1), (20, 20, 3), (39, 20, 3), (1000, 80, 4)])
def test_longest_solved_goes_up_until_it_fails(memory, longest, tried):
    lengths = []

    def train(values):
        (value,) = values
        lengths.append(int(value.removeprefix("task.length=")))
        return {"outcome": "solved" if lengths[-1] <= memory else "stuck"}

    assert longest_solved(train, lengths=LENGTHS) == longest
    assert lengths == LENGTHS[:tried]


@pytest.mark.parametrize("lengths", [[], [20, 10], [10, 10]])
def test_lengths_that_do_not_increase_are_refused(lengths):
    with pytest.raises(BadInput, match=r"objective.lengths: needs lengths in increasing order, got \["):
        longest_solved(lambda values: {}, lengths=lengths)


def ended(folder, outcome: str, **last: float | str):
    rows = [{"step": 0, "adjoint/L0/forward/h/horizon": 50.0}, {"step": 5, **last}]
    (folder / "scalars.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return lambda values: {"outcome": outcome, "folder": str(folder)}


def test_the_horizon_is_the_longest_of_the_trained_network(tmp_path):
    found = {"adjoint/L0/forward/h/horizon": 7.0, "adjoint/L1/backward/c/horizon": 9.0, "grad/norm": 99.0}
    assert horizon(ended(tmp_path, "stuck", **found)) == 9
    assert horizon(ended(tmp_path, "solved", **{**found, "adjoint/L2/forward/h/horizon": "nan"})) == 9
    assert horizon(ended(tmp_path, "diverged", **found)) == 0


def test_without_the_probe_there_is_no_horizon(tmp_path):
    (tmp_path / "scalars.jsonl").write_text('{"step": 0, "train/loss": 1.0}\n')
    with pytest.raises(BadInput, match="needs the probe `profile`"):
        horizon(lambda values: {"outcome": "stuck", "folder": str(tmp_path)})


@pytest.mark.optuna
def test_optuna_searches_over_runs_with_records(tmp_path):
    pytest.importorskip("optuna", reason="OPTUNA NOT TESTED: the extra `optuna` is not installed")
    command = [sys.executable, "-m", "experiments.train", "-m", f"paths.outputs={tmp_path}", *TINY, "steps=2"]
    command += ["hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra.sweeper.n_trials=4"]
    command += ["objective=horizon", "optimizer.lr=tag(log, interval(1e-4, 1e-1))", "cell=elman,gru"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    runs = tables.runs(tmp_path / "single")
    assert len(runs) == 4
    assert all(1e-4 <= rate <= 1e-1 for rate in runs["optimizer.lr"])
    best = (tmp_path / "single" / "optimization_results.yaml").read_text()
    value = float(best.rpartition("best_value: ")[2])
    assert value == runs["adjoint/L0/forward/h/horizon"].max()
    assert math.isfinite(value)
