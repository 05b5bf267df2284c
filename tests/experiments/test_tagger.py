"""The example script: its loop, its report on fabricated tables, and a short run from end to end."""

import math

import pandas as pd
import pytest
import torch

from experiments import tagger
from experiments.tagger import Tagger
from rnnlab.tasks.connected_digits import ConnectedDigits

SERIES = [(layer, direction) for layer in (0, 1) for direction in ("backward", "forward")]


def task(length=40) -> ConnectedDigits:
    return ConnectedDigits(length=length, reduction="mean", solved_error=0.05)


def profiles(part: str, curves: dict, *, step=0, gate="", statistic="q50") -> pd.DataFrame:
    """Rows of rnnlab.trace's table from {(layer, direction): log10 of the norm at t = 0, 1, ..}."""
    about = {"step": step, "module": "lstm", "call": 0, "part": part, "gate": gate, "statistic": statistic}
    return pd.concat(
        pd.DataFrame(about | {"layer": layer, "direction": direction, "time": range(len(curve)), "log10": curve})
        for (layer, direction), curve in curves.items()
    )


def plain(lines) -> list[str]:
    return [" ".join(line.split()) for line in lines]


def test_the_profile_is_printed_at_five_times_of_the_first_and_the_last_step():
    tables = [
        profiles("h", {key: [step + t / 100 for t in range(41)] for key in SERIES}, step=step) for step in (0, 3, 9)
    ]
    other = profiles("c", {SERIES[0]: [7.0] * 41})
    head, *rows = plain(tagger.over_time(pd.concat([*tables, other]).sample(frac=1, random_state=0)))
    assert head.endswith(" t = 0 t = 10 t = 20 t = 30 t = 40")
    assert len(rows) == 8
    assert rows[1] == "step 0, layer 0 forward 0.00 0.10 0.20 0.30 0.40"
    assert rows[6] == "step 9, layer 1 backward 9.00 9.10 9.20 9.30 9.40"


def test_the_shares_of_the_gates_are_of_squares_summed_over_time_at_any_magnitude():
    gates = {"i": [-2000, -2000.0], "f": [-2000, -math.inf], "g": [-2000 + math.log10(2), -2000 + math.log10(2)]}
    table = pd.concat(
        profiles("z", {(0, "forward"): curve}, gate=gate, statistic="log10_rms") for gate, curve in gates.items()
    )
    wrong = profiles("z", {(0, "forward"): [5.0, 5.0]}, gate="i", statistic="q50")
    head, row = plain(tagger.gates(pd.concat([table, wrong])))
    assert head.endswith(" i f g")
    assert row == "step 0, layer 0 forward 18% 9% 73%"  # 2, 1 and 8 of 11


def test_the_cancellation_is_read_at_the_first_and_the_last_step():
    def rows(step: int, gate: str, value: float) -> pd.DataFrame:
        about = {"step": step, "module": "lstm", "call": 0, "layer": 0, "direction": "forward", "gate": gate}
        return pd.DataFrame(about | {"time": range(5), "log10": 0.0, "cancellation": value})

    table = pd.concat([rows(0, "i", 0.5), rows(0, "W", 0.25), rows(8, "i", 0.125), rows(8, "W", 1.0), rows(4, "i", 0)])
    head, first, last = plain(tagger.cancellation(table))
    assert head.endswith(" i W")
    assert first == "step 0, layer 0 forward 0.500 0.250"
    assert last == "step 8, layer 0 forward 0.125 1.000"


@pytest.mark.parametrize("length", [40, 41])
def test_half_life_and_horizon_are_those_of_a_geometric_decay_on_each_side_of_the_middle_frame(length):
    def curve(past: float, future: float) -> list[float]:
        lags = [t - length // 2 for t in range(length)]
        rates = [-math.inf if half == 0 else -math.log10(2) / half for half in (past, future)]
        return [-5 + (rates[lag > 0] * abs(lag) if lag else 0) for lag in lags]

    before = profiles("h", {(0, "forward"): curve(1, 1.25), (1, "forward"): curve(1, 0)})
    after = profiles("h", {(0, "forward"): curve(2, 3), (1, "forward"): curve(1.5, 0)})
    head, *rows = plain(tagger.horizons(before, after.sample(frac=1, random_state=0)))
    assert head.endswith(" half-life trained 1/1000 trained")
    # 1000 = 2^9.97: ten half-lives, rounded up to whole frames; 30 frames of the future are more than there are
    assert rows[0] == "layer 0 forward, past 1.0 2.0 10 20"
    frames = length - length // 2
    assert rows[1] == f"layer 0 forward, future 1.2 3.0 13 > {frames}"
    assert rows[2:] == ["layer 1 forward, past 1.0 1.5 10 15"]  # the other side is zero and is left out


def test_the_loop_ends_after_its_steps_or_its_seconds_and_learns(capsys):
    torch.manual_seed(0)
    model, generator = Tagger(), torch.Generator().manual_seed(0)
    held_out = task().held_out("validation", 50, generator)
    before = task().metrics(model(held_out.x), held_out.y)["loss"]
    tagger.train(model, task(), generator, tagger.parsed(["--steps=30", "--batch=8"]))
    assert task().metrics(model(held_out.x), held_out.y)["loss"] < before - 0.3  # 0.6 lower
    assert model.training
    tagger.train(model, task(), generator, tagger.parsed(["--seconds=1e-9", "--batch=1"]))
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed if " steps in " in line] == ["30", "1"]


def test_the_middle_frame_reaches_the_top_layer_through_the_readout_alone_and_into_its_own_past():
    torch.manual_seed(0)
    model = Tagger(hidden=5)
    x, y, *_ = task(21).draw("test", 3, torch.Generator().manual_seed(0))
    table = tagger.middle_frame(model, tagger.Batch(x, y))
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    with torch.no_grad():
        error = model.eval()(x)[10].softmax(-1) - torch.nn.functional.one_hot(y[10], 10)
        direct = (error @ model.head.weight / 3).unflatten(-1, (2, 5)).norm(dim=-1).log10().median(0).values
    top = table[(table.part == "h") & (table.statistic == "q50") & (table.layer == 1)].set_index(["direction", "time"])
    for direction, expected in zip(("forward", "backward"), direct.tolist(), strict=True):
        assert top.log10[direction, 10] == pytest.approx(expected, abs=1e-5)  # float32 of the user's model
        ahead = range(11, 21) if direction == "forward" else range(10)
        assert [top.log10[direction, t] for t in ahead] == [-math.inf] * 10


def test_a_short_run_writes_its_tables_and_its_picture_and_prints_all_four_parts(tmp_path, capsys):
    short = ["--steps=5", "--every=2", "--length=30", "--batch=4", "--seed=3"]
    tagger.main([*short, f"--out={tmp_path / 'run'}"])
    tables = {name: pd.read_csv(tmp_path / "run" / f"{name}.csv.gz") for name in ("profiles", "weights")}
    for table in tables.values():
        assert sorted(table.step.unique()) == [0, 2, 4]
        assert sorted(table.time.unique()) == list(range(30))
        assert sorted(set(zip(table.layer, table.direction, strict=True))) == SERIES
    assert (tmp_path / "run" / "trace.png").read_bytes().startswith(b"\x89PNG")
    for name in ("horizon_before", "horizon_after"):
        assert pd.read_csv(tmp_path / "run" / f"{name}.csv.gz").step.nunique() == 1
    printed = capsys.readouterr().out
    assert len([line for line in printed.splitlines() if line.startswith("  step ")]) == 3 * 2 * len(SERIES)
    assert len([line for line in printed.splitlines() if line.startswith("  layer ")]) == 6  # the top sees one side
    tagger.main([*short, f"--out={tmp_path / 'again'}"])
    again = pd.read_csv(tmp_path / "again" / "profiles.csv.gz")
    pd.testing.assert_frame_equal(again, tables["profiles"])


@pytest.mark.parametrize("name", ["seconds", "steps", "every", "length", "batch", "threads"])
def test_an_option_that_is_not_positive_is_refused_by_name(name, capsys):
    with pytest.raises(SystemExit):
        tagger.parsed([f"--{name}=0"])
    assert f"--{name} needs a number > 0, got 0" in capsys.readouterr().err


def test_a_stream_longer_than_the_data_is_refused_in_one_line():
    with pytest.raises(SystemExit, match=r"^error: connected_digits needs length <= 10595 .*, got 20000$"):
        tagger.main(["--length=20000"])
