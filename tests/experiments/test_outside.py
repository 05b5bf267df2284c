"""A cell, an init, a gate bias, a task and a probe of a package outside the clone, from the command line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from experiments.run import run
from tests.choices import CONF, OUTSIDE, ROOT

TINY = ["network.hidden=6", "batch=4", "held_out=8", "steps=3", "evaluate_every=3", "tracker=none", "dtype=float64"]
FILES = [
    "cell=antisymmetric",
    "init=cycle",
    "gate_bias=spread",
    "task=majority",
    "task.length=7",
    "+probe@probes.loud=loud",
]
PATHS = [
    "cell._target_=mylab.antisymmetric.Antisymmetric",
    "~cell.activation",
    "+cell.rate=0.1",
    "+cell.friction=0.05",
    "init._target_=mylab.cycle.cycle_",  # takes a gain, as the init that it replaces
    "~gate_bias",
    "+gate_bias={_target_: mylab.spread.spread_bias_, longest: 100}",
    "~task",
    "+task={_target_: mylab.majority.Majority, length: 7, solved_error: 0.01}",
    "+probes.loud={_target_: mylab.loud.Loud, threshold: 0.9}",
]


@pytest.fixture
def home(tmp_path) -> Path:
    """A folder of the user's own, with their package in it."""
    shutil.copytree(OUTSIDE / "mylab", tmp_path / "home" / "mylab", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "home"


def train(folder: Path, importable: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Stand in a folder, with another one installed, and type the command."""
    command = [sys.executable, "-W", "error::FutureWarning", "-m", "experiments.train", *arguments]
    env = {**os.environ, "PYTHONPATH": str(importable)}
    return subprocess.run([*command, *TINY], cwd=folder, env=env, capture_output=True, text=True, timeout=200)


def the_run(out: Path) -> Path:
    (run,) = (out / "single").iterdir()
    return run


def test_their_files_and_their_import_paths_give_one_and_the_same_run(home, tmp_path):
    """By name from the user's folder, where rnnlab is installed; by import path from the clone, in this process, where
    theirs is installed (tests.choices).
    """
    result = train(home, ROOT, "--config-dir=mylab/conf", *FILES)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    by_name = the_run(home / "outputs")
    with initialize_config_dir(str(CONF), version_base="1.3"):  # as in the clone
        run(compose("train", [*PATHS, *TINY, f"paths.outputs={tmp_path}"]))
    by_path = the_run(tmp_path)
    assert by_name.name == by_path.name  # the id is a hash of the configuration
    config = json.loads((by_name / "config.json").read_text())["config"]
    assert config["cell"] == {"_target_": "mylab.antisymmetric.Antisymmetric", "rate": 0.1, "friction": 0.05}
    assert config["task"] == {"_target_": "mylab.majority.Majority", "length": 7, "solved_error": 0.01}
    done = json.loads((by_name / "done.json").read_text())
    assert done["outcome"] == "stuck"
    assert done["steps"] == 3
    first, *_ = (json.loads(line) for line in (by_name / "scalars.jsonl").read_text().splitlines())
    with np.load(by_name / "profiles.npz") as data:
        assert data["step"].tolist() == [0, 1, 2, 3]
        assert data["loud"].shape == (4, 7)
        assert first["loud"] == pytest.approx(data["loud"][0].mean(), rel=1e-12)
        assert data["loud_time"].tolist() == list(range(7))
        assert np.isfinite(data["log10_norm"]).all()
        again = np.load(by_path / "profiles.npz")
        assert all(np.array_equal(data[name], again[name]) for name in data.files)
    weights = torch.load(by_name / "weights.pt", weights_only=True)
    start = torch.eye(6).roll(1, 0)  # moved by three updates of Adam at 0.001
    assert (weights["layers.0.0.W"] - start).abs().max().item() == pytest.approx(0.003, rel=0.2)
