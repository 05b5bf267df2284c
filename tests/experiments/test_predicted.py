"""The prediction at initialisation, from the network to the tables: made before training, once, and the same again."""

import json
from pathlib import Path

import pytest

from analysis import tables
from experiments import run as run_module
from experiments.build import build
from experiments.records import Record
from experiments.run import run
from experiments.schema import summary
from rnnlab.predictions import limit, predict
from tests.experiments.test_build import composed

SMALL = ["network.hidden=40", "task.length=12", "steps=6", "batch=4", "log_every=1", "evaluate_every=3", "threads=1"]
SMALL += ["tracker=none", "checkpoint_seconds=0", "optimizer.lr=0.1", "schedule.interval=2", "schedule=every"]


def config(out: Path, *overrides: str):
    return composed(*SMALL, f"paths.outputs={out}", *overrides)


def rows(folder: Path) -> list[dict]:
    found = [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found]


def test_the_prediction_is_that_of_the_network_before_training(tmp_path):
    cfg = config(tmp_path)
    bench = build(cfg)
    given = bench.network, bench.test.x, bench.test.lengths
    wanted = predict(*given) | limit(*given)
    assert set(wanted) == {"horizon", "decay_per_step", "chi", "q"}
    assert 20 < wanted["horizon"] < 1000
    done = run(cfg)
    assert done["predicted"] == pytest.approx(wanted, rel=1e-5)  # a run has its own number of threads
    trained = list(bench.measurements())[-1]
    assert trained.step == 6
    after = predict(*given) | limit(*given)  # W is no longer orthogonal
    assert all(after.get(name) != pytest.approx(value, rel=1e-5) for name, value in wanted.items())
    (row,) = tables.runs(tmp_path / "single").to_dict("records")
    assert {name: row[f"predicted.{name}"] for name in wanted} == done["predicted"]
    assert {name: summary(done)[f"predicted.{name}"] for name in wanted} == done["predicted"]


def test_a_run_that_was_interrupted_predicts_the_same(tmp_path, monkeypatch):
    whole = run(config(tmp_path / "one"))
    write = Record.scalars

    def interrupted(record: Record, row: dict) -> None:
        write(record, row)
        if row["step"] == 4:
            raise KeyboardInterrupt

    cfg = config(tmp_path / "two")
    monkeypatch.setattr(Record, "scalars", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(cfg)
    monkeypatch.setattr(Record, "scalars", write)
    again = run(cfg)
    assert again["predicted"] == whole["predicted"]
    one, two = (Path(found["folder"]) for found in (whole, again))
    assert rows(one) == rows(two)


def test_a_prediction_moves_no_number(tmp_path, monkeypatch):
    with_one = run(config(tmp_path / "one"))
    for name in ("predict", "limit"):
        monkeypatch.setattr(run_module, name, lambda *_: {})
    without = run(config(tmp_path / "two"))
    assert without["predicted"] == {}
    one, two = (Path(found["folder"]) for found in (with_one, without))
    assert rows(one) == rows(two)
    assert with_one["metrics"] == without["metrics"]


def test_an_endless_horizon_is_a_number_in_the_table(tmp_path):
    done = run(config(tmp_path, "cell.activation=identity", "steps=0"))
    predicted = {name: done["predicted"][name] for name in ("horizon", "decay_per_step")}
    assert predicted == {"horizon": "inf", "decay_per_step": 0}
    assert done["predicted"]["chi"] == pytest.approx(1)
    assert float(done["predicted"]["q"]) > 1e3  # no end, but for rounding of the gain
    assert tables.runs(tmp_path / "single")["predicted.horizon"].tolist() == [float("inf")]
    assert summary(done)["predicted.horizon"] == float("inf")
