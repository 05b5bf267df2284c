"""python -m analysis.tables: medians, intervals, marks and bounds against run folders with known numbers."""

import json
import math
import re
from itertools import product

import numpy as np
import pandas as pd
import pytest

from analysis import markup
from analysis.digests import digests, nearest, spread
from analysis.intervals import wilson
from analysis.measures import higher_is_better, loss_of, metric_of
from analysis.tables.__main__ import main
from analysis.wording import labels


def seeds(fabricate, folder, name, errors, **options):
    """One run for each error, with seeds 0, 1, ..."""
    return [fabricate.run(folder, f"{name}{k}", seed=k, error=e, **options) for k, e in enumerate(errors)]


def measure(path, **metrics):
    done = json.loads((path / "done.json").read_text())
    done["metrics"] = {name.replace("__", "/"): value for name, value in metrics.items()}
    (path / "done.json").write_text(json.dumps(done))


def command(tmp_path, *arguments):
    assert main(["sweep", "--outputs", str(tmp_path), "--out", str(tmp_path / "tables"), *arguments]) == 0
    return pd.read_csv(tmp_path / "tables" / "sweep.csv")


def cells(tmp_path, suffix="md"):
    """The rows of a written table, as dicts by column."""
    lines = (tmp_path / "tables" / f"sweep.{suffix}").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def test_each_configuration_has_its_medians_intervals_and_counts(tmp_path, fabricate):
    rng = np.random.default_rng(0)
    drawn = {}
    for T, cell in product((200, 64), ("gru", "elman")):
        drawn[T, cell] = rng.lognormal(size=9)
        for k, error in enumerate(drawn[T, cell]):
            outcome = "solved" if error < 1 else "stuck"
            fabricate.run(tmp_path / "sweep", f"{cell}{T}{k}", T=T, cell=cell, seed=k, error=error, outcome=outcome)
    fabricate.run(tmp_path / "sweep", "late", T=64, cell="gru", seed=9, error=1e9, outcome=None)
    table = command(tmp_path)
    assert list(zip(table["task.length"], table["cell"], strict=True)) == [*product((64, 200), ("elman", "gru"))]
    for row in table.to_dict("records"):
        values = drawn[row["task.length"], row["cell"]]
        ordered = np.sort(values)
        found = [row[f"validation/error_{end}"] for end in ("median", "low", "high")]
        assert found == [np.median(values), ordered[1], ordered[-2]]  # ranks 2 and 8 of 9; not a digit is lost
        assert (row["solved"], row["stuck"], row["seeds"]) == ((values < 1).sum(), (values >= 1).sum(), 9)
        assert (row["solved_low"], row["solved_high"]) == wilson(int((values < 1).sum()), 9)
        assert row["unfinished"] == (row["task.length"] == 64 and row["cell"] == "gru")


def test_the_best_is_marked_only_where_its_interval_is_apart_within_one_task(tmp_path, fabricate):
    folder = tmp_path / "sweep"
    groups = {
        (10, "elman"): [0.1, 0.2, 0.3],  # apart from both others
        (10, "gru"): [0.4, 0.5, 0.6],
        (10, "lstm"): [0.5, 0.6, 0.7],
        (20, "elman"): [0.001, 0.002, 0.3],  # better than all at T = 10, but it touches gru
        (20, "gru"): [0.3, 0.5, 0.6],
        (40, "elman"): [0.1, 0.1],  # apart, of two seeds
        (40, "gru"): [0.8, 0.9],
        (80, "elman"): [0.1, 0.1, 0.1],  # apart from one of which nothing is known
        (80, "gru"): [0.8],
    }
    for (T, cell), errors in groups.items():
        seeds(fabricate, folder, f"{cell}{T}", errors, T=T, cell=cell, outcome="stuck")
    table = command(tmp_path, "--show", "loss", "metric")
    marked = table[table["validation/error_best"]]
    assert [*zip(marked["task.length"], marked["cell"], strict=True)] == [(10, "elman")]
    bold = [row for row in cells(tmp_path) if "**" in row["validation/error"]]
    assert [(row["T"], row["cell"], row["validation/error"]) for row in bold] == [("10", "elman", "**0.2 [0.1, 0.3]**")]
    tex = (tmp_path / "tables" / "sweep.tex").read_text()
    assert tex.count(r"\textbf{\boldmath 0.2~{\tiny[0.1, 0.3]}}") == 2  # loss and error
    assert tex.count(r"\textbf") == 2
    assert "all others of the same T" in tex
    apart = command(tmp_path, "--within", "cell", "task.length")
    assert not apart["validation/error_best"].any()
    assert "No best is marked" in (tmp_path / "tables" / "sweep.md").read_text()


def test_a_share_of_solved_runs_is_the_best_only_where_wilson_is_apart(tmp_path, fabricate):
    folder = tmp_path / "sweep"
    for cell, solved in (("elman", 0), ("gru", 5), ("lstm", 2)):
        for k in range(5):
            fabricate.run(folder, f"{cell}{k}", cell=cell, seed=k, outcome="solved" if k < solved else "stuck")
    assert not command(tmp_path)["solved_best"].any()  # 2 of 5 reaches 0.77, 5 of 5 begins at 0.57
    for k in range(5):
        path = fabricate.run(tmp_path / "other" / "sweep", f"a{k}", cell="elman", seed=k, outcome="stuck")
        fabricate.run(path.parent, f"b{k}", cell="gru", seed=k, outcome="solved")
    assert list(command(tmp_path / "other")["solved_best"]) == [False, True]


def test_of_some_metrics_more_is_better(tmp_path, fabricate):
    folder = tmp_path / "sweep"
    for cell, values in (("elman", [0.9, 0.91, 0.92]), ("gru", [0.2, 0.3, 0.4])):
        for path, value in zip(seeds(fabricate, folder, cell, [0] * 3, cell=cell), values, strict=True):
            measure(path, test__loss=1 - value, test__accuracy=value)
    table = command(tmp_path)
    assert list(table["test/accuracy_best"]) == list(table["test/loss_best"]) == [True, False]
    assert [higher_is_better(f"test/{name}") for name in ("accuracy", "error", "bits", "top5_accuracy")] == [1, 0, 0, 1]


def test_loss_and_metric_are_those_of_the_test_set_else_of_the_validation_set():
    frame = pd.DataFrame({"validation/loss": [1.0], "train/loss": [2.0], "validation/bits": [3.0], "x/y": [0.0]})
    assert (loss_of(frame), metric_of(frame)) == ("validation/loss", "validation/bits")
    frame = frame.assign(**{"test/loss": [math.nan], "validation/error": [1.0], "test/bits": [1.0]})
    assert (loss_of(frame), metric_of(frame)) == ("validation/loss", "validation/error")
    assert metric_of(frame.drop(columns="validation/error")) == "test/bits"
    assert loss_of(frame[["train/loss"]]) == "train/loss"
    assert loss_of(frame.assign(**{"test/loss": [1.0]})) == "test/loss"
    with pytest.raises(ValueError, match="no run has a metric"):
        metric_of(frame[["train/loss"]])


def test_a_diverged_run_is_infinitely_bad_and_has_no_trained_gradient(tmp_path, fabricate):
    folder = tmp_path / "sweep"
    for k, (error, outcome) in enumerate([(0.1, "solved"), (0.2, "solved"), (0.01, "diverged")]):
        fabricate.run(folder, f"a{k}", seed=k, error=error, outcome=outcome, slopes=(-0.3, -0.1 * (k + 1)))
    table = command(tmp_path)
    (row,) = table.to_dict("records")
    assert [row[f"validation/error_{end}"] for end in ("median", "low", "high")] == [0.2, 0.1, math.inf]
    assert (row["decay/init_seeds"], row["decay/trained_seeds"], row["decay/trained_low"]) == (3, 2, -0.2)
    (said,) = cells(tmp_path)
    assert (said["validation/error"], said["diverged"]) == ("0.2 [0.1, inf]", "1")
    assert "diverged counts as infinitely bad" in (tmp_path / "tables" / "sweep.md").read_text()


def test_a_horizon_beyond_T_stays_a_lower_bound(tmp_path, fabricate):
    for k, rate in enumerate((-0.01, -0.01, -0.5)):
        fabricate.run(tmp_path / "sweep", f"a{k}", T=50, seed=k, slopes=(rate, -0.5))
    (row,) = command(tmp_path).to_dict("records")
    assert (row["horizon/init_median"], row["horizon/init_median_censored"]) == (50, True)
    assert (row["horizon/init_low"], row["horizon/init_low_censored"]) == (6, False)
    (said,) = cells(tmp_path)
    assert (said["horizon, init"], said["horizon, trained"]) == (">= 50 [6, >= 50]", "6 [6, 6]")
    tex = (tmp_path / "tables" / "sweep.tex").read_text()
    assert r"$\geq$ 50~{\tiny[6, $\geq$ 50]}" in tex


def test_above_a_lower_bound_everything_is_one():
    s = spread([20, 30, 100], [1, 0, 0])  # the first may be 200
    assert (s.low_censored, s.median_censored, s.high_censored) == (True, True, True)
    assert spread([20, 30, 100], [0, 1, 0]).text() == ">= 30 [20, >= 100]"
    assert spread([*range(9)], level=0.95).text() == "4 [1, 7]"


def test_the_gradient_is_that_of_the_recurrent_layer_nearest_to_the_input():
    series = ["L0/output/h", "L2/forward/h", "L1/backward/h", "L1/forward/c", "L1/forward/h", "L0/input/h"]
    rows = [("a", 0, f"adjoint/{one}/decay_per_step", float(k)) for k, one in enumerate(series)]
    rows += [("b", 0, f"adjoint/{one}/decay_per_step", float(k)) for k, one in enumerate(series[:3])]
    found = nearest(digests(pd.DataFrame(rows, columns=["run", "step", "name", "value"])))
    assert list(found["run"]) == ["a", "b"]
    assert list(found["decay_per_step"]) == [4.0, 2.0]


def test_predictions_and_verdicts_have_columns_where_they_are_asked_for(tmp_path, fabricate):
    for k, rate in enumerate((-0.5, -0.5, -0.01)):
        path = fabricate.run(tmp_path / "sweep", f"a{k}", T=50, seed=k, slopes=(-0.1, rate))
        done = json.loads((path / "done.json").read_text())
        done["predicted"] = {"horizon": 30 + k, "decay_per_step": -0.1}
        (path / "done.json").write_text(json.dumps(done))
    command(tmp_path, "--show", "horizon", "verdict")
    (said,) = cells(tmp_path)
    assert list(said) == ["seeds", "horizon, predicted", "horizon, init", "horizon, trained", "verdict"]
    assert said["horizon, predicted"] == "31 [30, 32]"
    assert said["verdict"] == "vanishing 2/3, healthy 1/3"


def test_one_seed_has_no_interval_and_the_caption_says_so(tmp_path, fabricate):
    fabricate.run(tmp_path / "sweep", "a", error=0.25)
    command(tmp_path)
    (said,) = cells(tmp_path)
    assert (said["validation/error"], said["solved"], said["seeds"]) == ("0.25", "1/1 [0.21, 1.00]", "1")
    assert "no interval, for want of seeds" in (tmp_path / "tables" / "sweep.md").read_text()
    seeds(fabricate, tmp_path / "sweep", "b", [0.1, 0.2, 0.3], cell="gru")
    command(tmp_path)
    note = (tmp_path / "tables" / "sweep.md").read_text().splitlines()[0]
    assert "(one alone has none; of 3 seeds the range, at 75 %)" in note


def test_settings_that_are_not_set_have_their_row(tmp_path, fabricate):
    for k, (truncate, seed) in enumerate(product((None, 64, 8), (0, 1))):
        network = {"_target_": "rnnlab.networks.stack.Stack", "truncate": truncate, "depth": 1, "direction": "forward"}
        fabricate.run(tmp_path / "sweep", f"r{k}", seed=seed, settings={"network": network})
    assert list(command(tmp_path)["seeds"]) == [2, 2, 2]
    assert [row["truncate"] for row in cells(tmp_path)] == ["8", "64", "-"]


def test_a_label_is_short_where_it_is_clear():
    assert labels(["task.length", "network.depth", "init.gain", "cell.gain"]) == {
        "task.length": "T",
        "network.depth": "depth",
        "init.gain": "init.gain",
        "cell.gain": "cell.gain",
    }


def test_the_same_runs_give_the_same_bytes_and_what_is_left_out_is_told(tmp_path, fabricate, capsys):
    folder = tmp_path / "sweep"
    seeds(fabricate, folder, "a", [0.1, 0.2], cell="gru")
    seeds(fabricate, folder, "b", [0.3], cell="lstm", outcome="diverged")
    (fabricate.run(folder, "c", seed=7, cell="gru", outcome=None) / "failed.json").write_text('{"error": "x"}')
    (fabricate.run(folder, "d", seed=8, cell="gru", outcome=None) / "running.json").write_text("{}")
    written = []
    for _ in range(2):
        command(tmp_path)
        written.append([path.read_bytes() for path in sorted((tmp_path / "tables").iterdir())])
        said = capsys.readouterr().out
        assert "finished runs: 3; configurations: 2; left out: 1 running, 1 failed" in said
        assert said.splitlines()[-1] == str(tmp_path / "tables" / "sweep.tex")
    assert written[0] == written[1]
    assert len(written[0]) == 3


def test_latex_is_balanced_and_escaped(tmp_path, fabricate):
    for k, name in enumerate(("a_b%", "x&{y}", "#1$~^\\")):
        fabricate.run(tmp_path / "sweep", f"r{k}", settings={"label": name}, slopes=(-1e-7, -3.0))
    command(tmp_path)
    tex = (tmp_path / "tables" / "sweep.tex").read_text()
    body = re.sub(r"\\[\\{}&%#_$]", lambda found: r"\\" if found[0] == r"\\" else "", tex)
    assert body.count("{") == body.count("}")
    assert body.count("$") % 2 == 0
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and "caption" not in line]
    assert len(rows) == 2 + 3
    columns = len(re.search(r"longtable}{(l+)}", tex)[1])
    assert {line.count("&") + 1 for line in rows} == {columns}
    assert "#" not in body
    assert r"a\_b\%" in tex
    assert r"x\&\{y\}" in tex
    assert r"$-1\times10^{-7}$" in tex
    assert tex.index(r"\toprule") < tex.index(r"\midrule") < tex.index(r"\bottomrule")


def test_numbers_are_typeset_as_numbers():
    given = ["-0.5", "inf", "-inf [1e-05, 2]", ">= 20", "1e5a", "T-1", "a_1 | b", "x < 1"]
    tex = markup.latex(pd.DataFrame({"x": given}), "note").splitlines()
    rows = [line.removesuffix(r" \\") for line in tex[tex.index(r"\bottomrule\endfoot") + 1 : -1]]
    assert rows[:4] == ["$-0.5$", r"$\infty$", r"$-\infty$~{\tiny[$1\times10^{-5}$, 2]}", r"$\geq$ 20"]
    assert rows[4:] == ["1e5a", "T-1", r"a\_1 \textbar{} b", "x $<$ 1"]
    assert markup.markdown(pd.DataFrame({"x": ["a|b\nc"]}), "").splitlines()[-1] == r"| a\|b c |"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["swep"], "there are no runs in .*swep: did you mean sweep?"),
        (["x", "--outputs", "nowhere"], "there is no folder nowhere: name the one with the runs with --outputs"),
        (["sweep", "--where", "cell=gru"], "no run has cell=gru"),
        (["sweep", "--where", "gain=1"], "--where needs NAME=VALUE with a setting of the runs, got 'gain=1'"),
        (["sweep", "--scale", "paper"], "no finished run of scale paper; there are: 2 laptop solved"),
        (["sweep", "--metric", "cell"], "--metric needs what the runs measured (validation/error, validation/loss)"),
        (["sweep", "--within", "seed"], "--within needs settings that vary (none does), got seed"),
        (["live"], "no finished run; there are: 1 laptop unfinished"),
        (["mixed"], "the runs are of several experiments (horizon, other): choose with --where name=NAME"),
        (["twice"], "the same configuration and seed is there more than once: a, b; they differ in device"),
        (["sweep", "--out", "sweep/a0/done.json"], "cannot be written"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, fabricate, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["analysis/tables/__main__.py"])
    seeds(fabricate, tmp_path / "sweep", "a", [0.1, 0.2])
    fabricate.run(tmp_path / "live", "a", outcome=None)
    for name, device in (("a", "cpu"), ("b", "cuda")):
        fabricate.run(tmp_path / "twice", name, settings={"device": device})
        config = fabricate.run(tmp_path / "mixed", name, seed=device == "cuda") / "config.json"
        if name == "b":
            config.write_text(config.read_text().replace('"name": "horizon"', '"name": "other"'))
    with pytest.raises(SystemExit) as stop:
        main(["--outputs", ".", *arguments])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tables: ")
    assert re.search(message, line) or message in line


def test_a_record_of_many_configurations_is_printed_in_part(tmp_path, fabricate, capsys, monkeypatch):
    monkeypatch.setattr("analysis.tables.__main__.MOST", 2)
    for k in range(4):
        fabricate.run(tmp_path / "sweep", f"a{k}", settings={"optimizer": {"lr": 0.1**k}}, steps=(0,), slopes=(-1.0,))
    assert len(command(tmp_path)) == 4
    said = capsys.readouterr().out
    assert "the intervals, and 2 more rows are in the files" in said
    assert len([line for line in said.splitlines() if line.startswith("| ")]) == 3
    assert "decay, trained" not in said  # probed once: nothing to show
