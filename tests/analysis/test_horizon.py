"""Figures, files and command of `horizon` against run folders whose profiles follow a known law."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import drawing, horizon, results, run, selection, style, tables
from analysis.figures.profile import FLOOR
from analysis.horizon_figures import (
    map_figure,
    map_table,
    networks_figure,
    networks_table,
    profiles_figure,
    profiles_table,
    shown,
)
from analysis.statistics.configurations import configurations, curves, table
from analysis.statistics.digests import digests

ROOT = Path(__file__).parents[2]


def summary(folder):
    return table(configurations(tables.runs(folder)), digests(tables.scalars(folder, "adjoint/")))


def lines_of(folder):
    return curves(configurations(tables.runs(folder)), tables.profiles(folder))


def draw(folder, out):
    """The figures and the table, without the command line."""
    made, paths = horizon.make(folder, tables.runs(folder), out)
    return [*drawing.drawn(horizon.EXPERIMENT, made, out), *paths]


def drawn(figure):
    """{(column title, row label): {gid: line}} of the median lines."""
    panels = {}
    rows, titles = "", []
    for axes in figure.axes:
        grid = axes.get_subplotspec()
        if grid.is_first_row():
            titles.append(axes.get_title())
        if grid.is_first_col():
            rows = axes.get_ylabel()
        panels[titles[grid.colspan.start], rows] = {line.get_gid(): line for line in axes.lines if line.get_gid()}
    return panels


def test_the_profile_figure_draws_the_table(tmp_path, fabricate):
    for seed in range(3):
        for T in (20, 40):
            for init, rate in (("orthogonal", -0.1), ("glorot", -1.0)):
                slopes = (rate * (1 + 0.1 * seed), rate / 2)
                fabricate.run(tmp_path, f"{init}{T}{seed}", T=T, init=init, seed=seed, slopes=slopes, zero_from=15)
    frame = lines_of(tmp_path)
    panels = drawn(profiles_figure(profiles_table(frame)))
    assert len(panels) == 4
    for (title, row), lines in panels.items():
        stage = "init" if "initialisation" in row else "trained"
        panel = frame[(frame["init"] == title.split("\n")[1]) & (frame["stage"] == stage)]
        for T in (20, 40):
            expected = panel[panel["T"] == T]
            x, y = lines[f"({T}, '')"].get_data()
            np.testing.assert_array_equal(x, expected["lag"])
            np.testing.assert_array_equal(y[:15], expected["median"][:15])
            assert np.isneginf(expected["median"][15:]).all()
            assert np.isnan(y[15:]).all()  # an exact zero is not drawn as a number ...


def test_what_is_below_the_floor_is_marked_where_it_begins(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", T=40, slopes=(-1.0, -0.1), zero_from=30)
    frame = lines_of(tmp_path)
    init, trained = profiles_figure(profiles_table(frame)).axes[:2]
    for axes, lag in ((init, 16), (trained, 30)):  # 16: first lag below 10^-15.5, the edge; 30: exactly 0
        (mark,) = [line for line in axes.lines if line.get_marker() == "v"]
        assert mark.get_xdata() == [lag]
        assert axes.get_ylim()[0] == FLOOR - 0.5


def test_the_network_figure_is_drawn_only_when_networks_differ(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", T=20)
    assert networks_table(lines_of(tmp_path)) is None
    fabricate.run(tmp_path, "b", T=20, depth=2, direction="bidirectional")
    panels = drawn(networks_figure(networks_table(lines_of(tmp_path))))
    (init,) = [lines for (_, row), lines in panels.items() if "initialisation" in row]
    assert set(init) == {
        "(1, 'forward')",
        "(2, 'bidirectional, forward pass')",
        "(2, 'bidirectional, backward pass')",
    }
    forward, backward = (init[f"(2, 'bidirectional, {one} pass')"].get_ydata() for one in ("forward", "backward"))
    np.testing.assert_allclose(backward, 1.5 * forward, atol=1e-12)
    assert forward[0] == 0


def test_the_map_draws_the_table_and_marks_outcomes_and_bounds(tmp_path, fabricate):
    for seed in range(3):
        for T in (20, 60):
            fabricate.run(tmp_path, f"a{T}{seed}", T=T, seed=seed, slopes=(-0.5 - seed / 10, -0.04), outcome="solved")
            fabricate.run(
                tmp_path, f"b{T}{seed}", T=T, seed=seed, init="identity", slopes=(-0.3, 0.1), outcome="diverged"
            )
    frame = summary(tmp_path)
    (axes,) = map_figure(map_table(frame)).axes
    lines = {line.get_gid(): line for line in axes.lines if line.get_gid()}
    for init in ("orthogonal", "identity"):
        for stage in ("init", "trained"):
            rows = frame[frame["init"] == init].sort_values("T")
            x, y = lines[f"elman {init} {stage}"].get_data()
            np.testing.assert_array_equal(y, rows[f"horizon_{stage}_median"])
            np.testing.assert_array_equal(np.round(x), [0, 1])  # beside its T, never nearer to another one
    marks = [line.get_marker() for line in axes.lines if len(line.get_xdata()) == 1]
    assert marks.count("X") == 2
    assert marks.count("o") == 2 * 2 + 2  # initialisation of both, and the trained and solved one
    bounds = np.concatenate([line.get_ydata() for line in axes.lines if line.get_marker() == 6])
    assert sorted(bounds) == [20, 60]  # -0.04 does not fall by 1000 in 60 steps


def test_the_same_table_gives_the_same_bytes(tmp_path, fabricate):
    for T in (20, 40):
        fabricate.run(tmp_path / "horizon", f"a{T}", T=T, cell="lstm", direction="bidirectional")
    first, second = (draw(tmp_path / "horizon", tmp_path / name) for name in ("one", "two"))
    assert {path.name for path in first} == {
        *(f"horizon_{name}.{suffix}" for name in ("profiles", "networks", "map") for suffix in ("pdf", "png")),
        *(f"horizon_table.{suffix}" for suffix in ("csv", "md", "tex")),
    }
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name
        assert b"CreationDate" not in one.read_bytes()


def test_the_files_of_the_table_hold_the_table(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", T=30, slopes=(-0.01, -1.0), error=0.25)
    horizon.make(tmp_path, tables.runs(tmp_path), tmp_path / "out")
    frame = pd.read_csv(tmp_path / "out" / "horizon_table.csv")
    assert (frame.loc[0, "horizon_init"], frame.loc[0, "horizon_trained_median"]) == (">= 30", 3)
    assert frame.loc[0, "horizon_init_median_censored"]
    head, rule, row = (tmp_path / "out" / "horizon_table.md").read_text().strip().splitlines()[-3:]
    cells = dict(zip(*([c.strip() for c in line.strip("|").split("|")] for line in (head, row)), strict=True))
    assert set(rule) == {"|", "-"}
    assert (cells["horizon, init"], cells["horizon, trained"], cells["solved/stuck/diverged"]) == (
        ">= 30",
        "3",
        "1/0/0",
    )
    tex = (tmp_path / "out" / "horizon_table.tex").read_text()
    assert r"$\geq$ 30" in tex
    rows = [line for line in tex.splitlines() if line.endswith(r" \\")]
    assert {line.count("&") for line in rows} == {len(horizon.COLUMNS) - 1}
    assert tex.count("{") == tex.count("}")


def test_the_command_says_which_scale_it_takes(tmp_path, fabricate, capsys, monkeypatch):
    for seed in (0, 1):
        fabricate.run(tmp_path, f"a{seed}", scale="smoke", T=20, seed=seed)
        fabricate.run(tmp_path, f"b{seed}", scale="laptop", T=30, seed=seed)
        fabricate.run(tmp_path, f"c{seed}", scale="paper", T=40, seed=seed, outcome=None)  # unfinished: not the default
    arguments = [str(tmp_path), "--out", str(tmp_path / "out")]
    for extra, scale, T in (([], "laptop", 30), (["--scale", "smoke"], "smoke", 20)):
        assert horizon.main(arguments + extra) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0] == f"scale {scale}: 2 runs (2 solved)"
        assert said[1] == f"drawn from the runs in {tmp_path}, scale {scale}, 2 runs, 2 seeds"
        assert all(Path(line).is_file() for line in said[2:])
        assert set(pd.read_csv(tmp_path / "out" / "horizon_table.csv")["T"]) == {T}
        monkeypatch.setattr(style, "save", lambda figure, path: [])  # once is enough


def test_where_chooses_runs(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", settings={"batch": 20})
    fabricate.run(tmp_path, "b", settings={"batch": 50})
    frame = tables.runs(tmp_path)
    assert list(selection.select(frame, None, ["batch=50"])["run"]) == ["b"]
    assert len(selection.select(frame, None, ["optimizer.lr=1e-3", "cell=elman"])) == 2


def test_without_any_profile_nothing_is_drawn(tmp_path, fabricate):
    (fabricate.run(tmp_path, "a") / "profiles.npz").unlink()
    with pytest.warns(UserWarning, match="a cannot be read"), pytest.raises(ValueError, match=r"no profiles\.npz"):
        draw(tmp_path, tmp_path / "out")


def test_the_profiles_that_are_read_are_those_that_are_drawn(tmp_path, fabricate):
    for T in (20, 30):
        for depth in (1, 2):
            for direction in ("forward", "bidirectional"):
                fabricate.run(tmp_path, f"{T}{depth}{direction}", T=T, depth=depth, direction=direction)
    frame = configurations(tables.runs(tmp_path))
    read = frame[shown(frame)]
    assert set(frame["run"]) - set(read["run"]) == {"202forward", "201bidirectional", "202bidirectional"}
    every, few = lines_of(tmp_path), curves(read, tables.profiles(tmp_path, only=set(read["run"])))
    for table_of in (profiles_table, networks_table):
        one, other = (table_of(lines).reset_index(drop=True) for lines in (every, few))
        pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "experiments.train -m experiment=nowhere"),
        (["{folder}", "--scale", "paper"], "no finished run of scale paper; there are: 2 laptop solved"),
        (["unfinished"], "no finished run; there are: 1 laptop unfinished"),
        (["one"], "one finished run is no sweep: draw its profiles with python -m analysis.run one/a"),
        (["mixed"], "the runs are of several experiments (horizon, other): choose with --where name=NAME"),
        (["deep"], "the runs have no setting network.depth: they are of another experiment"),
        ([], "there are no finished runs in outputs/horizon and no kept table; make runs with: python -m exper"),
        (["--keep"], "--where and --keep need runs, and outputs/horizon holds none"),
        (["{folder}", "--scale", "huge"], "invalid choice: 'huge'"),
        (["{folder}", "--where", "nothing"], "--where needs NAME=VALUE"),
        (["{folder}", "--width", "3"], "unrecognized arguments"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(tmp_path, fabricate, capsys, monkeypatch, arguments, words):
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    for name in ("a", "b"):
        fabricate.run(tmp_path / "runs", name, seed=int(name == "b"))
    fabricate.run(tmp_path / "one", "a")
    fabricate.run(tmp_path / "unfinished", "a", outcome=None)
    for experiment in ("horizon", "other"):
        fabricate.run(tmp_path / "mixed", experiment, experiment=experiment)
    for seed in (0, 1):
        path = fabricate.run(tmp_path / "deep", str(seed), seed=seed) / "config.json"
        path.write_text(path.read_text().replace('"depth": 1, ', ""))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as leaving:
        horizon.main([argument.format(folder="runs") for argument in arguments])
    error = capsys.readouterr().err
    assert leaving.value.code == 2
    assert error.count("\n") == 1
    assert words in error


def test_torn_runs_are_left_out_and_the_rest_is_drawn(tmp_path, fabricate):
    for seed in range(3):
        fabricate.run(tmp_path, f"a{seed}", seed=seed, slopes=(-0.3, -0.2))
    (tmp_path / "a0" / "profiles.npz").write_bytes(b"PK\x03\x04 torn")
    (tmp_path / "a1" / "config.json").write_text('{"run"')
    with pytest.warns(UserWarning, match="cannot be read") as caught:
        horizon.make(tmp_path, tables.runs(tmp_path), tmp_path / "out")
    assert sorted(str(w.message).split(" cannot")[0] for w in caught) == [str(tmp_path / "a0"), str(tmp_path / "a1")]
    assert pd.read_csv(tmp_path / "out" / "horizon_table.csv").loc[0, "seeds"] == 2


def test_the_figure_of_one_run_has_its_first_and_last_probe(tmp_path, fabricate):
    steps = tuple(range(0, 300, 10))
    slopes = tuple(np.linspace(-0.3, -0.01, len(steps)))
    folder = fabricate.run(
        tmp_path, "a", T=25, depth=2, direction="bidirectional", steps=steps, slopes=slopes, outcome=None
    )
    figure = run.run_figure(folder)
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert set(panels) == {f"layer {layer}, {one}, h" for layer in (0, 1) for one in ("forward", "backward")}
    for one in ("forward", "backward"):
        lines = {line.get_gid(): line for line in panels[f"layer 0, {one}, h"].lines if line.get_gid()}
        assert len(lines) == run.LINES
        assert {"0", "290"} <= set(lines)
        time, value = lines["0"].get_data()
        lag = time if one == "backward" else 24 - time
        np.testing.assert_allclose(value, -1 + fabricate.law(-0.3, 0, one, "h") * lag, atol=1e-12)
    with pytest.raises(ValueError, match=r"nowhere holds no profiles\.npz"):
        run.run_figure(tmp_path / "nowhere")


def test_drawing_leaves_the_users_settings_and_pyplot_alone(tmp_path, fabricate):
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    fabricate.run(tmp_path, "a")
    style.save(run.run_figure(tmp_path / "a"), tmp_path / "v1.2")
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []
    assert {path.name for path in tmp_path.glob("v1*")} == {"v1.2.pdf", "v1.2.png"}
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "lines.linewidth": 9, "savefig.dpi": 30}):
        style.save(run.run_figure(tmp_path / "a"), tmp_path / "other")
    for suffix in ("pdf", "png"):
        assert (tmp_path / f"other.{suffix}").read_bytes() == (tmp_path / f"v1.2.{suffix}").read_bytes()


def test_drawing_needs_neither_torch_nor_the_library(tmp_path):
    code = "import sys, analysis.horizon, analysis.run; print([m for m in sys.argv[1:] if m in sys.modules])"
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        code,
        "torch",
        "rnnlab",
        "hydra",
        "omegaconf",
        "wandb",
        "experiments",
    ]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
