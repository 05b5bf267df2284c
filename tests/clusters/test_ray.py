"""Sweeps on a Ray cluster that is joined by its address: a process killed, with and without a second try."""

import importlib.util
import re

import pytest

from tests.clusters import ray_node, sweeps
from tests.clusters.sweeps import TWO_PACKS, TWO_RUNS

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("clusters")]


@pytest.fixture(scope="module")
def ray():
    if importlib.util.find_spec("ray") is None:
        pytest.skip("CLUSTERS NOT TESTED: Ray: ray not found: pip install -c constraints.txt -e '.[ray]'")
    with ray_node.ray_node() as (address, environment):
        yield [f"hydra.launcher.address={address}"], environment


def test_after_a_kill_the_same_command_trains_what_is_missing_alone(ray, start, here, tmp_path):
    address, environment = ray
    folder = tmp_path / "single"
    first = start(tmp_path, "ray", *TWO_PACKS, *address, "hydra.launcher.remote.max_retries=0", env=environment)
    run = sweeps.kill_at_second_member(folder)
    code, output = sweeps.wait(first)
    assert code == 1
    assert re.search(r"^error: ClusterError: Ray: WorkerCrashedError: ", output, re.MULTILINE), output
    before, planned = sweeps.marks(folder), sweeps.planned(folder)
    missing = planned - set(before)
    assert len(planned) == 6
    assert run in missing
    assert len(missing) == 2  # with the last member of its job
    code, output = sweeps.wait(start(tmp_path, "ray", *TWO_PACKS, *address, env=environment))
    assert code == 0, output
    after = sweeps.marks(folder)
    assert {name: after[name] for name in before} == before
    assert sweeps.numbers(folder) == here


def test_ray_itself_hands_the_job_of_a_killed_process_out_again(ray, start, here, tmp_path):
    address, environment = ray
    folder = tmp_path / "single"
    sweep = start(tmp_path, "ray", *TWO_PACKS, *address, env=environment)
    run = sweeps.kill_at_second_member(folder)
    code, output = sweeps.wait(sweep)
    assert code == 0, output
    assert run in sweeps.marks(folder)
    assert sweeps.numbers(folder) == here


def test_a_cluster_that_is_not_there_is_one_line(ray, start, tmp_path):
    code, output = sweeps.wait(start(tmp_path, "ray", *TWO_RUNS, "hydra.launcher.address=127.0.0.1:1"))
    assert code == 1
    assert re.search(r"^error: ClusterError: hydra/launcher=ray: cannot join 127.0.0.1:1: ", output, re.MULTILINE)
    assert "Traceback" not in output
