"""python -m analysis.compare: known changes are found pair by pair; what is no pair is refused or told."""

import json
import re
from itertools import product

import numpy as np
import pandas as pd
import pytest

from analysis.compare import main
from analysis.intervals import sign_test


def measure(path, seconds=1.0, **metrics):
    done = json.loads((path / "done.json").read_text())
    done["metrics"] = {name.replace("__", "/"): value for name, value in metrics.items()}
    (path / "done.json").write_text(json.dumps(done | {"wall_seconds": seconds}))


def command(tmp_path, *arguments, out="tables"):
    """The rows of all pairs by quantity, those of each configuration, and the text of the Markdown."""
    assert main([*arguments, "--outputs", str(tmp_path), "--out", str(tmp_path / out)]) == 0
    (file,) = (tmp_path / out).glob("*.csv")
    frame = pd.read_csv(file)
    of = frame["of"] == "all"
    return frame[of].set_index("quantity"), frame[~of], file.with_suffix(".md").read_text()


def test_the_change_is_that_of_the_pairs_not_of_the_medians(tmp_path, fabricate):
    rng = np.random.default_rng(0)
    losses = dict(zip(product((20, 50), range(6)), rng.lognormal(0, 3, 12), strict=True))
    for k, ((T, seed), loss) in enumerate(losses.items()):
        a = fabricate.run(tmp_path / "before", f"{k:02}", T=T, seed=seed)
        b = fabricate.run(tmp_path / "after", f"{99 - k}", T=T, seed=seed)  # the other way round in the folder
        measure(a, validation__loss=loss, validation__error=0.5, seconds=loss)
        factor = 0.5 if T == 20 else 1.25
        measure(b, validation__loss=factor * loss, validation__error=0.5 - 0.01 * (T == 20), seconds=4 * loss)
    every, each, page = command(tmp_path, "before", "after")
    row = every.loc["validation/loss"]
    assert (row["pairs"], row["lower"], row["equal"], row["higher"]) == (12, 6, 0, 6)
    assert (row["change"], row["low"], row["high"]) == ("B/A", 0.5, 1.25)
    assert row["A"] == np.median(list(losses.values()))
    assert every.loc["wall_seconds", "median"] == every.loc["wall_seconds", "low"] == 4.0
    assert every.loc["wall_seconds", "p"] == sign_test(0, 12)
    error = every.loc["validation/error"]
    assert (error["change"], error["low"], error["high"], error["equal"]) == ("B - A", pytest.approx(-0.01), 0.0, 6)
    found = each[each["quantity"] == "validation/loss"]
    assert [*zip(found["task.length"], found["median"], found["pairs"], strict=True)] == [(20, 0.5, 6), (50, 1.25, 6)]
    assert "they differ in no setting" in page


def test_two_cells_of_one_sweep(tmp_path, fabricate, capsys):
    for k, (cell, T, seed) in enumerate(product(("elman", "lstm"), (20, 50), (0, 1, 2))):
        rate = -0.5 if cell == "elman" else -0.25
        own = {"cell": {"_target_": f"a.{cell}", "activation": "tanh"}} if cell == "elman" else {}
        outcome = "solved" if cell == "lstm" or seed == 0 else "stuck"
        options = {"T": T, "seed": seed, "slopes": (rate, -0.05), "outcome": outcome, "settings": own}
        fabricate.run(tmp_path / "sweep", f"r{k:02}", cell=cell, **options)
    every, _, page = command(tmp_path, "sweep:cell=elman", "sweep:cell=lstm")
    assert "they differ in cell (elman and lstm)." in page  # not in what follows from it
    horizon = every.loc["horizon/init"]
    assert (horizon["A"], horizon["B"], horizon["median"], horizon["higher"]) == (6, 12, 2.0, 6)
    assert every.loc["decay/init", "median"] == 0.25
    solved = every.loc["solved"]
    assert (solved["A"], solved["B"], solved["lower"], solved["higher"]) == (pytest.approx(1 / 3), 1.0, 0, 4)
    assert solved["p"] == sign_test(0, 4)
    assert every.loc["horizon/trained", "A_censored"]  # 3 decades at -0.05 are 60 steps, of 20 and of 50
    assert "| horizon, trained | 6     | >= 35" in page
    assert "\n6 pairs, all of them are different runs with the same numbers" not in capsys.readouterr().out


def test_who_has_no_partner_is_told_with_the_reason(tmp_path, fabricate, capsys):
    for cell, seed in product(("elman", "gru"), (0, 1)):
        fabricate.run(tmp_path / "a", f"{cell}{seed}", cell=cell, seed=seed)
    fabricate.run(tmp_path / "b", "one", seed=0)
    fabricate.run(tmp_path / "b", "two", seed=1, outcome=None)
    fabricate.run(tmp_path / "b", "three", seed=7)
    command(tmp_path, "a", "b")
    said = capsys.readouterr().out
    assert "runs of A without a partner: 2 (B has no cell=gru); 1 (its partner in B is not finished)\n" in said
    assert "runs of B without a partner: 1 (A has no seed=7)\n" in said
    assert "\n1 pairs" in said


def test_the_same_runs_are_told_from_the_same_runs_with_other_numbers(tmp_path, fabricate, capsys):
    for where, seed in product(("before", "after"), (0, 1, 2)):
        path = fabricate.run(tmp_path / where / "sweep", f"id{seed}", seed=seed, error=0.1)
        measure(path, validation__loss=0.1, validation__error=0.1, seconds=1.0 + (where == "after"))
    command(tmp_path, str(tmp_path / "before/sweep"), str(tmp_path / "after/sweep"))
    said = capsys.readouterr().out
    assert "3 pairs, all of them are the same run with the same numbers, to the last bit\n" in said
    assert "A is before sweep, B is after sweep; they differ in no setting" in said
    for where in ("before", "after"):  # without a trained horizon, which is not a number then, they are still the same
        fabricate.run(tmp_path / where / "sweep", "id3", seed=3, outcome="diverged")
    measure(tmp_path / "after/sweep/id1", validation__loss=np.nextafter(0.1, 1), validation__error=0.1)
    config = tmp_path / "after/sweep/id2/config.json"
    config.write_text(config.read_text().replace('"code": null', '"code": "0123456789abcdef"'))
    command(tmp_path, str(tmp_path / "before/sweep"), str(tmp_path / "after/sweep"))
    said = capsys.readouterr().out
    assert "4 pairs, 3 of them are the same run with the same numbers, to the last bit, 1 of them are the same" in said
    assert "they differ in code (- and 0123456789)" in said


def test_settings_pair_by_their_exact_value(tmp_path, fabricate, capsys):
    for where, lrs in (("a", (1, 0.12345678)), ("b", (1.0, 0.12345679))):
        for k, lr in enumerate(lrs):
            fabricate.run(tmp_path / where, f"r{k}", settings={"optimizer": {"lr": lr, "betas": None}})
    every, _, _ = command(tmp_path, "a", "b")
    assert set(every["pairs"]) == {1}
    assert "1 (B has no optimizer.lr=0.12345678)" in capsys.readouterr().out


def test_zero_and_diverged_losses_have_a_change(tmp_path, fabricate):
    losses = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), ("inf", "nan"), (2.0, "nan")]
    for seed, pair in enumerate(losses):
        for where, loss in zip("ab", pair, strict=True):
            outcome = "diverged" if isinstance(loss, str) else "stuck"
            path = fabricate.run(tmp_path / where, f"{seed}", seed=seed, outcome=outcome)
            measure(path, validation__loss=loss, validation__error=loss)
    every, _, _ = command(tmp_path, "a", "b")
    row = every.loc["validation/loss"]
    assert (row["lower"], row["equal"], row["higher"]) == (1, 2, 2)
    assert (row["low"], row["median"], row["high"]) == (0.0, 1.0, np.inf)
    assert every.loc["validation/error", "median"] == 0.0
    assert every.loc["decay/trained", "pairs"] == 3


def test_the_files_are_the_same_bytes_again_and_latex_is_balanced(tmp_path, fabricate):
    for where, T, seed in product("ab", (20, 50), (0, 1)):
        fabricate.run(tmp_path / where, f"{T}{seed}", T=T, seed=seed, slopes=(-0.1 - seed, -0.3))
    written = []
    for out in ("one", "two"):
        command(tmp_path, "a", "b", out=out)
        written.append({path.name: path.read_bytes() for path in sorted((tmp_path / out).iterdir())})
    assert written[0] == written[1]
    assert list(written[0]) == ["a_vs_b.csv", "a_vs_b.md", "a_vs_b.tex"]
    tex = written[0]["a_vs_b.tex"].decode()
    assert tex.count("{") == tex.count("}")
    assert str(tmp_path) not in tex
    for table in tex.split(r"\begin{longtable}")[1:]:
        columns = len(re.match(r"{(l+)}", table)[1])
        rows = [line for line in table.splitlines() if line.endswith(r"\\") and "caption" not in line]
        assert {line.count("&") + 1 for line in rows} == {columns}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "swep"], "there are no runs in swep: did you mean sweep?"),
        (["sweep", "sweep:cell=lstm"], "B: no run has cell=lstm"),
        (["sweep", "longer"], "no run of A has a partner in B: 2 (B has no task.length=50)"),
        (["sweep:seed=0", "sweep:seed=1"], "no run of A has a partner in B: 1 (B has no seed=0)"),
        (["sweep", "twice"], "B: the same configuration and seed is there more than once: a, b; they differ in device"),
        (["sweep", "bits"], "A and B measured different things, validation/loss, validation/error and "),
        (["sweep", "bits", "--metric", "validation/bits"], "A: --metric needs what the runs measured"),
        (["sweep", "live"], "B: no finished run; there are: 1 laptop unfinished"),
        (["sweep"], "the following arguments are required: B"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, fabricate, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["analysis/compare.py"])
    for seed, device in ((0, "cpu"), (1, "cuda")):
        fabricate.run(tmp_path / "sweep", f"r{seed}", seed=seed)
        fabricate.run(tmp_path / "longer", f"r{seed}", seed=seed, T=80)
        fabricate.run(tmp_path / "twice", "ab"[seed], settings={"device": device})
        path = fabricate.run(tmp_path / "bits", f"r{seed}", seed=seed)
        measure(path, validation__loss=0.1, validation__bits=0.1)
    fabricate.run(tmp_path / "live", "a", outcome=None)
    with pytest.raises(SystemExit) as stop:
        main(["--outputs", ".", *arguments])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"compare: {message}")
