"""The exported tables hold what the record holds, number by number, and appear whole or not at all."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from analysis import tables
from analysis.tables.blocks import LAYOUTS, blocks
from experiments import export as module
from experiments.export import COLUMNS, export, main
from tests.analysis import fabricate

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "outputs" / "horizon"
    fabricate.run(folder, "a", T=30, depth=2, direction="bidirectional", cell="lstm", zero_from=12)
    fabricate.run(folder, "b", T=20, steps=(0, 50, 100), slopes=(0.0, 0.1, -0.2), error=math.nan, outcome="diverged")
    fabricate.run(folder, "c", outcome=None)
    (folder / "c" / "profiles.npz").unlink()
    return folder


def read(path: Path, table: str) -> pd.DataFrame:
    return pd.read_parquet(path.with_name(f"{path.stem}_{table}.parquet"))


def test_scalars_are_those_of_the_record(folder, tmp_path):
    with (folder / "a" / "scalars.jsonl").open("a") as file:
        file.write('{"step": 100, "train/loss": 0.7, "own": "-inf"}\n{"step": 110, "x": "nan"}\n{"step": 12')
    export(folder, tmp_path / "out.parquet")
    found, expected = read(tmp_path / "out.parquet", "scalars"), tables.scalars(folder)
    key = ["run", "step", "name"]
    found, expected = (frame.astype({"run": str, "name": str}).sort_values(key) for frame in (found, expected))
    assert len(found) > 100
    assert found[key].to_numpy().tolist() == expected[key].to_numpy().tolist()
    np.testing.assert_array_equal(found["value"], expected["value"])
    assert (found["value"] == -math.inf).sum() == 1
    assert parquet.read_table(tmp_path / "out_scalars.parquet")["value"].null_count == 0  # NaN is a number
    again = found[(found["run"] == "a") & (found["step"] == 100) & (found["name"] == "train/loss")]
    assert list(again["value"]) == [0.7]  # the later line


def test_profiles_are_those_of_the_record(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 10)  # a row group for each block
    export(folder, tmp_path / "out.parquet")
    found = read(tmp_path / "out.parquet", "profiles")
    assert parquet.ParquetFile(tmp_path / "out_profiles.parquet").num_row_groups == 5
    assert set(found["run"]) == {"a", "b"}
    assert np.isneginf(found["q50"]).any()
    key = ["run", "step", "layer", "direction", "part", "time"]
    for statistic in tables.STATISTICS:
        expected = tables.profiles(folder, loss="task", statistic=statistic, steps="all")
        both = [frame.astype(dict.fromkeys(("run", "direction", "part"), str)) for frame in (found, expected)]
        mine, theirs = (frame.sort_values(key, ignore_index=True) for frame in both)
        assert len(mine) == 2 * 8 * 30 + 3 * 20
        assert mine[[*key, "lag"]].to_numpy().tolist() == theirs[[*key, "lag"]].to_numpy().tolist()
        np.testing.assert_array_equal(mine[statistic], theirs["log10"])


def test_arrays_of_the_other_probes_are_laid_out_by_their_own_axes(folder, tmp_path):
    file = folder / "b" / "profiles.npz"
    with np.load(file) as data:
        arrays = dict(data)
    labels = {"layer": [0, 0, 1], "direction": ["forward"] * 3, "gate": ["i", "f", "i"]}
    arrays |= {f"{probe}_{name}": np.array(v) for probe in ("drive", "weight") for name, v in labels.items()}
    rng = np.random.default_rng(0)
    arrays |= {"drive_statistic": np.array(tables.STATISTICS), "drive_log10_norm": rng.normal(size=(3, 3, 5, 20))}
    arrays |= {"weight_log10_norm": rng.normal(size=(3, 3, 20))}
    arrays |= {"step_loss": rng.normal(size=(3, 4)), "step_loss_time": np.array([16, 17, 18, 19])}
    arrays["weight_log10_norm"][1, 2, 7] = np.nan
    ways = {"layer": [0, 0], "direction": ["forward"] * 2, "measure": ["norm", "distance"]}
    arrays |= {f"state_{name}": np.array(v) for name, v in ways.items()}
    arrays |= {"state_statistic": np.array(tables.STATISTICS), "state_time": np.arange(6)}
    arrays |= {"state_log10": rng.normal(size=(3, 2, 5, 6))}
    np.savez(file, **arrays)
    export(folder, tmp_path / "out.parquet")
    drive, weights, losses = (read(tmp_path / "out.parquet", t) for t in ("drive", "weights", "step_losses"))
    for row in drive.sample(50, random_state=0).to_dict("records"):
        n, s = [0, 50, 100].index(row["step"]), list(zip(*labels.values(), strict=True))
        s = s.index((row["layer"], row["direction"], row["gate"]))
        for k, name in enumerate(tables.STATISTICS):
            assert row[name] == arrays["drive_log10_norm"][n, s, k, row["time"]]
    one = weights[(weights["layer"] == 1) & (weights["step"] == 50)].sort_values("time")
    np.testing.assert_array_equal(one["log10_norm"], arrays["weight_log10_norm"][1, 2])
    states = read(tmp_path / "out.parquet", "states")
    two = states[(states["measure"] == "distance") & (states["step"] == 100)].sort_values("time")
    np.testing.assert_array_equal(two[list(tables.STATISTICS)].to_numpy().T, arrays["state_log10"][2, 1])
    last = losses[(losses["run"] == "b") & (losses["step"] == 100)]
    assert dict(zip(last["time"], last["loss"], strict=True)) == dict(
        zip(range(16, 20), arrays["step_loss"][2], strict=True)
    )


def test_the_table_of_runs_keeps_what_a_run_is_and_what_came_of_it(folder, tmp_path):
    for name, value in (("a", 0.5), ("b", "auto")):
        about = json.loads((folder / name / "config.json").read_text())
        about["config"]["init"]["radius"] = value
        about["config"]["deep"] = {"truncate": None, "flag": name == "a"}
        (folder / name / "config.json").write_text(json.dumps(about))
    export(folder, tmp_path / "out.parquet")
    found = read(tmp_path / "out.parquet", "runs").set_index("run")
    assert list(found["outcome"]) == ["solved", "diverged", "unfinished"]
    assert list(found["init.radius"][:2]) == ["0.5", "auto"]
    assert found["init.radius"].isna()["c"]
    assert list(found["deep.flag"][:2]) == [True, False]
    assert found["deep.truncate"].isna().all()
    assert list(found["task.length"]) == [30, 20, 50]
    assert found.loc["a", "adjoint/L0/forward/h/decay_per_step"] == -0.02
    assert math.isnan(found.loc["b", "validation/error"])
    assert parquet.read_table(tmp_path / "out_runs.parquet")["validation/error"].null_count == 0


def test_the_columns_have_the_documented_types(folder, tmp_path):
    export(folder, tmp_path / "out.parquet")
    kinds = {"text": "dictionary<values=string, indices=int32, ordered=0>", "int64": "int64", "double": "double"}
    for table in ("scalars", "profiles", "step_losses"):
        schema = parquet.read_schema(tmp_path / f"out_{table}.parquet")
        assert dict(zip(schema.names, map(str, schema.types), strict=True)) == {
            "run": kinds["text"],
            **{name: kinds[kind] for name, kind in COLUMNS[table].items()},
        }
    assert COLUMNS.keys() == {"scalars", *LAYOUTS}


def test_an_export_that_breaks_leaves_the_older_one_and_no_parts(folder, tmp_path, monkeypatch):
    file = tmp_path / "new" / "out.parquet"
    export(folder, file)
    before = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    assert set(before) == {f"out_{table}.parquet" for table in ("runs", "scalars", "profiles", "step_losses")}
    (folder / "a" / "scalars.jsonl").write_text('{"step": 0, "x": 1}\n')
    monkeypatch.setattr(module, "ROWS", 10)

    def fall(path):
        yield from blocks(path)
        raise MemoryError

    monkeypatch.setattr(module, "blocks", fall)
    with pytest.raises(MemoryError):
        export(folder, file)
    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == before


def test_what_cannot_be_read_is_named_and_the_rest_is_exported(folder, tmp_path):
    torn = folder / "a" / "profiles.npz"
    torn.write_bytes(torn.read_bytes()[:900])
    with np.load(folder / "b" / "profiles.npz") as data:
        arrays = dict(data)
    np.savez(folder / "b" / "profiles.npz", **{**arrays, "zeros": arrays["zeros"][:, :, :-1]})
    with pytest.warns(UserWarning, match="cannot be read") as caught:
        export(folder, tmp_path / "out.parquet")
    assert [str(w.message).split(" cannot")[0][-1] for w in caught] == ["a", "b"]
    assert "zeros has shape (3, 1, 19), its axes say (3, 1, 20)" in str(caught[1].message)
    assert len(read(tmp_path / "out.parquet", "profiles")) == 0
    assert set(read(tmp_path / "out.parquet", "scalars")["run"]) == {"a", "b", "c"}


def test_the_command_names_its_files_and_what_is_wrong(folder, tmp_path, capsys):
    given = ["--outputs", str(folder.parent), "--parquet", str(tmp_path / "results.parquet")]
    assert main(["horizon", *given]) == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert names == [f"results_{table}.parquet" for table in ("runs", "scalars", "profiles", "step_losses")]
    with pytest.raises(SystemExit) as stop:
        main(["horizo", *given])
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("did you mean horizon?\n")


def test_without_pyarrow_the_extra_is_named():
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from experiments.export import main\n"
        "main(['x', '--parquet', 'y.parquet'])"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert "needs pyarrow" in result.stderr
    assert "pip install -e '.[export]'" in result.stderr
    assert "Traceback" not in result.stderr
