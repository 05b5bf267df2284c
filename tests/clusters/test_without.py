"""The launchers of the clusters where there is no cluster: these tests run everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START = "import runpy, sys, types; sys.modules['{}'] = {}; runpy.run_module('experiments.train', run_name='__main__')"
NOWHERE = {**os.environ, "PATH": ""}


def train(module: str, found: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", START.format(module, found), *arguments]
    return subprocess.run(command, cwd=ROOT, env=NOWHERE, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize(
    ("launcher", "module", "found", "line"),
    [
        ("slurm", "submitit", "None", "needs submitit: pip install -c constraints.txt -e '.[slurm]'"),
        ("slurm", "submitit", "types", "needs sbatch: start the sweep on a login node of the cluster"),
        ("ray", "ray", "None", "needs ray: pip install -c constraints.txt -e '.[ray]'"),
    ],
)
def test_what_is_not_installed_is_named_in_one_line(launcher, module, found, line, tmp_path):
    result = train(module, found, "-m", f"hydra/launcher={launcher}", "seed=1,2", f"paths.outputs={tmp_path}")
    assert result.returncode == 1
    assert result.stderr.splitlines()[0] == f"hydra/launcher={launcher} {line}"
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("launcher", "module"), [("slurm", "submitit"), ("ray", "ray")])
def test_the_settings_can_be_seen_without_the_extra(launcher, module):
    result = train(module, "None", f"hydra/launcher={launcher}", "--cfg", "hydra", "-p", "hydra.launcher")
    assert result.returncode == 0, result.stderr
    assert f"_target_: hydra_plugins.rnnlab_sweeps.{launcher}" in result.stdout
