"""The dashboard names what runs have, and a push of it arrives, again and again."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from experiments import replay, run, workspace
from experiments.tracking import WandbTracker
from rnnlab import kernels
from tests.experiments.wandb_client import KEY, leet, nobody
from tests.experiments.wandb_server import Server, serve

pytest.importorskip("wandb_workspaces", reason="the extra `workspace` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")  # of wandb_workspaces itself

CONF = Path(__file__).parents[2] / "conf"
TINY = ["task.length=12", "network.hidden=4", "batch=3", "held_out=8", "evaluate_every=5", "steps=5", "tracker=none"]


@pytest.fixture
def client(tmp_path) -> Iterator[pytest.MonkeyPatch]:
    kernels.available()  # compiled once, in the home of the user
    with nobody(tmp_path / "home") as patch:
        yield patch


@pytest.fixture
def server(client) -> Iterator[Server]:
    with serve() as server:
        client.setenv("WANDB_BASE_URL", server.url)
        client.setenv("WANDB_API_KEY", KEY)
        yield server


def named() -> dict[str, set[str]]:
    """The names in the workspace, by what they are of."""
    import wandb_workspaces.reports.v2 as wr

    found: dict[str, set[str]] = {"history": set(), "pattern": set(), "summary": set(), "config": set(), "table": set()}
    for section in workspace.sections(lambda chart: chart):
        for panel in section.panels:
            match panel:
                case wr.LinePlot(x=x, y=y, metric_regex=pattern):
                    found["history"] |= {x, *y}
                    found["pattern"] |= {pattern} - {None}
                case wr.ScatterPlot(x=x, y=y):
                    found["config"].add(x.name)
                    found["summary"].add(y.name)
                case wr.BarPlot(metrics=metrics, groupby=group):
                    found["summary"] |= set(metrics)
                    found["config"] |= {group.name} if group else set()
                case wr.MediaBrowser(media_keys=keys):
                    found["history"] |= set(keys)
                case wr.CustomChart(query=query):
                    found["table"].add(query["summaryTable"]["tableKey"])
                case wr.MarkdownPanel():
                    pass
                case _:
                    raise AssertionError(f"a kind of panel that is not looked into: {panel}")
    for column in workspace.COLUMNS:
        kind, _, name = column.partition(":")
        found[kind].add(name)
    return found


def keys(node: object, prefix: str = "") -> set[str]:
    """Dotted names of all that is in a nested dictionary."""
    if not isinstance(node, dict):
        return {prefix}
    return {prefix}.union(*(keys(value, f"{prefix}.{key}".strip(".")) for key, value in node.items()))


@pytest.mark.parametrize(
    "overrides",
    [["cell=lstm", "network.depth=2"], ["cell=cornn", "network.direction=backward", "task=copying"]],
    ids=["forward", "backward"],
)
def test_every_name_of_the_workspace_is_one_that_a_run_has(tmp_path, client, overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"paths.outputs={tmp_path}", *TINY, *overrides])
    folder = Path(run.run(cfg)["folder"])
    client.setattr(replay, "WORTH_A_PICTURE", 0.0)
    tracker = WandbTracker(mode="offline", project="rnnlab", entity=None)
    replay.replay(folder, tracker)
    found = leet(folder)
    history = set().union(*map(keys, found.history))
    summary, config = keys(found.summary), keys(found.config)
    wanted = named()
    assert all(wanted.values())
    written = history | {name.rpartition(".")[0] for name in history}  # of a picture its path, size, ...
    assert wanted["history"] - written == set()
    assert wanted["summary"] - {"error"} - summary == set()  # of those that fail, see the tests of the tracker
    assert wanted["config"] - config == set()
    assert {pattern for pattern in wanted["pattern"] if not any(re.fullmatch(pattern, key) for key in history)} == set()
    assert wanted["table"] == {workspace.TABLE}
    (table,) = folder.glob(f"wandb/offline-run-*/files/media/table/{workspace.TABLE}*.json")
    assert set(workspace.FIELDS.values()) == set(json.loads(table.read_text())["columns"])


@pytest.mark.parametrize("chart", workspace.CHARTS)
def test_a_chart_uses_the_fields_that_it_is_given(chart):
    text = workspace.spec(chart)
    assert set(re.findall(r"\$\{field:(\w+)\}", text)) == set(workspace.FIELDS)
    assert set(re.findall(r"\$\{string:(\w+)\}", text)) == {"title"}
    parsed = json.loads(text)
    assert parsed["data"] == {"name": "wandb"}
    (slider,) = parsed["params"]
    assert slider["bind"]["input"] == "range"
    assert slider["name"] in json.dumps(parsed["transform"])


def test_a_push_arrives_whole_and_a_second_one_replaces_it(server, client, capsys):
    assert workspace.main(["push", "--entity", "team"]) == 0
    assert capsys.readouterr().out.endswith("/team/rnnlab?nw=rnnlab\n")
    ((entity, project, name), first) = next(iter(server.views.items()))
    assert (entity, project, name, first["displayName"]) == ("team", "rnnlab", "nw-rnnlab-v", "rnnlab")
    sections = json.loads(first["spec"])["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections] == ["Optimisation", "Gradient through time", "Horizon", "Failures"]
    charts = [panel["config"] for panel in sections[1]["panels"] if panel["viewType"] == "Vega2"]
    assert [config["panelDefId"] for config in charts] == [f"team/{workspace.chart_name(c)}" for c in workspace.CHARTS]
    assert all(config["fieldSettings"] == workspace.FIELDS for config in charts)
    assert server.charts == {
        ("team", workspace.chart_name(chart)): json.loads(workspace.spec(chart)) for chart in workspace.CHARTS
    }
    client.setattr(workspace, "COLUMNS", ("summary:outcome",))
    assert workspace.main(["push", "--entity", "team"]) == 0
    assert len(server.charts) == 2
    ((key, second),) = server.views.items()
    assert (key, second["id"]) == (("team", "rnnlab", "nw-rnnlab-v"), first["id"])
    assert "config:seed" in first["spec"]
    assert "config:seed" not in second["spec"]


def test_a_chart_that_changes_is_another_chart(client):
    before = workspace.chart_name("heatmap")
    client.setattr(workspace, "spec", lambda chart: "{}")
    assert workspace.chart_name("heatmap") != before


def test_a_project_that_is_not_there_is_named(server, capsys):
    assert workspace.main(["push", "--entity", "team", "--project", "other"]) == 1
    err = capsys.readouterr().err.splitlines()[-1]
    assert err == "error: there is no project team/other yet: track or replay a run first"


def test_without_a_key_it_is_one_line(client, capsys):
    assert workspace.main(["push", "--entity", "team"]) == 1
    assert capsys.readouterr().err.startswith("error: W&B: UsageError: No API key configured")


def test_without_the_extra_it_says_what_to_install(client, capsys):
    client.setitem(sys.modules, "wandb_workspaces", None)
    assert workspace.main(["show"]) == 1
    line = "error: the dashboard needs one more package: pip install 'rnnlab[workspace]'\n"
    assert capsys.readouterr().err == line


def test_show_prints_the_workspace_without_an_account(client, capsys):
    assert workspace.main(["show"]) == 0
    assert len(json.loads(capsys.readouterr().out)["section"]["panelBankConfig"]["sections"]) == 4
