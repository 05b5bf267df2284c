"""The dashboard as code: the W&B workspace and its charts, `python -m experiments.workspace --help`.

A chart is a Vega-Lite file in `analysis/charts`; it draws the table `grad/profiles` of each visible run.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from importlib import resources
from typing import Any

from analysis import cli
from experiments.schema import LONGEST, STEP
from experiments.tracking import line

NAME = "rnnlab"
VIEW = f"nw-{NAME}-v"  # in the form that W&B gives to views: the address ends with ?nw=rnnlab
TABLE = "grad/profiles"
FIELDS = {"step": "step", "series": "series", "t": "t", "z": "log10_g"}  # of a chart, and the columns they stand for
CHARTS = {"heatmap": "Gradient through time, over training", "profile": "Gradient profile at a training step"}
COLUMNS = ("summary:outcome", "summary:error", "summary:test/loss", "config:task.length", "config:seed")


def spec(chart: str) -> str:
    """The Vega-Lite file of a chart."""
    return resources.files("analysis").joinpath("charts", f"{chart}.vl.json").read_text()


def chart_name(chart: str) -> str:
    """A name that changes with the file, so that a chart which is there already is the right one."""
    return f"{NAME}-{chart}-{hashlib.sha256(spec(chart).encode()).hexdigest()[:8]}"


def sections(chart_id: Callable[[str], str]) -> list[Any]:
    """The sections of the workspace and their panels.

    Args:
        chart_id: the name under which W&B knows a chart.
    """
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    def lines(title: str, *names: str, log: bool = False) -> wr.LinePlot:
        return wr.LinePlot(title=title, x=STEP, y=list(names), log_y=log)

    def each(title: str, of: str, ending: str) -> wr.LinePlot:
        return wr.LinePlot(title=title, x=STEP, metric_regex=f"{of}/L.*/{ending}$")

    def chart(name: str) -> wr.CustomChart:
        return wr.CustomChart(
            query={"summaryTable": {"tableKey": TABLE}},
            chart_name=chart_id(name),
            chart_fields=FIELDS,
            chart_strings={"title": CHARTS[name]},
        )

    def against(title: str, key: str) -> wr.ScatterPlot:
        return wr.ScatterPlot(title=title, x=wr.Config(key), y=wr.SummaryMetric(LONGEST))

    def by(title: str, key: str) -> wr.BarPlot:
        median = {"groupby": wr.Config(key), "groupby_aggfunc": "median", "groupby_rangefunc": "minmax"}
        return wr.BarPlot(title=title, metrics=[LONGEST], orientation="v", **median)

    panels = {
        "Optimisation": [
            lines("Training loss", "train/loss", log=True),
            lines("Validation loss", "validation/loss", log=True),
            lines("Validation error", "validation/error"),
            lines("Gradient norm before clipping", "grad/norm", log=True),
            lines("Clipping fired", "grad/clipped"),
            lines("Learning rate", "train/learning_rate"),
        ],
        "Gradient through time": [
            chart("heatmap"),
            chart("profile"),
            each("Decay per step (decades)", "adjoint", "decay_per_step"),
            each("Effective horizon (steps)", "adjoint", "horizon"),
            each("log10 of the ratio first to last", "adjoint", "log10_ratio"),
            each("Share of units that are saturated", "state", "saturated"),
            wr.MediaBrowser(title="Profiles of runs that took a while", media_keys=["figure"]),
        ],
        "Horizon": [
            lines("Longest effective horizon (steps)", LONGEST),
            against("Horizon against T", "task.length"),
            against("Horizon against depth", "network.depth"),
            by("Horizon by direction", "network.direction"),
            by("Horizon by init", "init._target_"),
            by("Horizon by cell", "cell._target_"),
        ],
        "Failures": [
            wr.BarPlot(title="Steps reached", metrics=[STEP]),
            lines("Entries of the gradient that are not finite", "grad/nonfinite"),
            lines("Entries of the gradient that are zero", "grad/zeros"),
            wr.MarkdownPanel(
                markdown="A run that failed or was killed has the state *failed* and the column `error`; one that "
                "diverged is data: it is *finished*, with `outcome` *diverged*."
            ),
        ],
    }
    return [ws.Section(name=name, panels=found, is_open=True) for name, found in panels.items()]


def workspace(entity: str, project: str, chart_id: Callable[[str], str]) -> Any:
    """The workspace as it is to be, not yet sent."""
    import wandb_workspaces.workspaces as ws

    made = ws.Workspace(entity=entity, project=project, name=NAME, sections=sections(chart_id))
    made.settings.x_axis = STEP
    made.runset_settings = ws.RunsetSettings(pinned_columns=["run:displayName", *COLUMNS])
    made._internal_name = VIEW  # else a random one, and a second push could not find it
    return made


def push(entity: str, project: str) -> str:
    """Register the charts, make the workspace or replace the one that was pushed before; returns its address."""
    import wandb
    import wandb_workspaces.workspaces as ws

    api = wandb.Api()
    ids = {chart: register(api, entity, chart) for chart in CHARTS}
    made = workspace(entity, project, ids.__getitem__)
    try:
        made._internal_id = ws.Workspace.from_url(f"https://wandb.ai/{entity}/{project}?nw={NAME}")._internal_id
    except ValueError as error:
        if str(error).startswith("Project"):
            raise ValueError(f"there is no project {entity}/{project} yet: track or replay a run first") from error
    return made.save().url


def register(api: Any, entity: str, chart: str) -> str:
    """The id of a chart, which is created if there is none yet."""
    name = chart_name(chart)
    about = {"display_name": CHARTS[chart], "spec_type": "vega2", "access": "private", "spec": json.loads(spec(chart))}
    try:
        return api.create_custom_chart(entity=entity, name=name, **about)
    except Exception as error:
        if "exist" in str(error).lower():
            return f"{entity}/{name}"
        raise


def main(arguments: list[str] | None = None) -> int:
    """Push or show; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.workspace", description="The W&B dashboard, from code."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    pushing = commands.add_parser("push", help="make the workspace of a project, or replace the one pushed before")
    pushing.add_argument("--entity", required=True, help="the W&B user or team")
    pushing.add_argument("--project", default=NAME, help="the W&B project (%(default)s)")
    commands.add_parser("show", help="print the workspace as JSON; needs no account")
    parser.error = pushing.error = cli.refuse
    options = parser.parse_args(arguments)
    try:
        if options.command == "show":
            model = workspace("ENTITY", NAME, lambda chart: f"ENTITY/{chart_name(chart)}")._to_model()
            print(model.spec.model_dump_json(by_alias=True, exclude_none=True, indent=1))
        else:
            print(push(options.entity, options.project))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "wandb_workspaces":
            raise
        return _fail("the dashboard needs one more package: pip install 'rnnlab[workspace]'")
    except Exception as error:
        return _fail(str(error) if isinstance(error, ValueError) else f"W&B: {line(error)}")
    return 0


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
