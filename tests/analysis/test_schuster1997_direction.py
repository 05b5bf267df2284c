"""The experiment `schuster1997_direction`: its table from run folders, and each claim seen to hold and to fail."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from analysis import schuster1997_direction as direction
from analysis import tables

T, RATE = 30, -0.05
TIME = np.arange(T)


def law(name: str) -> np.ndarray:
    return RATE * {"forward": T - 1 - TIME, "backward": TIME}[name]


def fabricated(folder, fabricate, passes: str, cell: str, seed: int) -> None:
    """A run that keeps the law in each pass, and whose input receives three times the sum of the squares."""
    settings = {
        "cell": {"_target_": "rnnlab.cells.elman.Elman", "activation": cell},
        "task": {"_target_": "rnnlab.tasks.position_recall.PositionRecall", "length": T},
    }
    path = fabricate.run(
        folder,
        f"{passes}{cell}{seed}",
        direction=passes,
        T=T,
        seed=seed,
        settings=settings,
        predicted={"decay_per_step": RATE},
    )
    with np.load(path / "profiles.npz") as data:
        arrays = dict(data)
    names = list(arrays["direction"])
    norm = arrays["log10_norm"]
    for s, name in enumerate(names):
        norm[:, s] = law(name)
    total = np.log10(9 * sum(10 ** (2 * law(name)) for name in names)) / 2
    top = np.broadcast_to(total, (len(norm), 1, *norm.shape[2:]))
    for name, label in {"layer": 0, "direction": "input", "part": "u", "loss": "task"}.items():
        arrays[name] = np.append(arrays[name], label)
    for name in ("zeros", "nonfinite"):
        arrays[name] = np.concatenate([arrays[name], arrays[name][:, :1]], 1)
    arrays["lag"] = np.concatenate([arrays["lag"], T - 1 - TIME[None]])
    np.savez(path / "profiles.npz", **arrays | {"log10_norm": np.concatenate([norm, top], 1)})
    done = json.loads((path / "done.json").read_text())
    done["metrics"] |= {f"test/error/{p}": p / T for p in range(T)}
    (path / "done.json").write_text(json.dumps(done))


@pytest.fixture(scope="module")
def table(tmp_path_factory, fabricate):
    folder = tmp_path_factory.mktemp("direction")
    for passes in direction.DIRECTIONS:
        for cell in direction.NAMES:
            for seed in (0, 1):
                fabricated(folder, fabricate, passes, cell, seed)
    return direction.make(folder, tables.runs(folder), folder)[0]["schuster1997_direction"]


def test_the_table_has_the_gradient_of_input_and_passes_with_their_laws_and_the_error_of_each_position(table):
    assert len(table) == 3 * 2 * 2 * T
    np.testing.assert_allclose(table["error"], table["time"] / T)
    for name, rows in table.groupby("direction", observed=True):
        for one in ("forward", "backward"):
            there = name in (one, "bidirectional")
            np.testing.assert_allclose(rows[one], np.tile(law(one), 4) if there else np.full(4 * T, np.nan), atol=1e-12)
            np.testing.assert_allclose(rows[f"{one}_law"], np.tile(law(one), 4), atol=1e-12)
        # relative to the ends that the loss reads: the factor of three is gone, and what the other pass adds there
        passes = direction.DIRECTIONS[:2] if name == "bidirectional" else (name,)
        wanted = np.log10(sum(10 ** (2 * law(one)) for one in passes)) / 2
        off = math.log10(1 + 10 ** (2 * RATE * (T - 1))) / 2 if name == "bidirectional" else 0
        np.testing.assert_allclose(rows["input"], np.tile(wanted - off, 4), atol=1e-12)
        np.testing.assert_allclose(rows["predicted"], np.tile(wanted, 4), atol=1e-12)


@pytest.fixture
def ideal(table):
    """Recall within 8 steps of an end that is read, a coin beyond."""
    far = {"forward": T - 1 - table["time"], "backward": table["time"]}
    far["bidirectional"] = np.minimum(far["forward"], far["backward"])
    distance = np.select([table["direction"] == name for name in far], far.values())
    return table.assign(error=np.where(distance < 8, 0.01, 0.5))


def failing(table: pd.DataFrame) -> list[int]:
    return [k for k, claim in enumerate(direction.check(table)) if claim.verdict == "does not hold"]


def test_all_claims_hold_of_the_laws(ideal):
    assert [claim.verdict for claim in direction.check(ideal)] == ["holds"] * 10


@pytest.mark.parametrize(
    ("claim", "cell", "name", "column", "off"),
    [
        (0, "linear", "bidirectional", "forward", 0.002),
        (1, "linear", "backward", "backward", 0.002),
        (2, "linear", "bidirectional", "input", 0.3),
        (3, "tanh", "bidirectional", "input", -0.5),
    ],
)
def test_the_gradient_off_in_the_middle_fails_the_claim_of_it(ideal, claim, cell, name, column, off):
    of = (ideal["cell"] == cell) & (ideal["direction"] == name) & (ideal["time"] == T // 2)
    assert failing(ideal.assign(**{column: ideal[column] + off * of})) == [claim]


def test_recall_that_does_not_follow_the_distance_fails(ideal):
    assert failing(ideal.assign(error=0.01)) == [5, 7, 9]
    assert failing(ideal.assign(error=0.5)) == [4, 6, 8]
    assert failing(ideal.assign(error=np.nan)) == [4, 6, 8]  # a network that diverged answers nothing
    turned = ideal.sort_values(["cell", "direction", "seed", "time"]).reset_index(drop=True)
    forward, backward = (turned["direction"] == name for name in ("forward", "backward"))
    error = turned["error"].copy()
    error[forward], error[backward] = turned["error"][backward].to_numpy(), turned["error"][forward].to_numpy()
    assert failing(turned.assign(error=error)) == [4, 5, 6, 7]


def test_what_the_table_has_not_is_not_tested(ideal):
    forward = ideal[(ideal["direction"] == "forward") & (ideal["cell"] == "tanh")]
    said = [claim.verdict for claim in direction.check(forward)]
    assert said == ["not tested"] * 4 + ["holds"] * 2 + ["not tested"] * 4
