"""The shelf reads what it says, and the committed page is that of the kept tables."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis import claims, drawing, gallery, published, results, shelf

ROOT = Path(__file__).parents[2]
HEADER = """\
# @package _global_
# Paper:  Somebody, A title, 2016
# Figure: what it shows
# Run:    python -m experiments.train -m experiment=some2016_fig1
# Draw:   python -m analysis.some2016_fig1
# Expect: less than one
# Cost:   3 runs, 1 core hour
name: some2016_fig1
"""


def make(folder, runs, out):
    return {"some2016_fig1": pd.DataFrame({"seed": range(len(runs)), "value": 0.5, "of": "runs"})}, []


def check(table):
    return [
        claims.at_most("the value is small", table["value"], 1, paper="0.7"),
        claims.untested("b", paper="", why=""),
    ]


@pytest.fixture
def some(tmp_path, monkeypatch):
    """One paper on the shelf, with a kept table of two seeds; the working directory has no runs."""
    figure = drawing.Published("some2016_fig1", lambda table: Figure(), "it", check)
    experiment = drawing.Experiment("some2016_fig1", make, (figure,))
    for name in ("PAPERS", "EXPERIMENTS"):
        monkeypatch.setattr(published, name, (experiment,))
    monkeypatch.setattr(results, "FOLDER", tmp_path / "kept")
    monkeypatch.setattr(gallery, "CONF", tmp_path)
    (tmp_path / "some2016_fig1.yaml").write_text(HEADER)
    table = pd.DataFrame({"seed": [0, 1], "value": [2.0, 3.0], "of": "kept"})
    of = {"experiment": "some2016_fig1", "scale": "laptop", "runs": 2, "seeds": 2}
    results.write("some2016_fig1", table, of)
    monkeypatch.chdir(tmp_path)
    return experiment


def test_the_committed_page_is_that_of_the_kept_tables():
    found = {experiment.name: shelf.said(experiment, None) for experiment in published.PAPERS}
    assert (ROOT / "docs" / "shelf.md").read_text() == shelf.page(found), "run: python -m analysis.shelf --kept"


def test_runs_of_the_asked_scale_come_before_the_kept_table(some, fabricate, capsys):
    assert shelf.main(["--out", "page.md"]) == 0
    said = capsys.readouterr().out
    assert "some2016_fig1: no finished runs in outputs/some2016_fig1: drawn from the kept tables, scale laptop" in said
    assert "does not hold: the value is small: 2.5 [2, 3] (<= 1; paper: 0.7)" in said
    assert "2 claims: 1 does not hold, 1 not tested" in said
    page = Path("page.md").read_text()
    assert "## some2016_fig1\n\nSomebody, A title, 2016. What it shows.\n" in page
    assert "At the published size: 3 runs, 1 core hour." in page
    for seed in range(3):
        fabricate.run(Path("outputs/some2016_fig1"), str(seed), seed=seed, scale="smoke", experiment="some2016_fig1")
    assert shelf.main(["some2016_fig1"]) == 0
    said = capsys.readouterr().out
    assert "drawn from the runs in outputs/some2016_fig1, scale smoke, 3 runs, 3 seeds" in said
    assert "holds:         the value is small: 0.5 [0.5, 0.5]" in said
    for arguments in (["--scale", "laptop"], ["--kept"]):
        assert shelf.main(["some2016_fig1", *arguments]) == 0
        assert "2.5 [2, 3]" in capsys.readouterr().out
    assert Path("page.md").read_text() == page
    assert shelf.main(["some2016_fig1", "--scale", "paper"]) == 0
    said = capsys.readouterr().out
    assert "there are no finished runs of scale paper in outputs/some2016_fig1 and no kept table of scale paper" in said
    assert "0 claims" in said
    assert shelf.main(["--list"]) == 0
    assert capsys.readouterr().out == "some2016_fig1\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["other2017_fig1"], "no experiment other2017_fig1 has a published figure, only some2016_fig1"),
        (["--scale", "huge"], "invalid choice: 'huge'"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(some, capsys, arguments, words):
    with pytest.raises(SystemExit) as leaving:
        shelf.main(arguments)
    error = capsys.readouterr().err
    assert leaving.value.code == 2
    assert error.count("\n") == 1
    assert words in error
