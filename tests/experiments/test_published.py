"""Every published experiment runs at scale smoke, is drawn from its runs, and its claims are held against them."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode

from analysis import cli, drawing, published, style
from experiments.run import run
from experiments.sweeps import members

CONF = Path(__file__).parents[2] / "conf"
HERE = ["scale=smoke", "tracker=none", "checkpoint_seconds=inf"]


def swept(name: str, outputs: Path) -> int:
    """Do every run of the sweep, in this process: what a launcher does is tested elsewhere."""
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        arguments = [f"experiment={name}", *HERE, f"paths.outputs={outputs}"]
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("train", arguments, run_mode=RunMode.MULTIRUN)
        context = HydraContext(config_loader=loader, callbacks=Callbacks(config))
        sweeper = Plugins.instance().instantiate_sweeper(config=config, hydra_context=context, task_function=print)
        sweep, jobs = sweeper.plan(arguments)
        for job in jobs:
            for member in members(compose("train", job), job):
                run(member.config, member.overrides)
    return len(sweep.runs)


EXPERIMENTS = [experiment for experiment in published.EXPERIMENTS if experiment.name != "horizon"]  # .ci/run does


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_an_experiment_runs_draws_and_says_what_holds(experiment, tmp_path, monkeypatch, capsys):
    count = swept(experiment.name, tmp_path)
    folder = tmp_path / experiment.name
    monkeypatch.setattr(cli, "write", lambda path, contents: [])
    found = drawing.look(experiment, folder, "smoke", [], tmp_path / "figures", needed=True)
    assert found.where.startswith(f"drawn from the runs in {folder}, scale smoke, {count} runs")
    drawn = []
    monkeypatch.setattr(style, "save", lambda figure, path: drawn.append((path.name, figure)) or [path])
    drawing.drawn(experiment, found.tables, tmp_path / "figures")
    assert [name for name, _ in drawn] == [figure.name for figure in experiment.figures if figure.name in found.tables]
    for _, figure in drawn:
        assert any(axes.has_data() for axes in figure.axes)
    said = drawing.checked(experiment, found.tables)
    assert bool(said) == (experiment in published.PAPERS)
