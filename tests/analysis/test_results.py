"""Kept tables come back as they went, and what is drawn of them is what was drawn of the runs, to the byte."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis import drawing, horizon, published, results, style, trainability
from analysis.figures.__main__ import main as draw_all


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder of the kept tables, empty, in a working directory without runs."""
    monkeypatch.setattr(results, "FOLDER", tmp_path / "kept")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path / "kept"


def sweep(folder, fabricate):
    for seed in range(2):
        for T in (20, 40):
            fabricate.run(
                folder, f"{T}{seed}", T=T, seed=seed, direction="bidirectional", slopes=(-0.3 + seed / 30, -1 / 70)
            )


TABLE = pd.DataFrame(
    {
        "number": [1 / 3, -math.inf, math.inf, math.nan, 1e-300],
        "count": [1, 2, 3, 4, 10**12],
        "flag": [True, False, True, False, True],
        "title": "once",
        "word": ["none", "", "NaN", 'a, "b"', "two\nlines"],
        "ordered": pd.Categorical(["b", "a", "b", "a", "b"], ["c", "b", "a"], ordered=True),
    }
)


def test_a_table_comes_back_with_its_types(kept):
    about = {"experiment": "e", "scale": "smoke", "runs": 3, "seeds": 1}
    path = results.write("figure", TABLE, about)
    table, of = results.read("figure")
    assert of == about
    assert list(table["number"][:3]) == [0.33333, -math.inf, math.inf]  # five digits
    assert math.isnan(table["number"][3])
    assert table["number"][4] == 1e-300
    pd.testing.assert_frame_equal(table.drop(columns=["number", "ordered"]), TABLE.drop(columns=["number", "ordered"]))
    assert list(table["ordered"]) == list(TABLE["ordered"])
    assert list(table["ordered"].cat.categories) == ["b", "a"]
    first = path.read_bytes()
    results.write("figure", table, about)
    assert path.read_bytes() == first
    pd.testing.assert_frame_equal(results.settled(TABLE), table)
    assert pd.read_csv(path, comment="#").shape == (5, 5)  # what any other reader sees
    assert path.read_text().count("once") == 1


def test_only_small_tables_are_kept(kept):
    noise = np.random.default_rng(0).random(200_000)
    with pytest.raises(ValueError, match=r"at most 1,000,000 bytes, big has 1,[0-9]{3},[0-9]{3} in 200,000 rows"):
        results.write("big", pd.DataFrame({"noise": noise}), {})
    assert results.names() == []


def test_text_that_is_not_text_is_refused_and_a_missing_or_torn_file_is_named(kept):
    with pytest.raises(ValueError, match="word does not"):
        results.text(pd.DataFrame({"word": ["a", None]}), {})
    results.write("other", TABLE, {})
    with pytest.raises(ValueError, match=r"no table figure is kept in .*; there is: other"):
        results.read("figure")
    for content in ("", "number\n1\n", '# {"columns": {"a": "int"}}\nb\n1\n', '# {"columns": {"a": "int"}}\na\nx\n'):
        (kept / "torn.csv").write_text(content)
        with pytest.raises(ValueError, match=r"torn\.csv cannot be read"):
            results.read("torn")


def test_long_curves_are_thinned_until_they_fit(monkeypatch):
    monkeypatch.setattr(results, "LIMIT", 20_000)
    lags = pd.concat(
        [pd.DataFrame({"hue": hue, "lag": range(T), "median": -0.123}) for hue, T in enumerate((50, 2000))]
    )
    found = drawing.small(lags)
    assert len(results.text(found, {})) < 20_000
    assert dict(found.groupby("hue")["lag"].max()) == {0: 49, 1: 1999}
    assert len(found[found["hue"] == 0]) == 50  # the short curve had room


@pytest.mark.parametrize(
    ("experiment", "drawn"), [("horizon", "horizon_profiles"), ("trainability", "trainability_profiles")]
)
def test_a_figure_of_the_kept_table_is_that_of_the_runs(
    tmp_path, fabricate, capsys, monkeypatch, kept, experiment, drawn
):
    command = {"horizon": horizon, "trainability": trainability}[experiment]
    make = {"horizon": lambda folder: sweep(folder, fabricate), "trainability": fabricate.trainability}[experiment]
    make(tmp_path / "runs")
    names = [figure.name for figure in command.EXPERIMENT.figures]

    def saved(figure, path):  # one of them, and coarse: saving is slow
        path.parent.mkdir(exist_ok=True)
        return [style.save_png(figure, path.with_suffix(".png"), dpi=60)] if path.name == drawn else []

    monkeypatch.setattr(style, "save", saved)
    assert command.main([str(tmp_path / "runs"), "--out", str(tmp_path / "of_runs"), "--keep"]) == 0
    wrote = capsys.readouterr().out.splitlines()
    assert [line for line in wrote if line.startswith(str(kept))] == [str(kept / f"{name}.csv") for name in names]
    assert command.main(["--out", str(tmp_path / "of_kept")]) == 0
    said = capsys.readouterr().out.splitlines()
    count = {"horizon": "4 runs, 2 seeds", "trainability": "18 runs, 3 seeds"}[experiment]
    assert said[0] == f"no finished runs in outputs/{experiment}: drawn from the kept tables, scale laptop, {count}"
    one, other = (tmp_path / where / f"{drawn}.png" for where in ("of_runs", "of_kept"))
    assert one.read_bytes() == other.read_bytes()


def test_all_published_figures_are_drawn_from_what_is_kept(tmp_path, fabricate, capsys, kept):
    with pytest.raises(SystemExit) as leaving:
        draw_all([])
    assert leaving.value.code == 2
    assert "no table is kept in" in capsys.readouterr().err
    fabricate.trainability(tmp_path / "runs", gains=(0.8, 1.1))
    runs = drawing.sweep(tmp_path / "runs", None, [])
    made, _ = trainability.make(tmp_path / "runs", runs, tmp_path)
    name = "trainability_map"
    drawing.keep({name: made[name], "trainability_success": None}, drawing.about("trainability", runs))
    capsys.readouterr()
    assert draw_all(["--out", "figures", "--docs", "docs"]) == 0
    said = capsys.readouterr().out
    assert "(scale laptop, 12 runs, 3 seeds)" in said
    assert "horizon_map: no table is kept; python -m analysis.horizon --keep makes it from runs" in said
    assert {path.name for path in (tmp_path / "empty").rglob("*.p*")} == {
        "trainability_map.pdf",
        "trainability_map.png",
    }
    assert (tmp_path / "empty" / "docs" / "trainability_map.png").is_file()


def test_one_name_per_figure():
    figures = [(experiment, figure) for experiment in published.EXPERIMENTS for figure in experiment.figures]
    names = [figure.name for _, figure in figures]
    assert len(set(names)) == len(names)
    assert all(figure.name.startswith(experiment.name.split("_")[0]) for experiment, figure in figures)
