"""The committed gallery is that of the committed configurations, tables and pictures."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from analysis import gallery, published, results

ROOT = Path(__file__).parents[2]


def test_the_gallery_is_up_to_date():
    assert (ROOT / "docs" / "gallery.md").read_text() == gallery.page(), "run: python -m analysis.gallery"


@pytest.mark.parametrize("name", results.names())
def test_each_kept_table_is_that_of_a_published_figure_and_has_its_picture(name):
    """The picture says which table it was drawn from; its bytes may differ with the version of matplotlib."""
    assert name in [figure.name for experiment in published.EXPERIMENTS for figure in experiment.figures]
    with Image.open(ROOT / "docs" / "figures" / f"{name}.png") as picture:
        assert picture.text["Source"] == f"{name}.csv {results.digest(name)}", "run: python -m analysis.figures"
    table, about = results.read(name)
    assert len(table)
    assert set(about) == {"experiment", "scale", "runs", "seeds"}


def test_the_pictures_are_those_of_kept_tables():
    assert sorted(path.stem for path in (ROOT / "docs" / "figures").glob("*.png")) == results.names()


HEADER = """\
# @package _global_
# Figure: what is
#         asked?
# Run:    python -m experiments.train -m experiment=horizon     (2 runs)
# Draw:   python -m analysis.horizon
# Expect: a gru sees 40 steps back; an elman
#         sees more
defaults: []
# Expect: no more of the header
"""


def test_the_header_of_an_experiment_is_read_with_its_broken_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gallery, "CONF", tmp_path)
    (tmp_path / "horizon.yaml").write_text(HEADER)
    about = gallery.header("horizon")
    assert about["Figure"] == "what is asked?"
    assert about["Run"] == "python -m experiments.train -m experiment=horizon     (2 runs)"
    assert about["Expect"] == "a gru sees 40 steps back; an elman sees more"
    (tmp_path / "horizon.yaml").write_text(HEADER.replace("# Draw:", "# draws"))
    with pytest.raises(ValueError, match=r"the header of .*horizon\.yaml has no line Draw"):
        gallery.header("horizon")
    with pytest.raises(ValueError, match=r"other\.yaml cannot be read"):
        gallery.header("other")


def test_the_gallery_says_of_which_runs_a_figure_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gallery, "CONF", tmp_path)
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    (tmp_path / "horizon.yaml").write_text(HEADER)
    assert "No table is kept yet." in gallery.page()
    about = {"experiment": "horizon", "scale": "smoke", "runs": 64, "seeds": 1}
    (tmp_path / "horizon_map.csv").write_text(results.text(pd.DataFrame({"x": [1]}), about))
    assert gallery.main(["--out", str(tmp_path / "page.md")]) == 0
    page = (tmp_path / "page.md").read_text()
    assert capsys.readouterr().out == f"{tmp_path / 'page.md'}\n"
    assert "What is asked?\n\n    python -m experiments.train -m experiment=horizon     (2 runs)\n" in page
    assert "![horizon_map](figures/horizon_map.png)" in page
    assert "Drawn from: scale smoke, 64 runs, 1 seed." in page
    assert gallery.SMOKE in page
    assert "### horizon_profiles\n\nNo table is kept." in page
    assert "trainability" not in page
    (tmp_path / "horizon.yaml").unlink()
    with pytest.raises(SystemExit) as leaving:
        gallery.main([])
    assert leaving.value.code == 2
    assert "cannot be read" in capsys.readouterr().err
