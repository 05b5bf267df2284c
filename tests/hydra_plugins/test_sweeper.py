"""The packed sweeper plans what Hydra would compose run by run, without what is done."""

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import InstantiationException
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf

from experiments.records import run_id
from experiments.sweeps import Sweep, members, sweeps

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def hydra_is_up():
    with initialize_config_dir(config_dir=str(ROOT / "conf"), version_base="1.3"):
        yield


def plan(*arguments: str) -> tuple[Sweep, list[list[str]]]:
    """What the sweeper makes of `-m` and the arguments, set up by Hydra."""
    loader = GlobalHydra.instance().config_loader()
    config = loader.load_configuration("train", list(arguments), run_mode=RunMode.MULTIRUN)
    context = HydraContext(config_loader=loader, callbacks=Callbacks(config))
    sweeper = Plugins.instance().instantiate_sweeper(config=config, hydra_context=context, task_function=print)
    return sweeper.plan(list(config.hydra.overrides.task))


def of_job(job: list[str]) -> list[tuple[str, list[str]]]:
    """Ids and overrides of the members, as the job finds them."""
    return [(member.id, member.overrides) for member in members(compose("train", job), job)]


def by_hydra(overrides: list[str]) -> str:
    return run_id(OmegaConf.to_container(compose("train", overrides), resolve=True))


GRIDS = {
    "values": ["task.length=12,14", "seed=range(3)"],
    "groups": ["cell=elman,lstm", "init=glorot,identity", "steps=3"],
    "both": ["cell=elman,gru", "optimizer.lr=choice(0.1,1e-3)", "experiment=horizon", "scale=smoke", "init=glorot"],
    "added": ["+network.checkpoint_every=3,5", "seed=1,2"],
    "added probe": ["+probe@probes.drive=drive", "task.length=12,14"],
    "dictionaries": ["clip={threshold: 2.0},{threshold: 3.0}", "schedule=every", "schedule.interval=5,6"],
    "a seed of its own": ["seeds.init=5,6", "seed=0,1"],
    "awkward words": [r"tracker.project='it\'s, [a] {test}','b=c','${seed}'", "seed=0,1"],
    "taken away": ["~clip", "+clip={_target_: rnnlab.train.no_clip}", "seed=0,1"],
    "a part of a layer": ["network.direction=forward,bidirectional", "network.depth=1,2", "+network.truncate=3"],
}


@pytest.mark.parametrize("grid", GRIDS)
def test_each_member_is_what_hydra_composes_from_its_overrides(grid):
    sweep, jobs = plan(*GRIDS[grid])
    found = [run for job in jobs for run in of_job(job)]
    assert dict(found) == sweep.runs
    assert len(found) == len(sweep.runs) >= 2
    for run, overrides in found[:: max(1, len(found) // 4)]:
        assert by_hydra(overrides) == run


def test_a_value_with_quotes_commas_and_braces_arrives_as_it_was():
    _, (job,) = plan("seed=0,1", r"+note='it\'s, [a] {test}=\\','plain'")
    notes = [member.config.note for member in members(compose("train", job), job)]
    assert notes == ["it's, [a] {test}=\\", "plain"] * 2


def test_only_values_are_packed_and_a_job_has_at_most_so_many():
    sweep, jobs = plan("cell=elman,lstm", "seed=range(7)", "hydra.sweeper.pack=3")
    assert [len(of_job(job)) for job in jobs] == [3, 3, 1, 3, 3, 1]
    assert [job[0] for job in jobs] == ["cell=elman"] * 3 + ["cell=lstm"] * 3
    assert len(sweep.runs) == 14


@pytest.mark.parametrize(("launcher", "size"), [("basic", 64), ("elsewhere", 1)])
def test_by_default_a_job_is_full_on_this_machine_and_one_run_on_a_cluster(launcher, size):
    elsewhere = {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}
    ConfigStore.instance().store(group="hydra/launcher", name="elsewhere", node=elsewhere)
    _, jobs = plan("seed=range(70)", f"hydra/launcher={launcher}")
    assert len(of_job(jobs[0])) == size


def test_finished_runs_are_left_out_and_unfinished_ones_are_not(tmp_path):
    arguments = [f"paths.outputs={tmp_path}", "cell=elman,lstm", "seed=0,1"]
    sweep, _ = plan(*arguments)
    first, second, *_ = sweep.runs
    for run, mark in ((first, "done.json"), (second, "failed.json")):
        (sweep.folder / run).mkdir(parents=True)
        (sweep.folder / run / mark).touch()
    again, jobs = plan(*arguments)
    assert again.runs == sweep.runs
    assert {run for job in jobs for run, _ in of_job(job)} == set(sweep.runs) - {first}


def test_a_run_that_is_asked_for_twice_is_done_once():
    sweep, (job,) = plan("task.length=12,12.0,14")
    assert len(of_job(job)) == len(sweep.runs) == 2


def test_an_axis_of_the_command_replaces_that_of_the_experiment():
    whole, _ = plan("experiment=horizon", "scale=smoke")
    sweep, jobs = plan("experiment=horizon", "scale=smoke", "cell=gru")
    assert len(sweep.runs) == len(whole.runs) / 2
    assert all("cell=gru" in job for job in jobs)


def test_grids_are_crossed_with_the_axes_and_not_with_each_other():
    grids = "hydra.sweeper.grids=[{cell: lstm, optimizer.lr: '0.1,0.2'}, {cell: elman, cell.activation: relu}]"
    sweep, jobs = plan("seed=0,1", grids)
    elman = [["seed=0", "cell=elman", "cell.activation=relu"], ["seed=1", "cell=elman", "cell.activation=relu"]]
    lstm = [[f"seed={seed}", "cell=lstm", f"optimizer.lr={lr}"] for seed in (0, 1) for lr in (0.1, 0.2)]
    assert sorted(map(sorted, sweep.runs.values())) == sorted(map(sorted, [*elman, *lstm]))
    assert len(jobs) == 2
    assert {found for job in jobs for found, _ in of_job(job)} == {by_hydra(run) for run in [*elman, *lstm]}


def test_what_the_command_sets_replaces_it_in_every_grid():
    grids = "hydra.sweeper.grids=[{cell: lstm, optimizer.lr: '0.1,0.2'}, {cell: elman, optimizer.lr: 0.3}]"
    sweep, _ = plan(grids, "optimizer.lr=0.5", "cell=gru")
    assert list(sweep.runs.values()) == [["cell=gru", "optimizer.lr=0.5"]]


def test_the_same_sweep_has_the_same_file_in_any_order(tmp_path):
    one, _ = plan(f"paths.outputs={tmp_path}", "seed=0,1", "task.length=12,14")
    other, _ = plan("task.length=14,12", "seed=1,0", f"paths.outputs={tmp_path}")
    assert one.id == other.id
    one.write()
    other.write()
    (found,) = sweeps(tmp_path / "single")
    assert found == other
    assert json.loads(found.file.read_text())["command"] == other.command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["name=a,b"], "name: a sweep has one, got single and a"),
        (["task.lenght=12,14"], "Could not override 'task.lenght'"),
        (["task.length=12,14", "cell=lsmt"], "Could not find 'cell/lsmt'"),
        (["seed=interval(0,1)"], "does not support sweep type : INTERVAL"),
    ],
)
def test_a_wrong_sweep_is_refused_before_anything_is_written(arguments, message, tmp_path):
    with pytest.raises(Exception, match=message):
        plan(f"paths.outputs={tmp_path}", *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pack", [0, 65])
def test_a_wrong_size_is_refused(pack):
    with pytest.raises(InstantiationException) as raised:
        plan("seed=0,1", f"hydra.sweeper.pack={pack}")
    assert f"hydra.sweeper.pack: needs null or 1 to 64 members, got {pack}" in str(raised.value.__cause__)
