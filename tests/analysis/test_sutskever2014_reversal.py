"""The experiment `sutskever2014_reversal`: its tables from run folders, and each claim seen to hold and to fail."""

import json
import math

import numpy as np
import pytest

from analysis import sutskever2014_reversal as reversal
from analysis import tables

STEPS = (0, 10, 20, 30)


def curve(task: str, T: int) -> list[float]:
    """Shares of the baseline: half is reached at update 10 or 20, in order of the longer only at 30."""
    return [1.1, 0.4, 0.3, 0.2] if task == "reverse" else [1.1, 0.9, 0.5, 0.4] if T == 4 else [1.1, 0.9, 0.8, 0.45]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, fabricate):
    folder = tmp_path_factory.mktemp("reversal")
    for task in ("repeat", "reverse"):
        for T in (4, 8):
            for seed in (0, 1):
                node = {"_target_": f"rnnlab.tasks.{task}.{task}", "length": T, "shortest": T, "symbols": 8}
                path = fabricate.run(folder, f"{task}{T}{seed}", T=2 * T + 1, seed=seed, settings={"task": node})
                baseline = T * math.log(8) / (T + 1)
                lines = [
                    json.dumps({"step": step, "train/loss": 9.0, "validation/loss": share * baseline})
                    for step, share in zip(STEPS, curve(task, T), strict=True)
                ]
                (path / "scalars.jsonl").write_text("\n".join(lines) + "\n")
                with np.load(path / "profiles.npz") as data:
                    arrays = dict(data)
                step = np.array([0, 40, 100])
                loss = np.arange(T + 1) / T * baseline * np.array([3, 1, 5])[:, None]  # the stop is the last
                arrays = {name: v for name, v in arrays.items() if not name.startswith(("log10", "zeros", "nonf"))}
                arrays |= {"step": step, "step_loss": loss, "step_loss_time": T + np.arange(T + 1)}
                np.savez(path / "profiles.npz", **arrays)
    return folder


@pytest.fixture(scope="module")
def made(folder):
    return reversal.make(folder, tables.runs(folder), folder)[0]


def test_losses_are_shares_of_the_baseline_of_their_length(made):
    table = made["sutskever2014_reversal"]
    for (column, hue), rows in table.groupby(["column", "hue"], observed=True):
        T, task = int(column.split()[-1]), {name: task for task, name in reversal.ORDERS.items()}[hue]
        assert list(rows["step"]) == [*STEPS] * 2
        np.testing.assert_allclose(rows["loss"], [*curve(task, T)] * 2)
    assert list(table["column"].cat.categories) == ["$T$ = 4", "$T$ = 8"]


def test_positions_are_of_the_probed_step_in_the_middle_of_training_without_the_stop(made):
    table = made["sutskever2014_positions"]
    for T, rows in table.groupby("T"):
        assert sorted(rows["position"].unique()) == list(range(T))
        np.testing.assert_allclose(rows["loss"], rows["position"] / T)


def test_sequences_of_several_lengths_have_no_baseline_here(folder):
    runs = tables.runs(folder)
    with pytest.raises(ValueError, match=r"needs sequences of one length, task.shortest = task.length"):
        reversal.described(runs.assign(**{"task.shortest": 1}))


def said(claims: list) -> list[str]:
    return [claim.verdict for claim in claims]


def test_the_ratio_of_updates_until_half_the_baseline(made):
    table = made["sutskever2014_reversal"]
    assert reversal.ratios(table[table["T"] == 4]) == [10 / 20] * 2
    assert reversal.ratios(table[table["T"] == 8]) == [10 / 30] * 2
    assert said(reversal.check_learning(table)) == ["holds", "holds", "not tested"]
    never = table["loss"].where(table["hue"] == reversal.REVERSED, 0.9)
    assert reversal.ratios(table[table["T"] == 4].assign(loss=never)) == [10 / 30] * 2  # the last update bounds it
    never = table["loss"].where(table["hue"] == reversal.IN_ORDER, 0.9)
    assert reversal.ratios(table[table["T"] == 4].assign(loss=never)) == [math.inf] * 2
    assert said(reversal.check_learning(table.assign(loss=never))) == ["does not hold"] * 2 + ["not tested"]
    assert reversal.ratios(table.assign(loss=0.9)) == []
    assert reversal.ratios(table[table["hue"] == reversal.REVERSED]) == []
    assert said(reversal.check_learning(table.assign(loss=0.9))) == ["not tested"] * 3


def test_what_is_learned_first_is_what_was_read_last(made):
    table = made["sutskever2014_positions"]
    reverse = table["hue"] == reversal.REVERSED
    later = 0.2 + 0.8 * table["position"] / table["T"]
    assert said(reversal.check_positions(table.assign(loss=later.where(reverse, 1.0)))) == ["holds"] * 2
    assert said(reversal.check_positions(table.assign(loss=later))) == ["holds", "does not hold"]
    assert said(reversal.check_positions(table.assign(loss=0.4 + 0.6 * ~reverse))) == ["does not hold", "holds"]
    short = table.assign(loss=later.where(reverse & (table["T"] == 8), 1.0))  # only the longest counts
    assert said(reversal.check_positions(short)) == ["holds"] * 2
    assert said(reversal.check_positions(table[reverse].assign(loss=later[reverse]))) == ["holds", "not tested"]


def test_the_figures_show_each_order_in_each_panel(made):
    for figure, name in (
        (reversal.learning_figure, "sutskever2014_reversal"),
        (reversal.positions_figure, "sutskever2014_positions"),
    ):
        table = made[name].assign(loss=lambda rows: rows["loss"] * (1 + rows["seed"]))
        axes = figure(table).axes
        assert [one.get_title() for one in axes] == ["$T$ = 4", "$T$ = 8"]
        for one, T in zip(axes, (4, 8), strict=True):
            rows = table[table["T"] == T]
            curves = [line for line in one.get_lines() if len(line.get_xdata()) > 2]
            for line, (_, of) in zip(curves, rows.groupby("hue", observed=True), strict=True):
                x = "step" if "step" in of else "position"
                np.testing.assert_allclose(line.get_ydata(), of.groupby(x)["loss"].median())
